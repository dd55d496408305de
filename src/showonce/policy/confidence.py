"""Confidences of one answer: the stated number, the product of token probabilities, and either one calibrated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from showonce.inference.decode import Decoded
from showonce.types import Confidence

CalibrationMap = Callable[[float], float]  # raw confidence in [0, 1] -> probability of verified success in [0, 1]


def token_confidence(decoded: Decoded) -> float | None:
    """Return the product of the probabilities of the free tokens, those that state the confidence left out.

    An ordered token (a coordinate bin) counts with the mass of its neighbours: a click one bin away is the same click.
    None when nothing was free.
    """
    marks = decoded.confidence_T or (False,) * len(decoded.token_ids)
    logs = [
        mass
        for mass, free, stated in zip(decoded.mass_T, decoded.decision_T, marks, strict=True)
        if free and not stated
    ]
    return math.exp(sum(logs)) if logs else None


def read_confidence(
    decoded: Decoded, stated: float | None, calibration: CalibrationMap | None = None, source: str = "token"
) -> Confidence:
    """Return all three readings; `source` is the one that the calibration map was made for (token | stated)."""
    token = token_confidence(decoded)
    raw = token if source == "token" else stated
    calibrated = None if calibration is None or raw is None else min(max(float(calibration(raw)), 0.0), 1.0)
    return Confidence(stated=stated, token=token, calibrated=calibrated)


def tokens_in_span(pieces: Sequence[str], span: tuple[int, int] | None) -> tuple[bool, ...]:
    """Return which tokens write a character of text[start:end]; `pieces` are the tokens' texts in order."""
    marks, at = [], 0
    for piece in pieces:
        end = at + len(piece)
        marks.append(span is not None and bool(piece) and at < span[1] and end > span[0])
        at = end
    return tuple(marks)


def pieces_of(tokenizer: Any, token_ids: Sequence[int], text: str) -> list[str]:
    """Return the part of `text` that each token adds; tokens beyond the text (a stop token) add "".

    Tokens are decoded alone where that gives the same text, else as growing prefixes (a character may take two).
    """
    alone = [str(tokenizer.decode([i], clean_up_tokenization_spaces=False)) for i in token_ids]
    if "".join(alone) == text:
        return alone
    pieces, before = [], ""
    for n in range(1, len(token_ids) + 1):
        now = str(tokenizer.decode(list(token_ids[:n]), clean_up_tokenization_spaces=False))[: len(text)]
        now = now.rstrip("\ufffd") if n < len(token_ids) else now
        pieces.append(now[len(before) :] if now.startswith(before) else "")
        before = now if len(now) > len(before) else before
    return pieces
