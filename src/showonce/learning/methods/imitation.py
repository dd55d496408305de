"""Methods that imitate given answers by cross-entropy: the baselines of self-distillation.

sft_demo      the demonstrated actions, on the demonstrated frames
sft_teacher   the teacher's answers to the same screens that sdft uses
rft           the student's own executed answers that were verified as right
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch

from showonce.inference.decode import Decoded
from showonce.learning.methods.base import Loss, Method, token_marks
from showonce.learning.methods.context import LearnerContext, Prompt
from showonce.learning.methods.divergence import masked_mean
from showonce.learning.methods.logits import answer_logits
from showonce.learning.methods.prompts import can_teach, student_prompts, teacher_adapter, teacher_prompts
from showonce.learning.methods.regularise import add_regularisers
from showonce.learning.practice.buffer import Sample
from showonce.learning.practice.episodes import demonstrated


def imitation(
    context: LearnerContext, batch: Sequence[Sample], prompts: Sequence[Prompt], answers: Sequence[Decoded]
) -> Loss:
    """Return the cross-entropy of given answers per decision token, with the regularisers of `regularise`."""
    said = [answer.token_ids for answer in answers]
    student_BTV, mask_BT = answer_logits(context.policy, prompts, said, context.adapter, grad=True)
    action_BT, _ = token_marks(answers, mask_BT)
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in said], batch_first=True)
    target_BT1 = padded.to(student_BTV.device).unsqueeze(-1)
    surprise_BT = -student_BTV.log_softmax(-1).gather(-1, target_BT1).squeeze(-1)
    loss, parts = add_regularisers(context, masked_mean(surprise_BT, action_BT), batch, student_BTV, answers)
    return Loss(loss, parts=parts, n_tokens=int(action_BT.sum()), texts=tuple(a.text for a in answers))


class SFTDemonstration(Method):
    """Imitates the demonstrated actions on the demonstrated frames."""

    name: ClassVar[str] = "sft_demo"

    def batch(self, task_id: str, admitted: Callable[[Sample], bool] = lambda _: True) -> list[Sample]:
        demonstration = self.context.demonstration(task_id)
        shown = [*demonstrated(demonstration)] if demonstration else []
        return [sample for sample in (*shown, *self.context.buffer.corrections(task_id)) if admitted(sample)]

    def loss(self, batch: Sequence[Sample]) -> Loss:
        policy = self.context.policy
        answers = [policy.label_action(s.action, s.observation) for s in batch if s.action]
        return imitation(self.context, batch, student_prompts(self.context, batch), answers)


class SFTTeacher(Method):
    """Imitates the teacher's own answers: distillation off policy, where SDFT is on policy."""

    name: ClassVar[str] = "sft_teacher"

    def usable(self, sample: Sample) -> bool:
        return can_teach(self.context, sample)

    def loss(self, batch: Sequence[Sample]) -> Loss:
        context, temperature = self.context, self.context.config.sdft.temperature
        prompts = teacher_prompts(context, batch)
        answers = context.policy.sample(prompts, temperature, context.rng, teacher_adapter(context))
        return imitation(context, batch, student_prompts(context, batch), answers)


class RFT(Method):
    """Rejection fine-tuning: imitates the student's own executed answers that were verified as right."""

    name: ClassVar[str] = "rft"

    def usable(self, sample: Sample) -> bool:
        return bool(sample.answer) and sample.executor == "student" and sample.worked

    def loss(self, batch: Sequence[Sample]) -> Loss:
        answers = [self.context.policy.label(sample.answer, sample.observation) for sample in batch]
        return imitation(self.context, batch, student_prompts(self.context, batch), answers)
