"""The small picture shows the frame and puts the action where it falls."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from showonce.actions import EXAMPLES, points, to_json
from showonce.dashboard.picture import DONE, NOT_DONE, ScreenPicture, fit, load_frame, plain_rows, sketch

GREY = Image.new("RGB", (112, 112), (90, 90, 90))


def changed(image: Image.Image) -> set[tuple[int, int]]:
    return {(x, y) for x in range(image.width) for y in range(image.height) if image.getpixel((x, y)) != (90, 90, 90)}


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: action.verb)
def test_the_mark_is_where_the_action_falls(action: object) -> None:
    image = sketch(GREY, to_json(action), 40, 20)  # type: ignore[arg-type]
    places = points(action)  # type: ignore[arg-type]
    assert bool(changed(image)) == bool(places)
    for x, y in places:
        assert any(abs(px - 40 * x) <= 2 and abs(py - 40 * y) <= 2 for px, py in changed(image))
    if places:
        x, y = places[-1]
        assert image.getpixel((int(40 * x), int(40 * y))) == DONE


def test_a_drag_is_drawn_from_start_to_end() -> None:
    image = sketch(GREY, {"action": "drag", "x": 0.0, "y": 0.5, "to_x": 0.99, "to_y": 0.5}, 40, 20)
    assert all(image.getpixel((x, 20)) == DONE for x in range(2, 33))


def test_what_was_not_executed_has_another_colour() -> None:
    image = sketch(GREY, {"action": "click", "x": 0.5, "y": 0.5}, 40, 20, executed=False)
    assert image.getpixel((20, 20)) == NOT_DONE


@pytest.mark.parametrize(
    "action", [None, {}, {"action": "fly"}, {"action": "click", "x": "a", "y": 0.5}, {"action": "click"}]
)
def test_an_action_that_is_none_leaves_the_frame(action: dict[str, object] | None) -> None:
    assert changed(sketch(GREY, action, 40, 20)) == set()


@pytest.mark.parametrize(
    ("frame", "room", "size"),
    [((112, 112), (40, 20), (40, 20)), ((112, 112), (40, 10), (20, 10)), ((1920, 1080), (32, 40), (32, 9))],
)
def test_fit_keeps_the_proportions(frame: tuple[int, int], room: tuple[int, int], size: tuple[int, int]) -> None:
    assert fit(*frame, *room) == size


def test_fit_is_never_empty() -> None:
    assert fit(5000, 1, 10, 10) == (10, 1)
    assert fit(1, 5000, 10, 10) == (1, 10)


def render(color_system: str | None) -> str:
    console = Console(width=20, height=10, file=io.StringIO(), force_terminal=True, color_system=color_system)  # type: ignore[arg-type]
    console.print(ScreenPicture(GREY, {"action": "click", "x": 0.5, "y": 0.5}), height=10)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_half_blocks_carry_the_pixels() -> None:
    text = render("truecolor")
    assert text.count("▀") == 20 * 10
    assert "38;2;90;90;90" in text  # upper pixel
    assert "48;2;90;90;90" in text  # lower pixel
    assert ";".join(map(str, DONE)) in text


def test_without_colours_there_are_shades_and_a_mark() -> None:
    text = render(None)
    assert "▀" not in text
    assert "\x1b[3" not in text
    lines = text.rstrip("\n").split("\n")
    assert [len(line) for line in lines] == [20] * 10
    assert "o" in lines[5]
    assert "o" not in lines[0]


def test_shades_follow_the_light() -> None:
    image = Image.new("RGB", (2, 2))
    image.paste((255, 255, 255), (1, 0, 2, 2))
    (row,) = plain_rows(image)
    assert "".join(segment.text for segment in row) == " @"


def test_frames_come_from_the_run_folder_only(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "episodes").mkdir(parents=True)
    GREY.save(run / "episodes" / "a.png")
    GREY.save(tmp_path / "secret.png")
    (run / "torn.png").write_bytes((run / "episodes" / "a.png").read_bytes()[:60])
    frame = load_frame(run, "episodes/a.png")
    assert frame is not None
    assert frame.size == (112, 112)
    outside = ("../secret.png", str(tmp_path / "secret.png"))
    for name in (*outside, "missing.png", "torn.png", "episodes", "", "a\0b", None):
        assert load_frame(run, name) is None, name
