"""The verb `eval`: the policy as it is, scored on a task set with fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from showonce.app.compose import announce, assemble, bench_environment
from showonce.app.frontend import Frontend
from showonce.app.plan import check_adapter, check_unattended, policy_for
from showonce.app.run_writer import RunWriter
from showonce.config import Config
from showonce.evaluation.runner import ProgressBar, no_bar
from showonce.evaluation.score import Score, score
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
    check_unattended(config, "eval")
    policy = policy_for(config)
    check_adapter(config, policy, learning=False)
    found = None
    with RunWriter(config, start_run(config), frontend or Frontend(), report=False) as writer:
        announce(writer, [], learning=False)
        live = assemble(config, writer, [], False, policy)
        found = score(config, live.stage.policy, bench_environment(config), writer.folder, writer.stop, bar)
    return Evaluated(writer.folder, found, writer.stopped)
