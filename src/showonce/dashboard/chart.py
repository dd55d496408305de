"""Small charts of characters: a curve in braille dots, a sparkline, a bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BRAILLE: Final = 0x2800
DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [row][column] of one cell, Unicode order
BLOCKS: Final = "▁▂▃▄▅▆▇█"
EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def column_of(index: float, count: int, columns: int) -> int:
    """Return the column in [0, columns) in which item `index` of `count` is drawn; items spread over all columns."""
    if count <= 1:
        return 0
    return min(max(round(index * (columns - 1) / (count - 1)), 0), columns - 1)


def curve(values: Sequence[float], columns: int, rows: int) -> list[str]:
    """Draw values in [0, 1] from left to right as a connected line of braille dots, 2 x 4 dots a cell, 1.0 on top."""
    cells = [[0] * columns for _ in range(rows)]
    across, down = 2 * columns, 4 * rows
    if values:
        heights = [round((1.0 - value) * (down - 1)) for value in _resample(values, across)]
        before = heights[0]
        for x, y in enumerate(heights):
            for between in range(min(before, y), max(before, y) + 1):
                cells[between // 4][x // 2] |= DOTS[between % 4][x % 2]
            before = y
    return ["".join(chr(BRAILLE + dots) for dots in row) for row in cells]


def _resample(values: Sequence[float], columns: int) -> list[float]:
    """Return one value per column by holding each value until the next; a single value fills the line."""
    if len(values) == 1:
        return [values[0]] * columns
    step = (len(values) - 1) / (columns - 1) if columns > 1 else 0.0
    return [values[round(x * step)] for x in range(columns)]


def spark(values: Sequence[float | None], columns: int) -> str:
    """Draw values in [0, 1] as blocks of eight heights, the largest of each column's share; None is a space."""
    best: list[float | None] = [None] * columns
    for i, value in enumerate(values):
        if value is not None:
            column = column_of(i, len(values), columns)
            seen = best[column]
            best[column] = value if seen is None else max(seen, value)
    last: float | None = None
    drawn = []
    for value in best:
        last = value if value is not None else last
        drawn.append(" " if last is None else BLOCKS[min(int(min(max(last, 0.0), 1.0) * 8), 7)])
    return "".join(drawn)


def bar(value: float, columns: int) -> str:
    """Draw a value in [0, 1] as a bar of exactly `columns` cells, to an eighth of a cell."""
    eighths = round(min(max(value, 0.0), 1.0) * columns * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(columns)
