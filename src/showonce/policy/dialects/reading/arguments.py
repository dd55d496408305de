"""Read the arguments of one verb: other names, shapes and units that models write, mapped to the verb's own."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Any, Final

from showonce.actions import (
    COORDINATE_DECIMALS,
    MODIFIERS,
    NAMED_KEYS,
    FieldSpec,
    fields_of,
    normal_keys,
    normal_modifiers,
)
from showonce.errors import BadInput
from showonce.policy.dialects.base import UNITS, Geometry
from showonce.policy.dialects.reading.aliases import (
    AMOUNT_KEYS,
    ARGUMENT_ALIASES,
    BOX_KEYS,
    CONFIDENCE_KEYS,
    DIRECTION_KEYS,
    DIRECTIONS,
    ELEMENT_KEYS,
    END_KEYS,
    KEY_ALIASES,
    ONCE_KEYS,
    PACE_KEYS,
    POINT_KEYS,
    REMARK_KEYS,
    START_KEYS,
)
from showonce.policy.dialects.reading.reader import Cut, Number
from showonce.types import ParseReason

CLIP: Final = 0.02  # a coordinate this far outside the frame is moved onto its edge
DEFAULT_NOTCHES: Final = 3  # of a scroll that names a direction and no amount


class Repair(StrEnum):
    """One deviation from the canonical text that the parser accepted."""

    FENCE = "fence"  # it stood in a code fence
    PROSE = "prose"  # other text stood around it
    LENIENT = "lenient"  # not proper JSON: quotes, commas, bare words, Python's constants
    COMPLETED = "completed"  # its end was missing
    SEVERAL = "several"  # more than one action; `committed` has the rule of the one that counts
    NESTED = "nested"  # the arguments or the whole action stood in an inner object
    VERB_ALIAS = "verb_alias"  # another name of the verb
    ARGUMENT_ALIAS = "argument_alias"  # another name or shape of an argument
    IGNORED = "ignored"  # it had members that the verb does not take
    NUMBER_AS_TEXT = "number_as_text"  # a number in quotes
    TEXT_AS_NUMBER = "text_as_number"  # a text without quotes that looks like a number
    PERCENT = "percent"  # a coordinate with a per cent sign
    CLIPPED = "clipped"  # a coordinate was slightly outside the frame
    DEFAULT_AMOUNT = "default_amount"  # a scroll with a direction and no amount
    CONFIDENCE_PERCENT = "confidence_percent"  # the confidence was a percentage
    CONFIDENCE_DROPPED = "confidence_dropped"  # the confidence was no number in [0, 1]


Specs = dict[str, tuple[FieldSpec, bool]]


class ArgumentProblem(Exception):
    """Internal to parsing: why an object is not an action. `parse_text` turns it into a ParseFailure."""

    def __init__(self, reason: ParseReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_arguments(cls: type[Any], given: dict[str, Any], geometry: Geometry, notes: list[Repair]) -> dict[str, Any]:
    """Return the values of a verb's arguments by field name; absent optional ones are left out.

    Args:
        given: what the model wrote, keys in snake_case, values as `reader` returns them.
        geometry: the unit in which coordinates are read.
        notes: accepted deviations are appended here.

    Raises:
        ArgumentProblem: MISSING_ARGUMENT, BAD_ARGUMENT, OUT_OF_RANGE or TRUNCATED.
    """
    specs = fields_of(cls)
    raw = _collect(cls.verb, specs, given, notes)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        spec = specs[name][0]
        if spec.kind == "text":
            values[name] = _text(name, value, notes)
        elif spec.kind == "keys":
            values[name] = _keys(name, value, notes)
        elif spec.kind == "modifiers":
            values[name] = _modifiers(name, value, notes)
        elif spec.kind != "coordinate":
            values[name] = _bounded(name, value, spec, notes)
    places = {name: value for name, value in raw.items() if specs[name][0].kind == "coordinate"}
    return values | _coordinates(places, geometry, notes)


def read_confidence(given: dict[str, Any], notes: list[Repair]) -> float | None:
    """Take the stated confidence out of `given` and return it in [0, 1]; None where none is stated or usable.

    A number above 10 and up to 100, or one with a per cent sign, is a percentage. A number that the end of the text
    may have cut short counts from one decimal on: it can only be too low.
    """
    stated = [given.pop(key) for key in CONFIDENCE_KEYS if given.get(key) is not None]
    if not stated:
        return None
    try:
        value, unit = _quantity("confidence", stated[0], notes)
    except ArgumentProblem:
        notes.append(Repair.CONFIDENCE_DROPPED)
        return None
    if unit == "%" or (not unit and 10 < value <= 100):
        notes.append(Repair.CONFIDENCE_PERCENT)
        value, unit = value / 100, ""
    cut_short = isinstance(stated[0], Cut) and _decimals(stated[0]) == 0
    if unit or cut_short or not -CLIP <= value <= 1 + CLIP:
        notes.append(Repair.CONFIDENCE_DROPPED)
        return None
    return min(max(value, 0.0), 1.0)


# -- names and shapes -> one raw value for each field ------------------------------------------------------------


def _collect(verb: str, specs: Specs, given: dict[str, Any], notes: list[Repair]) -> dict[str, Any]:
    """Take the arguments out of `given`.

    Raises:
        ArgumentProblem: a required one is missing, or BAD_ARGUMENT naming a member that is none and is no remark.
    """
    rest = {key: value for key, value in given.items() if value is not None}
    raw = {name: rest.pop(name) for name in specs if name in rest}
    if "to_x" in specs:
        _spread_path(rest)
        _spread(START_KEYS, ("x", "y"), raw, rest)
        _spread(END_KEYS, ("to_x", "to_y"), raw, rest)
    elif "x" in specs:
        if isinstance(raw.get("x"), (list, dict)) and "y" not in raw:
            rest["point"] = raw.pop("x")
        if all(key in rest for key in ("x1", "y1", "x2", "y2")):
            rest["box"] = [rest.pop(key) for key in ("x1", "y1", "x2", "y2")]
        _spread(POINT_KEYS, ("x", "y"), raw, rest)
    for name in specs:
        for alias in ARGUMENT_ALIASES[name]:
            if name not in raw and alias in rest and (name != "held" or _names_modifiers(rest[alias])):
                raw[name] = rest.pop(alias)
    if "dy" in specs and "dy" not in raw:
        _turn(raw, rest, notes)
    if any(name not in given for name in raw):
        notes.append(Repair.ARGUMENT_ALIAS)
    for name, (_, required) in specs.items():
        if required and name not in raw:
            raise ArgumentProblem(ParseReason.MISSING_ARGUMENT, f"{verb} lacks its argument {name!r}.")
    for key, value in rest.items():
        if not (value in (False, "", [], {}) or _is_remark(verb, key, value, raw)):
            detail = f"{verb} takes no argument {str(key[:40])!r} ({show(value)})."
            raise ArgumentProblem(ParseReason.BAD_ARGUMENT, detail)
    if rest:
        notes.append(Repair.IGNORED)
    return raw


def _is_remark(verb: str, key: str, value: Any, raw: dict[str, Any]) -> bool:
    """Whether a member that the verb does not take changes nothing of what is done."""
    if key in REMARK_KEYS or key in PACE_KEYS.get(verb, ()):
        return True
    if key in ELEMENT_KEYS:
        return isinstance(value, str) and not isinstance(value, Number) and not _OTHERWISE.search(value[:80])
    if key in DIRECTION_KEYS and verb == "scroll":
        axis, sign = DIRECTIONS.get(str(value).strip().lower(), ("dy", 0))
        return _quantity(axis, raw.get(axis, 0), [])[0] * sign > 0
    if key in BOX_KEYS and isinstance(raw.get("x"), str) and isinstance(raw.get("y"), str):
        sides = _point(key, value)
        return all(
            isinstance(side, tuple)
            and _quantity(key, side[0], []) <= _quantity(at, raw[at], []) <= _quantity(key, side[1], [])
            for at, side in zip(("x", "y"), sides, strict=True)
        )
    return key in ONCE_KEYS and value == "1"


def _spread(keys: tuple[str, ...], names: tuple[str, str], raw: dict[str, Any], rest: dict[str, Any]) -> None:
    """Move the first point found under one of `keys` to the two coordinates `names`."""
    if any(name in raw for name in names):
        return
    for key in keys:
        if key in rest:
            raw.update(zip(names, _point(key, rest.pop(key)), strict=True))
            return


def _spread_path(rest: dict[str, Any]) -> None:
    path = rest.get("path")
    if isinstance(path, list) and len(path) > 2:
        raise ArgumentProblem(
            ParseReason.BAD_ARGUMENT, "path has more than two places, and a drag takes a straight way."
        )
    if isinstance(path, list) and len(path) == 2:
        del rest["path"]
        rest["start"], rest["end"] = path


def _point(key: str, value: Any) -> tuple[Any, Any]:
    """Return x and y as they are written, each a pair (low, high) where the value is a box."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        members = {str(k).lower(): v for k, v in value.items()}
        sides = next((names for names in _SIDES if all(name in members for name in names)), ("x", "y"))
        value = [members.get(name) for name in sides]
    elif isinstance(value, str) and not isinstance(value, Cut) and len(value) <= 80:
        numbers = _QUANTITY_INSIDE.findall(value)
        value = (
            numbers if len(numbers) == 2 or not re.search(r"\w", re.sub(r"<[^<>]*>|%|px|[0-9]", "", value)) else None
        )
    if isinstance(value, list) and len(value) == 2 and all(isinstance(corner, list) for corner in value):
        value = [number for corner in value for number in corner]
    if isinstance(value, list) and len(value) == 4 and None not in value:
        return (value[0], value[2]), (value[1], value[3])
    if not isinstance(value, list) or len(value) != 2 or None in value:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{key} must hold two numbers, x and y, or a box of four.")
    return value[0], value[1]


def _turn(raw: dict[str, Any], rest: dict[str, Any], notes: list[Repair]) -> None:
    """Make notches of a direction and an amount."""
    ways = [rest.pop(key) for key in DIRECTION_KEYS if key in rest]
    if not ways:
        if "dx" in raw:
            raw["dy"] = 0
        return
    way = ways[0].strip().lower() if isinstance(ways[0], str) else ""
    if isinstance(ways[0], Cut) or way not in DIRECTIONS:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"direction must be one of {', '.join(DIRECTIONS)}.")
    amounts = [rest.pop(key) for key in AMOUNT_KEYS if key in rest]
    if not amounts:
        notes.append(Repair.DEFAULT_AMOUNT)
    elif isinstance(amounts[0], Cut):
        raise ArgumentProblem(ParseReason.TRUNCATED, "the text ends inside the amount of the scroll.")
    amount, unit = _quantity("amount", amounts[0], notes) if amounts else (DEFAULT_NOTCHES, "")
    if unit or amount < 0:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, "the amount of a scroll in a direction must be notches.")
    axis, sign = DIRECTIONS[way]
    raw |= {"dy": 0, axis: sign * amount}


# -- raw value -> value ------------------------------------------------------------------------------------------

_DIGITS = r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)"
_QUANTITY = re.compile(rf"({_DIGITS}(?:[eE][+-]?[0-9]++)?+)\s*+(%|px|pixels?|s|secs?|seconds?)?")
_SIDES: Final = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
# words that say how to press, where the name of an element is expected
_OTHERWISE: Final = re.compile(
    r"\b(?:ctrl|control|shift|alt|meta|cmd|right|middle|double|triple|long)[ _-]?(?:click|press)?$", re.I
)
_QUANTITY_INSIDE = re.compile(rf"{_DIGITS}(?:%|px)?")
_UNITS: Final = {"%": "%", "p": "px", "s": "s"}


def _quantity(where: str, value: Any, notes: list[Repair]) -> tuple[float, str]:
    """Return a finite number and its unit: "", "%", "px" or "s"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value), ""
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(match[1]) if match else math.nan
    if not match or not math.isfinite(number):
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{where} must be a finite number, not {show(value)}.")
    if not isinstance(value, (Number, Cut)):
        notes.append(Repair.NUMBER_AS_TEXT)
    return number, _UNITS[match[2][0]] if match[2] else ""


def _decimals(written: str) -> int:
    return len(written.partition(".")[2])


def _bounded(name: str, value: Any, spec: FieldSpec, notes: list[Repair]) -> float | int:
    if isinstance(value, Cut):
        raise ArgumentProblem(ParseReason.TRUNCATED, f"the text ends inside {name}.")
    number, unit = _quantity(name, value, notes)
    if unit not in ("", "s" if spec.kind == "seconds" else ""):
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{name} does not take the unit {unit!r}.")
    if not spec.low <= number <= spec.high:
        detail = f"{name} must lie in [{spec.low:g}, {spec.high:g}], not {number:g}."
        raise ArgumentProblem(ParseReason.OUT_OF_RANGE, detail)
    if spec.kind == "integer":
        if not number.is_integer():
            raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{name} must be a whole number, not {number:g}.")
        return int(number)
    return number


def _coordinates(raw: dict[str, Any], geometry: Geometry, notes: list[Repair]) -> dict[str, float]:
    """Return fractions of the frame; numbers without a unit of their own are in that of `geometry`."""
    whole = [_decimals(value) for value in raw.values() if isinstance(value, Number)]
    for name, value in raw.items():
        if isinstance(value, tuple) and any(isinstance(side, Cut) for side in value):
            raise ArgumentProblem(ParseReason.TRUNCATED, f"the text ends inside {name}.")
        if isinstance(value, Cut) and _decimals(value) < max([1, *(whole or [COORDINATE_DECIMALS])]):
            raise ArgumentProblem(ParseReason.TRUNCATED, f"the text ends inside {name}.")
    return {
        name: _centre(name, value, geometry, notes)
        if isinstance(value, tuple)
        else _coordinate(name, *_quantity(name, value, notes), geometry, notes)
        for name, value in raw.items()
    }


def _centre(name: str, sides: tuple[Any, Any], geometry: Geometry, notes: list[Repair]) -> float:
    """Return the middle of a box along one axis; each side must lie in the frame as a coordinate must."""
    (low, unit), (high, other) = (_quantity(name, side, notes) for side in sides)
    _coordinate(name, low, unit, geometry, notes)
    _coordinate(name, high, other, geometry, notes)
    if unit != other or low > high:
        raise ArgumentProblem(
            ParseReason.BAD_ARGUMENT, f"a box must be [x1, y1, x2, y2], not {low:g} to {high:g} in {name}."
        )
    middle = (low + high) / 2
    counted = unit != "%" and geometry.cells(name)
    return _coordinate(name, math.floor(middle) if counted else middle, unit, geometry, notes)


def _coordinate(name: str, number: float, unit: str, geometry: Geometry, notes: list[Repair]) -> float:
    """Return one coordinate as a fraction. A number that fits another unit better is refused, never converted."""
    if unit == "s":
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, "a coordinate is not a time.")
    cells = 0 if unit == "%" else geometry.cells(name)
    if unit == "%":
        notes.append(Repair.PERCENT)
        number /= 100
    share = number / cells if cells else number
    other_unit = (unit == "px" and geometry.unit != "pixel") or (cells and 0 < number < 1)
    if other_unit or not -CLIP <= share <= 1 + CLIP:
        span = f"[0, {cells - 1}]" if cells else "[0, 1]"
        raise ArgumentProblem(
            ParseReason.OUT_OF_RANGE,
            f"{name} = {number:g}{unit.strip('%')} does not lie in {span}. Coordinates are read as "
            f"policy.unit={geometry.unit}; the units are {', '.join(UNITS)}.",
        )
    if not 0 <= share <= 1:
        notes.append(Repair.CLIPPED)
    return geometry.fraction(number, name) if cells else min(max(share, 0.0), 1.0)


def _text(name: str, value: Any, notes: list[Repair]) -> str:
    if isinstance(value, Cut):
        raise ArgumentProblem(ParseReason.TRUNCATED, f"the text ends inside {name}.")
    if not isinstance(value, str):
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{name} must be text, not {show(value)}.")
    if isinstance(value, Number):
        notes.append(Repair.TEXT_AS_NUMBER)
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _keys(name: str, value: Any, notes: list[Repair]) -> str:
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        parts = [_text(name, part, []) for part in value]
    else:
        text = _text(name, value, notes)
        parts = [text] if _key_name(text) in NAMED_KEYS or len(text) == 1 else re.split(r"\s*\+\s*|\s+", text.strip())
    chord = "+".join(_key_name(part) for part in parts)
    try:
        normal = normal_keys(chord)
    except BadInput as error:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{name}: {error}") from None
    if normal != value:
        notes.append(Repair.ARGUMENT_ALIAS)
    return normal


def _modifiers(name: str, value: Any, notes: list[Repair]) -> str:
    """Return the modifiers that a text joined by plus signs, commas or blanks names, or a list of such texts."""
    written = value if isinstance(value, list) else [value]
    parts = [part for text in written for part in re.split(r"[\s+,]+", _text(name, text, []).strip()) if part]
    try:
        normal = normal_modifiers("+".join(map(_key_name, parts)))
    except BadInput as error:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"{name}: {error}") from None
    if normal != value:
        notes.append(Repair.ARGUMENT_ALIAS)
    return normal


def _names_modifiers(value: Any) -> bool:
    try:
        return bool(_modifiers("held", value, []))
    except ArgumentProblem:
        return False


def _key_name(part: str) -> str:
    if part == " ":
        return "space"
    plain = re.sub(r"[\s_-]+", "", part[:40]).lower()
    plain = KEY_ALIASES.get(plain, plain)
    return plain if plain in (*NAMED_KEYS, *MODIFIERS) else part[:40]


def show(value: Any) -> str:
    """Return a short form of any value that a model wrote, for the detail of a failure."""
    if isinstance(value, str):
        return repr(str(value[:40])) + ("..." if len(value) > 40 else "")
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)
