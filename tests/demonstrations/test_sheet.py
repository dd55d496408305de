from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageFont

from showonce.actions import EXAMPLES, Action, Click, Drag, Scroll, Type
from showonce.demonstrations.sheet import BAND, CELL, GAP, LINE, MARK, _wrapped, contact_sheet, in_words, marked
from showonce.types import Demonstration, Frame, Lost, Observation


def shown(*actions: Action, size: tuple[int, int] = (360, 640)) -> Demonstration:
    frames = tuple(Frame(Observation(np.full((*size, 3), 40 + i % 100, np.uint8)), a) for i, a in enumerate(actions))
    return Demonstration("user/x", "do it", frames)


def pink(image: np.ndarray) -> np.ndarray:
    return (image == MARK).all(axis=2)


def test_every_point_is_marked_and_the_frame_stays_as_it_was() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    ringed = pink(marked(image, Drag(0.25, 0.5, 0.75, 0.5)))
    assert not image.any()
    assert ringed[120, 80 - 10] and ringed[120, 240 + 10] and ringed[120, 160]
    assert not pink(marked(image, Type("sun"))).any()


@pytest.mark.parametrize("count", [1, 4, 5, 13])
def test_a_sheet_holds_every_step(count: int) -> None:
    sheet = contact_sheet(shown(*[Click(0.5, 0.5)] * count))
    columns = min(4, count)
    assert sheet.shape[1] // (CELL[0] + 6) == columns
    rings = 0
    for row in range(-(-count // columns)):
        for column in range(columns):
            cell = sheet[18 + row * 204 : 18 + row * 204 + 180, 6 + column * 326 : 6 + column * 326 + 320]
            rings += np.abs(cell.astype(int) - MARK).sum(axis=2).min() < 200
    assert rings == count


def test_small_frames_are_not_blown_up() -> None:
    assert contact_sheet(shown(Click(0.5, 0.5), size=(56, 56))).shape[0] < 120


def test_a_very_long_demonstration_still_fits() -> None:
    assert contact_sheet(shown(*[Type("x" * 50)] * 230, size=(20, 20))).shape[0] < 3000


def test_actions_are_told_in_a_few_words() -> None:
    assert in_words(Click(0.5, 0.25)) == "click (0.500, 0.250)"
    assert in_words(Drag(0, 0, 1, 1)) == "drag (0.000, 0.000) to (1.000, 1.000)"
    assert in_words(Scroll(0.5, 0.5, -3)) == "scroll (0.500, 0.500) dy=-3"
    assert in_words(Type("grüß")) == 'type text="grüß"'
    assert len({in_words(action) for action in EXAMPLES}) == len(EXAMPLES)


def test_names_notes_and_losses_stand_at_their_steps() -> None:
    plain = shown(*[Click(0.5, 0.5)] * 25)
    name = "Reason for the change of the delivery address, as it is to stand on the receipt"
    named = replace(
        plain, frames=tuple(replace(f, target=name, note="pasted" * (i == 6)) for i, f in enumerate(plain.frames))
    )
    bare, sheet = contact_sheet(plain), contact_sheet(named)
    assert sheet.shape[1] == bare.shape[1], "25 steps keep their width"
    assert sheet.shape[0] == bare.shape[0] + 7 * 2 * LINE + LINE, "two more lines a row, one more for the note"
    lost = (Lost(0, "the file dialog is not kept"), Lost(6, "a drag in a canvas"))
    marked_losses = contact_sheet(replace(named, lost=lost))
    bands = (marked_losses == BAND).all(axis=2)
    assert not (sheet == BAND).all(axis=2).any()
    first, sixth = (bands[:, GAP + column * 326 : GAP + column * 326 + 320].any(axis=1) for column in (0, 1))
    assert first[18 + 180 + 18 + 2 * LINE : 18 + 180 + 18 + 3 * LINE].any(), "what came before the first step: there"
    assert sixth[marked_losses.shape[0] // 8 : marked_losses.shape[0] // 3].any()
    foot = bands[-3 * LINE :]
    assert foot.any() and marked_losses.shape[0] >= sheet.shape[0] + 4 * LINE


def test_a_word_wider_than_its_cell_is_broken_and_a_long_name_is_cut() -> None:
    font = ImageFont.load_default(12)
    lines = _wrapped("x" * 400, font, 160, 3)
    assert len(lines) == 3 and lines[-1].endswith("…") and all(font.getlength(line) <= 160 for line in lines)
    assert _wrapped("on High", font, 160, 3) == ["on High"]
