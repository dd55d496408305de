"""Rows survive on disk, count once, and are summed up as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from showonce.evaluation.results import Results, Row, StepScore, paired, readings
from showonce.stats import wilson

STEPS = (StepScore(0.75, 0.5, None, True), StepScore(None, 0.25, 0.125, False), StepScore(0.9, None, None, None))
ROW = Row("eval", "skill/form", 7, "student", True, "completed", 3, 2, "v0001", STEPS)


def test_a_row_comes_back_from_the_file_as_it_was(tmp_path: Path) -> None:
    results = Results(tmp_path / "deep" / "results.jsonl")
    results.add(ROW)
    results.close()
    found = Results(tmp_path / "deep" / "results.jsonl")
    assert found.get(ROW.key) == ROW
    assert found.get(("eval", "skill/form", 8, "student")) is None


def test_a_torn_or_strange_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.add(ROW)
    results.close()
    path.write_text(path.read_text() + '{"part": "eval"}\n{"part": "ev', encoding="utf-8")
    again = Results(path)
    again.add(replace(ROW, seed=8))
    again.close()
    assert [row.seed for row in Results(path).rows()] == [7, 8]


def test_rows_of_another_process_are_seen_after_a_reload(tmp_path: Path) -> None:
    ours, theirs = Results(tmp_path / "r.jsonl"), Results(tmp_path / "r.jsonl")
    ours.add(ROW)
    theirs.add(replace(ROW, seed=8))
    assert ours.get(replace(ROW, seed=8).key) is None
    ours.reload()
    assert [row.seed for row in ours.rows()] == [7, 8]


def test_a_broken_attempt_is_kept_and_does_not_count_as_measured() -> None:
    results = Results()
    results.add(replace(ROW, success=False, error="model: RuntimeError: out of memory"))
    assert results.get(ROW.key) is None
    assert results.result("eval", "skill/form", "student").errors == 1
    results.add(ROW)
    assert results.get(ROW.key) == ROW
    assert results.result("eval", "skill/form", "student").errors == 0


def test_a_result_is_of_one_task_and_arm_in_the_order_of_its_seeds() -> None:
    results = Results()
    for seed, success in ((3, True), (1, False), (2, True)):
        results.add(replace(ROW, seed=seed, success=success))
    results.add(replace(ROW, seed=1, arm="other"))
    results.add(replace(ROW, seed=1, task="skill/drag"))
    found = results.result("eval", "skill/form", "student", [2, 1, 9])
    assert [row.seed for row in found.rows] == [2, 1]
    assert (found.n, found.successes, found.success, found.outcomes) == (2, 1, 0.5, (True, False))
    low, high = wilson(1, 2)
    assert found.phase == {"success": 0.5, "n": 2, "low": low, "high": high}
    assert [row.seed for row in results.result("eval", "skill/form", "student").rows] == [1, 2, 3]


def test_pairs_are_of_the_same_seeds() -> None:
    results = Results()
    for arm, outcomes in (("before", {1: True, 2: False, 3: True}), ("after", {3: False, 1: True, 4: True})):
        for seed, success in outcomes.items():
            results.add(replace(ROW, seed=seed, arm=arm, success=success))
    before, after = (results.result("eval", "skill/form", arm) for arm in ("before", "after"))
    assert paired(before, after) == ([True, True], [True, False])


@pytest.mark.parametrize(
    ("which", "values"), [("stated", [0.75]), ("token", [0.5, 0.25]), ("calibrated", [0.5, 0.125])]
)
def test_confidence_is_read_where_there_is_one_and_the_world_has_judged(which: str, values: list[float]) -> None:
    found, outcomes = readings([ROW], which)
    assert found == values
    assert outcomes == [True, False][: len(values)]


def test_the_first_target_was_reached_if_any_step_was_right() -> None:
    assert ROW.reached
    assert not replace(ROW, right=0).reached
