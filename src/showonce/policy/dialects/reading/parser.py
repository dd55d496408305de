"""Parse a model's text into an action, or a ParseFailure with its reason. No text makes it raise.

The answer is what stands after the last thought (`thoughts`); of the actions that it names the one that it commits to
counts (`committed`): the first of a plan, and of several plans the last. Where that one is not valid the text is a
ParseFailure; no other action takes its place. An argument that the verb does not take refuses the action, unless it is
a remark (`aliases.REMARK_KEYS`). Thoughts go to `Parsed.thought`, accepted deviations to `Parsed.repairs` (see
`Repair`). Coordinates are read in the unit of the geometry and in no other; a box is read as its centre. A text that
ends early counts if no argument can be incomplete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Any, Final

from showonce.actions import VERBS, fields_of
from showonce.errors import BadInput, nearest
from showonce.policy.dialects.base import FRACTIONS, Geometry
from showonce.policy.dialects.reading.aliases import (
    ARGUMENT_ALIASES,
    ARGUMENT_BOXES,
    CLICKS_KEYS,
    CONSIDERED_KEYS,
    DIRECTIONS,
    POINT_KEYS,
    REMARK_KEYS,
    THOUGHT_KEYS,
    VERB_ALIASES,
    VERB_KEYS,
)
from showonce.policy.dialects.reading.arguments import ArgumentProblem, Repair, read_arguments, read_confidence, show
from showonce.policy.dialects.reading.committed import Choice, choose
from showonce.policy.dialects.reading.reader import Broken, Cut, Found, Number, read_objects
from showonce.policy.dialects.reading.thoughts import Answer, find_answer
from showonce.types import Parsed, ParseFailure, ParseReason, ParseResult

MAX_INNER: Final = 256  # inner objects of one object that are looked at
MAX_BROKEN: Final = 2000  # characters after the fault of a broken object in which its end is looked for
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
    ParseReason.AMBIGUOUS,
)
_BEGINS_ACTION: Final = re.compile(
    r"\{\s*+[\"'`\u201c\u2018]?+(?:action|name|tool|function|verb|command)", re.IGNORECASE
)
_ACTION_KEYS: Final = ("action", "action_type", "action_name", "verb", "command")  # no other word is meant by these
_OPEN: Final = (ParseReason.NO_VERB, ParseReason.MISSING_ARGUMENT, ParseReason.BAD_ARGUMENT)  # more text could mend


def parse_text(text: str, geometry: Geometry = FRACTIONS) -> ParseResult:
    """Read an action that is spelled as a JSON-like object.

    Args:
        geometry: the unit in which coordinates are read; nothing else decides it.
    """
    if not text.strip():
        return ParseFailure(ParseReason.EMPTY, "the answer is empty.", text)
    answer = find_answer(text)
    if answer.open:
        return ParseFailure(ParseReason.TRUNCATED, "the answer ends inside a thought.", text)
    candidates = list(_candidates(text, answer))
    acts = [c for c in candidates if c.names_action or not c.item.whole]
    if not acts:
        nothing = ArgumentProblem(ParseReason.NO_OBJECT, "the answer holds no object in braces.")
        return _failure(text, [nothing, *(_result(candidate, geometry) for candidate in candidates)])
    choice = Choice([0])
    if len(acts) > 1 or answer.musing:
        spans = [(c.item.start, _end_of(text, c.item)) for c in acts]
        choice = choose(text, spans, answer.start, answer.end, answer.musing)
    if not choice.plan:
        return ParseFailure(ParseReason.NO_OBJECT, "the answer only talks of an action in a thought.", text)
    first = acts[choice.plan[0]]
    result = _result(first, geometry)
    if isinstance(result, ArgumentProblem):
        return _failure(text, [result, *(_result(acts[i], geometry) for i in choice.plan[1:])])
    if choice.rival is not None:
        rival = _result(acts[choice.rival], geometry)
        if not isinstance(rival, Parsed) or rival.action != result.action:
            detail = "two different actions, and neither is marked as the answer."
            return ParseFailure(ParseReason.AMBIGUOUS, detail, text)
    repairs = [*_surroundings(text, first.item), *([Repair.SEVERAL] if len(acts) > 1 else []), *result.repairs]
    thought = "\n".join(part for part in (answer.thought, result.thought) if part)
    return Parsed(result.action, result.confidence, tuple(dict.fromkeys(repairs)), thought)


def _failure(text: str, results: list[Parsed | ArgumentProblem]) -> ParseFailure:
    """Report the problem that came furthest, the first of several."""
    problems = [result for result in results if isinstance(result, ArgumentProblem)]
    worst = max(problems, key=lambda problem: _HOW_FAR.index(problem.reason))
    return ParseFailure(worst.reason, worst.detail, text)


def _end_of(text: str, item: Found | Broken) -> int:
    """Return where an object ends; a broken one at its first closing brace after what could be read."""
    end = text.find("}", item.end - 1, item.end + MAX_BROKEN) + 1 if isinstance(item, Broken) else item.end
    return end or item.end


@dataclass
class _Named:
    """An object without its wrapping: the verb (None where `word` names none) and the arguments."""

    word: str | None
    verb: str | None
    given: dict[str, Any]
    nested: bool = False


_NOTHING: Final = _Named(None, None, {})


@dataclass(frozen=True)
class _Candidate:
    """One object of the answer, or one within it. names_action: it has a verb, or an unknown word in a verb's place."""

    item: Found | Broken
    data: dict[str, Any]
    named: _Named
    names_action: bool


def _result(candidate: _Candidate, geometry: Geometry) -> Parsed | ArgumentProblem:
    item = candidate.item
    if isinstance(item, Broken):
        return ArgumentProblem(ParseReason.MALFORMED, f"{item.detail} of the answer.")
    try:
        parsed = _interpret(candidate.named, candidate.data, item.whole, geometry)
    except ArgumentProblem as problem:
        return problem
    thoughts = [value for data in (item.value, candidate.data) for value in _thoughts_of(data)]
    return replace(parsed, thought="\n".join(dict.fromkeys(thoughts))) if thoughts else parsed


def _thoughts_of(data: dict[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, str) and value.strip() and _snake(key) in THOUGHT_KEYS:
            yield value.strip()


def _candidates(text: str, answer: Answer) -> Iterator[_Candidate]:
    """Yield every object of the answer, outer ones first; objects inside an action or a thought are not yielded.

    A broken object names an action where it begins like one and no object within it can be read.
    """
    items = list(read_objects(text[: answer.end], answer.start))
    for item, after in zip_longest(items, items[1:]):
        if isinstance(item, Found) and not item.whole and answer.end < len(text):
            item = Broken(item.start, item.end, f"a thought before the end of the object at character {item.start}")
        if isinstance(item, Broken):
            begins = after is None or after.start >= item.end
            yield _Candidate(item, {}, _NOTHING, begins and bool(_BEGINS_ACTION.match(text, item.start)))
        elif (named := _find_verb(item.value)).verb:
            yield _Candidate(item, item.value, named, True)
        else:
            for data in islice(_objects_in(item.value), MAX_INNER):
                named = _find_verb(data)
                in_place = any(_snake(key) in _ACTION_KEYS and _is_word(value) for key, value in data.items())
                yield _Candidate(item, data, named, bool(named.verb) or in_place)


def _objects_in(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            meant = [inner for key, inner in value.items() if _snake(key) not in CONSIDERED_KEYS]
            waiting.extend(reversed(meant))
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


def _interpret(named: _Named, data: dict[str, Any], whole: bool, geometry: Geometry) -> Parsed:
    """Make an action of one object.

    Raises:
        ArgumentProblem: it is none.
    """
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
    if not whole and not _confidence_begun(data) and (_lacks_some(verb, values, named.given) or _half_a_member(data)):
        raise ArgumentProblem(ParseReason.TRUNCATED, "the answer ends before all arguments are written.")
    return Parsed(action, confidence, tuple(notes))


def _lacks_some(verb: str, values: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether more text could add to the arguments; modifiers are expected only where a list of them was begun."""
    if any(spec.kind != "modifiers" and name not in values for name, (spec, _) in fields_of(VERBS[verb]).items()):
        return True
    return "held" in values and any(isinstance(given.get(name), list) for name in ("held", *ARGUMENT_ALIASES["held"]))


def _confidence_begun(data: dict[str, Any]) -> bool:
    """Whether the text ends in the confidence, which comes after all arguments."""
    return _snake(next(reversed(data))).startswith("conf")


def _half_a_member(data: dict[str, Any]) -> bool:
    """Whether the text ends inside a member that may change the action, as "button" does a click."""
    for inner in _objects_in(data):
        for key, value in inner.items():
            begun = isinstance(key, Cut) or (isinstance(value, Cut) and not value) or value in ([], {})
            if begun and key != "" and _snake(key) not in REMARK_KEYS:
                return True
    return False


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


@lru_cache(1024)
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
    if verb in _USUAL:
        verb = _by_button(verb, given)
    elif verb == "drag" and _plain(given.get("button")) == "left":
        del given["button"]
    if verb == "scroll" and (way := _snake(named.word or "").rpartition("scroll_")[2]) in DIRECTIONS:
        given.setdefault("direction", way)
    if verb == "done":
        status = _plain(given.pop("status", ""))
        if status in ("failure", "failed", "fail", "error", "infeasible") or given.pop("success", True) is False:
            raise ArgumentProblem(ParseReason.BAD_ARGUMENT, "done claims success, but the answer says failed.")
    return verb


_USUAL: Final = {  # the button of a verb and how often it is pressed
    **{"click": ("left", "1"), "double_click": ("left", "2"), "triple_click": ("left", "3")},
    "right_click": ("right", "1"),
}


def _by_button(verb: str, given: dict[str, Any]) -> str:
    button, clicks = _USUAL[verb]
    button = given.pop("button", None) or button
    for name in CLICKS_KEYS:
        clicks = given.pop(name, None) or clicks
    kinds = {how: name for name, how in _USUAL.items()}
    wanted = (_plain(button), _plain(clicks))
    if wanted not in kinds or (verb != "click" and kinds[wanted] != verb):
        raise ArgumentProblem(ParseReason.BAD_ARGUMENT, f"no action: button {show(button)} {show(clicks)} times.")
    return kinds[wanted]


def _plain(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
