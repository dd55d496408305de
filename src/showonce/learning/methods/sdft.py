"""Self-distillation fine-tuning (SDFT, arXiv 2601.19897) for a vision-language policy.

    the student answers a screen by itself, a separate draw that is never executed           (on policy)
    or, on the other share of the batch, the teacher does                                    (off policy)
    the teacher = the same network with the demonstration in context scores the same tokens  (base | ema | live weights)
    a divergence between both over the vocabulary, per decision token, is pulled through the adapter alone

Mixing in answers of the teacher is GKD (arXiv 2306.13649). It is needed while the student does not know the kind of
action that is due: then all later tokens of its own answers are conditioned on a wrong start and teach nothing.
`on_policy` is the share of own answers; 1 is the SDFT of the paper.

Not in the loss: tokens that the grammar forces, and tokens that state the confidence. Distilled, those saturate (a
teacher that has seen the answer is always sure), so they have a target from verified outcomes (`outcomes`,
`confidence_target`). An anchor term holds the student near the base on old prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from showonce.inference.decode import Decoded
from showonce.learning.methods.base import Loss, Method, token_marks
from showonce.learning.methods.context import Prompt
from showonce.learning.methods.divergence import divergence, masked_mean
from showonce.learning.methods.logits import answer_logits
from showonce.learning.methods.prompts import can_teach, student_prompts, teacher_adapter, teacher_prompts
from showonce.learning.methods.regularise import add_regularisers
from showonce.learning.practice.buffer import Sample
from showonce.protocols import EMA


class SDFT(Method):
    """See the module's text. Every choice is a setting of `config.SDFTConfig`."""

    name: ClassVar[str] = "sdft"

    def usable(self, sample: Sample) -> bool:
        return can_teach(self.context, sample)

    def begin(self, fresh: bool) -> None:
        """Copy the student to the EMA teacher; averaged up from zero, its LoRA factors would be too small to teach."""
        adapter = self.context.policy.adapter
        if fresh and adapter is not None and self.context.config.sdft.teacher == "ema":
            adapter.copy(self.context.adapter, EMA)

    def after_step(self) -> None:
        settings, adapter = self.context.config.sdft, self.context.policy.adapter
        if settings.teacher == "ema" and adapter is not None:
            adapter.lerp(EMA, self.context.adapter, 1.0 - settings.ema_decay)

    def loss(self, batch: Sequence[Sample]) -> Loss:
        context, settings, policy = self.context, self.context.config.sdft, self.context.policy
        prompts = student_prompts(context, batch)
        taught = teacher_prompts(context, batch)
        answers = self._answers(prompts, taught)
        said = [answer.token_ids for answer in answers]
        teacher_BTV, _ = answer_logits(policy, taught, said, teacher_adapter(context))
        student_BTV, mask_BT = answer_logits(policy, prompts, said, context.adapter, grad=True)
        action_BT, _ = token_marks(answers, mask_BT)
        distance_BT = divergence(
            student_BTV,
            teacher_BTV,
            action_BT,
            settings.divergence,
            jsd_beta=settings.jsd_beta,
            topk=settings.topk if settings.vocabulary == "topk" else None,
        )
        distance = masked_mean(distance_BT, action_BT)
        loss, parts = add_regularisers(context, distance, batch, student_BTV, answers)
        if settings.divergence != "forward_kl" or settings.vocabulary != "full":
            with torch.no_grad():
                distance = masked_mean(divergence(student_BTV, teacher_BTV, action_BT), action_BT)
        return Loss(
            loss,
            difference=float(distance.detach()),
            parts=parts,
            n_tokens=int(action_BT.sum()),
            texts=tuple(answer.text for answer in answers),
        )

    def _answers(self, prompts: Sequence[Prompt], taught: Sequence[Prompt]) -> list[Decoded]:
        """Return an answer to each screen: the student's own, or, with probability 1 - `on_policy`, the teacher's."""
        context, settings, policy = self.context, self.context.config.sdft, self.context.policy
        own = [settings.on_policy >= 1 or context.rng.random() < settings.on_policy for _ in prompts]
        drawn: dict[int, Decoded] = {}
        for mine, of, adapter in ((True, prompts, context.adapter), (False, taught, teacher_adapter(context))):
            rows = [row for row, is_own in enumerate(own) if is_own == mine]
            if rows:
                answers = policy.sample([of[row] for row in rows], settings.temperature, context.rng, adapter)
                drawn |= dict(zip(rows, answers, strict=True))
        return [drawn[row] for row in range(len(prompts))]
