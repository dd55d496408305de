"""Answered together, everybody gets the answer, and the error, that they would get alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from tests.tinyfactory import frame, save_checkpoint

from showonce.actions import Click
from showonce.config import Config, PolicyConfig
from showonce.policy.batched import BatchedPolicy, Question, propose_many
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context
from showonce.types import Demonstration, Frame, Observation, Proposal

SHOWN = Demonstration("toy", "zoka", (Frame(frame(1), Click(0.438, 0.562), "click red circle"),))
EMPTY = Observation(np.zeros((0, 0, 3), np.uint8))  # no model can look at it


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> VLMPolicy:
    folder = save_checkpoint(tmp_path_factory.mktemp("batched") / "toy", tied=True)
    return load_policy(replace(Config(), policy=PolicyConfig(checkpoint=str(folder))))


def questions(n: int) -> list[Question]:
    """Student and teacher views of several lengths, in turn."""
    goals = ("zoka", "click red circle", "miru")
    shown = (None, SHOWN, None)
    return [Question(frame(100 + i), Context(goals[i % 3], i % 4, (), shown[i % 3])) for i in range(n)]


def together(policy: BatchedPolicy, asked: list[list[Question]]) -> dict[tuple[int, int], Proposal | Exception]:
    """Let one thread ask each list in order; nobody begins before all take part."""
    found: dict[tuple[int, int], Proposal | Exception] = {}
    barrier = threading.Barrier(len(asked))

    def work(who: int) -> None:
        with policy.member():
            barrier.wait(30)
            for at, question in enumerate(asked[who]):
                try:
                    found[who, at] = policy.propose(question.observation, question.context, question.sampling)
                except Exception as error:
                    found[who, at] = error

    threads = [threading.Thread(target=work, args=(who,), daemon=True) for who in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "somebody is left waiting"
    return found


def test_a_batch_gives_what_one_by_one_gives(policy: VLMPolicy) -> None:
    asked = questions(9)
    found = propose_many(policy, asked)
    for question, result in zip(asked, found, strict=True):
        alone = policy.propose(question.observation, question.context)
        assert isinstance(result, Proposal)
        assert (result.text, result.action, result.token_ids) == (alone.text, alone.action, alone.token_ids)
        assert result.confidence.token == pytest.approx(alone.confidence.token, abs=1e-4)
        assert result.confidence.stated == alone.confidence.stated
        assert result.adapter_version == alone.adapter_version == "base"


def test_the_acting_adapter_answers(policy: VLMPolicy) -> None:
    assert policy.adapter is not None
    asked = [q for q in questions(6) if q.context.goal == "zoka"]
    (token,) = policy.goal_ids("zoka")
    base = policy.engine.backbone.embedding.weight[token].detach().clone()
    policy.adapter.set_tensors({f"tokens.{token}": base * -4}, "champion", "v0001")
    policy.use("champion")
    try:
        found = propose_many(policy, asked)
        alone = [policy.propose(q.observation, q.context) for q in asked]
    finally:
        policy.adapter.copy(None, "champion")
        policy.use(None)
    assert [p.text for p in found if isinstance(p, Proposal)] == [p.text for p in alone]
    assert {p.adapter_version for p in found if isinstance(p, Proposal)} == {"v0001"}
    assert [p.text for p in alone] != [policy.propose(q.observation, q.context).text for q in asked]


def test_draws_do_not_depend_on_who_came_first(policy: VLMPolicy) -> None:
    asked = [replace_sampling(q) for q in questions(6)]
    first = propose_many(policy, asked, seed=1)
    again = propose_many(policy, asked[::-1], seed=1)[::-1]
    other = propose_many(policy, asked, seed=2)
    texts = [[p.text for p in found if isinstance(p, Proposal)] for found in (first, again, other)]
    assert len(texts[0]) == 6
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def replace_sampling(question: Question) -> Question:
    return Question(question.observation, question.context, "sample")


def test_threads_share_batches_and_get_their_own_answers(policy: VLMPolicy) -> None:
    asked = questions(20)
    batched = BatchedPolicy(policy, width=8)
    found = together(batched, [asked[i::4] for i in range(4)])
    for who in range(4):
        for at, question in enumerate(asked[who::4]):
            result = found[who, at]
            assert isinstance(result, Proposal)
            assert result.text == policy.propose(question.observation, question.context).text
    assert batched.batches == 5
    assert batched.adapter_version == "base"


def test_who_leaves_early_holds_nobody_up(policy: VLMPolicy) -> None:
    asked = questions(9)
    batched = BatchedPolicy(policy, width=8)
    found = together(batched, [asked[:1], asked[1:4], asked[4:9]])
    assert all(isinstance(result, Proposal) for result in found.values())
    assert batched.batches == 5  # as many as the longest list has questions


def test_a_batch_is_never_wider_than_asked_for(policy: VLMPolicy) -> None:
    batched = BatchedPolicy(policy, width=2)
    found = together(batched, [[q] for q in questions(6)])
    assert all(isinstance(result, Proposal) for result in found.values())
    assert batched.batches == 3


def test_an_error_goes_to_the_one_who_caused_it(policy: VLMPolicy) -> None:
    asked = questions(3)
    bad = Question(EMPTY, Context("zoka"))
    with pytest.raises(Exception) as alone:
        policy.propose(bad.observation, bad.context)
    found = together(BatchedPolicy(policy, width=8), [[asked[0]], [bad, asked[1]], [asked[2]]])
    assert type(found[1, 0]) is alone.type
    for key, question in (((0, 0), asked[0]), ((1, 1), asked[1]), ((2, 0), asked[2])):
        result = found[key]
        assert isinstance(result, Proposal)
        assert result.text == policy.propose(question.observation, question.context).text


def test_a_decode_that_fails_for_all_is_told_to_all(policy: VLMPolicy) -> None:
    broken = BatchedPolicy(_Broken(policy), width=4)
    found = together(broken, [[q] for q in questions(3)])
    assert [str(result) for result in found.values()] == ["out of memory"] * 3


def test_alone_it_answers_at_once(policy: VLMPolicy) -> None:
    question = questions(1)[0]
    result = BatchedPolicy(policy, width=8).propose(question.observation, question.context)
    assert result.text == policy.propose(question.observation, question.context).text


class _Broken(VLMPolicy):
    """A policy whose decoding always fails."""

    def __init__(self, like: VLMPolicy) -> None:
        self.__dict__.update(like.__dict__)

    def sample(self, *arguments: object, **more: object) -> list[object]:  # type: ignore[override]
        raise RuntimeError("out of memory")

    def _decode(self, *arguments: object, **more: object) -> object:  # type: ignore[override]
        raise RuntimeError("out of memory")
