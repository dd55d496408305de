"""Environments by name. Each is imported only when it is made."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from showonce.actions import Action
from showonce.errors import ConfigError, TaskError, nearest
from showonce.protocols import Elements, Environment, EventSource, Oracle, Recordable, ability
from showonce.types import Element, Task

ENVIRONMENTS: Final = {
    "browser": "showonce.environments.browser.world:BrowserEnvironment",
    "browsergym": "showonce.environments.browsergym:BrowserGymEnvironment",
    "desktop": "showonce.environments.desktop.environment:Desktop",
    "embedded": "showonce.environments.embedded.world:EmbeddedWorld",
    "miniwob": "showonce.environments.miniwob.world:MiniWoB",
}
COMMON: Final = ("ocr", "marks")  # settings of every environment, see `perceive`


def make_environment(name: str, **settings: Any) -> Environment:
    """Make an environment by name; `settings` are its own keyword arguments, and those of `COMMON`.

    Raises:
        Unavailable: what the environment needs is not installed.
        ConfigError: an unknown name or setting; the nearest valid one is named.
    """
    if name not in ENVIRONMENTS:
        raise ConfigError(f"unknown environment {name!r}.{nearest(name, ENVIRONMENTS)}")
    module, _, attribute = ENVIRONMENTS[name].partition(":")
    seeing = {key: settings.pop(key) for key in COMMON if key in settings}
    cls = getattr(importlib.import_module(module), attribute)
    known = [p for p in inspect.signature(cls).parameters if p != "self"]
    for key in settings:
        if key not in known:
            raise ConfigError(f"environment {name} has no setting {key!r}.{nearest(key, [*known, *COMMON])}")
    environment: Environment = cls(**settings)
    if not any(seeing.values()):
        return environment
    from showonce.environments.wrappers.perceive import Perceiving

    return Perceiving(environment, **seeing)


def find_task(task_id: str) -> Task:
    """Return a registered task: of the embedded world, ``site/NAME`` (the demo site) or ``miniwob/NAME``.

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

    if task_id.startswith(("skill/", "app/")):
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


def source_for(environment: Environment, own: Sequence[str] = ()) -> Callable[[], EventSource] | None:
    """Return a function that begins to watch a person on the environment's screen; None where none can act on it.

    own: chords of the recorder, kept from the screen where that is possible.
    """
    screen = ability(environment, Recordable)
    return None if screen is None else partial(screen.watch, own)


def elements_for(environment: Environment) -> Callable[[], Sequence[Element]] | None:
    """Return a function that returns the named elements on the screen, with their boxes; None where nobody knows."""
    screen = ability(environment, Elements)
    return None if screen is None else screen.elements
