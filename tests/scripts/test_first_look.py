"""The film of the first look: its pictures, times and size."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageSequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import first_look
from first_look import BAND, MOST_BYTES, ROOT, Office, Scene, captioned, cut, fitted, shot, write_gif

SMALL = (120, 80)


def picture(x: int) -> Image.Image:
    image = Image.new("RGB", SMALL, "#204060")
    ImageDraw.Draw(image).rectangle((x, 10, x + 20, 40), "#e0c040")
    return image


def test_times_are_divided_by_the_speed_and_long_waits_are_shortened() -> None:
    fast, slow = Scene("a", speed=10, longest=0.5, hold=2), Scene("b", hold=3)
    times = [(0.0, fast), (2.0, fast), (2.1, fast), (2.2, fast), (60.0, fast), (60.0, slow), (60.5, slow)]
    shots = [shot(at, scene, picture(number)) for number, (at, scene) in enumerate(times)]
    shown = [(shots.index(one), ms) for one, ms in cut(shots)]
    assert shown == [(0, 200), (3, 500), (4, 2000), (5, 500), (6, 3000)]
    assert shots[3].image.tobytes() == picture(3).tobytes()


def test_pictures_become_a_gif_that_plays_as_long_as_they_say(tmp_path: Path) -> None:
    frames = [(captioned(picture(x), "One sentence."), 100 + x) for x in (0, 10, 50, 90)]
    path = tmp_path / "a.gif"
    assert write_gif(frames, path) == first_look.COLOURS[0]
    with Image.open(path) as gif:
        read = [(one.convert("RGB"), one.info["duration"]) for one in ImageSequence.Iterator(gif)]
    assert [ms for _, ms in read] == [100, 110, 150, 190]
    for (image, _), x in zip(read, (0, 10, 50, 90), strict=True):
        assert image.size == (SMALL[0], SMALL[1] + BAND)
        assert image.getpixel((x + 10, 20)) != image.getpixel((x + 10, 60))


def test_colours_are_given_up_for_size_and_a_film_that_is_too_large_is_not_kept(tmp_path: Path) -> None:
    frames = [(Image.effect_noise(SMALL, 90 + number).convert("RGB"), 100) for number in range(3)]
    write_gif(frames, path := tmp_path / "a.gif")
    assert write_gif(frames, path, most=path.stat().st_size - 1) < first_look.COLOURS[0]
    with pytest.raises(ValueError, match=r"a\.gif: \d+ bytes with 16 colours are more than 1000"):
        write_gif(frames, path, most=1000)
    assert not path.exists()


def test_a_wide_picture_is_fitted_to_the_screen() -> None:
    whole = fitted(Image.new("RGB", (1920, 400), "#000000"))
    assert whole.size == first_look.SIZE
    assert [whole.getpixel((480, y)) for y in (270, 290)] == [(255, 255, 255), (0, 0, 0)]


def test_only_watched_pages_tell_where_their_things_are() -> None:
    office = Office()
    plain = office.get("customers", {}, "", "token", frozenset())
    office.watched = True
    watched = office.get("customers", {}, "", "token", frozenset())
    assert plain.status == 200
    assert watched.body == plain.body + first_look.TELL
    office.pressed({"page": "results", "things": [["Search", 10.0, 20.0]], "focus": True})
    assert office.where("Search") == (10.0, 20.0)
    assert office.where("Find") is None
    assert office.clicks == []


def test_a_tool_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(first_look, "TOOLS", ("sh", "no_such_tool"))
    monkeypatch.setattr(sys, "argv", ["first_look.py"])
    assert first_look.main() == 3
    assert "No no_such_tool here. On Debian: apt-get install" in capsys.readouterr().err


def test_the_film_is_there_moves_and_is_small() -> None:
    path = ROOT / "docs" / "first_look.gif"
    assert path.stat().st_size <= MOST_BYTES
    with Image.open(path) as gif:
        assert gif.width <= 960
        assert gif.info["loop"] == 0
        seconds = sum(one.info["duration"] for one in ImageSequence.Iterator(gif)) / 1000
        assert gif.n_frames > 50  # type: ignore[attr-defined]
    assert 30 <= seconds <= 45
