from __future__ import annotations

import numpy as np
import pytest

from showonce.actions import Action, Click, Done, Scroll, Type, Wait
from showonce.runtime.guards import SameAction, Unchanged, Unproved, guards_for
from showonce.types import Limits, Observation, Outcome, Step, StopReason


def screen(name: str) -> Observation:
    return Observation(np.full((2, 2, 3), ord(name), np.uint8))


def history(*moves: tuple[str, Action | None]) -> list[Step]:
    """Return steps from (screen before, action); `changed` follows from the next screen, the last one from itself."""
    steps = []
    for index, (name, action) in enumerate(moves):
        after = moves[index + 1][0] if index + 1 < len(moves) else name
        changed = None if action is None else after != name
        steps.append(Step(index, "", screen(name).hash, action, action, action, "student", changed=changed))
    return steps


A, B = Click(0.1, 0.1), Click(0.9, 0.9)
DOWN = Scroll(0.5, 0.5, 3)


@pytest.mark.parametrize(
    ("moves", "after", "fires"),
    [
        ([("a", A), ("a", A), ("a", A)], "a", True),
        ([("a", A), ("a", A)], "a", False),
        ([("a", A), ("a", B), ("a", A)], "a", False),
        ([("a", B), ("a", A), ("a", A), ("a", A)], "a", True),
        ([("a", A), ("b", A), ("a", A), ("b", A)], "a", True),  # on and off again: nothing new is ever reached
        ([("a", DOWN), ("b", DOWN), ("c", DOWN), ("d", DOWN)], "e", False),  # every screen is a new one
        ([("a", DOWN), ("b", DOWN), ("b", DOWN), ("b", DOWN)], "b", True),  # the end of the page
        ([("a", A), ("a", None), ("a", A), ("a", A)], "a", False),  # an unreadable answer lies between
        ([("a", Wait(1.0))] * 9, "a", False),
        ([], "a", False),
    ],
)
def test_the_same_action_again_and_again(moves: list[tuple[str, Action | None]], after: str, fires: bool) -> None:
    detail = SameAction(3).check(history(*moves), screen(after))
    assert bool(detail) is fires
    if fires:
        assert "3 times" in detail


@pytest.mark.parametrize(
    ("moves", "fires"),
    [
        ([("a", A), ("a", B), ("a", Type("x"))], True),
        ([("a", A), ("b", B), ("b", Type("x"))], False),
        ([("a", A), ("a", Wait(1.0)), ("a", B), ("a", Type("x"))], True),
        ([("a", Wait(1.0))] * 9, False),
        ([("a", A), ("a", B), ("a", None), ("a", A)], False),
        ([], False),
    ],
)
def test_nothing_changes(moves: list[tuple[str, Action | None]], fires: bool) -> None:
    assert bool(Unchanged(3).check(history(*moves), screen("a"))) is fires


@pytest.mark.parametrize(
    ("action", "outcome", "fires"),
    [
        (Done(), Outcome(None, "world"), True),
        (Done(), Outcome(False, "answer", "the answer was 'red'"), True),
        (Done(), Outcome(True, "world"), False),
        (Done(), Outcome(None, "none"), False),  # nobody checks this task
        (A, Outcome(None, "world"), False),
    ],
)
def test_done_without_evidence(action: Action, outcome: Outcome, fires: bool) -> None:
    step = Step(0, "", "", action, action, action, "student", outcome=outcome)
    assert bool(Unproved().check([step], screen("a"))) is fires
    assert Unproved.reason is StopReason.CLAIMED


def test_a_limit_of_zero_switches_a_guard_off() -> None:
    def names(limits: Limits) -> set[str]:
        return {guard.name for guard in guards_for(limits)}

    assert names(Limits()) == {"done_without_evidence", "same_action", "unchanged"}
    assert names(Limits(same_action=0)) == {"done_without_evidence", "unchanged"}
    assert names(Limits(unchanged=0)) == {"done_without_evidence", "same_action"}
