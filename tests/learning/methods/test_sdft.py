"""Short real SDFT runs on a random toy model: what is learnt, what is not touched, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.learning.conftest import GOAL, SHOWN, TASK
from tests.tinyfactory import frame

from showonce.actions import Click
from showonce.learning.methods.base import Method, token_marks
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.divergence import divergence, masked_mean
from showonce.learning.methods.imitation import RFT, SFTDemonstration, SFTTeacher
from showonce.learning.methods.logits import answer_logits
from showonce.learning.methods.prompts import can_teach, student_prompts, teacher_prompts
from showonce.learning.methods.regularise import _anchors, anchor_loss, confidence_target
from showonce.learning.methods.sdft import SDFT
from showonce.learning.optimiser import AdapterOptimiser
from showonce.protocols import EMA, Context

MakeContext = Callable[..., LearnerContext]


def train(context: LearnerContext, updates: int, method: Method | None = None) -> list[float]:
    """Do some updates and return the teacher-student divergence before each."""
    method = method or SDFT(context)
    optimiser = AdapterOptimiser(context.policy.adapter, context.adapter, context.config.sdft)  # type: ignore[arg-type]
    optimiser.begin(context.policy.goal_ids(GOAL))
    method.begin(fresh=True)
    out = []
    for _ in range(updates):
        loss = method.loss(method.batch(TASK))
        optimiser.step(loss.value)
        method.after_step()
        out.append(loss.difference or 0.0)
    return out


def distance(context: LearnerContext, seed: int = 99) -> float:
    """KL(teacher || student) on answers of the base to fresh screens: the same question before and after."""
    policy = context.policy
    batch = [replace(s, observation=frame(1000 + i)) for i, s in enumerate(context.buffer)]
    prompts = student_prompts(context, batch)
    answers = policy.sample(prompts, 1.0, np.random.default_rng(seed), None)
    said = [a.token_ids for a in answers]
    teacher_BTV, _ = answer_logits(policy, teacher_prompts(context, batch), said, None)
    student_BTV, mask_BT = answer_logits(policy, prompts, said, context.adapter)
    action_BT, _ = token_marks(answers, mask_BT)
    return float(masked_mean(divergence(student_BTV, teacher_BTV, action_BT), action_BT))


@pytest.mark.parametrize(
    ("kind", "settings", "share"),
    [
        ("lora", {}, 0.8),
        ("lora", {"divergence": "reverse_kl"}, 0.9),
        ("lora", {"divergence": "jsd", "vocabulary": "topk", "topk": 8}, 0.9),
        ("lora", {"teacher": "ema"}, 0.9),
        ("tokens", {"lr": 0.05, "on_policy": 1.0}, 0.95),
        ("lora_tokens", {"lr": 0.03}, 0.8),
    ],
)
def test_the_student_moves_towards_the_teacher_on_fresh_screens(
    make_context: MakeContext, kind: str, settings: dict[str, object], share: float
) -> None:
    context = make_context(kind, confidence_weight=0.0, **settings)
    before = distance(context)
    train(context, 12)
    assert distance(context) < share * before


def test_an_inverted_loss_moves_it_away(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=0.0)
    before = distance(context)
    method = SDFT(context)
    optimiser = AdapterOptimiser(context.policy.adapter, "candidate", context.config.sdft)  # type: ignore[arg-type]
    optimiser.begin(context.policy.goal_ids(GOAL))
    for _ in range(6):
        optimiser.step(-method.loss(method.batch(TASK)).value)
    assert distance(context) > 1.1 * before


@pytest.mark.parametrize("kind", ["lora", "tokens", "lora_tokens"])
def test_nothing_but_the_adapter_changes(make_context: MakeContext, kind: str) -> None:
    context = make_context(kind)
    policy, adapter = context.policy, context.policy.adapter
    assert adapter is not None
    frozen = {name: p for name, p in policy.engine.backbone.model.named_parameters() if "lora_" not in name}
    before = {name: p.detach().clone() for name, p in frozen.items()}
    champion, student = adapter.hash("champion"), adapter.hash("candidate")
    asked = Context("miru")
    answer = policy.propose(frame(5), asked, adapter=None)
    train(context, 3)
    assert len(frozen) > 20 and all(torch.equal(before[name], p) for name, p in frozen.items())
    assert adapter.hash("champion") == champion and adapter.hash("candidate") != student
    again = policy.propose(frame(5), asked, adapter=None)
    assert again.token_ids == answer.token_ids and again.logprobs_T == answer.logprobs_T


def test_only_the_goals_own_rows_are_trained(make_context: MakeContext) -> None:
    context = make_context("tokens")
    train(context, 2)
    adapter = context.policy.adapter
    assert adapter is not None
    assert set(adapter.tensors("candidate")) == {f"tokens.{i}" for i in context.policy.goal_ids(GOAL)}


def test_the_same_seed_gives_the_same_tensors(make_context: MakeContext) -> None:
    hashes = []
    for seed in (3, 3, 4):
        context = make_context(seed=seed)
        train(context, 3)
        hashes.append(context.policy.adapter.hash("candidate"))  # type: ignore[union-attr]
    assert hashes[0] == hashes[1] != hashes[2]


def test_sampling_for_training_follows_the_student_and_is_seeded(make_context: MakeContext) -> None:
    context = make_context()
    method = SDFT(context)
    batch = method.batch(TASK)
    context.rng = np.random.default_rng(5)
    first = method.loss(batch)
    context.rng = np.random.default_rng(5)
    again = method.loss(batch)
    assert first.texts == again.texts and float(first.value) == float(again.value)
    assert first.n_tokens > len(batch)
    assert method.loss(batch).texts != first.texts


def test_forced_and_confidence_tokens_are_no_part_of_the_distillation(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=0.0)
    policy, batch = context.policy, list(context.buffer)
    prompts = student_prompts(context, batch)
    AdapterOptimiser(policy.adapter, "candidate", context.config.sdft).begin(())  # type: ignore[arg-type]
    answers = policy.sample(prompts, 1.0, context.rng, "candidate")
    said = [a.token_ids for a in answers]
    student_BTV, mask_BT = answer_logits(policy, prompts, said, "candidate", grad=True)
    action_BT, confidence_BT = token_marks(answers, mask_BT)
    complete_B = torch.tensor([a.complete for a in answers])
    assert torch.equal(confidence_BT.sum(-1) == 1, complete_B) and bool(complete_B.any())
    assert not bool((action_BT & confidence_BT).any())
    assert bool((mask_BT & ~action_BT & ~confidence_BT).any())  # forced tokens
    teacher_BTV, _ = answer_logits(policy, teacher_prompts(context, batch), said, None)
    student_BTV.retain_grad()
    masked_mean(divergence(student_BTV, teacher_BTV, action_BT), action_BT).backward()
    touched_BT = (student_BTV.grad.abs().sum(-1) > 0).cpu()
    assert torch.equal(touched_BT, action_BT)


def test_confidence_is_pulled_to_verified_outcomes_alone(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=1.0, on_policy=1.0)
    method = SDFT(context)
    assert method.loss(method.batch(TASK)).parts["confidence_targets"] == 0
    for sample in list(context.buffer):
        context.buffer.add(replace(sample, action=Click(0.9, 0.9), executor="student", correct=True))
        context.outcomes.add_sample(next(s for s in context.buffer if s.key == sample.key))
    batch = method.batch(TASK)
    context.rng = np.random.default_rng(8)
    answers = context.policy.sample(student_prompts(context, batch), 1.0, context.rng, "candidate")
    context.rng = np.random.default_rng(8)
    assert method.loss(batch).parts["confidence_targets"] == sum(a.complete for a in answers) > 0
    wrong = [a for a in answers if '"click"' not in a.text]
    assert wrong and all(confidence_target(context, batch[0], a) == pytest.approx(1 / 14) for a in wrong)


def test_stated_confidence_moves_to_its_target(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=4.0, policy={"tokens": 96})
    for sample in list(context.buffer):
        known = replace(sample, action=Click(0.9, 0.9), executor="student", correct=True)
        context.buffer.add(known)
        for _ in range(3):
            context.outcomes.add_sample(known)

    def stated() -> float:
        prompts = student_prompts(context, list(context.buffer))
        values = []
        for answer in context.policy.sample(prompts, 0.0, np.random.default_rng(0), "candidate"):
            parsed = context.policy.dialect.parse(answer.text)
            values.append(getattr(parsed, "confidence", None) or 0.0)
        return float(np.mean(values))

    before = stated()
    train(context, 25)
    assert before > 0.3 and stated() < 0.15


def test_a_confidence_weight_of_zero_leaves_the_field_alone(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=0.0)
    method = SDFT(context)
    parts = method.loss(method.batch(TASK)).parts
    assert "confidence" not in parts


@pytest.mark.parametrize("decay", [0.5, 0.95])
def test_the_ema_teacher_begins_as_a_copy_and_follows(make_context: MakeContext, decay: float) -> None:
    context = make_context(teacher="ema", ema_decay=decay)
    adapter = context.policy.adapter
    assert adapter is not None
    train(context, 1)  # the student is now away from the base
    method, start = SDFT(context), adapter.tensors("candidate")
    optimiser = AdapterOptimiser(adapter, "candidate", context.config.sdft)
    optimiser.begin(context.policy.goal_ids(GOAL))
    method.begin(fresh=True)
    assert all(torch.equal(t, start[k]) for k, t in adapter.tensors(EMA).items())
    expected = start
    for _ in range(3):
        optimiser.step(method.loss(method.batch(TASK)).value)
        method.after_step()
        student = adapter.tensors("candidate")
        expected = {k: decay * t + (1 - decay) * student[k] for k, t in expected.items()}
    for key, tensor in adapter.tensors(EMA).items():
        assert torch.allclose(tensor, expected[key], atol=1e-6)


def test_a_restored_ema_is_not_overwritten(make_context: MakeContext) -> None:
    context = make_context(teacher="ema")
    adapter = context.policy.adapter
    assert adapter is not None
    train(context, 2)
    before = adapter.hash(EMA)
    SDFT(context).begin(fresh=False)
    assert adapter.hash(EMA) == before != adapter.hash("candidate")


def test_an_anchor_keeps_old_prompts_near_the_base(make_context: MakeContext) -> None:
    anchors = [(frame(500 + i), Context("click red circle")) for i in range(8)]
    drift = {}
    for weight in (0.0, 4.0):
        context = make_context(anchor_kl=weight, confidence_weight=0.0)
        context.anchors = anchors
        train(context, 10)
        context.rng = np.random.default_rng(0)
        drift[weight] = float(anchor_loss(context, list(context.buffer)[:8]).detach())
    assert drift[4.0] < 0.5 * drift[0.0]


def test_an_anchor_keeps_other_goals_on_the_same_screens_near_the_base(make_context: MakeContext) -> None:
    drift = {}
    for weight in (0.0, 4.0):
        context = make_context(anchor_kl=weight, confidence_weight=0.0)
        context.others = ["click nopa", "click zemi", "drag solu"]
        train(context, 10)
        context.rng, context.others = np.random.default_rng(0), ["click tiku"]  # one that no training has seen
        drift[weight] = float(anchor_loss(context, list(context.buffer)[:8]).detach())
    assert drift[4.0] < 0.5 * drift[0.0]


def test_an_anchor_asks_for_old_prompts_and_for_other_goals_in_equal_parts(make_context: MakeContext) -> None:
    context = make_context(anchor_kl=1.0)
    batch = list(context.buffer)[:8]
    context.anchors = [(frame(500 + i), Context("click red circle")) for i in range(8)]
    context.others = ["click nopa"]
    goals = [told.goal for _, told in _anchors(context, batch)]
    assert goals == ["click red circle"] * 4 + ["click nopa"] * 4
    context.anchors = ()
    found = _anchors(context, batch[:1])
    assert [told.goal for _, told in found] == ["click nopa"] and found[0][0] is batch[0].observation


def test_an_anchor_may_hold_a_demonstration(make_context: MakeContext) -> None:
    context = make_context(anchor_kl=1.0)
    context.anchors = [(frame(7), Context("miru", 0, (), replace(SHOWN, goal="miru")))]
    method = SDFT(context)
    loss = method.loss(method.batch(TASK))
    assert loss.parts["anchor"] == pytest.approx(0.0, abs=1e-5)  # the student is still the base
    train(context, 2)
    assert method.loss(method.batch(TASK)).parts["anchor"] > 1e-4


def test_replay_brings_earlier_lessons_with_their_own_demonstration(make_context: MakeContext) -> None:
    context = make_context(replay=0.25)
    old = replace(SHOWN, task_id="old", goal="miru")
    for i in range(4):
        context.buffer.add(replace(next(iter(context.buffer)), observation=frame(900 + i), task_id="old", goal="miru"))
    method = SDFT(context)
    assert {s.task_id for s in method.batch(TASK)} == {TASK}  # nobody can teach the old one any more
    context.demonstrations["old"] = old
    batch = method.batch(TASK)
    assert [s.task_id for s in batch].count("old") == 2
    alone = teacher_prompts(context, [s for s in batch if s.task_id == "old"])
    assert alone[0][:3] == context.policy.parts(frame(1), Context("miru", demonstration=old))[:3]


def test_a_quarantined_demonstration_teaches_nothing(make_context: MakeContext) -> None:
    context = make_context()
    assert can_teach(context, next(iter(context.buffer)))
    context.quarantined = {SHOWN.ref}
    assert not can_teach(context, next(iter(context.buffer))) and SDFT(context).batch(TASK) == []


def test_a_highlight_teaches_where_the_right_action_is_verified(make_context: MakeContext) -> None:
    context = make_context(policy={"teacher_context": "highlight"})
    sample = next(iter(context.buffer))
    assert not can_teach(context, sample)
    verified = replace(sample, action=Click(0.5, 0.5), executor="student", correct=True)
    assert can_teach(context, verified)
    (prompt,) = teacher_prompts(context, [verified])
    (plain,) = student_prompts(context, [verified])
    frames = [[p.key for p in parts if not isinstance(p, int)] for parts in (prompt, plain)]
    assert len(frames[0]) == 1 and frames[0] != frames[1]  # no demonstration, another picture


@pytest.mark.parametrize("kind", [SFTTeacher, SFTDemonstration])
def test_imitation_makes_its_answers_likelier(make_context: MakeContext, kind: type[Method]) -> None:
    context = make_context(confidence_weight=0.0)
    method = kind(context)
    optimiser = AdapterOptimiser(context.policy.adapter, "candidate", context.config.sdft)  # type: ignore[arg-type]
    optimiser.begin(context.policy.goal_ids(GOAL))

    def surprise() -> float:
        """The same draws of the (frozen) teacher to the same screens, before and after."""
        context.rng = np.random.default_rng(5)
        return float(method.loss(method.batch(TASK)).value.detach())

    before = surprise()
    for _ in range(12):
        optimiser.step(method.loss(method.batch(TASK)).value)
    assert surprise() < 0.95 * before


def test_sft_on_the_demonstration_says_what_was_shown(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=0.0, lora_lr=0.03)
    method = SFTDemonstration(context)
    assert [s.observation.hash for s in method.batch(TASK)] == [frame(1).hash]
    train(context, 40, method)
    proposal = context.policy.propose(frame(1), Context(GOAL), adapter="candidate")
    assert proposal.action == Click(0.438, 0.562)


def test_rft_learns_from_its_own_verified_answers_alone(make_context: MakeContext) -> None:
    context = make_context(confidence_weight=0.0)
    method = RFT(context)
    assert method.batch(TASK) == []
    sample = next(iter(context.buffer))
    said = tuple(context.policy.answer(Click(0.438, 0.562), 0.9))
    own = replace(sample, action=Click(0.438, 0.562), executor="student", correct=True, answer=said)
    for other in (replace(own, correct=False), replace(own, correct=None), replace(own, executor="teacher")):
        assert not method.usable(other)
    assert method.usable(own) and method.usable(replace(own, correct=None, success=True))
    context.buffer.add(own)
    assert {s.key for s in method.batch(TASK)} == {own.key}
    train(context, 30, method)
    assert context.policy.propose(sample.observation, Context(GOAL), adapter="candidate").action == Click(0.438, 0.562)


@pytest.mark.parametrize("on_policy", [0.0, 1.0])
def test_who_answers_the_screens_is_a_setting(make_context: MakeContext, on_policy: float) -> None:
    context = make_context("lora", on_policy=on_policy)
    policy, batch = context.policy, list(context.buffer)
    prompts = student_prompts(context, batch) if on_policy else teacher_prompts(context, batch)
    context.rng = np.random.default_rng(5)
    if not on_policy:
        context.rng.random(len(batch))  # who answers is drawn first
    expected = [a.text for a in policy.sample(prompts, 1.0, context.rng, context.adapter if on_policy else None)]
    context.rng = np.random.default_rng(5)
    assert list(SDFT(context).loss(batch).texts) == expected


def test_half_on_policy_mixes_answers_of_both(make_context: MakeContext) -> None:
    method = SDFT(make_context("lora", on_policy=0.5))
    context, batch = method.context, list(method.context.buffer)
    asked: list[tuple[int, str | None]] = []
    sample = context.policy.sample

    def counted(prompts, temperature, rng, adapter):  # type: ignore[no-untyped-def]
        asked.append((len(prompts), adapter))
        return sample(prompts, temperature, rng, adapter)

    context.policy.sample = counted  # type: ignore[method-assign]
    assert len(method.loss(batch).texts) == len(batch) == sum(n for n, _ in asked)
    assert [adapter for _, adapter in asked] == [context.adapter, None]
