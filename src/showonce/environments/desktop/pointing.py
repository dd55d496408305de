"""What the pointer made appear: places where it has to go first, and changes of the screen that are no waiting.

Nothing tells a listener to input why a window changed. The evidence is in the frames. What is pressed appeared because
of the pointer when its surroundings changed in one piece since the last input, the pointer had just come to another
place beside that piece, and the piece is no highlight: one rectangle that the pointer is in as well. A menu's menu has
such a place of its own, so the question is asked again for each place that is found.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from showonce.environments.desktop.capture import Pixels

TILE: Final = 8  # pixels; changes are compared in squares of this side
GAP: Final = 2  # tiles: parts of a change that are no further apart are one piece (lines of a menu)
BESIDE: Final = 32  # pixels above or below the pointer at which something that it made appear begins, at most
ACROSS: Final = 240  # the same to its left and right: a menu's menu opens at the end of its line
DEEP: Final = 48  # pixels that the pointer may be inside of it: a dialog that opens under the pointer is not its work
NEAR: Final = 3  # tiles around a place in which a change counts as one of the place
STILL: Final = 8  # pixels: a pointer that moved less has not moved
MOTION: Final = 0.008  # seconds; motions that follow each other faster are one
RESTED: Final = 0.15  # seconds that the pointer stays at such a place
AFTER: Final = 1.0  # seconds after an input in which only what follows such a rest is not the input's own work
RECENT: Final = 0.8  # seconds between the pointer's last motion and what it made appear, at most
MOST: Final = 0.4  # share of the frame; what is larger is a new screen
NEAR_MOST: Final = 0.25  # the same of a change that makes no wait
DEPTH: Final = 4  # menus within menus
KEPT: Final = 60  # changes since the last input
Tiles = NDArray[np.bool_]
Spot = tuple[float, int, int]  # time, column, row in pixels of the frame


@dataclass(frozen=True)
class _Change:
    """What changed between two screenshots, `since` and `time`."""

    since: float
    time: float
    tiles: Tiles


class Pointing:
    """Takes the pointer's motions, the changes of the screen and the person's input. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: deque[Spot] = deque(maxlen=2000)
        self._changes: deque[_Change] = deque(maxlen=KEPT)
        self._acted: Spot = (0.0, -99, -99)
        self._now: Pixels | None = None  # the last frame
        self._base: Pixels | None = None  # the last frame when the last input came

    def moved(self, time: float, column: int, row: int) -> None:
        with self._lock:
            if self._path and time - self._path[-1][0] < MOTION:
                self._path.pop()
            self._path.append((time, column, row))

    def changed(self, since: float, time: float, before: Pixels, after: Pixels) -> bool:
        """Take two frames that follow each other, seen at `since` and `time`; return whether the difference is likely
        the pointer's work."""
        tiles = _tiles(before, after)
        with self._lock:
            self._now = after
            self._base = before if self._base is None else self._base
            if not self._path or tiles.mean() > MOST:
                return False
            self._changes.append(_Change(since, time, tiles))
            recent = [spot for spot in self._path if time - spot[0] <= RECENT and spot[0] > self._acted[0]]
            recent = [spot for spot in recent if _far(spot, self._acted)]
        left, top, right, bottom = _box(tiles)
        small = (right - left) * (bottom - top) <= NEAR_MOST * before.size
        return small and any(_beside((left, top, right, bottom), column, row) for _, column, row in recent)

    def acted(self, time: float) -> None:
        """Take that the person pressed, typed or scrolled: what changed until then is of no concern any more."""
        with self._lock:
            self._acted = (time, *(self._path[-1][1:] if self._path else (-99, -99)))
            self._base = self._now
            while self._changes and self._changes[0].time <= time:
                self._changes.popleft()

    def moves(self, time: float, column: int, row: int) -> list[Spot]:
        """Return the places to which the pointer had to go before what is at this place could be pressed at `time`."""
        with self._lock:
            changes, base, now, acted = list(self._changes), self._base, self._now, self._acted
            path = [*self._path, (time, column, row)]
        if base is None or now is None or base.shape != now.shape or not _patch_differs(base, now, column, row):
            return []
        found: list[Spot] = []
        while len(found) < DEPTH:
            pairs = ((c, _pointer(path, c)) for c in reversed(changes) if c.time < time)
            made = (spot for c, spot in pairs if spot is not None and _made(c, spot, column, row, acted, path))
            spot = next(made, None)
            if spot is None:
                break
            found.insert(0, spot)
            time, column, row = spot
        return found


def _pointer(path: list[Spot], change: _Change) -> Spot | None:
    """Return where the pointer was longest from just before the change on, of the places in which it was meanwhile."""
    begin = change.since - MOTION
    ends = [*(time for time, *_ in path[1:]), change.time + AFTER]
    stays = [(min(end, change.time + AFTER) - max(spot[0], begin), spot) for spot, end in zip(path, ends, strict=True)
             if spot[0] <= change.time and end >= begin]  # fmt: skip
    return max(stays)[1] if stays else None


def _made(change: _Change, spot: Spot, column: int, row: int, acted: Spot, path: list[Spot]) -> bool:
    """Say whether the pointer, at `spot`, made appear what is at this place."""
    came, x, y = spot
    if max(abs(x - column), abs(y - row)) <= STILL or change.time - came > RECENT or came <= acted[0]:
        return False
    if not _far(spot, acted) or (change.time <= acted[0] + AFTER and not _rested(path, spot)):
        return False
    piece = _piece(change.tiles, column // TILE, row // TILE)
    if piece is None:
        return False
    box = _box(piece)
    if (box[2] - box[0]) * (box[3] - box[1]) > MOST * piece.size * TILE * TILE:
        return False
    if not _inside(box, x, y):
        return _beside(box, x, y)
    if not _inside(box, column, row):  # the line that the pointer was in, highlighted
        return False
    depth = min(x - box[0], box[2] - x, y - box[1], box[3] - y)
    return depth <= DEEP and not _one_rectangle(piece, (column // TILE, row // TILE), (x // TILE, y // TILE))


def _far(spot: Spot, acted: Spot) -> bool:
    """Say whether the pointer has left the place of the last input."""
    return max(abs(spot[1] - acted[1]), abs(spot[2] - acted[2])) > STILL


def _rested(path: list[Spot], spot: Spot) -> bool:
    return next((time for time, *_ in path if time > spot[0]), spot[0]) - spot[0] >= RESTED


def _tiles(one: Pixels, other: Pixels) -> Tiles:
    """Return which squares of TILE pixels differ."""
    apart = one != other
    rows = np.add.reduceat(apart, np.arange(0, apart.shape[0], TILE), axis=0, dtype=np.uint16)
    return np.add.reduceat(rows, np.arange(0, apart.shape[1], TILE), axis=1, dtype=np.uint32) > 0


def _box(tiles: Tiles) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in pixels of the tiles that are set; at least one is."""
    rows, columns = np.flatnonzero(tiles.any(axis=1)), np.flatnonzero(tiles.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return (
        int(columns[0]) * TILE, int(rows[0]) * TILE, (int(columns[-1]) + 1) * TILE, (int(rows[-1]) + 1) * TILE
    )  # fmt: skip


def _inside(box: tuple[int, int, int, int], column: int, row: int) -> bool:
    return box[0] <= column <= box[2] and box[1] <= row <= box[3]


def _beside(box: tuple[int, int, int, int], column: int, row: int) -> bool:
    """Say whether a place lies inside of a box or beside it."""
    return box[0] - ACROSS <= column <= box[2] + ACROSS and box[1] - BESIDE <= row <= box[3] + BESIDE


def _piece(tiles: Tiles, column: int, row: int) -> Tiles | None:
    """Return the connected part of a change near a tile; the whole change where the tile is only surrounded by it.

    None when it is neither. Lines of text and a thin border are often all that changes where a menu appears.
    """
    piece = np.zeros_like(tiles)
    near = slice(max(row - NEAR, 0), row + NEAR + 1), slice(max(column - NEAR, 0), column + NEAR + 1)
    piece[near] = tiles[near]
    if not piece.any():
        left, top, right, bottom = (edge // TILE for edge in _box(tiles))
        return tiles if left <= column < right and top <= row < bottom else None
    wide, size = _grown(tiles), 0
    while (found := int(piece.sum())) > size:
        size, piece = found, _grown(piece) & wide
    return piece & tiles


def _grown(tiles: Tiles) -> Tiles:
    """Return the tiles that lie no further than half of GAP from one that is set."""
    reach = (GAP + 1) // 2
    padded = np.pad(tiles, reach)
    height, width = tiles.shape
    grown = np.zeros_like(tiles)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            grown |= padded[down : down + height, right : right + width]
    return grown


def _one_rectangle(piece: Tiles, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Say whether the piece spans the same columns at both places, and the same rows, each within a tile."""

    def same(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
        a, b = np.flatnonzero(first), np.flatnonzero(second)
        return bool(len(a) and len(b) and abs(a[0] - b[0]) <= 1 and abs(a[-1] - b[-1]) <= 1)

    rows, columns = piece[[one[1], other[1]]], piece[:, [one[0], other[0]]]
    return same(rows[0], rows[1]) and same(columns[:, 0], columns[:, 1])


def _patch_differs(base: Pixels, now: Pixels, column: int, row: int) -> bool:
    """Say whether the surroundings of a place look other than at the last input."""
    area = slice(max(row - TILE, 0), row + TILE), slice(max(column - TILE, 0), column + TILE)
    return bool((base[area] != now[area]).any())
