"""Record an episode with the one loop, where an oracle or a person chooses the actions in place of the policy.

`next_action` may block: an oracle computes the action, a window waits until a person acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from showonce.actions import Action, Done
from showonce.demonstrations import EpisodeStore
from showonce.environments.registry import oracle_for
from showonce.errors import DemonstrationError, DiskError, GoalMissed, Stopped
from showonce.protocols import Context, Environment, EventSink, Interrupt, Sampling
from showonce.runtime.approvals import Person
from showonce.runtime.guards import Unproved
from showonce.runtime.loop import run_episode
from showonce.types import Demonstration, Episode, Executor, Frame, Observation, Proposal, Step, StopReason, Task


class HandPolicy:
    """A person or an oracle as a policy. next_action: None = finished, which claims `done`."""

    adapter_version = "none"

    def __init__(self, next_action: Callable[[Observation], Action | None]) -> None:
        self._next_action = next_action

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        return Proposal("", self._next_action(observation) or Done(), None, adapter_version=self.adapter_version)


def record(
    environment: Environment,
    task: Task,
    seed: int | None,
    policy: HandPolicy,
    store: EpisodeStore,
    source: Executor,
    *,
    stop: Interrupt | None = None,
    events: EventSink | None = None,
    person: Person | None = None,
) -> Path:
    """Run one episode in phase `record` and return its folder. person: answers what the task asks.

    Raises:
        GoalMissed: the checker says that the goal was not reached; the episode is kept, and named.
        DiskError: it could not be stored.
        Stopped: a person stopped it; the steps so far are kept.
    """
    episode = run_episode(
        environment, policy, task, seed=seed, phase="record", executor=source, guards=(Unproved(),), store=store,
        stop=stop, events=events, person=person,
    )  # fmt: skip
    return judged(episode, task, store)


def judged(episode: Episode, task: Task, store: EpisodeStore) -> Path:
    """Return the folder of a recording that may serve as a demonstration. Raises as `record` does."""
    if not episode.path:
        raise DiskError(f"the recording of {task.id!r} could not be stored under {store.root}: see the warning above.")
    if episode.stop_reason is StopReason.STOPPED:
        raise Stopped(f"recording stopped; its {len(episode.steps)} steps are kept in {episode.path}.")
    broken = episode.stop_reason in (StopReason.ENVIRONMENT_ERROR, StopReason.MODEL_ERROR)
    if episode.outcome.success is False or broken or not any(step.executed for step in episode.steps):
        why = (episode.steps[-1].note if episode.steps else "") or episode.outcome.evidence or "nothing was done"
        raise GoalMissed(
            f"the recording of {task.id!r} did not reach its goal {episode.goal!r} ({episode.stop_reason}: {why}). "
            f"It is kept in {episode.path}; record it again."
        )
    return Path(episode.path)


class _Frames:
    """An observer that keeps every executed step as a frame of a demonstration."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        if step.executed is not None:
            self.frames.append(Frame(observation, step.executed))


def shown_by_oracle(environment: Environment, task: Task, seed: int) -> Demonstration:
    """Return a demonstration in memory, made by the environment's own oracle in the one loop.

    Raises:
        TaskError: the environment has no oracle.
        DemonstrationError: the oracle did not reach the goal.
    """
    oracle, seen = oracle_for(environment), _Frames()
    limits = replace(task.limits, max_seconds=max(task.limits.max_seconds, 600.0))
    episode = run_episode(
        environment, HandPolicy(lambda _: oracle()), task, seed=seed, phase="record", executor="oracle", limits=limits,
        observers=(seen,),
    )  # fmt: skip
    if episode.stop_reason is not StopReason.COMPLETED:
        raise DemonstrationError(
            f"the oracle did not reach the goal of {task.id!r} from seed {seed}: {episode.stop_reason}, "
            f"{episode.outcome.evidence}."
        )
    return Demonstration(task.id, episode.goal, tuple(seen.frames), "oracle", f"oracle:{task.id}:{seed}")
