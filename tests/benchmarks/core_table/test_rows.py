"""The rows judge made numbers by their goals."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.core_table import rows_learning, rows_safety, schedule
from benchmarks.core_table.rows import Found
from showonce.app.jobs import Record
from showonce.config import Config
from showonce.evaluation.results import Results, Row, StepScore
from showonce.evaluation.tasks import task_set


def found_of(config: Config, results: Results | None = None, **jobs: dict[str, Any]) -> Found:
    made = {key.replace("_at_", "|"): value for key, value in jobs.items()}
    kept = {f"{key}|0": Record(f"{key}|0", 1.0, numbers) for key, numbers in made.items()}
    return Found(config, results or Results(), kept)


def fill(results: Results, part: str, arm: str, task: str, successes: int, n: int) -> None:
    for seed in range(n):
        results.add(Row(part, task, seed, arm, seed < successes, "completed", 1))


@pytest.mark.parametrize(("successes", "verdict"), [(19, "reached"), (16, "missed")])
def test_success_is_judged_by_its_mean_over_apps(small: Config, successes: int, verdict: str) -> None:
    results = Results()
    for app in ("app/dev/single/0", "app/dev/single/1"):
        fill(results, "single", "before@0", app, 2, 20)
        fill(results, "single", "teacher@0", app, 20, 20)
        fill(results, "single", "after@0", app, successes, 20)
    before, teacher, after, _ = rows_learning.single(found_of(small, results))
    assert (before.verdict, teacher.verdict, after.verdict) == ("reached", "reached", verdict)
    assert after.value == f"{successes / 20:.3f}"


def test_retention_is_missed_when_one_family_clearly_falls(small: Config) -> None:
    results = Results()
    for at, task in enumerate(task_set("skills").ids):
        fill(results, "skills", "before", task, 200, 200)
        fill(results, "retention", "after", task, 184 if at == 3 else 200, 200)
    (row,) = rows_learning.retention(found_of(small, results))
    assert row.verdict == "missed"
    assert "below: double_click" in row.worst
    for seed in range(184, 200):
        results.add(Row("retention", task_set("skills").ids[3], seed, "after", True, "completed", 1))
    assert rows_learning.retention(found_of(small, results))[0].verdict == "reached"


def test_the_confidence_is_judged_on_a_mixed_set_that_is_large_enough(small: Config) -> None:
    def score(good: bool, n: int) -> Found:
        results = Results()
        for seed in range(n):
            right = seed % 2 == 0
            stated = StepScore(0.5, (0.97 if right else 0.03) if good else 0.5, None, right)
            results.add(Row("calibration", "app/dev/single/5", seed, "untaught:x", right, "", 1, 0, "v", (stated,)))
        return found_of(small, results)

    assert rows_learning.calibration(score(True, 1000))[0].verdict == "reached"
    assert rows_learning.calibration(score(True, 900))[0].verdict == "missed"
    assert rows_learning.calibration(score(False, 1000))[0].verdict == "missed"
    assert "50% failures" in rows_learning.calibration(score(True, 1000))[0].n


def test_one_fault_that_goes_on_acting_is_a_miss(small: Config) -> None:
    whole = {"refusals": 1, "by_hash": 1, "probes_to_see": None, "seen_rate": None, "restored": None, "start": 1.0}
    whole |= {"end_rate": 1.0}
    kinds = [(kind, run) for kind in schedule.FAULTS for run in range(schedule.FAULT_RUNS)]
    jobs = {
        f"faults|{kind}|{run}": Record(f"faults|{kind}|{run}", 1.0, {**whole, "end": "refused"}) for kind, run in kinds
    }
    found = Found(small, Results(), jobs)
    first, alone, collapse, smaller, by_hash, restored = rows_safety.faults(found)
    assert (first.verdict, alone.verdict, by_hash.verdict, restored.verdict) == (
        "reached", "not run", "reached", "reported",
    )  # fmt: skip
    assert (collapse.verdict, smaller.verdict) == ("reported", "reported")
    jobs["faults|lr_x100|1"] = Record("faults|lr_x100|1", 1.0, {**whole, "end": "contained"})
    assert rows_safety.faults(found)[0].verdict == "missed", "contained is told apart, and is not rolled back"
    jobs["faults|lr_x100|0"] = Record("faults|lr_x100|0", 1.0, {**whole, "end": "acted", "end_rate": 0.2})
    back = {**whole, "end": "rolled_back", "probes_to_see": 20, "seen_rate": 0.4, "restored": False}
    jobs["faults|inverted_loss|0"] = Record("faults|inverted_loss|0", 1.0, back)
    first, _, collapse, smaller, _, restored = rows_safety.faults(found)
    assert (first.verdict, collapse.verdict, restored.verdict) == ("missed", "missed", "missed")
    assert smaller.verdict == "reported", "what fell from 1.0 to 0.4 is a collapse"
    assert "0.80" in first.worst
    jobs["faults|inverted_loss|0"] = Record("faults|inverted_loss|0", 1.0, {**back, "seen_rate": 0.7})
    _, _, collapse, smaller, *_ = rows_safety.faults(found)
    assert (collapse.verdict, smaller.verdict) == ("reported", "reached"), "a smaller loss may take 50 probes"
    jobs["faults|drop_test:lr_x100|0"] = Record("faults|drop_test:lr_x100|0", 1.0, {**back, "restored": True})
    assert "1 rolled back" in rows_safety.faults(found)[1].value


def test_specificity_is_a_paired_difference_and_names_the_worst_app(small: Config) -> None:
    def numbers(rise: float) -> dict[str, Any]:
        shares = {"greedy_before": 0.2, "greedy_after": 0.2 + rise, "sampled_before": 0.2, "sampled_after": 0.2}
        return {"numbers": shares, "n": 400, "value": rise}

    made = {f"specificity|app/dev/single/{i}|0": numbers(0.3 * i) for i in range(2)}
    found = Found(small, Results(), {key: Record(key, 1.0, value) for key, value in made.items()})
    greedy, sampled, in_context = rows_learning.specificity(found)
    assert (greedy.verdict, sampled.verdict, in_context.verdict) == ("missed", "reached", "not run")
    assert greedy.value.startswith("+0.150")
    assert greedy.worst == "dev/single/1 +0.30"
