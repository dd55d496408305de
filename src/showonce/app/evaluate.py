"""The verb `eval`: the policy as it is, scored on a task set with fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from showonce.app.adapter import act_with_adapter, check_adapter, policy_for
from showonce.app.frontend import Frontend
from showonce.app.plan import check_unattended, make_plan
from showonce.app.run_writer import RunWriter
from showonce.config import Config
from showonce.evaluation.runner import ProgressBar, no_bar
from showonce.evaluation.score import Score, chosen_set, score, seeds_of
from showonce.runs.folder import start_run
from showonce.runs.layout import CONFIG


@dataclass(frozen=True)
class Evaluated:
    """A finished score and its folder. score: None when it was stopped, for the reason in `stopped`."""

    folder: Path
    score: Score | None
    stopped: str = ""


def evaluate(config: Config, frontend: Frontend | None = None, bar: ProgressBar = no_bar) -> Evaluated:
    """Score on a task set. The same config with `run_dir` goes on where it was stopped.

    bar: shows how many episodes are measured.

    Raises:
        ConfigError: no such set or split.
    """
    if config.run_dir and (Path(config.run_dir) / CONFIG).is_file():
        config = replace(config, resume=config.run_dir)
    check_unattended(config.safety, "eval")
    chosen = chosen_set(config.evaluation)
    plan = make_plan(config, tasks=chosen.tasks)
    policy = policy_for(config)
    check_adapter(plan, policy)
    found = None
    with RunWriter(config, start_run(config, "eval"), frontend or Frontend(), report=False) as writer:
        plan = plan.placed(writer.folder)
        writer.announce(replace(plan, tasks=()))
        act_with_adapter(plan, policy)
        tasks, seeds = replace(chosen, tasks=plan.tasks), seeds_of(config.evaluation, plan.seeds)
        make = partial(plan.environment, plan.tasks[0])
        found = score(tasks, seeds, policy, make, writer.folder, writer.stop, bar, config.safety)
    return Evaluated(writer.folder, found, writer.stopped)
