"""A run's event file as series over its practice episodes: probes, updates, gate decisions, promotions, rollbacks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from showonce import events as ev
from showonce.runs.event_file import read_events
from showonce.runs.layout import EVENTS
from showonce.runs.metrics import SCORED
from showonce.stats import Interval, wilson

WINDOW: Final = 20  # probes in the rolling success rate


class ProbePoint(NamedTuple):
    """One probe. x: practice episodes so far; statistic and threshold in the drop test's own unit, None = not armed."""

    x: int
    success: bool
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
    phase: str = ""  # the one that has begun last


def read_history(run_dir: Path) -> History:
    """Fold the event file of a run; a missing file is an empty history, an unknown event is passed over.

    Raises:
        DiskError: the file is there and cannot be read.
    """
    history = History()
    for event in read_events(run_dir / EVENTS):
        _take(history, event)
    return history


def _take(history: History, event: ev.Event) -> None:
    x = history.episodes
    match event:
        case ev.RunStarted():
            history.task, history.goal = event.task, event.goal
            history.learner, history.name = event.learner, event.name
            history.learning, history.finished = event.learning is not False, None
        case ev.PhaseStarted():
            history.phase = event.name
        case ev.EpisodeFinished():
            history.episodes += not {event.phase.split(":")[0], history.phase.split(":")[0]} & SCORED
        case ev.ProbePlayed(success=bool(success)):
            point = ProbePoint(x, success, event.statistic, event.threshold)
            history.probes.setdefault(event.task or history.task, []).append(point)
        case ev.GateDecided(accepted=True):
            history.accepted.append(x)
        case ev.GateDecided():
            history.refused.append((x, event.reason or "no reason"))
        case ev.UpdateMade():
            history.updates.append(x)
        case ev.PromotionDecided():
            (history.promotions if event.accepted else history.held_back).append(x)
        case ev.RolledBack():
            history.rollbacks.append(x)
        case ev.FaultInjected():
            history.faults.append((x, event.name))
        case ev.Quarantined():
            history.quarantined += event.versions
        case ev.Readmitted():
            history.quarantined = [name for name in history.quarantined if name not in event.names]
        case ev.ErrorRaised():
            history.errors[event.where or "unknown"] += 1
        case ev.RunFinished():
            history.finished = event.reason or "finished"


def rolling_rate(probes: list[ProbePoint], window: int = WINDOW) -> list[RatePoint]:
    """Return the success rate over the last `window` probes, at each probe."""
    points = []
    for i, probe in enumerate(probes):
        recent = [p.success for p in probes[max(0, i + 1 - window) : i + 1]]
        rate = sum(recent) / len(recent)
        points.append(RatePoint(probe.x, rate, wilson(sum(recent), len(recent))))
    return points
