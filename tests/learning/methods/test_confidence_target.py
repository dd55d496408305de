"""The confidence field is trained to the number that outcomes give, however many tokens it takes to write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.tinyfactory import save_checkpoint

from showonce.actions import Click, Key
from showonce.config import AdapterConfig, Config, PolicyConfig
from showonce.learning.methods.confidence_target import confidence_loss, levels, spelling, split
from showonce.policy.vlm_policy import VLMPolicy, load_policy


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.0, [(0.1, 1.0)]),
        (0.1, [(0.1, 1.0)]),
        (0.3, [(0.1, 0.5), (0.5, 0.5)]),
        (0.6, [(0.5, 0.75), (0.9, 0.25)]),
        (0.9, [(0.9, 1.0)]),
        (1.0, [(0.9, 1.0)]),
    ],
)
def test_split_between_neighbours(target: float, expected: list[tuple[float, float]]) -> None:
    got = split(target, (0.1, 0.5, 0.9))
    assert [level for level, _ in got] == [level for level, _ in expected]
    assert [weight for _, weight in got] == pytest.approx([weight for _, weight in expected])


def test_where_a_confidence_is_one_token_its_levels_are_those_tokens(make_policy: Callable[..., VLMPolicy]) -> None:
    policy = make_policy()
    assert levels(policy) == pytest.approx([0.05 + 0.1 * i for i in range(10)])
    assert {len(spelling(policy, level)) for level in levels(policy)} == {1}


def test_one_token_against_a_hand_computed_cross_entropy(make_policy: Callable[..., VLMPolicy]) -> None:
    policy = make_policy()
    answers = [policy.label(policy.answer(Click(0.438, 0.562), 0.95)), policy.label(policy.answer(Key("enter"), 0.05))]
    longest = max(len(a.token_ids) for a in answers)
    logits_BTV = torch.randn(2, longest, policy.engine.backbone.vocabulary, generator=torch.Generator().manual_seed(0))
    at = answers[0].confidence_T.index(True)
    logprobs_V = logits_BTV[0, at].log_softmax(-1)
    low, high = (spelling(policy, level)[0] for level in (0.65, 0.75))
    expected = -(0.8 * logprobs_V[low] + 0.2 * logprobs_V[high])
    loss, known = confidence_loss(policy, logits_BTV, answers, [0.67, None])
    assert known == 1 and float(loss) == pytest.approx(float(expected), rel=1e-5)
    both, known = confidence_loss(policy, logits_BTV, answers, [0.67, 0.05])
    second = confidence_loss(policy, logits_BTV, answers, [None, 0.05])[0]
    assert known == 2 and float(both) == pytest.approx((float(expected) + float(second)) / 2, rel=1e-5)


def test_levels_that_are_never_said_are_no_neighbours(make_policy: Callable[..., VLMPolicy]) -> None:
    policy = make_policy()
    answers = [policy.label(policy.answer(Key("enter"), 0.05))]
    logits_BTV = torch.zeros(1, len(answers[0].token_ids), policy.engine.backbone.vocabulary)
    at = answers[0].confidence_T.index(True)
    for level in levels(policy)[2:-1]:
        logits_BTV[0, at, spelling(policy, level)[0]] = -20.0
    low, high = levels(policy)[1], levels(policy)[-1]  # 0.15 and 0.95: the neighbours of 0.35 that are left
    logprobs_V = logits_BTV[0, at].log_softmax(-1)
    expected = -(0.75 * logprobs_V[spelling(policy, low)[0]] + 0.25 * logprobs_V[spelling(policy, high)[0]])
    loss, _ = confidence_loss(policy, logits_BTV, answers, [0.35])
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_without_a_target_or_a_field_there_is_no_loss(make_policy: Callable[..., VLMPolicy]) -> None:
    policy = make_policy()
    answer = policy.label(policy.answer(Key("enter"), 0.5))
    logits_BTV = torch.randn(1, len(answer.token_ids), policy.engine.backbone.vocabulary)
    assert [float(x) for x in confidence_loss(policy, logits_BTV, [answer], [None])] == [0.0, 0]
    cut_off = replace(answer, confidence_T=(False,) * len(answer.token_ids))
    assert [float(x) for x in confidence_loss(policy, logits_BTV, [cut_off], [0.5])] == [0.0, 0]


def test_digits_are_trained_up_to_the_first_that_differs(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path / "digits", "idefics3")
    config = PolicyConfig(checkpoint=str(checkpoint), adapter=AdapterConfig(rank=2))
    policy = load_policy(replace(Config(), policy=config))
    assert len(levels(policy)) == 101
    answer = policy.label(policy.answer(Click(0.5, 0.5), 0.87))
    places = [i for i, states in enumerate(answer.confidence_T) if states]
    assert len(places) >= 3 and len(places) == len(spelling(policy, 0.87))
    logits_BTV = torch.randn(1, len(answer.token_ids), policy.engine.backbone.vocabulary, requires_grad=True)

    def trained(target: float) -> list[int]:
        logits_BTV.grad = None
        confidence_loss(policy, logits_BTV, [answer], [target])[0].backward()
        assert logits_BTV.grad is not None
        return [places.index(i) for i in logits_BTV.grad[0].abs().sum(-1).nonzero().flatten().tolist()]

    every = list(range(len(places)))
    assert trained(0.87) == every
    assert trained(0.89) == every  # the last digit alone differs
    assert trained(0.27) == every[:-1]  # from the tens on the model was told another number
