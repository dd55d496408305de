"""Readings of one answer: the confidence field is left out, neighbours count, calibration is applied to its source."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.tinyfactory import bpe_tokenizer, word_tokenizer

from showonce.inference.decode import Decoded
from showonce.policy.confidence import pieces_of, read_confidence, token_confidence, tokens_in_span


def said(*tokens: tuple[float, bool, bool]) -> Decoded:
    """An answer of (probability, free, states the confidence)."""
    logs = tuple(math.log(p) for p, _, _ in tokens)
    return Decoded(
        tuple(range(len(tokens))),
        "",
        tuple(log - 1 for log in logs),
        tuple(free for _, free, _ in tokens),
        logs,
        tuple(stated for _, _, stated in tokens),
    )


def test_product_of_the_free_tokens_without_the_stated_confidence() -> None:
    answer = said((0.9, True, False), (1.0, False, False), (0.5, True, False), (0.1, True, True))
    assert token_confidence(answer) == pytest.approx(0.45)


def test_nothing_free_is_no_reading() -> None:
    assert token_confidence(said((1.0, False, False), (0.3, True, True))) is None


def test_calibration_maps_its_source() -> None:
    answer = said((0.8, True, False))
    half = read_confidence(answer, 0.6, lambda raw: raw / 2)
    assert (half.stated, half.token, half.calibrated) == pytest.approx((0.6, 0.8, 0.4))
    assert read_confidence(answer, 0.6, lambda raw: raw / 2, "stated").calibrated == pytest.approx(0.3)
    assert read_confidence(answer, 0.6).calibrated is None
    assert read_confidence(answer, None, lambda raw: raw, "stated").calibrated is None
    assert read_confidence(answer, 0.6, lambda raw: 7.0).calibrated == 1.0


def test_tokens_in_span() -> None:
    pieces = ["ab", "", "cd", "e"]
    assert tokens_in_span(pieces, (1, 3)) == (True, False, True, False)
    assert tokens_in_span(pieces, (4, 5)) == (False, False, False, True)
    assert tokens_in_span(pieces, None) == (False,) * 4


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [
        (word_tokenizer(), '{"action":"click","x":0.312,"y":0.688,"confidence":0.75}'),
        (bpe_tokenizer(qwen=True), '{"action":"type","text":"süße 🙂 Grüße","confidence":0.75}'),
    ],
)
def test_pieces_join_to_the_text(tokenizer: Any, text: str) -> None:
    ids = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    pieces = pieces_of(tokenizer, ids, text)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == text
    assert pieces[-1] == ""
