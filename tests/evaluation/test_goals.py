"""A goal is written once: as text and as a decision it is the same object."""

from __future__ import annotations

import math

import pytest

from showonce.evaluation.goals import Goal


@pytest.mark.parametrize(
    ("goal", "text", "keeps", "misses"),
    [
        (Goal(">=", 0.8), ">= 0.80", 0.8, 0.79),
        (Goal("<=", 0.05, "+.2f"), "<= +0.05", 0.05, 0.06),
        (Goal("=", 1.0), "= 1.00", 1.0, 0.99),
        (Goal("<", 0.0, "g", "Brier - base rate's"), "Brier - base rate's < 0", -0.1, 0.0),
        (Goal("<=", 2.0, "g", unit=" ms"), "<= 2 ms", 2.0, 2.1),
    ],
)
def test_the_bound_itself_decides_as_it_is_printed(goal: Goal, text: str, keeps: float, misses: float) -> None:
    assert str(goal) == text
    assert goal.holds(keeps)
    assert not goal.holds(misses)


def test_what_is_no_number_keeps_no_bound() -> None:
    assert not any(Goal(relation, 0.0).holds(math.nan) for relation in ("<", "<=", "=", ">="))
