"""How model families spell actions in text: one dialect each, found by name."""

from __future__ import annotations

from functools import cache
from typing import Final, cast

from showonce.plugins import Registry
from showonce.policy.dialects.base import FRACTIONS, UNITS, Dialect, Geometry, Unit
from showonce.policy.dialects.reading.arguments import Repair
from showonce.types import ParseResult

__all__ = [
    "DIALECTS",
    "FRACTIONS",
    "UNITS",
    "Dialect",
    "Geometry",
    "Repair",
    "Unit",
    "get_dialect",
    "parse_action",
]

DIALECTS: Final = Registry(
    "dialect", "showonce.dialects", {"native": "showonce.policy.dialects.native:NativeDialect"}, "policy.dialect"
)


@cache
def get_dialect(name: str) -> Dialect:
    """Return a dialect by name; a plugin names a class that is made without arguments.

    Raises:
        ConfigError: no dialect of that name (nearest named), or one that cannot be imported.
    """
    return cast("Dialect", DIALECTS.load(name)())


def parse_action(text: str, dialect: str = "native", geometry: Geometry = FRACTIONS) -> ParseResult:
    """Read an action from whatever a model wrote; see `Dialect.parse`.

    Example:
        >>> parse_action('{"action": "tap", "x": 0.5, "y": 0.25,}').action
        Click(x=0.5, y=0.25, held='')

    Raises:
        ConfigError: no dialect of that name. Never because of the text.
    """
    return get_dialect(dialect).parse(text, geometry)
