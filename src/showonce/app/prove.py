"""The verb `prove`: was the skill of a finished run learned from its demonstration?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from showonce.app.adapter import champion_of_run
from showonce.app.compose import make_bench
from showonce.app.demonstration import demonstration_of_run
from showonce.app.frontend import Frontend
from showonce.app.plan import REPLAYS, check_unattended, make_plan
from showonce.config import Config, FaultConfig
from showonce.evaluation.controls import CONTROLS
from showonce.evaluation.proof import Proof
from showonce.evaluation.prove import lesson_of
from showonce.evaluation.prove import prove as proof_of
from showonce.runs.layout import CONFIG, STOP
from showonce.runtime.pause import PausableStop
from showonce.settings import load_config


def prove(
    run: Path, config: Config, frontend: Frontend | None = None, tell: Callable[[str], None] = lambda part: None
) -> Proof:
    """Run the controls on the adapter of a finished run, write its proof and return it.

    config: only its experiment.eval_screens, experiment.baselines and inference are used; the rest is the run's own.
    Learners among the baselines (the run's, where the command line names none) are taught the same lesson for
    comparison. tell: called with the name of each part before it is measured.

    Raises:
        BadInput: the run learned nothing, or its demonstration or adapter is not there any more.
        Stopped: what was measured is kept for the next call.
    """
    stop = PausableStop(run / STOP)
    with (frontend or Frontend()).attached(run, stop):
        theirs = _config_of(run, config)
        check_unattended(theirs.safety, "prove")
        plan = make_plan(theirs)
        bench = make_bench(plan, stop)
        adapter = champion_of_run(theirs, run, bench.policy)
        lesson = lesson_of(run, bench, plan.tasks[0], demonstration_of_run(run), adapter)
        learners = [name for name in theirs.experiment.baselines if name not in (*REPLAYS, *CONTROLS)]
        return proof_of(
            run, bench, lesson, adapter=adapter, environment=plan.environment, learners=learners, stop=stop, tell=tell
        )


def _config_of(run: Path, config: Config) -> Config:
    """Return the config of a run, to be measured on the screens and the device of `config`."""
    theirs = load_config(run / CONFIG)
    baselines = config.experiment.baselines or theirs.experiment.baselines
    experiment = replace(theirs.experiment, eval_screens=config.experiment.eval_screens, baselines=baselines)
    learning = replace(theirs.learning, fault=FaultConfig())
    return replace(theirs, experiment=experiment, learning=learning, inference=config.inference, resume="", run_dir="")
