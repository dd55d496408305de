"""Puts other data into a recording: the values of one run in the place of the recorded ones, in memory.

A value stands in the steps that type or choose it, and in texts: goal, success check, checks, and what later steps hit.
There it is replaced as whole words, case kept, all values in one pass and the longest first; constants and the words of
secrets stay. What carries another text than was recorded is marked (`Element.bound`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus

from showonce.actions import MAX_TEXT, Action, Click, Done, Key, Type
from showonce.demonstrations.dates import ISO, computed
from showonce.demonstrations.values import DATE_TYPE, OPTION, Value, as_date, part_of
from showonce.errors import BadInput, ConfigError, nearest
from showonce.secrets import mentions
from showonce.types import Demonstration, Element, Frame, Task

SHORT: Final = 3  # characters; a shorter value follows in what steps hit only where it is the whole text
_STABLE: Final = ("type", "name", "placeholder")  # attributes that say nothing of one record
_DATES: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
_SECRET: Final = r"<secret(?::\w+)?>"
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_BEFORE: Final = r"(?<![\w\u0300-\u036f])(?<!\w-)(?<!\d[.,])"  # a word begins here, and no part of a number or name
_AFTER: Final = r"(?![\w\u0300-\u036f]|-\w|[.,]\d)"
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_HOLE: Final = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


# ------------------------------------------------------------------------------------------ which texts


def resolve(values: Sequence[Value], given: Mapping[str, str], today: date | None = None) -> dict[str, str]:
    """Return the text of each parameter and computed value by its name, checked.

    given: texts of parameters, and of computed values that are not to be computed this time.

    Raises:
        ConfigError: a name that no value has (nearest named) or that takes no text, a parameter without a text, one
            that no step uses, an expression that is none. BadInput: a text that its field would not take.
    """
    known = {value.name: value for value in values}
    for name in given:
        check_given(name, known)
    texts: dict[str, str] = {}
    for value in values:
        if value.kind in ("constant", "secret"):
            continue
        if not value.steps:
            raise ConfigError(f"{value.name}: no step uses it.", key="values.unused")
        if value.name in given:
            texts[value.name] = checked_as(value, given[value.name])
        elif value.kind == "parameter" and not value.optional:
            was = json.dumps(value.recorded, ensure_ascii=False)
            raise ConfigError(f"{value.name} is missing: {value.name}={was} was recorded.", key="values.missing")
        elif value.kind == "parameter":
            texts[value.name] = ""
    for value in values:
        if value.kind == "computed" and value.name not in texts:
            texts[value.name] = checked_as(value, _computed(value, known, texts, today or date.today(), ()))
    return texts


def check_given(name: str, known: Mapping[str, Value]) -> None:
    """Refuse a name that no value has, or whose value is not another one each time. Raises ConfigError."""
    if name not in known:
        free = [one.name for one in known.values() if one.kind in ("parameter", "computed")]
        raise ConfigError(f"{name}= is the name of no value of this recording.{nearest(name, free)}", key="values.name")
    if known[name].kind == "constant":
        raise ConfigError(
            f"{name} is a constant, {known[name].recorded!r}: `showonce parameters EPISODE {name}=parameter` lets it "
            "be given.",
            key="values.constant",
        )
    if known[name].kind == "secret":
        raise ConfigError(
            f"{name} is a secret, and no value of one is taken here: secret.{name}=env:VARIABLE says where it is.",
            key="values.secret",
        )


def parse_given(words: Sequence[str]) -> dict[str, str]:
    """Return name -> text of words ``name=text``. Raises ConfigError: no ``=``, or a name twice."""
    given: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} is not of the form name=value.", key="values.form")
        if name in given:
            raise ConfigError(f"{name}= is given twice.", key="values.twice")
        given[name] = text
    return given


def checked(value: Value, text: str) -> str:
    """Return a text as it is to be typed or chosen: trimmed, a date in the value's format, a choice as it is spelt.

    Raises:
        BadInput: empty, too long, another date, no choice of the list, a line break; the text does not name the value.
    """
    text = text.strip()
    if text == value.recorded or (not text and value.optional):
        return text
    if not text:
        raise BadInput("it is empty", key="values.empty")
    if mentions(text):
        raise BadInput("it holds the word of a secret", key="values.secret")
    control = [sign for sign in text if (ord(sign) < 32 or ord(sign) == 127) and sign not in value.recorded]
    if wrong := "".join(control[:1]):
        what = {"\n": "a line break, which would press Enter", "\t": "a tab, which would leave the field"}
        raise BadInput(f"{text!r} holds {what.get(wrong, 'a control character')}", key="values.sign")
    if value.form:
        day = as_date(text, value.form) or as_date(text, ISO)
        if day is None:
            like = date(2026, 12, 31).strftime(value.form)
            raise BadInput(f"{text!r} is no date as it is written here ({like})", key="values.date")
        text = day.strftime(value.form)
    room = MAX_TEXT * max(1, -(-len(value.recorded) // MAX_TEXT))  # of the steps that type it
    most = min(value.longest or room, room)
    if len(text) > most:
        raise BadInput(f"{text[:40]!r}... has {len(text)} characters, and {most} fit", key="values.long")
    if value.choices and text not in value.choices:
        alike = [choice for choice in value.choices if " ".join(choice.casefold().split()) == text.casefold()]
        if len(alike) != 1:
            raise BadInput(f"{text!r} is not in the list.{nearest(text, value.choices)}", key="values.choice")
        text = alike[0]
    return text


def checked_as(value: Value, text: str) -> str:
    """Return what `checked` does. Raises BadInput: the text names the value, too."""
    try:
        return checked(value, text)
    except BadInput as error:
        raise BadInput(f"{value.name}: {error}.", key=error.key) from None


def row_key(task_id: str, texts: Mapping[str, str]) -> str:
    """Return the key of one run's data: equal for the same texts of the same task, and for nothing else."""
    told = json.dumps([task_id, sorted(texts.items())], ensure_ascii=False)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def template_of(text: str, values: Sequence[Value]) -> str:
    """Return a text with ``{name}`` in place of the recorded texts of values; braces of its own are doubled.

    Example:
        >>> template_of("Ticket for Ann Lee", [Value("customer", recorded="Ann Lee")])
        'Ticket for {customer}'
    """
    pairs = {value.recorded: f"\0{value.name}\1" for value in values if value.recorded}
    swapped = Swap(pairs)(text)
    return swapped.replace("{", "{{").replace("}", "}}").replace("\0", "{").replace("\1", "}")


def _computed(
    value: Value, known: Mapping[str, Value], texts: Mapping[str, str], today: date, outer: Sequence[str]
) -> str:
    """Return what a computed value is today: a date, or a text with ``{name}`` for other values and dates."""
    if "{" not in value.expression:
        return computed(value.expression, today, value.form)
    if value.name in outer:
        raise ConfigError(f"{value.name} is computed from itself: {value.expression!r}.", key="values.circle")

    def filled(hole: re.Match[str]) -> str:
        name = hole[1]
        if name is None:
            return hole[0][0]
        other = known.get(name.strip())
        if other is None:
            try:
                return computed(name, today)
            except ConfigError:
                raise ConfigError(
                    f"{value.name}={value.expression!r}: {name!r} is neither a value nor a date."
                    f"{nearest(name, [one for one in known if one != value.name])}",
                    key="values.expression",
                ) from None
        if other.kind == "secret":
            raise ConfigError(f"{value.name}={value.expression!r}: {name} is a secret.", key="values.secret")
        if other.name in texts or other.kind != "computed":
            return texts.get(other.name, other.recorded)
        return _computed(other, known, texts, today, (*outer, value.name))

    return _HOLE.sub(filled, value.expression)


# ------------------------------------------------------------------------------------------ in texts


class Swap:
    """Replaces texts as whole words, all in one pass, the longest first; the words of secrets stay.

    pairs: recorded text -> new text. A text that is mapped to itself protects what stands within it.
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs = dict(pairs)

    def __call__(self, text: str, least: int = 1) -> str:
        """Return a text with the new texts. least: shorter ones are replaced only where they are all of it."""
        return self._swapped(text, least)[0]

    def found(self, text: str, least: int = 1) -> dict[str, str]:
        """Return which texts are replaced in a text, and by what."""
        return self._swapped(text, least)[1]

    def quoted(self, how: Callable[[str], str]) -> Swap:
        """Return the same for texts in which everything is spelt otherwise, as in addresses."""
        return Swap({how(old): how(new) for old, new in self._pairs.items()})

    @property
    def changes(self) -> bool:
        """Whether any text is replaced by another one."""
        return any(old != new for old, new in self._pairs.items())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join([_SECRET, *(_whole(text) for text in sorted(self._pairs, key=len, reverse=True))]))

    def _swapped(self, text: str, least: int) -> tuple[str, dict[str, str]]:
        if not self._pairs or not text:
            return text, {}
        found: dict[str, str] = {}

        def put(hit: re.Match[str]) -> str:
            old = hit[0]
            if old not in self._pairs or (len(old) < least and old != text.strip()) or self._pairs[old] == old:
                return old
            found[old] = self._pairs[old]
            return found[old]

        return self._pattern.sub(put, text), found


def _whole(text: str) -> str:
    """Return a pattern for a text that stands as whole words; a script without spaces has no ends of words."""
    before = _BEFORE if re.match(r"\w", text) and not _UNSPACED.match(text) else ""
    after = _AFTER if re.match(r"\w", text[-1]) and not _UNSPACED.match(text[-1]) else ""
    return before + re.escape(text) + after


def _spellings(value: Value, new: str) -> Iterator[tuple[str, str]]:
    """Yield recorded and new text of a value in every form in which a page may show it: a date in several."""
    yield value.recorded, new
    was, now = (as_date(text, value.form or ISO) for text in (value.recorded, new))
    if not value.form or was is None or now is None:
        return
    for form in (ISO, *_DATES):
        text = was.strftime(form)
        others = [as_date(text, other) for other in _DATES]
        if all(day in (None, was) for day in others):  # 03/04/2026 may be two days
            yield text, now.strftime(form)


# ------------------------------------------------------------------------------------------ in a recording


@dataclass(frozen=True)
class Bound:
    """One value with the text that it has in this run, and when it was first typed or chosen."""

    value: Value
    text: str

    @property
    def first(self) -> int:
        return min(self.value.steps)


def bind(
    demonstration: Demonstration,
    task: Task,
    values: Sequence[Value],
    given: Mapping[str, str],
    today: date | None = None,
) -> tuple[Demonstration, Task]:
    """Return a demonstration and its task with the data of one run; with the recorded data they are equal to what was.

    given, today: see `resolve`. The number of steps stays. A text that was typed to find what was then chosen is typed
    as the same words of the new one, whole: a list that took a part of a word takes the word, and shows fewer others.

    Raises:
        ConfigError, BadInput: as `resolve`.
    """
    texts = resolve(values, given, today)
    bound = [Bound(value, texts.get(value.name, value.recorded)) for value in values if value.kind != "secret"]
    everything = _swap(bound)
    frames = list(demonstration.frames)
    for one in bound:
        if one.text != one.value.recorded:
            _put(frames, demonstration.frames, one)
    swaps = {first: _swap([one for one in bound if one.first <= first]) for first in {one.first for one in bound}}

    def at(step: int) -> Swap:
        return swaps[max((first for first in swaps if first <= step), default=0)]

    swaps[0] = Swap({})
    return (
        replace(
            demonstration,
            goal=everything(demonstration.goal),
            frames=tuple(_framed(frame, at(number)) for number, frame in enumerate(frames, 1)),
            checks=tuple(replace(check, text=at(check.step)(check.text)) for check in demonstration.checks),
        ),
        bind_task(task, everything),
    )


def bind_task(task: Task, swap: Swap) -> Task:
    """Return a task whose goal and success check have the new texts; in an address also as addresses spell them."""
    success = task.success
    if success.kind == "selector":
        swap = swap.quoted(lambda text: text.replace("\\", "\\\\").replace('"', '\\"'))
    looked = swap(success.value)
    if success.kind == "url":
        for how in (quote, quote_plus):
            looked = swap.quoted(how)(looked) if looked == success.value else looked
    return replace(task, goal=swap(task.goal), success=replace(success, value=looked))


def _swap(bound: Sequence[Bound]) -> Swap:
    pairs: dict[str, str] = {}
    for one in bound:
        for old, new in _spellings(one.value, one.text):
            if old and (new or old == one.value.recorded):
                pairs.setdefault(old, new)
    return Swap({old: new for old, new in pairs.items() if new})


def _put(frames: list[Frame], shown: Sequence[Frame], one: Bound) -> None:
    """Put the new text of a value into the actions of its steps. shown: the frames as recorded."""
    before = -2  # the step in a native field that came last; the text is typed in the first of several
    for at in [step - 1 for step in one.value.steps if step <= len(frames)]:
        action, targets = shown[at].action, shown[at].targets
        if not isinstance(action, (Key, Type)):
            continue
        if targets and targets[0].role == OPTION:  # of an open list: the entry is clicked, by its name
            taken = at + 1 == max(one.value.steps)
            frames[at] = replace(frames[at], action=_middle(targets[0]) if taken else Type(""))
        elif targets and (targets[0].options or _is_date(targets[0])):
            again, before = before == at - 1, at
            if not (isinstance(action, Key) and action.keys == "enter"):
                frames[at] = replace(frames[at], action=Type("" if again else _native(one, _is_date(targets[0]))))
        elif isinstance(action, Type) and len(run := _run_of(shown, at)) > 1:
            if at == run[0]:
                _fill(frames, run, one.text)
        elif isinstance(action, Type):
            frames[at] = replace(frames[at], action=Type(_as_typed(action.text, one.value, one.text)))


def _middle(element: Element) -> Click:
    left, top, right, bottom = element.box
    return Click(min(max((left + right) / 2, 0.0), 1.0), min(max((top + bottom) / 2, 0.0), 1.0))


def _is_date(element: Element) -> bool:
    return element.attributes.get("type") == DATE_TYPE


def _native(one: Bound, is_date: bool) -> str:
    """Return what to type into a native field: a date as ISO, which every native date field takes."""
    day = as_date(one.text, one.value.form or ISO) if is_date else None
    return one.text if day is None else day.isoformat()


def _run_of(frames: Sequence[Frame], at: int) -> list[int]:
    """Return the steps of a text that was longer than one action may be."""

    def full(index: int) -> bool:
        action = frames[index].action
        return isinstance(action, Type) and len(action.text) == MAX_TEXT

    first, last = at, at
    while first > 0 and full(first - 1):
        first -= 1
    while full(last) and last + 1 < len(frames) and isinstance(frames[last + 1].action, Type):
        last += 1
    return list(range(first, last + 1))


def _fill(frames: list[Frame], run: Sequence[int], text: str) -> None:
    """Type a text in the steps of a run: each takes what it may, the last ones nothing where it is shorter."""
    for number, at in enumerate(run):
        frames[at] = replace(frames[at], action=Type(text[number * MAX_TEXT : (number + 1) * MAX_TEXT]))


def _as_typed(typed: str, value: Value, new: str) -> str:
    """Return what to type in place of a recorded text: the new one whole, or those words of it that were typed."""
    body = typed.strip()
    before, after = typed[: len(typed) - len(typed.lstrip())], typed[len(typed.rstrip()) :]
    part = None if body == value.recorded or value.form else part_of(body, value.recorded)
    if part is not None and body != value.recorded:
        new = _words(value.recorded, part, new)
        new = new.lower() if body == body.lower() else new
    return before + new + after


def _words(recorded: str, part: tuple[int, int], new: str) -> str:
    """Return the words of a new text that stand where a part of the recorded one stood; else all of it."""
    old, words = recorded.split(), new.split()
    first, end = part
    if end - first > 1 or len(old) == 1 or len(words) < 2:
        return new
    if end == len(old):
        return words[-1]
    return words[first] if first < len(words) else new


def _framed(frame: Frame, swap: Swap) -> Frame:
    """Return a step with the new texts in all that is said of it."""
    targets = tuple(_element(one, swap) for one in frame.targets)
    return replace(
        frame, action=_said(frame.action, swap), note=swap(frame.note, SHORT), target=swap(frame.target, SHORT),
        targets=targets,
    )  # fmt: skip


def _said(action: Action, swap: Swap) -> Action:
    return replace(action, answer=swap(action.answer)) if isinstance(action, Done) else action


def _element(element: Element, swap: Swap) -> Element:
    """Return what a step hits with the new texts, without what may say which record it once belonged to."""
    element = replace(element, value=swap(element.value, SHORT))
    if swap.changes and element.count > 1:  # numbers and dates beside one of several are those of a recorded row
        element = replace(element, near=tuple(text for text in element.near if not _is_code(text) or swap.found(text)))
    texts = (element.name, element.text, *element.near)
    found = {old: new for text in texts for old, new in swap.found(text, SHORT).items()}
    if not found:
        return element
    named = bool(swap.found(element.name, SHORT) or swap.found(element.text, SHORT))
    words = {word.lower() for old in found for word in old.split() if len(word) >= SHORT}

    def of_record(text: str) -> bool:
        return named or re.search(r"\d", text) is not None or any(word in text.lower() for word in words)

    return replace(
        element, name=swap(element.name, SHORT), text=swap(element.text, SHORT),
        near=tuple(swap(text, SHORT) for text in element.near), bound=tuple(dict.fromkeys(found.values())),
        attributes={key: text for key, text in element.attributes.items() if key in _STABLE or not of_record(text)},
    )  # fmt: skip


def _is_code(text: str) -> bool:
    """Whether a text is a number, a date or the like, without a word."""
    return re.search(r"\d", text) is not None and _WORD.search(text) is None
