"""SmolVLM2: the tiles of Idefics3 under another model type."""

from __future__ import annotations

from typing import ClassVar

from showonce.policy.families.idefics3 import Idefics3Family


class SmolVLMFamily(Idefics3Family):
    """SmolVLM2."""

    name: ClassVar[str] = "smolvlm"
    model_types: ClassVar[tuple[str, ...]] = ("smolvlm",)
