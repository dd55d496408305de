"""How far a student's next-token distribution is from its teacher's, token by token.

Names of axes: B sequences, T tokens of the answer, V vocabulary, K kept entries, N tokens inside the mask. All
divergences are in nats, >= 0, and computed in float32 or better from logits. No gradient flows into the teacher.

    forward_kl   KL(T || S) = sum_v T(v) (log T(v) - log S(v))
    reverse_kl   KL(S || T)
    jsd          beta KL(T || M) + (1 - beta) KL(S || M),  M = beta T + (1 - beta) S      (arXiv 2306.13649, eq. 2)

Over the top k, the vocabulary is partitioned into the kept entries and one tail bucket that holds the exact rest of the
mass of each side, so nothing is renormalised: the result never exceeds the full divergence (data processing inequality)
and equals it when at most one entry is left for the tail.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from showonce.errors import BadInput, nearest

KINDS: Final = ("forward_kl", "reverse_kl", "jsd")
_FAR: Final = -1e30  # a logit or log-probability of (almost) zero mass whose gradient stays finite


def divergence(
    student_logits_BTV: Tensor,
    teacher_logits_BTV: Tensor,
    mask_BT: Tensor,
    kind: str = "forward_kl",
    *,
    jsd_beta: float = 0.5,
    topk: int | None = None,
) -> Tensor:
    """Return `divergence_BT` in nats; 0 outside the mask.

    mask_BT: True where a token counts (a decision of the answer; forced tokens and padding are False).
    jsd_beta: weight of the teacher in the mixture, in (0, 1). topk: None = the whole vocabulary, else the k likeliest
    entries of each side and the tail bucket.

    Raises:
        BadInput: unknown kind, shapes that differ, beta or k out of range.
    """
    _check(student_logits_BTV, teacher_logits_BTV, mask_BT, kind, jsd_beta, topk)
    student_NV = _wide(student_logits_BTV[mask_BT])
    teacher_NV = _wide(teacher_logits_BTV[mask_BT].detach())
    if topk is None or topk >= student_NV.shape[-1]:
        log_s, log_t = student_NV.log_softmax(-1), teacher_NV.log_softmax(-1)
    else:
        log_s, log_t = _bucketed(student_NV, teacher_NV, topk)
    divergence_N = _pointwise(log_s, log_t, kind, jsd_beta)
    return divergence_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, divergence_N)


def masked_mean(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the mean over sequences of each sequence's mean over its masked tokens; empty sequences do not count.

    The result is a scalar with the gradient of `values_BT`; it is 0 when the mask is empty.
    """
    counts_B = mask_BT.sum(-1)
    sums_B = (values_BT * mask_BT).sum(-1)
    return (sums_B / counts_B.clamp(min=1)).sum() / (counts_B > 0).sum().clamp(min=1)


def _check(student: Tensor, teacher: Tensor, mask: Tensor, kind: str, beta: float, topk: int | None) -> None:
    if kind not in KINDS:
        raise BadInput(f"unknown divergence {kind!r}.{nearest(kind, KINDS)}")
    if student.shape != teacher.shape or student.shape[:2] != mask.shape or student.dim() != 3:
        raise BadInput(
            f"student logits {tuple(student.shape)}, teacher logits {tuple(teacher.shape)} and mask "
            f"{tuple(mask.shape)} must be (B, T, V), (B, T, V) and (B, T)."
        )
    if kind == "jsd" and not 0 < beta < 1:
        raise BadInput(f"jsd_beta must lie inside (0, 1), not {beta!r}; use forward_kl or reverse_kl for the ends.")
    if topk is not None and topk < 1:
        raise BadInput(f"topk must be at least 1, not {topk!r}.")


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _bucketed(student_NV: Tensor, teacher_NV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of both sides over the kept entries and the tail: (N, K + 1) each."""
    kept_NV = torch.zeros_like(teacher_NV, dtype=torch.bool)
    index_NK = teacher_NV.topk(k, dim=-1).indices
    mine_NK = student_NV.detach().topk(k, dim=-1).indices
    twice_NK = kept_NV.scatter(-1, index_NK, True).gather(-1, mine_NK)  # already among the teacher's
    dropped_NK = torch.cat([torch.zeros_like(twice_NK), twice_NK], -1)
    index_NK = torch.cat([index_NK, mine_NK], -1)
    kept_NV = kept_NV.scatter(-1, index_NK, True)
    return tuple(_with_tail(x, kept_NV, index_NK, dropped_NK) for x in (student_NV, teacher_NV))  # type: ignore[return-value]


def _with_tail(logits_NV: Tensor, kept_NV: Tensor, index_NK: Tensor, dropped_NK: Tensor) -> Tensor:
    total_N1 = logits_NV.logsumexp(-1, keepdim=True)
    head_NK = (logits_NV.gather(-1, index_NK) - total_N1).masked_fill(dropped_NK, _FAR)
    tail_N1 = logits_NV.masked_fill(kept_NV, _FAR).logsumexp(-1, keepdim=True) - total_N1
    return torch.cat([head_NK, tail_N1], -1)


def _pointwise(log_s: Tensor, log_t: Tensor, kind: str, beta: float) -> Tensor:
    if kind == "forward_kl":
        return _kl(log_t, log_s)
    if kind == "reverse_kl":
        return _kl(log_s, log_t)
    log_beta, log_rest = torch.tensor([beta, 1 - beta], dtype=log_s.dtype, device=log_s.device).log()
    log_m = torch.logaddexp(log_t + log_beta, log_s + log_rest)
    return beta * _kl(log_t, log_m) + (1 - beta) * _kl(log_s, log_m)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q) over the last axis; entries without mass in p count nothing."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)
