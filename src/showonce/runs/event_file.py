"""The event file of a run, which everything that watches a run reads: one event of `showonce.events` a line, as JSON.

`EventWriter` appends, `read_events` reads a whole file, `EventTail` follows one that grows. Frames are named by their
path relative to the folder of the file.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from pathlib import Path
from typing import IO, Final, Self

from showonce.errors import ShowonceError
from showonce.events import Event, from_json
from showonce.fsio import LineWriter, make_folder, read_lines
from showonce.secrets import KNOWN

CHUNK_BYTES: Final = 1 << 22


class EventWriter:
    """Appends events to a file. Emitting never raises: a full disk must not end a run.

    The first failure becomes a RuntimeWarning and stays in `failed` (empty while all is well), to be shown at the end;
    `lost` counts the events that are not in the file. Later events are still tried. Any thread may emit.

    Raises:
        DiskError: the file cannot be opened in the first place.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.failed = ""
        self.lost = 0
        make_folder(self.path.parent)
        self._lines = LineWriter(self.path)

    def emit(self, event: Event) -> None:
        """Append one event, whole, before returning."""
        try:
            self._lines.write({"t": time.time(), **KNOWN.hide_value(event.to_json())})
        except (ShowonceError, ValueError, TypeError, RecursionError) as error:
            self.lost += 1
            if not self.failed:
                self.failed = f"{error} Events are being lost from here on."
                with contextlib.suppress(Warning):  # a warning turned into an error must not raise either
                    warnings.warn(self.failed, RuntimeWarning, stacklevel=2)

    def close(self) -> None:
        """Close the file; closing twice is fine, and an event after it counts as lost."""
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_events(path: str | Path) -> list[Event]:
    """Return the events of a file; none where it is not there. Lines that are no JSON object are left out.

    Raises:
        DiskError: the file is there and cannot be read.
    """
    return [from_json(record) for record in read_lines(path)[0]]


class EventTail:
    """New events of a file at each `poll`; a half-written last line waits for its end.

    `broken` counts lines that are no JSON object with a kind. A file that became shorter is read again from its start
    and `restarts` grows by one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = 0
        self.restarts = 0
        self._offset = 0

    def poll(self) -> list[Event]:
        """Return the events appended since the last call; none when the file is not there or cannot be read."""
        events: list[Event] = []
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            if file.seek(0, 2) < self._offset:
                self._offset, self.broken, self.restarts = 0, 0, self.restarts + 1
            file.seek(self._offset)
            self._read(file, events)
        return events

    def _read(self, file: IO[bytes], events: list[Event]) -> None:
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                if line.strip():
                    self._parse(line, events)

    def _parse(self, line: bytes, events: list[Event]) -> None:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and isinstance(record.get("kind"), str):
            events.append(from_json(record))
        else:
            self.broken += 1
