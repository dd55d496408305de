"""The loss on the confidence field of an answer: cross-entropy to a target from verified outcomes (see `outcomes`).

The target is soft: a value between two levels is split between both, so that the expected stated confidence equals it.
Levels are the confidences that the model can write and has a probability of more than `NEVER` for; to raise a lower one
would take gradients that drown the lesson's. Where a number takes several tokens, each of the two spellings is trained
up to its first token that differs from the answer's; the logits of later tokens are conditioned on another number.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from showonce.actions import CONFIDENCE_DECIMALS, EXAMPLES
from showonce.inference.decode import Decoded
from showonce.policy.vlm_policy import VLMPolicy

_STEPS: Final = 10**CONFIDENCE_DECIMALS
NEVER: Final = 1e-5  # least mean probability of a level that is one token


def levels(policy: VLMPolicy) -> tuple[float, ...]:
    """Return the confidences that this model can write, ascending."""
    values = set(policy.spelling.confidences.values()) or {i / _STEPS for i in range(_STEPS + 1)}
    return tuple(sorted(values))


def split(target: float, written: Sequence[float]) -> list[tuple[float, float]]:
    """Return one or two (level, weight) whose weights sum to 1 and whose mean is `target`, clipped to the levels."""
    if target <= written[0]:
        return [(written[0], 1.0)]
    for low, high in itertools.pairwise(written):
        if target < high:
            share = (target - low) / (high - low)
            return [(low, 1.0 - share), (high, share)] if share > 0 else [(low, 1.0)]
    return [(written[-1], 1.0)]


def spelling(policy: VLMPolicy, level: float) -> tuple[int, ...]:
    """Return the tokens that write a confidence."""
    answer = policy.label(policy.answer(EXAMPLES[0], level))
    return tuple(token for token, states in zip(answer.token_ids, answer.confidence_T, strict=True) if states)


def confidence_loss(
    policy: VLMPolicy, logits_BTV: Tensor, answers: Sequence[Decoded], targets: Sequence[float | None]
) -> tuple[Tensor, int]:
    """Return the mean cross-entropy (nats) of the confidence field over the answers with a target, and their number.

    logits_BTV: the student's, teacher-forced on `answers`. Answers without a confidence field are skipped; if none is
    left, the loss is 0.
    """
    logprobs_BTV = logits_BTV.log_softmax(-1)
    written = _in_use(policy, logprobs_BTV.detach(), answers)
    losses: list[Tensor] = []
    spelt: dict[float, tuple[int, ...]] = {}
    for row, (answer, target) in enumerate(zip(answers, targets, strict=True)):
        places = [at for at, states in enumerate(answer.confidence_T) if states]
        if target is None or not places:
            continue
        loss = logits_BTV.new_zeros(())
        for level, weight in split(target, written):
            if level not in spelt:
                spelt[level] = spelling(policy, level)
            for at, token in zip(places, spelt[level], strict=False):
                loss = loss - weight * logprobs_BTV[row, at, token]
                if token != answer.token_ids[at]:
                    break
        losses.append(loss)
    if not losses:
        return logits_BTV.new_zeros(()), 0
    return sum(losses[1:], losses[0]) / len(losses), len(losses)


def _in_use(policy: VLMPolicy, logprobs_BTV: Tensor, answers: Sequence[Decoded]) -> tuple[float, ...]:
    """Return the levels with a mean probability over `NEVER` in these answers; all if levels are written in digits."""
    tokens = policy.spelling.confidences
    rows = [(row, a.confidence_T.index(True)) for row, a in enumerate(answers) if True in a.confidence_T]
    if not tokens or not rows:
        return levels(policy)
    at_NV = torch.stack([logprobs_BTV[row, at] for row, at in rows])
    said_L = at_NV[:, list(tokens)].exp().mean(0).tolist()
    used = {level for level, said in zip(tokens.values(), said_L, strict=True) if said > NEVER}
    return tuple(sorted(used)) or levels(policy)
