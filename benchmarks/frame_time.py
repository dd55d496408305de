"""How long the embedded world takes to draw one screen.

    python -m benchmarks.frame_time                  # some seconds on one core; exit code 0 when the goal holds

Screens of every skill and of single- and multi-step apps, along the oracle's steps; each is drawn anew.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from showonce.environments.registry import make_environment, oracle_for
from showonce.evaluation.tasks import task_set
from showonce.runtime.stop import Stop

GOAL_MS = 3.0


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
    """Print the percentiles and the verdict; return 0 when the median is within the goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="screens of every task")
    seeds = max(parser.parse_args().seeds, 1)
    frame_times(1)  # fonts are loaded once
    found = frame_times(seeds)
    median, p90, p99 = (float(np.quantile(found, q)) for q in (0.5, 0.9, 0.99))
    print(f"{len(found)} frames: median {median:.3f} ms, 90 % {p90:.3f} ms, 99 % {p99:.3f} ms")
    passed = median <= GOAL_MS
    print(f"{'PASS' if passed else 'FAIL'}: median {median:.3f} ms per frame, goal <= {GOAL_MS:g} ms")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
