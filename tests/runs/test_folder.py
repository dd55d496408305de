"""Making a run's folder, and going on in one."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from tests.runs.conftest import started

from showonce.about import __version__
from showonce.config import Config, OutputConfig
from showonce.errors import BadInput, DiskError
from showonce.runs.folder import start_run
from showonce.runs.index import read_index, resolve_run
from showonce.settings import load_config


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
