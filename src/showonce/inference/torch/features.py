"""What one frame becomes after the frozen vision tower: shared by student, teacher, shadow and trainer."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Features:
    """Vision features of one frame, independent of every adapter.

    key: the frame's hash. embeds_nd: (n, d), in place of n token embeddings. positions_pn: (p, n) rotary positions
    relative to where the frame begins; p = 1 for ordinary, 3 for multi-axis rotary embeddings. span: by how much the
    frame moves the position of what follows. deep_nd: features that some models add after their first layers, each
    (n, d), else empty.
    """

    key: str
    embeds_nd: torch.Tensor
    positions_pn: torch.Tensor
    span: int
    deep_nd: tuple[torch.Tensor, ...] = ()

    def __len__(self) -> int:
        return int(self.embeds_nd.shape[0])


Parts = list[int | Features]


def same_part(a: int | Features, b: int | Features) -> bool:
    """Whether two parts of a prompt are the same token or the same frame."""
    if isinstance(a, Features) or isinstance(b, Features):
        return isinstance(a, Features) and isinstance(b, Features) and a.key == b.key
    return a == b
