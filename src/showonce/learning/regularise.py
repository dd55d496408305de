"""What is added to the loss of every method: a target for the stated confidence, and an anchor to the base."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from showonce.inference.decode import Decoded
from showonce.learning.buffer import Sample
from showonce.learning.confidence_target import confidence_loss
from showonce.learning.divergence import divergence, masked_mean
from showonce.learning.method import LearnerContext, token_marks
from showonce.types import Parsed


def add_regularisers(
    context: LearnerContext, loss: Tensor, batch: Sequence[Sample], student_BTV: Tensor, answers: Sequence[Decoded]
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss with the confidence target and the anchor added as the settings say, and each as a number."""
    settings = context.config.sdft
    parts = {"objective": float(loss.detach())}
    if settings.confidence_weight > 0:
        targets = [confidence_target(context, sample, a) for sample, a in zip(batch, answers, strict=True)]
        stated, known = confidence_loss(context.policy, student_BTV, answers, targets)
        loss = loss + settings.confidence_weight * stated * (known / len(batch))
        parts |= {"confidence": float(stated.detach()), "confidence_targets": float(known)}
    if settings.anchor_kl > 0 and context.anchors:
        anchor = anchor_loss(context, settings.batch_size)
        loss = loss + settings.anchor_kl * anchor
        parts["anchor"] = float(anchor.detach())
    return loss, parts


def confidence_target(context: LearnerContext, sample: Sample, answer: Decoded) -> float | None:
    """Return what an answer to a screen should state, from verified outcomes; None = nothing is known."""
    parsed = context.policy.dialect.parse(answer.text, (sample.observation.width, sample.observation.height))
    return context.outcomes.target(sample, parsed.action if isinstance(parsed, Parsed) else None)


def anchor_loss(context: LearnerContext, n: int) -> Tensor:
    """Return the mean KL(base || student) per decision token on answers of the base to `n` old prompts."""
    policy = context.policy
    chosen = context.rng.choice(len(context.anchors), size=min(n, len(context.anchors)), replace=False)
    prompts = [policy.parts(*context.anchors[int(i)]) for i in chosen]
    answers = policy.sample(prompts, 1.0, context.rng, None)
    said = [answer.token_ids for answer in answers]
    base_BTV, _ = policy.answer_logits(prompts, said, None)
    student_BTV, mask_BT = policy.answer_logits(prompts, said, context.adapter, grad=True)
    action_BT, confidence_BT = token_marks(answers, mask_BT)
    free_BT = action_BT | confidence_BT
    return masked_mean(divergence(student_BTV, base_BTV, free_BT), free_BT)
