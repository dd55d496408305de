"""Trained token rows, laid over the frozen embeddings (and a tied output head) while their set is in use."""

from __future__ import annotations

import torch


class TokenRows:
    """Trained rows of one set of tensors: absolute values (d,), equal to the frozen rows until they are trained."""

    def __init__(self, embedding: torch.nn.Embedding) -> None:
        self._frozen_Vd = embedding.weight
        self.rows: dict[int, torch.nn.Parameter] = {}
        self._slot_V = torch.full((embedding.num_embeddings,), -1, dtype=torch.long, device=embedding.weight.device)

    def base(self, token: int) -> torch.Tensor:
        """Return the frozen row (d,) in float32."""
        return self._frozen_Vd[token].detach().float()

    def add(self, token: int) -> None:
        """Make one more row trainable, equal to the frozen one."""
        self._slot_V[token] = len(self.rows)
        self.rows[token] = torch.nn.Parameter(self.base(token).clone(), requires_grad=False)

    def embed(self, ids: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """Return the frozen embeddings `base` (..., d) of token ids (...,), trained rows in their places."""
        slots = self._slot_V[ids]
        trained = slots >= 0
        if not self.rows or not bool(trained.any()):
            return base
        rows = torch.stack(list(self.rows.values())).to(base.dtype)
        return torch.where(trained.unsqueeze(-1), rows[slots.clamp(min=0)], base)

    def head(self, hidden: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """Return the frozen logits `base` (..., V) of hidden states (..., d), those of trained rows computed anew."""
        if not self.rows:
            return base
        ids = torch.tensor(list(self.rows), device=base.device)
        rows = torch.stack(list(self.rows.values())).to(hidden.dtype)
        return base.index_copy(-1, ids, hidden @ rows.T)
