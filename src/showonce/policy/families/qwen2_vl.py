"""Qwen2-VL: a frame keeps its shape and nearly its size; both sides become multiples of one merged patch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from showonce.policy.dialects.base import Size, Unit
from showonce.policy.families.chat import ChatFamily

PATCH: Final = 14  # the image processor's defaults
MERGE: Final = 2
LEAST_PIXELS: Final = 56 * 56
MOST_PIXELS: Final = 28 * 28 * 1280


class Qwen2VLFamily(ChatFamily):
    """Qwen2-VL, which was taught places in thousandths of the sides."""

    name: ClassVar[str] = "qwen2_vl"
    default_unit: ClassVar[Unit] = "thousand"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_vl",)

    def seen(self, frame: Size) -> Size:
        return seen_size(frame, self.images)


def seen_size(frame: Size, images: Mapping[str, Any]) -> Size:
    """Return (width, height) to which transformers' Qwen2VLImageProcessor resizes a frame (its `smart_resize`).

    images: its settings; the area is kept between `shortest_edge` and `longest_edge` of `size`, which count pixels.
    """
    if not images.get("do_resize", True):
        return frame
    factor = int(images.get("patch_size", PATCH)) * int(images.get("merge_size", MERGE))  # 28; 32 of Qwen3-VL
    least = _area(images, "min_pixels", "shortest_edge", LEAST_PIXELS)
    most = _area(images, "max_pixels", "longest_edge", MOST_PIXELS)
    width, height = (round(side / factor) * factor for side in frame)
    if width * height > most:
        shrink = math.sqrt(frame[0] * frame[1] / most)
        width, height = (max(factor, math.floor(side / shrink / factor) * factor) for side in frame)
    elif width * height < least:
        grow = math.sqrt(least / (frame[0] * frame[1]))
        width, height = (math.ceil(side * grow / factor) * factor for side in frame)
    return width, height


def _area(images: Mapping[str, Any], key: str, edge: str, default: int) -> int:
    """Return a bound of the area: under its older key, else as an edge of `size`."""
    size = images.get("size") or {}
    return int(images.get(key) or size.get(edge) or default)
