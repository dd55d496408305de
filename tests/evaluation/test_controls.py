"""Each control asks what it says, on equal terms, and leaves the policy as it was. Nothing is really learned here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.benchfactory import embedded

from showonce.actions import Click, Move
from showonce.config import Config, LearningConfig
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task
from showonce.errors import CheckpointCorrupt, Unavailable
from showonce.evaluation.controls import (
    CONTROLS,
    RATES,
    Bench,
    Exam,
    TaughtLesson,
    TeachRequest,
    TeachResult,
    adapter_off,
    after,
    before,
    equal_terms,
    other_demonstrations,
    specificity,
    teacher,
)
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results
from showonce.evaluation.specificity import goes_to, shares_to_target
from showonce.evaluation.tasks import other_meaning
from showonce.events import from_json
from showonce.policy.vlm_policy import VLMPolicy, load_policy

TASK = find_task("app/dev/single/0")


class Teacher:
    """Turns the row of the goal's token over and remembers what it was asked."""

    def __init__(self, config: Config) -> None:
        self.policy: VLMPolicy = load_policy(config)
        self.requests: list[TeachRequest] = []

    def __call__(self, request: TeachRequest) -> TeachResult:
        self.requests.append(request)
        return TeachResult(self.tensors(request.task.goal), request.learning.gate.budget_run, 3, 5, 0.1)

    def tensors(self, goal: str, scale: float = -4.0) -> dict[str, torch.Tensor]:
        token = self.policy.goal_ids(goal)[0]
        return {f"tokens.{token}": self.policy.engine.backbone.embedding.weight[token].detach().float() * scale}


@pytest.fixture
def told(config: Config) -> Teacher:
    return Teacher(config)


@pytest.fixture
def bench(make_bench: Callable[..., Bench], told: Teacher) -> Bench:
    return make_bench(told)


@pytest.fixture
def lesson(bench: Bench, told: Teacher) -> TaughtLesson:
    result = TeachResult(told.tensors(TASK.goal), 7, 9, 12, 1.0)
    return TaughtLesson(TASK, bench.show(TASK, 0), LearningConfig(), result)


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return Exam(range(50, 58), Results(), LessonStore(tmp_path / "lessons"), specificity_screens=12)


def test_before_teacher_and_after_are_told_apart_and_kept(bench: Bench, lesson: TaughtLesson, exam: Exam) -> None:
    found = [measure(bench, lesson, exam) for measure in (before, teacher, after)]
    assert [result.arm for result in found] == ["before@0", "teacher@0", "after@0"]
    assert all(result.n == 8 and not result.errors for result in found)
    assert {row.adapter for row in found[0].rows} == {row.adapter for row in found[1].rows} == {"base"}
    assert "base" not in {row.adapter for row in found[2].rows}
    assert len(bench.policy.prefixes) == 1  # the teacher's, and it alone had the demonstration
    n = len(exam.results.rows())
    before(bench, lesson, exam)
    assert len(exam.results.rows()) == n


def test_an_adapter_acts_within_its_block_alone(bench: Bench, lesson: TaughtLesson) -> None:
    assert bench.policy.adapter_version == "base"
    with bench.acting(lesson.result.tensors) as policy:
        inside = policy.adapter_version
    assert inside != "base"
    assert bench.policy.adapter_version == "base"
    with pytest.raises(ValueError, match="on purpose"), bench.acting(lesson.result.tensors):
        raise ValueError("on purpose")
    assert bench.policy.adapter_version == "base"


def test_switched_off_the_adapter_changes_nothing(bench: Bench, lesson: TaughtLesson, exam: Exam) -> None:
    found = adapter_off(bench, lesson, exam)
    assert (found.value, found.n, found.holds) == (1.0, 8, True)


def test_a_base_that_was_changed_is_noticed(bench: Bench, lesson: TaughtLesson, exam: Exam, told: Teacher) -> None:
    class Spoilt(dict[str, torch.Tensor]):
        """Tensors that change the base itself when they are loaded."""

        def items(self):  # type: ignore[no-untyped-def]
            with torch.no_grad():
                bench.policy.engine.backbone.embedding.weight.zero_()
            return super().items()

    spoilt = replace(lesson, result=replace(lesson.result, tensors=Spoilt(lesson.result.tensors)))
    found = adapter_off(bench, spoilt, exam)
    assert found.holds is False
    assert found.value < 1.0


def test_a_target_is_reached_by_its_place_whatever_the_verb() -> None:
    world = embedded()
    world.reset(TASK, 3)
    assert isinstance(world, EmbeddedWorld)
    right = world.oracle()
    assert goes_to(world.scene, right, TASK)
    x, y = right.x, right.y  # type: ignore[union-attr]
    assert goes_to(world.scene, Move(x, y), TASK)
    assert goes_to(world.scene, Click(x, y), TASK)
    assert not goes_to(world.scene, Click(0.999, 0.999), TASK)
    assert not goes_to(world.scene, None, TASK)


def test_shares_are_of_untaught_goals_and_the_same_at_every_call(policy: VLMPolicy) -> None:
    first = shares_to_target(policy, embedded, TASK, ["lizume", "zoka"], range(70, 80), width=4)
    again = shares_to_target(policy, embedded, TASK, ["lizume", "zoka"], range(70, 80), width=4)
    assert first == again
    assert set(first.by_kind) == {"greedy", "sampled"}
    assert len(first.hits("greedy")) == len(first.hits("sampled")) == 10
    assert 0.0 <= first.share("sampled") <= 1.0


def test_a_row_of_one_word_does_not_move_other_words(bench: Bench, lesson: TaughtLesson, exam: Exam) -> None:
    found = specificity(bench, lesson, exam)
    assert found.n == 12
    assert found.numbers["greedy_before"] == found.numbers["greedy_after"]
    assert found.numbers["sampled_before"] == found.numbers["sampled_after"]
    assert (found.value, found.holds) == (0.0, True)


def test_demonstrations_of_others_are_compared_pair_by_pair(bench: Bench, lesson: TaughtLesson, exam: Exam) -> None:
    found = other_demonstrations(bench, lesson, exam)
    rows = [row for row in exam.results.rows() if row.arm.startswith("others-")]
    assert len(rows) == 2 * found.n == 16
    assert TASK.id not in {row.task for row in rows}
    assert found.value == pytest.approx(found.numbers["on"] - found.numbers["off"])
    assert found.holds == (found.value >= -0.03)


def test_baselines_are_taught_on_equal_terms(bench: Bench, lesson: TaughtLesson, exam: Exam, told: Teacher) -> None:
    learners = {
        "no_demonstration": ["sdft"], "practice_alone": ["rft"], "swapped": ["sdft"],
        "sft_demonstration": ["sft_demo"] * 3, "sft_teacher": ["sft_teacher"],
    }  # fmt: skip
    for name, expected in learners.items():
        told.requests.clear()
        CONTROLS[name](bench, lesson, exam)
        assert [request.learning.learner for request in told.requests] == expected, name
        for request in told.requests:
            assert request.learning.gate.budget_run == 7
            assert request.learning.practice.episodes == 9
            assert request.learning.practice.seed_offset == lesson.learning.practice.seed_offset
            method = name == "swapped"  # the lesson's own method, as it is
            assert request.learning.gate.enabled == method
            assert bool(request.learning.ratchet.canary_screens) == method
            assert (request.keep, request.start, request.seed) == ("champion" if method else "candidate", None, 0)
        told.requests.clear()
        CONTROLS[name](bench, lesson, exam)
        assert told.requests == [], "what was taught is not taught again"


def test_what_is_shown_is_what_the_control_says(bench: Bench, lesson: TaughtLesson, exam: Exam, told: Teacher) -> None:
    for name in ("no_demonstration", "practice_alone", "swapped", "sft_demonstration"):
        CONTROLS[name](bench, lesson, exam)
    empty, none, swapped, *supervised = told.requests
    assert empty.demonstration is not None
    assert (empty.demonstration.frames, empty.demonstration.goal) == ((), TASK.goal)
    assert none.demonstration is None
    other = other_meaning(TASK)
    assert swapped.task == other
    assert swapped.demonstration is not None
    assert (swapped.demonstration.goal, swapped.demonstration.task_id) == (TASK.goal, other.id)
    assert swapped.demonstration.frames[0].action != lesson.demonstration.frames[0].action
    assert [request.learning.sdft.lr for request in supervised] == [
        pytest.approx(lesson.learning.sdft.lr * rate) for rate in RATES
    ]
    assert all(request.demonstration is lesson.demonstration for request in supervised)


def test_swapped_says_what_became_of_both_meanings(bench: Bench, lesson: TaughtLesson, exam: Exam) -> None:
    found = CONTROLS["swapped"](bench, lesson, exam)
    assert set(found.numbers) == {"teacher", "first_meaning", "chance", "updates"}
    assert found.numbers["chance"] == before(bench, lesson, exam).success
    follows = found.value >= 0.8 and found.numbers["first_meaning"] <= before(bench, lesson, exam).interval.high
    assert found.holds == follows


def test_replays_need_no_model(bench: Bench, lesson: TaughtLesson, exam: Exam) -> None:
    copied, template = (CONTROLS[name](bench, lesson, exam) for name in ("copied_coordinates", "template_replay"))
    assert (copied.n, template.n) == (8, 8)
    assert copied.holds == (copied.value <= 0.25)
    assert template.holds is None
    own = exam.results.result("controls", TASK.id, "replay-coordinates@0")
    assert {row.adapter for row in own.rows} == {"replay-coordinates"}
    shown_on = replace(exam, seeds=range(0, 1))
    assert CONTROLS["copied_coordinates"](bench, lesson, shown_on).value == 1.0  # on the very screen it works


def test_equal_terms_change_nothing_else(lesson: TaughtLesson) -> None:
    ours, theirs = lesson.learning, equal_terms(lesson, learner="rft")
    assert theirs.sdft == ours.sdft
    assert replace(theirs.practice, episodes=ours.practice.episodes) == ours.practice
    assert (theirs.learner, theirs.ratchet.canary_screens) == ("rft", 0)


def test_without_a_teacher_nothing_is_taught(
    make_bench: Callable[..., Bench], lesson: TaughtLesson, exam: Exam
) -> None:
    with pytest.raises(Unavailable, match="no teach function"):
        CONTROLS["sft_teacher"](make_bench(None), lesson, exam)


def test_without_an_adapter_nothing_can_act(make_bench: Callable[..., Bench], lesson: TaughtLesson) -> None:
    bench = make_bench(None, adapter="none")
    with pytest.raises(Unavailable, match="adapter"), bench.acting(lesson.result.tensors):
        pass


def test_lessons_come_back_as_they_were(tmp_path: Path, lesson: TaughtLesson) -> None:
    store = LessonStore(tmp_path)
    told = ({"kind": "step", "index": 0}, {"kind": "probe", "success": True}, {"kind": "rollback", "old": "v0002"})
    events = tuple(map(from_json, told))
    result = replace(lesson.result, events=events, versions={"v0001": "abc"}, calibration={"points": []})
    kept = store.get_or("single-app/dev/single/0@0", lambda: result)
    assert kept.events == events[1:]
    assert (kept.updates, kept.versions, kept.calibration) == (7, {"v0001": "abc"}, {"points": []})
    assert kept.tensors.keys() == result.tensors.keys()
    assert all(torch.equal(kept.tensors[key], result.tensors[key]) for key in kept.tensors)
    again = LessonStore(tmp_path).get_or("single-app/dev/single/0@0", lambda: pytest.fail("taught again"))
    assert again.events == kept.events
    assert store.get("another") is None
    nothing = store.put("empty", replace(result, tensors={}))
    assert nothing.tensors == {}
    next(tmp_path.glob("single*.safetensors")).write_bytes(b"damaged")
    with pytest.raises(CheckpointCorrupt, match="teach the lesson again"):
        store.get("single-app/dev/single/0@0")
