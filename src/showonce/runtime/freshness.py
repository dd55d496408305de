"""Whether a screen is still the one that an action was chosen on, or recorded on: two frames are compared, pixels only.

A person who approves, a pause and the rate limit take time, and the page may be another one afterwards. A blinking
caret or a clock in a corner must not count as another page, else nothing could ever be approved on a real screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from showonce.actions import Action, points, to_pixel
from showonce.demonstrations import redact
from showonce.runtime.matching import LIKELY, patch_for, stays
from showonce.types import Image, Observation

OFF: Final = 24  # of 255: how far a channel of a pixel must be off to count between a recording and now
TOLERANCE: Final = 0.02  # largest share of such pixels that counts as equal: carets, clocks, font smoothing
AROUND: Final = 0.3  # largest share of such pixels in the square around a target
NOTICEABLE: Final = 16  # of 255: a pixel has changed where one of its channels differs by more than this
TARGET_RADIUS: Final = 0.03  # of the frame's longer side: half the side of the square around a point of an action
TARGET_PIXELS: Final = 6  # least half side of that square, in pixels
TARGET_SHARE: Final = 0.10  # share of changed pixels in the square from which on the target counts as another one
FRAME_SHARE: Final = 0.05  # share of changed pixels in the whole frame from which on it counts as another one


def off(one: Image, other: Image, least: int = OFF) -> NDArray[np.bool_]:
    """Return where two frames of one size differ by more than `least` in a channel: (H, W)."""
    found: NDArray[np.bool_] = (np.abs(one.astype(np.int16) - other) > least).any(axis=2)
    return found


def apart(
    then: Observation, now: Observation, action: Action | None, share: float = TOLERANCE, lit: bool = False
) -> tuple[str, str] | None:
    """Return how a screen differs from the recorded one, (frame | target | screen, in words); None where it does not.

    What is blanked in either is not compared. share: of the pixels that may differ anywhere; at the target `AROUND`.
    lit: another colour there does not count, as of a button that was recorded with the pointer on it.
    """
    if then.image.shape != now.image.shape:
        size = f"recorded on {then.width}x{then.height}, this screen is {now.width}x{now.height}"
        return "screen", size
    hidden = (*then.masked, *now.masked)
    differs = off(redact(then, hidden).image, redact(now, hidden).image) if hidden else off(then.image, now.image)
    half = patch_for(now.image) // 2
    for x, y in points(action) if action is not None else ():
        column, row = to_pixel(x, now.width), to_pixel(y, now.height)
        around = differs[max(0, row - half) : row + half, max(0, column - half) : column + half]
        likely = stays(then.image, (x, y), now.image) if lit else None
        if around.mean() > AROUND if likely is None else likely < LIKELY:
            return "target", f"{around.mean():.0%} of the pixels around the target differ"
    if differs.mean() > share:
        return "frame", f"{differs.mean():.0%} of the pixels differ before the action"
    return None


@dataclass(frozen=True)
class Change:
    """What differs between two frames. target: under a point of the action; share: of all pixels, in [0, 1]."""

    target: bool = False
    share: float = 0.0

    @property
    def matters(self) -> bool:
        """Whether an action that was chosen on the first frame must not be executed on the second."""
        return self.target or self.share > FRAME_SHARE

    def __str__(self) -> str:
        where = "under the target" if self.target else f"on {self.share:.0%} of its area"
        return f"the screen changed {where} before the action was executed"


def compare(before: Observation, after: Observation, action: Action) -> Change:
    """Return what differs between the frame on which an action was chosen and a later one.

    Frames of different size differ everywhere. An action without points (typing, a key) has no target; for it only the
    share of the whole frame counts.
    """
    if before.hash == after.hash:
        return Change()
    if before.image.shape != after.image.shape:
        return Change(True, 1.0)
    differs_HW = off(before.image, after.image, NOTICEABLE)
    radius = max(TARGET_PIXELS, round(TARGET_RADIUS * max(before.width, before.height)))
    target = False
    for x, y in points(action):
        column, row = to_pixel(x, before.width), to_pixel(y, before.height)
        square = differs_HW[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
        target = target or float(square.mean()) >= TARGET_SHARE
    return Change(target, float(differs_HW.mean()))
