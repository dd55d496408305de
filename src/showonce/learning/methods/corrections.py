"""What a teacher is shown on a screen: the demonstration of the task, or what a person corrected on such a screen.

A correction is a demonstration of one step. It lies in the buffer of screens as a sample of its own kind, so it
outlives runs, bears the id of its episode and is put aside with it. It speaks for its own step of the task alone, and
there for screens that look like the corrected one; where the demonstration has a frame for that step, too, the one that
looks more like the screen is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from showonce.learning.methods.context import LearnerContext
from showonce.learning.practice.buffer import Sample
from showonce.policy.vlm_policy import VLMPolicy
from showonce.types import Demonstration, Frame, Observation

LIKENESS: Final = 0.9  # least similarity; of the shipped model 0.93-0.97 on one step, 0.81-0.95 if a dialog is there


def as_demonstration(sample: Sample) -> Demonstration:
    """Return a corrected screen as a demonstration of the one step that it is."""
    assert sample.action is not None
    frame = Frame(sample.observation, sample.action)
    return Demonstration(sample.task_id, sample.goal, (frame,), "correction", sample.episode, sample.progress)


def corrections_of(context: LearnerContext, sample: Sample) -> list[Sample]:
    """Return the corrections of the same task and step that may be learned from, the newest first."""
    kept = context.buffer.corrections(sample.task_id)
    return [c for c in reversed(kept) if c.progress == sample.progress and c.episode not in context.quarantined]


def is_shown(context: LearnerContext, sample: Sample) -> bool:
    """Say whether there is anything to show on a screen."""
    return context.demonstration(sample.task_id) is not None or bool(corrections_of(context, sample))


def shown_on(context: LearnerContext, sample: Sample) -> Demonstration | None:
    """Return what a teacher is shown on a screen; None when there is nothing."""
    shown = context.demonstration(sample.task_id)
    choices = [as_demonstration(correction) for correction in corrections_of(context, sample)]
    if not choices:
        return shown
    frames = [choice.frames[0].observation for choice in choices]
    if shown is not None and shown.frames:
        frames.append(shown.excerpt(sample.progress).frames[0].observation)
    likeness = similarities(context.policy, sample.observation, frames)
    best = likeness.index(max(likeness))
    return choices[best] if best < len(choices) and likeness[best] >= LIKENESS else shown


def refs_of(context: LearnerContext, sample: Sample) -> str:
    """Return what names everything that may be shown on a screen; with another of it, a teacher may answer anew."""
    shown = context.demonstration(sample.task_id)
    corrected = (f"{c.episode}/{c.observation.hash}" for c in corrections_of(context, sample))
    return "|".join(["" if shown is None else shown.ref, *corrected])


def similarities(policy: VLMPolicy, screen: Observation, others: Sequence[Observation]) -> list[float]:
    """Return the cosine similarity in [-1, 1] of the pooled vision features of a screen with those of others."""
    pooled_nd = np.stack([features.pooled_d for features in policy.engine.encode_many([screen, *others])])
    pooled_nd = pooled_nd / np.maximum(np.linalg.norm(pooled_nd, axis=1, keepdims=True), 1e-12)
    return [float(value) for value in pooled_nd[1:] @ pooled_nd[0]]
