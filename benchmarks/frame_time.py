"""How long the embedded world takes to draw one screen, as a share of the embedded model's answer to one.

    python -m benchmarks.frame_time                  # half a minute on one core
    python -m benchmarks.frame_time --quick

Screens of every skill and of single- and multi-step apps, along the oracle's steps; each is drawn anew. Floor: the
median greedy answer of the embedded model, the smallest that ships, in the same process.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from benchmarks.floors import beside_an_answer
from benchmarks.verdict import finish, parser
from showonce.environments.registry import make_environment, oracle_for
from showonce.evaluation.goals import Goal
from showonce.evaluation.tasks import task_set
from showonce.runtime.stop import Stop

GOAL: Final = Goal("<=", 0.02)  # of one answer


def frame_times(seeds: int) -> list[float]:
    """Return the milliseconds of every frame."""
    environment, stop = make_environment("embedded"), Stop()
    oracle = oracle_for(environment)
    tasks = [*task_set("skills").tasks, *task_set("single", "dev", 4).tasks, *task_set("multi", "dev", 4).tasks]
    found = []
    for seed in range(seeds):
        for task in tasks:
            environment.reset(task, seed)
            while True:
                begun = time.perf_counter()
                environment.observe()
                found.append((time.perf_counter() - begun) * 1e3)
                if environment.verify().success is not None:
                    break
                environment.execute(oracle(), stop)
    environment.close()
    return found


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="2 screens of every task instead of 20")
    arguments.add_argument("--seeds", type=int, default=20, help="screens of every task")
    given = arguments.parse_args()
    frame_times(1)  # fonts are loaded once
    seeds = 2 if given.quick else max(given.seeds, 1)
    return finish(beside_an_answer("drawing one screen", lambda: frame_times(seeds), GOAL), given)


if __name__ == "__main__":
    sys.exit(main())
