"""metrics.json from events: fixed keys, honest nulls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from showonce.config import Config
from showonce.events import from_json
from showonce.runs.metrics import metrics_of as metrics_of_events

KEYS = {
    *("before", "teacher", "after", "retention", "baselines", "calibration", "updates", "practice", "episodes"),
    "tasks",
    *("rollbacks", "false_alarm_rate_stated", "timing_ms", "wall_s", "seed", "checkpoint", "reasons"),
}


def metrics_of(events: list[dict[str, Any]], config: Config, found: dict[str, Any], reasons: dict[str, str]) -> Any:
    """The metrics of events as a file has them, with only the fields that matter."""
    return metrics_of_events([from_json(event) for event in events], config, found, reasons)


def ended(
    success: bool | None, phase: str = "run", task: str = "a", source: str = "policy", **more: Any
) -> dict[str, Any]:
    found = {"kind": "episode_finished", "phase": phase, "task": task, "success": success, "source": source}
    return {**found, "steps": 2, "seconds": 0.5, **more}


def test_a_run_without_events_has_all_keys_and_says_why_they_are_empty() -> None:
    metrics = metrics_of([], Config(), {}, {"before": "learning is off"})
    assert set(metrics) == KEYS
    assert metrics["before"] is None and metrics["checkpoint"] is None
    assert metrics["reasons"]["before"] == "learning is off"
    assert set(metrics["reasons"]) == {
        "before",
        "teacher",
        "after",
        "retention",
        "checkpoint",
        "false_alarm_rate_stated",
    }
    assert metrics["calibration"] == {"before": None, "after": None}
    assert metrics["updates"]["accepted"] == 0 and metrics["updates"]["ms_median"] is None


def test_what_was_found_stands_as_it_is_and_more_may_be_added() -> None:
    found = {"after": {"success": 0.9, "n": 10, "low": 0.6, "high": 1.0}, "adapter_off": {"same_as_before": True}}
    metrics = metrics_of([], Config(), {**found, "checkpoint": "x", "distinct_screens": 12}, {})
    assert metrics["after"] == found["after"] and metrics["adapter_off"] == found["adapter_off"]
    assert metrics["practice"]["distinct_screens"] == 12 and "distinct_screens" not in metrics
    assert metrics["false_alarm_rate_stated"] == Config().learning.ratchet.false_alarm_rate
    assert "after" not in metrics["reasons"]


def test_updates_are_counted_by_route_and_refusals_by_reason() -> None:
    events = [
        *({"kind": "update", "route": route, "ms": ms} for route, ms in (("shown", 10), ("shown", 30), (None, 20))),
        *({"kind": "gate", "accepted": True, "reason": "shown"},),
        *({"kind": "gate", "accepted": False, "reason": reason} for reason in ("headroom", "headroom", "cooldown")),
    ]
    assert metrics_of(events, Config(), {}, {})["updates"] == {
        "accepted": 3,
        "budget": 60,
        "by_route": {"shown": 2, "ungated": 1},
        "rejected": {"headroom": 2, "cooldown": 1},
        "ms_median": 20,
    }


def test_only_the_policys_own_attempts_count_and_retries_follow_failures() -> None:
    events = [
        ended(False), ended(False), ended(True), ended(False, task="b"), ended(True), ended(None, "probe"),
        ended(True, "practice", source="teacher"), ended(True, "before"), ended(True, "demonstration", source="oracle"),
    ]  # fmt: skip
    metrics = metrics_of(events, Config(), {}, {})
    assert metrics["episodes"] == {
        "success": 2, "failure": 4, "retries": 2, "steps_median": 2, "seconds_median": 0.5,
    }  # fmt: skip
    assert metrics["practice"]["episodes"] == 1


@pytest.mark.parametrize(("learning", "practised"), [(True, 4), (False, 1), (None, 1)])
def test_the_attempts_of_a_run_that_learns_are_its_practice(learning: bool | None, practised: int) -> None:
    events = [
        {"kind": "run_started", "learning": learning}, ended(True), ended(False), ended(True), ended(True, "probe"),
        ended(True, "practice"), ended(True, "record"),
    ]  # fmt: skip
    assert metrics_of(events, Config(), {}, {})["practice"]["episodes"] == practised


def test_rollbacks_and_times() -> None:
    events = [
        {"kind": "rollback", "episode": "e", "old": "v2", "new": "v1", "statistic": 3.5, "reason": "dropped"},
        *({"kind": "step", "timings": {"observe": ms, "overhead": 0.5}} for ms in (1.0, 2.0, 9.0)),
        {"kind": "run_finished", "seconds": 10.0},
        {"kind": "run_finished", "seconds": 2.5},
    ]
    metrics = metrics_of(events, replace(Config(), seed=4), {}, {})
    back = {"episode": "e", "from": "v2", "to": "v1", "statistic": 3.5, "reason": "dropped"}
    assert metrics["rollbacks"] == [back]
    assert metrics["timing_ms"] == {"observe": 2.0, "model": None, "parse": None, "execute": None, "overhead": 0.5}
    assert metrics["wall_s"] == 12.5 and metrics["seed"] == 4


@pytest.mark.parametrize("odd", [{"kind": "step", "timings": None}, {"kind": "update"}, {"kind": "gate"}, {}])
def test_a_strange_event_does_not_stop_it(odd: dict[str, Any]) -> None:
    assert set(metrics_of([odd], Config(), {}, {})) == KEYS
