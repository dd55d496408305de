"""The trained modules (model, code book of coded words, throw-away heads), the packing of a batch, and its loss."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import corpus
from corpus import CODED, COORDINATE, FRESH, MAX_STEPS, OTHER, PHRASES, VOCAB, Sequence
from showonce.environments.embedded.language import app_words
from tiny_model import BINS, WORD_PIECES, Shape, build_model, word_pieces

NOISE = 0.05  # standard deviation of the random part of the embedding of a goal word's piece


class Trainee(nn.Module):
    """The model, the code book of coded words, and the throw-away heads of the dense loss."""

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        self.model = build_model(shape, seed)
        self.codes = nn.Parameter(torch.randn(MAX_STEPS, len(PHRASES), shape.width) * 0.04)
        self.pieces = nn.Parameter(torch.randn(WORD_PIECES, shape.width) * 0.05)  # shared by goal words
        self.heads = nn.ModuleList([nn.Linear(shape.width, n) for n in corpus.DENSE_SIZES])

    @torch.no_grad()
    def place_words(self) -> None:
        """Write the embeddings of the apps' goal words: the shared part plus a fixed random part, as in training."""
        table = self.model.model.text_model.embed_tokens.weight
        noise = torch.randn(len(app_words()), *self.pieces.shape, generator=torch.Generator().manual_seed(0)) * NOISE
        for word, part in zip(app_words(), noise, strict=True):
            rows = [VOCAB[piece] for piece in word_pieces(word)]
            table[rows] = (self.pieces.float() + part).to(table.dtype)

    def see(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 frames (N, 112, 112, 3) -> features (N, 49, width)."""
        pixels = (frames.permute(0, 3, 1, 2).to(self.codes.dtype) / 127.5) - 1.0
        inner = self.model.model
        side = pixels.shape[-1] // inner.config.vision_config.patch_size
        mask = torch.ones(len(pixels), side, side, dtype=torch.bool)
        hidden = inner.vision_model(pixel_values=pixels, patch_attention_mask=mask).last_hidden_state
        return inner.connector(hidden)  # type: ignore[no-any-return]

    def dense_loss(self, features: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
        """Cross-entropy of every head; position and label heads count only in cells that an object covers."""
        loss, accuracy = features.new_zeros((), dtype=torch.float32), []
        present = targets[..., 0] > 0
        for i, head in enumerate(self.heads):
            keep = torch.ones_like(present) if i == 0 else present
            if i in (1, 2, 3):
                keep = targets[..., i] > 0
            logits = head(features[keep]).float()
            target = targets[..., i][keep]
            loss = loss + (2.0 if i == 3 else 1.0) * F.cross_entropy(logits, target)
            accuracy.append((logits.argmax(-1) == target).float().mean().item())
        return loss, accuracy

    def forward(self, batch: dict[str, Any], noise: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (N, 49, d) and logits (P, V) at the supervised positions of a packed batch."""
        features = self.see(batch["frames"])
        table = self.model.model.text_model.embed_tokens.weight
        embeds = table[batch["ids"].clamp(min=0)]
        flat = embeds.reshape(-1, embeds.shape[-1]).clone()
        flat[batch["image_at"]] = features.reshape(-1, features.shape[-1]).to(flat.dtype)
        flat[batch["fresh_at"]] = (batch["fresh"] + self.pieces[batch["fresh_piece"]]).to(flat.dtype)
        if len(batch["code_at"]):
            code = self.codes[batch["code_step"], batch["code_phrase"]]
            at = batch["code_at"]
            flat[at] = (flat[at] + code + noise * torch.randn_like(code)).to(flat.dtype)
        hidden = self.model.model.text_model(
            inputs_embeds=flat.view_as(embeds), attention_mask=batch["mask"].to(flat.dtype),
            position_ids=batch["positions"], use_cache=False,
        ).last_hidden_state  # fmt: skip
        return features, self.model.lm_head(hidden.reshape(-1, hidden.shape[-1])[batch["at"]])


def collate(sequences: list[Sequence], length: int, width: int) -> dict[str, Any]:
    """Pack sequences into fixed tensors. Questions see the prefix and themselves only."""
    n = len(sequences)
    ids = np.zeros((n, length), np.int64)
    segment = np.full((n, length), -1, np.int64)
    positions = np.zeros((n, length), np.int64)
    at: list[int] = []
    target: list[int] = []
    kind: list[int] = []
    weight: list[float] = []
    tag: list[str] = []
    slot: list[int] = []
    image_at: list[int] = []
    fresh_at: list[int] = []
    fresh: list[np.ndarray] = []
    fresh_piece: list[int] = []
    code_at: list[int] = []
    code_step: list[int] = []
    code_phrase: list[int] = []
    for row, s in enumerate(sequences):
        base = row * length
        vectors = np.random.default_rng(s.fresh).normal(0, NOISE, (3, WORD_PIECES, width)).astype(np.float32)
        end = len(s.prefix)
        ids[row, :end], segment[row, :end], positions[row, :end] = s.prefix, 0, np.arange(end)
        image_at += [base + i for i, t in enumerate(s.prefix) if t == VOCAB["<image>"]]
        start = end
        for number, q in enumerate(s.questions, 1):
            tokens = q.prompt + q.answer
            stop = start + len(tokens)
            if stop > length:
                break
            ids[row, start:stop], segment[row, start:stop] = tokens, number
            positions[row, start:stop] = np.arange(end, end + len(tokens))
            first = base + start + len(q.prompt) - 1
            for i, (t, k, w) in enumerate(zip(q.answer, q.kinds, q.weights, strict=True)):
                if w > 0:
                    at.append(first + i)
                    target.append(t)
                    kind.append(k)
                    weight.append(w)
                    tag.append(q.tag)
                    slot.append(i)
            for step, phrase in enumerate(q.program):
                code_at.append(base + start + q.prompt.index(CODED) + step)
                code_step.append(step)
                code_phrase.append(phrase)
            start = stop
        for place in np.flatnonzero(ids[row] < 0).tolist():
            stand_in = int(ids[row, place])
            which = next(n for n, first in enumerate((CODED, FRESH, OTHER)) if 0 <= first - stand_in < WORD_PIECES)
            piece = (CODED, FRESH, OTHER)[which] - stand_in
            fresh_at.append(base + place)
            fresh_piece.append(piece)
            fresh.append(vectors[which, piece])
    causal = np.tril(np.ones((length, length), bool))
    allowed = causal & ((segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None]))
    mask = np.where(allowed, 0.0, -1e9).astype(np.float32)[:, None]
    tensor = torch.as_tensor
    return {
        "frames": tensor(np.stack([f for s in sequences for f in s.frames])), "ids": tensor(ids), "mask": tensor(mask),
        "positions": tensor(positions), "image_at": tensor(image_at), "fresh_at": tensor(np.array(fresh_at, np.int64)),
        "fresh": tensor(np.array(fresh, np.float32).reshape(-1, width)),
        "fresh_piece": tensor(np.array(fresh_piece, np.int64)), "code_at": tensor(np.array(code_at, np.int64)),
        "code_step": tensor(np.array(code_step, np.int64)), "code_phrase": tensor(np.array(code_phrase, np.int64)),
        "at": tensor(at),
        "target": tensor(target),
        "kind": tensor(kind), "weight": tensor(weight, dtype=torch.float32), "tag": tag, "slot": slot,
    }  # fmt: skip


def answer_loss(logits: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    """Weighted cross-entropy; a coordinate's target is smoothed over its neighbouring bins (.1, .8, .1)."""
    logp = F.log_softmax(logits.float(), -1)
    target, weight = batch["target"], batch["weight"]
    own = logp.gather(1, target[:, None])[:, 0]
    place = (target - corpus.FIRST_BIN) % BINS
    left = logp.gather(1, (target - (place > 0).long())[:, None])[:, 0]
    right = logp.gather(1, (target + (place < BINS - 1).long())[:, None].clamp(max=logp.shape[1] - 1))[:, 0]
    score = torch.where(batch["kind"] == COORDINATE, 0.8 * own + 0.1 * left + 0.1 * right, own)
    loss: torch.Tensor = -(score * weight).sum() / weight.sum()
    return loss


@torch.no_grad()
def evaluate(
    trainee: Trainee,
    lengths: dict[str, int],
    seed: int,
    make: Callable[[random.Random, int, str], Sequence],
    batches: int = 6,
    micro: int = 16,
) -> dict[str, float]:
    """Return token accuracy by kind of question on fresh screens: coordinates within one bin count as right."""
    rng = random.Random(987_654 + seed)
    right: dict[str, list[float]] = defaultdict(list)
    width = trainee.codes.shape[-1]
    for form, length in lengths.items():
        for _ in range(batches):
            batch = collate([make(rng, length, form) for _ in range(micro)], length, width)
            _, logits = trainee(batch, 0.0)
            guess = logits.float().argmax(-1)
            close = torch.where(
                batch["kind"] == COORDINATE, (guess - batch["target"]).abs() <= 1, guess == batch["target"]
            )
            for ok, tag, kind, slot in zip(
                close.tolist(), batch["tag"], batch["kind"].tolist(), batch["slot"], strict=True
            ):
                if kind == corpus.CONFIDENCE:
                    right["confidence"].append(ok)
                elif slot > 0 or tag.endswith("describe"):
                    right[tag or "other"].append(ok)
    return {k: round(float(np.mean(v)), 3) for k, v in sorted(right.items())}
