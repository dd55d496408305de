"""A correction is a demonstration of one step: it is kept, it is shown where it belongs, and the gate lets it pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.learning.conftest import GOAL, SHOWN, TASK
from tests.learning.test_trainer import Sink, update
from tests.tinyfactory import frame

from showonce.actions import Action, Click
from showonce.config import GateConfig
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.corrections import LIKENESS, as_demonstration, is_shown, shown_on, similarities
from showonce.learning.methods.prompts import can_teach
from showonce.learning.practice.buffer import Sample, ScreenBuffer, sample_of_step
from showonce.learning.trainer import Trainer, make_learner
from showonce.learning.updates import Refusal
from showonce.protocols import Context
from showonce.types import Episode, Outcome, Proposal, Step, StopReason, Task

MakeContext = Callable[..., LearnerContext]
THE_TASK = Task(TASK, GOAL)
WRONG, RIGHT = Click(0.1, 0.1), Click(0.438, 0.562)


def step(
    proposed: Action | None = WRONG,
    executed: Action | None = RIGHT,
    executor: str = "person",
    correct: bool | None = None,
) -> Step:
    proposal = Proposal("", proposed, None, token_ids=(1, 2))
    outcome = Outcome(None, "world", step_correct=correct)
    return Step(0, "", "", proposed, executed, executed, executor, proposal, outcome, True)  # type: ignore[arg-type]


def corrected(shade: int, progress: int = 0, action: Action = RIGHT, episode: str = "") -> Sample:
    return Sample(
        frame(shade), TASK, GOAL, progress, origin="correction", episode=episode or f"c{shade}", action=action,
        executor="person", correct=True,
    )  # fmt: skip


def plain(shade: int, progress: int = 0) -> Sample:
    return Sample(frame(shade), TASK, GOAL, progress)


@pytest.mark.parametrize(
    ("made", "origin", "correct"),
    [
        (step(), "correction", True),  # nobody verifies steps: a person's word
        (step(correct=True), "correction", True),
        (step(correct=False), "episode", False),  # the world knows better than the person
        (step(proposed=RIGHT), "episode", None),  # a person's hand did what was proposed
        (step(executor="student", executed=WRONG), "episode", None),
        (step(executor="teacher"), "episode", None),
        (step(executor="oracle", correct=True), "episode", True),
        (step(proposed=None), "episode", None),  # nothing was proposed that could be corrected
        (step(executed=None), "episode", None),  # it was not done
    ],
)
def test_what_is_a_correction(made: Step, origin: str, correct: bool | None) -> None:
    sample = sample_of_step(THE_TASK, frame(1), made, Context(GOAL))
    assert (sample.origin, sample.correct) == (origin, correct)
    assert made.corrected is (origin == "correction" or correct is False)


def test_a_correction_stays_when_the_screen_is_seen_again() -> None:
    buffer = ScreenBuffer(8)
    for sample in (corrected(1), plain(2), replace(plain(1), action=WRONG, executor="student", correct=False)):
        buffer.add(sample)
    assert [s.action for s in buffer.corrections(TASK)] == [RIGHT] and len(buffer) == 2
    assert next(s for s in buffer if s.observation.hash == frame(1).hash).origin == "correction"
    buffer.add(corrected(1, action=WRONG))
    assert [s.action for s in buffer.corrections(TASK)] == [WRONG], "but a person may think again"


def test_when_there_is_no_room_corrections_go_last() -> None:
    buffer = ScreenBuffer(3)
    for sample in (corrected(1), plain(2), plain(3), plain(4), corrected(5), corrected(6), corrected(7)):
        buffer.add(sample)
    assert [s.episode for s in buffer.corrections(TASK)] == ["c5", "c6", "c7"] and len(buffer) == 3


def test_corrections_outlive_the_run(tmp_path: Path) -> None:
    buffer = ScreenBuffer(8)
    buffer.add(corrected(1, progress=2))
    buffer.save(tmp_path)
    (again,) = ScreenBuffer.load(tmp_path).corrections(TASK)
    assert (again.action, again.progress, again.episode, again.correct) == (RIGHT, 2, "c1", True)


def test_as_a_demonstration_it_is_the_step_that_it_is() -> None:
    shown = as_demonstration(corrected(1, progress=2))
    assert (shown.source, shown.ref, shown.first) == ("correction", "c1", 2)
    due = shown.excerpt(2)
    assert (due.first, due.frames[0].action) == (2, RIGHT)


def test_it_is_shown_on_such_screens_of_its_own_step_alone(make_context: MakeContext) -> None:
    context = make_context()
    context.demonstrations.clear()
    context.buffer.add(corrected(1, progress=1))
    here = shown_on(context, plain(1, progress=1))
    assert here is not None and here.source == "correction"
    assert shown_on(context, plain(1, progress=0)) is None and not is_shown(context, plain(1, progress=0))
    assert shown_on(context, replace(plain(1, progress=1), task_id="another")) is None
    assert can_teach(context, plain(1, progress=1)) and not can_teach(context, plain(1, progress=0))


def test_what_looks_more_like_the_screen_is_shown(make_context: MakeContext) -> None:
    context = make_context()
    demonstrated, policy = SHOWN.frames[0].observation, context.policy
    far = next(n for n in range(2, 200) if similarities(policy, demonstrated, [frame(n)])[0] < 0.9999)
    context.buffer.add(corrected(far))
    at_the_correction, at_the_demonstration = (
        shown_on(context, Sample(screen, TASK, GOAL)) for screen in (frame(far), demonstrated)
    )
    assert at_the_correction is not None and at_the_correction.source == "correction"
    assert at_the_demonstration is SHOWN
    context.quarantined = [f"c{far}"]
    assert shown_on(context, Sample(frame(far), TASK, GOAL)) is SHOWN, "what was put aside is not shown"


def test_a_screen_that_looks_otherwise_is_not_taught_by_it(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context()
    context.demonstrations.clear()
    context.buffer.add(corrected(1))
    monkeypatch.setattr("showonce.learning.methods.corrections.LIKENESS", 1.1)
    assert LIKENESS < 1 and shown_on(context, plain(1)) is None


# the gate ---------------------------------------------------------------------------------------------------------


def learner(context: LearnerContext, sink: Sink) -> Trainer:
    """A learner in a lesson that nobody demonstrated. The toy teacher is unsure of everything, so its bar is low."""
    context.demonstrations.clear()
    context.buffer = ScreenBuffer(64)
    context.config = replace(context.config, gate=GateConfig(teacher_threshold=0.0, headroom=0.0))
    trainer = make_learner("sdft", context, sink, None, run="r1")
    trainer.begin(THE_TASK, None)
    return trainer


def play(trainer: Trainer, made: Step, phase: str = "run") -> None:
    trainer.on_step(THE_TASK, frame(5), made, Context(GOAL))
    end = StopReason.COMPLETED
    trainer.observe(Episode("e5", TASK, GOAL, 0, phase, (made,), end, Outcome(True, "world"), 1.0, source="person"))


def test_a_corrected_step_passes_the_gate_by_the_shown_route(make_context: MakeContext) -> None:
    sink = Sink()
    trainer = learner(make_context(policy={"tokens": 96}), sink)
    play(trainer, step(executor="student", executed=WRONG))
    refused = trainer.maybe_update()
    assert isinstance(refused, Refusal) and trainer.context.buffer.corrections(TASK) == []
    play(trainer, step())
    (kept,) = trainer.context.buffer.corrections(TASK)
    assert (kept.action, kept.episode, kept.executor, kept.success) == (RIGHT, "e5", "person", None)
    report = update(trainer)
    assert report.route == "shown" and sink.of("gate")[-1]["route"] == "shown"
    assert trainer.take_sources() == ["e5"]


@pytest.mark.parametrize("phase", ["probe", "eval", "record"])
def test_what_is_measured_teaches_nothing(make_context: MakeContext, phase: str) -> None:
    trainer = learner(make_context(), Sink())
    play(trainer, step(), phase)
    assert len(trainer.context.buffer) == 0


def test_a_correction_that_is_put_aside_is_not_learned_from(make_context: MakeContext) -> None:
    trainer = learner(make_context(policy={"tokens": 96}), Sink())
    play(trainer, step())
    trainer.context.quarantined = ["e5"]
    assert isinstance(trainer.maybe_update(), Refusal)


def test_imitation_learns_from_corrections_too(make_context: MakeContext) -> None:
    context = make_context()
    context.buffer.add(corrected(5))
    sft = make_learner("sft_demo", context, Sink(), None, run="r1")
    assert [s.action for s in sft.method.batch(TASK)] == [SHOWN.frames[0].action, RIGHT]
