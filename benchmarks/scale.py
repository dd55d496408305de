"""What does Ray cost beside the pool of worker processes, and what is lost when one of two nodes is killed?

    python -m benchmarks.scale
    python -m benchmarks.scale --lessons 12 --rounds 5

Lessons of the embedded model are taught and measured by `showonce.app.jobs`, in turns on two worker processes and on a
Ray cluster of two nodes of one core, which stands before the clock starts, as the machine does. Then once more with
the second node killed as soon as a lesson has begun on it. Goals: the median wall time on Ray within 1.1 of that of the
pool; no lesson lost; rows and adapters bit for bit the same everywhere.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.core_table.job_bodies import run_job
from benchmarks.core_table.schedule import apps_of
from benchmarks.verdict import Row, finish, of_ratio, of_times, parser
from showonce.app.jobs import LESSONS, ROWS, Job, Work, make_bench, records, run_jobs
from showonce.app.on_ray import QUIET
from showonce.config import RAY, Config, RayConfig, Workers
from showonce.evaluation.goals import Goal
from showonce.evaluation.results import Results
from showonce.settings import load_config

CORES: Final = 2
OVERHEAD: Final = Goal("<=", 1.1, name="ratio")
NONE: Final = Goal("<=", 0, name="count")
BEGAN: Final = "began"  # folder of notes, one a lesson, that name the node on which it began


def lesson(job: Job, work: Work, notes: str = "") -> dict[str, Any]:
    """Teach and measure one lesson; notes: a folder in which to say on which node."""
    if notes:
        import ray

        (Path(notes) / str(job.repetition)).write_text(ray.get_runtime_context().get_node_id())
    return run_job(Job("single", job.task), work)


def lessons_of(config: Config, count: int) -> list[Job]:
    """Return one job an app; the repetition numbers them."""
    return [Job("single", app, number) for number, app in enumerate(apps_of(config, "single")[:count])]


def seconds(config: Config, jobs: Sequence[Job], folder: Path, workers: Workers, notes: str = "") -> float:
    """Return the wall time of all jobs in a new folder."""
    begun = time.monotonic()
    run_jobs(jobs, partial(lesson, notes=notes), make_bench, config, folder, workers=workers, tell=print)
    return time.monotonic() - begun


def made_in(folder: Path) -> dict[Any, Any]:
    """Return everything that numbers are made of: whole rows and the bytes of adapters."""
    rows = Results(folder / ROWS)
    try:
        found: dict[Any, Any] = {row.key: row for row in rows.rows()}
    finally:
        rows.close()
    return found | {file.name: file.read_bytes() for file in (folder / LESSONS).glob("*.safetensors")}


@contextmanager
def cluster() -> Iterator[Any]:
    """Start two nodes of one core."""
    os.environ.update(QUIET)
    from ray.cluster_utils import Cluster

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.second = made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        made.shutdown()


def kill_when_begun(nodes: Any, notes: Path) -> None:
    """Kill the second node a second after a lesson began on it."""
    while not any(note.read_text() == nodes.second.node_id for note in notes.iterdir()):
        time.sleep(0.05)
    time.sleep(1.0)
    nodes.remove_node(nodes.second, allow_graceful=False)


def measure(config: Config, jobs: Sequence[Job], rounds: int, root: Path) -> list[Row]:
    """Run the jobs in turns on both, then with a node killed, and return the rows."""
    pool, ray, different = [], [], 0
    with cluster() as nodes:
        config = replace(config, ray=RayConfig(nodes.address))
        for number in range(rounds):
            pool.append(seconds(config, jobs, root / f"pool-{number}", CORES))
            ray.append(seconds(config, jobs, root / f"ray-{number}", RAY))
            print(f"round {number + 1}: processes {pool[-1]:.1f} s, Ray {ray[-1]:.1f} s", flush=True)
            different += made_in(root / f"pool-{number}") != made_in(root / f"ray-{number}")
        notes, killed = root / BEGAN, root / "killed"
        notes.mkdir()
        killer = threading.Thread(target=kill_when_begun, args=(nodes, notes), daemon=True)
        killer.start()
        took = seconds(config, jobs, killed, RAY, str(notes))
        alive = killer.is_alive()
    done = {key for key, record in records(killed).items() if not record.error}
    different += made_in(killed) != made_in(root / "pool-0")
    lost = None if alive else float(len(jobs) - len(done))
    return [
        of_times(f"{len(jobs)} lessons, {CORES} processes", [1e3 * s for s in pool]),
        of_times(f"{len(jobs)} lessons, Ray on {CORES} nodes of one core", [1e3 * s for s in ray]),
        of_ratio("Ray / processes", ray, pool, OVERHEAD),
        Row("lessons lost when a node is killed", lost, NONE, n=len(jobs), why="no lesson began on it",
            note=f"{took:.0f} s"),
        Row("runs whose rows or adapters differ", float(different), NONE, n=rounds + 1),
    ]  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    arguments = parser(__doc__, quick="4 short lessons, one round")
    arguments.add_argument("--lessons", type=int, default=8)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args(words)
    short = ["learning.gate.budget_run=4", "evaluation.screens=4"] if given.quick else ["evaluation.screens=20"]
    config = load_config("run", ["evaluation.split=test", "evaluation.apps=20", *short])
    jobs = lessons_of(config, 4 if given.quick else given.lessons)
    with tempfile.TemporaryDirectory(prefix="showonce-scale-") as root:
        return finish(measure(config, jobs, 1 if given.quick else given.rounds, Path(root)), given)


if __name__ == "__main__":
    sys.exit(main())
