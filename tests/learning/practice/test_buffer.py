"""The buffer of recent screens: bounded, without duplicates, seeded, restored from disk as it was."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from showonce.actions import Click, Type
from showonce.errors import BadInput, ConfigError
from showonce.learning.practice.buffer import INDEX, Sample, ScreenBuffer, sample_of_step
from showonce.protocols import Context, Turn, turns_of
from showonce.types import Demonstration, Observation, Outcome, Proposal, Step, Task

MIDDLE = Click(0.5, 0.5)


HISTORY = (Turn(action=Click(0.25, 0.75)), Turn(text="hm", thought="why", action=Type("sun")), Turn(text="no action"))


def screen(shade: int) -> Observation:
    return Observation(np.full((6, 8, 3), shade, dtype=np.uint8))


def sample(shade: int, task_id: str = "a", goal: str = "zoka", progress: int = 0) -> Sample:
    return Sample(screen(shade), task_id, goal, progress, episode=f"e{shade}")


def shades(samples: list[Sample]) -> list[int]:
    return [int(s.observation.image[0, 0, 0]) for s in samples]


def test_the_same_question_is_kept_once() -> None:
    buffer = ScreenBuffer(8)
    for item in (sample(1), sample(1), sample(1, progress=1), sample(1, goal="mipu"), sample(2)):
        buffer.add(item)
    assert len(buffer) == 4


def test_asked_again_it_is_the_newest_and_what_was_known_stays_known() -> None:
    buffer = ScreenBuffer(8)
    known = replace(sample(1), action=Click(0.5, 0.5), executor="student", correct=True)
    for item in (known, sample(2), sample(1)):
        buffer.add(item)
    assert shades(list(buffer)) == [2, 1]
    assert next(s for s in buffer if s.key == known.key).correct is True
    buffer.add(replace(sample(1), action=Click(0.1, 0.1), correct=False))
    assert next(s for s in buffer if s.key == known.key).correct is False


def test_when_full_the_most_crowded_task_loses_its_oldest() -> None:
    buffer = ScreenBuffer(4)
    for item in (sample(1, "old"), sample(2, "old"), sample(3), sample(4), sample(5), sample(6)):
        buffer.add(item)
    assert len(buffer) == 4
    assert shades(list(buffer)) == [1, 2, 5, 6]


def test_draws_are_seeded_and_even() -> None:
    buffer = ScreenBuffer(16)
    for shade in range(10):
        buffer.add(sample(shade))
    first, again = (shades(buffer.draw(25, np.random.default_rng(7))) for _ in range(2))
    assert first == again
    assert set(Counter(first).values()) == {2, 3}
    assert shades(buffer.draw(25, np.random.default_rng(8))) != first


def test_late_steps_are_drawn_as_often_as_early_ones() -> None:
    buffer = ScreenBuffer(64)
    for shade in range(40):
        buffer.add(replace(sample(shade, "now"), progress=0 if shade < 36 else 1 + shade % 2))
    drawn = buffer.draw(30, np.random.default_rng(0), task_id="now")
    assert Counter(s.progress for s in drawn) == {0: 10, 1: 10, 2: 10}
    assert len({s.observation.hash for s in drawn if s.progress == 0}) == 10


def test_replay_takes_its_share_from_other_tasks() -> None:
    buffer = ScreenBuffer(64)
    for shade in range(20):
        buffer.add(sample(shade, "now" if shade % 2 else "before"))
    rng = np.random.default_rng(0)
    assert Counter(s.task_id for s in buffer.draw(16, rng, task_id="now", replay=0.25)) == {"now": 12, "before": 4}
    assert Counter(s.task_id for s in buffer.draw(16, rng, task_id="now")) == {"now": 16}
    assert {s.task_id for s in buffer.draw(16, rng)} == {"now", "before"}


def test_replay_without_earlier_lessons_fills_up_with_the_lesson_of_now() -> None:
    buffer = ScreenBuffer(4)
    buffer.add(sample(1, "now"))
    assert len(buffer.draw(8, np.random.default_rng(0), task_id="now", replay=0.5)) == 8
    assert buffer.draw(8, np.random.default_rng(0), task_id="other") == []
    assert buffer.draw(8, np.random.default_rng(0), task_id="now", where=lambda s: s.worked) == []


def test_saved_and_loaded_it_draws_the_same(tmp_path: Path) -> None:
    buffer = ScreenBuffer(8)
    rng = np.random.default_rng(3)
    for index in range(4):
        image = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        buffer.add(
            Sample(
                Observation(image, 2.0, "page"), "t", "zoka", index, HISTORY, "practice", "e1",
                Click(0.1, 0.2), "student", bool(index % 2), True, (3, 1, 4),
            )
        )  # fmt: skip
    buffer.save(tmp_path)
    loaded = ScreenBuffer.load(tmp_path, 8)
    assert [s.key for s in loaded] == [s.key for s in buffer]
    for a, b in zip(buffer, loaded, strict=True):
        assert np.array_equal(a.observation.image, b.observation.image)
        assert (a.observation.scale, a.observation.text) == (b.observation.scale, b.observation.text)
        assert replace(a, observation=b.observation).__dict__ == b.__dict__
    draws = [shades(x.draw(6, np.random.default_rng(1))) for x in (buffer, loaded)]
    assert draws[0] == draws[1]


def test_actions_alone_are_a_history_too_as_older_versions_wrote_it(tmp_path: Path) -> None:
    buffer = ScreenBuffer()
    buffer.add(replace(sample(1), history=turns_of([Click(0.25, 0.75), Type("sun")])))
    buffer.save(tmp_path)
    record = json.loads((tmp_path / INDEX).read_text(encoding="utf-8"))["samples"][0]
    assert record["history"] == [{"action": "click", "x": 0.25, "y": 0.75}, {"action": "type", "text": "sun"}]
    assert next(iter(ScreenBuffer.load(tmp_path))).history == turns_of([Click(0.25, 0.75), Type("sun")])


def test_screens_of_earlier_steps_are_not_stored(tmp_path: Path) -> None:
    buffer = ScreenBuffer()
    buffer.add(replace(sample(1), history=(Turn(screen(2), "text", "thought", Type("sun")),)))
    buffer.save(tmp_path)
    assert next(iter(ScreenBuffer.load(tmp_path))).history == (Turn(None, "text", "thought", Type("sun")),)


def test_frames_that_nobody_needs_any_more_are_removed(tmp_path: Path) -> None:
    buffer = ScreenBuffer(2)
    for shade in (1, 2):
        buffer.add(sample(shade))
    buffer.save(tmp_path)
    for shade in (3, 4):
        buffer.add(sample(shade))
    buffer.save(tmp_path)
    assert {p.stem for p in tmp_path.glob("*.png")} == {screen(3).hash, screen(4).hash}
    assert shades(list(ScreenBuffer.load(tmp_path))) == [3, 4]


def test_a_missing_folder_is_empty_and_a_broken_index_says_so(tmp_path: Path) -> None:
    assert len(ScreenBuffer.load(tmp_path / "none")) == 0
    (tmp_path / INDEX).write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="remove the folder"):
        ScreenBuffer.load(tmp_path)
    (tmp_path / INDEX).write_text('{"schema": 99, "samples": []}', encoding="utf-8")
    with pytest.raises(BadInput, match="update showonce"):
        ScreenBuffer.load(tmp_path)


def test_a_lost_frame_costs_its_sample_alone(tmp_path: Path) -> None:
    buffer = ScreenBuffer(8)
    for shade in (1, 2):
        buffer.add(sample(shade))
    buffer.save(tmp_path)
    (tmp_path / f"{screen(1).hash}.png").unlink()
    assert shades(list(ScreenBuffer.load(tmp_path))) == [2]


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ConfigError, match=r"learning\.practice\.buffer"):
        ScreenBuffer(0)


def step(executor: str = "student", executed: Click = MIDDLE) -> Step:
    proposal = Proposal("text", Click(0.5, 0.5), None, token_ids=(1, 2, 3))
    return Step(
        0, "0000.png", "h", Click(0.5, 0.5), executed, executed, executor, proposal,  # type: ignore[arg-type]
        Outcome(None, "world", step_correct=True),
    )  # fmt: skip


def test_a_step_becomes_a_sample_and_only_own_executed_answers_are_own() -> None:
    task, context = Task("t", "zoka"), Context("zoka", 1, turns_of([Type("sun")]))
    own = sample_of_step(task, screen(1), step(), context)
    assert (own.answer, own.executor, own.correct, own.progress, own.history) == (
        (1, 2, 3), "student", True, 1, (Turn(action=Type("sun")),),
    )  # fmt: skip
    assert sample_of_step(task, screen(1), step("teacher"), context).answer == ()
    assert sample_of_step(task, screen(1), step(executed=Click(0.1, 0.1)), context).answer == ()


def test_the_context_holds_no_demonstration_unless_one_is_given() -> None:
    demonstration = Demonstration("t", "zoka", ())
    assert sample(1).context().demonstration is None
    assert sample(1).context(demonstration).demonstration is demonstration


@pytest.mark.parametrize(
    ("correct", "success", "worked"),
    [(True, None, True), (True, False, True), (False, True, False), (None, True, True), (None, None, False)],
)
def test_a_verified_step_outweighs_the_end_of_its_episode(correct: bool, success: bool, worked: bool) -> None:
    assert replace(sample(1), correct=correct, success=success).worked is worked
