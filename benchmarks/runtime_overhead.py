"""What the runtime itself costs per step, as a share of one answer of the embedded model.

    python -m benchmarks.runtime_overhead            # half a minute on one core
    python -m benchmarks.runtime_overhead --quick

Measured: every part of a step but model, observe, execute, verify and approve, that is parsing, guards, safety, events
and the hand-over of frames to the writer of the episode folder, which writes as in a run. The oracle's actions are
written and parsed like a model's answers. Screens: all skills of the embedded world. Floor: the median greedy answer
of the embedded model, the smallest that ships, in the same process.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.floors import beside_an_answer
from benchmarks.verdict import finish, parser
from showonce.demonstrations import EpisodeStore
from showonce.environments.registry import make_environment, oracle_for
from showonce.evaluation.goals import Goal
from showonce.evaluation.tasks import task_set
from showonce.policy.dialects import get_dialect
from showonce.protocols import Context, Environment, Sampling
from showonce.runs.event_file import EventWriter
from showonce.runtime.loop import run_episode
from showonce.types import Confidence, Observation, Parsed, Proposal, Task

GOAL: Final = Goal("<=", 0.03)  # of one answer
OTHERS: Final = ("model", "observe", "execute", "verify", "approve")  # parts of a step's time that are not counted


class WrittenOracle:
    """A policy that writes the oracle's action in the native dialect and parses it like a model's answer."""

    adapter_version = "oracle"

    def __init__(self, environment: Environment) -> None:
        self._oracle = oracle_for(environment)
        self._dialect = get_dialect("native")

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        text = self._dialect.write(self._oracle(), 0.95)
        parsed = self._dialect.parse(text)
        assert isinstance(parsed, Parsed), text
        return Proposal(text, parsed.action, None, Confidence(parsed.confidence, 0.9))


def step_overheads(environment: Environment, tasks: Sequence[Task], episodes: int) -> list[float]:
    """Return the milliseconds of every step without OTHERS, while events and frames are written to temporary files."""
    found: list[float] = []
    with tempfile.TemporaryDirectory(prefix="showonce-overhead-") as root:
        events, store = EventWriter(Path(root) / "events.jsonl"), EpisodeStore(Path(root) / "episodes")
        for seed in range(episodes):
            task = tasks[seed % len(tasks)]
            limits = replace(task.limits, max_seconds=3600.0)
            episode = run_episode(
                environment, WrittenOracle(environment), task, seed=seed, limits=limits, events=events, store=store
            )
            for step in episode.steps:
                found.append(sum(ms for name, ms in step.timings.items() if name not in OTHERS))
        events.close()
    return found


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    given = parser(__doc__, quick="40 episodes instead of 300").parse_args()
    environment, tasks = make_environment("embedded"), task_set("skills").tasks
    step_overheads(environment, tasks, 20)  # fonts and modules are loaded once
    episodes = 40 if given.quick else 300
    measure = partial(step_overheads, environment, tasks, episodes)
    rows = beside_an_answer("runtime's own time per step", measure, GOAL)
    environment.close()
    return finish(rows, given)


if __name__ == "__main__":
    sys.exit(main())
