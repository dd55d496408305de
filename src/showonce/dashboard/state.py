"""What a run's events add up to: the one `RunView` that the dashboard draws."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from showonce.events import GateDecided, PhaseMeasured, ProbePlayed, RolledBack, RunStarted, StepTaken
from showonce.runs.metrics import PARTS

ERROR_SOURCES: Final = ("model", "parser", "executor", "environment")
RECENT_STEPS: Final = 1000  # steps over which the time split is taken
RECENT_LINES: Final = 200  # lines of the log that are kept
UNSTARTED: Final = RunStarted(
    run="", name="", task="", goal="", adapter="", learner="", budget_run=None, budget_task=None, learning=None,
    seed=None, versions={},
)  # fmt: skip


@dataclass
class RunView:
    """Everything that the dashboard shows. Written by `RunReader` alone; everybody else reads."""

    run: RunStarted = UNSTARTED
    started_at: float | None = None
    last_at: float | None = None
    finished: str | None = None  # the reason, once the run is over

    task: str = ""
    goal: str = ""
    phase: str = ""
    phase_total: int | None = None
    phase_done: int = 0
    episode: str = ""
    executor: str = ""
    adapter_version: str = ""
    step: StepTaken | None = None
    episodes: Counter[str] = field(default_factory=Counter)  # success | failure | open
    stop_reasons: Counter[str] = field(default_factory=Counter)

    gate: GateDecided | None = None
    refused: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    loss: float | None = None
    kl: float | None = None
    parts: dict[str, float] = field(default_factory=dict)  # of the last update's loss, as its learner names them

    champion: str = ""
    candidate: str = ""
    promotions: int = 0
    promotions_refused: int = 0
    checkpoints: list[str] = field(default_factory=list)
    rollbacks: list[RolledBack] = field(default_factory=list)
    quarantined: set[str] = field(default_factory=set)
    probes: dict[str, list[ProbePlayed]] = field(default_factory=dict)  # by task
    marks: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # by task: (probes before it, "promotion"...)
    probe_task: str = ""
    shadow_agrees: int = 0
    shadow_total: int = 0

    results: dict[str, PhaseMeasured] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    last_error: str = ""
    guards: Counter[str] = field(default_factory=Counter)
    recoveries: Counter[str] = field(default_factory=Counter)  # by measure: how often it was of use, or it gave up
    paused: str | None = None  # why it is paused now
    paused_at: float | None = None
    stopped: str = ""  # why a person (or the budget of actions) stopped it
    faults: list[str] = field(default_factory=list)
    updates_before_fault: int = 0
    refused_before_fault: int = 0  # promotions
    timings: dict[str, deque[float]] = field(
        default_factory=lambda: {name: deque(maxlen=RECENT_STEPS) for name in PARTS}
    )
    log: deque[tuple[float | None, str]] = field(default_factory=lambda: deque(maxlen=RECENT_LINES))
    events: int = 0
    broken: int = 0

    @property
    def updates_used(self) -> int:
        """Updates used of this run's budget."""
        budget, left = self.run.budget_run, self.gate.budget_run_left if self.gate is not None else None
        return max(self.updates, budget - left) if budget is not None and left is not None else self.updates

    @property
    def task_updates_used(self) -> int | None:
        """Updates used of the task's budget over all runs, None before the first gate decision."""
        budget, left = self.run.budget_task, self.gate.budget_task_left if self.gate is not None else None
        return budget - left if budget is not None and left is not None else None

    @property
    def time_split(self) -> dict[str, float]:
        """Median milliseconds by part over the last `RECENT_STEPS` steps."""
        return {name: median(values) for name, values in self.timings.items() if values}

    def curve(self, task: str, window: int = 20) -> list[float]:
        """Rolling mean of the last `window` probes of a task, one value per probe."""
        values, total, out = self.probes.get(task, []), 0, []
        for i, probe in enumerate(values):
            total += bool(probe.success) - (bool(values[i - window].success) if i >= window else 0)
            out.append(total / min(i + 1, window))
        return out

    def elapsed(self, now: float) -> float:
        """Seconds since the start: up to the last event of a finished run, else up to `now` (unix seconds)."""
        if self.started_at is None:
            return 0.0
        end = self.last_at if self.finished is not None and self.last_at is not None else now
        return max(0.0, end - self.started_at)

    def silent_for(self, now: float) -> float:
        """Seconds without an event; 0 for a finished run."""
        return 0.0 if self.finished is not None or self.last_at is None else max(0.0, now - self.last_at)
