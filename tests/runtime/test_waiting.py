"""A recorded wait ends when what the person waited for is there; nothing is clicked before that."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import Board, board_task

from showonce.actions import Action, Ask, Click, Done, Key, Wait, from_pixel
from showonce.demonstrations import save_demonstration
from showonce.errors import Stopped
from showonce.protocols import Capabilities, Interrupt
from showonce.runtime.replay import MODES, Mode, ReplayReport, replay_episode
from showonce.runtime.stop import Stop
from showonce.runtime.waiting import Waiting
from showonce.types import (
    Check,
    Demonstration,
    Element,
    Executed,
    Frame,
    Image,
    Observation,
    Outcome,
    StopReason,
    Success,
    Task,
)

TASK = board_task(kind="none")
HEIGHT, WIDTH = 150, 200
BUTTON = (60, 40)  # row and column of its corner
PATTERN = np.random.default_rng(7).integers(0, 200, (24, 48, 3), np.uint8)


def page(button: bool, down: int = 0, lit: bool = False, words: int = 0) -> Image:
    """Return a page: with or without its button, that shifted down, or on a highlight; with some lines of text."""
    image = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    image[4:24, 4:40] = (0, 90, 0)
    for line in range(words):
        image[100 + 8 * line : 104 + 8 * line, 10:180] = 60
    row, column = BUTTON[0] + down, BUTTON[1]
    if lit:
        image[row - 12 : row + 36, :] = (120, 160, 220)
    if button:
        image[row : row + 24, column : column + 48] = PATTERN
    return image


def middle(down: int = 0) -> Click:
    return Click(from_pixel(BUTTON[1] + 24, WIDTH), from_pixel(BUTTON[0] + 12 + down, HEIGHT))


class Loading(Board):
    """A page on which something appears `after` seconds after the first action."""

    capabilities = Capabilities(resettable=True, seeded=False, verifiable=False, side_effects=True)

    def __init__(self, after: float, before: Image, later: Image, elements: tuple[Element, ...] | None = None) -> None:
        super().__init__()
        self.after, self.before, self.later = after, before, later
        self.began = float("inf")
        self.clicks: list[tuple[float, Action]] = []  # seconds since the first action, and what was done then
        if elements is not None:
            self.elements = lambda: elements

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        self.began = float("inf")
        return self.observe()

    def observe(self) -> Observation:
        return Observation((self.later if time.monotonic() - self.began >= self.after else self.before).copy())

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        assert not isinstance(action, Wait), "a recorded wait never sleeps blindly"
        self.began = min(self.began, time.monotonic())
        if not isinstance(action, (Ask, Done)):
            self.clicks.append((time.monotonic() - self.began, action))
        return Executed(action)

    def verify(self) -> Outcome:
        return Outcome(None, "none")


def shown(tmp_path: Path, before: Image, after: Image, *last: Action, seconds: float = 1.0) -> Path:
    """Record: start something, wait, act on what came of it."""
    acts = ((before, Key("enter")), (before, Wait(seconds)), *((after, action) for action in last or (middle(),)))
    frames = tuple(Frame(Observation(image), action) for image, action in acts)
    return save_demonstration(Demonstration(TASK.id, TASK.goal, frames), tmp_path / "shown")


def replayed(path: Path, world: Loading, mode: Mode, longer: float = 1.0, strict: bool = True) -> ReplayReport:
    return replay_episode(path, world, TASK, mode=mode, longer=longer, stop_when_changed=strict)


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_ends_as_soon_as_the_target_is_there(tmp_path: Path, mode: Mode) -> None:
    world = Loading(0.2, page(False), page(True))
    report = replayed(shown(tmp_path, page(False), page(True), seconds=20.0), world, mode)
    (_, (at, action)) = world.clicks
    assert isinstance(action, Click) and 0.2 <= at < 4.0
    assert [step.executed for step in report.episode.steps][1] == Wait(20.0)
    assert report.first_difference is None


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_clicked_before_a_late_target_is_there(tmp_path: Path, mode: Mode) -> None:
    world = Loading(0.9, page(False), page(True))
    replayed(shown(tmp_path, page(False), page(True), seconds=0.3), world, mode, longer=5.0)
    assert [isinstance(action, Click) and at >= 0.9 for at, action in world.clicks] == [False, True]


@pytest.mark.parametrize("mode", MODES)
def test_what_an_action_made_appear_gets_a_moment_without_a_recorded_wait(tmp_path: Path, mode: Mode) -> None:
    world = Loading(0.4, page(False), page(True))
    frames = (Frame(Observation(page(False)), Key("enter")), Frame(Observation(page(True)), middle()))
    replayed(save_demonstration(Demonstration(TASK.id, TASK.goal, frames), tmp_path / "shown"), world, mode)
    assert [isinstance(action, Click) and at >= 0.4 for at, action in world.clicks] == [False, True]


@pytest.mark.parametrize("mode", MODES)
def test_a_target_that_never_comes_stops_the_replay_with_the_reason(tmp_path: Path, mode: Mode) -> None:
    world = Loading(99.0, page(False), page(True))
    report = replayed(shown(tmp_path, page(False), page(True), seconds=0.2), world, mode, longer=0.3)
    assert [type(action) for _, action in world.clicks] == [Key]
    assert report.stop_reason is StopReason.DOUBT and report.first_difference is not None
    assert report.first_difference.detail == "The recording waits before step 3: the target of step 3 did not appear."


def test_a_target_that_comes_elsewhere_is_waited_for_where_targets_are_searched(tmp_path: Path) -> None:
    world = Loading(0.3, page(False), page(True, down=30))
    replayed(shown(tmp_path, page(False), page(True)), world, "template")
    (_, (at, action)) = world.clicks
    assert at >= 0.3 and action == middle(down=30)


def test_a_highlight_under_the_recorded_pointer_is_not_waited_for(tmp_path: Path) -> None:
    world = Loading(0.1, page(False), page(True))
    report = replayed(shown(tmp_path, page(False), page(True, lit=True)), world, "coordinates", longer=3.0)
    (_, (at, action)) = world.clicks
    assert isinstance(action, Click) and at < 3.0 and report.stop_reason is not StopReason.DOUBT


def test_a_button_that_is_greyed_is_waited_for_until_it_is_not(tmp_path: Path) -> None:
    grey = page(True).astype(int)
    grey[50:90, 30:100] = 250 - (250 - grey[50:90, 30:100]) // 3
    world = Loading(0.6, grey.astype(np.uint8), page(True))
    replayed(shown(tmp_path, grey.astype(np.uint8), page(True), seconds=0.2), world, "coordinates", longer=5.0)
    assert [at >= 0.6 for at, _ in world.clicks] == [False, True]


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_for_the_page_ends_with_the_page(tmp_path: Path, mode: Mode) -> None:
    before, after = page(True), page(True, words=6)
    world = Loading(0.5, before, after)
    replayed(shown(tmp_path, before, after, seconds=8.0), world, mode)
    assert 0.5 <= world.clicks[1][0] < 4.0


def test_other_words_than_recorded_end_the_wait_at_its_cap_and_the_replay_goes_on(tmp_path: Path) -> None:
    world = Loading(99.0, page(True), page(True))
    report = replayed(
        shown(tmp_path, page(True), page(True, words=6), seconds=0.2), world, "coordinates", 0.3, strict=False
    )
    assert 0.4 <= world.clicks[1][0] < 3.0 and report.stop_reason is StopReason.CLAIMED


def test_a_wait_in_which_nothing_changed_is_over_at_once(tmp_path: Path) -> None:
    world = Loading(0.0, page(True), page(True))
    replayed(shown(tmp_path, page(True), page(True), seconds=20.0), world, "coordinates")
    assert world.clicks[1][0] < 4.0


def test_a_target_known_by_its_name_is_there_however_it_looks(tmp_path: Path) -> None:
    frames = [Frame(Observation(page(on)), act) for on, act in ((False, Wait(0.2)), (True, middle()))]
    name, box = "Pay", (BUTTON[1] / WIDTH, BUTTON[0] / HEIGHT, (BUTTON[1] + 48) / WIDTH, (BUTTON[0] + 24) / HEIGHT)
    for elements, missing in (((Element(name, box),), ""), ((), "Pay of step 2 did not appear")):
        world = Loading(0.0, page(False), page(False), elements)
        waits = Waiting(world, frames, False, 0.1, ["", name])
        waits.execute(Wait(0.2), Stop())
        assert waits.missing == missing


def test_a_stop_ends_a_wait(tmp_path: Path) -> None:
    stop = Stop()
    stop.press("test")
    frames = [Frame(Observation(page(on)), act) for on, act in ((False, Wait(20.0)), (True, middle()))]
    with pytest.raises(Stopped):
        Waiting(Loading(99.0, page(False), page(True)), frames, False, 1.0).execute(Wait(20.0), stop)


class Worded(Loading):
    """A page whose text changes with its picture."""

    def observe(self) -> Observation:
        late = time.monotonic() - self.began >= self.after
        return Observation(super().observe().image, text="Ticket\n 42 created" if late else "working")


def checked(tmp_path: Path, step: int) -> Path:
    frames = (Frame(Observation(page(True)), Key("enter")), Frame(Observation(page(True)), middle()))
    check = Check(step, "ticket 42 created", (0.0, 0.0, 1.0, 1.0))
    return save_demonstration(Demonstration(TASK.id, TASK.goal, frames, checks=(check,)), tmp_path / "shown")


@pytest.mark.parametrize("mode", MODES)
def test_a_text_that_must_be_there_is_waited_for(tmp_path: Path, mode: Mode) -> None:
    world = Worded(0.5, page(True), page(True))
    report = replayed(checked(tmp_path, 1), world, mode, longer=5.0)
    assert 0.5 <= world.clicks[1][0] < 3.0 and report.reached


def test_a_text_that_is_not_there_stops_the_replay_with_the_reason(tmp_path: Path) -> None:
    world = Worded(99.0, page(True), page(True))
    report = replayed(checked(tmp_path, 1), world, "coordinates", longer=0.2)
    assert len(world.clicks) == 1 and report.stop_reason is StopReason.DOUBT and not report.reached
    assert report.first_difference is not None
    assert "'ticket 42 created' must be on the screen now, and it is not" in report.first_difference.detail


def test_a_text_at_the_end_is_part_of_success(tmp_path: Path) -> None:
    class Verified(Worded):
        capabilities = replace(Loading.capabilities, verifiable=True)

        def verify(self) -> Outcome:
            return Outcome(len(self.clicks) == 2 or None, "world")

    task = replace(TASK, success=Success("world"))
    for after, reached in ((0.3, True), (99.0, False)):
        world = Verified(after, page(True), page(True))
        report = replay_episode(checked(tmp_path / str(after), 2), world, task, longer=1.0)
        assert report.success is True and report.reached is reached
        assert reached or report.unmet == "'ticket 42 created' must be on the screen now, and it is not"
