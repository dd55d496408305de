"""What the runtime itself costs per step: all but model and environment, with events and frames written as in a run.

    python benchmarks/runtime_overhead.py            # some seconds on one core; exit code 0 when the goal holds

The oracle's actions are written and parsed like a model's answers; thinking takes no time. Screens are those of the
embedded world, over all its skills. Counted are parsing, guards, safety, events, the hand-over of frames to the writer
of the episode folder, and whatever else is neither the model nor the environment.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from showonce.environments.registry import make_environment
from showonce.evaluation.overhead import step_overheads
from showonce.evaluation.tasks import task_set

GOAL_MS = 2.0


def main() -> int:
    """Print median, 90th and 99th percentile and the verdict; return 0 when the median is within the goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--episodes", type=int, default=300)
    episodes = max(parser.parse_args().episodes, 20)
    environment = make_environment("embedded")
    tasks = task_set("skills").tasks
    step_overheads(environment, tasks, 20)  # warm up
    found = step_overheads(environment, tasks, episodes)
    environment.close()
    median, p90, p99 = (float(np.quantile(found, q)) for q in (0.5, 0.9, 0.99))
    print(f"{len(found)} steps of {episodes} episodes: median {median:.3f} ms, 90 % {p90:.3f} ms, 99 % {p99:.3f} ms")
    passed = median <= GOAL_MS
    print(f"{'PASS' if passed else 'FAIL'}: median overhead {median:.3f} ms per step, goal <= {GOAL_MS:g} ms")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
