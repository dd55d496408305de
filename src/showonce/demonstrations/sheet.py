"""Shows a demonstration to a person: actions drawn on their frames, all steps on one sheet, an action in words."""

from __future__ import annotations

import json
from typing import Final

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from showonce.actions import Action, Drag, points, to_json, to_pixel
from showonce.types import Demonstration, Image

MARK: Final = (255, 0, 255)
CELL: Final = (320, 240)  # largest width and height of a frame on a sheet, in pixels
CAPTION: Final = 18
GAP: Final = 6
COLUMNS: Final = 4
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


def contact_sheet(demonstration: Demonstration) -> Image:
    """Return one RGB picture of all steps, four a row: each frame with its action drawn on it and written below.

    A frame larger than `CELL` is made smaller.
    """
    frames = demonstration.frames[:MAX_STEPS]
    cells = [PillowImage.fromarray(marked(frame.observation.image, frame.action)) for frame in frames]
    for cell in cells:
        cell.thumbnail(CELL, PillowImage.Resampling.LANCZOS)
    width = max(max(cell.width for cell in cells), 160)
    height = max(cell.height for cell in cells)
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    step_x, step_y = width + GAP, height + CAPTION + GAP
    sheet = PillowImage.new("RGB", (columns * step_x + GAP, rows * step_y + CAPTION + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    left_out = len(demonstration.frames) - len(frames)
    more = f" (the first {len(frames)}; {left_out} more)" if left_out else ""
    title = f"{demonstration.goal}: {len(demonstration.frames)} steps{more}, shown by {demonstration.source}"
    draw.text((GAP, 3), _fitting(title, font, sheet.width - 2 * GAP), fill="black", font=font)
    for index, (cell, frame) in enumerate(zip(cells, frames, strict=True)):
        x, y = GAP + index % columns * step_x, CAPTION + index // columns * step_y
        sheet.paste(cell, (x, y))
        line = f"{index + 1}. {in_words(frame.action)}"
        draw.text((x, y + height + 2), _fitting(line, font, width), fill="black", font=font)
    return np.asarray(sheet, dtype=np.uint8)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    text = text.replace("\n", " ")
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    return text
