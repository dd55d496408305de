"""Shows a demonstration to a person: actions drawn on their frames, all steps on one sheet, an action in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from showonce.actions import Action, Drag, points, to_json, to_pixel
from showonce.demonstrations.format import in_sentences
from showonce.demonstrations.values import Value
from showonce.types import Demonstration, Frame, Image

MARK: Final = (255, 0, 255)
CELL: Final = (320, 240)  # largest width and height of a frame on a sheet, in pixels
CAPTION: Final = 18  # height of one line below a frame, and of the title
LINE: Final = 14  # of each further line
MOST_LINES: Final = 3  # of a name, a note or a loss
Colour = tuple[int, int, int]
BAND: Final[Colour] = (176, 0, 32)
VALUE: Final[Colour] = (0, 96, 160)
GAP: Final = 6
COLUMNS: Final = 4
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
MAX_STEPS: Final = 200  # drawn on a sheet; of more, the title gives the number


def marked(image: Image, action: Action | None) -> Image:
    """Return a copy of a frame with a ring around every point of the action, and a line between those of a drag."""
    picture = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(picture)
    radius = max(3, min(picture.size) // 24)
    places = points(action) if action is not None else ()
    pixels = [(to_pixel(x, picture.width), to_pixel(y, picture.height)) for x, y in places]
    for column, row in pixels:
        ring = (column - radius, row - radius, column + radius, row + radius)
        draw.ellipse(ring, outline=MARK, width=max(1, radius // 3))
    if isinstance(action, Drag):
        draw.line([*pixels[0], *pixels[1]], fill=MARK, width=max(1, radius // 3))
    return np.asarray(picture, dtype=np.uint8)


def in_words(action: Action) -> str:
    """Return verb, places and arguments of an action on one line, e.g. ``click (0.500, 0.250)``."""
    given = {key: value for key, value in to_json(action).items() if key != "action"}
    places = ["(" + ", ".join(f"{value:.3f}" for value in point) + ")" for point in points(action)]
    rest = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in given.items()
        if key not in ("x", "y", "to_x", "to_y") and value not in ("", 0)
    ]
    return " ".join([action.verb, " to ".join(places), *rest]).replace("  ", " ").strip()


def contact_sheet(demonstration: Demonstration, values: Sequence[Value] = ()) -> Image:
    """Return one RGB picture of all steps, four a row: each frame with its action drawn on it.

    A frame larger than `CELL` is made smaller. Below it stand the action, the name of what it hit, the step's note, in
    bands which value it types or chooses, if that is no constant, and what was done there and is not in the recording;
    the foot lists the latter once more.
    """
    frames = demonstration.frames[:MAX_STEPS]
    cells = [PillowImage.fromarray(marked(frame.observation.image, frame.action)) for frame in frames]
    for cell in cells:
        cell.thumbnail(CELL, PillowImage.Resampling.LANCZOS)
    width = max(max(cell.width for cell in cells), 160)
    height = max(cell.height for cell in cells)
    columns = min(COLUMNS, len(cells))
    font = ImageFont.load_default(12)
    captions = [_caption(index, frame, demonstration, font, width, values) for index, frame in enumerate(frames)]
    rows = [captions[at : at + columns] for at in range(0, len(captions), columns)]
    tops, top = [], CAPTION
    for row in rows:
        tops.append(top)
        top += height + CAPTION + GAP + LINE * (max(map(len, row)) - 1)
    sheet_width = columns * (width + GAP) + GAP
    foot = _foot(demonstration, font, sheet_width - 2 * GAP)
    sheet = PillowImage.new("RGB", (sheet_width, top + GAP + LINE * len(foot)), "white")
    draw = ImageDraw.Draw(sheet)
    left_out = len(demonstration.frames) - len(frames)
    more = f" (the first {len(frames)}; {left_out} more)" if left_out else ""
    title = f"{demonstration.goal}: {len(demonstration.frames)} steps{more}, shown by {demonstration.source}"
    draw.text((GAP, 3), _wrapped(title, font, sheet.width - 2 * GAP, 1)[0], fill="black", font=font)
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        x, y = GAP + index % columns * (width + GAP), tops[index // columns]
        sheet.paste(cell, (x, y))
        for line, (text, band) in enumerate(caption):
            below = y + height + 2 + LINE * line
            if band is not None:
                draw.rectangle((x, below, x + width, below + LINE - 1), fill=band)
            draw.text((x, below), text, fill="black" if band is None else "white", font=font)
    for line, text in enumerate(foot):
        draw.text((GAP, top + LINE * line), text, fill=BAND, font=font)
    return np.asarray(sheet, dtype=np.uint8)


def _caption(
    index: int, frame: Frame, shown: Demonstration, font: Font, width: int, values: Sequence[Value]
) -> list[tuple[str, Colour | None]]:
    """Return the lines below a frame, and of each the colour of its band."""
    lines = _wrapped(f"{index + 1}. {in_words(frame.action)}", font, width, 1)
    lines += _wrapped(f"on {frame.target}", font, width, MOST_LINES) if frame.target else []
    lines += _wrapped(frame.note, font, width, MOST_LINES) if frame.note else []
    must = [one.text for one in shown.checks if max(one.step, 1) == index + 1]
    lines += [line for text in must for line in _wrapped(f"then must be there: {text}", font, width, MOST_LINES)]
    here = [one.text for one in shown.lost if max(one.step, 1) == index + 1]
    bands = [line for text in here for line in _wrapped(f"not kept: {text}", font, width, MOST_LINES)]
    named = [f"{one.name}: {one.kind}" for one in values if index + 1 in one.steps and one.kind != "constant"]
    changing = [line for text in named for line in _wrapped(text, font, width, 1)]
    return [*((line, None) for line in lines), *((line, VALUE) for line in changing), *((line, BAND) for line in bands)]


def _foot(demonstration: Demonstration, font: Font, width: int) -> list[str]:
    """Return the lines that say what is not in the recording; none where it is complete."""
    if not demonstration.lost:
        return []
    head = "INCOMPLETE. What was done and is not in this recording:"
    return [line for text in (head, *in_sentences(demonstration.lost)) for line in _wrapped(text, font, width, 9)]


def _wrapped(text: str, font: Font, width: int, most: int) -> list[str]:
    """Return text in at most so many lines of a width in pixels; what does not fit is cut off with an ellipsis."""
    lines, words = [""], text.split()
    while words:
        word = words.pop(0)
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        elif lines[-1] and font.getlength(word) <= width:
            lines.append(word)
        else:  # a word longer than a line is broken where it has to be
            fits = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            lines += [word[:fits]] if lines[-1] else []
            lines[-1] = word[:fits]
            words = [word[fits:], *words] if word[fits:] else words
    if len(lines) > most:
        last = lines[most - 1]
        while last and font.getlength(f"{last}…") > width:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last}…"]
    return lines
