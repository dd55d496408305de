"""What a learned policy has to beat, measured on the same screens: replays of the demonstration, and other learners."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from showonce.app.compose import LiveRun
from showonce.app.plan import REPLAYS
from showonce.evaluation.results import EvalResult, Results
from showonce.evaluation.runner import evaluate_task
from showonce.learning.lesson import teaching
from showonce.learning.methods.registry import METHODS
from showonce.protocols import CANDIDATE, CHAMPION, Policy
from showonce.runtime.replay import ReplayPolicy
from showonce.runtime.teaching import TeachRequest
from showonce.types import Demonstration, Task


def baseline(
    name: str, live: LiveRun, task: Task, shown: Demonstration, screens: range, results: Results
) -> EvalResult:
    """Measure one baseline of `plan.REPLAYS` or `METHODS`. A learner is taught from the base, in a store of its own.

    Afterwards the policy's adapter is as it was.
    """
    player, policy = live.player, live.player.policy
    acting, calibration = policy.acting, policy.calibration
    kept = {} if policy.adapter is None else {n: policy.adapter.tensors(n) for n in policy.adapter.names}
    try:
        actor, in_view = _actor(name, live, task, shown)
        return evaluate_task(
            actor, partial(player.fresh, task), task, screens, demonstration=shown if in_view else None,
            results=results, part=f"baseline:{name}", phase="baseline", stop=player.stop,
        )  # fmt: skip
    finally:
        for set_name, tensors in kept.items():
            assert policy.adapter is not None
            policy.adapter.set_tensors(tensors, set_name)
        policy.use(acting)
        policy.calibration = calibration


def _actor(name: str, live: LiveRun, task: Task, shown: Demonstration) -> tuple[Policy, bool]:
    """Return who acts, and whether the demonstration stays in view."""
    if name in REPLAYS:
        return ReplayPolicy(shown, REPLAYS[name]), False
    player, policy, method, config = live.player, live.player.policy, METHODS[name], live.plan.config
    policy.use(None)
    if method.trains and policy.adapter is not None:
        practice = replace(config.learning.practice, seed_offset=live.plan.seeds.first("practice"))
        learning = replace(config.learning, enabled=True, learner=name, practice=practice)
        policy.adapter.copy(None, CANDIDATE)
        teach = teaching(live.plan.seeds, policy, player.fresh, player.stop)
        result = teach(TeachRequest(task, shown, learning, config.seed))
        policy.adapter.set_tensors(result.tensors, CHAMPION)
        policy.use(CHAMPION)
    return policy, method.acts_with_demonstration
