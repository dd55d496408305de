from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import Board, board_task, record_actions, record_oracle

from showonce.actions import Ask, Click, Done, Drag, Type, from_pixel, to_pixel
from showonce.demonstrations import EpisodeStore, load_demonstration, read_png, save_demonstration
from showonce.environments.registry import find_task, make_environment, oracle_for
from showonce.errors import BadInput, DemonstrationError
from showonce.protocols import Context, Policy, turns_of
from showonce.runtime.loop import run_episode
from showonce.runtime.matching import correlation, find_point
from showonce.runtime.replay import ReplayPolicy, replay_episode
from showonce.types import Demonstration, Frame, Image, Observation, StopReason

TASK = board_task("light red green")


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    board = Board()
    return record_oracle(board, TASK, 1, board.oracle, EpisodeStore(tmp_path / "shown"))


def other_seed() -> int:
    """Return a seed whose lamps stand elsewhere than those of seed 1."""
    board = Board()
    board.reset(TASK, 1)
    old = dict(board._places)
    return next(s for s in range(2, 99) if board.reset(TASK, s) and all(board._places[c] != old[c] for c in old))


@pytest.mark.parametrize("mode", ["coordinates", "template"])
def test_a_recording_can_be_done_again(shown: Path, tmp_path: Path, mode: str) -> None:
    board = Board()
    store = EpisodeStore(tmp_path / "again")
    report = replay_episode(shown, board, TASK, mode=mode, folder=tmp_path / "out", store=store)  # type: ignore[arg-type]
    assert report.first_difference is None
    assert (report.success, report.stop_reason) == (True, StopReason.COMPLETED)
    assert (report.steps, report.recorded_steps) == (2, 2)
    assert board.done == [frame.action for frame in load_demonstration(shown).frames]
    assert not (tmp_path / "out").exists()
    assert report.episode.source == "replay"
    assert {step.executor for step in report.episode.steps} == {"replay"}


def test_coordinates_fail_where_the_lamps_moved_and_the_template_finds_them(shown: Path) -> None:
    seed = other_seed()
    by_coordinates = replay_episode(shown, Board(), TASK, seed=seed)
    assert by_coordinates.success is False
    assert by_coordinates.first_difference is not None
    assert (by_coordinates.first_difference.step, by_coordinates.first_difference.kind) == (0, "step")
    by_template = replay_episode(shown, Board(), TASK, mode="template", patch=10, seed=seed)
    assert by_template.success is True
    assert by_template.first_difference is None


class Scratched(Board):
    """Shows one pixel that was not there when it was recorded, after the first action."""

    def observe(self) -> Observation:
        seen = super().observe()
        if self.done:
            seen.image[47, 63] = (9, 9, 9)
        return seen


def test_the_first_frame_that_differs_is_shown_side_by_side(shown: Path, tmp_path: Path) -> None:
    report = replay_episode(shown, Scratched(), TASK, folder=tmp_path / "out")
    difference = report.first_difference
    assert difference is not None
    assert (difference.step, difference.kind) == (1, "frame")
    assert difference.detail == "1 of 3072 pixels differ before the action"
    picture = read_png(difference.picture)
    assert picture.shape == (48, 64 + 4 + 64, 3)
    then, now = picture[:, :64], picture[:, 68:]
    assert tuple(then[47, 63]) == (30, 30, 30)
    assert tuple(now[47, 63]) == (9, 9, 9)
    assert (then == (255, 0, 255)).all(axis=2).any()  # the ring around the demonstrated point


def test_another_screen_size_is_told(shown: Path, tmp_path: Path) -> None:
    report = replay_episode(shown, Board(scale=2), TASK, folder=tmp_path / "out")
    assert report.first_difference is not None
    assert report.first_difference.kind == "screen"
    assert "64x48, this screen is 128x96" in report.first_difference.detail
    assert read_png(report.first_difference.picture).shape == (96, 64 + 4 + 128, 3)
    assert report.success is True  # coordinates are fractions of the screen


def test_another_ending_is_told(tmp_path: Path) -> None:
    task = board_task(kind="text", value="typed: sun")
    path = record_actions(Board(), task, 1, [Type("sun")], EpisodeStore(tmp_path))
    broken = replay_episode(path, Board(breaks_at=1), task)
    assert broken.first_difference is not None
    assert broken.first_difference.kind == "ending"
    assert "recorded as a success, now no success: environment_error" in broken.first_difference.detail


def test_a_target_that_is_gone_is_told(shown: Path) -> None:
    class Dark(Board):
        def observe(self) -> Observation:
            seen = super().observe()
            return Observation(np.full_like(seen.image, 30), text=seen.text)

    report = replay_episode(shown, Dark(), TASK, mode="template", seed=5)
    assert report.stop_reason is StopReason.DOUBT
    assert report.steps == 0 and "best match" in report.doubt and report.doubt_step == 0
    assert report.first_difference is not None
    assert report.first_difference.kind == "target"
    assert "step 1 is not on the screen" in report.first_difference.detail


def test_another_task_is_refused(shown: Path) -> None:
    with pytest.raises(DemonstrationError, match="'board/light-red-green', not of 'board/light-blue'"):
        replay_episode(shown, Board(), board_task("light blue"))


def test_redacted_recordings_are_compared_as_they_were_stored(tmp_path: Path) -> None:
    task = replace(TASK, redact=((0.0, 0.0, 1.0, 0.5),))
    board = Board()
    path = record_oracle(board, task, 1, board.oracle, EpisodeStore(tmp_path))
    assert replay_episode(path, Board(), task).first_difference is None


@pytest.mark.parametrize("task_id", ["app/dev/single/1", "app/dev/multi/1", "skill/scroll", "skill/dialog"])
def test_the_embedded_world_replays_exactly(tmp_path: Path, task_id: str) -> None:
    world = make_environment("embedded")
    path = record_oracle(world, find_task(task_id), 3, oracle_for(world), EpisodeStore(tmp_path))
    report = replay_episode(path, make_environment("embedded"), find_task(task_id))
    assert report.first_difference is None
    assert report.success is True


def test_it_is_a_policy_that_serves_as_a_baseline(shown: Path) -> None:
    policy = ReplayPolicy(load_demonstration(shown), "template", patch=10)
    assert isinstance(policy, Policy)
    assert policy.adapter_version == "replay-template"
    for seed in (1, other_seed()):
        assert run_episode(Board(), policy, TASK, seed=seed, phase="baseline:replay_template").success
    board = Board()
    done = policy.propose(board.reset(TASK, 1), Context("light red green", history=turns_of([Click(0.5, 0.5)] * 2)))
    assert done.action == Done()


def test_settings_that_make_no_sense_are_refused(shown: Path) -> None:
    demonstration = load_demonstration(shown)
    with pytest.raises(BadInput, match="Did you mean 'template'"):
        ReplayPolicy(demonstration, "templates")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="patch"):
        ReplayPolicy(demonstration, "template", patch=1)


# finding a target again ---------------------------------------------------------------------------------------------


def noise(seed: int, height: int = 60, width: int = 80) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_correlation_is_that_of_the_textbook() -> None:
    screen, square = noise(1, 12, 14), noise(2, 5, 4)
    scores = correlation(square, screen)
    assert scores is not None
    assert scores.shape == (8, 11)
    for row in range(8):
        for column in range(11):
            window = screen[row : row + 5, column : column + 4].astype(float)
            a, b = window - window.mean((0, 1)), square.astype(float) - square.mean((0, 1))
            assert scores[row, column] == pytest.approx((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 59), st.integers(0, 79), st.integers(0, 40), st.integers(0, 60))
def test_a_moved_target_is_found_to_the_pixel(row: int, column: int, down: int, right: int) -> None:
    old = noise(3)
    new = noise(4, 100, 140)
    new[down : down + 60, right : right + 80] = old
    (x, y), score = find_point(old, (from_pixel(column, 80), from_pixel(row, 60)), new, patch=12)
    assert (to_pixel(x, 140), to_pixel(y, 100)) == (column + right, row + down)
    assert score == pytest.approx(1.0)


def test_brightness_does_not_matter_and_colour_does() -> None:
    screen = np.full((40, 90, 3), 100, np.uint8)
    screen[10:20, 10:20] = (180, 100, 100)
    new = np.full((40, 90, 3), 120, np.uint8)
    new[22:32, 60:70] = (160, 120, 120)  # fainter, and somewhere else
    new[10:20, 10:20] = (120, 120, 200)  # another colour at the old place
    (x, y), score = find_point(screen, (from_pixel(15, 90), from_pixel(15, 40)), new, patch=16)
    assert (to_pixel(x, 90), to_pixel(y, 40)) == (65, 27)
    assert score > 0.99


def test_of_equal_targets_the_nearest_counts() -> None:
    screen = np.zeros((40, 200, 3), np.uint8)
    screen[10:18, 150:158] = 255
    new = np.zeros((40, 200, 3), np.uint8)
    for column in (20, 130, 60):
        new[10:18, column : column + 8] = 255
    (x, _), _ = find_point(screen, (from_pixel(154, 200), from_pixel(14, 40)), new, patch=16)
    assert to_pixel(x, 200) == 134


def test_what_has_no_contrast_is_nowhere() -> None:
    flat = np.full((30, 30, 3), 7, np.uint8)
    assert find_point(flat, (0.25, 0.75), noise(1), patch=8) == ((0.25, 0.75), 0.0)
    assert correlation(noise(1, 20, 20), noise(2, 10, 10)) is None


def test_both_ends_of_a_drag_are_found() -> None:
    old = np.zeros((60, 80, 3), np.uint8)
    old[10:18, 10:18], old[40:48, 60:68] = (255, 0, 0), (0, 0, 255)
    new = np.zeros((60, 80, 3), np.uint8)
    new[30:38, 50:58], new[8:16, 20:28] = (255, 0, 0), (0, 0, 255)
    drag = Drag(from_pixel(14, 80), from_pixel(14, 60), from_pixel(64, 80), from_pixel(44, 60))
    policy = ReplayPolicy(Demonstration("t", "g", (Frame(Observation(old), drag),)), "template", patch=14)
    action = policy.propose(Observation(new), Context("g")).action
    assert isinstance(action, Drag)
    assert (to_pixel(action.x, 80), to_pixel(action.y, 60)) == (54, 34)
    assert (to_pixel(action.to_x, 80), to_pixel(action.to_y, 60)) == (24, 12)


def test_below_the_least_score_it_asks() -> None:
    demonstration = Demonstration("t", "g", (Frame(Observation(noise(1)), Click(0.5, 0.5)),))
    policy = ReplayPolicy(demonstration, "template", patch=12, least_score=0.9)
    assert isinstance(policy.propose(Observation(noise(2)), Context("g")).action, Ask)
    assert policy.propose(Observation(noise(1)), Context("g")).action != Ask("")


def test_a_saved_correction_replays(tmp_path: Path) -> None:
    board = Board()
    screen = board.reset(TASK, 1)
    frames = (Frame(screen, board.click("red")),)
    path = save_demonstration(Demonstration(TASK.id, TASK.goal, frames, "correction"), tmp_path / "c", seed=1)
    report = replay_episode(path, Board(), TASK)
    assert [step.executed for step in report.episode.steps] == [board.click("red"), Done()]
    assert report.first_difference is None
    assert report.success is False  # one lamp of two; the recording never said that it was a success
