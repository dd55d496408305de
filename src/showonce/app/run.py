"""The verb `run`: do tasks, learning or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from showonce.app.adapter import check_adapter, policy_for
from showonce.app.compose import announce, assemble
from showonce.app.demonstration import check_demonstration
from showonce.app.experiment import check_one_demonstration, do_tasks, one_demonstration
from showonce.app.frontend import Frontend
from showonce.app.plan import make_plan
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
    plan, measured = make_plan(config, learning=True), config.experiment.name == "one_demo"
    if measured:
        check_one_demonstration(plan)
    check_demonstration(config.demonstration, plan.tasks, plan.seeds)
    policy = policy_for(config)
    check_adapter(plan, policy)
    folder = start_run(config)
    plan = plan.placed(folder)
    with RunWriter(config, folder, frontend or Frontend()) as writer:
        announce(writer, plan)
        with assemble(plan, writer, policy) as live:
            (one_demonstration if measured else do_tasks)(live)
    file = writer.stop.file
    return RunResult(folder, writer.stopped, file if file is not None and file.exists() else None)
