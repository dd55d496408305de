"""The learners by name. Built in: every `Method` with a `name` that is defined in a file of this folder.

So a new built-in learner is one file here, and one config that names it. Others come as an entry point of the group
``showonce.learners`` or as ``module:Class`` (see `plugins`).
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from showonce.config import LearningConfig
from showonce.errors import ConfigError
from showonce.learning import methods
from showonce.learning.methods.base import Method, options_of
from showonce.plugins import Registry


def built_in() -> dict[str, type[Method]]:
    """Import every file of this folder and return the methods that they define, by name."""
    found: dict[str, type[Method]] = {}
    for info in pkgutil.iter_modules(methods.__path__, f"{methods.__name__}."):
        if info.name == __name__:
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            own = isinstance(value, type) and issubclass(value, Method) and value.__module__ == info.name
            if own and "name" in vars(value):
                found[value.name] = value
    return found


METHODS: Final = built_in()
LEARNERS: Final = Registry(
    "learner",
    "showonce.learners",
    {name: f"{method.__module__}:{method.__name__}" for name, method in METHODS.items()},
    "learning.learner",
)


def check_learner(learning: LearningConfig) -> type[Method]:
    """Return the class of the learner of a config whose `learning.options` it takes.

    Raises:
        ConfigError: as `find_method` and `base.options_of`.
    """
    method = find_method(learning.learner)
    options_of(method, learning.options)
    return method


def find_method(name: str) -> type[Method]:
    """Return the class of a method: one of `METHODS`, an entry point of ``showonce.learners``, or ``module:Class``.

    Raises:
        ConfigError: no such name, module or class, or the class is not a `Method`.
    """
    found = LEARNERS.load(name)
    if not (isinstance(found, type) and issubclass(found, Method)):
        text = f"learning.learner={name!r} is not a subclass of showonce.learning.methods.base.Method."
        raise ConfigError(text, key="plugin.kind")
    return found
