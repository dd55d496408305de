"""Environments by name. Each is imported only when it is made."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from showonce.actions import Action
from showonce.environments.settings import EnvironmentSettings
from showonce.errors import ConfigError, TaskError, nearest
from showonce.plugins import Registry
from showonce.protocols import Environment, EventSource, Oracle, Recordable, ability
from showonce.schema import SchemaError, build
from showonce.secrets import NOWHERE, Places
from showonce.types import Task

ENVIRONMENTS: Final = Registry(
    "environment",
    "showonce.environments",
    {
        "browser": "showonce.environments.browser.world:BrowserEnvironment",
        "browsergym": "showonce.environments.browsergym:BrowserGymEnvironment",
        "desktop": "showonce.environments.desktop.environment:Desktop",
        "embedded": "showonce.environments.embedded.world:EmbeddedWorld",
        "miniwob": "showonce.environments.miniwob.world:MiniWoB",
    },
    "environment.name",
)
COMMON: Final = tuple(field.name for field in dataclasses.fields(EnvironmentSettings))  # settings of every environment
METHODS: Final = ("reset", "observe", "execute", "verify", "close")


def make_environment(name: str, **settings: Any) -> Environment:
    """Make an environment by name, with values for its settings; `showonce doctor --settings NAME` lists them.

    name: a built-in environment, an entry point of the group ``showonce.environments``, or ``module:Class``. A class
    takes one argument, an instance of its attribute `Settings`; one without that attribute takes its settings as
    keyword arguments.

    Example:
        >>> world = make_environment("embedded", theme="dark")
        >>> world.reset(find_task("app/dev/single/0"), seed=1).image.shape
        (112, 112, 3)

    Raises:
        Unavailable: what the environment needs is not installed.
        ConfigError: an unknown name or setting (the nearest valid one is named), or a value of the wrong type or range.
    """
    own = settings_of(name, settings, whole=True)
    cls = _environment_class(name)
    keywords = {key: value for key, value in settings.items() if key not in COMMON}
    environment: Environment = cls(own) if hasattr(cls, "Settings") else cls(**keywords)
    if not (own.ocr or own.marks):
        return environment
    from showonce.environments.wrappers.perceive import Perceiving

    return Perceiving(environment, own.ocr, own.marks)


def settings_of(name: str, given: Mapping[str, Any], whole: bool = False) -> EnvironmentSettings:
    """Check values for the settings of an environment, and return all of them. Raises ConfigError as above.

    whole: nothing that is required may be missing. Of a class without `Settings`, what it takes as keyword arguments is
    checked by name alone and not among what is returned.
    """
    cls = _environment_class(name)
    try:
        if not hasattr(cls, "Settings"):
            _check_keywords(cls, [key for key in given if key not in COMMON], whole)
            given = {key: value for key, value in given.items() if key in COMMON}
        return build(settings_type(name), given, "environment.settings")
    except SchemaError as error:
        listing = f"`showonce doctor --settings {name}` lists the settings of this environment."
        raise ConfigError(f"environment {name}: {error} {listing}", key="config.settings") from None


def _check_keywords(cls: Any, names: Sequence[str], whole: bool) -> None:
    """Raise SchemaError for a name that a class does not take as a keyword argument, or for one that it requires."""
    taken = [one for one in inspect.signature(cls).parameters.values() if one.kind is not one.VAR_POSITIONAL]
    known = [one.name for one in taken if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    unknown = [] if any(one.kind is one.VAR_KEYWORD for one in taken) else [name for name in names if name not in known]
    for name in unknown[:1]:
        hint = nearest(name, [*known, *COMMON])
        raise SchemaError(f"environment.settings.{name}", f"unknown key {name!r} in environment.settings.{hint}")
    for one in taken if whole else ():
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and one.name not in names:
            raise SchemaError(f"environment.settings.{one.name}", f"environment.settings.{one.name} is required.")


def settings_type(name: str) -> type[EnvironmentSettings]:
    """Return the dataclass of an environment's settings. Raises ConfigError: no such environment."""
    found: type[EnvironmentSettings] = getattr(_environment_class(name), "Settings", EnvironmentSettings)
    return found


def _environment_class(name: str) -> Any:
    """Return the class of an environment. Raises ConfigError: there is none, or it lacks what an environment has."""
    cls = ENVIRONMENTS.load(name)
    lacks = [method for method in METHODS if not callable(getattr(cls, method, None))]
    if lacks:
        raise ConfigError(
            f"environment.name={name!r} is no environment: it has no {', '.join(f'{one}()' for one in lacks)}. See "
            "showonce.protocols.Environment.", key="plugin.kind",
        )  # fmt: skip
    return cls


def find_task(task_id: str) -> Task:
    """Return a registered task: of the embedded world, ``site/NAME`` (the demo site) or ``miniwob/NAME``.

    Example:
        >>> find_task("app/dev/single/0").success
        Success(kind='world', value='')

    Raises:
        TaskError: no such id; the nearest is named.
    """
    from showonce.environments.browser import tasks as site
    from showonce.environments.miniwob import tasks as miniwob

    if task_id.startswith(site.PREFIX):
        return site.task_for(task_id)
    if task_id.startswith(miniwob.PREFIX) or task_id in miniwob.NAMES:
        return miniwob.task_for(task_id)
    from showonce.environments.embedded import world as embedded

    if task_id.startswith(("skill/", "app/", "hard/")):
        return embedded.task_for(task_id)
    known = nearest(task_id, all_task_ids())
    raise TaskError(f"no task {task_id!r}.{known} `showonce doctor --tasks` lists them; a file of your own: NAME.yaml.")


def task_ids() -> tuple[str, ...]:
    """Return every registered task id of the embedded world."""
    from showonce.environments.embedded.world import task_ids as embedded

    return embedded()


def all_task_ids() -> tuple[str, ...]:
    """Return every registered task id."""
    from showonce.environments.browser import tasks as site
    from showonce.environments.miniwob import tasks as miniwob

    return (*task_ids(), *site.task_ids(), *miniwob.task_ids())


def oracle_for(environment: Environment) -> Callable[[], Action]:
    """Return the environment's oracle: a function that returns the right next action.

    Raises:
        TaskError: the environment has none.
    """
    world = ability(environment, Oracle)
    if world is None:
        raise TaskError(f"environment {environment.name} has no oracle; record by hand instead.")
    return world.oracle


def source_for(
    environment: Environment, own: Sequence[str] = (), secrets: Places = NOWHERE
) -> Callable[[], EventSource] | None:
    """Return a function that begins to watch a person on the environment's screen; None where none can act on it.

    own: chords of the recorder, kept from the screen where that is possible. secrets: see `Recordable.watch`.

    Raises:
        ConfigError: secrets are marked where nobody is watched.
    """
    screen = ability(environment, Recordable)
    if screen is None and secrets:
        raise ConfigError(f"record.secrets has no effect: on environment {environment.name} no person is watched.")
    return None if screen is None else partial(screen.watch, own, secrets)
