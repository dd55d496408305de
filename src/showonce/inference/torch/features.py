"""The vision features of one frame as the torch engine keeps them: student, teacher, shadow and trainer share them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TorchFeatures:
    """See `protocols.Features`.

    embeds_nd: (n, d), in place of n token embeddings. positions_pn: (p, n) rotary positions relative to where the
    frame begins; p = 1 for ordinary, 3 for multi-axis rotary embeddings. deep_nd: features that some models add after
    their first layers, each (n, d), else empty.
    """

    key: str
    embeds_nd: torch.Tensor
    positions_pn: torch.Tensor
    span: int
    seen: tuple[int, int]
    deep_nd: tuple[torch.Tensor, ...] = ()

    def __len__(self) -> int:
        return int(self.embeds_nd.shape[0])

    @cached_property
    def pooled_d(self) -> NDArray[np.float32]:
        """The mean of the features (d,), float32."""
        return to_numpy(self.embeds_nd.float().mean(0))


def to_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    """Return a tensor as a float32 array on the CPU, without a copy where that is possible."""
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
