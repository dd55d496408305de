from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.demonstrations.redact import check_regions, redact
from showonce.errors import BadInput
from showonce.types import Observation

fractions = st.floats(0, 1)


def white(height: int = 10, width: int = 20) -> Observation:
    return Observation(np.full((height, width, 3), 255, np.uint8), scale=2.0, text="secret")


def test_a_region_is_black_and_the_rest_is_untouched() -> None:
    before = white()
    after = redact(before, [(0.5, 0.0, 1.0, 0.25)])
    expected = np.full((10, 20, 3), 255, np.uint8)
    expected[0:3, 10:20] = 0  # 2.5 rows: the touched third row goes too
    assert np.array_equal(after.image, expected)
    assert (before.image == 255).all()
    assert after.text is None
    assert after.scale == 2.0
    assert after.hash != before.hash


def test_without_regions_it_is_the_very_same_observation() -> None:
    seen = white()
    assert redact(seen, ()) is seen


@given(st.integers(1, 40), st.integers(1, 40), fractions, fractions, fractions, fractions)
def test_every_pixel_that_a_region_touches_is_blank(h: int, w: int, x0: float, y0: float, x1: float, y1: float) -> None:
    if not (x0 < x1 and y0 < y1):
        return
    image = redact(white(h, w), [(x0, y0, x1, y1)]).image
    for row in range(h):
        for column in range(w):
            inside = column / w < x1 and (column + 1) / w > x0 and row / h < y1 and (row + 1) / h > y0
            if inside:
                assert (image[row, column] == 0).all()


def test_regions_of_a_file_become_tuples() -> None:
    assert check_regions([[0, 0.5, 1, 1.0]]) == ((0.0, 0.5, 1.0, 1.0),)
    assert check_regions([]) == ()


@pytest.mark.parametrize(
    "wrong",
    ["all", [[0, 0, 1]], [[0, 0, 1, 1, 1]], [[0, 0, 2, 1]], [[0.5, 0, 0.5, 1]], [[0, 1, 1, 0]], [[True, 0, 1, 1]], 
     ["0"], [[0, 0, 1, float("nan")]]],
)  # fmt: skip
def test_regions_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(BadInput, match="left, top, right, bottom"):
        check_regions(wrong)
