"""The sources of a lesson's screens, one per value of `learning.practice.source`.

practice    episodes in a world that can be reset. The teacher executes with a probability that falls linearly, so
            that later steps of a task are reached before the student can get there; an episode in which the
            teacher acted is never the student's success.
episodes    the user's ordinary episodes, which the learner observes; no code here.
head        views of demonstrated and of recorded frames (see `views`), answered but never executed: the only source
            that does nothing to a live application.
mixed       practice and head.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from showonce.config import PracticeConfig
from showonce.errors import BadInput
from showonce.learning.practice.buffer import Sample
from showonce.learning.practice.outcomes import progress_of
from showonce.learning.practice.views import Jitter, Map, map_action, view
from showonce.protocols import Turn, turns_of
from showonce.types import Demonstration, Observation


def teacher_share(index: int, episodes: int, start: float, end: float) -> float:
    """Return the probability with which the teacher executes in practice episode `index` (0-based) of `episodes`."""
    if episodes <= 1:
        return start
    return start + (end - start) * min(max(index / (episodes - 1), 0.0), 1.0)


def schedule(config: PracticeConfig, first_seed: int, done: int = 0) -> Iterator[tuple[int, float]]:
    """Yield (seed, beta) of each practice episode of one lesson; beta: probability that the teacher executes a step.

    Seeds count up from `first_seed`. done: episodes that were played before (a resumed run); their seeds are skipped.
    """
    for index in range(done, config.episodes):
        yield first_seed + index, teacher_share(index, config.episodes, config.teacher_beta, config.teacher_beta_end)


def demonstrated(demonstration: Demonstration) -> list[Sample]:
    """Return one sample per frame of a demonstration; the demonstrated action counts as verified (correct=True)."""
    frames = demonstration.frames
    hashes = [frame.observation.hash for frame in frames]
    progress = progress_of([*(a != b for a, b in itertools.pairwise(hashes)), None])
    return [
        Sample(
            observation=frame.observation,
            task_id=demonstration.task_id,
            goal=demonstration.goal,
            progress=progress[index],
            history=turns_of(earlier.action for earlier in frames[:index]),
            origin="head",
            episode=demonstration.ref,
            action=frame.action,
            executor="oracle" if demonstration.source == "oracle" else "person",
            correct=True,
        )
        for index, frame in enumerate(frames)
    ]


def in_the_head(
    demonstration: Demonstration,
    recorded: Sequence[Sample],
    n: int,
    rng: np.random.Generator,
    jitter: Jitter | None = None,
) -> list[Sample]:
    """Return `n` views, made from the demonstrated frames and the recorded screens of the same task in turn.

    A known action is moved to where its target is in the view; a view that puts it outside the frame is drawn again.

    Raises:
        BadInput: the demonstration has no frames.
    """
    sources = [*demonstrated(demonstration), *(s for s in recorded if s.task_id == demonstration.task_id)]
    if not demonstration.frames:
        raise BadInput(f"the demonstration of {demonstration.task_id!r} has no frames: record it again.")
    return [view_of(sources[index % len(sources)], rng, jitter) for index in range(n)]


def view_of(sample: Sample, rng: np.random.Generator, jitter: Jitter | None = None, tries: int = 8) -> Sample:
    """Return one view of a sample; the unchanged frame if `tries` draws all put the known action outside it."""
    for _ in range(tries):
        image, where = view(sample.observation.image, rng, jitter)
        action = map_action(sample.action, where) if sample.action else None
        if (action is None) == (sample.action is None):
            observation = Observation(image, sample.observation.scale, sample.observation.text)
            history = _follow(sample.history, where)
            return replace(sample, observation=observation, action=action, history=history, origin="head", answer=())
    return replace(sample, origin="head", answer=())


def _follow(history: tuple[Turn, ...], where: Map) -> tuple[Turn, ...]:
    """Return the history with its actions moved along; frame and text, which show the old places, are dropped."""
    return tuple(
        Turn(thought=turn.thought, action=(map_action(turn.action, where) or turn.action) if turn.action else None)
        for turn in history
    )
