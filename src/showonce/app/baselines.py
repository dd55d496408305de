"""What a learned policy has to beat, measured on the same screens: replays of the demonstration, and other learners."""

from __future__ import annotations

from functools import partial

from showonce.app.compose import LiveRun
from showonce.app.plan import REPLAYS
from showonce.app.teach import in_order
from showonce.evaluation.results import EvalResult, Results
from showonce.evaluation.runner import evaluate_task
from showonce.learning.lesson import teaching
from showonce.learning.methods.registry import find_method
from showonce.protocols import CANDIDATE, CHAMPION, Policy, adaptable, adapter_of, choose
from showonce.runtime.replay import ReplayPolicy
from showonce.types import Demonstration, Task


def baseline(
    name: str, live: LiveRun, task: Task, shown: Demonstration, screens: range, results: Results
) -> EvalResult:
    """Measure one baseline of `plan.REPLAYS` or a learner. A learner is taught from the base, in a store of its own.

    Afterwards the policy's adapter is as it was.
    """
    player = live.player
    learned = None if name in REPLAYS else adaptable(player.policy, f"experiment.baselines without {name}")
    before = None if learned is None else (learned.acting, learned.calibration)
    adapter = adapter_of(player.policy)
    kept = {} if adapter is None else {n: adapter.tensors(n) for n in adapter.names}
    try:
        actor, in_view = _actor(name, live, task, shown)
        return evaluate_task(
            actor, partial(player.fresh, task), task, screens, demonstration=shown if in_view else None,
            results=results, part=f"baseline:{name}", phase="baseline", stop=player.stop, safety=player.safety,
        )  # fmt: skip
    finally:
        for set_name, tensors in kept.items():
            assert adapter is not None
            adapter.set_tensors(tensors, set_name)
        if learned is not None and before is not None:
            learned.use(before[0])
            learned.calibration = before[1]


def _actor(name: str, live: LiveRun, task: Task, shown: Demonstration) -> tuple[Policy, bool]:
    """Return who acts, and whether the demonstration stays in view."""
    if name in REPLAYS:
        return ReplayPolicy(shown, REPLAYS[name]), False
    player, policy, method = live.player, live.player.policy, find_method(name)
    adapter = adapter_of(policy)
    choose(policy, None)
    if method.trains and adapter is not None:
        adapter.copy(None, CANDIDATE)
        one_lesson = teaching(live.plan.seeds, policy, player.fresh, player.stop)
        results = in_order(live.plan, one_lesson, live.lessons(task, shown), learner=name)
        adapter.set_tensors(results[-1].tensors, CHAMPION)
        choose(policy, CHAMPION)
    return policy, method.acts_with_demonstration
