"""The tasks that a config names, and what it changes about them: environment, settings, limits, success check.

The command line wins over a task file, a task file over the config's file. `Config.given` names what the command line
set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from showonce.config import Config, LimitsConfig
from showonce.environments.factory import AUTO, OWN, EnvironmentFactory
from showonce.environments.registry import find_task, settings_of
from showonce.errors import ConfigError
from showonce.runtime.tasks import load_task
from showonce.schema import SchemaError
from showonce.types import Limits, Success, Task

WORLDS: Final = ("browser", "desktop", "embedded", "miniwob")  # each does its own tasks only
SETTINGS: Final = "environment.settings"


def tasks_of(config: Config) -> list[Task]:
    """Return the tasks that a config names. Raises TaskError as `task_named`, ConfigError: it names none."""
    names = [*config.tasks] or [config.task]
    if not any(names):
        raise ConfigError("task is empty: name one, e.g. task=app/dev/single/0, or a task file of your own.")
    return [task_named(name) for name in names]


def task_named(name: str) -> Task:
    """Return the task of a YAML file or a registered id. Raises TaskError as `find_task` and `load_task` do."""
    path = Path(name).expanduser()
    return load_task(path) if path.suffix in (".yaml", ".yml") or path.is_file() else find_task(name)


def environment_of(config: Config, tasks: Sequence[Task]) -> EnvironmentFactory:
    """Return what makes the environments of a config's tasks.

    Raises:
        SchemaError: the config or the command line names another environment than a task (both are named), or a
            setting is not one of the task's environment.
    """
    ours = config.environment
    first = {key.removeprefix(f"{SETTINGS}.").split(".")[0] for key in config.given if key.startswith(f"{SETTINGS}.")}
    given = {name: value for name, value in ours.settings.items() if name in first}
    made = EnvironmentFactory(
        ours.name, dict(ours.settings), config.safety, shipped=dict(ours.shipped), given=given,
        secret=dict(config.secret),
    )  # fmt: skip
    if not tasks:
        _check_settings(made.resolve(Task("", "", ""))[0], ours.settings)
    names = [*config.tasks] or [config.task]
    for at, task in enumerate(tasks):
        _check_home(config, made, task)
        name, settings = made.resolve(task)
        _check_settings(name, given)
        _check_settings(name, ours.settings, f"task {task.id!r} is done in {name}: ")
        _check_settings(name, ours.shipped if ours.name == name else {}, section="environment.shipped")
        try:
            settings_of(name, settings, whole=True)
        except ConfigError as error:
            where = names[at] if len(names) == len(tasks) and names[at] else task.id
            raise ConfigError(f"task {where}: {error}", key=error.key) from None
    return made


def _check_home(config: Config, made: EnvironmentFactory, task: Task) -> None:
    """Check that a task is done in the environment that the config names. Raises SchemaError: both are named."""
    run, name, own = config.environment.name, made.resolve(task)[0], task.split == OWN
    home = task.environment or name
    asked = any(key in ("environment", "environment.name") for key in config.given)
    if run not in (AUTO, home) and (asked if own else run in WORLDS):
        raise SchemaError(
            "environment" if "environment" in config.given else "environment.name",
            f"environment {run}, but task {task.id!r} is done in {home}: leave the environment out, or name a task of "
            f"{run}.",
        )
    lost = [key for key in made.settings if key not in made.given]
    if run not in (AUTO, name) and lost:
        raise SchemaError(
            f"{SETTINGS}.{lost[0]}",
            f"{SETTINGS}.{lost[0]} is a setting of {run}, but task {task.id!r} is done in {name}: leave it out.",
        )


def _check_settings(name: str, given: Mapping[str, Any], more: str = "", section: str = SETTINGS) -> None:
    """Check settings of one source. Raises SchemaError, which names the key."""
    for key, value in given.items():
        try:
            settings_of(name, {key: value})
        except ConfigError as error:
            raise SchemaError(f"{section}.{key}", f"{more}{error}") from None


def under(config: Config, environment: EnvironmentFactory, task: Task) -> Task:
    """Return a task as a config has it done: in its environment, with its success check and its limits."""
    success = next((Success(kind, value) for kind, value in dataclasses.asdict(config.success).items() if value), None)
    first = any(key.split(".")[0] == "success" for key in config.given)
    if success is None or (task.split == OWN and task.success != Success() and not first):
        success = task.success
    home = environment.resolve(task)[0] if task.split == OWN else task.environment
    return replace(task, environment=home, success=success, limits=limits_of(config, task))


def limits_of(config: Config, task: Task) -> Limits:
    """Return the limits of a task: those of the command line, else a task file's own, else the config's.

    What equals the default counts as not set. Of a task that ships, the config's win over its own.
    """
    default, own = dataclasses.asdict(LimitsConfig()), dataclasses.asdict(task.limits)
    changed = {
        name: value
        for name, value in dataclasses.asdict(config.limits).items()
        if f"limits.{name}" in config.given
        or (value != default[name] and (task.split != OWN or own[name] == default[name]))
    }
    return replace(task.limits, **changed)
