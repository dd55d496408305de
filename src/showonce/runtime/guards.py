"""Loop guards: they end an episode that goes round in circles. Each has a name, can be switched off and gives an event.

A guard is a pure function of the steps so far; it returns what it saw, or the empty text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from showonce.actions import Done, Wait
from showonce.types import Limits, Observation, Step, StopReason


class Guard(Protocol):
    """Looks at the steps so far, and at the screen after the last one. `reason` is how the episode ends if it fires."""

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


def guards_for(limits: Limits) -> tuple[Guard, ...]:
    """Return the guards of an episode; a limit of 0 switches its guard off."""
    guards: list[Guard] = [Unproved()]
    if limits.same_action:
        guards.append(SameAction(limits.same_action))
    if limits.unchanged:
        guards.append(Unchanged(limits.unchanged))
    return tuple(guards)
