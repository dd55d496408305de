"""Parse a model's text into an action, or a ParseFailure with its reason. No text makes it raise.

The first object that is a valid action counts; an action with a number out of range ends the search, so that a later
object does not take its place. `Parsed.repairs` names every deviation that was accepted (see `Repair`). Coordinates
are read in the unit of the geometry and in no other. A text that ends early counts if no argument can be incomplete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from showonce.actions import VERBS, fields_of
from showonce.errors import BadInput, nearest
from showonce.policy.dialects.base import FRACTIONS, Geometry
from showonce.policy.dialects.reading.aliases import ARGUMENT_BOXES, DIRECTIONS, POINT_KEYS, VERB_ALIASES, VERB_KEYS
from showonce.policy.dialects.reading.arguments import ArgumentProblem, Repair, read_arguments, read_confidence, show
from showonce.policy.dialects.reading.reader import Broken, Cut, Found, Number, read_objects
from showonce.types import Parsed, ParseFailure, ParseReason, ParseResult

MAX_INNER: Final = 256  # inner objects of one object that are looked at
MAX_UNWRAP: Final = 3  # objects around an action that are taken off
_HOW_FAR: Final = (  # the failure that came furthest is the one reported
    ParseReason.NO_OBJECT,
    ParseReason.MALFORMED,
    ParseReason.NO_VERB,
    ParseReason.UNKNOWN_VERB,
    ParseReason.TRUNCATED,
    ParseReason.MISSING_ARGUMENT,
    ParseReason.BAD_ARGUMENT,
    ParseReason.OUT_OF_RANGE,
)
_NAMED_AN_ACTION: Final = _HOW_FAR[3:]
_OPEN: Final = (ParseReason.NO_VERB, ParseReason.MISSING_ARGUMENT, ParseReason.BAD_ARGUMENT)  # more text could mend


def parse_text(text: str, geometry: Geometry = FRACTIONS) -> ParseResult:
    """Read an action that is spelled as a JSON-like object.

    Args:
        geometry: the unit in which coordinates are read; nothing else decides it.
    """
    if not text.strip():
        return ParseFailure(ParseReason.EMPTY, "the answer is empty.", text)
    worst = ArgumentProblem(ParseReason.NO_OBJECT, "the answer holds no object in braces.")
    candidates = _candidates(text)
    for item, data in candidates:
        try:
            if isinstance(item, Broken):
                raise ArgumentProblem(ParseReason.MALFORMED, f"{item.detail} of the answer.")
            parsed = _interpret(data, item.whole, geometry)
        except ArgumentProblem as problem:
            worst = max(worst, problem, key=lambda t: _HOW_FAR.index(t.reason))
            if problem.reason is ParseReason.OUT_OF_RANGE:
                break
            continue
        several = worst.reason in _NAMED_AN_ACTION or any(_find_verb(other).verb for _, other in candidates)
        repairs = [*_surroundings(text, item), *([Repair.SEVERAL] if several else []), *parsed.repairs]
        return Parsed(parsed.action, parsed.confidence, tuple(dict.fromkeys(repairs)))
    return ParseFailure(worst.reason, worst.detail, text)


def _candidates(text: str) -> Iterator[tuple[Found | Broken, dict[str, Any]]]:
    """Yield every object of the text, outer ones first; objects inside an action are not yielded."""
    for item in read_objects(text):
        if isinstance(item, Broken):
            yield item, {}
        elif _find_verb(item.value).verb:
            yield item, item.value
        else:
            for data in islice(_objects_in(item.value), MAX_INNER):
                yield item, data


def _objects_in(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _surroundings(text: str, item: Found | Broken) -> Iterator[Repair]:
    if isinstance(item, Found):
        outside = text[: item.start] + text[item.end :]
        if "```" in outside:
            yield Repair.FENCE
        if re.sub(r"```\w*", "", outside).strip():
            yield Repair.PROSE
        if item.whole and not item.strict:
            yield Repair.LENIENT
        if not item.whole:
            yield Repair.COMPLETED


@dataclass
class _Named:
    """An object without its wrapping: the verb (None where `word` names none) and the arguments."""

    word: str | None
    verb: str | None
    given: dict[str, Any]
    nested: bool = False


def _interpret(data: dict[str, Any], whole: bool, geometry: Geometry) -> Parsed:
    """Make an action of one object.

    Raises:
        ArgumentProblem: it is none.
    """
    named = _find_verb(data)
    notes = [Repair.NESTED] if named.nested else []
    try:
        if isinstance(named.word, Cut):
            raise ArgumentProblem(ParseReason.TRUNCATED, "the text ends inside the action's name.")
        if named.verb is None:
            raise _no_verb(named.word)
        verb = _settle_verb(named)
        if verb != named.word:
            notes.append(Repair.VERB_ALIAS)
        confidence = read_confidence(named.given, notes)
        values = read_arguments(VERBS[verb], named.given, geometry, notes)
        action = VERBS[verb](**values)
    except BadInput as error:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, str(error)) from None
    except ArgumentProblem as problem:
        if not whole and problem.reason in _OPEN:
            raise ArgumentProblem(ParseReason.TRUNCATED, f"the answer ends too early: {problem.detail}") from None
        raise
    if not whole and not _confidence_begun(data) and (len(values) < len(fields_of(VERBS[verb])) or _half_a_key(data)):
        raise ArgumentProblem(ParseReason.TRUNCATED, "the answer ends before all arguments are written.")
    return Parsed(action, confidence, tuple(notes))


def _confidence_begun(data: dict[str, Any]) -> bool:
    """Whether the text ends in the confidence, which comes after all arguments."""
    return _snake(next(reversed(data))).startswith("conf")


def _half_a_key(data: dict[str, Any]) -> bool:
    """Whether the text ends inside a key that may change the action, as "button" does a click."""
    return any(isinstance(key, Cut) and key != "" for inner in _objects_in(data) for key in inner)


def _no_verb(word: str | None) -> ArgumentProblem:
    if not word:
        return ArgumentProblem(ParseReason.NO_VERB, "the object names no action.")
    detail = f"unknown action {show(word)}.{nearest(word[:40], VERBS)}"
    return ArgumentProblem(ParseReason.UNKNOWN_VERB, detail)


def _find_verb(data: dict[str, Any], depth: int = MAX_UNWRAP) -> _Named:
    """Unwrap an action: {"name":..., "arguments":{...}}, {"action":{"type":...}}, ... up to `depth` objects deep."""
    given = {_snake(key): value for key, value in data.items()}
    words = [key for key in VERB_KEYS if _is_word(given.get(key))]
    boxes = [key for key in (*VERB_KEYS, *ARGUMENT_BOXES) if _unboxed(key, given.get(key)) is not None]
    for key in words:
        if verb := resolve_verb(given[key]):
            word = given.pop(key)
            for box in dict.fromkeys(boxes):
                given |= {_snake(k): v for k, v in (_unboxed(box, given.pop(box)) or {}).items()}
            return _Named(word, verb, given, nested=bool(boxes))
    for key in boxes if depth else []:
        inner = _find_verb(_unboxed(key, given[key]) or {}, depth - 1)
        if inner.verb:
            around = {k: v for k, v in given.items() if k != key and k not in words}
            return _Named(inner.word, inner.verb, around | inner.given, nested=True)
    for key, value in given.items():
        if not isinstance(value, dict) or (depth and _find_verb(value, depth - 1).verb):
            continue
        if verb := resolve_verb(key):
            around = {k: v for k, v in given.items() if k != key}
            return _Named(key, verb, around | {_snake(k): v for k, v in value.items()}, nested=True)
    return _Named(given[words[0]] if words else None, None, given)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number) and (bool(value.strip()) or isinstance(value, Cut))


def _unboxed(key: str, value: Any) -> dict[str, Any] | None:
    """Return the object that a member holds, also when it is written as a text (arguments of a function call)."""
    if isinstance(value, str) and key in ("arguments", "parameters") and value.lstrip().startswith("{"):
        value = next((item.value for item in read_objects(value) if isinstance(item, Found)), None)
    return value if isinstance(value, dict) else None


def _snake(word: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word.strip()[:80])
    return re.sub(r"[\s-]+", "_", spaced).lower()


def resolve_verb(word: str) -> str | None:
    """Return the verb that a word means (any case, camelCase, a module before it), "press" for that word, or None."""
    if isinstance(word, Cut):
        return None
    name = _snake(word).rpartition(".")[2]
    return name if name in VERBS or name == "press" else VERB_ALIASES.get(name)


def _settle_verb(named: _Named) -> str:
    """Return the verb, using the arguments that decide it (button, clicks, status), which are removed."""
    verb, given = str(named.verb), named.given
    if verb == "press":
        verb = "click" if any(key in given for key in ("x", *POINT_KEYS)) else "key"
    if verb == "click":
        verb = _by_button(given)
    if verb == "scroll" and (way := _snake(named.word or "").rpartition("scroll_")[2]) in DIRECTIONS:
        given.setdefault("direction", way)
    if verb == "done":
        status = _plain(given.pop("status", ""))
        if status in ("failure", "failed", "fail", "error", "infeasible") or given.pop("success", True) is False:
            raise ArgumentProblem(ParseReason.BAD_ARGUMENT, "done claims success, but the answer says failed.")
    return verb


def _by_button(given: dict[str, Any]) -> str:
    button, clicks = given.pop("button", "left"), given.pop("clicks", "1")
    kinds = {("left", "1"): "click", ("left", "2"): "double_click", ("right", "1"): "right_click"}
    wanted = (_plain(button), _plain(clicks))
    if wanted not in kinds:
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"no action: button {show(button)} {show(clicks)} times.")
    return kinds[wanted]


def _plain(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
