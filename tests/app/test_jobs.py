"""Every job is done once, in processes that can be stopped; a folder keeps the settings that it was begun with."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.benchfactory import embedded

from showonce.app.jobs import Job, Work, check_settings, records, run_jobs, settings_of
from showonce.config import Config
from showonce.errors import BadInput, ShowonceError, Stopped
from showonce.evaluation.bench import Bench
from showonce.runtime.stop import Stop


def write_down(job: Job, work: Work, folder: str) -> dict[str, Any]:
    """A job that leaves a file with the process it ran in."""
    if job.task == "fails":
        raise ValueError("on purpose")
    (Path(folder) / f"{job.task}.{job.repetition}").write_text(str(os.getpid()))
    return {"pid": os.getpid()}


def no_bench(config: Config, stop: Stop) -> Bench:
    """A bench that cannot measure anything."""
    return Bench(config, None, embedded)  # type: ignore[arg-type]


def test_jobs_are_done_once_and_those_that_failed_again(config: Config, tmp_path: Path) -> None:
    jobs = [Job("part", task) for task in ("a", "fails", "b")]
    run, advanced = partial(write_down, folder=str(tmp_path)), []
    run_jobs(jobs, run, no_bench, config, tmp_path / "work", workers=0, advance=advanced.append)
    assert sum(advanced) == 3
    assert records(tmp_path / "work")["part|fails|0"].error == "ValueError: on purpose"
    (tmp_path / "a.0").unlink()
    run_jobs(jobs, run, no_bench, config, tmp_path / "work", workers=0)
    assert not (tmp_path / "a.0").exists()
    assert len((tmp_path / "work" / "jobs.jsonl").read_text().splitlines()) == 4


def test_the_stop_file_ends_the_jobs(config: Config, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "STOP").touch()
    with pytest.raises(Stopped):
        run_jobs(
            [Job("p", "a")], partial(write_down, folder=str(tmp_path)), no_bench, config, tmp_path / "work", workers=0
        )
    assert records(tmp_path / "work") == {}


def test_new_processes_do_the_jobs_and_one_that_dies_is_told(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "worker_jobs_of_a_test.py"
    module.write_text(
        "import os\n"
        "from showonce.evaluation.bench import Bench\n"
        "def bench(config, stop):\n    return Bench(config, None, None)\n"
        "def run(job, work):\n"
        "    if job.task == 'dies':\n        os._exit(9)\n"
        "    import torch\n"
        "    return {'pid': os.getpid(), 'threads': torch.get_num_threads()}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import worker_jobs_of_a_test as worker  # type: ignore[import-not-found]

    jobs = [Job("part", "x", i) for i in range(3)]
    run_jobs(jobs, worker.run, worker.bench, config, tmp_path / "work", workers=1)
    done = records(tmp_path / "work")
    assert {record.numbers["threads"] for record in done.values()} == {1}
    assert os.getpid() not in {record.numbers["pid"] for record in done.values()}
    assert len(done) == 3
    with pytest.raises(ShowonceError, match="ended by itself"):
        run_jobs([Job("part", "dies")], worker.run, worker.bench, config, tmp_path / "work", workers=1)


def test_a_folder_of_an_older_version_is_gone_on_with(config: Config, tmp_path: Path) -> None:
    wanted = settings_of(config)
    older = {**wanted["evaluation"], "set": "core_table", "parts": [], "workers": 0, "multi_updates": 200}
    (tmp_path / "settings.json").write_text(json.dumps({**wanted, "evaluation": older}))
    check_settings(config, tmp_path)
    with pytest.raises(BadInput, match="other settings"):
        check_settings(replace(config, seed=7), tmp_path)
