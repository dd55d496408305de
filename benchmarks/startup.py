"""How long a verb takes from its start until it begins its work, and whether it imported torch.

    python -m benchmarks.startup            # a minute
    python -m benchmarks.startup --quick

Each command is a new process of this Python in an empty folder with twelve runs in its index, so nothing but the file
cache is warm. `record` and `replay` are run to their end on the embedded world, where both take a fraction of a second.
A start waits for nothing but the processor, so its processor time is what a person waits for on a quiet machine; the
wall clock beside it holds the load of this one. Torch is looked for among the imported modules when the verb ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.verdict import Row, finish, of_times, parser
from showonce.config import Config, OutputConfig
from showonce.evaluation.goals import Goal
from showonce.runs.folder import start_run

GOAL: Final = Goal("<=", 1000.0)  # milliseconds
CODE: Final = (
    "import sys\nfrom showonce.cli import main\nmain(sys.argv[1:])\nsys.exit(9 if 'torch' in sys.modules else 0)"
)
TORCH: Final = 9  # exit code of `CODE` where torch was imported
VERBS: Final = ("--help", "record --help", "replay --help", "runs", "record --oracle", "replay --mode template")


def started(folder: Path, words: Sequence[str], times: int) -> tuple[list[float], list[float], bool]:
    """Return processor and wall milliseconds of every start, and whether torch was imported in any."""
    cpu, wall, torch = [], [], False
    for _ in range(times):
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run([sys.executable, "-c", CODE, *words], cwd=folder, capture_output=True, check=False)
        wall.append(1000 * (time.perf_counter() - begun))
        after = os.times()
        cpu.append(1000 * (after.children_user + after.children_system - before.children_user - before.children_system))
        torch = torch or done.returncode == TORCH
    return cpu, wall, torch


def measure(times: int) -> list[Row]:
    """Return a row for each command and one that counts those which imported torch."""
    rows, heavy = [], []
    with tempfile.TemporaryDirectory(prefix="showonce-startup-") as root:
        folder = Path(root)
        for seed in range(12):
            start_run(Config(name="made", seed=seed, output=OutputConfig(logs=str(folder / "logs"))))
        for verb in VERBS:
            words = verb.split()
            if words[0] == "replay" and "--help" not in words:
                words.append(str(next(folder.glob("logs/*-record/episodes/*"))))
            started(folder, words, 1)  # fills the file cache
            cpu, wall, torch = started(folder, words, times)
            rows.append(of_times(f"showonce {verb}", cpu, GOAL, f"{np.median(wall):.0f} ms by the wall clock"))
            heavy += [verb] if torch else []
    rows.append(Row("verbs that imported torch", len(heavy), Goal("<=", 0), n=len(VERBS), note=", ".join(heavy)))
    return rows


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    given = parser(__doc__, quick="3 starts of each instead of 10").parse_args()
    return finish(measure(3 if given.quick else 10), given)


if __name__ == "__main__":
    sys.exit(main())
