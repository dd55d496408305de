"""How often a policy's answer touches a task's first target although it was asked for something else.

Answers are parsed and not executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from showonce.actions import Action
from showonce.environments.embedded.language import find_app
from showonce.environments.embedded.plan import event, phrase_sub
from showonce.environments.embedded.scene import Scene
from showonce.errors import Unavailable
from showonce.evaluation.runner import MakeEnvironment
from showonce.policy.batched import Question, propose_many
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Context, ability
from showonce.types import Observation, Proposal, Task


class HasScene(Protocol):
    """The ability of the embedded world to name everything on its screen."""

    @property
    def scene(self) -> Scene: ...


@dataclass
class Shares:
    """For each kind of answer (greedy, sampled): whether it went to the target, one value a screen, in order."""

    by_kind: dict[str, list[bool]] = field(default_factory=dict)

    def hits(self, kind: str) -> list[bool]:
        return self.by_kind[kind]

    def share(self, kind: str) -> float:
        return sum(self.by_kind[kind]) / max(len(self.by_kind[kind]), 1)


def goes_to(scene: Scene, action: Action | None, task: Task) -> bool:
    """Return whether an action touches the first target of an app (whatever the verb), or does its first step."""
    if action is None:
        return False
    first = phrase_sub(find_app(task.id).program[0])
    did = event(scene, action)
    return did.key == first.key if first.key else did == first


def shares_to_target(
    policy: VLMPolicy,
    make_env: MakeEnvironment,
    task: Task,
    goals: Sequence[str],
    seeds: Sequence[int],
    width: int,
    seed: int = 0,
) -> Shares:
    """Ask for other goals, in turn, on the first screens of a task, greedily and by one draw each.

    Raises:
        Unavailable: the environment is not the embedded world, whose scenes can be read.
    """
    screens = _screens(make_env, task, seeds)
    found = Shares()
    for kind in ("greedy", "sampled"):
        hits: list[bool] = []
        for at in range(0, len(screens), width):
            chunk = screens[at : at + width]
            questions = [
                Question(observation, Context(goals[(at + i) % len(goals)]), "greedy" if kind == "greedy" else "sample")
                for i, (observation, _) in enumerate(chunk)
            ]
            for (_, scene), answer in zip(chunk, propose_many(policy, questions, seed), strict=True):
                if not isinstance(answer, Proposal):
                    raise answer
                hits.append(goes_to(scene, answer.action, task))
        found.by_kind[kind] = hits
    return found


def _screens(make_env: MakeEnvironment, task: Task, seeds: Sequence[int]) -> list[tuple[Observation, Scene]]:
    environment = make_env()
    try:
        world = ability(environment, HasScene)
        if world is None:
            raise Unavailable(
                f"specificity needs an environment that tells what stands on its screens; {environment.name} does not."
            )
        return [(environment.reset(task, seed), world.scene) for seed in seeds]
    finally:
        environment.close()
