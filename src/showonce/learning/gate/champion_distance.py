"""KL(champion || candidate) on a few fixed prompts, which the gate limits.

It is an early sign of poisoned updates: greedy success stays flat for some of them and then collapses, while the
distributions move from the first one on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from showonce.inference.decode import Decoded
from showonce.learning.methods.base import token_marks
from showonce.learning.methods.context import LearnerContext, Prompt
from showonce.learning.methods.divergence import divergence, masked_mean
from showonce.learning.methods.logits import answer_logits
from showonce.learning.practice.buffer import Sample

PROMPTS: Final = 8


class ChampionDistance:
    """Measures KL(champion || candidate) per decision token on the champion's greedy answers to a few fixed prompts.

    The prompts are the context's anchors if there are any, else the first screens that were learned from. The
    champion's answers and logits are computed once per champion.
    """

    def __init__(self, context: LearnerContext) -> None:
        self._context = context
        self._champion = ""
        self._prompts: list[Prompt] = []
        self._answers: list[Decoded] = []
        self._logits_BTV = torch.empty(0)
        self._measured: tuple[tuple[str, str], float] | None = None

    def measure(self, screens: Sequence[Sample]) -> float:
        """Return the distance in nats. screens: used as prompts if there are none yet and no anchors."""
        self._prepare(screens)
        said = [answer.token_ids for answer in self._answers]
        candidate_BTV, mask_BT = answer_logits(self._context.policy, self._prompts, said, self._context.adapter)
        action_BT, _ = token_marks(self._answers, mask_BT)
        value = float(masked_mean(divergence(candidate_BTV, self._logits_BTV, action_BT), action_BT))
        self._measured = self._pair(), value
        return value

    @property
    def known(self) -> float | None:
        """The last measured distance in nats; None if champion or candidate have changed since."""
        return self._measured[1] if self._measured and self._measured[0] == self._pair() else None

    def _prepare(self, screens: Sequence[Sample]) -> None:
        policy, champion = self._context.policy, self._context.champion
        version = self._pair()[0]
        if self._prompts and version == self._champion:
            return
        if not self._prompts:
            old = [policy.parts(*anchor) for anchor in self._context.anchors[:PROMPTS]]
            self._prompts = old or [policy.parts(s.observation, s.context()) for s in screens[:PROMPTS]]
        self._answers = policy.sample(self._prompts, 0.0, np.random.default_rng(0), champion)
        said = [answer.token_ids for answer in self._answers]
        self._logits_BTV, _ = answer_logits(policy, self._prompts, said, champion)
        self._champion = version

    def _pair(self) -> tuple[str, str]:
        adapter, context = self._context.policy.adapter, self._context
        if adapter is None:
            return "base", "base"
        return adapter.hash(context.champion) if context.champion else "base", adapter.hash(context.adapter)
