"""Waits until the screen has changed and is at rest, compared with a frame from before the action."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from showonce.environments.desktop.capture import Pixels

CARET: Final = (3, 40)  # width, height in pixels: a change no larger than this is a blinking caret
POLL: Final = 0.004  # seconds between two screenshots


@dataclass(frozen=True)
class Patience:
    """Seconds. quiet: without a change for so long the screen is settled; first: how long to wait for the first
    change; cap: end of waiting, whatever still changes."""

    quiet: float = 0.025
    first: float = 0.15
    cap: float = 1.0


@dataclass(frozen=True)
class Settled:
    """changed: something larger than a caret changed; quiet: it had come to rest; seconds: how long it took."""

    changed: bool
    quiet: bool
    seconds: float


def differs(one: Pixels, other: Pixels) -> bool:
    """Return whether the pixels in which two frames differ need a larger box than `CARET`."""
    if one.shape != other.shape:
        return True
    if np.array_equal(one, other):
        return False
    apart = one != other
    rows = np.flatnonzero(apart.any(axis=1))
    columns = np.flatnonzero(apart.any(axis=0))
    return bool(columns[-1] - columns[0] >= CARET[0] or rows[-1] - rows[0] >= CARET[1])


def settle(
    shoot: Callable[[], Pixels], before: Pixels, patience: Patience, pause: Callable[[float], None] = time.sleep
) -> Settled:
    """Call `shoot` until the screen has changed from `before` and is at rest, or patience ends.

    pause: sleeps between two shots; it may raise to break off.
    """
    start = time.monotonic()
    last, moved = before, None
    while True:
        frame = shoot()
        now = time.monotonic()
        if differs(frame, last):
            last, moved = frame, now
        rests = now - (start if moved is None else moved) >= (patience.first if moved is None else patience.quiet)
        if rests or now - start >= patience.cap:
            return Settled(moved is not None, rests, now - start)
        pause(POLL)
