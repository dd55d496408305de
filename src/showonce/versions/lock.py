"""One writer per store: a lock of the operating system, and a file beside it that names who holds it.

    .lock       locked by the system (`filelock`: flock, LockFileEx); the system frees it when its process ends, however
    lock.json   pid, host, command and time of the owner; removed on release

So a `lock.json` that is found after the lock was taken was left by an owner that was killed: its lock is taken over.
Not covered: network folders whose system locks hold on one host only. Hence an owner on another host counts as alive,
and the error names the file to remove.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from showonce.errors import StoreLocked
from showonce.fsio import atomic_write_json, explained, make_folder

LOCK: Final = "lock.json"
SYSTEM_LOCK: Final = ".lock"
PATIENCE_S: Final = 0.2  # a `check` of another process holds the system lock for a moment


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. since: unix seconds."""

    pid: int
    host: str
    command: str
    since: float

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"pid {self.pid} on {self.host} ({self.command}), since {when}"


class StoreLock:
    """The lock of one folder. `acquire`, then `release`, or use it as a context manager; released at exit in any case.

    Attributes:
        taken_over_from: the dead owner whose lock was taken over by `acquire`, else None (emit `LockTakenOver`).
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / LOCK
        self.taken_over_from: Owner | None = None
        self._system = FileLock(self.folder / SYSTEM_LOCK, thread_local=False)
        self._pid = 0  # of the process that acquired it: a fork's copy is not the owner

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._pid == os.getpid()

    def acquire(self) -> StoreLock:
        """Take the lock, from a dead owner too.

        Raises:
            StoreLocked: a live process holds it; the text names it.
            DiskError: the folder cannot be written.
        """
        if self.held:
            return self
        make_folder(self.folder)
        self.taken_over_from = self._take()
        try:
            command = " ".join(sys.argv)[:200] or Path(sys.executable).name
            owner = Owner(os.getpid(), socket.gethostname(), command, time.time())
            atomic_write_json(self.path, asdict(owner), durable=False)
        except BaseException:
            self._system.release()
            raise
        self._pid = os.getpid()
        atexit.register(self.release)
        return self

    def check(self) -> None:
        """Raise StoreLocked when another live process holds the lock. Nothing stays changed."""
        if not self.held and self.path.exists():
            self._take()
            self._system.release()

    def release(self) -> None:
        """Give the lock back, if this process holds it; twice is fine."""
        if not self.held:
            return
        self._pid = 0
        atexit.unregister(self.release)
        with contextlib.suppress(OSError):  # the folder may be gone
            self.path.unlink(missing_ok=True)
        self._system.release()

    def owner(self) -> Owner | None:
        """Return who is written in lock.json, alive or not; None without the file or when it is torn."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            return Owner(int(data["pid"]), str(data["host"]), str(data["command"]), float(data["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _take(self) -> Owner | None:
        """Take the system's lock and return the owner that was killed while it held it, None without one."""
        with explained(self.folder / SYSTEM_LOCK):
            try:
                self._system.acquire(timeout=PATIENCE_S, poll_interval=PATIENCE_S / 4)
            except Timeout:
                raise self._locked() from None
        found = self.owner()
        if found is not None and found.host != socket.gethostname():
            self._system.release()
            raise self._locked()
        return found

    def _locked(self) -> StoreLocked:
        return StoreLocked(
            f"the store {self.folder} is in use by {self.owner() or 'another process'}. Wait for it or stop it; "
            f"if that process is surely gone, remove {self.path}."
        )

    def __enter__(self) -> StoreLock:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()
