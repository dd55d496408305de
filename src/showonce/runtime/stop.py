"""The stop: checked before every primitive input, latched until a person re-arms it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from showonce.errors import Stopped

CTRL_C: Final = "Ctrl-C"
STOPPING: Final = b"\nshowonce: stopping ... once more ends it at once\n"
STDERR: Final = 2


class Source(Protocol):
    """Something that sees a person's stop on its own, such as the stop chord on the desktop."""

    def connect(self, press: Callable[[str], None]) -> None:
        """Call `press` with the reason when it is seen, and at once if it was seen already."""
        ...

    def rearm(self) -> None: ...


class Stop:
    """A latch that any thread, a signal or a file may set; `protocols.Interrupt` for an environment.

    file: a path whose appearance presses the stop, so that another process (a dashboard, a person's `touch STOP`)
    can do it.
    """

    def __init__(self, file: str | Path | None = None) -> None:
        self.file = None if file is None else Path(file)
        self.reason = ""
        self._event = threading.Event()
        self._sources: list[Source] = []

    @property
    def pressed(self) -> bool:
        """Whether the stop holds; also looks for the file."""
        if not self._event.is_set() and self.file is not None and self.file.exists():
            self.press(f"{self.file} was found")
        return self._event.is_set()

    def press(self, reason: str = "a person pressed stop") -> None:
        """Stop from now on. The first reason stays."""
        self.reason = self.reason or reason
        self._event.set()

    def check(self) -> None:
        """Raise `Stopped` while the stop holds."""
        if self.pressed:
            raise Stopped(f"stopped: {self.reason}.")

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, shorter when the stop is pressed in this process; return whether it holds."""
        self._event.wait(seconds)
        return self.pressed

    def watch(self, source: Source) -> None:
        """Let a source press this stop from now on; twice is fine. It is re-armed together with the stop."""
        if source not in self._sources:
            self._sources.append(source)
        source.connect(self.press)

    def rearm(self) -> None:
        """Let things run again; a person's decision. A stop file is removed, else it would stop them at once.

        Raises:
            Unavailable: a source cannot watch any more; the stop holds on.
        """
        for source in self._sources:
            source.rearm()
        if self.file is not None:
            self.file.unlink(missing_ok=True)
        self.reason = ""
        self._event.clear()


@contextlib.contextmanager
def stop_on_interrupt(stop: Stop) -> Iterator[None]:
    """In this block the first Ctrl-C presses the stop and writes a line to stderr; the second: KeyboardInterrupt.

    Only the main thread gets signals; elsewhere the block runs unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.pressed:
            raise KeyboardInterrupt
        stop.press(CTRL_C)
        with contextlib.suppress(OSError):
            os.write(STDERR, STOPPING)  # not `print`: the code that the signal cut into may be printing

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ignore_interrupt() -> None:
    """Ignore Ctrl-C in a worker process: its parent gets it, too, and tells the worker by the stop file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """In a process made by multiprocessing: end it (exit code 1) as soon as its parent is gone.

    A parent that is killed cannot stop its workers; each watches it from a daemon thread.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
