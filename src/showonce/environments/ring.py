"""The last frames of a recorded screen; returns the one that was shown just before an event."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from showonce.errors import EnvironmentBroken
from showonce.types import Observation

F = TypeVar("F")
CHANGES: Final = 512  # times of visible changes that are kept
LENGTH: Final = 24  # frames kept; events arrive within 60 ms, which is 4 frames at 60 per second


class FrameRing(Generic[F]):
    """Distinct frames, each with a time at which it was certainly shown. Thread-safe.

    make: turns a raw frame into an observation; called only for frames that `before` returns.
    """

    def __init__(self, make: Callable[[F], Observation], length: int = LENGTH) -> None:
        self._make = make
        self._frames: deque[tuple[float, F, float]] = deque(maxlen=length)
        self._changes: deque[float] = deque(maxlen=CHANGES)
        self._made: tuple[F, Observation] | None = None
        self._lock = threading.Lock()
        self._first = threading.Event()

    def put(self, time: float, frame: F, visible: bool = True) -> None:
        """Add a frame that differs from the last one. visible: by more than a blinking caret."""
        with self._lock:
            changed = time if visible or not self._frames else self._frames[-1][2]
            if not self._changes or changed > self._changes[-1]:
                self._changes.append(changed)
            self._frames.append((time, frame, changed))
        self._first.set()

    def wait(self, seconds: float) -> None:
        """Wait for the first frame. Raises EnvironmentBroken when none comes."""
        if not self.filled(seconds):
            raise EnvironmentBroken(f"the screen showed no frame within {seconds:g} s.")

    def filled(self, seconds: float = 0.0) -> bool:
        """Whether there is a frame, now or within `seconds`."""
        return self._first.wait(seconds)

    def before(self, time: float) -> tuple[Observation, float]:
        """Return the last frame from before `time` (the oldest if all are later), and when the screen last changed
        visibly up to that frame.
        """
        with self._lock:
            kept = list(self._frames)
        if not kept:
            raise EnvironmentBroken("the screen was not seen yet.")
        _, frame, changed = next((entry for entry in reversed(kept) if entry[0] < time), kept[0])
        if self._made is None or self._made[0] is not frame:
            self._made = (frame, self._make(frame))
        return self._made[1], changed

    def changes(self, until: float) -> list[float]:
        """Return when the screen changed visibly up to a time, oldest first; the last CHANGES times are known."""
        with self._lock:
            return [time for time in self._changes if time <= until]
