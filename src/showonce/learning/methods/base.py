"""What a learning method is, and what it is given.

A method answers one question: what is the loss of this batch? Everything else (which screens, the gate, the budget, the
optimiser, events, state) is done once for all methods by `trainer`. A method of one's own is a subclass of `Method`:

    class Imitate(Method):
        name = "imitate"

        def usable(self, sample):
            return sample.correct is True

        def loss(self, batch):
            policy = self.context.policy
            answers = [policy.label(policy.answer(s.action)) for s in batch]
            return imitation(self.context, batch, student_prompts(self.context, batch), answers)

It is chosen by its name when it is one of `learners.METHODS`, and by `package.module:Class` from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from showonce.config import FaultConfig, LearningConfig
from showonce.inference.decode import Decoded
from showonce.learning.gate.outcomes import Outcomes
from showonce.learning.methods.faults import Fault
from showonce.learning.practice.buffer import Sample, ScreenBuffer
from showonce.learning.practice.corrections import is_shown, shown_on
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CANDIDATE, CHAMPION, EMA, Context
from showonce.types import Demonstration, Observation

Anchor = tuple[Observation, Context]  # an old prompt, with or without a demonstration in it
Prompt = list[Any]  # token ids and features


@dataclass
class LearnerContext:
    """What every learner is given.

    adapter: the set of tensors that is trained (the candidate). champion: the set that acts; None = the base acts.
    demonstrations: by task id. anchors: old prompts on which the student shall stay as the base is. others: goals that
    were never taught, for which it shall do so, too, on the very screens that it learns from.
    """

    policy: VLMPolicy
    config: LearningConfig
    rng: np.random.Generator
    adapter: str = CANDIDATE
    champion: str | None = CHAMPION
    demonstrations: dict[str, Demonstration] = field(default_factory=dict)
    anchors: Sequence[Anchor] = ()
    others: Sequence[str] = ()
    buffer: ScreenBuffer = field(default_factory=ScreenBuffer)
    outcomes: Outcomes = field(default_factory=Outcomes)
    fault: Fault = field(default_factory=lambda: Fault(FaultConfig()))
    quarantined: Collection[str] = ()  # refs of demonstrations and episodes that must not be learned from

    def demonstration(self, task_id: str) -> Demonstration | None:
        """Return what a teacher is shown for a task: none if it is quarantined, a wrong one while that fault is on."""
        shown = self.demonstrations.get(task_id)
        if shown is None or shown.ref in self.quarantined:
            return None
        shown = self.fault.demonstration(shown)
        return None if shown.ref in self.quarantined else shown


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of one batch. value: a scalar with gradient. difference: mean divergence KL(teacher || student) per
    decision token in nats, None where no teacher took part. parts: further numbers for the log. n_tokens: decision
    tokens in the loss. texts: the answers that it was computed on.
    """

    value: Tensor
    difference: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    n_tokens: int = 0
    texts: tuple[str, ...] = ()


class Method:
    """One way to learn; see the module's text. Subclasses set `name` and write `loss`."""

    name: ClassVar[str]
    trains: ClassVar[bool] = True  # False: there are no weights to change, so no update is ever made
    acts_with_demonstration: ClassVar[bool] = False  # True: the policy is shown the demonstration whenever it acts

    def __init__(self, context: LearnerContext) -> None:
        self.context = context

    def usable(self, sample: Sample) -> bool:
        """Say whether this method can learn anything from a screen."""
        return True

    def batch(self, task_id: str, admitted: Callable[[Sample], bool] = lambda _: True) -> list[Sample]:
        """Return the screens of the next update, of those that the gate admits; empty = nothing to learn from."""
        context = self.context
        settings = context.config.sdft
        return context.buffer.draw(
            settings.batch_size,
            context.rng,
            task_id=task_id,
            replay=settings.replay,
            where=lambda sample: self.usable(sample) and admitted(sample),
        )

    def loss(self, batch: Sequence[Sample]) -> Loss:
        """Return the loss of a batch that is not empty."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: write one, or set trains = False.")

    def after_step(self) -> None:
        """Do what follows an optimiser step (an EMA, say)."""

    def begin(self, fresh: bool) -> None:
        """Prepare for training. fresh: nothing was restored from a checkpoint."""


def student_prompts(context: LearnerContext, batch: Sequence[Sample]) -> list[Prompt]:
    """Return what the student is told on each screen: no demonstration."""
    return [context.policy.parts(sample.observation, sample.context()) for sample in batch]


def teacher_prompts(context: LearnerContext, batch: Sequence[Sample]) -> list[Prompt]:
    """Return what the teacher is told: the demonstration, and a highlight where the right action is verified."""
    return [
        context.policy.parts(
            sample.observation,
            sample.context(shown_on(context, sample)),
            highlight=sample.action if sample.correct else None,
        )
        for sample in batch
    ]


def teacher_adapter(context: LearnerContext) -> str | None:
    """Return the set of tensors that the teacher thinks with; None = the base."""
    return {"base": None, "ema": EMA, "live": context.adapter}[context.config.sdft.teacher]


def can_teach(context: LearnerContext, sample: Sample) -> bool:
    """Say whether a teacher knows more than the student: a demonstration, a correction, a verified target to mark."""
    form = context.policy.config.teacher_context
    if form != "highlight" and is_shown(context, sample):
        return True
    return form != "demonstration" and sample.correct is True and sample.action is not None


def token_marks(answers: Sequence[Decoded], like_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return (action_BT, confidence_BT): the free tokens of the answers, those that state the confidence apart."""
    action_BT = torch.zeros_like(like_BT)
    confidence_BT = torch.zeros_like(like_BT)
    for row, answer in enumerate(answers):
        stated_T = answer.confidence_T or (False,) * len(answer.token_ids)
        for at, (free, stated) in enumerate(zip(answer.decision_T, stated_T, strict=True)):
            action_BT[row, at] = free and not stated
            confidence_BT[row, at] = free and stated
    return action_BT, confidence_BT
