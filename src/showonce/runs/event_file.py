"""The event file of a run: JSON lines, each ``{"t": unix seconds, "kind": ..., ...}``.

Everything that watches a run (dashboard, report, tests) reads this file and nothing else. Frames are named by their
path relative to the folder of the event file.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from showonce.errors import ShowonceError
from showonce.events import Event
from showonce.fsio import LineWriter, make_folder, read_lines


class EventWriter:
    """Appends events to a file. Emitting never raises: a full disk must not end a run.

    The first failure is told once as a RuntimeWarning and kept in `failed` (empty while all is well), to be shown
    at the end; `lost` counts the events that are not in the file. Later events are still tried.

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
            self._lines.write({"t": time.time(), **event.to_json()})
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_events(path: str | Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the events from byte `offset` on, and the offset for the next call.

    A half-written last line is left for the next call; a file that is not there yet has no events.
    """
    return read_lines(path, offset)
