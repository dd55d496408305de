"""Is it done? The policy's `done` is a claim; a checker looks for evidence and decides."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final, Protocol

from showonce.actions import Action, Done
from showonce.errors import TaskError, nearest
from showonce.protocols import Environment
from showonce.runtime.approvals import ConsoleApprover, Person
from showonce.types import Observation, Outcome, Task


class Checker(Protocol):
    """Asked after every executed action, and once more with `last` when the episode ends for another reason.

    The answer is open (success None) as long as nothing is decided; with `last` it should be decided.
    """

    @property
    def name(self) -> str: ...
    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome: ...


class World:
    """The environment verifies it, also per step."""

    name: ClassVar[str] = "world"

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        outcome = self._environment.verify()
        if last and outcome.success is None:
            return replace(outcome, success=False, evidence=outcome.evidence or "not reached when the episode ended")
        return outcome


class Text:
    """`value` is to be found in the observation's text; case and runs of white space do not matter."""

    name: ClassVar[str] = "text"

    def __init__(self, value: str) -> None:
        self._value = value

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        if screen.text is None:
            return Outcome(False if last else None, self.name, "this environment gives no text of its screen")
        found = normal(self._value) in normal(screen.text)
        evidence = f"{self._value!r} {'is' if found else 'is not'} in the text of the screen"
        return Outcome(True if found else (False if last else None), self.name, evidence)


class Answer:
    """The answer given with `done` equals `value`; see `normal`."""

    name: ClassVar[str] = "answer"

    def __init__(self, value: str) -> None:
        self._value = value

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        if isinstance(action, Done):
            right = normal(action.answer) == normal(self._value)
            return Outcome(right, self.name, f"the answer was {action.answer!r}")
        return Outcome(False if last else None, self.name, "no answer was given")


class AskPerson:
    """A person says whether it worked: on `done`, or when the episode ends. Nobody there: the outcome stays open."""

    name: ClassVar[str] = "ask_person"

    def __init__(self, goal: str, person: Person) -> None:
        self._goal = goal
        self._person = person

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        if not last and not isinstance(action, Done):
            return Outcome(None, self.name)
        answer = self._person.confirm(f"Was this done: {self._goal!r}?")
        return Outcome(answer, self.name, "nobody answered" if answer is None else "a person said so")


class Nobody:
    """Nothing is checked: the outcome stays open for ever, and an open outcome is no success."""

    name: ClassVar[str] = "none"

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        return Outcome(None, self.name, "this task has no success check")


def normal(text: str) -> str:
    """Return `text` for comparing: Unicode NFKC, lower case, outer punctuation off, white space as single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .,;:!?\"'`")


_KINDS: Final[dict[str, Callable[[Task, Environment, Person], Checker]]] = {
    "world": lambda task, environment, person: World(environment),
    "text": lambda task, environment, person: Text(task.success.value),
    "answer": lambda task, environment, person: Answer(task.success.value),
    "ask_person": lambda task, environment, person: AskPerson(task.goal, person),
    "none": lambda task, environment, person: Nobody(),
}
KINDS: Final = tuple(_KINDS)


def make_checker(task: Task, environment: Environment, person: Person | None = None) -> Checker:
    """Return the checker that the task asks for; `person` answers for `ask_person` (default: the console).

    Raises:
        TaskError: an unknown kind, a kind that needs a value without one, or `world` where nothing is verifiable.
    """
    kind = task.success.kind
    if kind not in _KINDS:
        raise TaskError(f"task {task.id!r}: unknown success.kind {kind!r}.{nearest(kind, _KINDS)}")
    if kind in ("text", "answer") and not normal(task.success.value):
        raise TaskError(f"task {task.id!r}: success.kind={kind} needs a success.value to look for.")
    if kind == "world" and not environment.capabilities.verifiable:
        raise TaskError(
            f"task {task.id!r}: environment {environment.name!r} cannot verify success by itself. "
            "Set success.kind to text, answer, ask_person or none."
        )
    return _KINDS[kind](task, environment, person or ConsoleApprover())
