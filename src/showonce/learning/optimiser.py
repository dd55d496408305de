"""The optimiser of one adapter: AdamW with gradient clipping on the tensors of the lesson at hand; state as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import Parameter

from showonce.config import SDFTConfig
from showonce.errors import StoreError
from showonce.inference.torch.adapter import Adapter

_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


class AdapterOptimiser:
    """AdamW without weight decay; token rows and LoRA matrices have a learning rate each.

    Rows of earlier lessons keep their moments but are not trained while another lesson is at hand.
    """

    def __init__(self, adapter: Adapter, name: str, config: SDFTConfig) -> None:
        self._adapter = adapter
        self._name = name
        self._config = config
        self._adam: torch.optim.AdamW | None = None
        self._known: dict[str, Parameter] = {}
        self._waiting: dict[str, Tensor] = {}  # restored moments of tensors that are not trained yet
        self._lesson: list[Parameter] = []

    def begin(self, token_ids: Sequence[int]) -> None:
        """Make the rows of these tokens and all LoRA matrices trainable, and nothing else in the model."""
        self._adapter.add_tokens(token_ids)
        self._lesson = self._adapter.parameters(self._name, token_ids)
        rows = [f"tokens.{token}" for token in self._adapter.token_ids if token in token_ids]
        lora = [key for key in self._adapter.tensors(self._name) if key.startswith("lora.")]
        for key, parameter in zip([*rows, *lora], self._lesson, strict=True):
            if key not in self._known:
                self._known[key] = parameter
                self._add(key, parameter)

    @property
    def trainable(self) -> int:
        """The number of parameters that the lesson at hand trains."""
        return sum(parameter.numel() for parameter in self._lesson)

    def step(self, loss: Tensor, lr_factor: float = 1.0) -> float:
        """Do one step and return the gradient norm before clipping; if that is not finite, no step is done."""
        for parameter in self._lesson:
            parameter.grad = None
        if not loss.requires_grad:
            return 0.0
        torch.autograd.backward(loss, inputs=self._lesson)
        norm = float(torch.nn.utils.clip_grad_norm_(self._lesson, self._config.grad_clip))
        if self._adam is not None and math.isfinite(norm):
            for group in self._adam.param_groups:
                group["lr"] = group["base_lr"] * lr_factor
            self._adam.step()
        for parameter in self._lesson:
            parameter.grad = None
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """Return the moments as copies: ``<tensor key>.exp_avg``, ``.exp_avg_sq`` and ``.step``."""
        out = dict(self._waiting)
        for key, parameter in self._known.items():
            state = self._adam.state.get(parameter, {}) if self._adam else {}
            out |= {f"{key}.{name}": value.detach().float().cpu().clone() for name, value in state.items()}
        return out

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the moments to those of a former `tensors()`; tensors without an entry begin without moments.

        Raises:
            StoreError: a moment has another shape than its tensor.
        """
        self._waiting = dict(tensors)
        if self._adam is not None:
            self._adam.state.clear()
        for key, parameter in self._known.items():
            self._take(key, parameter)

    def _add(self, key: str, parameter: Parameter) -> None:
        if self._adam is None:
            rates = {"tokens": self._config.lr, "lora": self._config.lora_lr}
            groups = [{"params": [], "lr": lr, "base_lr": lr, "kind": kind} for kind, lr in rates.items()]
            self._adam = torch.optim.AdamW(groups, betas=self._config.betas, weight_decay=0.0)
        group = next(g for g in self._adam.param_groups if key.startswith(g["kind"]))
        group["params"].append(parameter)
        self._take(key, parameter)

    def _take(self, key: str, parameter: Parameter) -> None:
        """Give a tensor its restored moments, if there are any."""
        found = {name: self._waiting.pop(f"{key}.{name}", None) for name in (*_MOMENTS, "step")}
        if self._adam is None or any(value is None for value in found.values()):
            return
        for name in _MOMENTS:
            moment = found[name]
            assert moment is not None
            if moment.shape != parameter.shape:
                raise StoreError(
                    f"the optimiser's {name} of {key!r} has shape {tuple(moment.shape)}, the tensor has "
                    f"{tuple(parameter.shape)}: the state belongs to another adapter; go on without optimiser state."
                )
            found[name] = moment.to(parameter.device, parameter.dtype)
        self._adam.state[parameter] = found
