"""metrics.json: a run in numbers, computed from its events and from the results of its measured phases.

Every key is always there. A phase that did not run is null and has its reason in `reasons`. Success values are
fractions, times are milliseconds (`timing_ms`, `ms_median`) or seconds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

from showonce import events as ev
from showonce.config import Config
from showonce.runs.layout import METRICS

E = TypeVar("E", bound=ev.Event)
PHASES: Final = ("before", "teacher", "after")
SCORED: Final = frozenset({*PHASES, "retention", "baseline", "eval"})  # phases in which nothing is practised
PARTS: Final = ("observe", "model", "parse", "execute", "overhead")  # of a step's time
ATTEMPTS: Final = ("run", "practice", "probe")  # phases of episodes that were played for real
SHOWN: Final = ("record", "replay")  # phases of episodes that follow a person, an oracle or a recording
UNCHECKED: Final = "none"  # the checker of a task that has no success check
NOT_RUN: Final = "the run ended before it"


@dataclass(frozen=True)
class TaskResult:
    """What came of the attempts at one task, measured phases left out.

    success: how many of `attempts` the `checker` verified. claimed: how many ended with the claim that it is done.
    stop_reason, why: of the last attempt that did not succeed, "" where all did.
    """

    task: str
    attempts: int
    success: int
    claimed: int
    checker: str
    stop_reason: str = ""
    why: str = ""

    @property
    def reached(self) -> bool:
        """Whether an attempt succeeded; where nothing checks that, whether one ended as the policy claimed."""
        return (self.claimed if self.checker == UNCHECKED else self.success) > 0


def results_of(events: Iterable[ev.Event]) -> tuple[TaskResult, ...]:
    """Return what came of each task that was attempted, replayed or recorded."""
    found: dict[str, TaskResult] = {}
    for one in _of(events, ev.EpisodeFinished):
        if one.phase not in (*ATTEMPTS, *SHOWN):
            continue
        before = found.get(one.task, TaskResult(one.task, 0, 0, 0, one.checker))
        failed = {} if one.success is True else {"stop_reason": one.stop_reason, "why": one.why}
        found[one.task] = replace(
            before,
            attempts=before.attempts + 1,
            success=before.success + (one.success is True),
            claimed=before.claimed + (one.stop_reason == "claimed"),
            checker=one.checker or before.checker,
            **failed,
        )
    return tuple(found.values())


def metrics_of(
    events: Sequence[ev.Event], config: Config, found: Mapping[str, Any], reasons: Mapping[str, str]
) -> dict[str, Any]:
    """Return the content of metrics.json. found: measured results by key; reasons: by key, why one is missing."""
    metrics: dict[str, Any] = {
        **{name: found.get(name) for name in PHASES},
        "retention": found.get("retention"),
        "baselines": found.get("baselines", {}),
        "calibration": found.get("calibration", {"before": None, "after": None}),
        "updates": _updates(events, config),
        "practice": {
            "episodes": practised_in(events),
            "distinct_screens": found.get("distinct_screens", 0),
            "verified_outcomes_used": found.get("verified_outcomes_used", 0),
        },
        "episodes": _episodes(events),
        "tasks": [asdict(one) for one in results_of(events)],
        "rollbacks": [
            {"episode": one.episode, "from": one.old, "to": one.new, "statistic": one.statistic, "reason": one.reason}
            for one in _of(events, ev.RolledBack)
        ],
        "false_alarm_rate_stated": config.learning.ratchet.false_alarm_rate if "checkpoint" in found else None,
        "timing_ms": _timings(events),
        "wall_s": sum(event.seconds or 0.0 for event in _of(events, ev.RunFinished)),
        "seed": config.seed,
        "checkpoint": found.get("checkpoint"),
    }  # fmt: skip
    missing = [
        name for name in (*PHASES, "retention", "checkpoint", "false_alarm_rate_stated") if metrics[name] is None
    ]
    more = {name: value for name, value in found.items() if name not in metrics and name not in COUNTS}
    return {**metrics, **more, "reasons": {name: reasons.get(name, NOT_RUN) for name in missing}}


def practised_in(events: Sequence[ev.Event]) -> int:
    """Return how many episodes a run learned from: those of phase `practice`, and its attempts where it may update."""
    phases = {"practice", "run"} if any(event.learning for event in _of(events, ev.RunStarted)) else {"practice"}
    return sum(event.phase in phases for event in _of(events, ev.EpisodeFinished))


COUNTS: Final = ("distinct_screens", "verified_outcomes_used")


def _of(events: Iterable[ev.Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _middle(values: Iterable[float | None]) -> float | None:
    numbers = [float(value) for value in values if value is not None]
    return median(numbers) if numbers else None


def _updates(events: Sequence[ev.Event], config: Config) -> dict[str, Any]:
    done = _of(events, ev.UpdateMade)
    return {
        "accepted": len(done),
        "budget": config.learning.gate.budget_run,
        "by_route": dict(Counter(event.route or "ungated" for event in done)),
        "rejected": dict(Counter(event.reason for event in _of(events, ev.GateDecided) if not event.accepted)),
        "ms_median": _middle(event.ms for event in done),
    }


def _episodes(events: Sequence[ev.Event]) -> dict[str, Any]:
    """Return counts and medians of the episodes that the policy played alone, measured phases left out.

    A retry is an attempt at a task whose previous attempt failed.
    """
    own = [event for event in _of(events, ev.EpisodeFinished) if event.phase in ATTEMPTS and event.source == "policy"]
    last: dict[str, bool] = {}
    retries = 0
    for event in own:
        retries += last.get(event.task) is False
        last[event.task] = event.success is True
    good = sum(event.success is True for event in own)
    return {
        "success": good,
        "failure": len(own) - good,
        "retries": retries,
        "steps_median": _middle(event.steps for event in own),
        "seconds_median": _middle(event.seconds for event in own),
    }


def _timings(events: Sequence[ev.Event]) -> dict[str, float | None]:
    steps = _of(events, ev.StepTaken)
    return {part: _middle(ev.as_float(step.timings.get(part)) for step in steps) for part in PARTS}


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return a run's metrics.json; empty when there is none or it cannot be read."""
    try:
        found = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
