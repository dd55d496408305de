"""The core table's jobs that need no lesson: the drop test's simulation, the runtime's overhead, the demo's time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import drop_test
from benchmarks.floors import answer_times
from benchmarks.runtime_overhead import step_overheads
from showonce.app.jobs import Job, Work
from showonce.errors import ShowonceError, Unavailable
from showonce.evaluation.tasks import task_set
from showonce.stats import upper_bound

ROOT: Final = Path(__file__).resolve().parents[2]  # of the source tree
SIMULATED: Final = 5000  # simulated healthy runs of each scenario and p0
EPISODES: Final = 60  # episodes in which the overhead is measured
DEMO_SECONDS: Final = 900.0  # after which the demo is given up
JOBS: Final = ("drop_test", "overhead", "demo_time")


def run_standalone_job(job: Job, work: Work) -> dict[str, Any]:
    """Do one of these jobs and return its numbers."""
    return {"drop_test": _drop_test, "overhead": _overhead, "demo_time": _demo_time}[job.part](work)


def _drop_test(work: Work) -> dict[str, Any]:
    """Return the worst upper bound of the configured rule's false-alarm rate over scenarios and p0."""
    kind = work.config.learning.ratchet.drop_test
    worst, name, alarms = 0.0, "", 0
    for row, (scenario, simulate) in enumerate(drop_test.SCENARIOS.items()):
        if scenario == "one for all":  # one test over all tasks, which is not how the rule is used
            continue
        for column, p0 in enumerate(drop_test.P0):
            work.stop.check()
            found = int(simulate(kind, p0, SIMULATED, np.random.default_rng([row, column])))
            upper = upper_bound(found, SIMULATED)
            alarms += found
            if upper > worst:
                worst, name = upper, f"{scenario}, p0 = {p0}: {found / SIMULATED:.4f}"
    return {"upper": worst, "worst": name, "n": SIMULATED, "stated": float(drop_test.RATE), "alarms": alarms}


def _overhead(work: Work) -> dict[str, Any]:
    environment = work.bench.make_environment()
    try:
        found = step_overheads(environment, task_set("skills").tasks, EPISODES)
    finally:
        environment.close()
    with work.bench.acting(None) as policy:
        answers = answer_times(policy)
    median, p99 = (float(q) for q in np.quantile(found, (0.5, 0.99)))
    return {"median": median, "p99": p99, "n": len(found), "answer": float(np.median(answers))}


def _demo_time(work: Work) -> dict[str, Any]:
    """Return the seconds that run_demo.sh takes, with temporary output folders."""
    script = ROOT / "run_demo.sh"
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
        raise ShowonceError(f"{script.name} ended with {done.returncode}: {said[-1] if said else 'no output'}")
    return {"seconds": time.monotonic() - begun, "python": sys.version.split()[0]}
