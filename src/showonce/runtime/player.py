"""Plays a run's episodes with shared environments, rules and observers; ends the run when several in a row broke."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from showonce.actions import to_json
from showonce.config import SafetyConfig
from showonce.demonstrations import EpisodeStore
from showonce.errors import EnvironmentBroken, Unavailable
from showonce.events import ShadowCompared
from showonce.protocols import (
    Adaptable,
    Approver,
    Context,
    Environment,
    EventSink,
    Policy,
    Undoable,
    ability,
    adaptable,
)
from showonce.runtime.guards import guards_for
from showonce.runtime.loop import run_episode
from showonce.runtime.pointing import LookAgain
from showonce.runtime.recovery import Recovery
from showonce.runtime.safety import Pace, safety_of
from showonce.runtime.shadow import same_action
from showonce.runtime.stop import Stop
from showonce.types import Episode, Limits, Observation, Step, StopReason, Task

MOST_BROKEN: Final = 3  # episodes in a row that broke before the run ends
_Error = type[EnvironmentBroken] | type[Unavailable]
BROKEN: Final[dict[StopReason, tuple[str, _Error]]] = {
    StopReason.ENVIRONMENT_ERROR: ("the environment", EnvironmentBroken),
    StopReason.MODEL_ERROR: ("the model", Unavailable),
}


@dataclass
class Player:
    """A policy with its environments, its rules and the sinks of its events.

    make_environment: a fresh environment for a task. limits: of every episode, None = the task's own. episodes: where
    they are stored, None = nowhere. shadow_every: every n-th step the frozen policy answers too (0 = never). safety:
    the rules of every episode, and what is tried before one is given up. pace: counts the actions of all of them.
    """

    policy: Policy
    make_environment: Callable[[Task], Environment]
    events: EventSink
    stop: Stop = field(default_factory=Stop)
    episodes: EpisodeStore | None = None
    approver: Approver | None = None
    limits: Callable[[Task], Limits] = lambda task: task.limits
    shadow_every: int = 0
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    pace: Pace = field(default_factory=Pace)
    run: str = ""  # name of the run's folder; part of every approval request
    _environments: dict[tuple[str, str], Environment] = field(default_factory=dict)
    _broken: int = 0

    def environment(self, task: Task) -> Environment:
        """Return the environment of a task; tasks that want the same one, with the same secrets, share it."""
        key = task.environment, repr((sorted(task.settings.items()), sorted(task.secret.items())))
        if key not in self._environments:
            self._environments[key] = self.make_environment(task)
        return self._environments[key]

    def fresh(self, task: Task) -> Environment:
        """Return a new environment that the caller closes, for measuring or teaching. Calls `release` first."""
        self.release()
        return self.make_environment(task)

    def release(self) -> None:
        """Close the environments that are not `parallel`, so that others may use their screen."""
        for key in [key for key, one in self._environments.items() if not one.capabilities.parallel]:
            self._environments.pop(key).close()

    def play(self, task: Task, seed: int | None, phase: str, observers: Sequence[Any] = (), **how: Any) -> Episode:
        """Attempt a task once. Further keywords are those of `run_episode`.

        Raises:
            Stopped: a person pressed stop before it began, or the run has done all actions that it may do.
            EnvironmentBroken, Unavailable: the environment or the model broke in several episodes in a row.
            Unavailable: shadow_every is set and the policy has no adapter that could be switched off.
        """
        if self.safety.max_actions and self.pace.actions >= self.safety.max_actions:
            self.stop.press(f"safety.max_actions={self.safety.max_actions} is used up")
        self.stop.check()
        environment, limits = self.environment(task), self.limits(task)
        watching = [*observers]
        if self.shadow_every:
            policy = adaptable(self.policy, "learning.shadow_every=0")
            watching.append(ShadowWatch(policy, self.events, self.shadow_every))
        episode = run_episode(
            environment,
            self._acting(),
            task,
            seed=seed,
            phase=phase,
            run=self.run,
            limits=limits,
            approver=self.approver,
            stop=self.stop,
            observers=watching,
            store=self.episodes,
            events=self.events,
            safety=safety_of(self.safety),
            pace=self.pace,
            guards=guards_for(limits, self.safety),
            recovery=self._recovery(environment),
            **how,
        )
        self._count(episode)
        return episode

    def _acting(self) -> Policy:
        return LookAgain(self.policy, self.safety.look_again) if self.safety.look_again else self.policy

    def _recovery(self, environment: Environment) -> Recovery:
        """Return the recovery of one episode: undo needs an Undoable environment, ask needs an approver."""
        able = {"undo": ability(environment, Undoable) is not None, "ask": self.approver is not None}
        return Recovery(self.safety.recovery, lambda name: able.get(name, True), confirm=self.safety.mode != "free")

    def _count(self, episode: Episode) -> None:
        if episode.stop_reason not in BROKEN:
            self._broken = 0
            return
        self._broken += 1
        if self._broken >= MOST_BROKEN:
            who, error = BROKEN[episode.stop_reason]
            last = episode.steps[-1].note if episode.steps else "its reset failed"
            raise error(f"{who} broke in {self._broken} episodes in a row ({last}). See the error events of the run.")

    def close(self) -> None:
        """Close every environment; twice is fine."""
        while self._environments:
            self._environments.popitem()[1].close()


class ShadowWatch:
    """An observer: every n-th step the frozen policy answers the same screen, is compared and never executed."""

    def __init__(self, policy: Adaptable, events: EventSink, every: int) -> None:
        self._policy, self._events, self._every = policy, events, every
        self._told: list[tuple[int, bool, dict[str, Any] | None]] = []

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        if step.index % self._every == 0 and step.proposal is not None:
            action = self._policy.propose(observation, replace(context, demonstration=None), adapter=None).action
            agrees = same_action(step.proposed, action)
            said = None if action is None else to_json(action)
            self._told.append((step.index, agrees, said))

    def on_episode(self, episode: Episode) -> None:
        for index, agrees, action in self._told:
            self._events.emit(ShadowCompared(episode=episode.id, index=index, agrees=agrees, action=action))
        self._told.clear()
