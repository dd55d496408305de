"""Champion and candidate are compared as they really answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tinyfactory import frame
from tests.toys import toy_policy

from showonce.actions import Click, Type
from showonce.learning.methods.logits import answer_logits
from showonce.learning.ratchet.canaries import Canary
from showonce.learning.ratchet.canary_watch import LEAST, CanaryWatch, _nats_lost
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Context
from showonce.types import Parsed

GOALS = ("click red", "zoka", "type sun")


def canaries(n: int = 9) -> list[Canary]:
    group = ("skill", "present", "untaught")
    return [Canary(f"c{i}", group[i % 3], frame(i), GOALS[i // 3], Click(0.438, 0.562)) for i in range(n)]  # type: ignore[arg-type]


@pytest.fixture
def policy(toy_checkpoint: Path) -> VLMPolicy:
    return toy_policy(toy_checkpoint)


def shake(policy: VLMPolicy, name: str, amount: float, seed: int = 0) -> None:
    """Change an adapter at random."""
    assert policy.adapter is not None
    noise = torch.Generator().manual_seed(seed)
    tensors = policy.adapter.tensors("ema")
    moved = {key: value + amount * torch.randn(value.shape, generator=noise) for key, value in tensors.items()}
    policy.adapter.set_tensors(moved, name)


def test_nothing_is_lost_against_oneself(policy: VLMPolicy) -> None:
    shake(policy, "champion", 0.3)
    shake(policy, "candidate", 0.3)
    report = CanaryWatch(policy, canaries()).report("champion", "candidate")
    assert report.n == 9 and set(report.groups) == {"skill", "present", "untaught"}
    for group in report.groups.values():
        assert (
            group.lost == 0
            and group.kl_max == pytest.approx(0, abs=1e-6)
            and group.nats_lost == pytest.approx(0, abs=1e-4)
        )


@pytest.mark.parametrize("amount", [0.05, 0.3, 1.0])
def test_what_is_said_about_a_candidate_is_what_it_answers(policy: VLMPolicy, amount: float) -> None:
    shake(policy, "candidate", amount)
    watch = CanaryWatch(policy, canaries())
    report = watch.report("champion", "candidate")
    for name, share in (("champion", "champion"), ("candidate", "candidate")):
        passed: dict[str, list[bool]] = {}
        for canary in watch.canaries:
            answer = policy.propose(canary.observation, Context(canary.goal), adapter=name)
            passed.setdefault(canary.group, []).append(canary.passes(answer.action))
        for group, found in report.groups.items():
            assert getattr(found, share) == pytest.approx(np.mean(passed[group]))


def test_kl_and_lost_nats_are_those_of_the_known_answer(policy: VLMPolicy) -> None:
    shake(policy, "candidate", 0.5)
    (canary,) = [c for c in canaries() if c.id == "c3"]
    report = CanaryWatch(policy, [canary]).report("champion", "candidate").groups["skill"]
    right = policy.label(policy.answer(canary.answer))
    free = [t for t, (f, c) in enumerate(zip(right.decision_T, right.confidence_T, strict=True)) if f and not c]
    nats = {}
    for name in ("champion", "candidate"):
        prompt = policy.parts(canary.observation, Context(canary.goal))
        logits_BTV, _ = answer_logits(policy, [prompt], [right.token_ids], name)
        nats[name] = sum(float(logits_BTV[0, t].log_softmax(-1)[right.token_ids[t]]) for t in free)
    assert report.kl_mean > 0
    if report.champion:  # nats are told of what the champion passes
        assert report.nats_lost == pytest.approx(nats["champion"] - nats["candidate"], abs=1e-4)


def test_a_candidate_that_becomes_champion_is_not_decoded_again(policy: VLMPolicy) -> None:
    assert policy.adapter is not None
    shake(policy, "candidate", 0.3)
    watch = CanaryWatch(policy, canaries())
    watch.report("champion", "candidate")
    policy.adapter.copy("candidate", "champion")
    shake(policy, "candidate", 0.6, seed=1)
    kept = watch.report("champion", "candidate")
    afresh = CanaryWatch(policy, canaries()).report("champion", "candidate")
    assert kept.parsed_candidate == afresh.parsed_candidate
    for group, report in kept.groups.items():
        other = afresh.groups[group]
        assert (report.champion, report.candidate) == (other.champion, other.candidate)
        assert report.kl_mean == pytest.approx(other.kl_mean, abs=1e-4)


def test_broken_weights_are_not_finite(policy: VLMPolicy) -> None:
    shake(policy, "candidate", float("nan"))
    report = CanaryWatch(policy, canaries()).report("champion", "candidate")
    assert not np.isfinite(report.groups["skill"].kl_mean) and report.parsed_candidate == 0


def test_without_canaries_there_is_nothing_to_say(policy: VLMPolicy) -> None:
    assert CanaryWatch(policy).report("champion", "candidate").n == 0


def test_an_answer_that_the_model_cannot_spell_is_left_out(policy: VLMPolicy) -> None:
    odd = replace(canaries()[0], id="odd", answer=Type("an unknown word"))
    assert [c.id for c in CanaryWatch(policy, [*canaries(2), odd]).canaries] == ["c0", "c1"]


# ------------------------------------------------------------------------------------------ collecting


def test_what_is_to_be_avoided_gains_what_a_known_answer_would_lose() -> None:
    assert _nats_lost("skill", -1.0, -1.5) == pytest.approx(0.5)
    assert _nats_lost("untaught", -1.5, -1.0) == pytest.approx(0.5)
    assert _nats_lost("untaught", -9.0, LEAST - 0.1) == 0.0 == _nats_lost("present", LEAST - 1, -9.0)


def test_the_toy_answers_with_actions(policy: VLMPolicy) -> None:
    """The tests above would say little if the toy's answers were never actions."""
    answers = [policy.propose(c.observation, Context(c.goal)) for c in canaries()]
    assert any(a.action is not None for a in answers)
    assert isinstance(policy.dialect.parse(answers[0].text), Parsed) == (answers[0].action is not None)
