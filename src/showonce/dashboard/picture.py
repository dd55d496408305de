"""The screen as a small picture in the terminal, with the last action drawn on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from showonce.actions import Drag, from_json, points
from showonce.errors import BadInput

Colour = tuple[int, int, int]

DONE: Final[Colour] = (255, 45, 85)  # the action was executed
NOT_DONE: Final[Colour] = (150, 150, 160)  # it was proposed, and not executed
HALO: Final[Colour] = (255, 255, 255)
SHADES: Final = " .:-=+*%@"  # dark to light, where there are no colours
MAX_PIXELS: Final = 64_000_000  # a larger PNG is not opened


def load_frame(folder: Path, name: str | None) -> Image.Image | None:
    """Open a frame of a run as RGB, or None when there is none, it cannot be read or it lies outside the folder."""
    if not name:
        return None
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            return None
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def fit(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """Return (columns, rows) of the largest picture of a width x height frame within the given cells, at least 1 x 1.

    A cell holds one pixel across and two down, which are about square.
    """
    scale = min(columns / width, 2 * rows / height)
    return max(1, min(columns, round(width * scale))), max(1, min(rows, round(height * scale / 2)))


def sketch(
    frame: Image.Image, action: Mapping[str, Any] | None, columns: int, rows: int, executed: bool = True
) -> Image.Image:
    """Scale a frame to columns x 2*rows pixels and draw the action on it: ring and dot, or an arrow for a drag."""
    small = frame.resize((columns, 2 * rows), Image.Resampling.BOX, reducing_gap=2.0)
    try:
        known = from_json(dict(action)) if action else None
    except (BadInput, TypeError):
        known = None
    if known is None:
        return small
    # Centre of the pixel in which the action falls.
    places = [(min(int(x * columns), columns - 1), min(int(y * 2 * rows), 2 * rows - 1)) for x, y in points(known)]
    draw = ImageDraw.Draw(small)
    colour = DONE if executed else NOT_DONE
    if isinstance(known, Drag):
        draw.line(places, fill=colour, width=1)
        draw.rectangle(_around(places[0], 1), outline=colour)
    for place in places[-1:]:
        radius = max(2, min(columns, 2 * rows) // 12)
        draw.ellipse(_around(place, radius + 1), outline=HALO)
        draw.ellipse(_around(place, radius), outline=colour)
        draw.point(place, fill=colour)
    return small


def _around(place: tuple[int, int], radius: int) -> tuple[int, int, int, int]:
    return place[0] - radius, place[1] - radius, place[0] + radius, place[1] + radius


def coloured_rows(image: Image.Image) -> list[list[Segment]]:
    """Return the segments of each row of cells: half blocks, foreground = upper pixel, background = lower."""
    data, width = image.tobytes(), image.width
    rows = []
    for top in range(0, image.height - 1, 2):
        row, run, last = [], 0, b""
        upper, lower = data[top * width * 3 :], data[(top + 1) * width * 3 :]
        for x in range(0, width * 3, 3):
            pair = upper[x : x + 3] + lower[x : x + 3]
            if pair != last and run:
                row.append(Segment("▀" * run, _style(last)))
                run = 0
            run, last = run + 1, pair
        row.append(Segment("▀" * run, _style(last)))
        rows.append(row)
    return rows


@lru_cache(maxsize=8192)
def _style(pair: bytes) -> Style:
    return Style(color=Color.from_rgb(*pair[:3]), bgcolor=Color.from_rgb(*pair[3:]))


def plain_rows(image: Image.Image, marker: Colour = DONE) -> list[list[Segment]]:
    """Return the picture without colours: shades of grey as characters, the drawn action as ``o``."""
    grey = image.convert("L").resize((image.width, max(1, image.height // 2)), Image.Resampling.BOX).tobytes()
    data, width = image.tobytes(), image.width
    rows = []
    for row in range(image.height // 2):
        text = ""
        for x in range(width):
            here = [data[3 * ((2 * row + half) * width + x) :][:3] for half in (0, 1)]
            shade = SHADES[grey[row * width + x] * len(SHADES) // 256]
            text += "o" if bytes(marker) in here else shade
        rows.append([Segment(text)])
    return rows


@dataclass(frozen=True)
class ScreenPicture:
    """A rich renderable: the frame with its action, centred in the space that it is given."""

    frame: Image.Image | None
    action: Mapping[str, Any] | None
    executed: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns, rows = options.max_width, options.height or options.max_height
        if self.frame is None:
            yield Segment("no picture (frames are not stored)"[:columns])
            return
        columns, rows = fit(self.frame.width, self.frame.height, columns, rows)
        image = sketch(self.frame, self.action, columns, rows, self.executed)
        colours = console.color_system is not None and not console.no_color
        marker = DONE if self.executed else NOT_DONE
        left = (options.max_width - columns) // 2
        for row in coloured_rows(image) if colours else plain_rows(image, marker):
            yield Segment(" " * left)
            yield from row
            yield Segment.line()
