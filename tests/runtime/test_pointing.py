"""Move, look again, click."""

from __future__ import annotations

from tests.fakes import Board, ScriptedPolicy, board_task

from showonce.actions import Action, Click, DoubleClick, Move, Type
from showonce.protocols import Context, Policy
from showonce.runtime.guards import SameAction
from showonce.runtime.loop import run_episode
from showonce.runtime.pointing import LookAgain
from showonce.types import Observation, StopReason


def played(answers: list[object], looks: int = 1, **limits: float) -> list[Action]:
    board = Board()
    policy = LookAgain(ScriptedPolicy(answers), looks)  # type: ignore[arg-type]
    assert isinstance(policy, Policy)
    run_episode(board, policy, board_task(**limits), seed=1, guards=())
    return board.done


def test_it_moves_first_and_clicks_where_it_points_then() -> None:
    near = Click(0.505, 0.5)
    assert played([Click(0.5, 0.5), near, Type("a")], max_steps=3) == [Move(0.5, 0.5), near, Type("a")]
    twice = DoubleClick(0.5, 0.5)
    assert played([twice, twice], max_steps=2) == [Move(0.5, 0.5), twice]


def test_a_second_look_may_change_its_mind() -> None:
    there = Click(0.8, 0.8)
    assert played([Click(0.2, 0.2), Type("a")], max_steps=2) == [Move(0.2, 0.2), Type("a")]
    assert played([Click(0.2, 0.2), there], looks=1, max_steps=2) == [Move(0.2, 0.2), there]
    three = [Move(0.2, 0.2), Move(0.8, 0.8), there]
    assert played([Click(0.2, 0.2), there, there], looks=3, max_steps=3) == three


def test_it_does_not_look_for_ever() -> None:
    places = [Click(0.1 * i, 0.5) for i in range(1, 9)]
    done = played(list(places), looks=3, max_steps=4)
    assert [type(action) for action in done] == [Move, Move, Move, Click] and done[-1] == places[3]


def test_it_reaches_a_goal_and_its_moves_are_recorded() -> None:
    board = Board()
    policy = LookAgain(ScriptedPolicy([lambda screen, context: board.oracle()]))
    episode = run_episode(board, policy, board_task("light red green"), seed=1, guards=(SameAction(3),))
    assert episode.stop_reason is StopReason.COMPLETED
    assert [step.executed for step in episode.steps] == board.done
    assert [type(action) for action in board.done] == [Move, Click, Move, Click]
    assert episode.adapter_version == "scripted-1"


def test_a_move_claims_no_tokens_of_the_click() -> None:
    screen = Board().reset(board_task(), 1)
    moved = LookAgain(ScriptedPolicy([Click(0.5, 0.5)])).propose(Observation(screen.image), Context("light red"))
    assert moved.action == Move(0.5, 0.5) and moved.token_ids == () == moved.decision_T
    assert moved.confidence.token == 0.5
