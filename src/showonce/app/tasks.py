"""The tasks that a config names, and what it changes about them: environment, settings, limits, success check.

The command line wins over a task file, a task file over the config's file. `Config.given` names what the command line
set.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from showonce.config import Config, LimitsConfig
from showonce.demonstrations import read_meta
from showonce.demonstrations.format import META, task_to_json
from showonce.environments.factory import AUTO, OWN, EnvironmentFactory
from showonce.environments.registry import find_task, settings_of
from showonce.errors import ConfigError, DemonstrationError, TaskError
from showonce.runtime.tasks import load_task, task_from_mapping
from showonce.schema import SchemaError
from showonce.types import Limits, Success, Task

WORLDS: Final = ("browser", "desktop", "embedded", "miniwob")  # each does its own tasks only
SETTINGS: Final = "environment.settings"


def tasks_of(config: Config) -> list[Task]:
    """Return the tasks that a config names, else that of the demonstration which the command line names.

    Raises:
        TaskError: as `task_named`. ConfigError: it names none. DemonstrationError: as `task_of_episode`.
    """
    names = [*config.tasks] or [config.task]
    shown, given = config.demonstration, config.given
    if shown not in ("auto", "none") and "demonstration" in given and not ({"task", "tasks"} & {*given}):
        return [task_of_episode(Path(shown).expanduser())]
    if not any(names):
        raise ConfigError("task is empty: name one, e.g. task=app/dev/single/0, or a task file of your own.")
    return [task_named(name) for name in names]


def task_named(name: str) -> Task:
    """Return the task of a YAML file or a registered id. Raises TaskError as `find_task` and `load_task` do."""
    path = Path(name).expanduser()
    return load_task(path) if path.suffix in (".yaml", ".yml") or path.is_file() else find_task(name)


def task_of_episode(path: Path) -> Task:
    """Return the task that an episode is of: the registered one of its id, else the one that it holds.

    What a task has run on this machine is taken from an episode only where the task file that it was recorded with is
    there and says the same: an episode that came from elsewhere starts no program.

    Raises:
        DemonstrationError: it is of an older showonce and holds no task, or would start a program.
        TaskError: the task that it holds cannot be used.
    """
    meta = read_meta(path)
    task_id, held = meta["task_id"], meta.get("task")
    try:
        return task_named(task_id)
    except TaskError as error:
        if not isinstance(held, dict):
            raise DemonstrationError(
                f"{path} is an episode of {task_id!r}: name its file by task=FILE.yaml."
            ) from error
    file = str(held.get("file") or "")
    if run := _programs(held):  # asked before anything of it is used
        with contextlib.suppress(TaskError):
            if file and _programs(task_to_json(load_task(file))) == run:
                run = []
    if run:
        raise DemonstrationError(
            f"{path} is an episode of {task_id!r}, which runs {', '.join(map(repr, run))} here. That is not taken from "
            "an episode: name its file by task=FILE.yaml."
        )
    dropped = {"file", "secret"}  # where a secret comes from is said here, not by a file from elsewhere
    with contextlib.suppress(TaskError):
        if file and task_to_json(load_task(file)).get("secret") == held.get("secret"):
            dropped = {"file"}
    return task_from_mapping({key: value for key, value in held.items() if key not in dropped}, path / META)


def _programs(task: Mapping[str, Any]) -> list[str]:
    """Return what a task, as `task_to_json` spells it, has run on this machine: shell commands, programs, code."""
    home = task.get("environment")
    home = home if isinstance(home, dict) else {"name": home}
    name, settings, reset = str(home.get("name") or ""), home.get("settings") or {}, task.get("reset")
    found: list[Any] = [reset if isinstance(reset, dict) else str(reset or "").partition(":")[2]]
    found += [task.get("start") if name not in ("browser", "browsergym", "embedded", "miniwob") else ""]
    found += [settings.get(key) for key in ("verifier", "browser")] if isinstance(settings, dict) else [settings]
    found += [name if ":" in name else ""]
    return [str(text) for text in found if text and str(text).strip()]


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
        secret=dict(config.secret), marked=config.record.secrets,
    )  # fmt: skip
    if not tasks:
        _check_settings(made.resolve(Task("", "", ""))[0], ours.settings)
    names = [*config.tasks] or [config.task]
    for at, task in enumerate(tasks):
        made.sources(task)  # there from the beginning, so that every phase has the same factory
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
