"""The native dialect: one short JSON object without white space, confidence last.

    {"action":"click","x":0.518,"y":0.232,"confidence":0.95}

Field order is that of the verb's dataclass, but for held modifiers, which come first: a text that ends early loses none
of them. Numbers have one spelling each: coordinates three decimals in the unit fraction and whole numbers in the units
thousand and pixel (``"x":518``), confidence two decimals, notches as integers, seconds as an integer when whole. An
optional integer at its default (dx of a scroll) and held modifiers where there are none are left out; every other
optional argument is written. So a text has one form, and the grammar accepts that form alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any, ClassVar, Final

from showonce.actions import (
    CONFIDENCE_DECIMALS,
    COORDINATE_DECIMALS,
    EXAMPLES,
    MODIFIERS,
    NAMED_KEYS,
    VERBS,
    Action,
    FieldSpec,
    fields_of,
)
from showonce.errors import BadInput
from showonce.policy.dialects.base import FRACTIONS, MAX_GENERATED_TEXT, Geometry, Unit
from showonce.policy.dialects.reading.parser import parse_text
from showonce.types import ParseResult

SECONDS_DECIMALS = 2
EXAMPLE_CONFIDENCE = 0.9
COORDINATES: Final[dict[Unit, str]] = {
    "fraction": f"fractions of the screenshot with {COORDINATE_DECIMALS} decimals",
    "thousand": "thousandths of the screenshot's width and height, whole numbers from 0 to 999",
    "pixel": "pixels of the screenshot, which is {width} pixels wide and {height} high, whole numbers from 0",
}

_CHARACTER = r'([^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(0[0-7bef]|1[0-9a-f]))'  # one character as json.dumps writes it
_SINGLE_KEY = r'([^"\\+\x00-\x20\x7f\p{Lu}\p{Z}]|\\["\\])'
_CONFIDENCE = re.compile(r"""["']confidence["']\s*:\s*["']?([0-9]+(?:\.[0-9]+)?)""")


class NativeDialect:
    """JSON objects as the module describes them."""

    name: ClassVar[str] = "native"

    def write(self, action: Action, confidence: float, geometry: Geometry = FRACTIONS) -> str:
        if not (math.isfinite(confidence) and 0.0 <= confidence <= 1.0):
            raise BadInput(f"confidence must lie in [0, 1], not {confidence!r}.")
        parts = [f'"action":"{action.verb}"']
        defaults = {field.name: field.default for field in dataclasses.fields(action)}
        for name, (spec, _) in _in_order(type(action)).items():
            value = getattr(action, name)
            if not (_omitted_at_default(type(action), name) and value == defaults[name]):
                parts.append(f'"{name}":{_spell(name, spec, value, geometry)}')
        parts.append(f'"confidence":{_decimal(confidence, CONFIDENCE_DECIMALS)}')
        return "{" + ",".join(parts) + "}"

    def parse(self, text: str, geometry: Geometry = FRACTIONS) -> ParseResult:
        return parse_text(text, geometry)

    def describe(self, geometry: Geometry = FRACTIONS) -> str:
        width, height = geometry.seen
        lines = [
            "Answer with one JSON object on one line and nothing else. It names the action, then its arguments in the "
            "order given below, then your confidence.",
            f"Coordinates are {COORDINATES[geometry.unit].format(width=width, height=height)}. confidence is the "
            f"probability that the action is right, from 0 to 1 with {CONFIDENCE_DECIMALS} decimals.",
            "Actions:",
        ]
        for example in EXAMPLES:
            cls = type(example)
            lines.append(f"{cls.verb}: {cls.__doc__}")
            lines.extend(f"  {name}: {_help(spec, req, geometry)}" for name, (spec, req) in _in_order(cls).items())
            lines.append(f"  example: {self.write(example, EXAMPLE_CONFIDENCE, geometry)}")
        return "\n".join(lines)

    def grammar(self, geometry: Geometry = FRACTIONS) -> str:
        terminals = {
            **_coordinate_patterns(geometry),
            "CONFIDENCE": _unit_interval(CONFIDENCE_DECIMALS),
            "TEXT": f"{_CHARACTER}{{0,{MAX_GENERATED_TEXT}}}",
            "KEYS": _keys_pattern(),
            "MODIFIERS": _modifiers_pattern(),
        }
        opening = _literal('{"action":"')
        lines = [f"start: {opening} ({' | '.join(VERBS)})"]
        for verb, cls in VERBS.items():
            rule, pending = [], f'{verb}"'  # pending: fixed text that the next literal begins with
            for name, (spec, _) in _in_order(cls).items():
                terminal = spec.kind.upper()
                if spec.kind == "coordinate" and geometry.unit != "fraction":
                    terminal = f"COORDINATE_{name[-1].upper()}"
                if spec.kind in ("integer", "seconds"):
                    terminal = f"{verb}_{name}".upper()
                    terminals[terminal] = _number_pattern(cls, name, spec)
                if _omitted_at_default(cls, name):
                    rule += [_literal(pending)] * bool(pending)
                    rule.append("({} {})?".format(_literal(f',"{name}":'), terminal))
                    pending = ""
                    continue
                quote = '"' if spec.kind in ("text", "keys") else ""
                rule += [_literal(f'{pending},"{name}":{quote}'), terminal]
                pending = quote
            rule += [_literal(f'{pending},"confidence":'), "CONFIDENCE", _literal("}")]
            lines.append(f"{verb}: {' '.join(rule)}")
        lines.extend(f"{name}: /{pattern}/" for name, pattern in terminals.items())
        return "\n".join(lines) + "\n"

    def confidence_span(self, text: str) -> tuple[int, int] | None:
        stated = list(_CONFIDENCE.finditer(text))
        return stated[-1].span(1) if stated else None


def _in_order(cls: type[Any]) -> dict[str, tuple[FieldSpec, bool]]:
    """Return the arguments of a verb as `fields_of` does, in the order in which they are written."""
    return dict(sorted(fields_of(cls).items(), key=lambda named: named[1][0].kind != "modifiers"))


def _omitted_at_default(cls: type[Any], name: str) -> bool:
    spec, required = fields_of(cls)[name]
    return spec.kind in ("integer", "modifiers") and not required


def _decimal(value: float, decimals: int) -> str:
    return f"{abs(value):.{decimals}f}"  # abs: -0.0 is written as 0.000


def _spell(name: str, spec: FieldSpec, value: Any, geometry: Geometry) -> str:
    if spec.kind == "coordinate":
        number = geometry.count(value, name)
        return _decimal(number, 0 if geometry.cells(name) else COORDINATE_DECIMALS)
    if spec.kind == "integer":
        return str(value)
    if spec.kind == "seconds":
        return _decimal(value, SECONDS_DECIMALS).rstrip("0").rstrip(".")
    text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half a surrogate pair is not text
    return json.dumps(text, ensure_ascii=False)


def _help(spec: FieldSpec, required: bool, geometry: Geometry) -> str:
    span = f" ({spec.low:g} to {spec.high:g})" if spec.kind in ("integer", "seconds") else ""
    text = spec.help if geometry.unit == "fraction" else spec.help.split(", 0 =")[0]  # the ends of [0, 1]
    return f"{text}{span}{'' if required else ', optional'}"


def _literal(text: str) -> str:
    return json.dumps(text)


def _unit_interval(decimals: int) -> str:
    return rf"0\.[0-9]{{{decimals}}}|1\.{'0' * decimals}"


def _coordinate_patterns(geometry: Geometry) -> dict[str, str]:
    """Return terminal name -> pattern: one for both axes in the unit fraction, else one for each axis."""
    if geometry.unit == "fraction":
        return {"COORDINATE": _unit_interval(COORDINATE_DECIMALS)}
    return {f"COORDINATE_{axis.upper()}": _whole_numbers(geometry.cells(axis)) for axis in ("x", "y")}


def _whole_numbers(end: int) -> str:
    """Return the pattern of the whole numbers from 0 to `end` - 1, without leading zeros."""
    top = str(end - 1)
    shorter = ["0", *(f"[1-9][0-9]{{{n}}}" for n in range(len(top) - 1))]  # of fewer digits than the largest
    as_long = [
        f"{top[:i]}[{'1' if i == 0 else '0'}-{int(digit) - 1}][0-9]{{{len(top) - i - 1}}}"
        for i, digit in enumerate(top)
        if int(digit) > (i == 0)
    ]
    return "|".join([*shorter, *as_long, top])


def _number_pattern(cls: type[Any], name: str, spec: FieldSpec) -> str:
    """Pattern of an integer or seconds argument: every value of its range in its one spelling, and nothing else."""
    low, high = int(spec.low), int(spec.high)
    if spec.kind == "seconds":
        below = "|".join(str(i) for i in range(low, high))
        return rf"({below})(\.[0-9]{{0,{SECONDS_DECIMALS - 1}}}[1-9])?|{high}"
    field = next(f for f in dataclasses.fields(cls) if f.name == name)
    return "|".join(str(i) for i in range(low, high + 1) if i != field.default)


def _modifiers_pattern() -> str:
    """Pattern of held modifiers in quotes: one or more of them in the order of `MODIFIERS`, joined by ``+``."""
    firsts = (
        name + "".join(rf"(\+{later})?" for later in MODIFIERS[place + 1 :]) for place, name in enumerate(MODIFIERS)
    )
    return f'"({"|".join(firsts)})"'


def _keys_pattern() -> str:
    """Pattern of a chord as `actions.normal_keys` spells it."""
    modifiers = "".join(rf"({name}\+)?" for name in MODIFIERS)
    return rf"\+|{modifiers}({'|'.join(NAMED_KEYS)}|{_SINGLE_KEY})"
