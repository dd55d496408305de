"""What the runtime itself costs per step: everything but the model and the environment."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from showonce.demonstrations import EpisodeStore
from showonce.environments.registry import oracle_for
from showonce.policy.dialects import get_dialect
from showonce.protocols import Context, Environment, Sampling
from showonce.runs.event_file import EventWriter
from showonce.runtime.loop import run_episode
from showonce.types import Confidence, Observation, Parsed, Proposal, Task

OTHERS: Final = ("model", "observe", "execute", "verify", "approve")  # parts that are not the runtime's


class WrittenOracle:
    """The right action as a model would write it, parsed like a model's answer; thinking takes no time."""

    adapter_version = "oracle"

    def __init__(self, environment: Environment) -> None:
        self._oracle = oracle_for(environment)
        self._dialect = get_dialect("native")

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        text = self._dialect.write(self._oracle(), 0.95)
        parsed = self._dialect.parse(text, (observation.width, observation.height))
        assert isinstance(parsed, Parsed), text
        return Proposal(text, parsed.action, None, Confidence(parsed.confidence, 0.9))


def step_overheads(environment: Environment, tasks: Sequence[Task], episodes: int) -> list[float]:
    """Return the runtime's own milliseconds of every step, with events and frames written as in a run."""
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
