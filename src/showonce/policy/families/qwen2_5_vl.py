"""Qwen2.5-VL: sizes as Qwen2-VL, places in pixels of the resized image."""

from __future__ import annotations

from typing import ClassVar

from showonce.policy.dialects.base import Unit
from showonce.policy.families.qwen2_vl import Qwen2VLFamily


class Qwen25VLFamily(Qwen2VLFamily):
    """Qwen2.5-VL."""

    name: ClassVar[str] = "qwen2_5_vl"
    default_unit: ClassVar[Unit] = "pixel"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_5_vl",)
