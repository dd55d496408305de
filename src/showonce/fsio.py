"""Writing files so that a kill, a full disk or a read-only folder never leaves half a file or a bare OSError.

A file is written aside in its own folder, flushed to the disk and moved into place, so a reader sees the old file or
the new one. Lines are appended whole with one system call each; a torn last line is skipped by the reader and closed
by the next writer. Not covered: folders shared over a network whose rename is not atomic.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from showonce.errors import DiskError

_ADVICE: Final = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder",
    errno.EROFS: "the file system is read-only: choose a folder that can be written",
    errno.EACCES: "permission denied: choose a folder that you may write, or change its permissions",
    errno.EPERM: "permission denied: choose a folder that you may write, or change its permissions",
    errno.ENOTDIR: "a part of this path is a file, not a folder: remove it or choose another folder",
    errno.EEXIST: "a file of this name is in the way: remove it or choose another folder",
    errno.EISDIR: "this is a folder, a file was expected: choose another name",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter one",
}
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def explained(path: str | Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError of the block into a DiskError that names `path`, the cause and what to do next."""
    try:
        yield
    except OSError as error:
        cause = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise DiskError(f"cannot {doing} {path}: {cause}.") from error


def make_folder(path: str | Path) -> Path:
    """Create a folder and its parents where they are missing, and return it.

    Raises:
        DiskError: it cannot be created (a file is in the way, read-only, full).
    """
    folder = Path(path)
    with explained(folder, "create the folder"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def atomic_write_bytes(path: str | Path, data: bytes | memoryview, *, durable: bool = True) -> None:
    """Replace the file at `path` by `data`: all of it or nothing. Its folder must exist.

    durable: also survive a power cut (fsync of file and folder); without it only kills are survived.

    Raises:
        DiskError: full disk, read-only folder and the like; the old file is untouched and no temporary file stays.
    """
    target = Path(path)
    aside = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.tmp")
    with explained(target):
        try:
            with open(aside, "xb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(aside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(target.parent)


def sync_folder(path: str | Path) -> None:
    """Make the names in a folder survive a power cut; does nothing where the system has no such call."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def atomic_write_text(path: str | Path, text: str, *, durable: bool = True) -> None:
    """Replace the file at `path` by `text` in UTF-8. See `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode("utf-8"), durable=durable)


def atomic_write_json(path: str | Path, value: Any, *, durable: bool = True) -> None:
    """Replace the file at `path` by `plain(value)` as indented JSON. See `atomic_write_bytes`."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write_bytes(path, (text + "\n").encode("utf-8"), durable=durable)


def plain(value: Any) -> Any:
    """Return `value` as what JSON can hold: dataclasses and mappings as objects, enums as values, NaN and inf as null.

    Anything unknown becomes its `str`, so that writing a record never fails on its content.
    """
    if value is None or (isinstance(value, (bool, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be written
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    return str(value)


class LineWriter:
    """Appends JSON lines to one file, each whole and at once in the hands of the system. Safe between threads.

    Opening a file whose last line is torn (its writer was killed) closes that line first.

    Raises:
        DiskError: the file cannot be opened or, in `write`, the line could not be written whole.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._torn = _ends_torn(self.path)
        with explained(self.path):
            self._handle = os.open(self.path, _APPEND, 0o666)

    def write(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(plain(record), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
        with self._lock, explained(self.path):
            if self._handle < 0:
                raise DiskError(f"cannot write {self.path}: it is closed already.")
            rest = memoryview((("\n" if self._torn else "") + line).encode("utf-8"))
            while rest:
                written = os.write(self._handle, rest)
                self._torn, rest = written < len(rest), rest[written:]

    def close(self, durable: bool = False) -> None:
        """Close the file; closing twice is fine. durable: see `atomic_write_bytes`."""
        with self._lock, explained(self.path):
            if self._handle >= 0:
                handle, self._handle = self._handle, -1
                try:
                    if durable:
                        os.fsync(handle)
                finally:
                    os.close(handle)


def _ends_torn(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False


def read_lines(path: str | Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the whole JSON objects of a file of lines from byte `offset` on, and the offset to go on from.

    A last line without its end is left for the next call; a torn line within the file is skipped. A file that is
    not there has no lines.

    Raises:
        DiskError: the file is there and cannot be read.
    """
    file_path = Path(path)
    with explained(file_path, "read"):
        try:
            with open(file_path, "rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], offset
    end = data.rfind(b"\n") + 1
    records = []
    for line in data[:end].split(b"\n"):
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                records.append(record)
    return records, offset + end
