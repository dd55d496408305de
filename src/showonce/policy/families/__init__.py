"""Families by name, and the one place where a checkpoint is recognised."""

from __future__ import annotations

from typing import Any, Final, cast

from showonce.errors import ConfigError, nearest
from showonce.plugins import Registry
from showonce.policy.dialects import Dialect, get_dialect
from showonce.policy.families.base import Checkpoint, Family

_HERE: Final = "showonce.policy.families"
# A checkpoint belongs to the first family that recognises it, families of other packages being asked before these.
FAMILIES: Final = Registry(
    "model family",
    "showonce.families",
    {
        "tiny": f"{_HERE}.tiny:TinyFamily",
        "idefics3": f"{_HERE}.idefics3:Idefics3Family",
        "smolvlm": f"{_HERE}.smolvlm:SmolVLMFamily",
        "qwen2_vl": f"{_HERE}.qwen2_vl:Qwen2VLFamily",
        "qwen2_5_vl": f"{_HERE}.qwen2_5_vl:Qwen25VLFamily",
        "qwen3_vl": f"{_HERE}.qwen3_vl:Qwen3VLFamily",
    },
    "policy.family",
)
_AUTO: Final = ("auto", "chat")  # "chat": the one name that all families but tiny had in older side files


def family_of(checkpoint: Checkpoint, name: str = "auto") -> type[Family]:
    """Return the family of a checkpoint: the one named, else the one of its side file, else the one recognised.

    Raises:
        ConfigError: no family of that name, or none recognises the checkpoint (nearest named).
    """
    chosen = next((n for n in (name, str(checkpoint.notes.get("family", "auto"))) if n not in _AUTO), None)
    if chosen is not None:
        return cast("type[Family]", FAMILIES.load(chosen))
    others = [other for other in FAMILIES.names() if other not in FAMILIES.built_in]
    for candidate in (*others, *FAMILIES.built_in):
        family = cast("type[Family]", FAMILIES.load(candidate))
        if family.recognises(checkpoint):
            return family
    known = [name for name in FAMILIES.built_in if name != "tiny"]
    raise ConfigError(
        f"the checkpoint is of type {checkpoint.model_type!r}, which showonce cannot drive."
        f"{nearest(checkpoint.model_type, known)} Choose a checkpoint of one of: {', '.join(known)}."
    )


def make_family(
    kind: type[Family], checkpoint: Checkpoint, tokenizer: Any, dialect: str = "auto", unit: str = "auto"
) -> tuple[Family, Dialect]:
    """Return a family for a checkpoint with the dialect that it speaks; auto = the family's own dialect and unit.

    Raises:
        ConfigError: the tokenizer lacks what the family needs, or its model cannot count in that unit.
        BadInput: no such dialect or unit.
    """
    spoken = get_dialect(kind.default_dialect if dialect == "auto" else dialect)
    counted = kind.default_unit if unit == "auto" else unit
    return kind(checkpoint, tokenizer, spoken, cast("Any", counted)), spoken
