"""What stands between a replay and the steps that must not be done twice, and what may say that they were done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from showonce.actions import Action, Done, Move, Scroll, Wait
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import ConfigError
from showonce.protocols import Context, Environment, Interrupt
from showonce.runtime.approvals import Person
from showonce.runtime.completion import Checker, Nobody, make_checker
from showonce.runtime.replay import ReplayPolicy
from showonce.runtime.stop import Stop
from showonce.runtime.waiting import Waiting
from showonce.types import Check, Demonstration, Executed, Observation, Outcome, Step, Task

SENDS_NOTHING: Final = (Done, Move, Scroll, Wait)
UNCHECKABLE: Final = ("ask_person", "answer", "file")  # success kinds that say nothing before the first step


class Decisive(Wrapper):
    """Calls `begin` once, before the first action of the first decisive step, whatever was waited for or added before.

    steps: the decisive ones of the demonstration, from 1. checker: of the task, else the texts that the person said
    must be there after the last of them; either one decides only once that step was done, since what it looks for
    may have been on an earlier screen. sending: whether `begin` was called.
    """

    def __init__(
        self, inner: Environment, task: Task, shown: Demonstration, steps: Sequence[int], begin: Callable[[], None],
        person: Person | None, longer: float, stop: Stop,
    ) -> None:  # fmt: skip
        super().__init__(inner)
        self.sending, self.sent = False, False
        self._first, self._last, self._begin = min(steps, default=1), max(steps, default=1), begin
        self._task, self._due = task, 0  # index of the step that is due
        self._policy: ReplayPolicy | None = None
        self.done_as: dict[int, int] = {}  # step of the demonstration -> step of the attempt, both from 1
        ends = closing_checks(shown, steps)
        self.checker: Checker = make_checker(task, inner, person) if task.success.kind != "none" else Nobody()
        if ends and task.success.kind == "none":
            self.checker = _Said(inner, shown, ends, longer, stop)

    def follow(self, policy: ReplayPolicy) -> Sequence[Any]:
        """Return the observers of a replay by which it is known which step is due."""
        self._policy = policy
        return (self,)

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        if self._policy is not None and step.executed is not None:
            done = self._policy.step_of(len(context.actions))
            if done is not None:  # else it was added by the replay
                self._due = done + 1
                self.done_as[done + 1] = step.index + 1

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        """Prepare the screen. Raises ConfigError: what is to verify success is true already."""
        seen = self.inner.reset(task, seed)
        if self._task.success.kind not in UNCHECKABLE:
            found = self.checker.check(seen, None)
            if found.success is True:
                raise ConfigError(
                    f"the success check of {self._task.id!r} is true before the first step ({found.evidence}), so it "
                    "would verify nothing. Choose something that only the end of the task shows.",
                    key="do.success",
                )
        return seen

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        acts = not isinstance(action, SENDS_NOTHING)
        if acts and not self.sending and self._due + 1 >= self._first:
            interrupt.check()
            self._begin()
            self.sending = True
        done = self.inner.execute(action, interrupt)
        self.sent = self.sent or (acts and self._due + 1 >= self._last)
        return done

    def checked(self) -> Checker:
        """Return the checker of the attempt."""
        return self.checker if isinstance(self.checker, Nobody) else _OnceSent(self)


def closing_checks(shown: Demonstration, steps: Sequence[int]) -> tuple[Check, ...]:
    """Return the texts that the person said must be there after the last decisive step: only these verify anything."""
    return tuple(check for check in shown.checks if check.step >= max(steps, default=1))


class _OnceSent:
    """The checker of a `Decisive`, which says nothing before the last decisive step was done."""

    def __init__(self, decisive: Decisive) -> None:
        self._decisive = decisive

    @property
    def name(self) -> str:
        return self._decisive.checker.name

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        if self._decisive.sent:
            return self._decisive.checker.check(screen, action, last)
        return Outcome(False if last else None, self.name, "what sends it was not done" if last else "")


class _Said:
    """The texts that must be there at the end of a recording; each is waited for `longer` seconds at the end."""

    name: ClassVar[str] = "recording"

    def __init__(
        self, environment: Environment, shown: Demonstration, checks: Sequence[Check], longer: float, stop: Stop
    ) -> None:
        self._steps, self._text = sorted({check.step for check in checks}), checks[-1].text
        self._now = Waiting(environment, shown.frames, True, 0.0, (), checks, stop)
        self._waits = Waiting(environment, shown.frames, True, longer, (), checks, stop)

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        first, ends = action is None and not last, last or isinstance(action, Done)
        if not (first or ends):
            return Outcome(None, self.name)
        waits = self._now if first else self._waits
        missing = next(filter(None, (waits.unmet(step, screen)[0] for step in self._steps)), "")
        if missing:
            return Outcome(False if last else None, self.name, missing)
        return Outcome(True, self.name, f"{self._text!r} is on the screen")
