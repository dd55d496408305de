"""Step 3 observes: the policy answers the screen as it is, and an action that the screen has outdated is not done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.fakes import Board, Recorder, ScriptedPolicy, board_task

from showonce.actions import Action, Click, Type
from showonce.config import SafetyConfig
from showonce.protocols import ApprovalRequest, Context
from showonce.runtime.loop import run_episode
from showonce.runtime.pause import PausableStop
from showonce.runtime.safety import safety_of
from showonce.types import Episode, Observation, StopReason, Success, Task


class Counted(Board):
    """A board that counts its frames and that a person can change behind everybody's back."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.frames = 0

    def observe(self) -> Observation:
        self.frames += 1
        return super().observe()

    def swap(self) -> None:
        """Exchange the lamps' places: every lamp is somewhere else."""
        places = list(self._places.values())
        self._places = dict(zip(self._places, places[1:] + places[:1], strict=True))

    def blink(self) -> None:
        """Change two pixels of one lamp's neighbourhood, as a caret does."""
        self._typed = "" if self._typed else "x"


class Thoughtful:
    """A person who approves what is proposed after doing `then`; the n-th answer may be another action."""

    def __init__(self, then: Callable[[int], None], answers: dict[int, Action] | None = None) -> None:
        self.then, self.answers = then, answers or {}
        self.asked: list[ApprovalRequest] = []

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        self.asked.append(request)
        self.then(len(self.asked))
        return self.answers.get(len(self.asked), request.action), "approved"

    def confirm(self, question: str) -> bool:
        return True


def clicks(board: Counted) -> Callable[[Observation, Context], Action]:
    """A policy's answer: the lamp that is next by the frame that it is shown (found by its colour)."""

    def act(observation: Observation, context: Context) -> Action:
        colour = board._wanted[board._index]  # type: ignore[index]
        hue = {"red": 0, "green": 1, "blue": 2}[colour]
        mask = observation.image.argmax(-1) == hue
        mask &= observation.image.max(-1) > 120
        rows, columns = mask.nonzero()
        return Click((columns.mean() + 0.5) / observation.width, (rows.mean() + 0.5) / observation.height)

    return act


def step_mode(board: Board, policy: ScriptedPolicy, approver: object, task: Task | None = None) -> Episode:
    rules = safety_of(SafetyConfig(mode="step"))
    return run_episode(board, policy, task or board_task(), seed=1, safety=rules, approver=approver)  # type: ignore[arg-type]


def paused(control: PausableStop, then: Callable[[], None]) -> threading.Thread:
    """Do something while the run is paused, then resume it."""

    def act() -> None:
        while control.held <= 0:  # somebody waits by now
            time.sleep(0.002)
        then()
        time.sleep(0.05)
        control.resume()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_one_frame_a_step_where_nothing_waits() -> None:
    board = Counted()
    episode = run_episode(board, ScriptedPolicy([Type("a")]), board_task(max_steps=5), seed=1)
    assert len(episode.steps) == 5
    assert board.frames == 1 + 5  # the reset's, and one after each action


def test_after_a_pause_the_policy_sees_the_screen_as_it_is() -> None:
    control, board, log = PausableStop(), Counted(), Recorder()
    policy = ScriptedPolicy([clicks(board)])
    control.pause("a person wants to change something")
    thread = paused(control, board.swap)
    episode = run_episode(board, policy, board_task("light red"), seed=1, stop=control, observers=[log])
    thread.join()
    assert episode.success, "the click went where the lamp was before the pause"
    assert policy.seen[0].hash == log.steps[0][0].hash  # and the frame of the step is the one that was answered


def test_a_pause_while_the_model_thinks_outdates_its_answer() -> None:
    control, board = PausableStop(), Counted()
    threads = []

    def think(observation: Observation, context: Context) -> Action:
        if not threads:
            control.pause("somebody looks closer")
            threads.append(paused(control, board.swap))
        return clicks(board)(observation, context)

    episode = run_episode(board, ScriptedPolicy([think]), board_task("light red"), seed=1, stop=control)
    threads[0].join()
    first, second = episode.steps
    assert first.executed is None and first.proposed is not None and "proposed again" in first.note
    assert second.executed == second.proposed != first.proposed
    assert episode.success and len(board.done) == 1


def test_an_approved_action_is_proposed_again_where_the_screen_changed_meanwhile() -> None:
    board = Counted()
    person = Thoughtful(lambda n: board.swap() if n == 1 else None)
    episode = step_mode(board, ScriptedPolicy([clicks(board)]), person, board_task("light red"))
    assert [step.executed is None for step in episode.steps] == [True, False]
    assert episode.success and len(board.done) == 1
    assert [(asked.step, asked.episode == person.asked[0].episode) for asked in person.asked] == [(0, True), (1, True)]


def test_a_caret_that_blinks_is_no_other_screen() -> None:
    board = Counted()
    episode = step_mode(
        board, ScriptedPolicy([clicks(board)]), Thoughtful(lambda n: board.blink()), board_task("light red")
    )
    assert episode.success and len(episode.steps) == 1


def test_a_target_that_never_rests_is_not_clicked() -> None:
    board = Counted()
    episode = step_mode(
        board, ScriptedPolicy([clicks(board)]), Thoughtful(lambda n: board.swap()), board_task("light red")
    )
    assert episode.stop_reason is StopReason.REFUSED and board.done == []
    assert "given up" in episode.steps[-1].note and len(episode.steps) == 3


def test_a_persons_own_action_is_meant_for_the_screen_as_it_is_now() -> None:
    board = Counted()
    board.reset(board_task("light red"), 1)
    board.swap()
    right = board.click("red")
    person = Thoughtful(lambda n: board.swap(), {1: right})
    log = Recorder()
    episode = run_episode(
        board, ScriptedPolicy([Click(0.9, 0.9)]), board_task("light red"), seed=1, approver=person, observers=[log],
        safety=safety_of(SafetyConfig(mode="step")),
    )  # fmt: skip
    (step,) = episode.steps
    assert episode.success and step.corrected
    assert log.steps[0][0].hash == step.frame_hash != person.asked[0].observation.hash


def test_what_waits_for_the_rate_limit_is_looked_at_again() -> None:
    board = Counted()
    answer = clicks(board)

    def think(observation: Observation, context: Context) -> Action:
        if context.progress == 1 and board.frames < 4:  # the second answer has to wait
            threading.Timer(0.1, board.swap).start()
        return answer(observation, context)

    rules = safety_of(SafetyConfig(actions_per_second=2.0))
    episode = run_episode(board, ScriptedPolicy([think]), board_task(), seed=1, safety=rules)
    assert [step.executed is None for step in episode.steps] == [False, True, False]
    assert episode.success


def test_a_screen_that_cannot_be_seen_after_a_pause_ends_it() -> None:
    control, board = PausableStop(), Counted()
    control.pause("x")
    thread = paused(control, board.close)
    episode = run_episode(
        board, ScriptedPolicy([Type("a")]), Task("board/x", "light red", "board", success=Success("none")), seed=1,
        stop=control,
    )  # fmt: skip
    thread.join()
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR and board.done == []
