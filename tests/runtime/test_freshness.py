"""Two frames and an action: is it still the same screen?"""

from __future__ import annotations

import numpy as np
import pytest

from showonce.actions import Action, Click, Drag, Type
from showonce.runtime.freshness import compare
from showonce.types import Observation

PAGE = np.full((720, 1280, 3), 255, np.uint8)


def page(*boxes: tuple[int, int, int, int]) -> Observation:
    """Return a white page with black boxes: left, top, right, bottom in pixels."""
    image = PAGE.copy()
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = 0
    return Observation(image)


BUTTON = (600, 340, 680, 380)
CENTRE = Click(0.5, 0.5)


@pytest.mark.parametrize(
    ("after", "action", "target", "matters"),
    [
        (page(BUTTON), CENTRE, False, False),
        (page(BUTTON, (640, 330, 642, 350)), CENTRE, False, False),  # a caret beside the pointer
        (page(BUTTON, (1180, 690, 1260, 710)), CENTRE, False, False),  # a clock in the corner
        (page((600, 500, 680, 540)), CENTRE, True, True),  # the button has moved away
        (page(BUTTON, (0, 0, 1280, 200)), CENTRE, False, True),  # a banner: another page, the same button
        (page(BUTTON, (0, 0, 1280, 200)), Type("x"), False, True),
        (page(BUTTON, (640, 330, 642, 350)), Type("x"), False, False),
        (page((600, 500, 680, 540)), Drag(0.1, 0.1, 0.5, 0.5), True, True),  # the end of a drag counts too
    ],
)
def test_what_counts_as_another_screen(after: Observation, action: Action, target: bool, matters: bool) -> None:
    change = compare(page(BUTTON), after, action)
    assert (change.target, change.matters) == (target, matters)


def test_another_size_is_another_screen() -> None:
    change = compare(page(), Observation(PAGE[:700]), CENTRE)
    assert change.target and change.share == 1.0 and "under the target" in str(change)


def test_noise_of_a_lossy_capture_is_no_change() -> None:
    noisy = np.clip(PAGE.astype(int) - np.random.default_rng(0).integers(0, 12, PAGE.shape), 0, 255).astype(np.uint8)
    assert not compare(page(), Observation(noisy), CENTRE).matters
