from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.fakes import Board, Recorder, board_task, record_actions, record_oracle

from showonce.actions import Action, Done, Type
from showonce.demonstrations import EpisodeStore, latest_demonstration, load_demonstration, load_episode
from showonce.environments.registry import find_task, make_environment, oracle_for, task_ids
from showonce.errors import DemonstrationError, DiskError, Stopped
from showonce.runtime.recorder import HandPolicy, record
from showonce.runtime.stop import Stop
from showonce.types import Observation


def test_an_oracle_is_recorded_and_labelled_so(tmp_path: Path) -> None:
    board = Board()
    path = record_oracle(board, board_task("light red green"), 4, board.oracle, EpisodeStore(tmp_path))
    episode = load_episode(path)
    assert (episode.source, episode.phase, episode.seed, episode.success) == ("oracle", "record", 4, True)
    assert {step.executor for step in episode.steps} == {"oracle"}
    demonstration = load_demonstration(path)
    assert demonstration.source == "oracle"
    assert [frame.action for frame in demonstration.frames] == board.done
    assert latest_demonstration(tmp_path, "board/light-red-green") == path


@pytest.mark.parametrize("task_id", ["app/dev/single/0", "app/dev/multi/0", *(t for t in task_ids() if "skill" in t)])
def test_the_embedded_world_can_be_shown(tmp_path: Path, task_id: str) -> None:
    world = make_environment("embedded")
    path = record_oracle(world, find_task(task_id), 2, oracle_for(world), EpisodeStore(tmp_path))
    demonstration = load_demonstration(path)
    assert demonstration.goal
    fresh = make_environment("embedded")
    screens = [fresh.reset(find_task(task_id), 2)]
    for frame in demonstration.frames:
        assert np.array_equal(frame.observation.image, screens[-1].image)
        fresh.execute(frame.action, Stop())
        screens.append(fresh.observe())
    assert fresh.verify().success is True


def test_given_actions_are_recorded_as_a_persons(tmp_path: Path) -> None:
    board = Board()
    task = board_task(kind="text", value="typed: sun")
    path = record_actions(board, task, 1, [Type("su"), Type("n")], EpisodeStore(tmp_path))
    assert load_demonstration(path).source == "person"
    assert [step.executed for step in load_episode(path).steps] == [Type("su"), Type("n")]


def test_finishing_is_a_claim(tmp_path: Path) -> None:
    board = Board()
    path = record_actions(board, board_task(kind="none"), 1, [Type("sun")], EpisodeStore(tmp_path))
    assert [step.executed for step in load_episode(path).steps] == [Type("sun"), Done()]


def test_what_does_not_reach_the_goal_is_no_demonstration(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match=r"did not reach its goal 'light red green' .*00000-record-.*again"):
        record_actions(Board(), board_task(), 1, [Type("sun")], EpisodeStore(tmp_path))
    (path,) = tmp_path.iterdir()
    assert load_episode(path).outcome.success is False
    assert latest_demonstration(tmp_path, board_task().id) is None


def test_a_broken_environment_is_no_demonstration(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="the board fell off the table"):
        record_actions(Board(breaks_at=2), board_task(), 1, [Type("a"), Type("b")], EpisodeStore(tmp_path))


def test_a_recording_that_cannot_be_stored_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    board = Board()
    with pytest.warns(RuntimeWarning), pytest.raises(DiskError, match="could not be stored"):
        record_oracle(board, board_task(), 1, board.oracle, EpisodeStore(tmp_path / "logs"))


class Window:
    """Stands for a window: a person who looks at the screen, acts, and closes it."""

    def __init__(self, board: Board, acts: int, stop: Stop | None = None) -> None:
        self.board, self.acts, self.stop = board, acts, stop
        self.screens: list[Observation] = []

    def next_action(self, observation: Observation) -> Action | None:
        self.screens.append(observation)
        if len(self.screens) > self.acts:
            if self.stop is not None:
                self.stop.press("the window was closed")
            return None
        return self.board.oracle()


def test_a_person_acts_in_a_window(tmp_path: Path) -> None:
    board, log = Board(), Recorder()
    window = Window(board, acts=2)
    path = record(board, board_task(), 1, HandPolicy(window.next_action), EpisodeStore(tmp_path), "person", events=log)
    assert [s.hash for s in window.screens] == [step.frame_hash for step in load_episode(path).steps]
    assert load_episode(path).source == "person"
    assert log.of("episode_started")[0]["executor"] == "person"


def test_a_person_may_stop_and_the_steps_are_kept(tmp_path: Path) -> None:
    board, stop = Board(), Stop()
    window = Window(board, acts=1, stop=stop)
    with pytest.raises(Stopped, match="steps are kept in"):
        record(board, board_task(), 1, HandPolicy(window.next_action), EpisodeStore(tmp_path), "person", stop=stop)
    (path,) = tmp_path.iterdir()
    assert sum(step.executed is not None for step in load_episode(path).steps) == 1
