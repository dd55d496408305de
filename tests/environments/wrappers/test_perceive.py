"""Marks and OCR: what the policy sees beside the bare pixels, over any environment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.fakes import Board

from showonce.environments.registry import make_environment
from showonce.environments.wrappers.perceive import Perceiving, marked, read, tessdata
from showonce.errors import ConfigError, Unavailable
from showonce.protocols import Elements, Environment, ability
from showonce.types import Element, Observation, Task

BOX = Element("Save", (0.25, 0.25, 0.75, 0.5), "button")


def ocr_or_skip() -> None:
    try:
        tessdata()
    except Unavailable as error:
        pytest.skip(str(error))


def blank(width: int = 200, height: int = 200, text: str | None = None) -> Observation:
    return Observation(np.full((height, width, 3), 255, dtype=np.uint8), text=text)


class Knowing(Board):
    """A board that says what stands on it."""

    def elements(self) -> Sequence[Element]:
        return (Element("a heading", (0.0, 0.0, 1.0, 0.1)), BOX)


def test_an_element_gets_a_box_a_number_and_a_line() -> None:
    seen = marked(blank(text="a page"), [BOX, Element("", (0.0, 0.9, 0.2, 1.0), "link")])
    assert seen.text == "[1] button Save\n[2] link\na page"
    left = seen.image[50:100, 50]
    assert (left != 255).any(axis=1).all(), "the left edge of the box"
    assert (seen.image[60:95, 80:140] == 255).all(), "its middle is left alone"


def test_what_lies_outside_is_not_marked_and_the_frame_handed_in_is_left_alone() -> None:
    before = blank()
    seen = marked(before, [Element("gone", (1.2, 0.0, 1.5, 0.2), "button")])
    assert seen.text == "" or seen.text is None
    assert (seen.image == 255).all() and (before.image == 255).all()
    assert not (marked(before, [BOX]).image == 255).all() and (before.image == 255).all()


def test_marks_are_on_every_frame_that_the_environment_gives() -> None:
    environment = Perceiving(Knowing(), marks=True)
    assert isinstance(environment, Environment) and ability(environment, Elements) is environment.inner
    bare = Board()
    task = Task("board/box", "light red", "board")
    for seen, plain in ((environment.reset(task, 1), bare.reset(task, 1)), (environment.observe(), bare.observe())):
        assert (seen.text or "").startswith("[1] button Save")
        assert seen.image.shape == plain.image.shape and seen.hash != plain.hash


def test_the_settings_are_those_of_every_environment() -> None:
    assert not isinstance(make_environment("embedded", marks=False), Perceiving)
    with pytest.raises(ConfigError, match="ocr=true"):
        make_environment("embedded", marks=True)
    with pytest.raises(ConfigError, match="'marks'"):
        make_environment("embedded", mark=True)


def test_words_on_the_screen_are_read_with_their_places() -> None:
    ocr_or_skip()
    picture = Image.new("RGB", (320, 120), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((20, 20), "Total amount", fill="black", font=ImageFont.load_default(size=18))
    pen.text((200, 80), "42.50", fill="black", font=ImageFont.load_default(size=18))
    words = {element.name: element.box for element in read(Observation(np.asarray(picture)))}
    assert set(words) == {"Total amount", "42.50"}
    assert words["Total amount"] == pytest.approx((20 / 320, 22 / 120, 125 / 320, 38 / 120), abs=0.06)
    assert words["42.50"][0] > 0.55 and words["42.50"][1] > 0.6


def test_a_blank_screen_has_no_words() -> None:
    ocr_or_skip()
    assert read(blank()) == ()


def test_ocr_gives_text_where_there_is_none() -> None:
    ocr_or_skip()
    told, silent = Perceiving(Page("a page"), ocr=True), Perceiving(Page(None), ocr=True, marks=True)
    assert told.observe().text == "a page", "what the environment says itself is better"
    assert silent.observe().text == "[1] text Checkout\nCheckout"


class Page(Board):
    """A board with a word on it."""

    def __init__(self, text: str | None) -> None:
        super().__init__()
        picture = Image.new("RGB", (240, 80), "white")
        ImageDraw.Draw(picture).text((40, 30), "Checkout", fill="black", font=ImageFont.load_default(size=20))
        self._page = Observation(np.asarray(picture), text=text)

    def observe(self) -> Observation:
        return self._page
