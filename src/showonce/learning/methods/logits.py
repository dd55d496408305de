"""Logits that learning asks of the engine: torch tensors, with a gradient where a loss is to be made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from showonce.errors import Unavailable
from showonce.inference.torch.engine import TorchEngine
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Features


def training_engine(policy: VLMPolicy) -> TorchEngine:
    """Return a policy's engine as the one that trains.

    Raises:
        Unavailable: it cannot (`EngineCapabilities.trains`).
    """
    if not policy.engine.capabilities.trains:
        raise Unavailable(
            f"the engine {policy.engine.name!r} cannot train: set inference.backend=torch, or learning=frozen."
        )
    return cast(TorchEngine, policy.engine)


def answer_logits(
    policy: VLMPolicy,
    prompts: Sequence[Sequence[int | Features]],
    answers: Sequence[Sequence[int]],
    adapter: str | None,
    grad: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return logits_BTV of every answer token and mask_BT; see `TorchEngine.answer_logits`.

    Raises:
        Unavailable: the engine cannot train.
    """
    engine = training_engine(policy)
    return engine.answer_logits(prompts, answers, adapter, grad=grad, prefixes=policy.prefixes)
