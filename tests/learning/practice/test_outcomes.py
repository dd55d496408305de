"""Targets for the stated confidence come from verified outcomes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from showonce.actions import Action, Click, Done, Drag, Key, Scroll, Type
from showonce.learning.practice.buffer import Sample
from showonce.learning.practice.outcomes import WINDOW, Outcomes, agree, judge, progress_of
from showonce.types import Episode, Observation, Outcome, Step, StopReason

SCREEN = Observation(np.zeros((4, 4, 3), dtype=np.uint8))
HERE, THERE = Click(0.5, 0.5), Click(0.9, 0.1)
RIGHT = Sample(SCREEN, "t", "zoka", action=HERE, executor="oracle", correct=True)
WRONG = replace(RIGHT, correct=False)
UNKNOWN = replace(RIGHT, correct=None)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (HERE, Click(0.53, 0.5), True),
        (HERE, Click(0.58, 0.5), None),
        (HERE, THERE, False),
        (HERE, Drag(0.5, 0.5, 0.1, 0.1), False),
        (Drag(0.5, 0.5, 0.1, 0.1), Drag(0.5, 0.5, 0.9, 0.1), False),
        (Type("sun"), Type("sun"), True),
        (Type("sun"), Type("moon"), False),
        (Key("ctrl+s"), Key("ctrl+s"), True),
        (Scroll(0.5, 0.5, 3), Scroll(0.5, 0.5, -3), False),
        (Done("red"), Done("blue"), False),
    ],
)
def test_agreement(a: Action, b: Action, same: bool | None) -> None:
    assert agree(a, b) is same and agree(b, a) is same


@pytest.mark.parametrize(
    ("sample", "answered", "verdict"),
    [
        (RIGHT, HERE, True),
        (RIGHT, THERE, False),
        (RIGHT, None, False),
        (RIGHT, Click(0.58, 0.5), None),
        (WRONG, HERE, False),
        (WRONG, THERE, None),  # another wrong way, or the right one: nobody knows
        (UNKNOWN, HERE, None),
        (replace(RIGHT, action=None), HERE, None),
    ],
)
def test_verdicts(sample: Sample, answered: Action | None, verdict: bool | None) -> None:
    assert judge(answered, sample) is verdict


def test_a_verdict_weighs_as_much_as_the_evidence() -> None:
    outcomes = Outcomes(smoothing=2.0)
    assert outcomes.target(RIGHT, HERE) is None
    outcomes.add_sample(RIGHT)
    assert outcomes.target(RIGHT, HERE) == pytest.approx((1 + 1) / (1 + 2))
    assert outcomes.target(RIGHT, THERE) == pytest.approx((0 + 1) / (1 + 2))
    for _ in range(9):
        outcomes.add_sample(RIGHT)
    assert outcomes.target(RIGHT, HERE) == pytest.approx(11 / 12)
    assert outcomes.target(RIGHT, THERE) == pytest.approx(1 / 12)
    assert outcomes.target(UNKNOWN, HERE) is None


def test_steps_are_counted_apart() -> None:
    outcomes = Outcomes()
    outcomes.add_sample(RIGHT)
    outcomes.add_sample(UNKNOWN)
    assert len(outcomes) == 1
    assert outcomes.target(replace(RIGHT, progress=1), HERE) is None
    assert outcomes.target(replace(RIGHT, task_id="u"), HERE) is None


def episode(success: bool | None, executors: tuple[str, ...] = ("student", "student")) -> Episode:
    steps = tuple(
        Step(i, "", "", HERE, HERE, HERE, executor, changed=True)  # type: ignore[arg-type]
        for i, executor in enumerate(executors)
    )
    return Episode("e", "t", "zoka", 0, "practice", steps, StopReason.COMPLETED, Outcome(success, "page"), 1.0)


def test_where_only_episodes_are_verified_their_rate_is_the_target() -> None:
    outcomes = Outcomes(smoothing=2.0)
    for success in (True, True, False, None):
        outcomes.add_episode(episode(success))
    for progress in (0, 1):
        target = outcomes.target(replace(UNKNOWN, progress=progress), THERE)
        assert target == pytest.approx((2 + 1) / (3 + 2))
    assert outcomes.target(replace(UNKNOWN, progress=2), THERE) is None


def test_an_episode_with_the_teachers_hand_in_it_is_not_the_students() -> None:
    outcomes = Outcomes()
    outcomes.add_episode(episode(True, ("student", "teacher")))
    outcomes.add_episode(episode(True, ("oracle",)))
    assert len(outcomes) == 0


def test_old_outcomes_are_forgotten() -> None:
    outcomes = Outcomes(smoothing=0.0)
    for success in [False] * WINDOW + [True] * WINDOW:
        outcomes.add_episode(episode(success))
    assert outcomes.target(UNKNOWN, HERE) == 1.0


def test_state_round_trip() -> None:
    import json

    outcomes = Outcomes()
    outcomes.add_sample(RIGHT)
    outcomes.add_sample(replace(WRONG, progress=2))
    outcomes.add_episode(episode(True))
    other = Outcomes()
    other.restore(json.loads(json.dumps(outcomes.state)))
    assert other.state == outcomes.state and len(other) == len(outcomes) == 4
    other.restore({})
    assert len(other) == 0


def test_progress_counts_the_changes_before() -> None:
    assert progress_of([True, False, None, True, True]) == [0, 1, 1, 1, 2]
