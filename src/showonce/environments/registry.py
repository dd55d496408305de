"""Environments by name. Each is imported only when it is made."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from showonce.actions import Action
from showonce.errors import ConfigError, TaskError, Unavailable, nearest
from showonce.protocols import Environment, EventSource
from showonce.types import Element, Task

ENVIRONMENTS: Final = {
    "browser": "showonce.environments.browser.world:BrowserEnvironment",
    "desktop": "showonce.environments.desktop.environment:Desktop",
    "embedded": "showonce.environments.embedded.world:EmbeddedWorld",
    "miniwob": "showonce.environments.miniwob.world:MiniWoB",
}
LATER: Final[tuple[str, ...]] = ()


def make_environment(name: str, **settings: Any) -> Environment:
    """Make an environment by name; `settings` are its own keyword arguments.

    Raises:
        Unavailable: an environment that comes in a later release.
        ConfigError: an unknown name or setting; the nearest valid one is named.
    """
    if name in LATER:
        raise Unavailable(f"environment={name} is not in this release; what is: {', '.join(ENVIRONMENTS)}.")
    if name not in ENVIRONMENTS:
        raise ConfigError(f"unknown environment {name!r}.{nearest(name, ENVIRONMENTS)}")
    module, _, attribute = ENVIRONMENTS[name].partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    known = [p for p in inspect.signature(cls).parameters if p != "self"]
    for key in settings:
        if key not in known:
            raise ConfigError(f"environment {name} has no setting {key!r}.{nearest(key, known)}")
    return cls(**settings)  # type: ignore[no-any-return]


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
    raise TaskError(f"no task {task_id!r}.{nearest(task_id, (*task_ids(), *site.task_ids(), *miniwob.task_ids()))}")


def task_ids() -> tuple[str, ...]:
    """Return every registered task id of the embedded world."""
    from showonce.environments.embedded.world import task_ids as embedded

    return embedded()


def oracle_for(environment: Environment) -> Callable[[], Action]:
    """Return the environment's own oracle: the right next action.

    Raises:
        TaskError: the environment has none.
    """
    oracle = getattr(environment, "oracle", None)
    if oracle is None:
        raise TaskError(f"environment {environment.name} has no oracle; record by hand instead.")
    return oracle  # type: ignore[no-any-return]


SOURCES: Final = {
    "browser": "showonce.environments.browser.record:BrowserSource",
    "desktop": "showonce.environments.desktop.record:DesktopSource",
}


def source_for(environment: Environment, own: Sequence[str] = ()) -> Callable[[], EventSource] | None:
    """Return what begins to watch a person on the screen of an environment; None where a person cannot act on it.

    own: chords of the recorder, which the screen is not to see where that can be helped.
    """
    if environment.name not in SOURCES:
        return None
    module, _, attribute = SOURCES[environment.name].partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    return partial(cls, environment, own)


def elements_for(environment: Environment) -> Callable[[], Sequence[Element]] | None:
    """Return what tells the named elements on the screen, with their boxes; None where nobody can tell."""
    if environment.name != "browser":
        return None
    from showonce.environments.browser.elements import elements_of

    return partial(elements_of, environment)  # type: ignore[arg-type]
