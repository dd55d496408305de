"""The closed set of verbs. One definition yields prompt text, examples, grammar, parser and validation.

Every verb is a frozen dataclass whose fields carry a `FieldSpec`. Nothing else in the project lists the verbs:
dialects, environments, recorders and the safety rules read `VERBS`.

Coordinates are floats in [0, 1] of the frame that the policy saw; only an environment makes pixels of them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from showonce.errors import BadInput, nearest

Kind = Literal["coordinate", "integer", "seconds", "text", "keys", "modifiers"]

COORDINATE_DECIMALS: Final = 3
CONFIDENCE_DECIMALS: Final = 2
MAX_TEXT: Final = 2000
MAX_NOTCHES: Final = 50
# CSS pixels that a page scrolls for one notch of the wheel. A real notch is 120 in Chromium on Linux (measured with
# xdotool in version 156, at every scale of the display), so that what a person recorded there is replayed as far; a
# DevTools wheel event scrolls by what it says. On Windows a real notch is 100 by the system's default of three lines.
NOTCH_PIXELS: Final = 120
MAX_WAIT_S: Final = 60.0
MODIFIERS: Final = ("ctrl", "alt", "shift", "meta")
NAMED_KEYS: Final = (
    *("enter", "tab", "escape", "backspace", "delete", "space", "home", "end", "pageup", "pagedown"),
    *("up", "down", "left", "right", "insert"),
    *(f"f{i}" for i in range(1, 13)),
)


@dataclass(frozen=True)
class FieldSpec:
    """What one argument of a verb is: its kind, inclusive range (for numbers) and one line of help."""

    kind: Kind
    help: str
    low: float = 0.0
    high: float = 1.0


def _coordinate(help_: str) -> Any:
    return field(metadata={"spec": FieldSpec("coordinate", help_)})


def _integer(help_: str, bound: int, **kw: Any) -> Any:
    return field(metadata={"spec": FieldSpec("integer", help_, -bound, bound)}, **kw)


def _text(help_: str, **kw: Any) -> Any:
    return field(metadata={"spec": FieldSpec("text", help_)}, **kw)


def _modifiers() -> Any:
    return field(default="", metadata={"spec": FieldSpec("modifiers", "modifiers held meanwhile, joined by +")})


@dataclass(frozen=True)
class _At:
    """A verb that points at one place."""

    x: float = _coordinate("horizontal place, 0 = left edge, 1 = right edge")
    y: float = _coordinate("vertical place, 0 = top edge, 1 = bottom edge")

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class _Held(_At):
    """A verb of the pointer during which modifiers may be held. held: joined by ``+`` in the order of `MODIFIERS`."""

    held: str = _modifiers()


@dataclass(frozen=True)
class Click(_Held):
    """Press and release the left button."""

    verb: ClassVar[str] = "click"


@dataclass(frozen=True)
class DoubleClick(_Held):
    """Click twice quickly."""

    verb: ClassVar[str] = "double_click"


@dataclass(frozen=True)
class TripleClick(_Held):
    """Click three times quickly, which selects a line or a paragraph."""

    verb: ClassVar[str] = "triple_click"


@dataclass(frozen=True)
class RightClick(_Held):
    """Press and release the right button."""

    verb: ClassVar[str] = "right_click"


@dataclass(frozen=True)
class Move(_At):
    """Move the pointer there without pressing."""

    verb: ClassVar[str] = "move"


@dataclass(frozen=True)
class Drag(_At):
    """Press at x, y, move to to_x, to_y, release."""

    verb: ClassVar[str] = "drag"
    to_x: float = _coordinate("where to release, horizontally")
    to_y: float = _coordinate("where to release, vertically")
    held: str = _modifiers()


@dataclass(frozen=True)
class Scroll(_At):
    """Turn the wheel at a place."""

    verb: ClassVar[str] = "scroll"
    dy: int = _integer("notches, positive = down", MAX_NOTCHES)
    dx: int = _integer("notches, positive = right", MAX_NOTCHES, default=0)
    held: str = _modifiers()


@dataclass(frozen=True)
class Type:
    """Type text where the focus is."""

    verb: ClassVar[str] = "type"
    text: str = _text("what to type")

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Key:
    """Press a key or a chord such as ctrl+s."""

    verb: ClassVar[str] = "key"
    keys: str = field(metadata={"spec": FieldSpec("keys", "key or chord, parts joined by +")})

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Open:
    """Start an application or open a file or address."""

    verb: ClassVar[str] = "open"
    target: str = _text("name, path or address")

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Wait:
    """Do nothing for a while."""

    verb: ClassVar[str] = "wait"
    seconds: float = field(default=1.0, metadata={"spec": FieldSpec("seconds", "how long", 0.0, MAX_WAIT_S)})

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Done:
    """Claim that the task is finished; a checker decides."""

    verb: ClassVar[str] = "done"
    answer: str = _text("the answer when the task asks for one", default="")

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Ask:
    """Ask the person."""

    verb: ClassVar[str] = "ask"
    question: str = _text("what to ask")

    def __post_init__(self) -> None:
        _check(self)


Action = Click | DoubleClick | TripleClick | RightClick | Move | Drag | Scroll | Type | Key | Open | Wait | Done | Ask
ACTION_TYPES: Final[tuple[type[Any], ...]] = (  # a new verb comes last: exports and Gymnasium number the verbs
    *(Click, DoubleClick, RightClick, Move, Drag, Scroll),
    *(Type, Key, Open, Wait, Done, Ask),
    TripleClick,
)
VERBS: Final[dict[str, type[Any]]] = {cls.verb: cls for cls in ACTION_TYPES}


def fields_of(cls: type[Any]) -> dict[str, tuple[FieldSpec, bool]]:
    """Return name -> (spec, required) of a verb's arguments, in the order in which they are written."""
    return {f.name: (f.metadata["spec"], f.default is dataclasses.MISSING) for f in dataclasses.fields(cls)}


def chord_parts(keys: str) -> tuple[str, ...]:
    """Return the parts of a chord, its modifiers before its key; the key may be ``+`` itself."""
    if keys == "+":
        return ("+",)
    return (*keys[:-2].split("+"), "+") if keys.endswith("++") else tuple(keys.split("+"))


_ALIASES: Final = {
    **{"control": "ctrl", "cmd": "meta", "command": "meta", "win": "meta", "option": "alt"},
    **{"return": "enter", "esc": "escape", "del": "delete"},
}


def normal_keys(keys: str) -> str:
    """Return the canonical spelling of a chord: modifiers first, lower case, joined by ``+``.

    Raises:
        BadInput: an empty chord, an unknown key name (nearest named) or no key beside the modifiers.
    """
    spelt = "".join(keys.split()).lower()
    parts = chord_parts(spelt)
    named = [_ALIASES.get(p, p) for p in parts]
    mods = [m for m in MODIFIERS if m in named]
    rest = [p for p in named if p not in MODIFIERS]
    if len(rest) != 1 or not rest[0]:
        raise BadInput(f"key chord {keys!r} needs exactly one key beside its modifiers ({', '.join(MODIFIERS)}).")
    if len(rest[0]) != 1 and rest[0] not in NAMED_KEYS:
        raise BadInput(f"unknown key {rest[0]!r} in chord {keys!r}.{nearest(rest[0], NAMED_KEYS)}")
    return "+".join([*mods, rest[0]])


def normal_modifiers(held: str) -> str:
    """Return the canonical spelling of held modifiers: in the order of `MODIFIERS`, joined by ``+``; "" for none.

    Example:
        >>> normal_modifiers("Shift + Control")
        'ctrl+shift'

    Raises:
        BadInput: a name that is no modifier (nearest named).
    """
    spelt = "".join(held.split()).lower()
    named = [_ALIASES.get(part, part) for part in spelt.split("+")] if spelt else []
    for part in named:
        if part not in MODIFIERS:
            raise BadInput(f"unknown modifier {part!r} in {held!r}.{nearest(part, MODIFIERS)}")
    return "+".join(name for name in MODIFIERS if name in named)


def _check(action: Any) -> None:
    for name, (spec, _) in fields_of(type(action)).items():
        value = getattr(action, name)
        where = f"{action.verb}.{name}"
        if spec.kind in ("coordinate", "integer", "seconds"):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise BadInput(f"{where} must be a finite number, not {value!r}.")
            if not spec.low <= value <= spec.high:
                raise BadInput(f"{where} must lie in [{spec.low:g}, {spec.high:g}], not {value!r}.")
            if spec.kind == "integer" and value != int(value):
                raise BadInput(f"{where} must be a whole number, not {value!r}.")
            object.__setattr__(action, name, int(value) if spec.kind == "integer" else float(value))
        elif not isinstance(value, str):
            raise BadInput(f"{where} must be text, not {value!r}.")
        elif len(value) > MAX_TEXT:
            raise BadInput(f"{where} is {len(value)} characters long; the most is {MAX_TEXT}.")
        elif spec.kind == "keys":
            object.__setattr__(action, name, normal_keys(value))
        elif spec.kind == "modifiers":
            object.__setattr__(action, name, normal_modifiers(value))


def to_json(action: Action) -> dict[str, Any]:
    """Return the plain JSON form ``{"action": verb, ...arguments}``; defaults are written too, except no modifiers.

    Example:
        >>> to_json(Scroll(0.5, 0.25, 3))
        {'action': 'scroll', 'x': 0.5, 'y': 0.25, 'dy': 3, 'dx': 0}
    """
    given = dataclasses.asdict(action)
    if given.get("held") == "":
        del given["held"]
    return {"action": action.verb, **given}


def from_json(data: dict[str, Any]) -> Action:
    """Build an action from its strict JSON form (for files; model text goes through a dialect's parser).

    Example:
        >>> from_json({"action": "click", "x": 0.5, "y": 0.25})
        Click(x=0.5, y=0.25, held='')

    Raises:
        BadInput: unknown verb or argument (nearest named), missing argument, value out of range.
    """
    verb = data.get("action")
    if not isinstance(verb, str) or verb not in VERBS:
        raise BadInput(f"unknown action {verb!r}.{nearest(str(verb), VERBS)}")
    cls = VERBS[verb]
    specs = fields_of(cls)
    given = {k: v for k, v in data.items() if k != "action"}
    for key in given:
        if key not in specs:
            raise BadInput(f"{verb} has no argument {key!r}.{nearest(key, specs)}")
    for key, (_, required) in specs.items():
        if required and key not in given:
            raise BadInput(f"{verb} lacks its argument {key!r}.")
    return cls(**given)  # type: ignore[no-any-return]


def points(action: Action) -> tuple[tuple[float, float], ...]:
    """Return the places in the frame that an action touches: none, one, or two for a drag."""
    if isinstance(action, Drag):
        return ((action.x, action.y), (action.to_x, action.to_y))
    return ((action.x, action.y),) if isinstance(action, _At) else ()


def held_in(action: Action) -> tuple[str, ...]:
    """Return the modifiers that are held during an action, in the order in which they are pressed."""
    held: str = getattr(action, "held", "")
    return tuple(held.split("+")) if held else ()


def to_pixel(value: float, size: int) -> int:
    """Map a coordinate in [0, 1] to a pixel index of an axis with `size` pixels: min(floor(v * n), n - 1)."""
    return min(int(value * size), size - 1)


def from_pixel(index: float, size: int) -> float:
    """Map a pixel index back to the centre of that pixel: (i + 0.5) / n, clipped to [0, 1]."""
    return min(max((index + 0.5) / size, 0.0), 1.0)


EXAMPLES: Final[tuple[Action, ...]] = (
    Click(0.518, 0.232),
    DoubleClick(0.161, 0.375),
    TripleClick(0.339, 0.554),
    RightClick(0.804, 0.446),
    Move(0.268, 0.661),
    Drag(0.125, 0.339, 0.732, 0.839),
    Scroll(0.482, 0.482, 3),
    Type("sun"),
    Key("ctrl+s"),
    Open("notes"),
    Wait(1.0),
    Done("red"),
    Ask("name"),
)
