"""Success checks. A policy's `done` is only a claim; a checker looks for evidence and decides."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, Protocol

from showonce.actions import Action, Done
from showonce.errors import EnvironmentBroken, TaskError, nearest
from showonce.protocols import Downloads, Environment, Paged, ability
from showonce.runtime.approvals import NobodyThere, Person
from showonce.types import Observation, Outcome, Task


class Checker(Protocol):
    """Asked after every executed action, and once more with `last` when the episode ends for another reason.

    The outcome is open (success None) until it is decided; with `last` it should be decided.
    """

    @property
    def name(self) -> str: ...
    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome: ...


class World:
    """The environment's own `verify`, which also judges single steps."""

    name: ClassVar[str] = "world"

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        outcome = self._environment.verify()
        if last and outcome.success is None:
            return replace(outcome, success=False, evidence=outcome.evidence or "not reached when the episode ended")
        return outcome


class Text:
    """The observation's text contains `value`; case and white space do not matter."""

    name: ClassVar[str] = "text"

    def __init__(self, value: str) -> None:
        self._value = value

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        if screen.text is None:
            return Outcome(False if last else None, self.name, "this environment gives no text of its screen")
        found = normal(self._value) in normal(screen.text)
        evidence = f"{self._value!r} {'is' if found else 'is not'} in the text of the screen"
        return Outcome(True if found else (False if last else None), self.name, evidence)


class Url:
    """The page's address contains `value`; a `value` with ``*`` (any characters) has to match the whole address."""

    name: ClassVar[str] = "url"

    def __init__(self, value: str, page: Paged) -> None:
        self._value, self._page = value, page

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        url = self._page.url
        pattern = re.escape(self._value.strip()).replace(r"\*", ".*")
        look = re.fullmatch if "*" in self._value else re.search
        found = look(pattern, url, re.IGNORECASE | re.DOTALL) is not None
        return Outcome(True if found else (False if last else None), self.name, f"the address is {url}")


class Selector:
    """An element that `value` selects is visible on the page."""

    name: ClassVar[str] = "selector"

    def __init__(self, value: str, page: Paged) -> None:
        self._value, self._page = value, page

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        found = self._page.shows(self._value)
        evidence = f"{self._value} {'is' if found else 'is not'} visible"
        return Outcome(True if found else (False if last else None), self.name, evidence)


class File:
    """A file was made or changed since the episode began.

    value: a path; its name may hold ``*``. A relative one is looked for in the environment's
    downloads folder, if it has one, else in the working folder.
    """

    name: ClassVar[str] = "file"

    def __init__(self, value: str, downloads: Downloads | None) -> None:
        self._path = Path(value.strip()).expanduser()
        self._downloads = downloads
        self._before = self._there()

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        new = [path for path, state in self._there().items() if self._before.get(path) != state]
        evidence = f"{new[0]} is there" if new else f"no new {self._path}"
        return Outcome(True if new else (False if last else None), self.name, evidence)

    def _there(self) -> dict[Path, tuple[int, int]]:
        """Return (size, time of change) of every file that matches."""
        found = {}
        try:
            root = self._downloads.folder if self._downloads is not None else Path()
        except EnvironmentBroken:  # before its first reset it has no downloads
            return {}
        for path in (root / self._path.parent).glob(self._path.name):
            with contextlib.suppress(OSError):
                state = path.stat()
                found[path] = (state.st_size, state.st_mtime_ns)
        return found


class GivenAnswer:
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
    """A person is asked, on `done` or when the episode ends. Without an answer the outcome stays open."""

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
    """Checks nothing: the outcome stays open, which counts as no success."""

    name: ClassVar[str] = "none"

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        return Outcome(None, self.name, "this task has no success check")


def normal(text: str) -> str:
    """Return `text` for comparing: Unicode NFKC, lower case, outer punctuation off, white space as single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .,;:!?\"'`")


_KINDS: Final[dict[str, Callable[[Task, Environment, Person], Checker]]] = {
    "world": lambda task, environment, person: World(environment),
    "text": lambda task, environment, person: Text(task.success.value),
    "url": lambda task, environment, person: Url(task.success.value, _page(task, environment)),
    "selector": lambda task, environment, person: Selector(task.success.value, _page(task, environment)),
    "file": lambda task, environment, person: File(task.success.value, ability(environment, Downloads)),
    "answer": lambda task, environment, person: GivenAnswer(task.success.value),
    "ask_person": lambda task, environment, person: AskPerson(task.goal, person),
    "none": lambda task, environment, person: Nobody(),
}
KINDS: Final = tuple(_KINDS)
_VALUED: Final = ("text", "url", "selector", "file", "answer")


def make_checker(task: Task, environment: Environment, person: Person | None = None) -> Checker:
    """Return the checker that the task asks for; `person` answers for `ask_person` (default: nobody does).

    Raises:
        TaskError: an unknown kind, no value for a kind that needs one, `url` or `selector` in an environment without
            pages, or `world` in one that cannot verify.
    """
    kind = task.success.kind
    if kind not in _KINDS:
        raise TaskError(f"task {task.id!r}: unknown success.kind {kind!r}.{nearest(kind, _KINDS)}")
    if kind in _VALUED and not (
        normal(task.success.value) if kind in ("text", "answer") else task.success.value.strip()
    ):
        raise TaskError(f"task {task.id!r}: success.kind={kind} needs a success.value to look for.")
    if kind == "world" and not environment.capabilities.verifiable:
        raise TaskError(
            f"task {task.id!r}: environment {environment.name!r} cannot verify success by itself. "
            "Set success.kind to text, url, selector, file, answer, ask_person or none."
        )
    return _KINDS[kind](task, environment, person or NobodyThere())


def _page(task: Task, environment: Environment) -> Paged:
    """Return the environment's page. Raises TaskError where it has none."""
    page = ability(environment, Paged)
    if page is None:
        raise TaskError(
            f"task {task.id!r}: environment {environment.name!r} has no pages for success.kind={task.success.kind}."
            " Use environment browser, or set success.kind to world, text, answer, file, ask_person or none."
        )
    return page
