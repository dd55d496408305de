"""A config, resolved once: which tasks, in which environment, under which limits, on which seeds, with which adapter.

Every phase of a run, and every verb, is given the same `Plan`; nothing else turns a config into tasks or environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from showonce.app.tasks import environment_of, limits_of, tasks_of, under
from showonce.config import Config, ExperimentConfig, LearningConfig, SafetyConfig
from showonce.environments.factory import OWN, EnvironmentFactory
from showonce.errors import ConfigError, nearest
from showonce.runs.adapter_place import AdapterPlace, adapter_place
from showonce.runs.layout import DOWNLOADS
from showonce.runtime.replay import MODES, Mode
from showonce.runtime.safety import RISKY
from showonce.seeds import Seeds
from showonce.types import Task

if TYPE_CHECKING:
    from showonce.evaluation.fresh import Measurement

REPLAYS: Final[dict[str, Mode]] = {f"replay_{mode}": mode for mode in MODES if mode != "target"}  # baselines
REAL: Final = ("browser", "desktop")  # where what an own task does cannot be taken back


@dataclass(frozen=True)
class Plan:
    """What a run does, resolved. tasks: with the success check and the limits that the config puts in place.

    learning: whether weights may change. folder: of the run, None until it is made (see `placed`). adapter: where the
    adapter is, None without one or before there is a folder.
    """

    config: Config
    tasks: tuple[Task, ...]
    environment: EnvironmentFactory
    seeds: Seeds
    learning: bool = False
    folder: Path | None = None
    adapter: AdapterPlace | None = None

    def placed(self, folder: Path) -> Plan:
        """Return the plan of a run in `folder`, where its downloads and its adapter have their places, too."""
        environment = replace(self.environment, downloads=str(folder / DOWNLOADS))
        return replace(self, folder=folder, environment=environment, adapter=adapter_place(self.config, folder))

    def limited(self, task: Task) -> Task:
        """Return another task under the limits of this plan; its success check stays its own."""
        return replace(task, limits=limits_of(self.config, task))

    def measurement(self, task: Task, seeds: range, adapter: Path | None) -> Measurement:
        """Return what a new process is given to measure a task with the adapter in a folder (None = without one)."""
        from showonce.evaluation.fresh import Measurement

        return Measurement(self.config, task, self.environment, seeds, adapter)


def make_plan(config: Config, *, tasks: Sequence[Task] | None = None, learning: bool = False) -> Plan:
    """Resolve a config. tasks: in place of those that it names. learning: whether the verb lets weights change at all.

    Raises:
        ConfigError: no task is named; environment settings, the learner, a baseline or the seeds' ranges are wrong; the
            command line names another environment than a task.
        TaskError: a task cannot be used (nearest named).
    """
    found = tasks_of(config) if tasks is None else tasks
    _check_baselines(config.learning, config.experiment.baselines)
    environment = environment_of(config, found)
    plan = Plan(config, (), environment, Seeds.of(config), learning and _learns(config))
    return replace(plan, tasks=tuple(under(config, environment, task) for task in found))


def careful(config: Config) -> tuple[Config, str]:
    """Return a config as `run` uses it where its own tasks act on a real site or desktop, and what was set, in words.

    One attempt, safety=confident, and in a browser, which knows what stands under a point, words that spend or destroy
    ask (`runtime.safety.RISKY`). What the command line or the config's file sets stays; shipped tasks and the pages of
    the demo site are as they were.
    """
    if config.experiment.name != "tasks" or config.resume or config.safety.mode == "watch":
        return config, ""
    plan = make_plan(config)
    homes = {plan.environment.resolve(task)[0] for task in plan.tasks if task.split == OWN and not _shipped_page(task)}
    if not homes & {*REAL}:
        return config, ""
    told: list[str] = []
    experiment, safety = config.experiment, config.safety
    if "experiment.episodes" not in config.given and experiment.episodes == ExperimentConfig().episodes:
        experiment, told = replace(experiment, episodes=1), [*told, "experiment.episodes=1"]
    if not {"safety", "safety.mode"} & {*config.given} and safety.mode == "free":
        safety, told = replace(safety, mode="confident"), [*told, "safety=confident"]
        if "safety.ask_words" not in config.given and not safety.ask_words and "desktop" not in homes:
            safety = replace(safety, ask_words=RISKY)
            told.append("safety.ask_words=(words that spend or destroy)")
    if not told:
        return config, ""
    text = f"on a real {' and '.join(sorted(homes & {*REAL}))} these are set, unless you do: {', '.join(told)}"
    return replace(config, experiment=experiment, safety=safety), text


def _shipped_page(task: Task) -> bool:
    return task.start.startswith("site:")


def _check_baselines(learning: LearningConfig, names: Sequence[str]) -> None:
    """Raise ConfigError where a name is no baseline. Torch is imported only where a learner is named."""
    others = [name for name in names if name not in REPLAYS]
    if not others:
        return
    from showonce.learning.methods.registry import LEARNERS, check_learner

    for name in others:
        if ":" not in name and name not in LEARNERS.names():
            known = nearest(name, (*REPLAYS, *LEARNERS.names()))
            raise ConfigError(f"experiment.baselines: {name!r} is not a baseline.{known} One of your own: module:Name.")
        try:
            check_learner(learning.taught_by(name))
        except ConfigError as error:
            raise ConfigError(f"experiment.baselines: {error}", key=error.key) from None


def check_unattended(safety: SafetyConfig, what: str) -> None:
    """Refuse what acts and asks nobody (measuring, replaying) where a person wants to be asked.

    Raises:
        ConfigError: safety.mode is not free, or some words or places always ask.
    """
    if not safety.unattended:
        raise ConfigError(
            f"{what} acts without asking anybody, so it needs safety=free without safety.ask_words and "
            f"safety.ask_regions; here safety.mode={safety.mode}. `showonce run` with experiment=tasks asks."
        )


def _learns(config: Config) -> bool:
    """Return whether weights may change.

    Raises:
        ConfigError: no such learner, or one that trains without an adapter to train.
    """
    if config.safety.mode == "watch":  # nothing is executed, so there is nothing to learn from
        return False
    if not config.learning.enabled:
        return False
    from showonce.learning.methods.registry import check_learner

    if not check_learner(config.learning).trains:
        return False
    if config.adapter == "none":
        raise ConfigError(
            f"adapter=none leaves learning.learner={config.learning.learner} nothing to train: set learning=frozen, or "
            "another adapter."
        )
    return True
