"""Scores a policy on a named task set without any learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showonce.config import EvaluationConfig, SafetyConfig
from showonce.evaluation.results import EvalResult, Results
from showonce.evaluation.runner import MakeEnvironment, ProgressBar, evaluate_set, no_bar
from showonce.evaluation.tasks import TaskSet, part_of, task_set
from showonce.fsio import atomic_write_json
from showonce.protocols import Policy
from showonce.runs.layout import RESULTS, SCORES
from showonce.runtime.stop import Stop
from showonce.seeds import Seeds
from showonce.stats import Estimate, bootstrap_mean


@dataclass(frozen=True)
class Score:
    """Results by task id, and the mean success over tasks with its 95 % bootstrap interval."""

    name: str
    split: str
    results: dict[str, EvalResult]
    mean: Estimate

    @property
    def parts(self) -> dict[str, tuple[str, Estimate]]:
        """What each part of the set separates, and the mean success over its tasks; empty for a set without parts."""
        found: dict[str, tuple[str, dict[str, list[float]]]] = {}
        for task, result in self.results.items():
            part, separates = part_of(task)
            if part:
                found.setdefault(part, (separates, {}))[1][task] = [result.success]
        return {part: (separates, bootstrap_mean(values)) for part, (separates, values) in found.items()}

    @property
    def record(self) -> dict[str, Any]:
        """The form that is written beside the rows."""
        return {
            "set": self.name,
            "split": self.split,
            "mean": self.mean.mean,
            "low": self.mean.low,
            "high": self.mean.high,
            "worst": self.mean.worst,
            "parts": {part: {"separates": what, "mean": one.mean} for part, (what, one) in self.parts.items()},
            "tasks": {task: {**result.phase, "errors": result.errors} for task, result in self.results.items()},
        }


def chosen_set(ours: EvaluationConfig) -> TaskSet:
    """Return the tasks that are scored: every family of `skills`, the first `apps` of another set.

    Raises:
        ConfigError: no such set or split.
    """
    return task_set(ours.set, ours.split, 0 if ours.set == "skills" else ours.apps)


def seeds_of(ours: EvaluationConfig, book: Seeds) -> list[int]:
    """Return the seeds of every task: `per_family` of skills; of an app, `screens` for each of the repetitions."""
    if ours.set == "skills":
        return [*book.repetition(0).take("evaluation", ours.per_family)]
    return [seed for number in ours.seeds for seed in book.repetition(number).take("evaluation", ours.screens)]


def score(
    chosen: TaskSet, seeds: Sequence[int], policy: Policy, make_env: MakeEnvironment, folder: str | Path,
    stop: Stop | None = None, bar: ProgressBar = no_bar, safety: SafetyConfig | None = None,
) -> Score:  # fmt: skip
    """Measure a set of tasks and write results.jsonl (resumable) and scores.json into a folder.

    Raises:
        Stopped: the rows so far are kept.
    """
    rows = Results(Path(folder) / RESULTS)
    try:
        with bar(title_of(chosen), len(chosen.tasks) * len(seeds)) as advance:
            evaluate_set(
                policy, make_env, chosen.tasks, seeds, results=rows, part=chosen.name, arm=policy.adapter_version,
                stop=stop, advance=advance, safety=safety,
            )  # fmt: skip
        return write_score(chosen, seeds, policy.adapter_version, rows, folder)
    finally:
        rows.close()


def title_of(chosen: TaskSet) -> str:
    """Return what a progress bar says."""
    return f"{chosen.name} ({len(chosen.tasks)} tasks)"


def write_score(chosen: TaskSet, seeds: Sequence[int], arm: str, rows: Results, folder: str | Path) -> Score:
    """Sum measured rows up and write scores.json."""
    found = {task.id: rows.result(chosen.name, task.id, arm, seeds) for task in chosen.tasks}
    mean = bootstrap_mean({task: [result.success] for task, result in found.items()})
    made = Score(chosen.name, chosen.split, found, mean)
    atomic_write_json(Path(folder) / SCORES, made.record)
    return made
