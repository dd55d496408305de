"""The base of the settings of every environment: `environment.settings` of a config or a task file.

Each environment has one frozen dataclass that inherits from `EnvironmentSettings`, as its class attribute `Settings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from showonce.errors import ConfigError, nearest
from showonce.schema import check_numbers

T = TypeVar("T")


def setting(
    default: T, meaning: str, low: float | None = None, high: float | None = None, choices: Collection[str] = ()
) -> T:
    """Declare a field of a settings dataclass.

    meaning: what it does, with its unit, for `showonce doctor --settings`. low, high: a number's range, both ends
    included. choices: the valid texts.
    """
    metadata = {"meaning": meaning, "range": None if low is None else (low, high), "choices": choices}
    field: Any = dataclasses.field(default=default, metadata=metadata)
    return field  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class EnvironmentSettings:
    """Settings of every environment, see `wrappers.perceive`. Raises ConfigError for a value out of range."""

    ocr: bool = setting(False, "read the words on the screen into the observation's text (Tesseract)")
    marks: bool = setting(False, "draw a numbered box on every named element, with a legend in the text")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, name = getattr(self, field.name), f"environment.settings.{field.name}"
            choices = field.metadata.get("choices")
            if choices and value not in choices:
                raise ConfigError(f"{name}={value!r} is not a valid choice.{nearest(str(value), choices)}")
        check_numbers(self, "environment.settings")


class SettingLine(NamedTuple):
    """One line of `showonce doctor --settings`; `default` as it is written in YAML."""

    name: str
    type: str
    default: str
    meaning: str


def listed(kind: type[EnvironmentSettings]) -> list[SettingLine]:
    """Return the settings of an environment, its own before those of every environment."""
    common = {field.name for field in dataclasses.fields(EnvironmentSettings)}
    fields = sorted(dataclasses.fields(kind), key=lambda field: field.name in common)
    return [SettingLine(f.name, _type(f), _default(f), str(f.metadata.get("meaning", ""))) for f in fields]


def _type(field: dataclasses.Field[Any]) -> str:
    span, choices = field.metadata.get("range"), field.metadata.get("choices")
    if choices:
        return " | ".join(choices)
    name = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    words = {"bool": "true | false", "int": "whole number", "float": "number", "str": "text", "Any": "number or list"}
    return words.get(name, name) + (f" in [{span[0]:g}, {span[1]:g}]" if span else "")


def _default(field: dataclasses.Field[Any]) -> str:
    value = {} if field.default is dataclasses.MISSING else field.default
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).lower() if isinstance(value, bool) else "[]" if value == () else str(value) or '""'
