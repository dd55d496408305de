"""What a learned policy has to beat, measured on the same screens: replays of the demonstration, and other learners."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from showonce.config import Config
from showonce.errors import ConfigError, nearest
from showonce.evaluation.results import EvalResult, Results
from showonce.evaluation.runner import evaluate_task
from showonce.learning.lesson import teaching
from showonce.learning.methods.registry import METHODS
from showonce.protocols import CANDIDATE, CHAMPION, Policy
from showonce.runtime.player import Player
from showonce.runtime.replay import ReplayPolicy
from showonce.runtime.teaching import TeachRequest
from showonce.seeds import Seeds
from showonce.types import Demonstration, Task

REPLAYS: Final = ("replay_coordinates", "replay_template")


def check_baselines(config: Config) -> None:
    """Check the names before anything is measured.

    Raises:
        ConfigError: one is not known (nearest named).
    """
    known = (*REPLAYS, *METHODS)
    for name in config.experiment.baselines:
        if name not in known:
            raise ConfigError(f"experiment.baselines: {name!r} is not a baseline.{nearest(name, known)}")


def baseline(
    name: str, config: Config, stage: Player, task: Task, shown: Demonstration, seeds: Seeds, results: Results
) -> EvalResult:
    """Measure one baseline on the run's evaluation screens. A learner is taught from the base, in a store of its own.

    Afterwards the policy's adapter is as it was.
    """
    policy = stage.policy
    acting, calibration = policy.acting, policy.calibration
    kept = {} if policy.adapter is None else {n: policy.adapter.tensors(n) for n in policy.adapter.names}
    try:
        actor, in_view = _actor(name, config, stage, task, shown, seeds)
        return evaluate_task(
            actor,
            lambda: stage.fresh(task),
            task,
            seeds.take("evaluation", config.experiment.eval_screens),
            demonstration=shown if in_view else None,
            results=results,
            part=f"baseline:{name}",
            phase="baseline",
            limits=stage.limits(task),
            stop=stage.stop,
        )
    finally:
        for set_name, tensors in kept.items():
            assert policy.adapter is not None
            policy.adapter.set_tensors(tensors, set_name)
        policy.use(acting)
        policy.calibration = calibration


def _actor(
    name: str, config: Config, stage: Player, task: Task, shown: Demonstration, seeds: Seeds
) -> tuple[Policy, bool]:
    """Return who acts, and whether the demonstration stays in view."""
    if name in REPLAYS:
        return ReplayPolicy(shown, "template" if name.endswith("template") else "coordinates"), False
    policy, method = stage.policy, METHODS[name]
    policy.use(None)
    if method.trains and policy.adapter is not None:
        learning = replace(config.learning, enabled=True, learner=name)
        learning = replace(learning, practice=replace(learning.practice, seed_offset=seeds.first("practice")))
        policy.adapter.copy(None, CANDIDATE)
        result = teaching(config, policy, stage.fresh, stage.stop)(TeachRequest(task, shown, learning, config.seed))
        policy.adapter.set_tensors(result.tensors, CHAMPION)
        policy.use(CHAMPION)
    return policy, method.acts_with_demonstration
