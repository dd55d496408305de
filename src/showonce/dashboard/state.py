"""What a run's events add up to: the records and the one `RunView` that the dashboard draws."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

TIMING_NAMES: Final = ("observe", "model", "parse", "execute", "overhead")
ERROR_SOURCES: Final = ("model", "parser", "executor", "environment")
RECENT_STEPS: Final = 1000  # steps over which the time split is taken
RECENT_LINES: Final = 200  # lines of the log that are kept


@dataclass(frozen=True)
class Probe:
    """One verified probe: success in [0, 1], the drop test's statistic and threshold after it, its estimated p0."""

    episode: str
    success: float
    statistic: float | None
    threshold: float | None
    p0: float | None


@dataclass(frozen=True)
class LastStep:
    """The newest step: what was proposed, what was executed, and what came of it."""

    episode: str
    index: int
    frame: str | None  # PNG, relative to the run folder
    proposed: Mapping[str, Any] | None
    executed: Mapping[str, Any] | None
    executor: str
    text: str
    note: str  # why nothing was executed, when there is a reason
    parse_failure: str  # "" or "reason: detail"
    stated: float | None
    token: float | None
    calibrated: float | None
    changed: bool | None
    correct: bool | None


@dataclass(frozen=True)
class LastGate:
    """The newest gate decision."""

    accepted: bool
    route: str
    reason: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class PhaseResult:
    """Success of one phase as a fraction, with its interval."""

    success: float | None
    n: int
    low: float | None
    high: float | None
    before: float | None = None  # what it was before learning, where one phase tells both (retention)


@dataclass(frozen=True)
class Rollback:
    """The best checkpoint came back."""

    episode: str
    old: str
    new: str
    statistic: float | None
    reason: str


@dataclass
class RunView:
    """Everything that the dashboard shows. Written by `RunReader` alone; everybody else reads."""

    run: str = ""
    name: str = ""
    adapter: str = ""
    learner: str = ""
    learning: bool | None = None
    seed: int | None = None
    budget_run: int | None = None
    budget_task: int | None = None
    started_at: float | None = None
    last_at: float | None = None
    finished: str | None = None  # the reason, once the run is over
    seconds: float | None = None

    task: str = ""
    goal: str = ""
    phase: str = ""
    phase_total: int | None = None
    phase_done: int = 0
    episode: str = ""
    executor: str = ""
    adapter_version: str = ""
    step: LastStep | None = None
    episodes: Counter[str] = field(default_factory=Counter)  # success | failure | open
    stop_reasons: Counter[str] = field(default_factory=Counter)

    gate: LastGate | None = None
    refused: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    run_left: int | None = None
    task_left: int | None = None
    loss: float | None = None
    kl: float | None = None

    champion: str = ""
    candidate: str = ""
    promotions: int = 0
    promotions_refused: int = 0
    checkpoints: list[str] = field(default_factory=list)
    rollbacks: list[Rollback] = field(default_factory=list)
    quarantined: set[str] = field(default_factory=set)
    probes: dict[str, list[Probe]] = field(default_factory=dict)  # by task
    marks: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # by task: (probes before it, "promotion"...)
    probe_task: str = ""
    shadow_agrees: int = 0
    shadow_total: int = 0

    results: dict[str, PhaseResult] = field(default_factory=dict)
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
        default_factory=lambda: {name: deque(maxlen=RECENT_STEPS) for name in TIMING_NAMES}
    )
    log: deque[tuple[float | None, str]] = field(default_factory=lambda: deque(maxlen=RECENT_LINES))
    events: int = 0
    broken: int = 0

    @property
    def updates_used(self) -> int:
        """Updates used of this run's budget."""
        left = self.budget_run - self.run_left if self.budget_run is not None and self.run_left is not None else 0
        return max(self.updates, left)

    @property
    def task_updates_used(self) -> int | None:
        """Updates used of the task's budget over all runs, None before the first gate decision."""
        if self.budget_task is None or self.task_left is None:
            return None
        return self.budget_task - self.task_left

    @property
    def time_split(self) -> dict[str, float]:
        """Median milliseconds by part over the last `RECENT_STEPS` steps."""
        return {name: median(values) for name, values in self.timings.items() if values}

    def curve(self, task: str, window: int = 20) -> list[float]:
        """Rolling mean of the last `window` probes of a task, one value per probe."""
        values, total, out = self.probes.get(task, []), 0.0, []
        for i, probe in enumerate(values):
            total += probe.success - (values[i - window].success if i >= window else 0.0)
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
