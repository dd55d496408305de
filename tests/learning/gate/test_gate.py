"""The gate's truth table: both routes, every condition alone, and what binds both."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest

from showonce.config import GateConfig
from showonce.learning.gate.gate import Gate, GateEvidence, GateReason

CONFIG = GateConfig(
    teacher_threshold=0.5, student_threshold=0.6, min_difference=0.01, alignment=0.8, budget_run=10, budget_task=20,
    cooldown=2, headroom=0.05, kl_limit=1.0, updates_per_episode=3,
)  # fmt: skip
GATE = Gate(CONFIG)
NOTHING = GateEvidence()
SHOWN = GateEvidence(
    demonstration_covers=True, alignment=0.9, teacher_parsed=True, teacher_confidence=0.9, divergence=1.2,
    student_parsed=True, student_confidence=0.1,
)  # fmt: skip
EARNED = GateEvidence(episode_verified_success=True, student_parsed=True, student_confidence=0.7)
BOTH = dataclasses.replace(SHOWN, episode_verified_success=True, student_confidence=0.7)


def reason(evidence: GateEvidence, **changes: object) -> GateReason:
    return GATE.decide(dataclasses.replace(evidence, **changes)).reason  # type: ignore[arg-type]


def test_each_route_opens_alone() -> None:
    shown, earned = GATE.decide(SHOWN), GATE.decide(EARNED)
    assert (shown.accepted, shown.route, shown.reason) == (True, "shown", GateReason.SHOWN)
    assert (earned.accepted, earned.route, earned.reason) == (True, "earned", GateReason.EARNED)
    both = GATE.decide(BOTH)
    assert (both.accepted, both.route) == (True, "shown")


def test_an_unsure_student_can_be_shown_but_cannot_earn() -> None:
    """A calibrated beginner must not deadlock the shown route; its lucky guess is no evidence."""
    assert GATE.decide(dataclasses.replace(SHOWN, student_confidence=0.0)).accepted
    assert reason(EARNED, student_confidence=0.2) is GateReason.STUDENT_UNSURE


def test_a_surely_wrong_student_earns_nothing() -> None:
    assert reason(EARNED, episode_verified_success=False, student_confidence=1.0) is GateReason.NO_EVIDENCE
    assert reason(NOTHING) is GateReason.NO_EVIDENCE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"alignment": 0.79}, GateReason.NOT_ALIGNED),
        ({"alignment": None}, GateReason.NOT_ALIGNED),
        ({"alignment": math.nan}, GateReason.NOT_ALIGNED),
        ({"teacher_parsed": False}, GateReason.TEACHER_UNPARSED),
        ({"teacher_confidence": 0.5}, GateReason.TEACHER_UNSURE),
        ({"teacher_confidence": None}, GateReason.TEACHER_UNSURE),
        ({"teacher_confidence": math.nan}, GateReason.TEACHER_UNSURE),
        ({"divergence": 0.01}, GateReason.NO_DIFFERENCE),
        ({"divergence": None}, GateReason.NO_DIFFERENCE),
        ({"divergence": math.inf}, GateReason.NO_DIFFERENCE),
    ],
)
def test_each_condition_of_the_shown_route(change: dict[str, object], expected: GateReason) -> None:
    assert reason(SHOWN, **change) is expected
    assert GATE.decide(dataclasses.replace(BOTH, **change)).route == "earned"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"student_parsed": False}, GateReason.STUDENT_UNPARSED),
        ({"student_confidence": 0.6}, GateReason.STUDENT_UNSURE),
        ({"student_confidence": None}, GateReason.STUDENT_UNSURE),
        ({"episode_verified_success": False}, GateReason.NO_EVIDENCE),
    ],
)
def test_each_condition_of_the_earned_route(change: dict[str, object], expected: GateReason) -> None:
    assert reason(EARNED, **change) is expected


def test_alignment_is_reached_and_thresholds_are_passed() -> None:
    assert reason(SHOWN, alignment=0.8) is GateReason.SHOWN
    assert reason(SHOWN, teacher_confidence=0.51) is GateReason.SHOWN


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"updates_run": 10}, GateReason.BUDGET_RUN),
        ({"updates_task": 20}, GateReason.BUDGET_TASK),
        ({"updates_episode": 3}, GateReason.BUDGET_EPISODE),
        ({"episodes_since_update": 1}, GateReason.COOLDOWN),
        ({"probe_success": 0.95, "probe_n": 10}, GateReason.HEADROOM),
        ({"kl_to_champion": 1.01}, GateReason.KL_LIMIT),
        ({"kl_to_champion": math.nan}, GateReason.KL_LIMIT),
    ],
)
@pytest.mark.parametrize("evidence", [SHOWN, EARNED, BOTH], ids=["shown", "earned", "both"])
def test_what_binds_both_routes(evidence: GateEvidence, change: dict[str, object], expected: GateReason) -> None:
    assert reason(evidence, **change) is expected


@pytest.mark.parametrize(
    "change",
    [
        {"updates_run": 9, "updates_task": 19, "updates_episode": 2},
        {"episodes_since_update": 2},
        {"episodes_since_update": None},
        {"probe_success": 1.0, "probe_n": 9},
        {"probe_success": 0.94, "probe_n": 100},
        {"kl_to_champion": 1.0},
    ],
)
def test_just_inside_the_bounds(change: dict[str, object]) -> None:
    assert GATE.decide(dataclasses.replace(EARNED, **change)).accepted  # type: ignore[arg-type]


def test_headroom_zero_never_stops() -> None:
    gate = Gate(dataclasses.replace(CONFIG, headroom=0.0))
    assert gate.decide(dataclasses.replace(EARNED, probe_success=1.0, probe_n=1000)).accepted


def test_a_disabled_gate_lets_everything_through_but_not_over_the_budget() -> None:
    gate = Gate(dataclasses.replace(CONFIG, enabled=False))
    poor = dataclasses.replace(NOTHING, kl_to_champion=9.0, episodes_since_update=0)
    decision = gate.decide(poor)
    assert (decision.accepted, decision.route, decision.reason) == (True, None, GateReason.DISABLED)
    for change, expected in (("updates_run", GateReason.BUDGET_RUN), ("updates_task", GateReason.BUDGET_TASK)):
        assert gate.decide(dataclasses.replace(poor, **{change: 20})).reason is expected


def test_truth_table() -> None:
    """All 2^6 combinations against the two sentences of the rule."""
    for covers, aligned, teacher, differs, verified, student in itertools.product([True, False], repeat=6):
        evidence = GateEvidence(
            demonstration_covers=covers, alignment=0.9 if aligned else 0.1, teacher_parsed=True,
            teacher_confidence=0.9 if teacher else 0.1, divergence=1.0 if differs else 0.0, student_parsed=True,
            episode_verified_success=verified, student_confidence=0.9 if student else 0.1,
        )  # fmt: skip
        shown = covers and aligned and teacher and differs
        earned = verified and student
        decision = GATE.decide(evidence)
        assert decision.accepted == (shown or earned)
        assert decision.route == ("shown" if shown else "earned" if earned else None)
        assert decision.accepted == (decision.reason in (GateReason.SHOWN, GateReason.EARNED))


def test_numbers_say_what_is_left_and_why_each_route_fell() -> None:
    numbers = GATE.decide(dataclasses.replace(BOTH, updates_run=4, updates_task=25, divergence=0.0)).numbers
    assert (numbers["budget_run_left"], numbers["budget_task_left"]) == (6, 0)
    assert (numbers["shown"], numbers["earned"]) == ("no_difference", "earned")
    assert numbers["student_entropy"] == pytest.approx(0.3)
