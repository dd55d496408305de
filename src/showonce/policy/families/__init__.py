"""Prompt families by name; each is imported when it is asked for."""

from __future__ import annotations

from typing import Any, Final

from showonce.errors import ConfigError, nearest
from showonce.policy.dialects import Dialect, get_dialect
from showonce.policy.families.base import Family

FAMILIES: Final = ("tiny", "chat")


def make_family(name: str, tokenizer: Any, dialect: str = "auto") -> tuple[Family, Dialect]:
    """Return a prompt family for a tokenizer, with the dialect it is to speak (auto = its own).

    Raises:
        ConfigError: no family of that name (nearest named), or the tokenizer lacks what the family needs.
        BadInput: no such dialect.
    """
    if name == "tiny":
        from showonce.policy.families.tiny import TinyFamily

        tiny = TinyFamily()
        return tiny, get_dialect(tiny.dialect if dialect == "auto" else dialect)
    if name == "chat":
        from showonce.policy.families.chat import ChatFamily

        spoken = get_dialect(ChatFamily.dialect if dialect == "auto" else dialect)
        return ChatFamily(tokenizer, spoken), spoken
    raise ConfigError(f"policy.family={name!r} is not a prompt family.{nearest(name, FAMILIES)}")
