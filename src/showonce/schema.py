"""Checks plain mappings (from YAML or JSON) against frozen dataclasses and builds them; every mistake is named.

Knows the types that our dataclasses use: str, int, float, bool, tuples of them, free mappings, nested dataclasses.
Nothing is coerced except a whole number where a float is declared: "10" is not 10, and true is not 1.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Final, TypeVar

from showonce.errors import ConfigError, nearest

T = TypeVar("T")
_NAMES: Final = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", int | str: "a whole number or a word",
}  # fmt: skip


class SchemaError(ConfigError):
    """A value that cannot be used, and why. setting: its dotted key. The reader of the file adds where it stands."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(why)
        self.setting = setting


def build(kind: type[T], data: Mapping[Any, Any], section: str = "") -> T:
    """Make one dataclass of a mapping: every key known, every value of its declared type.

    Raises:
        SchemaError: unknown key (nearest named), wrong type, or the dataclass itself refuses a value.
    """
    hints = hints_of(kind)
    values = {}
    for name, value in data.items():
        if name not in hints:
            raise unknown(kind, kind, section, str(name))
        values[name] = _convert(hints[name], value, join(section, str(name)))
    try:
        return kind(**values)
    except TypeError:
        missing = [
            f.name for f in dataclasses.fields(typing.cast("Any", kind)) if f.name not in values and _required(f)
        ]
        if not missing:  # the class itself raised it
            raise
        raise SchemaError(join(section, missing[0]), f"{join(section, missing[0])} is required.") from None
    except ConfigError as error:
        named = re.match(r"[\w.]+", str(error))
        raise SchemaError(named.group() if named else section, str(error)) from None


def check_path(kind: Any, key: str) -> None:
    """Refuse a dotted key that the dataclass `kind` does not have.

    Raises:
        SchemaError: naming the first part that is wrong and the nearest valid one.
    """
    here, section = kind, ""
    for part in key.split("."):
        if dataclasses.is_dataclass(here):
            if part not in hints_of(here):
                raise unknown(kind, here, section, part)
            here = hints_of(here)[part]
        elif typing.get_origin(here) is dict:
            return
        else:
            raise SchemaError(key, f"{section} is a single value; it has no key {part!r}.")
        section = join(section, part)


def kind_of(kind: Any, key: str) -> Any:
    """Return the declared type of a dotted key; Any below a free mapping, None when there is no such key."""
    for part in key.split("."):
        if dataclasses.is_dataclass(kind):
            kind = hints_of(kind).get(part)
        elif typing.get_origin(kind) is dict:
            return Any
        else:
            return None
    return kind


def hints_of(kind: Any) -> dict[str, Any]:
    """Return field name -> declared type of a dataclass."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def check_kinds(kind: Any, section: str) -> None:
    """Check that values of every field of a dataclass can be checked: it is of one of the types named above.

    Raises:
        SchemaError: naming the field whose type is another, or a name in a type that means nothing.
    """
    try:
        hints = hints_of(kind)
    except NameError as error:
        raise SchemaError(section, f"a type of {kind.__qualname__} cannot be read: {error}.") from None
    for name, hint in hints.items():
        item = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple and typing.get_args(hint) else hint
        if dataclasses.is_dataclass(item):
            check_kinds(item, join(section, name))
        elif item is not Any and item not in _NAMES and typing.get_origin(item) is not dict:
            shown = getattr(hint, "__name__", str(hint)) if not typing.get_args(hint) else str(hint)
            raise SchemaError(
                join(section, name),
                f"{join(section, name)} is declared as {shown}; a setting is str, int, float, bool, tuple[...] of one "
                "of them, dict[str, Any] or a dataclass.",
            )


def join(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def paths(kind: Any, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of a dataclass, sections included."""
    for name, child in hints_of(kind).items():
        yield join(prefix, name)
        if dataclasses.is_dataclass(child):
            yield from paths(child, join(prefix, name))


def unknown(root: Any, kind: Any, section: str, name: str) -> SchemaError:
    """Say what was meant: the only key of that very name in `root`, else the one of `kind` that is spelt nearly so."""
    same = [path for path in paths(root) if path.rpartition(".")[2] == name]
    hint = f" Did you mean {same[0]!r}?" if len(same) == 1 else nearest(name, hints_of(kind))
    return SchemaError(join(section, name), f"unknown key {name!r}{f' in {section}' if section else ''}.{hint}")


def check_numbers(instance: Any, section: str = "") -> None:
    """Check the numbers of a dataclass, those in tuples too, against the ``range`` in their fields' metadata.

    A field that may hold a word, too, is checked where it holds a number.

    Raises:
        ConfigError: one is outside of its range, both ends of which are included, or not a number.
    """
    for field in dataclasses.fields(instance):
        span, value = field.metadata.get("range"), getattr(instance, field.name)
        word = isinstance(value, str) and "str" in str(field.type)
        if span and not word and not in_range(value, *span):
            raise ConfigError(f"{join(section, field.name)}={shown(value)} must be a number in {span_text(*span)}.")


def in_range(value: Any, low: float, high: float) -> bool:
    """Return whether a value is a number from `low` to `high`, or a list of such numbers."""
    if isinstance(value, (tuple, list)):
        return all(in_range(item, low, high) for item in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def span_text(low: float, high: float) -> str:
    """Return a range as an error shows it."""
    return f"[{low:.10g}, {high:.10g}]"


def shown(value: Any) -> str:
    """Return a value as an error shows it: lists as in YAML, and cut where it is long."""
    text = str(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 40 else f"{text[:30]}... ({len(text)} characters)"


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(kind: Any, value: Any, key: str) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict:
        return _convert_section(kind, value, key)
    if typing.get_origin(kind) is tuple:
        return _convert_tuple(kind, value, key)
    return _convert_scalar(kind, value, key)


def _convert_section(kind: Any, value: Any, key: str) -> Any:
    value = {} if value is None else value  # `learning:` with nothing below it
    if not isinstance(value, Mapping):
        valid = f"; its keys are {', '.join(hints_of(kind))}" if dataclasses.is_dataclass(kind) else ""
        shown = "" if key == "secret" else f", not {value!r}"  # it may be the secret itself
        raise SchemaError(key, f"{key} must be a section of keys{shown}{valid}.")
    return build(typing.cast("type[Any]", kind), value, key) if dataclasses.is_dataclass(kind) else dict(value)


def _convert_tuple(kind: Any, value: Any, key: str) -> tuple[Any, ...]:
    item, *rest = typing.get_args(kind)
    count = None if rest == [Ellipsis] else 1 + len(rest)
    if not isinstance(value, (list, tuple)) or (count is not None and len(value) != count):
        size = "a list such as [a, b]" if count is None else f"a list of {count} values"
        raise SchemaError(key, f"{key} must be {size}, not {value!r}.")
    kinds = [item] * len(value) if count is None else [item, *rest]
    return tuple(_convert(one, part, f"{key}[{i}]") for i, (one, part) in enumerate(zip(kinds, value, strict=True)))


def _convert_scalar(kind: Any, value: Any, key: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, UnionType) and type(value) in typing.get_args(kind):
        return value
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        shown = "null" if value is None else repr(value)
        quote = f'; put it in quotes: "{value}"' if kind is str and isinstance(value, (int, float)) else ""
        raise SchemaError(key, f"{key} must be {_NAMES[kind]}, not {shown}{quote}.")
    return value
