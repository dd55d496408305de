"""The decode loop: what it says is what the slow, obvious loop says, and its numbers are the model's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tinyfactory import frame, save_checkpoint, word_tokenizer

from showonce.errors import BadInput
from showonce.inference.decode import Decoded, GrowingAnswer, Rules, decode, decode_batch, mark
from showonce.inference.grammar import Grammar
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine
from showonce.policy.dialects import get_dialect
from showonce.protocols import Parts


@pytest.fixture(scope="module", params=["tiny", "qwen3_vl"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    return TorchEngine(Backbone.load(save_checkpoint(tmp_path_factory.mktemp("checkpoint"), request.param)))


@pytest.fixture(scope="module")
def rules(engine: TorchEngine) -> Rules:
    tokenizer = engine.tokenizer
    stops = frozenset([tokenizer.eos_token_id])
    grammar = Grammar(tokenizer, get_dialect("native").grammar(), stops, len(tokenizer))
    return Rules(tokenizer, stops, grammar, max_new_tokens=60)


def prompts(engine: TorchEngine, count: int) -> list[Parts]:
    """Prompts of different lengths, with and without a frame."""
    out: list[Parts] = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        words = [int(i) for i in rng.integers(5, 60, 3 + 2 * seed)]
        out.append([*words, engine.encode(frame(seed)), *words[:2]] if seed % 3 else list(words))
    return out


def slowly(engine: TorchEngine, parts: Parts, rules: Rules) -> tuple[list[int], list[float]]:
    """Greedy constrained decoding without chunks, caches or forced tokens: everything again for every token."""
    assert rules.grammar is not None
    said: list[int] = []
    logprobs: list[float] = []
    while len(said) < rules.max_new_tokens:
        matcher = rules.grammar.start()
        assert not said or matcher.push(said)
        allowed = matcher.allowed()
        if not allowed.any() or set(np.flatnonzero(allowed)) <= rules.stop_ids:
            break
        _, logits_V = engine.extend(engine.start(), [*parts, *said])
        logprobs_V = torch.log_softmax(torch.from_numpy(logits_V), -1)
        token = int(logprobs_V.masked_fill(~torch.from_numpy(allowed), -torch.inf).argmax())
        if token in rules.stop_ids:
            said.append(token)
            logprobs.append(float(logprobs_V[token]))
            break
        said.append(token)
        logprobs.append(float(logprobs_V[token]))
    return said, logprobs


def test_greedy_says_what_the_slow_loop_says(engine: TorchEngine, rules: Rules) -> None:
    for parts in prompts(engine, 5):
        fast = decode(engine, engine.start(), parts, rules)
        said, logprobs = slowly(engine, parts, rules)
        assert list(fast.token_ids) == said
        free = [i for i, decision in enumerate(fast.decision_T) if decision]
        assert free
        assert np.allclose([fast.logprobs_T[i] for i in free], [logprobs[i] for i in free], atol=1e-4)
        assert all(fast.logprobs_T[i] == 0 for i in range(len(said)) if i not in free)


def test_a_batch_is_its_rows_one_by_one(engine: TorchEngine, rules: Rules) -> None:
    asked = prompts(engine, 7)
    for temperature in (0.0, 1.0):
        alone = [
            decode(engine, engine.start(), parts, rules, temperature, np.random.default_rng(i))
            for i, parts in enumerate(asked)
        ]
        fresh = [GrowingAnswer(rules, temperature, np.random.default_rng(i)) for i in range(len(asked))]
        together = decode_batch(engine.rows(engine.start(), len(asked)), asked, rules, fresh)
        assert len({d.token_ids for d in alone}) > 2
        for one, other in zip(alone, together, strict=True):
            assert one.token_ids == other.token_ids
            assert one.decision_T == other.decision_T
            assert np.allclose(one.logprobs_T, other.logprobs_T, atol=1e-4)


def test_rows_go_on_from_a_shared_state(engine: TorchEngine, rules: Rules) -> None:
    shared: Parts = [9, 8, engine.encode(frame(50)), 7]
    asked = prompts(engine, 4)
    state, _ = engine.extend(engine.start(), shared)
    together = decode_batch(engine.rows(state, 4), asked, rules, [GrowingAnswer(rules) for _ in asked])
    for parts, other in zip(asked, together, strict=True):
        assert decode(engine, engine.start(), [*shared, *parts], rules).token_ids == other.token_ids


def test_sampling_follows_its_generator(engine: TorchEngine, rules: Rules) -> None:
    parts = prompts(engine, 2)[1]

    def drawn(seed: int) -> tuple[int, ...]:
        return decode(engine, engine.start(), parts, rules, 1.0, np.random.default_rng(seed)).token_ids

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(8)}) > 3
    with pytest.raises(BadInput, match="rng"):
        decode(engine, engine.start(), parts, rules, 1.0)


def test_samples_come_as_often_as_the_model_says(rules: Rules) -> None:
    free = replace(rules, grammar=None, max_new_tokens=1)
    weights = torch.log(torch.tensor([0.5, 0.3, 0.2]))
    logits_V = torch.cat([weights, torch.full((20,), -1e9)]).numpy()
    drawn = []
    for seed in range(2000):
        answer = GrowingAnswer(free, 1.0, np.random.default_rng(seed))
        answer.choose(logits_V)
        drawn.append(answer.token_ids[0])
    shares = np.bincount(drawn, minlength=3)[:3] / 2000
    assert np.abs(shares - [0.5, 0.3, 0.2]).max() < 0.04


def test_an_answer_is_cut_at_the_limit(engine: TorchEngine, rules: Rules) -> None:
    short = decode(engine, engine.start(), prompts(engine, 1)[0], replace(rules, max_new_tokens=3))
    assert len(short.token_ids) == 3
    assert not short.complete


def test_free_text_ends_at_a_stop_token(rules: Rules) -> None:
    free = replace(rules, grammar=None)
    stop = next(iter(rules.stop_ids))
    answer = GrowingAnswer(free)
    for token in (5, 6, stop):
        answer.choose(torch.nn.functional.one_hot(torch.tensor(token), stop + 9).float().numpy() * 50)
    said = answer.result()
    assert said.token_ids == (5, 6, stop)
    assert said.decision_T == (True, True, True)
    assert said.text == rules.text([5, 6])
    assert answer.done
    assert said.complete


def test_mark_finds_the_same_decisions(engine: TorchEngine, rules: Rules) -> None:
    for parts in prompts(engine, 5):
        said = decode(engine, engine.start(), parts, rules)
        assert mark(rules, said.token_ids) == said.decision_T
    assert mark(rules, [5, 6, 7]) == (True, True, True)  # leaves the grammar at once
    assert mark(replace(rules, grammar=None), said.token_ids) == (True,) * len(said.token_ids)


def test_neighbours_share_their_mass() -> None:
    rules = Rules(None, frozenset(), ordered=(3, 5, 4))
    probabilities = torch.tensor([0.1, 0.1, 0.1, 0.2, 0.3, 0.2])
    answer = GrowingAnswer(rules)
    answer.choose(probabilities.log().numpy())  # greedy takes token 4, the last of the ordered ones
    assert answer.token_ids == [4]
    assert np.isclose(np.exp(answer.logprobs_T[0]), 0.3)
    assert np.isclose(np.exp(answer.mass_T[0]), 0.3 + 0.2)


def test_a_choice_that_leads_nowhere_is_not_made() -> None:
    tokenizer = word_tokenizer()
    stop = frozenset([tokenizer.eos_token_id])
    grammar = Grammar(tokenizer, 'start: "sun" "flower" | "moon" "}"\n', stop, len(tokenizer))
    answer = GrowingAnswer(Rules(tokenizer, stop, grammar))
    logits_V = np.zeros(len(tokenizer), np.float32)
    logits_V[tokenizer.convert_tokens_to_ids("sun")] = 9.0
    while not answer.done:
        answer.choose(logits_V)
    said: Decoded = answer.result()
    assert said.text == "moon}"
    assert said.complete
