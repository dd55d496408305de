"""The jobs that need no lesson."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.core_table.standalone import run_standalone_job
from showonce.app.jobs import Job, Work
from showonce.evaluation.bench import Bench
from showonce.evaluation.results import Results
from showonce.runtime.stop import Stop


def test_the_overhead_is_a_job_too(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    stop = Stop()
    work = Work(make_bench(), Results(), None, stop)  # type: ignore[arg-type]
    overhead = run_standalone_job(Job("overhead", ""), work)
    assert overhead["n"] > 60
    assert 0 < overhead["median"] <= overhead["p99"]
    assert overhead["answer"] > 0
