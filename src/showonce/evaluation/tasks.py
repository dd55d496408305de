"""Which tasks are measured: named sets, the same at every call.

Goal words, word-meaning pairs and multi-step programs of the splits are disjoint by construction of the apps; learning
is handed one task and one demonstration at a time and never sees this module. `showonce.seeds` says on which seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from showonce.environments.embedded.families import FAMILIES
from showonce.environments.embedded.hard import PARTS, PREFIX, find_hard, measured
from showonce.environments.embedded.language import App, apps, find_app
from showonce.environments.registry import find_task
from showonce.errors import ConfigError, TaskError, nearest
from showonce.types import Task

SETS: Final = ("skills", "single", "multi", "hard")


@dataclass(frozen=True)
class TaskSet:
    """Tasks under a name, each measured on the same seeds."""

    name: str
    split: str
    tasks: tuple[Task, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(task.id for task in self.tasks)


def task_set(name: str, split: str = "test", n: int = 0) -> TaskSet:
    """Return a set: ``skills`` (every built-in family), ``hard``, or the ``single`` or ``multi`` apps of a split.

    n: the first so many (0, or more than there are: all). Skills and the hard set belong to no split.

    Raises:
        ConfigError: no such set or split.
    """
    if name == "core_table":
        raise ConfigError("evaluation.set=core_table is a command now: python -m benchmarks.core_table")
    if name not in SETS:
        raise ConfigError(f"evaluation.set={name!r} is not a task set.{nearest(name, SETS)}")
    if name == "skills":
        ids = [f"skill/{family}" for family in FAMILIES]
    elif name == "hard":
        ids = [*measured()]
    else:
        ids = [app_id for app_id in apps() if app_id.startswith(f"app/{split}/{name}/")]
    if not ids:
        raise ConfigError(f"evaluation.split={split!r} has no {name} apps; splits are train, dev and test.")
    return TaskSet(name, split, tuple(find_task(i) for i in ids[: n or None]))


def lessons_of(task: Task) -> tuple[Task, ...]:
    """Return what is taught, in this order, before a task is measured: for most tasks the task itself."""
    if not task.id.startswith(PREFIX):
        return (task,)
    return tuple(task if name == task.id else find_task(name) for name in find_hard(task.id).lessons)


def part_of(task_id: str) -> tuple[str, str]:
    """Return the part of its set that a task belongs to and what that part separates, ("", "") where it has none."""
    if not task_id.startswith(PREFIX):
        return "", ""
    part = find_hard(task_id).part
    return part, PARTS[part]


def other_meaning(task: Task) -> Task:
    """Return the same word with another meaning: the goal of `task`, the program of the next app of its kind.

    Single-step: the next one with another target, so that doing the first thing can never pass for the second. Which
    app that is depends on `task` alone.

    Raises:
        TaskError: not an app, or there is no app with another meaning.
    """
    app, others = _app_of(task), _siblings(task)
    at = next(i for i, other in enumerate(others) if other.id == app.id)
    for other in others[at + 1 :] + others[:at]:
        if {phrase[1:] for phrase in other.program}.isdisjoint(phrase[1:] for phrase in app.program):
            return replace(find_task(other.id), goal=task.goal)
    raise TaskError(f"no other {task.split} app has another meaning than {task.id!r}.")


def untaught_goals(task: Task, taught: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the goal words of the other apps of the same split and kind, in a fixed order, `taught` ones left out.

    Raises:
        TaskError: not an app.
    """
    _app_of(task)
    return tuple(app.word for app in _siblings(task) if app.word != task.goal and app.word not in taught)


def _app_of(task: Task) -> App:
    if not task.id.startswith("app/"):
        raise TaskError(f"{task.id!r} is not an app; this needs one, such as app/dev/single/0.")
    return find_app(task.id)


def siblings(task: Task) -> tuple[Task, ...]:
    """Return the apps of the same split and kind as tasks, `task` itself among them.

    Raises:
        TaskError: not an app.
    """
    _app_of(task)
    return tuple(find_task(app.id) for app in _siblings(task))


def _siblings(task: Task) -> list[App]:
    prefix = task.id.rsplit("/", 1)[0] + "/"
    return [app for app_id, app in apps().items() if app_id.startswith(prefix)]
