"""Views move and relight what is on a frame; a known action follows what it pointed at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce.actions import Action, Click, Drag, Key, to_pixel
from showonce.learning.practice.views import (
    Jitter,
    background_colour,
    find_blocks,
    invert_lightness,
    map_action,
    rearrange,
    relight,
    scale,
    shift,
    view,
)
from showonce.types import Image

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 90, 220)}
PLACES = {"red": (20, 24), "green": (64, 32), "blue": (40, 76)}  # left, top of 16 x 16 squares


def frame() -> Image:
    image = np.full((112, 112, 3), 240, dtype=np.uint8)
    image[:12] = (120, 130, 150)  # a title bar
    for name, (left, top) in PLACES.items():
        image[top : top + 16, left : left + 16] = COLOURS[name]
    return image


def centre(name: str) -> tuple[float, float]:
    left, top = PLACES[name]
    return (left + 8) / 112, (top + 8) / 112


def colour_at(image: Image, x: float, y: float) -> tuple[int, ...]:
    return tuple(int(c) for c in image[to_pixel(y, image.shape[0]), to_pixel(x, image.shape[1])])


def test_blocks_are_found_and_bars_stay() -> None:
    boxes, content = find_blocks(frame())
    assert sorted(boxes) == sorted((x, y, x + 16, y + 16) for x, y in PLACES.values())
    assert content.sum() == 12 * 112 + 3 * 256
    assert tuple(background_colour(frame())) == (240, 240, 240)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rearranged_everything_is_still_there_and_found(seed: int) -> None:
    image, where = rearrange(frame(), np.random.default_rng(seed))
    for name in PLACES:
        assert colour_at(image, *where(*centre(name))) == COLOURS[name]
        assert (image == np.array(COLOURS[name])).all(-1).sum() == 256
    assert np.array_equal(image[:12], frame()[:12])


def test_rearranging_moves_the_target_about() -> None:
    places = {rearrange(frame(), np.random.default_rng(seed))[1](*centre("red")) for seed in range(30)}
    assert len(places) >= 25


def test_what_stands_in_a_dialog_moves_with_it() -> None:
    image = np.full((112, 112, 3), 240, dtype=np.uint8)
    image[30:60, 20:60] = 80
    image[31:59, 21:59] = 240  # only an outline
    image[40:48, 30:50] = COLOURS["blue"]
    assert find_blocks(image)[0] == [(20, 30, 60, 60)]


def test_a_frame_without_blocks_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
    image, where = rearrange(noise, rng)
    assert np.array_equal(image, noise) and where(0.3, 0.4) == (0.3, 0.4)


def test_a_full_screen_leaves_blocks_where_they_are() -> None:
    image = np.full((20, 20, 3), 255, dtype=np.uint8)
    image[3:17, 4:16] = 0
    moved, where = rearrange(image, np.random.default_rng(0))
    assert moved.shape == image.shape and (moved == 0).all(-1).sum() == 14 * 12
    assert where(0.5, 0.5)[0] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(("dx", "dy"), [(5, -3), (-8, 8), (0, 0)])
def test_shift(dx: int, dy: int) -> None:
    image, where = shift(frame(), dx, dy)
    assert image.shape == frame().shape
    for name in PLACES:
        assert colour_at(image, *where(*centre(name))) == COLOURS[name]
    if dx > 0:
        assert (image[:, :dx] == image[:, dx : dx + 1]).all()  # the edge goes on


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_scale(factor: float) -> None:
    image, where = scale(frame(), factor)
    assert image.shape == frame().shape
    for name in PLACES:
        assert colour_at(image, *where(*centre(name))) == COLOURS[name]


def test_a_dark_theme_keeps_hues() -> None:
    dark = invert_lightness(frame())
    assert tuple(dark[-1, -1]) == (15, 15, 15)
    red, green, blue = (int(c) for c in dark[PLACES["red"][1], PLACES["red"][0]])
    assert red > 2 * green and green == blue
    assert np.array_equal(invert_lightness(dark), frame())


def test_light() -> None:
    assert np.array_equal(relight(frame(), 0.0, 1.0), frame())
    assert relight(frame(), 40.0, 1.0).max() == 255 and relight(frame(), 0.0, 0.5).mean() < frame().mean()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_view_keeps_size_type_and_target(seed: int) -> None:
    geometry_only = Jitter(light=0.0, invert=0.0, max_shift=0.05)
    image, where = view(frame(), np.random.default_rng(seed), geometry_only)
    assert image.shape == (112, 112, 3) and image.dtype == np.uint8
    for name in PLACES:
        x, y = where(*centre(name))
        if 0 <= x <= 1 and 0 <= y <= 1:
            assert colour_at(image, x, y) == COLOURS[name]


def test_views_are_seeded_and_leave_the_frame_alone() -> None:
    original = frame()
    first, again, other = (view(original, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(original, frame())


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Click(0.1, 0.2), Click(0.3, 0.2)),
        (Drag(0.1, 0.2, 0.7, 0.8), Drag(0.3, 0.2, 0.9, 0.8)),
        (Drag(0.1, 0.2, 0.9, 0.8), None),
        (Key("ctrl+s"), Key("ctrl+s")),
    ],
)
def test_actions_follow(action: Action, expected: Action | None) -> None:
    moved = map_action(action, lambda x, y: (round(x + 0.2, 6), y))
    assert moved == expected
