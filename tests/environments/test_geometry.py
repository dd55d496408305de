"""The mapping between frame, screenshot and input, and what is typed into date fields; no browser is needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.actions import from_pixel
from showonce.environments.browser.geometry import Offset, image_size, view_of
from showonce.environments.browser.hands import as_typed

SIZES = st.integers(8, 400)


@given(
    st.tuples(SIZES, SIZES), st.sampled_from([0.5, 0.7, 1.0, 1.25, 1.5, 2.0, 3.0]), st.none() | st.tuples(SIZES, SIZES),
    st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_a_place_survives_the_way_to_the_browser_and_back(
    window: tuple[int, int], scale: float, frame: tuple[int, int] | None, x: float, y: float
) -> None:
    view = view_of((round(window[0] * scale), round(window[1] * scale)), scale, None, frame)
    column, row = view.to_frame_pixel(x, y)
    back = view.to_fraction(*view.to_input(from_pixel(column, view.width), from_pixel(row, view.height)))
    assert view.to_frame_pixel(*back) == (column, row)
    at = view.to_input(x, y)
    assert 0 < at[0] * scale < round(window[0] * scale) and 0 < at[1] * scale < round(window[1] * scale)


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 3.0])
def test_a_crop_shifts_and_does_not_stretch(scale: float) -> None:
    view = view_of((round(332 * scale), round(214 * scale)), scale, (0.0, 50.0, 160.0, 210.0), None)
    assert (view.width, view.height) == (round(160 * scale), round(160 * scale))
    assert view.to_input(0.5 / view.width, 0.5 / view.height) == pytest.approx((0.5 / scale, 50 + 0.5 / scale))
    assert view.to_fraction(80, 130) == pytest.approx((0.5, 0.5))
    assert view.to_fraction(80, 20)[1] < 0, "what is cut off lies outside of the frame"


def test_places_in_documents() -> None:
    assert Offset(10, 20, 2.0, 0.5).to_input(3, 4) == (16, 22)


@pytest.mark.parametrize(("value", "size"), [(0, None), (None, None), (112, (112, 112)), ([320, 240], (320, 240))])
def test_sizes(value: object, size: tuple[int, int] | None) -> None:
    assert image_size(value) == size


@pytest.mark.parametrize("value", [True, "big", [1], [1, 2, 3], 7, [112, 99999], 11.5])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        image_size(value)


@pytest.mark.parametrize(
    ("text", "field", "typed"),
    [
        ("2024-05-17", "date", "05172024"),
        ("2024-05-17", "", "2024-05-17"),
        ("05/17/2024", "date", "05/17/2024"),
        ("2024-05", "month", "05\t2024"),
        ("2024-05", "date", "2024-05"),
        ("15:20", "time", "0320PM"),
        ("00:07", "time", "1207AM"),
        ("12:00", "time", "1200PM"),
        ("2024-05-17T15:20", "datetime-local", "05172024\t0320PM"),
        ("2024-05-17", "datetime-local", "2024-05-17"),
        ("", "date", ""),
    ],
)
def test_iso_dates_are_typed_in_the_order_of_the_field(text: str, field: str, typed: str) -> None:
    assert as_typed(text, field).lstrip("\x00") == typed
