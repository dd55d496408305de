"""Jobs on a real Ray cluster of two nodes on this machine: the same rows and lessons, whatever becomes of a node."""

from __future__ import annotations

import importlib.util
import io
import os
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import TASK, MakeConfig

from showonce.about import __version__
from showonce.app import on_ray
from showonce.app.evaluate import evaluate
from showonce.app.executors import Order
from showonce.app.jobs import Job, make_bench, records, run_jobs
from showonce.config import Config, RayConfig
from showonce.errors import Stopped, Unavailable
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results
from showonce.plugins import Registry
from showonce.runtime.stop import Stop

FAST_DEATH = {  # a node that does not answer is dead after a second, not after a quarter of a minute
    "health_check_initial_delay_ms": 200, "health_check_period_ms": 300, "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 2,
}  # fmt: skip
MY_JOBS = '''
import time
from pathlib import Path

import torch

from showonce.environments.registry import find_task
from showonce.evaluation.runner import evaluate_set
from showonce.runtime.teaching import TeachResult


def run(job, work, notes=""):
    """Measure three screens and teach a lesson of two numbers; a note says on which node it began."""
    if job.part == "fails":
        raise ValueError("on purpose")
    if notes:
        import ray

        note = Path(notes, f"{job.task.replace('/', '-')}.{job.repetition}")
        first = not note.exists()
        note.write_text(ray.get_runtime_context().get_node_id())
        for _ in range(600 if job.part == "long" else 10 * first):
            time.sleep(0.1)
    task, seeds = find_task(job.task), range(10 * job.repetition, 10 * job.repetition + 3)
    with work.bench.acting(None) as policy:
        evaluate_set(policy, work.bench.make_environment, [task], seeds, results=work.results, part=job.part, arm="a")
    made = TeachResult({"w": torch.full((2,), float(job.repetition))}, 0, 0, 0, 0.0)
    lesson = work.lessons.get_or(f"{job.task}-{job.repetition}", lambda: made)
    assert not notes or torch.get_num_threads() == 1
    return {"sum": float(lesson.tensors["w"].sum())}
'''


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node, one core each."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'showonce[scale]'")
    os.environ.update(on_ray.QUIET)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": FAST_DEATH}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.doomed = made.add_node(num_cpus=1)
    with on_ray.connected(RayConfig(made.address)):  # once, so that worker processes import torch once
        yield made
    made.shutdown()


@pytest.fixture
def my_jobs(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of jobs in the working folder."""
    (elsewhere / "my_jobs.py").write_text(MY_JOBS)
    monkeypatch.syspath_prepend(str(elsewhere))
    monkeypatch.delitem(sys.modules, "my_jobs", raising=False)
    return importlib.import_module("my_jobs")


def rows_of(folder: Path) -> dict[Any, Any]:
    """What was measured, without confidences, which batched sums round."""
    return {
        row.key: (row.success, row.reason, row.steps, row.adapter) for row in Results(folder / "results.jsonl").rows()
    }


def test_eval_on_a_cluster_and_on_processes_scores_as_in_one_process(cluster: Any, make: MakeConfig) -> None:
    evaluation = replace(make().evaluation, set="single", split="dev", apps=2, seeds=(0,), screens=3)
    config = make(evaluation=evaluation, run_dir="here", workers=0)
    for name, workers in (("here", 0), ("processes", 1), ("nodes", "ray")):
        evaluate(replace(config, run_dir=name, workers=workers))
        assert (Path(name) / "scores.json").read_bytes() == Path("here/scores.json").read_bytes(), name
        assert rows_of(Path(name)) == rows_of(Path("here")) and len(rows_of(Path(name))) == 6, name
    assert not list(Path("nodes").glob(".ray-*")) and not Path("nodes/lessons").exists()


def test_stopped_jobs_keep_their_rows_and_go_on(cluster: Any, config: Config, my_jobs: Any, tmp_path: Path) -> None:
    """Ctrl-C presses the stop; a job that failed is a record with its error."""
    notes, folder, stop = tmp_path / "notes", tmp_path / "work", Stop()
    notes.mkdir()
    jobs = [Job("fails", "x"), Job("long", TASK, 7)]

    pressed: list[float] = []

    def press() -> None:
        _until(lambda: any(notes.iterdir()) and len(records(folder)) == 1)
        pressed.append(time.monotonic())
        stop.press("Ctrl-C")

    threading.Thread(target=press).start()
    with pytest.raises(Stopped, match="goes on from here"):
        run_jobs(jobs, partial(my_jobs.run, notes=str(notes)), make_bench, config, folder, workers="ray", stop=stop)
    assert time.monotonic() - pressed[0] < 30
    assert {key: record.error for key, record in records(folder).items()} == {"fails|x|0": "ValueError: on purpose"}


def test_a_node_that_dies_loses_nothing(cluster: Any, config: Config, my_jobs: Any, tmp_path: Path) -> None:
    """Its jobs are done again on the other one; rows and lessons are those of one process."""
    notes, here, nodes, told = tmp_path / "notes", tmp_path / "here", tmp_path / "nodes", list[str]()
    notes.mkdir()
    jobs = [Job("p", TASK, number) for number in range(5)]
    run_jobs(jobs, my_jobs.run, make_bench, config, here, workers=0)

    def kill() -> None:
        _until(lambda: any(note.read_text() == cluster.doomed.node_id for note in notes.iterdir()))
        cluster.remove_node(cluster.doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    config = replace(config, ray=RayConfig(storage=str(tmp_path / "store")))
    run = partial(my_jobs.run, notes=str(notes))
    run_jobs(jobs, run, make_bench, config, nodes, workers="ray", tell=told.append)
    killer.join()
    assert len(told) == 1 and told[0].endswith("its node died; it begins again.")
    assert rows_of(nodes) == rows_of(here) and len(rows_of(here)) == 15
    numbers = [{key: record.numbers for key, record in records(folder).items()} for folder in (here, nodes)]
    assert numbers[0] == numbers[1] and numbers[1][jobs[4].key] == {"sum": 8.0}
    lessons = LessonStore(nodes / "lessons")
    assert [lessons.get(f"{TASK}-{n}").tensors["w"].sum() for n in range(5)] == [2.0 * n for n in range(5)]  # type: ignore[union-attr]
    assert not list((tmp_path / "store").iterdir()), "what the nodes shared is removed"


# ------------------------------------------------------------------------------------------ without a cluster


@pytest.fixture
def letter(tmp_path: Path) -> on_ray.Letter:
    """What a node is told that shares the run's folder with the driver."""
    (tmp_path / "token").touch()
    return on_ray.Letter("token", on_ray.versions(), str(tmp_path), str(tmp_path), "", b"", (), b"")


def test_a_node_with_other_versions_or_without_the_folder_says_so(letter: on_ray.Letter, tmp_path: Path) -> None:
    other = replace(letter, versions={**letter.versions, "showonce": "0.0.9"})
    with pytest.raises(
        Unavailable, match=rf"has showonce=={__version__}, the driver showonce==0\.0\.9: install the same"
    ):
        on_ray.do_job(other, Job("p", "t"))
    (tmp_path / "token").unlink()
    with pytest.raises(Unavailable, match=r"does not see the run's folder .* or set ray.storage"):
        on_ray.do_job(letter, Job("p", "t"))


def test_files_of_the_working_folder_reach_a_node_that_does_not_have_it(
    letter: on_ray.Letter, config: Config, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "renyi.py").write_text("import helper\nclass Renyi:\n    power = helper.POWER\n")
    (elsewhere / "helper.py").write_text("POWER = 3\n")
    (elsewhere / "more" / "deep").mkdir(parents=True)
    (elsewhere / "more" / "deep" / "dpo.py").write_text("class DPO: ...\n")
    (elsewhere / "notes.txt").write_text("stays here")
    learning = replace(config.learning, learner="renyi:Renyi")
    arms = {"first": replace(config, learning=learning)}
    order = Order(partial(print, arms=arms), make_bench, config, elsewhere, Stop())  # type: ignore[call-arg]
    assert on_ray.named_modules(order) == {"renyi", "builtins", "showonce.app.jobs"}
    assert on_ray.python_files(elsewhere, {"showonce.app.jobs", "builtins"}) == b""
    code = on_ray.python_files(elsewhere, {"renyi", "more/deep/dpo.py"})
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        assert sorted(archive.namelist()) == ["helper.py", "more/deep/dpo.py", "renyi.py"]
    monkeypatch.setattr(sys, "path", [*sys.path])
    on_ray._go_to(replace(letter, code=code), shared=False)
    assert Path.cwd() != elsewhere and Registry("learner", "none").load("renyi:Renyi").power == 3


def test_a_process_that_dies_three_times_is_a_failed_job(config: Config, tmp_path: Path) -> None:
    """A process, while its node lives; a node that dies is nobody's fault, and counts for nothing."""
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is not installed")

    class Dying:
        deaths = iter(
            [exceptions.WorkerCrashedError(), exceptions.NodeDiedError("x"), *[exceptions.WorkerCrashedError()] * 2]
        )

        def get(self, reference: object) -> None:
            raise next(self.deaths)

    told: list[str] = []
    executor = on_ray.RayCluster(Order(print, make_bench, config, tmp_path, Stop(), told.append))  # type: ignore[arg-type]
    executor._ray, executor._task, executor._stored = Dying(), lambda job: object(), None  # type: ignore[assignment]
    executor.submit(Job("p", "t"))
    ended: list[Any] = []
    while executor._running:
        ended += executor._ended(next(iter(executor._running)), again=True)
    assert [record.error for record in ended] == ["its process died 3 times (out of memory?)"]
    assert [line.partition(": ")[2].partition(";")[0] for line in told] == [
        "its process died",
        "its node died",
        "its process died",
    ]


def test_without_ray_or_an_answer_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(Unavailable, match=rf"ray.address={address}: nothing answers there .*ray start --head"):
            on_ray._check_answers("ray.address", address)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match=r"pip install 'showonce\[scale\]'"), on_ray.connected(RayConfig()):
        pass


def _until(seen: Any, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return True
