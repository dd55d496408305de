"""The parts of a run, put together from its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from showonce.about import snapshot
from showonce.app.plan import (
    act_with,
    approver_for,
    demonstration_for,
    environment_maker,
    fenced,
    limits_of,
    open_store,
    place_of,
    policy_for,
)
from showonce.app.run_writer import RunWriter
from showonce.config import Config
from showonce.environments.registry import make_environment
from showonce.evaluation.bench import Bench
from showonce.events import RunStarted
from showonce.learning.gate.calibration import Calibration
from showonce.learning.lesson import teaching
from showonce.learning.session import Session
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CANDIDATE, CHAMPION, Environment
from showonce.runtime.player import Player
from showonce.runtime.stop import Stop
from showonce.seeds import Seeds
from showonce.types import Demonstration, Task


@dataclass
class LiveRun:
    """The parts of a run at work. session: None when nothing can be learned. store_version: the checkpoint that acts.

    demonstrate: the demonstration of a task, None when there is none.
    """

    config: Config
    log: RunWriter
    tasks: list[Task]
    stage: Player
    seeds: Seeds
    session: Session | None
    demonstrate: Callable[[Task], Demonstration | None]
    checkpoint: Path | None = None

    @property
    def acting(self) -> str | None:
        """The adapter that acts: the champion, or none."""
        return None if self.stage.policy.adapter is None else CHAMPION


def announce(log: RunWriter, tasks: list[Task], learning: bool) -> None:
    """Tell what the run is about to do."""
    config, gate = log.config, log.config.learning.gate
    log.events.emit(
        RunStarted(
            run=log.folder.name,
            name=config.name,
            task=", ".join(task.id for task in tasks),
            goal=", ".join(task.goal for task in tasks if task.goal),
            adapter=config.adapter,
            learner=config.learning.learner if config.learning.enabled else "frozen",
            budget_run=gate.budget_run,
            budget_task=gate.budget_task,
            learning=learning,
            seed=config.seed,
            versions=snapshot(),
        )
    )


def assemble(config: Config, log: RunWriter, tasks: list[Task], learning: bool, policy: VLMPolicy) -> LiveRun:
    """Build the parts of a run around its policy."""
    seeds, make = Seeds.of(config), environment_maker(config, log.folder)
    log.stop.check()
    person = any(task.success.kind == "ask_person" or task.reset == "ask_person" for task in tasks)
    stage = Player(
        policy,
        make,
        log.events,
        log.stop,
        log.episodes(),
        approver_for(config.safety, log.frontend.approver(log.stop), log.stop, person),
        limits_of(config.limits),
        config.learning.shadow_every,
        config.safety,
        run=log.folder.name,
    )
    session, checkpoint = with_adapter(config, log, stage, seeds, len(tasks), learning)
    return LiveRun(
        config,
        log,
        tasks,
        stage,
        seeds,
        session,
        lambda task: demonstration_for(config, task, stage.environment(task), log.folder, log.events, log.stop),
        checkpoint,
    )


def with_adapter(
    config: Config, log: RunWriter, stage: Player, seeds: Seeds, tasks: int, learning: bool
) -> tuple[Session | None, Path | None]:
    """Let the adapter that the config names act. Returns the session that trains it, or the folder of what acts."""
    policy, place = stage.policy, place_of(config, log.folder)
    if place is None or policy.adapter is None:
        return None, None
    if place.outside is not None:
        policy.adapter.load(place.outside, CANDIDATE)
        policy.adapter.copy(CANDIDATE, CHAMPION)
    if learning:
        store = open_store(place, policy)
        session = Session(config.learning, stage, store, seeds, seed=config.seed, run=log.folder.name, tasks=tasks)
        return session, None
    if place.outside is not None or (config.adapter == "auto" and not (place.root / place.name).exists()):
        return None, place.outside
    with open_store(place, policy, readonly=True) as store:
        return None, store.folder(act_with(policy, store))


def make_bench(config: Config, stop: Stop) -> Bench:
    """Return what measurements are made with; lessons are taught on it as a run teaches them."""
    policy = policy_for(config)
    teach = None if policy.adapter is None else teaching(config, policy, environment_maker(config), stop)
    return Bench(config, policy, bench_environment(config), teach, Calibration.from_state)


def bench_environment(config: Config) -> Callable[[], Environment]:
    """Return what makes the environment of the config."""
    return lambda: fenced(make_environment(config.environment.name, **config.environment.settings), config.safety)
