from __future__ import annotations

import numpy as np
import pytest

from showonce.actions import from_pixel, to_pixel
from showonce.runtime.matching import find_named, find_target, patch_for
from showonce.types import Element, Image


def screen(height: int = 360, width: int = 640) -> Image:
    """A flat page with a heading's worth of noise on top, and big flat buttons."""
    image = np.full((height, width, 3), 240, np.uint8)
    image[10:30, 10:300] = np.random.default_rng(1).integers(0, 256, (20, 290, 3), np.uint8)
    return image


def button(image: Image, row: int, column: int, colour: tuple[int, int, int], label: int = 0) -> None:
    image[row : row + 60, column : column + 160] = colour
    image[row + 25 : row + 35, column + 60 : column + 100] = np.random.default_rng(label).integers(0, 256, (10, 40, 3))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (8, -12), (130, 260)])
def test_a_button_is_found_again_where_it_is_now(down: int, right: int) -> None:
    old, new = screen(), screen()
    button(old, 100, 120, (40, 90, 200), 3)
    button(old, 250, 400, (40, 90, 200), 4)
    button(new, 100 + down, 120 + right, (40, 90, 200), 3)
    button(new, 280, 10, (40, 90, 200), 4)
    for row, column in ((130, 200), (110, 130), (130, 150)):  # its label, its corner, a place within that is flat
        (x, y), score = find_target(old, (from_pixel(column, 640), from_pixel(row, 360)), new, patch_for(new))
        assert abs(to_pixel(x, 640) - column - right) <= 1 and abs(to_pixel(y, 360) - row - down) <= 1
        assert score > 0.9


def test_what_is_gone_is_not_found() -> None:
    old = screen()
    button(old, 100, 120, (40, 90, 200), 3)
    _, score = find_target(old, (from_pixel(200, 640), from_pixel(130, 360)), screen(), patch_for(old))
    assert score < 0.8


def test_of_one_name_the_nearest_element_is_meant() -> None:
    elements = [
        Element("Save", (0.0, 0.0, 0.1, 0.1)),
        Element("save ", (0.8, 0.8, 1.0, 0.9)),
        Element("Delete", (0.5, 0.5, 0.6, 0.6)),
    ]
    assert find_named("SAVE", (0.7, 0.7), elements) == pytest.approx((0.9, 0.85))
    assert find_named("Save", (0.2, 0.2), elements) == pytest.approx((0.05, 0.05))
    assert find_named("Open", (0.2, 0.2), elements) is None
    assert find_named("", (0.2, 0.2), [Element("", (0, 0, 1, 1))]) is None
