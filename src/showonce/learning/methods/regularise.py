"""Terms added to the loss of every method: a target for the stated confidence, and an anchor to the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from showonce.inference.decode import Decoded
from showonce.learning.methods.base import token_marks
from showonce.learning.methods.confidence_target import confidence_loss
from showonce.learning.methods.context import Anchor, LearnerContext
from showonce.learning.methods.divergence import divergence, masked_mean
from showonce.learning.methods.logits import answer_logits
from showonce.learning.practice.buffer import Sample
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
    if settings.anchor_kl > 0 and (context.anchors or context.others):
        anchor = anchor_loss(context, batch)
        loss = loss + settings.anchor_kl * anchor
        parts["anchor"] = float(anchor.detach())
    return loss, parts


def confidence_target(context: LearnerContext, sample: Sample, answer: Decoded) -> float | None:
    """Return the confidence that an answer to a screen should state (see `outcomes`); None = no target."""
    parsed = context.policy.read(answer, sample.observation)
    return context.outcomes.target(sample, parsed.action if isinstance(parsed, Parsed) else None)


def anchor_loss(context: LearnerContext, batch: Sequence[Sample]) -> Tensor:
    """Return the mean KL(base || student) in nats per free token, on the base's answers to as many prompts as screens.

    Half of the prompts are of old skills (they must stay), half are screens of the batch with a goal that was never
    taught (the lesson must not be done for another goal); all of one kind where the other is missing.
    """
    policy = context.policy
    asked = _anchors(context, batch)
    prompts = [policy.parts(observation, told) for observation, told in asked]
    answers = policy.sample(prompts, 1.0, context.rng, None)
    said = [answer.token_ids for answer in answers]
    base_BTV, _ = answer_logits(policy, prompts, said, None)
    student_BTV, mask_BT = answer_logits(policy, prompts, said, context.adapter, grad=True)
    action_BT, confidence_BT = token_marks(answers, mask_BT)
    free_BT = action_BT | confidence_BT
    return masked_mean(divergence(student_BTV, base_BTV, free_BT), free_BT)


def _anchors(context: LearnerContext, batch: Sequence[Sample]) -> list[Anchor]:
    """Draw the prompts of the anchor term."""
    rng, old, others = context.rng, context.anchors, context.others
    n = len(batch) if not others else len(batch) // 2 if old else 0
    found = [old[int(i)] for i in rng.choice(len(old), size=min(n, len(old)), replace=False)] if n else []
    if others:
        for at in rng.choice(len(batch), size=len(batch) - n, replace=False):
            sample = batch[int(at)]
            goal = others[int(rng.integers(len(others)))]
            found.append((sample.observation, replace(sample.context(), goal=goal)))
    return found
