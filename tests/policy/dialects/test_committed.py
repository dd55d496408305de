"""Of several actions the one that the answer commits to counts."""

from __future__ import annotations

import pytest

from showonce.actions import Click, Done
from showonce.policy.dialects import Repair, parse_action
from showonce.types import Parsed, ParseFailure, ParseReason

A, B, C = '{"action":"click","x":0.1,"y":0.1}', '{"action":"click","x":0.9,"y":0.8}', '{"action":"done"}'


@pytest.mark.parametrize(
    "text",
    [
        # reconsidered: the last counts
        f"I could {A}, but no: {B}",
        f"I will {A}. Wait, that is Cancel. Correct answer:\n```json\n{B}\n```",
        f"{A}\nThat is Cancel.\n{B}",
        f"Maybe {A}\n{B}",
        f"Draft:\n```json\n{A}\n```\nBetter:\n```json\n{B}\n```",
        f"1. {A} would close it\n2. {C} is too early\n\n{B}",
        f"{A}, then again no: {B}",
        # an action in a sentence does not count beside one on lines of its own
        f"{B}\nI did not choose {A} because it deletes.",
        f"As said, {A} is wrong.\n{B}\nNot {C} either, yet.",
        # a plan: its first action is the one to do now
        f"{B}\n{A}",
        f"[{B},\n{A}]",
        f"{B}{A}{C}",
        f"```json\n{B}\n```\n```json\n{A}\n```",
        f"1. {B}\n2. {A}",
        f"First {B}, then {A}",
        f"Step 1: {B}\nStep 2: {A}",
        f"Not {C}. Plan:\n{B}\n{A}",
        f"<tool_call>{B}</tool_call><tool_call>{A}</tool_call>",
    ],
)
def test_the_committed_one(text: str) -> None:
    result = parse_action(text)
    assert isinstance(result, Parsed), result
    assert result.action == Click(0.9, 0.8)
    assert Repair.SEVERAL in result.repairs


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ('{"action":"click","x":0.9,"y":0.8,"keys":["S"]}', ParseReason.BAD_ARGUMENT),
        ('{"action":"click","x":9,"y":0.8}', ParseReason.OUT_OF_RANGE),
        ('{"action":"fly"}', ParseReason.UNKNOWN_VERB),
        ('{"action":"click"; "x":0.5}', ParseReason.MALFORMED),
        ('{"action":"cli', ParseReason.TRUNCATED),
        ('{"act', ParseReason.TRUNCATED),
    ],
)
@pytest.mark.parametrize("form", ["Not {A}. Rather {}", "{A}\nThat is wrong.\n{}"])
def test_no_other_action_takes_the_place_of_one_that_is_not_valid(form: str, last: str, reason: ParseReason) -> None:
    result = parse_action(form.replace("{}", last).replace("{A}", A))
    assert isinstance(result, ParseFailure), result
    assert result.reason is reason


@pytest.mark.parametrize(
    "first", ['{"action":"fly"}', '{"action":"click","x":9,"y":0.8}', '{"action":"click","x":0.1,"y":0.1,"keys":"b"}']
)
def test_a_plan_is_not_begun_in_its_middle(first: str) -> None:
    assert isinstance(parse_action(f"{first}\n{A}"), ParseFailure)


def test_a_correction_that_may_be_an_explanation_is_ambiguous() -> None:
    result = parse_action(f"{A}\nNo, rather {B}")
    assert isinstance(result, ParseFailure)
    assert result.reason is ParseReason.AMBIGUOUS
    same = parse_action(f"{C}\nThat is, {C}")
    assert isinstance(same, Parsed)
    assert same.action == Done()
