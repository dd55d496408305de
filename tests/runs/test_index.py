"""Run folders, the index, finding and comparing runs."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
from pathlib import Path

import pytest
from rich.console import Console

from showonce.about import __version__
from showonce.config import Config, LearningConfig, OutputConfig
from showonce.errors import BadInput, DiskError
from showonce.runs.comparison import comparison, overview, table
from showonce.runs.folder import start_run
from showonce.runs.index import finish_run, read_index, resolve_run
from showonce.settings import load_config

METRICS = {
    "before": {"success": 0.1, "n": 10, "low": 0.0, "high": 0.4},
    "teacher": {"success": 0.95, "n": 10, "low": 0.7, "high": 1.0},
    "after": None,
    "updates": {"accepted": 12, "budget": 60},
    "rollbacks": [{"episode": 3}],
}


def started(logs: Path, name: str = "run", **changes: object) -> Path:
    return start_run(Config(name=name, output=OutputConfig(logs=str(logs)), **changes))  # type: ignore[arg-type]


def printed(what: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def test_a_new_run_has_its_config_and_versions(tmp_path: Path) -> None:
    config = Config(name="my run/1", seed=7, output=OutputConfig(logs=str(tmp_path / "deep" / "logs")))
    folder = start_run(config)
    assert folder.parent == tmp_path / "deep" / "logs"
    assert folder.name.endswith("-my-run-1")
    assert load_config(folder / "config.yaml") == config
    assert json.loads((folder / "versions.json").read_text())["showonce"] == __version__


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = [started(tmp_path) for _ in range(5)]
    assert len(set(folders)) == 5
    assert [record.path for record in read_index(tmp_path)] == folders


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


def _start_many(logs: Path) -> None:
    for _ in range(10):
        started(logs)


def test_two_processes_may_start_runs_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_start_many, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len({record.path for record in read_index(tmp_path)}) == 20
    assert len((tmp_path / "index.jsonl").read_text().splitlines()) == 20


def test_run_dir_is_used_and_never_used_twice(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    assert started(tmp_path / "logs", run_dir=str(place)) == place
    assert resolve_run("mine", tmp_path / "logs").resolve() == place.resolve()
    with pytest.raises(BadInput, match="holds a run already"):
        started(tmp_path / "logs", run_dir=str(place))


def test_resume_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    folder = started(tmp_path)
    before = (folder / "config.yaml").read_text()
    assert started(tmp_path, resume=folder.name, seed=9) == folder
    assert (folder / "config.yaml").read_text() == before
    assert len(read_index(tmp_path)) == 1
    with pytest.raises(BadInput, match="no run 'other'"):
        started(tmp_path, resume="other")


def test_a_log_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file"):
        started(tmp_path / "file" / "logs")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_log_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DiskError, match="permission denied"):
            started(tmp_path)
    finally:
        tmp_path.chmod(0o755)


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


def test_the_table_shows_numbers_and_dashes(tmp_path: Path) -> None:
    folder = started(tmp_path, "demo", task="app/dev/single/0")
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    finish_run(folder, tmp_path, "finished")
    text = printed(overview([], tmp_path))
    assert all(word in text for word in (folder.name, "app/dev/single/0", "10%", "95%", "12", "finished"))
    assert "No runs" in printed(overview([], tmp_path / "empty"))


def test_the_comparison_shows_all_metrics_and_only_settings_that_differ(tmp_path: Path) -> None:
    folders = [started(tmp_path, "a", seed=1), started(tmp_path, "b", seed=2, tasks=("p", "q"))]
    for folder, after in zip(folders, (0.9, 0.8), strict=True):
        (folder / "metrics.json").write_text(json.dumps({**METRICS, "after": {"success": after}}))
    text = printed(comparison(folders))
    assert all(word in text for word in ("after.success", "0.9", "0.8", "seed", "updates.accepted", "['p', 'q']"))
    assert "learning.gate.budget_run" not in text
