"""Says which values of a recording change: ``customer=parameter``, ``due='computed:next monday'``, ``step4:amount``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from showonce.actions import Click, points
from showonce.demonstrations.binding import SHORT, Swap, resolve, template_of
from showonce.demonstrations.dates import check_form
from showonce.demonstrations.values import (
    Act,
    Value,
    acts_of,
    check_values,
    found_in,
    is_name,
    label_of,
    name_from,
)
from showonce.errors import ConfigError, nearest
from showonce.types import Episode

KINDS: Final = ("constant", "parameter", "optional", "any", "computed")
HOW: Final = (
    "NAME=constant, NAME=parameter (with a date's format: NAME=parameter:%d.%m.%Y), NAME=optional (may be left empty), "
    "NAME=any (without the limits of its field), NAME='computed:next monday', NAME:NEWNAME; stepN for a NAME means "
    "what step N types or chooses"
)


def changed(values: Sequence[Value], words: Sequence[str], episode: Episode) -> tuple[Value, ...]:
    """Return the values of an episode after the changes that a person asks for.

    A constant whose text holds that of a new parameter follows it: it is computed of the parameter, unless its own
    kind is given in the same words.

    Raises:
        ConfigError: a word that is none of `HOW`, an unknown name (nearest named), a name that is taken or given twice.
    """
    acts, kept, named = acts_of(episode), list(values), list[str]()
    for word in words:
        at = min((word.find(sign) for sign in "=:" if sign in word), default=-1)
        if at < 0:
            raise ConfigError(f"{word!r} says nothing of a value. Write {HOW}.", key="values.word")
        name, rest = word[:at].strip(), word[at + 1 :].strip()
        kept, at_value = _chosen(kept, name, acts, word[at] == ":")
        value = kept[at_value]
        if value.kind == "secret":
            raise ConfigError(f"{name} is a secret already; secret.{name}=... says where it is.", key="values.secret")
        if word[at] == ":":
            kept = _renamed(kept, at_value, rest)
            named = [rest if one == value.name else one for one in named]
        elif value.name in named:
            raise ConfigError(f"{value.name}= is given twice.", key="values.twice")
        else:
            kept[at_value] = _of_kind(value, rest)
            named.append(kept[at_value].name)
    kept = _following(kept, named)
    check_values(kept, len(acts), episode.path)
    resolve(kept, {value.name: value.recorded for value in kept if value.kind == "parameter"}, date.today())
    return tuple(sorted(kept, key=lambda one: one.steps))


def _chosen(values: list[Value], name: str, acts: Sequence[Act], own: bool) -> tuple[list[Value], int]:
    """Return the values, and the index of the one that is named. own: of a value in several fields, that of the step.

    Raises:
        ConfigError: nothing bears the name, or nothing is typed or chosen in the step.
    """
    step = re.fullmatch(r"step(\d+)", name)
    if step is None:
        names = [value.name for value in values]
        if name not in names:
            raise ConfigError(f"{name!r} is the name of no value.{nearest(name, names)}", key="values.name")
        return values, names.index(name)
    number = int(step[1])
    at = next((index for index, value in enumerate(values) if number in value.steps), None)
    made = next((value for value in found_in(acts) if number in value.steps), None)
    if at is not None and (not own or made is None or set(made.steps) >= set(values[at].steps)):
        return values, at
    if made is None:
        act = acts[number - 1] if 1 <= number <= len(acts) else None
        if act is None or not isinstance(act.action, Click) or not points(act.action) or not act.name.strip():
            raise ConfigError(f"step {number} types and chooses nothing that could be named.", key="values.step")
        made = Value("", recorded=act.name.strip(), label=label_of(act), steps=(number,))
    made = replace(made, name=name_from(made.label, [value.name for value in values]))
    if at is not None:
        values = [*values]
        values[at] = replace(values[at], steps=tuple(one for one in values[at].steps if one not in made.steps))
    return [*values, made], len(values)


def _renamed(values: list[Value], at: int, new: str) -> list[Value]:
    old = values[at].name
    if not is_name(new):
        raise ConfigError(f"{new!r} is no name: letters, digits and _, and no digit first.", key="values.name")
    if new != old and new in (value.name for value in values):
        raise ConfigError(f"{old}:{new}: another value is called {new} already.", key="values.name")
    hole = re.compile(rf"(?<!\{{)\{{\s*{re.escape(old)}\s*\}}")
    return [
        replace(value, name=new if index == at else value.name, expression=hole.sub(f"{{{new}}}", value.expression))
        for index, value in enumerate(values)
    ]


def _of_kind(value: Value, text: str) -> Value:
    kind, _, rest = text.partition(":")
    kind, rest = kind.strip(), rest.strip()
    if kind == "secret":
        raise ConfigError(
            f"{value.name}=secret: its text stands in the recording. Record it again, and press ctrl+f6 before it is "
            "typed (docs/secrets.md).",
            key="values.secret",
        )
    if kind not in KINDS:
        raise ConfigError(f"{value.name}={text}: {kind!r} is no kind.{nearest(kind, KINDS)}", key="values.kind")
    if rest and kind in ("constant", "any"):
        raise ConfigError(f"{value.name}={text}: nothing comes after {kind}.", key="values.kind")
    if kind == "constant":
        return replace(value, kind="constant", expression="", optional=False)
    if kind == "computed":
        if not rest:
            raise ConfigError(f"{value.name}=computed: say of what, e.g. 'computed:next monday'.", key="values.kind")
        return replace(value, kind="computed", expression=rest, optional=False)
    if rest:
        check_form(rest)
    free = kind == "any"
    return replace(
        value, kind="parameter", expression="", optional=kind == "optional", form="" if free else rest or value.form,
        longest=0 if free else value.longest, choices=() if free else value.choices,
    )  # fmt: skip


def _following(values: list[Value], named: Sequence[str]) -> list[Value]:
    """Return the values with each constant that holds the text of a new parameter computed of that parameter."""
    new = [one for one in values if one.name in named and one.kind != "constant" and len(one.recorded) >= SHORT]
    found = []
    for value in values:
        inside = [one for one in new if one is not value and one.recorded != value.recorded]
        template = template_of(value.recorded, inside)
        if (
            value.kind == "constant"
            and value.name not in named
            and any(f"{{{one.name}}}" in template for one in inside)
        ):
            value = replace(value, kind="computed", expression=template)
        found.append(value)
    return found


def follows(values: Sequence[Value], episode: Episode, success: str) -> dict[str, tuple[str, ...]]:
    """Return name -> where else the text of a value stands and follows it: goal, success, a check, "step 7".

    success: what the success check of the episode's task looks for.
    """
    acts = acts_of(episode)
    return {value.name: tuple(_places(value, values, acts, episode, success)) for value in values if value.recorded}


def _places(
    value: Value, values: Sequence[Value], acts: Sequence[Act], episode: Episode, success: str
) -> Iterator[str]:
    pairs = {other.recorded: other.recorded for other in values if other.recorded}
    swap = Swap(pairs | {value.recorded: f"{value.recorded}\0"})
    if swap.found(episode.goal):
        yield "goal"
    if swap.found(success):
        yield "success"
    if any(swap.found(check.text) for check in episode.checks if check.step >= min(value.steps, default=0)):
        yield "check"
    for number, act in enumerate(acts, 1):
        texts = [act.label] if act.element is None else [act.element.name, act.element.text, *act.element.near]
        if number > min(value.steps) and number not in value.steps and any(swap.found(text, SHORT) for text in texts):
            yield f"step {number}"
    for other in values:
        if f"{{{value.name}}}" in other.expression:
            yield other.name
