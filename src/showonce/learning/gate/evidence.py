"""The evidence for learning from a screen, as numbers; `gate` decides whether they suffice.

alignment   the screen looks like a demonstrated step that is not behind it: best cosine similarity of its pooled
            vision features with those of the demonstrated frames at the same progress or later, so that the order
            of steps cannot run backwards. None = nothing demonstrated is left from here on.
teacher     confidence of the teacher's own greedy answer to the screen; parsed: that answer is an action
student     confidence with which the student acted on it, where it did
success     the episode that the screen is from ended in a verified success of the student alone
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from showonce.inference.decode import Decoded
from showonce.learning.gate.gate import GateEvidence
from showonce.learning.methods.base import token_marks
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.corrections import refs_of, shown_on, similarities
from showonce.learning.methods.divergence import divergence, masked_mean
from showonce.learning.methods.logits import answer_logits
from showonce.learning.methods.prompts import can_teach, student_prompts, teacher_adapter, teacher_prompts
from showonce.learning.practice.buffer import Key, Sample
from showonce.learning.practice.episodes import demonstrated
from showonce.policy.confidence import read_confidence
from showonce.policy.vlm_policy import VLMPolicy
from showonce.types import Confidence, Demonstration, Parsed

CHUNK: Final = 32  # screens that the teacher answers at once
DIFFERENCE_SCREENS: Final = 4  # screens of a batch on which `difference` compares teacher and student


@dataclass(frozen=True)
class ScreenEvidence:
    """The numbers of one screen; see the module's text."""

    alignment: float | None = None
    parsed: bool = False
    teacher: float | None = None
    student: float | None = None
    success: bool = False

    def for_gate(self, difference: float | None) -> GateEvidence:
        """Return it as the gate reads it; difference: KL of teacher and student in nats per decision token."""
        return GateEvidence(
            demonstration_covers=self.alignment is not None,
            alignment=self.alignment,
            teacher_parsed=self.parsed,
            teacher_confidence=self.teacher,
            divergence=difference,
            episode_verified_success=self.success,
            student_parsed=self.student is not None,
            student_confidence=self.student,
        )


def weakest(shown: Sequence[ScreenEvidence], earned: Sequence[ScreenEvidence]) -> ScreenEvidence:
    """Return the evidence of a batch: the weakest readings of the screens that pass by either route."""
    return ScreenEvidence(
        alignment=_least(s.alignment for s in shown),
        parsed=bool(shown) and all(s.parsed for s in shown),
        teacher=_least(s.teacher for s in shown),
        student=_least(s.student for s in earned),
        success=bool(earned) and all(s.success for s in earned),
    )


@dataclass
class EvidenceBook:
    """Measures the evidence of screens and caches it by screen and by what the teacher is shown on it.

    which: the confidence that the gate reads (stated | token | calibrated).
    """

    context: LearnerContext
    which: str
    _seen: dict[tuple[Key, str], ScreenEvidence] = field(default_factory=dict)
    _acted: dict[Key, float] = field(default_factory=dict)

    def acted(self, sample: Sample, confidence: Confidence) -> None:
        """Note how sure the student was when it acted on a screen."""
        value = reading(confidence, self.which)
        if value is not None:
            self._acted[sample.key] = value

    def of(self, samples: Iterable[Sample]) -> list[ScreenEvidence]:
        """Return the evidence of screens; the teacher answers new ones in batches."""
        samples = list(samples)
        new = list({self._key(s): s for s in samples if self._key(s) not in self._seen}.values())
        for at in range(0, len(new), CHUNK):
            self._look_at(new[at : at + CHUNK])
        return [
            ScreenEvidence(
                seen.alignment,
                seen.parsed,
                seen.teacher,
                self._acted.get(sample.key),
                sample.success is True and sample.executor == "student",
            )
            for sample in samples
            for seen in [self._seen[self._key(sample)]]
        ]

    def knows(self, sample: Sample) -> bool:
        """Return whether the evidence of a screen is in the cache."""
        return self._key(sample) in self._seen

    def forget_all_but(self, kept: Iterable[Sample]) -> None:
        """Drop the cached evidence of all other screens."""
        keys = {sample.key for sample in kept}
        self._seen = {k: v for k, v in self._seen.items() if k[0] in keys}
        self._acted = {k: v for k, v in self._acted.items() if k in keys}

    def _key(self, sample: Sample) -> tuple[Key, str]:
        return sample.key, refs_of(self.context, sample)

    def _look_at(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            shown = shown_on(self.context, sample)
            self._seen[self._key(sample)] = ScreenEvidence(alignment(self.context.policy, sample, shown))
        taught = [sample for sample in samples if can_teach(self.context, sample)]
        for sample, (parsed, confidence) in zip(taught, ask_teacher(self.context, taught, self.which), strict=True):
            near = self._seen[self._key(sample)].alignment
            self._seen[self._key(sample)] = ScreenEvidence(near, parsed, confidence)


def reading(confidence: Confidence, which: str) -> float | None:
    """Return the reading named by `which`; instead of "calibrated" the token reading while there is no map."""
    value = {"stated": confidence.stated, "token": confidence.token, "calibrated": confidence.calibrated}[which]
    return confidence.token if value is None and which == "calibrated" else value


def alignment(policy: VLMPolicy, sample: Sample, demonstration: Demonstration | None) -> float | None:
    """Return the cosine similarity in [-1, 1] of a screen with the best demonstrated frame from its progress on."""
    if demonstration is None:
        return None
    first = demonstration.first  # progress at its first frame; more than 0 for a correction
    ahead = [shown.observation for shown in demonstrated(demonstration) if first + shown.progress >= sample.progress]
    return max(similarities(policy, sample.observation, ahead), default=None)


def ask_teacher(context: LearnerContext, samples: Sequence[Sample], which: str) -> list[tuple[bool, float | None]]:
    """Return, per screen, whether the teacher's own greedy answer is an action, and its confidence."""
    if not samples:
        return []
    policy = context.policy
    prompts = teacher_prompts(context, samples)
    answers = policy.sample(prompts, 0.0, np.random.default_rng(0), teacher_adapter(context))
    out: list[tuple[bool, float | None]] = []
    for sample, answer in zip(samples, answers, strict=True):
        parsed = policy.read(answer, sample.observation)
        stated = parsed.confidence if isinstance(parsed, Parsed) else None
        readings = read_confidence(answer, stated, policy.calibration, policy.calibration_source)
        out.append((isinstance(parsed, Parsed), reading(readings, which)))
    return out


def difference(context: LearnerContext, samples: Sequence[Sample]) -> float | None:
    """Return KL(teacher || student) per decision token (nats) on the student's greedy answers to a few screens."""
    some = [sample for sample in samples if can_teach(context, sample)][:DIFFERENCE_SCREENS]
    if not some:
        return None
    policy, prompts = context.policy, student_prompts(context, some)
    answers = policy.sample(prompts, 0.0, np.random.default_rng(0), context.adapter)
    teacher_BTV, _ = answer_logits(policy, teacher_prompts(context, some), _ids(answers), teacher_adapter(context))
    student_BTV, mask_BT = answer_logits(policy, prompts, _ids(answers), context.adapter)
    action_BT, _ = token_marks(answers, mask_BT)
    return float(masked_mean(divergence(student_BTV, teacher_BTV, action_BT), action_BT))


def _ids(answers: Sequence[Decoded]) -> list[tuple[int, ...]]:
    return [answer.token_ids for answer in answers]


def _least(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known, default=None)
