from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from showonce.actions import Action, Click, Done, Key, Move, Scroll, Type, Wait
from showonce.config import GUARDS, SafetyConfig
from showonce.runtime.guards import (
    ClickOutside,
    SameAction,
    SubmitForgotten,
    TypingIntoNothing,
    Unchanged,
    Unproved,
    guards_for,
)
from showonce.types import Limits, Observation, Outcome, ScreenFacts, Step, StopReason


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


@pytest.mark.parametrize(
    ("moves", "after", "fires"),
    [
        ([("a", Type("sun"))], "a", True),
        ([("a", Type("sun"))], "b", False),
        ([("a", Type("  "))], "a", False),  # blanks may not be seen
        ([("a", Type("sun")), ("a", A)], "a", False),  # only the last step counts
        ([("a", A)], "a", False),
        ([("a", None)], "a", False),
        ([], "a", False),
    ],
)
def test_typing_into_nothing(moves: list[tuple[str, Action | None]], after: str, fires: bool) -> None:
    steps = history(*moves)
    if steps and steps[-1].executed is not None:
        steps[-1] = replace(steps[-1], changed=after != moves[-1][0])
    assert bool(TypingIntoNothing().check(steps, screen(after))) is fires


FORM = "Name\nSign in"
SUBMIT = SubmitForgotten(("submit", "sign in"))


def form(*moves: tuple[Action, str | None]) -> list[Step]:
    """Return steps that all changed the screen; each with the words at its point (None: the environment tells none)."""
    return [
        Step(
            i, "", "", action, action, action, "student", changed=True,
            facts=None if near is None else ScreenFacts(near=(near,)),
        )
        for i, (action, near) in enumerate(moves)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("moves", "text", "fires"),
    [
        ([(A, "Name"), (Type("sun"), ""), (Done(), None)], FORM, True),
        ([(A, "Name"), (Type("sun"), ""), (Wait(1.0), None), (Wait(1.0), None)], FORM, True),
        ([(A, "Name"), (Type("sun"), ""), (Wait(1.0), None)], FORM, False),  # one wait is patience
        ([(A, "Name"), (Type("sun"), ""), (B, "Sign in"), (Done(), None)], FORM, False),
        ([(A, "Name"), (Type("sun"), ""), (B, "Cancel"), (Done(), None)], FORM, True),
        ([(A, "Name"), (Type("sun"), ""), (B, None), (Done(), None)], FORM, False),  # it may have been the button
        ([(A, "Name"), (Type("sun"), ""), (Key("enter"), None), (Done(), None)], FORM, False),
        ([(A, "Name"), (Type("sun\n"), ""), (Done(), None)], FORM, False),
        ([(A, "Name"), (Type("sun"), ""), (Key("tab"), None), (Done(), None)], FORM, True),
        ([(B, "Sign in"), (Type("sun"), ""), (Done(), None)], FORM, True),  # pressed before the text
        ([(A, "Name"), (Type("sun"), ""), (Done(), None)], "Name", False),  # nothing to press on the screen
        ([(A, "Name"), (Type("sun"), ""), (Done(), None)], None, False),  # nobody knows what is on the screen
        ([(A, "Name"), (Done(), None)], FORM, False),
        ([], FORM, False),
    ],
)
def test_submit_forgotten(moves: list[tuple[Action, str | None]], text: str | None, fires: bool) -> None:
    seen = SUBMIT.check(form(*moves), Observation(np.zeros((2, 2, 3), np.uint8), text=text))
    assert bool(seen) is fires
    if fires:
        assert "'sun'" in seen and "'sign in'" in seen


@pytest.mark.parametrize(
    ("action", "content", "fires"),
    [
        (Click(0.5, 0.05), (0.0, 0.1, 1.0, 1.0), True),
        (Click(0.5, 0.1), (0.0, 0.1, 1.0, 1.0), False),
        (Move(0.5, 0.05), (0.0, 0.1, 1.0, 1.0), False),
        (Type("sun"), (0.0, 0.1, 1.0, 1.0), False),
        (Click(0.5, 0.05), None, False),
    ],
)
def test_a_click_outside_of_the_page(
    action: Action, content: tuple[float, float, float, float] | None, fires: bool
) -> None:
    step = Step(0, "", "", action, action, action, "student", facts=ScreenFacts(content=content))
    assert bool(ClickOutside().check([step], screen("a"))) is fires
    assert ClickOutside().check([replace(step, facts=None)], screen("a")) == ""


@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_can_be_switched_on_and_off(name: str) -> None:
    assert [guard.name for guard in guards_for(Limits(), SafetyConfig(guards=(name,)))] == [name]
    rest = tuple(other for other in GUARDS if other != name)
    assert {guard.name for guard in guards_for(Limits(), SafetyConfig(guards=rest))} == set(rest)
