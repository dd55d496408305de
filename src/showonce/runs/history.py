"""A run's event file as series over its practice episodes: probes, updates, gate decisions, promotions, rollbacks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from showonce.runs.event_file import read_events
from showonce.stats import Interval, wilson

EVENTS: Final = "events.jsonl"
SCORED: Final = frozenset({"before", "teacher", "after", "retention", "baseline", "eval"})  # off the time axis
WINDOW: Final = 20  # probes in the rolling success rate


class ProbePoint(NamedTuple):
    """One probe. x: practice episodes so far; statistic and threshold in the drop test's own unit, None = not armed."""

    x: int
    success: float
    statistic: float | None
    threshold: float | None


class RatePoint(NamedTuple):
    """Success over the last `WINDOW` probes with its 95 % Wilson interval."""

    x: int
    rate: float
    interval: Interval


@dataclass
class History:
    """Series of one run; `x` everywhere counts the finished episodes outside the scored phases."""

    task: str = ""
    goal: str = ""
    learner: str = ""
    name: str = ""
    learning: bool = True
    episodes: int = 0
    probes: dict[str, list[ProbePoint]] = field(default_factory=dict)  # by task
    accepted: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)  # (x, reason)
    updates: list[int] = field(default_factory=list)
    promotions: list[int] = field(default_factory=list)
    held_back: list[int] = field(default_factory=list)
    rollbacks: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    finished: str | None = None


def read_history(run_dir: Path) -> History:
    """Fold the event file of a run; a missing file is an empty history, a strange event is passed over.

    Raises:
        DiskError: the file is there and cannot be read.
    """
    history, phase = History(), ""
    for event in read_events(run_dir / EVENTS)[0]:
        if event.get("kind") == "phase":
            phase = str(event.get("name", ""))
        elif event.get("kind") == "episode_finished":
            own = str(event.get("phase", "")).split(":")[0]
            history.episodes += not {own, phase.split(":")[0]} & SCORED
        else:
            _take(history, event)
    return history


def _take(history: History, event: Mapping[str, Any]) -> None:
    x, kind = history.episodes, event.get("kind")
    if kind == "run_started":
        for name in ("task", "goal", "learner", "name"):
            setattr(history, name, str(event.get(name) or ""))
        history.learning = event.get("learning") is not False
        history.finished = None
    elif kind == "probe":
        success = _number(event.get("success"))
        if success is not None:
            point = ProbePoint(
                x, min(max(success, 0.0), 1.0), _number(event.get("statistic")), _number(event.get("threshold"))
            )
            history.probes.setdefault(str(event.get("task") or history.task), []).append(point)
    elif kind == "gate":
        if event.get("accepted"):
            history.accepted.append(x)
        else:
            history.refused.append((x, str(event.get("reason") or "no reason")))
    elif kind == "update":
        history.updates.append(x)
    elif kind == "promotion":
        (history.promotions if event.get("accepted") else history.held_back).append(x)
    elif kind == "rollback":
        history.rollbacks.append(x)
    elif kind == "fault":
        history.faults.append((x, str(event.get("name") or "")))
    elif kind == "quarantine":
        versions = event.get("versions")
        history.quarantined += [str(v) for v in versions] if isinstance(versions, list) else []
    elif kind == "readmit":
        names = event.get("names")
        history.quarantined = [v for v in history.quarantined if v not in (names if isinstance(names, list) else [])]
    elif kind == "error":
        history.errors[str(event.get("where") or "unknown")] += 1
    elif kind == "run_finished":
        history.finished = str(event.get("reason") or "finished")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def rolling_rate(probes: list[ProbePoint], window: int = WINDOW) -> list[RatePoint]:
    """Return the success rate over the last `window` probes, at each probe."""
    points = []
    for i, probe in enumerate(probes):
        recent = [p.success for p in probes[max(0, i + 1 - window) : i + 1]]
        rate = sum(recent) / len(recent)
        points.append(RatePoint(probe.x, rate, wilson(round(sum(recent)), len(recent))))
    return points
