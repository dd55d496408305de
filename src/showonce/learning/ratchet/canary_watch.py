"""Compares candidate and champion on all canaries.

A check costs one teacher-forced pass over the champion's answers and, where they differ, the known right answers. The
candidate decodes an answer of its own only where it would choose another token than the champion.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from showonce.actions import Action
from showonce.config import SDFTConfig
from showonce.errors import BadInput
from showonce.inference.decode import Decoded
from showonce.learning.methods.divergence import divergence
from showonce.learning.methods.logits import answer_logits
from showonce.learning.ratchet.canaries import Canary, CanaryReport, CanaryResult, Group
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import AdapterSets, Context, Parts
from showonce.types import Parsed

LEAST: Final = -3.0  # nats; in `present` and `untaught`, log-probabilities below it are raised to it


@dataclass(frozen=True, eq=False)
class _Entry:
    """One adapter's answer to one canary.

    answer: its greedy answer; where it equals the champion's in all free choices but the confidence, the champion's.
    logits_TV: this adapter's, at each token of the answer. known: log-probability of the known answer, nats.
    """

    answer: Decoded
    action: Action | None
    logits_TV: Tensor
    known: float


Side = dict[str, _Entry]  # by the id of the canary


class CanaryWatch:
    """Compares two adapters on a set of canaries.

    The answers of the last champion and the last candidate are cached by content, so that a promoted candidate is not
    decoded again.
    """

    def __init__(self, policy: VLMPolicy, canaries: Sequence[Canary] = ()) -> None:
        self._policy = policy
        self._sides: dict[str, Side] = {}  # by content of the adapter: of the last champion and the last candidate
        self._right: dict[str, Decoded] = {}
        self.canaries: list[Canary] = []
        self.watch(canaries)

    def watch(self, canaries: Sequence[Canary]) -> None:
        """Replace the set of canaries; those whose known answer this model's dialect cannot write are left out."""
        right: dict[str, Decoded] = {}
        for canary in canaries:
            with contextlib.suppress(BadInput):
                known = self._right.get(canary.id)
                right[canary.id] = known or self._policy.label_action(canary.answer, canary.observation)
        self.canaries = [canary for canary in canaries if canary.id in right]
        self._right = right
        self._sides = {who: {k: v for k, v in side.items() if k in right} for who, side in self._sides.items()}

    def report(self, champion: str | None, candidate: str) -> CanaryReport:
        """Compare two sets of tensors (None = the base)."""
        if not self.canaries:
            return CanaryReport()
        old = self._side(champion)
        said_TV, new = self._against(old, candidate)
        self._sides = {self._identity(champion): old, self._identity(candidate): new}
        results = []
        for canary, logits_TV in zip(self.canaries, said_TV, strict=True):
            then, now = old[canary.id], new[canary.id]
            results.append(
                CanaryResult(
                    canary.group,
                    canary.passes(then.action),
                    canary.passes(now.action),
                    then.action is not None,
                    now.action is not None,
                    _kl(logits_TV, then.logits_TV, _choices(then.answer)),
                    _nats_lost(canary.group, then.known, now.known),
                    now.known - then.known,
                )
            )
        return CanaryReport.of(results)

    def _side(self, name: str | None) -> Side:
        """Return an adapter's answers to all canaries; those not in the cache are decoded."""
        side = dict(self._sides.get(self._identity(name), {}))
        new = [canary for canary in self.canaries if canary.id not in side]
        if new:
            answers = self._policy.sample(self._prompts(new), 0.0, np.random.default_rng(0), name)
            logits_TV, known = self._score(new, answers, name)
            for canary, answer, at_TV, nats in zip(new, answers, logits_TV, known, strict=True):
                side[canary.id] = _Entry(answer, self._read(canary, answer), at_TV, nats)
        return side

    def _against(self, old: Side, name: str) -> tuple[list[Tensor], Side]:
        """Return an adapter's logits on the answers of another adapter, and its own answers.

        One teacher-forced pass tells where its greedy choices are the same; it decodes only the other canaries.
        """
        said = [old[canary.id].answer for canary in self.canaries]
        said_TV, known = self._score(self.canaries, said, name)
        new = {
            c.id: replace(old[c.id], logits_TV=at_TV, known=nats)
            for c, at_TV, nats in zip(self.canaries, said_TV, known, strict=True)
        }
        other = []
        for canary, answer, at_TV in zip(self.canaries, said, said_TV, strict=True):
            if not bool(torch.isfinite(at_TV).all()):
                new[canary.id] = replace(new[canary.id], action=None)  # broken weights give no answer
            elif _differs(answer, at_TV):
                other.append(canary)
        if other:
            prompts = self._prompts(other)
            answers = self._policy.sample(prompts, 0.0, np.random.default_rng(0), name)
            own_TV = self._logits(prompts, answers, name)
            for canary, answer, at_TV in zip(other, answers, own_TV, strict=True):
                new[canary.id] = _Entry(answer, self._read(canary, answer), at_TV, new[canary.id].known)
        return said_TV, new

    def _score(
        self, canaries: Sequence[Canary], said: Sequence[Decoded], name: str | None
    ) -> tuple[list[Tensor], list[float]]:
        """Return the logits at the tokens of `said`, and the log-probabilities of the known answers, in one pass.

        A known answer with the same choices as `said` needs no row of its own.
        """
        right = [self._right[canary.id] for canary in canaries]
        needed = [i for i in range(len(canaries)) if _chosen(right[i]) != _chosen(said[i])]
        prompts = self._prompts(canaries)
        rows = self._logits([*prompts, *(prompts[i] for i in needed)], [*said, *(right[i] for i in needed)], name)
        known = [_nats(answer, row_TV) for answer, row_TV in zip(said, rows, strict=False)]
        for at, i in enumerate(needed):
            known[i] = _nats(right[i], rows[len(said) + at])
        return rows[: len(said)], known

    def _logits(self, prompts: Sequence[Parts], answers: Sequence[Decoded], name: str | None) -> list[Tensor]:
        said = [list(answer.token_ids) for answer in answers]
        logits_BTV, _ = answer_logits(self._policy, prompts, said, name)
        return [logits_BTV[row, : len(token_ids)] for row, token_ids in enumerate(said)]

    def _prompts(self, canaries: Sequence[Canary]) -> list[Parts]:
        return [self._policy.parts(c.observation, Context(c.goal, c.progress, c.history)) for c in canaries]

    def _read(self, canary: Canary, answer: Decoded) -> Action | None:
        parsed = self._policy.read(answer, canary.observation)
        return parsed.action if isinstance(parsed, Parsed) else None

    def _identity(self, name: str | None) -> str:
        adapter = self._policy.adapter
        return "base" if adapter is None else adapter.identity(name)


def _choices(answer: Decoded) -> list[int]:
    """Return the positions of an answer's free choices, those of the stated confidence left out."""
    stated = answer.confidence_T or (False,) * len(answer.token_ids)
    return [t for t, (free, s) in enumerate(zip(answer.decision_T, stated, strict=True)) if free and not s]


def _chosen(answer: Decoded) -> list[int]:
    return [answer.token_ids[t] for t in _choices(answer)]


def _differs(answer: Decoded, logits_TV: Tensor) -> bool:
    """Whether the greedy choice differs from the answer at some free position."""
    at = _choices(answer)
    return logits_TV[at].argmax(-1).tolist() != _chosen(answer)


def _nats(answer: Decoded, logits_TV: Tensor) -> float:
    """Return the log-probability of an answer's free choices."""
    at = _choices(answer)
    chosen = torch.tensor([_chosen(answer)], dtype=torch.long, device=logits_TV.device).T
    return float(logits_TV[at].log_softmax(-1).gather(-1, chosen).sum())


def _nats_lost(group: Group, then: float, now: float) -> float:
    """Return the loss of log-probability of a known answer, or the gain for `untaught`; see `LEAST`."""
    if group in ("present", "untaught") and math.isfinite(now):
        then, now = max(then, LEAST), max(now, LEAST)
    return now - then if group == "untaught" else then - now


def _kl(candidate_TV: Tensor, champion_TV: Tensor, at: list[int]) -> float:
    """Return KL(champion || candidate) in nats, the mean over the free choices."""
    if not at:
        return 0.0
    mask_1T = torch.ones(1, len(at), dtype=torch.bool, device=candidate_TV.device)
    return float(divergence(candidate_TV[at].unsqueeze(0), champion_TV[at].unsqueeze(0), mask_1T).mean())


def largest_move(adapter: AdapterSets, old: str, new: str, config: SDFTConfig, updates: int) -> float:
    """Return the largest change of a weight from set `old` to set `new`, as a share of the most that `updates` can do.

    An Adam step moves a weight by at most about the learning rate (Kingma and Ba 2015, section 2.1).
    """
    beta1, beta2 = config.betas
    most = max(1.0, (1 - beta1) / math.sqrt(1 - beta2)) * max(updates, 1)
    before = adapter.tensors(old)
    shares = [
        float((tensor.float() - before[key].float()).abs().max())
        / (most * (config.lora_lr if key.startswith("lora.") else config.lr))
        for key, tensor in adapter.tensors(new).items()
        if key in before
    ]
    return max(shares, default=0.0)
