"""How model families spell actions in text: one dialect each, found by name."""

from __future__ import annotations

from typing import Final

from showonce.errors import BadInput, nearest
from showonce.policy.dialects.base import Dialect, FrameSize
from showonce.policy.dialects.native import NativeDialect
from showonce.policy.dialects.reading.arguments import Repair
from showonce.types import ParseResult

__all__ = ["DIALECTS", "Dialect", "FrameSize", "NativeDialect", "Repair", "get_dialect", "parse_action"]

DIALECTS: Final[dict[str, Dialect]] = {dialect.name: dialect for dialect in (NativeDialect(),)}


def get_dialect(name: str) -> Dialect:
    """Return a dialect by name.

    Raises:
        BadInput: no dialect of that name (nearest named).
    """
    if name not in DIALECTS:
        raise BadInput(f"unknown dialect {name!r}.{nearest(name, DIALECTS)}")
    return DIALECTS[name]


def parse_action(text: str, dialect: str = "native", frame_size: FrameSize | None = None) -> ParseResult:
    """Read an action from whatever a model wrote; see `Dialect.parse`.

    Raises:
        BadInput: no dialect of that name. Never because of the text.
    """
    return get_dialect(dialect).parse(text, frame_size)
