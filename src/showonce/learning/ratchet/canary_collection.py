"""Collects the canaries of a run (old skills, earlier lessons, the lesson at hand) and the anchor prompts of training.

Old skills are known for the embedded model alone: the embedded world's oracle shows what it was trained on.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from showonce.actions import points
from showonce.environments.registry import find_task, make_environment, task_ids
from showonce.events import CanariesGathered
from showonce.learning.methods.context import Anchor, LearnerContext
from showonce.learning.practice.buffer import Sample
from showonce.learning.practice.episodes import demonstrated, in_the_head
from showonce.learning.ratchet.canaries import Canary, Group
from showonce.learning.ratchet.canary_screens import load_canaries, save_canaries
from showonce.learning.ratchet.canary_watch import CanaryWatch
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Environment, EventSink, Oracle, ability
from showonce.runtime.recorder import shown_by_oracle
from showonce.seeds import Seeds
from showonce.types import Demonstration, Task

SKILLED: Final = "embedded"  # the environment whose oracle knows the skills
NO_SKILLS: Final = "what this model can do is not known: only the embedded model has skills with known answers"
EARLIER: Final = 4  # canaries kept of each earlier lesson and group
ANCHORS: Final = 16  # prompts of old skills on which training keeps the candidate near the base


class CanaryCollection:
    """The canaries of one run, kept on disk in `folder`.

    watch: is given every new set of them. n: how many to have (0 = none): half of them old skills, a quarter of them
    screens of the lesson at hand. seed: of imagined screens and of the choice of goals.
    """

    def __init__(
        self,
        watch: CanaryWatch,
        context: LearnerContext,
        events: EventSink,
        seeds: Seeds,
        folder: Path,
        n: int,
        seed: int,
    ) -> None:
        self._watch, self._context, self._events, self._seeds = watch, context, events, seeds
        self._folder, self._n, self._seed = folder, n, seed
        self._lesson: LessonCanaries | None = None

    def begin_lesson(self, task: Task, demonstration: Demonstration | None, environment: Environment) -> None:
        """Watch old skills, a few screens of every earlier lesson and imagined screens of this one."""
        if not self._n:
            return
        known = self._watch.canaries or load_canaries(self._folder)
        skills = [c for c in known if c.group == "skill"]
        if not skills:
            with skill_world(environment, self._context.policy) as world:
                skills = [] if world is None else skill_canaries(world, self._seeds.take("canary", self._n // 2))
        earlier = [c for c in known if c.group != "skill" and c.task_id != task.id]
        lessons = thinned([replace(c, group="lesson") if c.group == "present" else c for c in earlier])
        views: Sequence[Sample] = ()
        if demonstration is not None and demonstration.frames:
            views = in_the_head(demonstration, [], self._n // 4, np.random.default_rng(self._seed))
        if self._lesson is None:
            self._events.emit(CanariesGathered(skills=len(skills), reason="" if skills else NO_SKILLS))
        self._lesson = LessonCanaries(task, [*skills, *lessons], views, self._n // 4, self._seed)
        self._watch.watch(self._lesson.canaries([]))

    def refresh(self) -> bool:
        """Replace imagined screens by practised ones whose action was verified; return whether that was tried."""
        lesson = self._lesson
        if lesson is None or lesson.full:
            return False
        task_id = lesson.task.id
        verified = self._context.buffer.select(lambda s: s.task_id == task_id and s.origin != "head" and s.worked)
        self._watch.watch(lesson.canaries(verified))
        return True

    def set_anchors(self, task: Task, environment: Environment) -> None:
        """Set where training holds the candidate near the base: prompts of old skills, goals that were never taught."""
        context = self._context
        if not context.anchors:
            with skill_world(environment, context.policy) as world:
                if world is not None:
                    context.anchors = skill_prompts(world, self._seeds.take("anchor", ANCHORS))
        taught = {task.goal, *(shown.goal for shown in context.demonstrations.values())}
        context.others = other_goals(taught, random.Random(self._seed))[1]

    def save(self) -> None:
        """Write all canaries to the folder.

        Raises:
            DiskError: they cannot be written; those of before stay readable.
        """
        if self._watch.canaries:
            save_canaries(self._folder, self._watch.canaries)


@contextmanager
def skill_world(environment: Environment, policy: VLMPolicy) -> Iterator[Environment | None]:
    """Give the world whose oracle knows the base's skills; None for a model other than the embedded one.

    That is the lesson's own environment if it is the embedded world, else a fresh embedded world, which is closed at
    the end of the block: the embedded model must keep its skills wherever it is taught.
    """
    if environment.name == SKILLED and ability(environment, Oracle) is not None:
        yield environment
    elif policy.family.name == "tiny":
        with closing(make_environment(SKILLED)) as world:
            yield world
    else:
        yield None


def skill_samples(world: Environment, seeds: Sequence[int]) -> list[Sample]:
    """Return one screen per seed with the oracle's action on it, over all skills in turn."""
    families = [task_id for task_id in task_ids() if task_id.startswith("skill/")]
    found = []
    for at, seed in enumerate(seeds):
        task = find_task(families[at % len(families)])
        steps = demonstrated(shown_by_oracle(world, task, seed))
        found.append(random.Random(seed).choice(steps))
    return found


def skill_prompts(world: Environment, seeds: Sequence[int]) -> list[Anchor]:
    """Return one prompt per seed of the base's skills."""
    return [(sample.observation, sample.context()) for sample in skill_samples(world, seeds)]


def skill_canaries(world: Environment, seeds: Sequence[int]) -> list[Canary]:
    """Return one canary per seed of the base's skills."""
    samples = skill_samples(world, seeds)
    return [_canary(sample, "skill", f"skill-{seed}") for seed, sample in zip(seeds, samples, strict=False)]


@dataclass
class LessonCanaries:
    """The canaries of the lesson at hand, on `n` of its screens, and `others` that do not change.

    views: imagined screens, replaced one by one by practised screens whose action was verified as right. full: whether
    all are replaced.
    """

    task: Task
    others: Sequence[Canary]
    views: Sequence[Sample]
    n: int
    seed: int = 0
    full: bool = False

    def canaries(self, verified: Sequence[Sample]) -> list[Canary]:
        """Return all canaries; `verified`: practised screens whose action was right, the oldest first."""
        self.full = len(verified) >= self.n
        screens = [*verified[: self.n], *self.views[len(verified) : self.n]]
        return [*self.others, *lesson_canaries(self.task, screens, self.seed)]


def lesson_canaries(task: Task, samples: Sequence[Sample], seed: int) -> list[Canary]:
    """Return a `present` canary for each screen, whose right action is known.

    Where that action points at a place, there is an `untaught` canary too: another goal, which must not lead there.
    """
    watched, _ = other_goals({task.goal}, random.Random(seed))
    goals = itertools.cycle(watched or [""])
    found = []
    for i, (sample, goal) in enumerate(zip(samples, goals, strict=False)):
        name = f"{task.id}-{i}-{sample.observation.hash[:12]}"
        found.append(_canary(sample, "present", name))
        if goal and sample.action is not None and points(sample.action):
            found.append(_canary(sample, "untaught", f"{name}-untaught", goal))
    return found


def thinned(canaries: Sequence[Canary]) -> list[Canary]:
    """Return the first `EARLIER` canaries of each earlier lesson and group."""
    kept: dict[tuple[str, str], list[Canary]] = {}
    for canary in canaries:
        kept.setdefault((canary.task_id, canary.group), []).append(canary)
    return [canary for group in kept.values() for canary in group[:EARLIER]]


def other_goals(taught: Collection[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """Return the untaught goals of the registered training tasks, shuffled, in two parts: for canaries, for training.

    The part of a goal depends on its text alone, so that no canary's goal is ever trained on, in whatever lesson.
    """
    tasks = [find_task(i) for i in task_ids() if i.startswith("app/train/")]
    goals = sorted({t.goal for t in tasks} - set(taught))
    rng.shuffle(goals)
    sides: tuple[list[str], list[str]] = [], []
    for goal in goals:
        sides[zlib.crc32(goal.encode()) % 2].append(goal)
    return sides


def _canary(sample: Sample, group: Group, name: str, goal: str | None = None) -> Canary:
    assert sample.action is not None
    return Canary(
        name, group, sample.observation, sample.goal if goal is None else goal, sample.action, sample.task_id,
        sample.progress, sample.history,
    )  # fmt: skip
