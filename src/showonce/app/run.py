"""The verb `run`: do tasks, learning or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from showonce.app import experiment
from showonce.app.baselines import check_baselines
from showonce.app.compose import announce, assemble
from showonce.app.frontend import Frontend
from showonce.app.plan import check_adapter, check_demonstration, check_unattended, learns, policy_for, tasks_of
from showonce.app.run_writer import RunWriter
from showonce.config import Config
from showonce.runs.folder import check_resumed, start_run


@dataclass(frozen=True)
class RunResult:
    """How a run ended. stopped: why a person or a limit of the run stopped it, "" when it ran to its end.

    stop_file: the file that stopped it and is still there; a resumed run would stop at once.
    """

    folder: Path
    stopped: str = ""
    stop_file: Path | None = None


def run(config: Config, frontend: Frontend | None = None) -> RunResult:
    """Do the tasks of a config; everything that is found is in the run's folder.

    Raises:
        ShowonceError: what was asked for cannot be done; what was done until then is in the run's folder.
    """
    if config.resume:
        check_resumed(config)
    tasks, learning = tasks_of(config), learns(config)
    check_baselines(config)
    if config.experiment.name == "one_demo":
        check_unattended(config, "experiment=one_demo")
        experiment.check_one_demonstration(config, tasks)
    check_demonstration(config, tasks)
    policy = policy_for(config)
    check_adapter(config, policy, learning)
    with RunWriter(config, start_run(config), frontend or Frontend()) as writer:
        announce(writer, tasks, learning)
        live = assemble(config, writer, tasks, learning, policy)
        try:
            experiment.perform(live)
        finally:
            live.stage.close()
            if live.session is not None:
                live.session.close()
    file = writer.stop.file
    return RunResult(writer.folder, writer.stopped, file if file is not None and file.exists() else None)
