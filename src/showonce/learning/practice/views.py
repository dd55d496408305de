"""Views of one frame for practice in the head: the same screen laid out, placed and coloured a little differently.

A view changes where things are and how they are lit, never what they are: nothing is mirrored (text would become
unreadable), and a dark theme is made by turning lightness over while hue and chroma stay. Every view carries a `Map`
from the places of the frame to those of the view, so that a known action can follow what it pointed at.

Rearranging needs no knowledge of the toolkit: what differs from the most frequent colour is content, content that
hangs together is a block, and blocks that are neither at the frame's edge nor a large part of it move to free places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from showonce.actions import Action
from showonce.types import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside
Map = Callable[[float, float], tuple[float, float]]  # place in [0, 1] of the frame -> place in the view

GRID: Final = 4  # px: blocks move by multiples of this, so that their edges stay as crisp as they were
CONTENT: Final = 12  # levels of 255 by which content differs from the background in some channel
GAP: Final = 0.045  # of the frame's width: blocks nearer than this, sideways, are one (a box and its label)
LARGEST: Final = 0.65  # of the frame's side: larger blocks are panels and stay
SMALLEST: Final = 12  # px of area: smaller blocks are specks and stay
MARGIN: Final = 2  # px kept free around a moved block


@dataclass(frozen=True)
class Jitter:
    """How likely each change is, and how strong. Probabilities in [0, 1]; shift is a share of the frame's side."""

    rearrange: float = 0.8
    shift: float = 0.25
    max_shift: float = 0.08
    scale: float = 0.15
    scales: tuple[float, float] = (0.9, 1.1)
    light: float = 0.5
    max_brightness: float = 16.0  # levels of 255
    contrasts: tuple[float, float] = (0.85, 1.1)
    invert: float = 0.25


def view(image: Image, rng: np.random.Generator, jitter: Jitter | None = None) -> tuple[Image, Map]:
    """Return a random view of a frame, uint8 (H, W, 3) like the frame, and where its places went."""
    jitter = jitter or Jitter()
    maps: list[Map] = []
    if rng.random() < jitter.rearrange:
        image, moved = rearrange(image, rng)
        maps.append(moved)
    if rng.random() < jitter.shift:
        limit = [int(jitter.max_shift * side) for side in (image.shape[1], image.shape[0])]
        dx, dy = (int(rng.integers(-m, m + 1)) for m in limit)
        image, moved = shift(image, dx, dy)
        maps.append(moved)
    if rng.random() < jitter.scale:
        image, moved = scale(image, float(rng.uniform(*jitter.scales)))
        maps.append(moved)
    if rng.random() < jitter.invert:
        image = invert_lightness(image)
    if rng.random() < jitter.light:
        brightness = float(rng.uniform(-jitter.max_brightness, jitter.max_brightness))
        image = relight(image, brightness, float(rng.uniform(*jitter.contrasts)))
    return image, _chain(maps)


def map_action(action: Action, where: Map) -> Action | None:
    """Return the action with its places moved along, or None when one of them left the frame."""
    given: Any = {f.name: getattr(action, f.name) for f in dataclasses.fields(action)}
    for x, y in (("x", "y"), ("to_x", "to_y")):
        if x in given:
            given[x], given[y] = where(given[x], given[y])
            if not (0 <= given[x] <= 1 and 0 <= given[y] <= 1):
                return None
    return type(action)(**given)


def shift(image: Image, dx: int, dy: int) -> tuple[Image, Map]:
    """Move everything right by `dx` and down by `dy` whole pixels; the edge is continued into what becomes free."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    columns = np.clip(np.arange(width) - dx, 0, width - 1)
    return image[rows][:, columns], lambda x, y: (x + dx / width, y + dy / height)


def scale(image: Image, factor: float) -> tuple[Image, Map]:
    """Enlarge or shrink about the centre by `factor`; the size stays, the edge is continued where the frame ends."""
    height, width = image.shape[:2]
    new_w, new_h = max(1, round(width * factor)), max(1, round(height * factor))
    resized = np.asarray(Pillow.fromarray(image).resize((new_w, new_h), Pillow.Resampling.BILINEAR))
    left, top = (width - new_w) // 2, (height - new_h) // 2
    rows = np.clip(np.arange(height) - top, 0, new_h - 1)
    columns = np.clip(np.arange(width) - left, 0, new_w - 1)
    return resized[rows][:, columns], lambda x, y: ((x * new_w + left) / width, (y * new_h + top) / height)


def invert_lightness(image: Image) -> Image:
    """Make a light theme dark and the reverse: HSL lightness is turned over, hue and chroma are kept."""
    wide = image.astype(np.int16)
    flipped = wide + (255 - wide.max(-1, keepdims=True) - wide.min(-1, keepdims=True))
    inverted: Image = flipped.astype(np.uint8)
    return inverted


def relight(image: Image, brightness: float, contrast: float) -> Image:
    """Scale levels about mid-grey by `contrast` and add `brightness` (levels of 255)."""
    levels = (image.astype(np.float32) - 127.5) * contrast + 127.5 + brightness
    relit: Image = levels.clip(0, 255).astype(np.uint8)
    return relit


def rearrange(image: Image, rng: np.random.Generator) -> tuple[Image, Map]:
    """Move the blocks of a frame to free places, in random order; a block without a free place stays where it is."""
    blocks, occupied_HW = find_blocks(image)
    background = background_colour(image)
    out = image.copy()
    for left, top, right, bottom in blocks:
        out[top:bottom, left:right] = background
    places = {box: (box[0], box[1]) for box in blocks}
    for index in (*rng.permutation(len(blocks)), *rng.permutation(len(blocks))):  # twice: others have made room by then
        left, top, right, bottom = box = blocks[index]
        w, h = right - left, bottom - top
        old_left, old_top = places[box]
        occupied_HW[old_top : old_top + h, old_left : old_left + w] = False
        places[box] = new_left, new_top = _free_place(occupied_HW, box, (old_left, old_top), rng)
        occupied_HW[new_top : new_top + h, new_left : new_left + w] = True
    for (left, top, right, bottom), (x, y) in places.items():
        out[y : y + bottom - top, x : x + right - left] = image[top:bottom, left:right]
    height, width = image.shape[:2]

    def where(x: float, y: float) -> tuple[float, float]:
        for (left, top, right, bottom), (new_left, new_top) in places.items():
            if left <= x * width < right and top <= y * height < bottom:
                return x + (new_left - left) / width, y + (new_top - top) / height
        return x, y

    return out, where


def find_blocks(image: Image) -> tuple[list[Box], NDArray[np.bool_]]:
    """Return the boxes of the blocks that may move, and the (H, W) mask of all that is not background."""
    height, width = image.shape[:2]
    away_HWC = np.abs(image.astype(np.int16) - background_colour(image).astype(np.int16))
    content_HW: NDArray[np.bool_] = away_HWC.max(-1) > CONTENT
    joined_HW = ndimage.binary_dilation(content_HW, np.ones((2, max(1, round(GAP * width)) + 1), dtype=bool))
    labels_HW, _ = ndimage.label(joined_HW, np.ones((3, 3), dtype=int))
    labels_HW = np.where(content_HW, labels_HW, 0)
    boxes: list[Box] = []
    for found in ndimage.find_objects(labels_HW):
        if found is not None:
            rows, columns = found
            _merge_into(boxes, (columns.start, rows.start, columns.stop, rows.stop))
    return [box for box in boxes if _movable(box, width, height)], content_HW


def background_colour(image: Image) -> NDArray[np.uint8]:
    """Return the most frequent colour of a frame, uint8 (3,)."""
    packed = image.reshape(-1, 3).astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    values, counts = np.unique(packed, return_counts=True)
    colour = int(values[counts.argmax()])
    return np.array([colour >> 16, colour >> 8 & 255, colour & 255], dtype=np.uint8)


def _movable(box: Box, width: int, height: int) -> bool:
    left, top, right, bottom = box
    w, h = right - left, bottom - top
    inside = left > 0 and top > 0 and right < width and bottom < height
    return inside and w * h >= SMALLEST and w <= LARGEST * width and h <= LARGEST * height


def _merge_into(boxes: list[Box], box: Box) -> None:
    """Add a box; it swallows every box that it overlaps, so that a dialog and what stands in it move as one."""
    index = 0
    while index < len(boxes):
        other = boxes[index]
        if box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]:
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
            del boxes[index]
            index = 0
        else:
            index += 1
    boxes.append(box)


def _free_place(
    occupied_HW: NDArray[np.bool_], box: Box, now: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Return (left, top) of a free place for a box, uniform over all that lie on its grid; `now` when none is free."""
    height, width = occupied_HW.shape
    left, top, right, bottom = box
    w, h = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    sums = np.zeros((height + 1, width + 1), dtype=np.int64)
    sums[1:, 1:] = occupied_HW.cumsum(0).cumsum(1)
    taken = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]  # of every window of w x h
    rows, columns = np.nonzero(taken == 0)
    on_grid = ((rows + MARGIN - top) % GRID == 0) & ((columns + MARGIN - left) % GRID == 0)
    rows, columns = rows[on_grid], columns[on_grid]
    if len(rows) == 0:
        return now
    pick = int(rng.integers(len(rows)))
    return int(columns[pick]) + MARGIN, int(rows[pick]) + MARGIN


def _chain(maps: list[Map]) -> Map:
    def where(x: float, y: float) -> tuple[float, float]:
        for step in maps:
            x, y = step(x, y)
        return x, y

    return where
