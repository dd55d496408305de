"""Idefics3: a frame is enlarged to whole tiles and cut into them, or squeezed into one square tile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from showonce.policy.dialects.base import Size, Unit
from showonce.policy.families.chat import ChatFamily

LARGEST_SIDE: Final = 4096  # of the image processor, whatever its settings
LONGEST_EDGE: Final = 4 * 364  # its defaults
TILE: Final = 364


class Idefics3Family(ChatFamily):
    """Idefics3 and SmolVLM of the first generation."""

    name: ClassVar[str] = "idefics3"
    default_unit: ClassVar[Unit] = "fraction"
    model_types: ClassVar[tuple[str, ...]] = ("idefics3",)

    def seen(self, frame: Size) -> Size:
        return seen_size(frame, self.images)


def seen_size(frame: Size, images: Mapping[str, Any]) -> Size:
    """Return (width, height) of the image that the tiles of a frame make up, before the small copy of the whole.

    images: settings of transformers' Idefics3ImageProcessor, by which this goes step by step.
    """
    tile = int((images.get("max_image_size") or {}).get("longest_edge", TILE))
    if not images.get("do_image_splitting", True):
        return tile, tile
    width, height = _resized(frame, images.get("size") or {}) if images.get("do_resize", True) else frame
    ratio = width / height
    if width >= height:
        width = _whole(width, tile)
        return width, _whole(int(width / ratio), tile)
    height = _whole(height, tile)
    return _whole(int(height * ratio), tile), height


def _resized(frame: Size, size: Mapping[str, int]) -> Size:
    """Return the size with the longer side at `longest_edge` and the other one even."""
    if "height" in size and "width" in size:
        return size["width"], size["height"]
    ratio = frame[0] / frame[1]
    side = size.get("longest_edge", LONGEST_EDGE)
    width, height = (side, _even(side / ratio)) if ratio >= 1 else (_even(side * ratio), side)
    ratio = width / height
    if width >= height and width > LARGEST_SIDE:
        width, height = LARGEST_SIDE, max(int(LARGEST_SIDE / ratio), 1)
    elif height > width and height > LARGEST_SIDE:
        width, height = max(int(LARGEST_SIDE * ratio), 1), LARGEST_SIDE
    return width, height


def _even(side: float) -> int:
    return max(int(side) + int(side) % 2, 1)


def _whole(side: int, tile: int) -> int:
    return math.ceil(side / tile) * tile
