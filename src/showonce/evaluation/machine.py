"""The core table's jobs that need no lesson: the drop test's own benchmark, the runtime's overhead, the demo's time.

Benchmarks and the demo live beside the package in the source tree, not in the wheel.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from showonce.about import PACKAGE
from showonce.errors import ShowonceError, Unavailable
from showonce.evaluation.jobs import Job, Work
from showonce.evaluation.overhead import step_overheads
from showonce.evaluation.tasks import task_set
from showonce.stats import upper_bound

ROOT: Final = PACKAGE.parents[1]  # of the source tree
SIMULATED: Final = 5000  # healthy runs a setting
EPISODES: Final = 60  # of the overhead's measurement
DEMO_SECONDS: Final = 900.0
JOBS: Final = ("drop_test", "overhead", "demo_time")


def run_machine_job(job: Job, work: Work) -> dict[str, Any]:
    """Do one of these jobs and return its numbers."""
    return {"drop_test": _drop_test, "overhead": _overhead, "demo_time": _demo_time}[job.part](work)


def _beside(name: str) -> Path:
    path = ROOT / name
    if not path.is_file():
        raise Unavailable(f"{name} is not here: it comes with the source tree, not with the wheel.")
    return path


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"showonce_benchmark_{path.stem}", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _drop_test(work: Work) -> dict[str, Any]:
    """The configured rule on simulated healthy runs: the worst upper bound over scenarios and p0."""
    benchmark = _module(_beside("benchmarks/drop_test.py"))
    kind = work.config.learning.ratchet.drop_test
    worst, name, alarms = 0.0, "", 0
    for row, (scenario, simulate) in enumerate(benchmark.SCENARIOS.items()):
        if scenario == "one for all":  # what a single test over all tasks would do; not how it is used
            continue
        for column, p0 in enumerate(benchmark.P0):
            work.stop.check()
            found = int(simulate(kind, p0, SIMULATED, np.random.default_rng([row, column])))
            upper = upper_bound(found, SIMULATED)
            alarms += found
            if upper > worst:
                worst, name = upper, f"{scenario}, p0 = {p0}: {found / SIMULATED:.4f}"
    return {"upper": worst, "worst": name, "n": SIMULATED, "stated": float(benchmark.RATE), "alarms": alarms}


def _overhead(work: Work) -> dict[str, Any]:
    environment = work.bench.make_environment()
    try:
        found = step_overheads(environment, task_set("skills").tasks, EPISODES)
    finally:
        environment.close()
    return {"median": float(np.median(found)), "p99": float(np.quantile(found, 0.99)), "n": len(found)}


def _demo_time(work: Work) -> dict[str, Any]:
    """The demo as a person runs it, into folders that are thrown away."""
    script = _beside("run_demo.sh")
    if not (ROOT / ".venv").is_dir():
        raise Unavailable("there is no .venv: run ./run_demo.sh once, so that the installation is not counted.")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="showonce-demo-") as root:
        words = [f"output.logs={root}/logs", f"output.adapters={root}/adapters", "dashboard.mode=off"]
        done = subprocess.run(
            [str(script), *words], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=DEMO_SECONDS,
        )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ShowonceError(f"{script.name} ended with {done.returncode}: {said[-1] if said else 'it said nothing'}")
    return {"seconds": time.monotonic() - begun, "python": sys.version.split()[0]}
