"""One writer per adapter store: a lock file that names its owner, and that a dead owner cannot hold.

An owner is a process: host, pid and the start time of that pid (pids are used again). Every decision on the lock file
(read it, find its owner dead, remove it, create one's own) happens under a short system lock on a guard file beside
it, so that two processes never take over the same lock. Not covered: an owner on another host cannot be looked up,
so its lock counts as alive and the message says which file to remove.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import psutil

from showonce.errors import DiskError, StoreLocked
from showonce.fsio import explained, make_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK: Final = "lock.json"
GUARD: Final = ".lock.guard"
SAME_START_S: Final = 2.0  # two readings of one process's start time agree to this


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. started, since: unix seconds; `started` is when the process began, `since` when it locked."""

    pid: int
    started: float
    host: str
    command: str
    since: float

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"pid {self.pid} on {self.host} ({self.command}), since {when}"

    @property
    def alive(self) -> bool:
        """Whether that very process still runs; an owner on another host counts as alive."""
        if self.host != socket.gethostname():
            return True
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < SAME_START_S and process.status() != "zombie"
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def this_process() -> Owner:
    """Return this process as an owner."""
    process = psutil.Process()
    command = " ".join(sys.argv)[:200] or process.name()
    return Owner(process.pid, process.create_time(), socket.gethostname(), command, time.time())


class StoreLock:
    """The lock of one folder. `acquire`, then `release`, or use it as a context manager; released at exit in any case.

    Attributes:
        taken_over_from: the dead owner whose lock was taken over by `acquire`, else None (emit `lock_taken_over`).
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / LOCK
        self.taken_over_from: Owner | None = None
        self._mine: Owner | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._mine is not None

    def acquire(self) -> StoreLock:
        """Take the lock, from a dead owner too.

        Raises:
            StoreLocked: a live process holds it; the text names it.
            DiskError: the folder cannot be written.
        """
        if self.held:
            return self
        make_folder(self.folder)
        with _guarded(self.folder / GUARD):
            found = self.check()
            mine = this_process()
            with explained(self.path):
                self.path.unlink(missing_ok=True)
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(asdict(mine), file)
            if self.owner() != mine:
                raise StoreLocked(f"adapter store {self.folder}: another process wrote {self.path}. Try again.")
            self._mine, self.taken_over_from = mine, found
        atexit.register(self.release)
        return self

    def check(self) -> Owner | None:
        """Return the dead owner that is written in the lock file, None without one.

        Raises:
            StoreLocked: a live process holds it; the text names it.
        """
        found = self.owner()
        if found is not None and found.alive:
            raise StoreLocked(
                f"adapter store {self.folder} is in use by {found}. Wait for it or stop it; "
                f"if that process is surely gone, remove {self.path}."
            )
        return found

    def release(self) -> None:
        """Give the lock back, if this process still holds it; twice is fine."""
        mine, self._mine = self._mine, None
        if mine is None:
            return
        atexit.unregister(self.release)
        if mine.pid != os.getpid():  # a fork's copy is not the owner
            return
        with contextlib.suppress(OSError, DiskError), _guarded(self.folder / GUARD):  # the folder may be gone
            if self.owner() == mine:
                self.path.unlink(missing_ok=True)

    def owner(self) -> Owner | None:
        """Return who is written in the lock file, alive or not; None without one (a torn file names nobody)."""
        try:
            return Owner(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def __enter__(self) -> StoreLock:
        return self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


@contextlib.contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Hold the system's own lock on the guard file, which ends with the process whatever happens to it."""
    with contextlib.ExitStack() as stack:
        with explained(path):
            file: IO[Any] = stack.enter_context(open(path, "ab"))
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            stack.callback(msvcrt.locking, file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
