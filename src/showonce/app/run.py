"""The verb `run`: do tasks, learning or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from showonce.app.adapter import check_adapter, policy_for
from showonce.app.compose import assemble, check_answered
from showonce.app.demonstration import check_demonstration
from showonce.app.experiment import check_one_demonstration, do_tasks, one_demonstration
from showonce.app.frontend import Frontend
from showonce.app.plan import careful, make_plan
from showonce.app.run_writer import RunWriter
from showonce.config import Config
from showonce.runs.event_file import read_events
from showonce.runs.folder import check_resumed, start_run
from showonce.runs.layout import EVENTS
from showonce.runs.metrics import TaskResult, results_of
from showonce.runtime.pause import PausableStop
from showonce.secrets import KNOWN
from showonce.types import StopReason


@dataclass(frozen=True)
class RunResult:
    """How a run ended. stopped: why a person or a limit of the run stopped it, "" when it ran to its end.

    stop_file: the file that stopped it and is still there; a resumed run would stop at once. tasks: what came of each
    task; empty where the run measured instead (experiment=one_demo) or only watched (safety=watch).
    """

    folder: Path
    stopped: str = ""
    stop_file: Path | None = None
    tasks: tuple[TaskResult, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether every task was done at least once."""
        return all(task.reached for task in self.tasks)

    @property
    def broke(self) -> bool:
        """Whether every task that was not done ended because its environment broke."""
        return all(task.reached or task.stop_reason == StopReason.ENVIRONMENT_ERROR for task in self.tasks)


def run(config: Config, frontend: Frontend | None = None) -> RunResult:
    """Do the tasks of a config; everything that is found is in the run's folder.

    Raises:
        ShowonceError: what was asked for cannot be done; what was done until then is in the run's folder.
    """
    if config.resume:
        check_resumed(config)
    config, told = careful(config)
    plan, measured = make_plan(config, learning=True), config.experiment.name == "one_demo"
    if measured:
        check_one_demonstration(plan)
    frontend = frontend or Frontend()
    if told:
        frontend.tell(told)
        if config.safety.ask == "console" and frontend.approver(PausableStop()) is None:
            config = replace(config, safety=replace(config.safety, ask="nobody"))
            plan = make_plan(config, learning=True)
    check_answered(config.safety, frontend)
    check_demonstration(config, plan.tasks, plan.seeds)
    for task in plan.tasks:  # a person may be asked: last of what can be refused
        for name, source in plan.environment.sources(task).items():
            KNOWN.read(name, source)
    policy = policy_for(config)
    check_adapter(plan, policy)
    folder = start_run(config)
    plan = plan.placed(folder)
    with RunWriter(config, folder, frontend) as writer:
        writer.announce(plan)
        with assemble(plan, writer, policy) as live:
            (one_demonstration if measured else do_tasks)(live)
    file = writer.stop.file
    tasks = () if measured or config.safety.mode == "watch" else results_of(read_events(folder / EVENTS))
    return RunResult(folder, writer.stopped, file if file is not None and file.exists() else None, tasks)
