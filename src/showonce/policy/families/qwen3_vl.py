"""Qwen3-VL: sizes as Qwen2-VL with larger patches, places in thousandths."""

from __future__ import annotations

from typing import ClassVar

from showonce.policy.dialects.base import Unit
from showonce.policy.families.qwen2_vl import Qwen2VLFamily


class Qwen3VLFamily(Qwen2VLFamily):
    """Qwen3-VL."""

    name: ClassVar[str] = "qwen3_vl"
    default_unit: ClassVar[Unit] = "thousand"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)
