"""Sentences that a person understands, one for each event of note."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from showonce.actions import EXAMPLES, to_json
from showonce.dashboard.reader import fold
from showonce.dashboard.state import UNSTARTED, RunView
from showonce.dashboard.wording import action_words, clean, duration, gate_line, gate_words
from showonce.events import GateDecided, from_json


def told(*events: dict[str, Any]) -> list[str]:
    view = RunView()
    return [line[1] for event in events if (line := fold(view, from_json(event))) is not None]


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({"kind": "phase", "name": "before", "total": 20}, "phase before: 20 episodes"),
        ({"kind": "update", "loss": 0.5, "kl": 0.25, "route": "shown"}, "update 1 (shown): loss 0.500, KL 0.250"),
        (
            {"kind": "probe", "episode": "7", "success": False, "statistic": 2.0, "threshold": 4.9},
            "probe at episode 7: wrong, drop test 2.00 of 4.90",
        ),
        ({"kind": "promotion", "accepted": True, "old": "a", "new": "b"}, "promoted: b takes over from a"),
        (
            {"kind": "promotion", "accepted": False, "old": "a", "new": "b", "reason": "answers_lost (skill)"},
            "not promoted: b is held back, a stays: answers_lost (skill)",
        ),
        (
            {"kind": "rollback", "episode": "9", "old": "b", "new": "a", "statistic": 5.0, "reason": "success dropped"},
            "rolled back at episode 9: b to a (statistic 5.00): success dropped",
        ),
        ({"kind": "quarantine", "versions": ["b", "c"]}, "quarantined until a person re-admits it: b, c"),
        ({"kind": "error", "where": "model", "message": "out of memory"}, "model error: out of memory"),
        ({"kind": "lock_taken_over", "owner": "pid 7", "path": "x"}, "lock of a dead owner (pid 7) taken over: x"),
        (
            {"kind": "phase_result", "name": "after", "success": 0.9, "n": 20, "low": 0.7, "high": 0.97},
            "result after: 0.90 [0.70, 0.97], n=20",
        ),
        (
            {"kind": "episode_finished", "episode": "3", "success": None, "steps": 2, "stop_reason": "max_steps"},
            "episode 3 ended, not verified (max steps, 2 steps)",
        ),
        ({"kind": "run_finished", "reason": "stopped", "seconds": 61.0}, "run finished after 1:01: stopped"),
    ],
)  # fmt: skip
def test_sentences(event: dict[str, Any], sentence: str) -> None:
    assert told(event) == [sentence]


@pytest.mark.parametrize("phase", ["before", "teacher", "practice", "retention", "baseline:sft_demo", "eval"])
def test_episodes_of_crowded_phases_are_not_told_one_by_one(phase: str) -> None:
    assert told({"kind": "episode_finished", "episode": "1", "phase": phase, "success": True, "steps": 1}) == []


NUMBERS = {"probe_success": 1.0, "teacher_confidence": None, "shown": "headroom"}


def test_the_same_refusal_is_told_once() -> None:
    refusal = {
        "kind": "gate",
        "accepted": False,
        "reason": "headroom",
        "numbers": {"probe_success": 1.0, "probe_n": None, "shown": "headroom"},
    }
    other = {**refusal, "reason": "budget_run"}
    assert told(refusal, refusal, other, refusal) == [
        "update refused (headroom: probe success 1)",
        "update refused (budget run: probe success 1)",
        "update refused (headroom: probe success 1)",
    ]


def test_an_accepted_gate_names_its_route_once() -> None:
    numbers = {"alignment": 0.956, "shown": "shown"}
    shown = GateDecided(accepted=True, route="shown", reason="shown", updates=1, numbers=numbers)
    assert gate_words(shown) == "accepted (shown: alignment 0.956)"
    disabled = GateDecided(accepted=True, route=None, reason="disabled", updates=1)
    assert gate_words(disabled) == "accepted (no route: disabled)"


def test_gate_line_of_a_run_without_learning() -> None:
    assert gate_line(RunView(run=replace(UNSTARTED, learning=False))).startswith("learning off")
    assert (
        gate_line(RunView(run=replace(UNSTARTED, learning=True, budget_run=60)))
        == "learning on: update 0 of 60; last decision: none yet"
    )


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: action.verb)
def test_every_verb_has_words_with_its_arguments(action: Any) -> None:
    words = action_words(to_json(action))
    assert words.startswith(action.verb)
    for name, value in to_json(action).items():
        if name != "dx":
            place = name in ("x", "y", "to_x", "to_y")
            assert (value if isinstance(value, str) else f"{value:.2f}" if place else f"{value:g}") in words


def test_clean_and_duration() -> None:
    assert clean("a\x1b[31m\nb") == "a [31m b"
    assert clean("x" * 500, 10) == "x" * 9 + "…"
    assert [duration(s) for s in (0, 61, 3600)] == ["0:00", "1:01", "1:00:00"]
