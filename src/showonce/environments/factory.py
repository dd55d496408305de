"""Makes the environment of a task, always under the same settings and the same fence.

Which environment: of a task file, the one that it names, else the run's; of a task that ships, the run's, else its own.
Which settings, the first that has one: the command line, the task file, the config, the environment's default. A task
that ships has the config's `environment.shipped` besides. Settings of another environment than the task's own do not
reach it: `resolve` is asked by `app.plan`, which refuses those of the command line.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from showonce.config import SafetyConfig
from showonce.environments.registry import make_environment
from showonce.environments.wrappers.fence import Fenced
from showonce.environments.wrappers.secret import Need, WithSecrets, bind, sources_for
from showonce.protocols import Environment
from showonce.secrets import places_of
from showonce.types import Task

OWN: Final = "user"  # the split of task files
AUTO: Final = "auto"  # the name by which a run leaves the environment to its tasks


@dataclass(frozen=True)
class EnvironmentFactory:
    """A function from a task to a fresh environment. Plain values only, so that another process can be given it.

    name, settings, shipped: of the run, see `config.EnvironmentConfig`. given: settings that win over a task's own.
    fence: the rules for places, whoever acts there. downloads: folder for what a browser downloads, unless its settings
    name one ("" = the browser's own default).
    secret: where secrets come from, by name. found, bound: further sources, and name -> origins where they were
    recorded, filled in as demonstrations are found; tasks share them if they name the same sources. marked: fields for
    secrets beside those that are found, as in `record.secrets`.
    """

    name: str = AUTO
    settings: dict[str, Any] = field(default_factory=dict)
    fence: SafetyConfig = field(default_factory=SafetyConfig)
    downloads: str = ""
    shipped: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    secret: dict[str, str] = field(default_factory=dict)
    found: dict[str, dict[str, str]] = field(default_factory=dict)
    bound: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    marked: tuple[str, ...] = ()

    def resolve(self, task: Task) -> tuple[str, Mapping[str, Any]]:
        """Return name and settings of the environment in which a task is done."""
        own = task.split == OWN
        run = "" if self.name == AUTO else self.name
        name = (task.environment or run) if own else (run or task.environment)
        name = name or "embedded"
        ours, shipped = (self.settings, self.shipped) if run in ("", name) else ({}, {})
        settings = {**ours, **task.settings} if own else {**task.settings, **shipped, **ours}
        settings.update(self.given)
        if self.downloads and name == "browser":
            settings.setdefault("downloads", self.downloads)
        return name, settings

    def sources(self, task: Task) -> Mapping[str, str]:
        """Return where the secrets of a task come from, by name: what is found for it later shows in it."""
        return ChainMap(self.secret, self._shared(task)[0], task.secret)

    def _shared(self, task: Task) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Return what was found out of the secrets of a task and of those that name the same sources."""
        key = repr(sorted(task.secret.items()))
        return self.found.setdefault(key, {}), self.bound.setdefault(key, {})

    def provide(self, task: Task, needs: Sequence[Need], where: str) -> None:
        """Provide the secrets that an episode types, and bind them to where it did. Raises as `sources_for` does."""
        found, bound = self._shared(task)
        found.update(sources_for(needs, dict(self.sources(task)), where))
        bind(needs, bound)

    def __call__(self, task: Task) -> Environment:
        """Return a fresh environment for a task. Raises as `make_environment`."""
        name, settings = self.resolve(task)
        environment = make_environment(name, **settings)
        if environment.capabilities.side_effects:
            environment = WithSecrets(
                environment, self.sources(task), self._shared(task)[1], self.fence.secret_origins,
                places_of(self.marked),
            )  # fmt: skip
        return Fenced(environment, self.fence) if self.fence.fenced else environment
