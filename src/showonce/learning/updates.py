"""The result of asking for one update (made or refused), and the counters of updates that a budget limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from showonce.events import UpdateMade
from showonce.learning.gate.gate import GateDecision


class Budget(Protocol):
    """Counts the updates of runs and tasks. The ledger of a store does, over restarts."""

    def count_update(self, run: str, task: str) -> None: ...
    def updates_run(self, run: str) -> int: ...
    def updates_task(self, task: str) -> int: ...


@dataclass
class UpdateCounts:
    """Counts updates in memory, where there is no store."""

    runs: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)

    def count_update(self, run: str, task: str) -> None:
        self.runs[run] = self.updates_run(run) + 1
        self.tasks[task] = self.updates_task(task) + 1

    def updates_run(self, run: str) -> int:
        return self.runs.get(run, 0)

    def updates_task(self, task: str) -> int:
        return self.tasks.get(task, 0)


@dataclass(frozen=True)
class UpdateReport:
    """One accepted update. n: how many this learner has done. kl_*: nats per decision token. ms: wall time."""

    n: int
    task_id: str
    route: str | None
    loss: float
    kl_teacher_student: float | None
    kl_to_champion: float
    grad_norm: float
    ms: float
    n_tokens: int
    screens: int
    candidate: str
    texts: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def event(self) -> UpdateMade:
        """Return the event that reports this update."""
        return UpdateMade(
            n=self.n,
            loss=self.loss,
            kl=self.kl_to_champion,
            grad_norm=self.grad_norm,
            ms=self.ms,
            route=self.route,
            candidate=self.candidate,
            kl_teacher_student=self.kl_teacher_student,
            screens=self.screens,
            tokens=self.n_tokens,
            parts=dict(self.parts),
        )


@dataclass(frozen=True)
class Refusal:
    """No update was made. reason: a `GateReason`, or no_weights, no_lesson, no_screens, not_finite (the gradient).

    decision: the gate's, None if it was not asked.
    """

    reason: str
    decision: GateDecision | None = None
