"""The grammar over a tokenizer: forced tokens, dead ends, both kinds of vocabulary."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tinyfactory import bpe_tokenizer, word_tokenizer
from transformers import AutoTokenizer

from showonce.actions import EXAMPLES
from showonce.errors import ConfigError
from showonce.inference.grammar import Grammar, Matcher
from showonce.policy.dialects import get_dialect
from showonce.types import Parsed

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
LARK = 'start: "{" ("a" | "b") ":" /[0-9]{2}/ "}"\n'


@pytest.fixture(scope="module", params=["words", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return word_tokenizer() if request.param == "words" else bpe_tokenizer(qwen=True)


def grammar_of(tokenizer: Any, lark: str | None = None) -> Grammar:
    lark = lark or get_dialect("native").grammar()
    return Grammar(tokenizer, lark, [tokenizer.eos_token_id], len(tokenizer))


def wander(matcher: Matcher, rng: random.Random, stop: int) -> list[int]:
    """Follow the grammar, free choices at random; choices that lead nowhere are taken back."""
    ids = matcher.forced()
    while not matcher.ended and len(ids) < 400:
        choices = [int(i) for i in np.flatnonzero(matcher.allowed())]
        rng.shuffle(choices)
        for token in choices:
            if token == stop:
                return ids
            assert matcher.push([token])
            forced = matcher.forced()
            if not matcher.dead:
                ids += [token, *forced]
                break
            matcher.back(1 + len(forced))
        else:
            pytest.fail("every choice leads nowhere")
    return ids


def test_whatever_follows_the_grammar_parses(tokenizer: Any) -> None:
    dialect, grammar, rng = get_dialect("native"), grammar_of(tokenizer), random.Random(0)
    verbs = set()
    for _ in range(40):
        text = tokenizer.decode(wander(grammar.start(), rng, tokenizer.eos_token_id))
        parsed = dialect.parse(text)
        assert isinstance(parsed, Parsed), text
        assert parsed.repairs == ()
        verbs.add(parsed.action.verb)
    assert len(verbs) >= 6


def test_every_example_follows_the_grammar() -> None:
    tokenizer, dialect = bpe_tokenizer(qwen=False), get_dialect("native")
    grammar = grammar_of(tokenizer)
    for action in EXAMPLES:
        ids = tokenizer(dialect.write(action, 0.9), add_special_tokens=False).input_ids
        matcher = grammar.start()
        assert all(matcher.push([i]) for i in ids), action
        assert matcher.forced() == []
        assert matcher.ended
        assert not matcher.dead


def test_what_must_follow_is_forced() -> None:
    tokenizer = bpe_tokenizer(qwen=False)
    matcher = grammar_of(tokenizer, LARK).start()
    assert tokenizer.decode(matcher.forced()) == "{"
    assert matcher.push(tokenizer("b", add_special_tokens=False).input_ids)
    assert tokenizer.decode(matcher.forced()) == ":"
    digit = tokenizer("7", add_special_tokens=False).input_ids
    assert matcher.push(digit)
    assert matcher.forced() == []
    assert np.flatnonzero(matcher.allowed()).size == 10
    assert matcher.push(digit)
    assert tokenizer.decode(matcher.forced()) == "}"
    assert matcher.ended


def test_a_token_that_is_the_only_one_is_forced() -> None:
    tokenizer = word_tokenizer()
    matcher = grammar_of(tokenizer, 'start: /0\\.[0-9]{3}q*/ "}"\n').start()
    matcher.push([tokenizer.convert_tokens_to_ids("0.062")])
    assert tokenizer.convert_ids_to_tokens(matcher.forced()) == ["}"]  # a q would be legal, but no token has one
    assert matcher.ended


def test_a_word_that_cannot_be_finished_is_dead() -> None:
    tokenizer = word_tokenizer()
    matcher = grammar_of(tokenizer, 'start: "sun" ("flower" | "moon")\n').start()
    assert tokenizer.convert_ids_to_tokens(matcher.forced()) == ["sun", "moon"]  # there is no flower
    lost = grammar_of(tokenizer, 'start: "sun" "flower" | "moon"\n').start()
    sun = tokenizer.convert_tokens_to_ids("sun")
    lost.push([sun])
    lost.forced()
    assert lost.dead
    lost.back(1)
    assert not lost.dead
    assert lost.allowed()[tokenizer.convert_tokens_to_ids("moon")]


def test_the_prompts_own_marks_are_never_allowed() -> None:
    tokenizer = word_tokenizer()
    matcher = grammar_of(tokenizer, 'start: /[^"]*/ "}"\n').start()
    allowed = set(tokenizer.convert_ids_to_tokens(np.flatnonzero(matcher.allowed()).tolist()))
    assert "zoka" in allowed
    assert not {t for t in allowed if t.startswith("<")} - {tokenizer.eos_token}


def test_matchers_do_not_share_their_place() -> None:
    tokenizer = word_tokenizer()
    grammar = grammar_of(tokenizer)
    first = grammar.start()
    opening = first.forced()
    first.push([tokenizer.convert_tokens_to_ids("click")])
    assert grammar.start().forced() == opening


def test_a_wrong_step_is_refused() -> None:
    tokenizer = word_tokenizer()
    matcher = grammar_of(tokenizer).start()
    matcher.forced()
    assert not matcher.push([tokenizer.convert_tokens_to_ids("0.062")])
    assert matcher.ended


def test_a_broken_grammar_says_so() -> None:
    with pytest.raises(ConfigError, match="grammar cannot be used"):
        grammar_of(word_tokenizer(), "start: nothing_here\n")


def test_a_grammar_needs_an_end() -> None:
    with pytest.raises(ConfigError, match=r"inference\.grammar=false"):
        Grammar(word_tokenizer(), LARK, [], 100)


@pytest.mark.parametrize("name", ["tiny", "tiny_pages"])
def test_what_the_embedded_model_cannot_spell_leaves_its_answers_as_they_were(name: str) -> None:
    """Its vocabulary has no held modifiers and no triple click: every choice is the same as in a grammar without."""
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINTS / name)
    lark = get_dialect("native").grammar()
    without = lark.replace(r'" (",\"held\":" MODIFIERS)? ",', ",").replace(" | triple_click", "")
    without = "".join(line for line in without.splitlines(True) if not line.startswith(("triple", "MODIF")))
    assert without.count("held") == 0 < lark.count("held")
    new, old, rng = grammar_of(tokenizer, lark), grammar_of(tokenizer, without), random.Random(1)
    for _ in range(60):
        now, before = new.start(), old.start()
        while not now.ended:
            assert now.forced() == before.forced()
            assert (now.ended, now.dead) == (before.ended, before.dead)
            choices = np.flatnonzero(now.allowed())
            assert np.array_equal(choices, np.flatnonzero(before.allowed()))
            token = int(rng.choice(choices)) if len(choices) else tokenizer.eos_token_id
            if token == tokenizer.eos_token_id:
                break
            assert now.push([token]) and before.push([token])
