"""Pause, resume and stop of a run: from the keyboard, from a file in the run's folder, from any thread.

A pause is seen wherever the stop is: before an episode's next step and before every primitive input of an action, so
nothing is executed until it ends. The time in which it holds is counted apart, and no limit runs meanwhile.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from showonce.protocols import Interrupt
from showonce.runtime.stop import Stop

POLL_SECONDS: Final = 0.05  # between two looks at whether a pause is over
KEY: Final = r"Ctrl-\ ".strip() if hasattr(signal, "SIGQUIT") else "Ctrl-Break"


class PausableStop(Stop):
    """A stop that can also be paused.

    pause_file: a path that pauses as long as it exists, so that another process can do it. tell: called with
    (paused, reason) when the first thread begins and the last one ends to wait; never from a signal handler.
    """

    def __init__(
        self,
        file: str | Path | None = None,
        pause_file: str | Path | None = None,
        tell: Callable[[bool, str], None] | None = None,
    ) -> None:
        super().__init__(file)
        self.pause_file = None if pause_file is None else Path(pause_file)
        self.tell = tell
        self._paused = ""  # the reason; a plain attribute, since a signal handler sets it
        self._lock = threading.Lock()
        self._waiting = 0
        self._since = 0.0
        self._held = 0.0

    @property
    def paused(self) -> bool:
        """Whether a pause holds; also looks for the file."""
        return bool(self._paused) or (self.pause_file is not None and self.pause_file.exists())

    @property
    def held(self) -> float:
        """Seconds so far in which at least one thread waited for the end of a pause."""
        with self._lock:
            return self._held + (time.monotonic() - self._since if self._waiting else 0.0)

    def pause(self, reason: str = "a person paused it") -> None:
        """Execute nothing from now on until `resume`; an action that has begun halts before its next input."""
        self._paused = self._paused or reason

    def resume(self) -> None:
        """Go on. A pause file is removed, else it would hold on."""
        if self.pause_file is not None:
            self.pause_file.unlink(missing_ok=True)
        self._paused = ""

    def check(self) -> None:
        """Wait while a pause holds; raise `Stopped` while the stop holds, also in a pause."""
        super().check()
        if self.paused:
            self._wait()

    def _wait(self) -> None:
        reason = self._paused or f"{self.pause_file} was found"
        self._begin(reason)
        try:
            while self.paused:
                super().check()
                time.sleep(POLL_SECONDS)
        finally:
            self._end(reason)

    def _begin(self, reason: str) -> None:
        with self._lock:
            self._waiting += 1
            first = self._waiting == 1
            self._since = time.monotonic() if first else self._since
        if first and self.tell is not None:
            self.tell(True, reason)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._waiting -= 1
            last = not self._waiting
            self._held += time.monotonic() - self._since if last else 0.0
        if last and self.tell is not None:
            self.tell(False, reason)


def held_by(stop: Interrupt) -> float:
    """Return the seconds that pauses have taken so far; 0 for a stop that knows no pause."""
    return stop.held if isinstance(stop, PausableStop) else 0.0


@contextlib.contextmanager
def pause_on_key(control: PausableStop) -> Iterator[None]:
    r"""In this block Ctrl-\ (Windows: Ctrl-Break) pauses, and pressed once more resumes. Main thread only."""
    number = getattr(signal, "SIGQUIT", getattr(signal, "SIGBREAK", None))
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if control.paused:
            control.resume()
        else:
            control.pause(f"{KEY}; once more resumes")

    before = signal.signal(number, on_signal)
    try:
        yield
    finally:
        signal.signal(number, before)
