"""metrics.json: a run in numbers, from its event file and what its phases found. Pure; keys are fixed.

A part that did not run is null, and `reasons` says why. Success values are fractions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from showonce.config import Config

PHASES: Final = ("before", "teacher", "after")
PARTS: Final = ("observe", "model", "parse", "execute", "overhead")
ATTEMPTS: Final = ("run", "practice", "probe")  # phases of episodes that were played for real
NOT_RUN: Final = "the run ended before it"

Event = Mapping[str, Any]


def metrics_of(
    events: Sequence[Event], config: Config, found: Mapping[str, Any], reasons: Mapping[str, str]
) -> dict[str, Any]:
    """Return metrics.json. found: what the run measured, by key; reasons: why something was not."""
    metrics: dict[str, Any] = {
        **{name: found.get(name) for name in PHASES},
        "retention": found.get("retention"),
        "baselines": found.get("baselines", {}),
        "calibration": found.get("calibration", {"before": None, "after": None}),
        "updates": _updates(events, config),
        "practice": {
            "episodes": sum(e.get("phase") == "practice" for e in _of(events, "episode_finished")),
            "distinct_screens": found.get("distinct_screens", 0),
            "verified_outcomes_used": found.get("verified_outcomes_used", 0),
        },
        "episodes": _episodes(events),
        "rollbacks": [
            {"episode": e.get("episode"), "from": e.get("old"), "to": e.get("new"),
             "statistic": e.get("statistic"), "reason": e.get("reason")}
            for e in _of(events, "rollback")
        ],
        "false_alarm_rate_stated": config.learning.ratchet.false_alarm_rate if "checkpoint" in found else None,
        "timing_ms": _timings(events),
        "wall_s": sum(float(e.get("seconds") or 0.0) for e in _of(events, "run_finished")),
        "seed": config.seed,
        "checkpoint": found.get("checkpoint"),
    }  # fmt: skip
    missing = [
        name for name in (*PHASES, "retention", "checkpoint", "false_alarm_rate_stated") if metrics[name] is None
    ]
    known = {**reasons}
    more = {name: value for name, value in found.items() if name not in metrics and name not in COUNTS}
    return {**metrics, **more, "reasons": {name: known.get(name, NOT_RUN) for name in missing}}


COUNTS: Final = ("distinct_screens", "verified_outcomes_used")


def _of(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event.get("kind") == kind]


def _middle(values: Iterable[Any]) -> float | None:
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return median(numbers) if numbers else None


def _updates(events: Sequence[Event], config: Config) -> dict[str, Any]:
    done = _of(events, "update")
    refused = Counter(str(e.get("reason")) for e in _of(events, "gate") if not e.get("accepted"))
    return {
        "accepted": len(done),
        "budget": config.learning.gate.budget_run,
        "by_route": dict(Counter(str(e.get("route") or "ungated") for e in done)),
        "rejected": dict(refused),
        "ms_median": _middle(e.get("ms") for e in done),
    }


def _episodes(events: Sequence[Event]) -> dict[str, Any]:
    """Return how the policy's own attempts ended. A retry is an attempt at a task whose last attempt had failed."""
    ended = [e for e in _of(events, "episode_finished") if e.get("phase") in ATTEMPTS]
    own = [e for e in ended if e.get("source") == "policy"]
    last: dict[str, bool] = {}
    retries = 0
    for event in own:
        task = str(event.get("task"))
        retries += last.get(task) is False
        last[task] = event.get("success") is True
    good = sum(e.get("success") is True for e in own)
    return {
        "success": good,
        "failure": len(own) - good,
        "retries": retries,
        "steps_median": _middle(e.get("steps") for e in own),
        "seconds_median": _middle(e.get("seconds") for e in own),
    }


def _timings(events: Sequence[Event]) -> dict[str, float | None]:
    steps = [e.get("timings") for e in _of(events, "step")]
    return {part: _middle(t.get(part) for t in steps if isinstance(t, Mapping)) for part in PARTS}
