from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.demonstrations.redact import SECRET, Secrets, check_regions, redact
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


def typed(*words: str) -> Secrets:
    """Return what is known after each word was typed into a field that may hold a secret."""
    secrets = Secrets()
    for word in words:
        for letter in word:
            event = {"kind": "key", "time": 0.0, "key": "•", "text": "•", "secret": True, "typed": letter}
            assert secrets.note(event) == {name: value for name, value in event.items() if name != "typed"}
        secrets.note({"kind": "press", "time": 0.0, "values": (word,)})
    return secrets


def test_a_secret_is_known_as_it_stands_after_corrections_and_not_half_typed() -> None:
    secrets = typed("hunter2x")
    assert secrets.found == ["hunter2x"]
    for key, letter in (("•", "g"), ("•", "e"), ("•", "X"), ("backspace", ""), ("•", "h"), ("•", "e"), ("•", "i")):
        secrets.note({"kind": "key", "time": 0.0, "key": key, "secret": True, "typed": letter, "values": ("ge", "geh")})
    assert secrets.found == ["hunter2x", "gehei"]


@pytest.mark.parametrize(
    ("secret", "text", "hidden"),
    [
        ("hunter2", 'signed in with "hunter2".', f'signed in with "{SECRET}".'),
        ("a&b c/d", "http://x/?p=a%26b+c%2Fd", f"http://x/?p={SECRET}"),
        ('qu"oté', '{"text": "qu\\"oté", "raw": "qu\\"ot\\u00e9"}', f'{{"text": "{SECRET}", "raw": "{SECRET}"}}'),
        ("4711", "the PIN 4711, not 147110", f"the PIN {SECRET}, not 147110"),
        ("cat", "cat", "cat"),  # too short to look for
    ],
)
def test_a_secret_is_found_in_every_form_it_takes(secret: str, text: str, hidden: str) -> None:
    assert typed(secret).hide(text) == hidden


def test_files_lose_the_secret_and_stay_readable(tmp_path: Path) -> None:
    line = {"kind": "type", "target": "type s3cret-type", "text": "s3cret-type", "time": 14711.5, "n": [4711, "a 4711"]}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "events.jsonl").write_text(json.dumps(line) + "\n" + '{"text": "torn s3cret-ty')
    (tmp_path / "meta.json").write_text(json.dumps({"goal": "plain", "title": "of s3cret-type"}))
    (tmp_path / "index.html").write_text("<b>s3cret-type</b>")
    (tmp_path / "raw.bin").write_bytes(b"\xff\x00s3cret-type")
    (tmp_path / "other.txt").write_text("nothing")
    mended, left = typed("s3cret-type", "4711").scrub(tmp_path)
    assert sorted(path.name for path in mended) == ["events.jsonl", "index.html", "meta.json"]
    assert [path.name for path in left] == ["raw.bin"]
    first = json.loads((tmp_path / "deep" / "events.jsonl").read_text().splitlines()[0])
    assert first == {**line, "target": f"type {SECRET}", "text": SECRET, "n": [4711, f"a {SECRET}"]}
    assert json.loads((tmp_path / "meta.json").read_text()) == {"goal": "plain", "title": f"of {SECRET}"}


def test_words_of_the_format_stay_when_they_are_a_secret(tmp_path: Path) -> None:
    line = {"action": {"action": "click"}, "executor": "person", "text": "click"}
    (tmp_path / "steps.jsonl").write_text(json.dumps(line) + "\n")
    typed("click", "person").scrub(tmp_path)
    assert json.loads((tmp_path / "steps.jsonl").read_text()) == {**line, "text": SECRET}
