"""Spelling: actions become tokens that the model can say, and tokens become marked answers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tinyfactory import CONFIDENCES, COORDINATES, bpe_tokenizer, word_tokenizer

from showonce.actions import EXAMPLES, Action, Click, Drag, Scroll, Type
from showonce.errors import BadInput
from showonce.inference.decode import Rules
from showonce.inference.grammar import Grammar
from showonce.policy.dialects import get_dialect
from showonce.policy.spelling import Spelling, number_tokens
from showonce.types import Parsed


def spelling_of(tokenizer: Any) -> Spelling:
    stops, dialect = frozenset([tokenizer.eos_token_id]), get_dialect("native")
    grammar = Grammar(tokenizer, dialect.grammar(), stops, len(tokenizer))
    return Spelling(Rules(tokenizer, stops, grammar), dialect)


@pytest.fixture(scope="module")
def words() -> Spelling:
    return spelling_of(word_tokenizer())


@pytest.fixture(scope="module")
def pieces() -> Spelling:
    return spelling_of(bpe_tokenizer(qwen=True))


def read(spelling: Spelling, ids: list[int]) -> tuple[Action, float | None]:
    parsed = spelling.read(spelling.label(ids))
    assert isinstance(parsed, Parsed)
    return parsed.action, parsed.confidence


def test_whole_number_tokens_are_found_in_order() -> None:
    tokenizer = word_tokenizer()
    assert list(number_tokens(tokenizer, 3).values()) == [float(c) for c in COORDINATES]
    assert list(number_tokens(tokenizer, 2).values()) == [float(c[:-1]) for c in CONFIDENCES]
    assert number_tokens(bpe_tokenizer(qwen=True), 3) == {}


def test_values_go_to_what_can_be_said(words: Spelling) -> None:
    action, confidence = read(words, words.ids(Drag(0.3, 0.99, 0.0, 0.5), 0.9))
    assert action == Drag(0.312, 0.938, 0.062, 0.438)
    assert confidence in (0.85, 0.95)
    assert words.snapped(Type("sun")) == Type("sun")


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: str(action.verb))
def test_digits_can_say_everything(pieces: Spelling, action: Action) -> None:
    assert read(pieces, pieces.ids(action, 0.87)) == (action, 0.87)


def test_words_that_the_model_lacks_are_refused(words: Spelling) -> None:
    with pytest.raises(BadInput, match="cannot spell"):
        words.ids(Type("unheard of"), 0.5)


@pytest.mark.parametrize("action", [Click(0.312, 0.688), Scroll(0.5, 0.5, 2), Type("moon")])
def test_a_label_marks_decisions_and_the_stated_confidence(words: Spelling, pieces: Spelling, action: Action) -> None:
    for spelling in (words, pieces):
        label = spelling.label(spelling.ids(action, 0.75))
        tokens = [spelling._tokenizer.decode([i]) for i in label.token_ids]
        stated = "".join(t for t, marked in zip(tokens, label.confidence_T, strict=True) if marked)
        assert stated.strip("}") == "0.75"
        assert not label.decision_T[0]
        assert len(label.mass_T) == len(label.token_ids)
    free = [t for t, decision in zip(tokens, label.decision_T, strict=True) if decision]
    assert "".join(free)[-2:] == "75"
