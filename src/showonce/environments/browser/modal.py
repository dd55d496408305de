"""Dialogs that no screenshot shows: a page's alert, confirm, prompt, leave-page question, and the file chooser.

While one is open it is part of the observation: a plain box with its text and buttons, drawn onto the frame. It is
answered by actions, and everything else on the page waits:

    click on a button      that button
    key enter              OK, Leave
    key escape             Cancel, Stay (OK where there is nothing else)
    type                   the text of a prompt (the first text takes the place of the proposed one); a path, and with
                           that the answer, for a file chooser
    key backspace          takes the last character of a prompt away
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from showonce.actions import Action, Click, DoubleClick, Key, TripleClick, Type, points, to_pixel
from showonce.errors import BadInput
from showonce.types import Image as Pixels

Kind = Literal["alert", "confirm", "prompt", "beforeunload", "file"]
Answer = Literal["accept", "dismiss"]
_BUTTONS: Final[dict[str, tuple[tuple[str, Answer], ...]]] = {
    "alert": (("OK", "accept"),),
    "confirm": (("Cancel", "dismiss"), ("OK", "accept")),
    "prompt": (("Cancel", "dismiss"), ("OK", "accept")),
    "beforeunload": (("Stay", "dismiss"), ("Leave", "accept")),
    "file": (("Cancel", "dismiss"),),
}
_LINES: Final = 5  # of the message, at most
_INK: Final = (20, 20, 20)
_PAPER: Final = (250, 250, 250)
_EDGE: Final = (60, 90, 160)


CHOOSE: Final = {False: "Choose a file: type its path", True: "Choose files: type their paths, one a line"}
LEAVE: Final = "Leave this page? What you entered may be lost."


@dataclass
class Modal:
    """One open dialog. `text`: what stands in a prompt's field; `paths`: what was chosen for a file chooser."""

    kind: Kind
    message: str
    text: str = ""
    multiple: bool = False
    paths: tuple[Path, ...] = ()
    touched: bool = field(default=False, repr=False)

    def answer(self, action: Action, width: int, height: int) -> tuple[Answer | None, str]:
        """Return how an action answers it (None: not yet, or not at all), and what came of it.

        Raises:
            BadInput: a path for the file chooser that is not there.
        """
        if isinstance(action, Key):
            return self._key(action.keys)
        if isinstance(action, Type):
            return self._type(action.text)
        if isinstance(action, (Click, DoubleClick, TripleClick)):
            ((x, y),) = points(action)
            column, row = to_pixel(x, width), to_pixel(y, height)
            for (label, meaning), (left, top, right, bottom) in self._layout(width, height).buttons:
                if left <= column < right and top <= row < bottom:
                    return meaning, f"{label} of the {self._name}"
        return None, f"the {self._name} is open; nothing else takes input"

    def _key(self, keys: str) -> tuple[Answer | None, str]:
        if keys in ("enter", "space") and self.kind != "file" and not (keys == "space" and self.kind == "prompt"):
            return "accept", f"{_BUTTONS[self.kind][-1][0]} of the {self._name}"
        if keys == "escape":
            return ("accept" if self.kind == "alert" else "dismiss"), f"closed the {self._name}"
        if self.kind == "prompt" and keys == "backspace":
            self.text, self.touched = ("" if not self.touched else self.text[:-1]), True
            return None, f"the prompt holds {self.text!r}"
        return None, f"the {self._name} is open; nothing else takes input"

    def _type(self, text: str) -> tuple[Answer | None, str]:
        if self.kind == "prompt":
            self.text, self.touched = (self.text if self.touched else "") + text.removesuffix("\n"), True
            return ("accept" if text.endswith("\n") else None), f"the prompt holds {self.text!r}"
        if self.kind != "file":
            return None, f"the {self._name} is open; nothing else takes input"
        names = [line.strip() for line in text.splitlines() if line.strip()]
        paths = tuple(Path(name).expanduser() for name in names)
        for path in paths:
            if not path.is_file():
                raise BadInput(f"the file chooser was given {str(path)!r}, which is not a file.")
        if not paths or (len(paths) > 1 and not self.multiple):
            raise BadInput(f"the file chooser takes {'paths, one a line' if self.multiple else 'one path'}.")
        self.paths = paths
        return "accept", f"chose {', '.join(path.name for path in paths)}"

    def answered(self, accepted: bool, text: str = "") -> list[tuple[Modal, dict[str, Any]]]:
        """Return the inputs that answer it so, raw events of `demonstrations.reduce`, each with the dialog before it.

        text: what a prompt held at its end, or the paths for a file chooser, one a line.
        """
        if not accepted:
            return [(self, _key("escape"))]
        if self.kind == "file":
            return [(self, {"kind": "text", "text": text})]
        if self.kind != "prompt" or text == self.text:
            return [(self, _key("enter"))]
        filled = replace(self, text=text, touched=True)
        first = {"kind": "text", "text": text} if text else _key("backspace")
        return [(self, first), (filled, _key("enter"))]

    @property
    def _name(self) -> str:
        return {"file": "file chooser", "beforeunload": "leave-page question"}.get(self.kind, f"{self.kind} dialog")

    def draw(self, image: Pixels) -> Pixels:
        """Return the frame with the dialog on it."""
        picture = Image.fromarray(image)
        plan = self._layout(picture.width, picture.height)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(_inside(plan.box), _PAPER, _EDGE)
        left, top = plan.at
        for line in plan.lines:
            draw.text((left, top), line, _INK, plan.font)
            top += plan.line
        if plan.field is not None:
            draw.rectangle(_inside(plan.field), (255, 255, 255), _INK)
            draw.text((plan.field[0] + 2, plan.field[1] + 1), self.text, _INK, plan.font)
        for (label, _), box in plan.buttons:
            draw.rectangle(_inside(box), (225, 232, 245), _EDGE)
            wide = plan.font.getlength(label)
            draw.text(((box[0] + box[2] - wide) / 2, box[1] + plan.line * 0.15), label, _INK, plan.font)
        return np.array(picture)

    @property
    def words(self) -> str:
        """What stands on it, for page text."""
        return "\n".join([self.message, self.text, *(label for label, _ in _BUTTONS[self.kind])]).strip()

    def _layout(self, width: int, height: int) -> _Layout:
        size = min(max(height // 45, 9), 32)
        font = ImageFont.load_default(size)
        line = round(size * 1.4)
        wide = min(round(width * 0.9), 34 * size)
        lines = _wrapped(self.message or self._name, font, wide - 2 * size)
        field_line = line if self.kind == "prompt" else 0
        high = line * (len(lines) + 2) + round(field_line * 1.5) + size
        left, top = (width - wide) // 2, max((height - high) // 3, 0)
        y = top + size // 2 + line * len(lines)
        box = (left + size, y, left + wide - size, y + line) if field_line else None
        buttons, right, bottom = [], left + wide - size // 2, top + high - size // 2
        for button in reversed(_BUTTONS[self.kind]):
            across = round(font.getlength(button[0]) + size)
            buttons.append((button, (right - across, bottom - round(line * 1.2), right, bottom)))
            right -= across + size // 2
        return _Layout(
            (left, top, left + wide, top + high), (left + size, top + size // 2), lines, line, box, buttons, font
        )


def _key(name: str) -> dict[str, Any]:
    return {"kind": "key", "key": name, "text": "", "modifiers": ()}


@dataclass(frozen=True)
class _Layout:
    """Where things are, in pixels of the frame; boxes are left, top, right, bottom, the last two not included."""

    box: tuple[int, int, int, int]
    at: tuple[int, int]
    lines: list[str]
    line: int
    field: tuple[int, int, int, int] | None
    buttons: list[tuple[tuple[str, Answer], tuple[int, int, int, int]]]
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont


def _inside(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return box[0], box[1], box[2] - 1, box[3] - 1


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Return at most `_LINES` lines; a word that is too long for one is cut."""
    lines: list[str] = []
    for paragraph in text[:2000].splitlines() or [""]:
        line = ""
        for word in paragraph.split() or [""]:
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    cut = [*lines[: _LINES - 1], lines[_LINES - 1] + " ..."] if len(lines) > _LINES else lines
    return [_cut(line, font, width) for line in cut]


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    while len(line) > 1 and font.getlength(line) > width:
        line = line[:-1]
    return line
