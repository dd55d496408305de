"""The parts of a run at work, made from its plan; and the bench that measurements are made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from showonce.app.adapter import act_with_adapter, begin_with, open_store, policy_for
from showonce.app.demonstration import demonstration_for
from showonce.app.frontend import Frontend
from showonce.app.plan import Plan
from showonce.app.run_writer import RunWriter
from showonce.config import SafetyConfig
from showonce.errors import ConfigError
from showonce.evaluation.bench import Bench
from showonce.evaluation.tasks import lessons_of
from showonce.learning.gate.calibration import Calibration
from showonce.learning.lesson import teaching
from showonce.learning.session import Session
from showonce.protocols import CHAMPION, Approver, Policy, adapter_of
from showonce.runtime.pause import PausableStop
from showonce.runtime.player import Player
from showonce.runtime.stop import Stop
from showonce.types import Demonstration, Task


@dataclass
class LiveRun:
    """The parts of a run at work. session: None when nothing can be learned. checkpoint: the folder of what acts then.

    Leaving it as a context manager notes what was learned, and closes environments and store.
    """

    plan: Plan
    writer: RunWriter
    player: Player
    session: Session | None
    checkpoint: Path | None = None

    @property
    def acting(self) -> str | None:
        """The adapter that acts: the champion, or none."""
        return None if adapter_of(self.player.policy) is None else CHAMPION

    def demonstrate(self, task: Task) -> Demonstration | None:
        """Return the demonstration of a task, None when there is none. Raises as `demonstration_for`."""
        environment = self.player.environment(task)
        writer = self.writer
        return demonstration_for(self.plan, task, environment, writer.events, writer.stop, writer.frontend.tell)

    def lessons(self, task: Task, shown: Demonstration | None) -> list[tuple[Task, Demonstration | None]]:
        """Return what is taught before a task is measured (`lessons_of`), each with its demonstration.

        shown: the demonstration of the task itself.
        """
        others = [self.plan.limited(one) for one in lessons_of(task)]
        return [(task, shown) if one.id == task.id else (one, self.demonstrate(one)) for one in others]

    def __enter__(self) -> LiveRun:
        return self

    def __exit__(self, *error: object) -> None:
        found, session = self.writer.found, self.session
        try:
            if session is not None:
                found["checkpoint"] = str(session.store.folder(session.store.champion or ""))
                found["distinct_screens"] = len(session.context.buffer)
                found["verified_outcomes_used"] = len(session.context.outcomes)
            elif self.checkpoint is not None:
                found["checkpoint"] = str(self.checkpoint)
        finally:
            try:
                self.player.close()
                _close(self.player.approver)
            finally:
                if session is not None:
                    session.close()


def assemble(plan: Plan, writer: RunWriter, policy: Policy) -> LiveRun:
    """Build the parts of a run around its policy, and let its adapter act."""
    config = plan.config
    writer.stop.check()
    asks = any("ask_person" in (task.success.kind, task.reset) for task in plan.tasks)
    player = Player(
        policy,
        plan.environment,
        writer.events,
        writer.stop,
        writer.episodes(),
        approver_for(config.safety, writer.frontend.approver(writer.stop), writer.stop, asks),
        shadow_every=config.learning.shadow_every,
        safety=config.safety,
        run=writer.folder.name,
    )
    if not plan.learning or plan.adapter is None or adapter_of(policy) is None:
        return LiveRun(plan, writer, player, None, act_with_adapter(plan, policy))
    begin_with(plan.adapter, policy)
    store = open_store(plan.adapter, policy)
    run, tasks = writer.folder.name, len(plan.tasks)
    try:
        session = Session(config.learning, player, store, plan.seeds, seed=config.seed, run=run, tasks=tasks)
    except BaseException:
        store.close()
        raise
    return LiveRun(plan, writer, player, session)


def _close(approver: Approver | None) -> None:
    """Close the window of an approver that `approver_for` opened."""
    from showonce.runtime.ask_window import WindowApprover

    if isinstance(approver, WindowApprover):
        approver.close()


def check_answered(safety: SafetyConfig, frontend: Frontend) -> None:
    """Check, before anything is begun, that somebody is there to be asked where the rules ask a person.

    Raises:
        ConfigError: nobody is at the console. Unavailable: there is no display for a window.
    """
    if safety.unattended or safety.mode == "watch" or safety.ask == "nobody":
        return
    approver = approver_for(safety, frontend.approver(PausableStop()), Stop(), needed=False)
    if approver is None:
        asks = f"safety={safety.mode}" if safety.mode != "free" else "safety.ask_words or safety.ask_regions"
        raise ConfigError(
            f"{asks} asks a person, and nobody can answer: the input is at its end (no terminal). Run it in a "
            "terminal, or set safety.ask=window, or safety.ask=nobody to deny whatever would be asked."
        )
    _close(approver)


def approver_for(safety: SafetyConfig, person: Approver | None, stop: Stop, needed: bool) -> Approver | None:
    """Return who approves actions; None where the rules ask no person. needed: a task asks a person in any case.

    Raises:
        Unavailable: safety.ask=window without a display.
    """
    asks = needed or "ask" in safety.recovery.measures or not (safety.unattended or safety.mode == "watch")
    if not asks or safety.ask == "nobody":
        return None
    if safety.ask == "window":
        from showonce.runtime.ask_window import WindowApprover

        return WindowApprover(stop)
    return person


def make_bench(plan: Plan, stop: Stop) -> Bench:
    """Return what measurements are made with; lessons are taught on it as a run teaches them.

    Every environment it makes is that of the plan's first task; of a plan without tasks, that of the config.
    """
    policy = policy_for(plan.config)
    teach = None if policy.adapter is None else teaching(plan.seeds, policy, plan.environment, stop)
    place = plan.tasks[0] if plan.tasks else Task("", "", split="dev")
    return Bench(plan.config, policy, lambda: plan.environment(place), teach, Calibration.from_state)
