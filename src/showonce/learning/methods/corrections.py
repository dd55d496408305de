"""The demonstration that the teacher is shown on a screen: the task's, or a person's correction on a similar screen.

A correction is a demonstration of one step. It is a sample in the buffer of screens, so it outlives runs and is
quarantined with its episode. It is shown on screens of its own step (task, progress) that are similar to the corrected
one; if the demonstration has a frame for that step as well, the more similar of the two is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from showonce.learning.methods.context import LearnerContext
from showonce.learning.practice.buffer import Sample
from showonce.policy.vlm_policy import VLMPolicy
from showonce.types import Demonstration, Frame, Observation

LIKENESS: Final = 0.9  # least similarity; embedded model: 0.93-0.97 within one step, 0.81-0.95 where a dialog opened


def as_demonstration(sample: Sample) -> Demonstration:
    """Return a correction as a demonstration of one step."""
    assert sample.action is not None
    frame = Frame(sample.observation, sample.action)
    return Demonstration(sample.task_id, sample.goal, (frame,), "correction", sample.episode, sample.progress)


def corrections_of(context: LearnerContext, sample: Sample) -> list[Sample]:
    """Return the corrections of the same task and step that may be learned from, the newest first."""
    kept = context.buffer.corrections(sample.task_id)
    return [c for c in reversed(kept) if c.progress == sample.progress and c.episode not in context.quarantined]


def is_shown(context: LearnerContext, sample: Sample) -> bool:
    """Return whether there is a demonstration or a correction to show on a screen."""
    return context.demonstration(sample.task_id) is not None or bool(corrections_of(context, sample))


def shown_on(context: LearnerContext, sample: Sample) -> Demonstration | None:
    """Return the demonstration to show on a screen; None if there is none."""
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
    """Return a cache key of all that may be shown on a screen: demonstration ref and corrections, joined by ``|``."""
    shown = context.demonstration(sample.task_id)
    corrected = (f"{c.episode}/{c.observation.hash}" for c in corrections_of(context, sample))
    return "|".join(["" if shown is None else shown.ref, *corrected])


def similarities(policy: VLMPolicy, screen: Observation, others: Sequence[Observation]) -> list[float]:
    """Return the cosine similarity in [-1, 1] of the pooled vision features of a screen with those of others."""
    pooled_nd = np.stack([features.pooled_d for features in policy.engine.encode_many([screen, *others])])
    pooled_nd = pooled_nd / np.maximum(np.linalg.norm(pooled_nd, axis=1, keepdims=True), 1e-12)
    return [float(value) for value in pooled_nd[1:] @ pooled_nd[0]]
