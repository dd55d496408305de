"""Loop guards: checks for typical errors of small models. Each has a name, can be switched off and emits an event.

A guard is a pure function of the steps so far and of the screen after them; it returns a description of what it found,
or the empty text. Unknown facts (None) never make it fire. Afterwards `runtime.recovery` chooses a measure; without one
the episode ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from showonce.actions import Done, Key, Type, Wait, chord_parts, points
from showonce.config import SafetyConfig
from showonce.runtime.safety import PRESSES, find_word
from showonce.types import Limits, Observation, Step, StopReason


class Guard(Protocol):
    """Looks at the steps so far, and at the screen after the last one. `reason` is how the episode ends if it fires.

    One that looks at what the environment knows of its screen (`Step.facts`) has `wants_facts = True` beside.
    """

    @property
    def name(self) -> str: ...
    @property
    def reason(self) -> StopReason: ...
    def check(self, steps: Sequence[Step], screen: Observation) -> str: ...


@dataclass(frozen=True)
class SameAction:
    """The same action `n` times in a row without reaching a screen that is new in this episode.

    Scrolling on through new screens is work, clicking a box on and off is not. Waiting is left to the limits.
    """

    n: int
    name: ClassVar[str] = "same_action"
    reason: ClassVar[StopReason] = StopReason.GUARD

    def check(self, steps: Sequence[Step], screen: Observation) -> str:
        last = steps[-1].approved if steps else None
        if last is None or isinstance(last, Wait):
            return ""
        times, after = 0, screen.hash
        for index in reversed(range(len(steps))):
            if steps[index].approved != last:
                break
            times += any(step.frame_hash == after for step in steps[: index + 1])
            after = steps[index].frame_hash
        return f"{last} {times} times in a row" if times >= self.n else ""


@dataclass(frozen=True)
class Unchanged:
    """`n` actions in a row after which the screen did not change. Waiting neither counts nor interrupts."""

    n: int
    name: ClassVar[str] = "unchanged"
    reason: ClassVar[StopReason] = StopReason.GUARD

    def check(self, steps: Sequence[Step], screen: Observation) -> str:
        times = 0
        for step in reversed(steps):
            if isinstance(step.approved, Wait):
                continue
            if step.approved is None or step.changed is not False:
                break
            times += 1
        return f"{times} actions in a row changed nothing" if times >= self.n else ""


@dataclass(frozen=True)
class Unproved:
    """`done` was claimed and the checker does not agree. Switched off, the episode goes on after such a claim."""

    name: ClassVar[str] = "done_without_evidence"
    reason: ClassVar[StopReason] = StopReason.CLAIMED

    def check(self, steps: Sequence[Step], screen: Observation) -> str:
        step = steps[-1] if steps else None
        if step is None or not isinstance(step.executed, Done) or step.outcome is None:
            return ""
        if step.outcome.success is True or step.outcome.checker == "none":
            return ""
        return f"done was claimed; {step.outcome.checker}: {step.outcome.evidence or 'no success seen'}"


@dataclass(frozen=True)
class TypingIntoNothing:
    """Text was typed and the screen did not change: nothing had the focus, or it took no text."""

    name: ClassVar[str] = "typing_into_nothing"
    reason: ClassVar[StopReason] = StopReason.GUARD

    def check(self, steps: Sequence[Step], screen: Observation) -> str:
        step = steps[-1] if steps else None
        if step is None or not isinstance(step.executed, Type) or not step.executed.text.strip():
            return ""
        return f"{step.executed.text[:40]!r} was typed and nothing changed" if step.changed is False else ""


@dataclass(frozen=True)
class SubmitForgotten:
    """`done` was claimed, or the policy waits for the second time in a row, after typed text that nobody submitted.

    Submitted is what was followed by Enter (a key, or a line end in a text), by a press on something that bears one
    of `words`, or by a press on something whose words are not known. It fires only where the page's text is known and
    holds one of the words, so that there is something to press.
    """

    words: tuple[str, ...]
    name: ClassVar[str] = "submit_forgotten"
    reason: ClassVar[StopReason] = StopReason.GUARD
    wants_facts: ClassVar[bool] = True

    def check(self, steps: Sequence[Step], screen: Observation) -> str:
        done = [step for step in steps if step.executed is not None]
        idle = [isinstance(step.executed, Wait) for step in done[-2:]] == [True, True]
        if not done or not (idle or isinstance(done[-1].executed, Done)):
            return ""
        button = find_word(screen.text or "", self.words)
        typed = ""
        for step in done:
            if isinstance(step.executed, Type) and step.changed:
                typed = step.executed.text
            if self._submits(step):
                typed = ""
        return f"{typed[:40]!r} was typed and never submitted; {button!r} is on the screen" if typed and button else ""

    def _submits(self, step: Step) -> bool:
        action = step.executed
        if isinstance(action, Type):
            return "\n" in action.text
        if isinstance(action, Key):
            return chord_parts(action.keys)[-1] == "enter"
        if not isinstance(action, PRESSES):
            return False
        near = step.facts.near if step.facts is not None else None
        return near is None or any(text is None or find_word(text, self.words) for text in near)


@dataclass(frozen=True)
class ClickOutside:
    """A press outside `ScreenFacts.content`, the page's or window's region; never fires where it is None."""

    name: ClassVar[str] = "click_outside"
    reason: ClassVar[StopReason] = StopReason.GUARD
    wants_facts: ClassVar[bool] = True

    def check(self, steps: Sequence[Step], screen: Observation) -> str:
        step = steps[-1] if steps else None
        if step is None or step.facts is None or step.facts.content is None or not isinstance(step.executed, PRESSES):
            return ""
        left, top, right, bottom = step.facts.content
        for x, y in points(step.executed):
            if not (left <= x <= right and top <= y <= bottom):
                return f"{step.executed.verb} at {x:g}, {y:g}, and the page lies within {step.facts.content}"
        return ""


def guards_for(limits: Limits, safety: SafetyConfig | None = None) -> tuple[Guard, ...]:
    """Return the guards of an episode: those that the settings name. A limit of 0 switches its guard off, too."""
    safety = safety or SafetyConfig()
    guards: dict[str, Guard] = {
        SubmitForgotten.name: SubmitForgotten(safety.submit_words),  # first: its text explains more than Unproved's
        Unproved.name: Unproved(),
        TypingIntoNothing.name: TypingIntoNothing(),
        ClickOutside.name: ClickOutside(),
    }
    if limits.same_action:
        guards[SameAction.name] = SameAction(limits.same_action)
    if limits.unchanged:
        guards[Unchanged.name] = Unchanged(limits.unchanged)
    return tuple(guard for name, guard in guards.items() if name in safety.guards)
