"""The scripted engine says its replies through the real decode loop, and does not pretend to learn."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tinyfactory import frame, word_tokenizer

from showonce.errors import BadInput, ShowonceError
from showonce.inference.decode import Rules, decode
from showonce.inference.grammar import Grammar
from showonce.inference.scripted import ScriptedEngine
from showonce.policy.dialects import get_dialect
from showonce.protocols import Engine

CLICK = '{"action":"click","x":0.312,"y":0.688,"confidence":0.75}'
TYPE = '{"action":"type","text":"sun","confidence":0.95}'


@pytest.fixture
def tokenizer() -> Any:
    return word_tokenizer()


def engine_of(tokenizer: Any, *replies: str) -> ScriptedEngine:
    return ScriptedEngine(replies, tokenizer, tokenizer.eos_token_id, len(tokenizer))


def rules_of(tokenizer: Any, constrained: bool) -> Rules:
    stops = frozenset([tokenizer.eos_token_id])
    grammar = Grammar(tokenizer, get_dialect("native").grammar(), stops, len(tokenizer)) if constrained else None
    return Rules(tokenizer, stops, grammar)


@pytest.mark.parametrize("constrained", [True, False])
def test_replies_in_turn(tokenizer: Any, constrained: bool) -> None:
    engine, rules = engine_of(tokenizer, CLICK, TYPE), rules_of(tokenizer, constrained)
    said = [decode(engine, engine.start(), [5, engine.encode(frame(0)), 6], rules).text for _ in range(3)]
    assert said == [CLICK, TYPE, CLICK]


def test_free_text_may_be_no_action(tokenizer: Any) -> None:
    engine = engine_of(tokenizer, "click red circle")
    assert decode(engine, engine.start(), [5], rules_of(tokenizer, False)).text == "clickredcircle"


def test_states_can_be_used_twice(tokenizer: Any) -> None:
    engine = engine_of(tokenizer, CLICK)
    state, first = engine.extend(engine.start(), [5, 6])
    _, second = engine.extend(state, [int(first.argmax())])
    assert tokenizer.decode([int(second.argmax())]) == "click"
    _, again = engine.extend(state, [int(first.argmax())])
    assert int(again.argmax()) == int(second.argmax())


def test_it_is_an_engine_that_cannot_train(tokenizer: Any) -> None:
    engine = engine_of(tokenizer, CLICK)
    assert isinstance(engine, Engine)
    assert not engine.trains
    with pytest.raises(BadInput, match="at least one reply"):
        engine_of(tokenizer)


def test_versions_are_kept_apart(tokenizer: Any) -> None:
    engine = engine_of(tokenizer, CLICK)
    state = engine.start()
    engine.put("candidate", {}, "v1")
    engine.use("candidate")
    assert engine.version == "v1"
    with pytest.raises(ShowonceError, match="start again"):
        engine.extend(state, [5])
    with pytest.raises(BadInput, match="nobody"):
        engine.use("nobody")
