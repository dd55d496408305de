"""A refused update, and the counters of updates that a budget limits. A made one is `events.UpdateMade`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

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
class Refusal:
    """No update was made. reason: a `GateReason`, or no_weights, no_lesson, no_screens, not_finite (the gradient).

    decision: the gate's, None if it was not asked.
    """

    reason: str
    decision: GateDecision | None = None
