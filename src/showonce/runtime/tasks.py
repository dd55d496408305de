"""A user's own tasks: YAML files to `types.Task`, and how an episode's start is prepared.

id: user/close-the-box         # default: user/ and the file's name
goal: click ok
environment: {name: embedded, settings: {}}  # default: the run's, else embedded
start: ""                      # where the environment begins, in its own words (an address, a family)
success: {kind: world, value: ""}
reset: environment             # environment | command:... | ask_person | none
limits: {max_steps: 12}
redact: [[0.0, 0.9, 1.0, 1.0]] # left, top, right, bottom: blanked in everything that is stored
secret: {password: env:CRM_PW} # where its secrets come from: env:VARIABLE, keyring:SERVICE/USER or prompt
"""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from showonce.about import shipped_root
from showonce.config import LimitsConfig
from showonce.demonstrations.redact import check_regions
from showonce.environments.registry import settings_of
from showonce.errors import BadInput, ConfigError, EnvironmentBroken, TaskError, nearest
from showonce.protocols import Environment
from showonce.runtime.approvals import NobodyThere, Person
from showonce.runtime.completion import KINDS
from showonce.schema import SchemaError, build
from showonce.secrets import check_source
from showonce.types import Limits, Observation, Success, Task

RESETS: Final = ("environment", "command", "ask_person", "none")
COMMAND_SECONDS: Final = 600.0
_KEYS: Final = ("id", "goal", "environment", "start", "success", "reset", "limits", "redact", "secret")


def load_task(path: str | Path) -> Task:
    """Return the task of a YAML file; where there is none, ``configs/tasks/NAME.yaml`` is the shipped one of that name.

    Raises:
        TaskError: it cannot be read, is not YAML (with the line), or has an unknown key or a wrong value; the text
            names the file, the key and the nearest valid key.
    """
    file = Path(path)
    shipped = shipped_root("configs") / "tasks" / file.name
    if not file.exists() and file.parts[:-1] == ("configs", "tasks") and shipped.is_file():
        file = shipped
    try:
        data = yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        known = sorted(f"configs/tasks/{example.name}" for example in shipped.parent.glob("*.yaml"))
        raise TaskError(f"no task file {file}.{nearest(str(file), known)}") from None
    except UnicodeDecodeError as error:
        raise TaskError(f"task file {file}: is not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise TaskError(f"task file {file}: cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise TaskError(
            f"task file {file}{line}: is not valid YAML: {problem}. Check colons, quotes and indentation."
        ) from None
    return task_from_mapping(data, file)


def task_from_mapping(data: Any, file: Path) -> Task:
    """Return the task that a parsed file holds. Raises TaskError as `load_task` does."""
    given = _mapping(data, file, "", _KEYS)
    goal = _text(given.get("goal"), file, "goal")
    if not goal.strip():
        raise TaskError(f"task file {file}: goal is missing. Say in words what is to be done, e.g. goal: click ok")
    environment = _named(given.get("environment", ""), file, "environment", "name", ("name", "settings"))
    success = _named(given.get("success", "world"), file, "success", "kind", ("kind", "value"))
    kind = _text(success.get("kind", "world"), file, "success.kind")
    if kind not in KINDS:
        raise TaskError(f"task file {file}: success.kind {kind!r} is not known.{nearest(kind, KINDS)}")
    value = _text(success.get("value", ""), file, "success.value")
    if kind in ("text", "answer") and not value.strip():
        raise TaskError(f"task file {file}: success.kind={kind} needs success.value, the text to look for.")
    settings = environment.get("settings") or {}
    if not isinstance(settings, dict):
        raise TaskError(f"task file {file}: environment.settings must be keys with values, not {settings!r}.")
    name = _text(environment.get("name", ""), file, "environment.name")
    try:
        if settings and name:
            settings_of(name, settings)
    except ConfigError as error:
        raise TaskError(f"task file {file}: {error}") from None
    try:
        regions = check_regions(given.get("redact") or [])
    except BadInput as error:
        raise TaskError(f"task file {file}: {error}") from None
    secret = given.get("secret") or {}
    if not isinstance(secret, dict):
        raise TaskError(f"task file {file}: secret must be keys with values, e.g. secret: {{password: env:CRM_PW}}.")
    try:
        for key, source in secret.items():
            check_source(f"secret.{key}", source)
    except ConfigError as error:
        raise TaskError(f"task file {file}: {error}") from None
    return Task(
        id=_text(given.get("id", f"user/{file.stem}"), file, "id"),
        goal=goal,
        environment=name,
        settings={str(k): v for k, v in settings.items()},
        start=_text(given.get("start", ""), file, "start"),
        success=Success(kind, value),
        reset=_reset(given.get("reset", "environment"), file),
        limits=_limits(given.get("limits") or {}, file),
        redact=regions,
        secret={str(key): source for key, source in secret.items()},
        file=str(file.resolve()),
    )


def _mapping(data: Any, file: Path, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if data is None and not where:
        raise TaskError(f"task file {file}: is empty; it must hold `key: value` lines ({', '.join(keys)}).")
    if not isinstance(data, dict):
        what = f"{where} must be" if where else "it must hold"
        raise TaskError(f"task file {file}: {what} keys with values ({', '.join(keys)}), not {data!r}.")
    for key in data:
        if key not in keys:
            name = f"{where}.{key}" if where else str(key)
            below = (
                " Settings stand below the environment: environment: {name: ..., settings: {...}}."
                if key == "settings"
                else ""
            )
            raise TaskError(f"task file {file}: unknown key {name!r}.{below or nearest(str(key), keys)}")
    return data


def _named(data: Any, file: Path, where: str, short: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a section, where a bare word stands for its first key."""
    return {short: data} if isinstance(data, str) else _mapping(data, file, where, keys)


def _text(value: Any, file: Path, key: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TaskError(f"task file {file}: {key} must be text, not {value!r}. Put it in quotes.")
    return str(value)


def _limits(data: Any, file: Path) -> Limits:
    given = _mapping(data, file, "limits", tuple(f.name for f in dataclasses.fields(Limits)))
    try:
        return Limits(**dataclasses.asdict(build(LimitsConfig, given, "limits")))
    except SchemaError as error:
        raise TaskError(f"task file {file}: {error}") from None


def _reset(value: Any, file: Path) -> str:
    if isinstance(value, dict):
        value = f"command:{_text(_mapping(value, file, 'reset', ('command',)).get('command'), file, 'reset.command')}"
    text = "none" if value is None else _text(value, file, "reset")
    kind, _, command = text.partition(":")
    if kind not in RESETS or (":" in text and kind != "command"):
        raise TaskError(f"task file {file}: reset {text!r} is not known.{nearest(kind, RESETS)}")
    if kind == "command" and not command.strip():
        raise TaskError(f"task file {file}: reset: command needs a command, e.g. reset: 'command:rm -f /tmp/box'")
    return text


def reset_task(
    task: Task, environment: Environment, seed: int | None = None, person: Person | None = None
) -> Observation:
    """Prepare the start as `task.reset` says, and return the first screen.

    A command runs in the shell and must end with 0; a person is asked to prepare and confirm. The environment
    is given the task in every case; one that can go on with the screen as it is looks at ``task.reset == "none"``.

    Raises:
        EnvironmentBroken: the command failed or took too long, the person did not confirm, or the reset failed.
    """
    kind, _, command = task.reset.partition(":")
    if kind == "command":
        _run_command(command.strip(), task)
    elif kind == "ask_person":
        answer = (person or NobodyThere()).confirm(f"Prepare the start of {task.goal!r}. Ready?")
        if not answer:
            raise EnvironmentBroken(f"task {task.id!r}: the person did not confirm that the start is prepared.")
    elif kind not in RESETS:
        raise TaskError(f"task {task.id!r}: reset {task.reset!r} is not known.{nearest(kind, RESETS)}")
    return environment.reset(task, seed)


def _run_command(command: str, task: Task) -> None:
    try:
        done = subprocess.run(
            command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentBroken(
            f"task {task.id!r}: the reset command {command!r} did not end within {COMMAND_SECONDS:g} s."
        ) from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise EnvironmentBroken(
            f"task {task.id!r}: the reset command {command!r} ended with {done.returncode}: {said or 'no output'}"
        )
