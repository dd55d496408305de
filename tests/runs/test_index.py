"""The index of runs, and finding a run by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.runs.conftest import METRICS, printed, started

from showonce.config import LearningConfig
from showonce.errors import BadInput
from showonce.runs.comparison import table
from showonce.runs.index import finish_run, read_index, resolve_run


def test_the_index_merges_start_and_end(tmp_path: Path) -> None:
    folder = started(tmp_path, "demo", task="app/dev/single/0", seed=3)
    (running,) = read_index(tmp_path)
    assert (running.status, running.task, running.learner, running.seed) == ("started", "app/dev/single/0", "sdft", 3)
    assert running.after is None and running.updates is None
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    finish_run(folder, tmp_path, "finished")
    (done,) = read_index(tmp_path)
    assert (done.status, done.before, done.teacher, done.after) == ("finished", 0.1, 0.95, None)
    assert (done.updates, done.rollbacks, done.started) == (12, 1, running.started)


def test_learning_off_is_listed_as_frozen(tmp_path: Path) -> None:
    started(tmp_path, learning=LearningConfig(enabled=False))
    (record,) = read_index(tmp_path)
    assert record.learner == "frozen" and " off " in printed(table([record]))


def test_a_message_is_listed_as_failed_and_what_never_began_is_not_latest(tmp_path: Path) -> None:
    first, second = started(tmp_path, "first"), started(tmp_path, "second")
    finish_run(first, tmp_path, "completed")
    finish_run(second, tmp_path, "ConfigError: 'x' is not a valid choice.", began=False)
    assert [record.status for record in read_index(tmp_path)] == ["completed", "failed"]
    assert resolve_run("latest", tmp_path) == first
    assert resolve_run("second", tmp_path) == second
    finish_run(second, tmp_path, "EnvironmentBroken: gone.")
    assert resolve_run("latest", tmp_path) == second


def test_a_run_that_wrote_no_metrics_or_broken_ones_is_listed_all_the_same(tmp_path: Path) -> None:
    folder = started(tmp_path)
    (folder / "metrics.json").write_text("{")
    finish_run(folder, tmp_path, "stopped")
    assert read_index(tmp_path)[0].status == "stopped"


def test_torn_lines_and_deleted_folders_are_passed_over(tmp_path: Path) -> None:
    folder = started(tmp_path)
    with (tmp_path / "index.jsonl").open("a") as index:
        index.write('{"t": 1, "run": "gone", "path": "gone", "status": "started"}\n{"run": "hal')
    again = started(tmp_path, "next")
    assert [record.path for record in read_index(tmp_path)] == [folder, again]


def test_a_run_is_found_by_path_name_part_and_latest(tmp_path: Path) -> None:
    first, second = started(tmp_path, "alpha"), started(tmp_path, "beta")
    assert resolve_run("latest", tmp_path) == second
    assert resolve_run("alpha", tmp_path) == first
    assert resolve_run(first.name, tmp_path) == first
    assert resolve_run(str(first), tmp_path / "other") == first


def test_a_run_that_is_not_there_or_not_clear_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are no runs"):
        resolve_run("latest", tmp_path)
    first, second = started(tmp_path, "alpha"), started(tmp_path, "alpha")
    with pytest.raises(BadInput, match="could be any of") as caught:
        resolve_run("alph", tmp_path)
    assert first.name in str(caught.value) and second.name in str(caught.value)
    with pytest.raises(BadInput, match="Did you mean 'latest'"):
        resolve_run("lastest", tmp_path)
