"""The trainer around every method: evidence, gate, budget, events, sources and state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.learning.conftest import GOAL, SHOWN, TASK
from tests.tinyfactory import frame

from showonce.actions import Click
from showonce.config import FaultConfig, GateConfig
from showonce.errors import BadInput, ConfigError
from showonce.events import Event, UpdateMade
from showonce.learning.gate.gate import GateReason
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.faults import Fault
from showonce.learning.methods.registry import METHODS, find_method
from showonce.learning.methods.sdft import SDFT
from showonce.learning.practice.buffer import Sample, ScreenBuffer
from showonce.learning.trainer import Trainer, make_learner
from showonce.learning.updates import Refusal, UpdateCounts
from showonce.protocols import Context, Turn
from showonce.types import Confidence, Episode, Outcome, Proposal, Step, StopReason, Task

MakeContext = Callable[..., LearnerContext]
THE_TASK = Task(TASK, GOAL)
PLACE = Click(0.438, 0.562)
WHOLE = {"tokens": 96}  # answers are never cut off, so that all of them are actions


class Sink:
    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: Event) -> None:
        self.seen.append((event.kind, event.to_json()))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for k, data in self.seen if k == kind]


def trainer_of(
    context: LearnerContext,
    name: str = "sdft",
    sink: Sink | None = None,
    counts: UpdateCounts | None = None,
    **gate: Any,
) -> Trainer:
    """A learner in its lesson. The toy teacher is unsure, so its threshold is low unless the test says otherwise."""
    settings = GateConfig(**{"teacher_threshold": 0.0, "headroom": 0.0, **gate})
    context.config = replace(context.config, gate=settings)
    trainer = make_learner(name, context, sink, counts, run="r1")
    trainer.begin(THE_TASK, SHOWN)
    return trainer


def step(executor: str = "student", correct: bool | None = None, token: float = 0.9) -> Step:
    proposal = Proposal("", PLACE, None, Confidence(token=token), token_ids=(1, 2, 3))
    outcome = Outcome(None, "world", step_correct=correct)
    return Step(0, "", "", PLACE, PLACE, PLACE, executor, proposal, outcome, True)  # type: ignore[arg-type]


def play(trainer: Trainer, *screens: int, phase: str = "run", success: bool | None = None, **how: Any) -> Episode:
    """Let the trainer watch an episode over these screens."""
    made = step(**how)
    history: tuple[Turn, ...] = ()
    for progress, screen in enumerate(screens):
        trainer.on_step(THE_TASK, frame(screen), made, Context(GOAL, progress, history))
        history = (*history, Turn(action=PLACE))
    steps = tuple(replace(made, index=i) for i in range(len(screens)))
    reason = StopReason.COMPLETED if success else StopReason.MAX_STEPS
    episode = Episode(f"e{screens[0]}", TASK, GOAL, 0, phase, steps, reason, Outcome(success, "world"), 1.0)
    trainer.observe(episode)
    return episode


def update(trainer: Trainer) -> UpdateMade:
    report = trainer.maybe_update()
    assert isinstance(report, UpdateMade), report
    return report


def refusal(trainer: Trainer) -> str:
    result = trainer.maybe_update()
    assert isinstance(result, Refusal), result
    return result.reason


def test_an_update_is_told_with_its_reason_and_numbers(make_context: MakeContext) -> None:
    sink = Sink()
    trainer = trainer_of(make_context(), sink=sink, budget_run=7, budget_task=9)
    report = update(trainer)
    (gate,), (event,) = sink.of("gate"), sink.of("update")
    assert (gate["accepted"], gate["route"], gate["reason"]) == (True, "shown", "shown")
    assert (gate["updates"], gate["budget_run_left"], gate["budget_task_left"]) == (1, 6, 8)
    assert gate["numbers"]["divergence"] == report.kl_teacher_student
    assert 0 < gate["numbers"]["teacher_confidence"] <= 1 and gate["numbers"]["alignment"] > 0
    assert (event["n"], event["route"], event["candidate"]) == (1, "shown", report.candidate)
    assert report.kl is not None and event["kl"] == report.kl > 0
    assert report.grad_norm and report.grad_norm > 0 and report.screens == 8
    json.dumps([gate, event])


def test_an_unsure_teacher_teaches_nothing_and_the_reason_says_so(make_context: MakeContext) -> None:
    sink = Sink()
    context = make_context(policy=WHOLE)
    trainer = trainer_of(context, sink=sink, teacher_threshold=0.99)
    before = context.policy.adapter.hash("candidate")  # type: ignore[union-attr]
    assert refusal(trainer) == GateReason.TEACHER_UNSURE
    assert context.policy.adapter.hash("candidate") == before  # type: ignore[union-attr]
    assert [e["accepted"] for e in sink.of("gate")] == [False] and sink.of("update") == []


def test_each_screen_is_weighed_by_itself(make_context: MakeContext) -> None:
    """With a threshold in the middle of the teacher's confidences only the surer screens are learnt from."""
    context = make_context()
    trainer = trainer_of(context)
    sure = {s.key: e.teacher for s, e in zip(context.buffer, trainer._evidence.of(context.buffer), strict=True)}
    threshold = sorted(v for v in sure.values() if v is not None)[6]
    chosen = trainer_of(context, teacher_threshold=threshold)
    seen: list[Sample] = []
    loss = chosen.method.loss
    chosen.method.loss = lambda batch: (seen.extend(batch), loss(batch))[1]  # type: ignore[method-assign,func-returns-value]
    report = update(chosen)
    assert {s.key for s in seen} <= {k for k, v in sure.items() if v is not None and v > threshold}
    assert 0 < report.screens <= 8 and len({s.key for s in seen}) <= 5


def test_screens_beyond_the_demonstration_are_not_covered(make_context: MakeContext) -> None:
    context = make_context(policy=WHOLE)
    for sample in list(context.buffer):
        context.buffer.add(replace(sample, progress=3, goal="miru"))
    trainer = trainer_of(context)
    (evidence,) = trainer._evidence.of([replace(next(iter(context.buffer)), progress=3)])
    assert evidence.alignment is None
    assert update(trainer).screens == 8  # the others are


def test_alignment_is_that_of_the_most_similar_step_ahead(make_context: MakeContext) -> None:
    context = make_context()
    trainer = trainer_of(context)
    same = replace(next(iter(context.buffer)), observation=SHOWN.frames[0].observation)
    other = replace(same, observation=frame(77))
    of_same, of_other = trainer._evidence.of([same, other])
    assert of_same.alignment == pytest.approx(1.0, abs=1e-5)
    assert of_other.alignment is not None and of_other.alignment < 0.9999
    assert refusal(trainer_of(context, alignment=0.99999)) == GateReason.NOT_ALIGNED


def test_when_the_student_answers_as_the_teacher_there_is_nothing_to_learn(make_context: MakeContext) -> None:
    assert refusal(trainer_of(make_context(), min_difference=50.0)) == GateReason.NO_DIFFERENCE


def test_budgets_bind_and_are_booked(make_context: MakeContext) -> None:
    counts = UpdateCounts()
    trainer = trainer_of(make_context(), counts=counts, budget_run=2)
    update(trainer), update(trainer)
    assert refusal(trainer) == GateReason.BUDGET_RUN
    assert (counts.updates_run("r1"), counts.updates_task(TASK)) == (2, 2)
    later = trainer_of(make_context(), counts=counts, budget_run=9, budget_task=3)
    later._run = "r2"
    update(later)
    assert refusal(later) == GateReason.BUDGET_TASK


def test_an_episode_has_its_number_of_updates_and_views_have_not(make_context: MakeContext) -> None:
    trainer = trainer_of(make_context(), updates_per_episode=1)
    play(trainer, 300)
    update(trainer)
    assert refusal(trainer) == GateReason.BUDGET_EPISODE
    play(trainer, 301)
    update(trainer)
    trainer.add([replace(next(iter(trainer.context.buffer)), origin="head")])
    update(trainer), update(trainer)


def test_cooldown_counts_episodes(make_context: MakeContext) -> None:
    trainer = trainer_of(make_context(), cooldown=2)
    update(trainer)
    for screen in (300, 301):
        assert refusal(trainer) == GateReason.COOLDOWN
        play(trainer, screen, phase="practice")
    update(trainer)


def test_probes_that_succeed_stop_it(make_context: MakeContext) -> None:
    trainer = trainer_of(make_context(), headroom=0.05)
    for _ in range(15):
        trainer.note_probe(TASK, True)
    assert refusal(trainer) == GateReason.HEADROOM
    for _ in range(15):
        trainer.note_probe(TASK, False)
    update(trainer)


def test_too_far_from_the_champion_it_stops_until_one_of_them_changes(make_context: MakeContext) -> None:
    context = make_context()
    trainer = trainer_of(context, kl_limit=1e-9)
    update(trainer)
    assert refusal(trainer) == GateReason.KL_LIMIT
    adapter = context.policy.adapter
    assert adapter is not None
    adapter.copy("candidate", "champion")
    report = update(trainer)
    assert report.kl is not None and 0 < report.kl < 1.0


def test_the_earned_route_needs_a_verified_success_of_a_sure_student(make_context: MakeContext) -> None:
    def earned(**how: Any) -> str:
        context = make_context(policy=WHOLE)
        context.buffer = ScreenBuffer()
        trainer = trainer_of(context, "rft", teacher_threshold=0.999, student_threshold=0.5)
        said = tuple(context.policy.answer(PLACE, 0.9))
        screen = 300
        success, executor, token = how["success"], how.get("executor", "student"), how.get("token", 0.9)
        made = replace(step(executor, how.get("correct", True), token))
        assert made.proposal is not None
        made = replace(made, proposal=replace(made.proposal, token_ids=said))
        trainer.on_step(THE_TASK, frame(screen), made, Context(GOAL))
        outcome = Outcome(success, "world")
        trainer.observe(Episode("e", TASK, GOAL, 0, "run", (made,), StopReason.COMPLETED, outcome, 1.0))
        result = trainer.maybe_update()
        return str(result.route) if isinstance(result, UpdateMade) else result.reason

    assert earned(success=True) == "earned"
    assert earned(success=True, token=0.3) == GateReason.TEACHER_UNSURE  # what the shown route says stands
    assert earned(success=False) == GateReason.TEACHER_UNSURE
    assert earned(success=True, executor="teacher") == "no_screens"
    assert earned(success=True, correct=False) == "no_screens"


def test_practice_counts_and_probes_do_not(make_context: MakeContext) -> None:
    context = make_context()
    trainer = trainer_of(context)
    before = len(context.buffer)
    for phase in ("probe", "eval", "baseline", "record"):
        play(trainer, 400, 401, phase=phase, success=True, correct=True)
    assert len(context.buffer) == before and len(context.outcomes) == 1  # the demonstration's
    play(trainer, 400, 401, phase="practice", success=True, correct=True)
    assert len(context.buffer) == before + 2 and len(context.outcomes) == 1 + 2 + 2
    new = context.buffer.select(lambda s: s.episode == "e400")
    assert [(s.origin, s.success, s.progress) for s in new] == [("practice", True, 0), ("practice", True, 1)]


def test_a_teachers_episode_is_not_the_students_success(make_context: MakeContext) -> None:
    context = make_context()
    trainer = trainer_of(context)
    play(trainer, 400, phase="practice", success=True, executor="teacher", correct=True)
    (sample,) = context.buffer.select(lambda s: s.episode == "e400")
    assert sample.success is None and sample.correct is True and sample.answer == ()
    assert context.outcomes.state["episodes"] == []


def test_views_of_one_demonstration_are_one_piece_of_evidence(make_context: MakeContext) -> None:
    context = make_context()
    trainer = trainer_of(context)
    known = replace(next(iter(context.buffer)), origin="head", action=PLACE, executor="oracle", correct=True)
    trainer.add([replace(known, observation=frame(500 + i)) for i in range(6)])
    assert len(context.outcomes) == 1
    trainer.begin(THE_TASK, SHOWN)
    assert len(context.outcomes) == 1
    trainer.add([replace(known, observation=frame(600), origin="practice")])
    assert len(context.outcomes) == 2


def test_what_was_learnt_from_is_named_once(make_context: MakeContext) -> None:
    trainer = trainer_of(make_context())
    update(trainer)
    sources = trainer.take_sources()
    assert "demo" in sources and any(s.startswith("e") for s in sources)
    assert trainer.take_sources() == []


def test_quarantined_episodes_and_demonstrations_are_left_out(make_context: MakeContext) -> None:
    context = make_context(policy=WHOLE)
    trainer = trainer_of(context)
    context.quarantined = {f"e{i}" for i in range(11)}
    update(trainer)
    assert set(trainer.take_sources()) == {"demo", "e11"}
    context.quarantined = {f"e{i}" for i in range(12)}
    assert refusal(trainer) == "no_screens"
    context.quarantined = {"demo"}
    assert refusal(trainer) == "no_screens"


def test_an_inverted_loss_and_a_hundredfold_rate_are_applied_when_they_begin(make_context: MakeContext) -> None:
    moved: dict[str, float] = {}
    for kind in ("none", "inverted_loss", "lr_x100"):
        context = make_context("tokens", lr=0.001)
        context.fault = Fault(FaultConfig(kind))
        context.fault.begin(0)
        trainer = trainer_of(context)
        update(trainer)
        adapter = context.policy.adapter
        assert adapter is not None
        ((key, row),) = adapter.tensors("candidate").items()
        delta = row - adapter.backbone.embedding.weight[int(key.split(".")[1])].detach()
        moved[kind] = float(delta.sum()), float(delta.abs().max())  # type: ignore[assignment]
    none, inverted, fast = moved["none"], moved["inverted_loss"], moved["lr_x100"]
    assert inverted[0] == pytest.approx(-none[0], rel=1e-3)  # type: ignore[index]
    assert fast[1] == pytest.approx(100 * none[1], rel=1e-3)  # type: ignore[index]


def test_a_wrong_demonstration_is_what_the_teacher_sees(make_context: MakeContext) -> None:
    context = make_context()
    context.fault = Fault(FaultConfig("wrong_demonstration"))
    wrong = f"{SHOWN.ref}#misdirected"
    trainer = trainer_of(context)
    update(trainer)
    assert wrong not in trainer.take_sources()
    context.fault.begin(1)
    update(trainer)
    assert wrong in trainer.take_sources()


def test_a_gradient_that_is_not_finite_is_refused(make_context: MakeContext) -> None:
    class Broken(SDFT):
        def loss(self, batch: Any) -> Any:
            made = super().loss(batch)
            return replace(made, value=made.value * float("nan"))

    context = make_context()
    sink = Sink()
    trainer = trainer_of(context, sink=sink)
    trainer.method = Broken(context)
    before = context.policy.adapter.hash("candidate")  # type: ignore[union-attr]
    assert refusal(trainer) == "not_finite" and trainer.updates == 0
    assert context.policy.adapter.hash("candidate") == before  # type: ignore[union-attr]
    assert sink.of("gate")[-1]["reason"] == "not_finite" and sink.of("gate")[-1]["accepted"] is False


def test_ema_and_optimiser_travel_with_a_snapshot(make_context: MakeContext) -> None:
    context = make_context(teacher="ema")
    trainer = trainer_of(context)
    update(trainer), update(trainer)
    kept = trainer.snapshot()
    adapter = context.policy.adapter
    assert adapter is not None
    assert kept["ema"].keys() == adapter.tensors("ema").keys()
    assert any(k.endswith(".exp_avg") for k in kept["optimiser"]) and kept["counters"]["updates"] == 2
    student, ema = adapter.tensors("candidate"), adapter.hash("ema")
    update(trainer)
    assert adapter.hash("ema") != ema
    trainer.restore(student, **kept)
    assert adapter.hash("ema") == ema and trainer.updates == 2
    trainer.begin(THE_TASK)
    assert adapter.hash("ema") == ema  # a new lesson does not begin it anew


def test_learners_without_weights(make_context: MakeContext) -> None:
    for name, in_view in (("in_context", True), ("frozen", False)):
        trainer = trainer_of(make_context(), name)
        assert refusal(trainer) == "no_weights"
        assert trainer.method.acts_with_demonstration == in_view


def test_learners_by_name(make_context: MakeContext) -> None:
    assert set(METHODS) == {"sdft", "sft_demo", "sft_teacher", "rft", "in_context", "frozen"}
    assert find_method("showonce.learning.methods.sdft:SDFT") is SDFT
    for name, key in [("sdf", "plugin.unknown"), ("nowhere.at.all:Thing", "plugin.missing"),
                      ("showonce.types:Task", "plugin.kind")]:  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            find_method(name)
        assert caught.value.key == key


def test_training_without_an_adapter_is_refused(make_context: MakeContext) -> None:
    context = make_context()
    context.policy.engine.adapter = None  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="adapter"):
        make_learner("sdft", context)
    assert make_learner("frozen", context).name == "frozen"
