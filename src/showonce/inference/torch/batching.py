"""Prompts made of token ids and features become tensors for a language tower, one row each, right padded."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from showonce.inference.torch.features import TorchFeatures
from showonce.protocols import Features


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a language tower reads: B rows of T new positions.

    embeds_BTd; positions_pBT (long); mask_BS (long, 1 = real, over past and new slots) or None when nothing is padded;
    visual_BT (bool) and deep (each (number of visual positions, d)) only for models with deep features.
    """

    embeds_BTd: torch.Tensor
    positions_pBT: torch.Tensor
    mask_BS: torch.Tensor | None = None
    visual_BT: torch.Tensor | None = None
    deep: tuple[torch.Tensor, ...] = ()


def fork(cache: DynamicCache, rows: int = 1) -> DynamicCache:
    """Return an independent cache with the same content, repeated for `rows` rows when it holds one.

    Growing layers replace their tensors when they grow and never write into them, so sharing the tensors is safe;
    any other kind of layer is copied deeply.
    """
    new = copy.copy(cache)
    new.layers = [
        copy.copy(layer) if type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) else copy.deepcopy(layer)
        for layer in cache.layers
    ]
    if rows > 1:
        grown: list[Any] = [layer for layer in new.layers if getattr(layer, "is_initialized", False)]
        for layer in grown:
            if layer.keys is not None:
                layer.keys = layer.keys.expand(rows, *layer.keys.shape[1:])
                layer.values = layer.values.expand(rows, *layer.values.shape[1:])
    return new


def width(parts: Sequence[int | Features]) -> int:
    """Return the number of positions that `parts` take."""
    return sum(1 if isinstance(p, int) else len(p) for p in parts)


def advance(parts: Sequence[int | Features]) -> int:
    """Return by how many positions `parts` move the next part (a frame may move it by less than its length)."""
    return sum(1 if isinstance(p, int) else p.span for p in parts)


def _positions(parts: Sequence[int | Features], start: int, axes: int) -> torch.Tensor:
    """Return (axes, T) positions of one row whose first part stands at `start`."""
    if all(not isinstance(p, TorchFeatures) or p.span == len(p) for p in parts) and axes == 1:
        return torch.arange(start, start + width(parts)).unsqueeze(0)
    pieces: list[torch.Tensor] = []
    at, run = start, 0
    for part in parts:
        if isinstance(part, TorchFeatures):
            pieces += [torch.arange(at - run, at).expand(axes, run), part.positions_pn.cpu() + at]
            at, run = at + part.span, 0
        else:
            at, run = at + 1, run + 1
    pieces.append(torch.arange(at - run, at).expand(axes, run))
    return torch.cat(pieces, 1)


def _embed_row(parts: Sequence[int | Features], embeds: torch.Tensor, offset: int) -> tuple[list[torch.Tensor], int]:
    """Return the pieces of one row in order; `embeds` holds all tokens of all rows, this row's from `offset` on."""
    pieces: list[torch.Tensor] = []
    run = 0
    for part in parts:
        if isinstance(part, TorchFeatures):
            if run:
                pieces.append(embeds[offset : offset + run])
            pieces.append(part.embeds_nd)
            offset, run = offset + run, 0
        else:
            run += 1
    if run:
        pieces.append(embeds[offset : offset + run])
    return pieces, offset + run


def assemble(
    rows: Sequence[Sequence[int | Features]], starts: Sequence[int], embeds: torch.Tensor, axes: int
) -> tuple[Inputs, list[int]]:
    """Turn rows of parts into one right-padded batch.

    starts: rotary position of each row's first part. embeds: (n, d), the embeddings of all token ids of all rows in
    order. axes: number of rotary axes. Returns the inputs (`mask_BS` over the new slots only, None when all rows are
    equally long) and the rows' widths.
    """
    widths = [width(row) for row in rows]
    longest = max(widths)
    device = embeds.device
    padded, positions, offset = [], [], 0
    for row, start, n in zip(rows, starts, widths, strict=True):
        pieces, offset = _embed_row(row, embeds, offset)
        if n < longest:
            pieces.append(embeds.new_zeros(longest - n, embeds.shape[-1]))
        padded.append(torch.cat(pieces) if len(pieces) > 1 else pieces[0])
        where = _positions(row, start, axes)
        if n < longest:
            where = torch.cat([where, where.new_zeros(axes, longest - n)], 1)
        positions.append(where)
    mask = None
    if min(widths) < longest:
        mask = (torch.arange(longest, device=device) < torch.tensor(widths, device=device).unsqueeze(1)).long()
    visual, deep = _deep(rows, longest)
    return Inputs(
        torch.stack(padded),
        torch.stack(positions, 1).to(device),
        mask,
        None if visual is None else visual.to(device),
        deep,
    ), widths


def _deep(
    rows: Sequence[Sequence[int | Features]], longest: int
) -> tuple[torch.Tensor | None, tuple[torch.Tensor, ...]]:
    frames = [p for row in rows for p in row if isinstance(p, TorchFeatures) and p.deep_nd]
    if not frames:
        return None, ()
    visual = torch.zeros(len(rows), longest, dtype=torch.bool)
    for b, row in enumerate(rows):
        at = 0
        for part in row:
            n = len(part) if isinstance(part, TorchFeatures) else 1
            if isinstance(part, TorchFeatures):
                visual[b, at : at + n] = True
            at += n
    return visual, tuple(torch.cat([f.deep_nd[i] for f in frames]) for i in range(len(frames[0].deep_nd)))
