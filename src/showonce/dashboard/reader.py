"""Folds a run's event file into one `RunView`: what the run is doing, what it learnt and what it undid.

Reading is incremental (only new bytes) and tolerant: unknown kinds are passed over and lines that cannot be read are
counted (`runs.event_file.EventTail`).
"""

from __future__ import annotations

import time
from collections import deque
from functools import singledispatch
from pathlib import Path

from showonce.dashboard.state import RunView
from showonce.dashboard.wording import describe
from showonce.events import (
    GIVE_UP,
    CheckpointSaved,
    EpisodeFinished,
    EpisodeStarted,
    ErrorRaised,
    Event,
    FaultInjected,
    GateDecided,
    GuardFired,
    PauseChanged,
    PhaseMeasured,
    PhaseStarted,
    ProbePlayed,
    PromotionDecided,
    Quarantined,
    Readmitted,
    RecoveryTried,
    RolledBack,
    RunFinished,
    RunStarted,
    RunStopped,
    ShadowCompared,
    StepTaken,
    UpdateMade,
    as_float,
)
from showonce.runs.event_file import EventTail
from showonce.runs.layout import EVENTS


class RunReader:
    """Keeps a `RunView` up to date with a run folder. `poll` returns the lines a person should read about the news."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder
        self.view = RunView()
        self._tail = EventTail(run_folder / EVENTS)
        self._restarts = 0

    @property
    def over(self) -> bool:
        """Whether the run said that it has finished."""
        return self.view.finished is not None

    @property
    def now(self) -> float:
        """Unix seconds on the clock of the run."""
        return time.time()

    def poll(self) -> list[tuple[float | None, str]]:
        """Read what is new and fold it in; return (time, sentence) for each event of note."""
        events = self._tail.poll()
        if self._tail.restarts != self._restarts:
            self._restarts, self.view = self._tail.restarts, RunView()
        lines = [line for event in events if (line := fold(self.view, event)) is not None]
        self.view.broken += self._tail.broken
        self._tail.broken = 0
        return lines


class ReplayReader(RunReader):
    """A run that is over (or what there is of it) as if it happened now, `speed` times as fast."""

    def __init__(self, run_folder: Path, speed: float) -> None:
        super().__init__(run_folder)
        self._speed = speed
        self._events = deque(self._tail.poll())
        self.view.broken = self._tail.broken
        self._first = next((event.t for event in self._events if event.t is not None), 0.0)
        self._started = time.monotonic()

    @property
    def over(self) -> bool:
        return not self._events

    @property
    def now(self) -> float:
        return self._first + (time.monotonic() - self._started) * self._speed

    def poll(self) -> list[tuple[float | None, str]]:
        """Fold the events in whose time has come."""
        due, lines = self.now, []
        while self._events and (self._events[0].t or 0.0) <= due:
            if (line := fold(self.view, self._events.popleft())) is not None:
                lines.append(line)
        return lines


def fold(view: RunView, event: Event) -> tuple[float | None, str] | None:
    """Take one event into the view; return (time, sentence) when a person should hear of it."""
    view.events += 1
    view.last_at = event.t if event.t is not None else view.last_at
    sentence = describe(event, view)
    _take(event, view)
    if sentence is None:
        return None
    view.log.append((event.t, sentence))
    return event.t, sentence


@singledispatch
def _take(event: Event, view: RunView) -> None:
    """Change the view by one event; kinds without a function of their own change nothing."""


@_take.register
def _(event: RunStarted, view: RunView) -> None:
    view.run, view.task, view.goal = event, event.task, event.goal
    view.started_at = view.last_at if view.started_at is None else view.started_at
    view.finished, view.stopped = None, ""  # a resumed run goes on in the same file


@_take.register
def _(event: PhaseStarted, view: RunView) -> None:
    view.phase, view.phase_total, view.phase_done = event.name, event.total, 0


@_take.register
def _(event: EpisodeStarted, view: RunView) -> None:
    view.episode, view.executor, view.adapter_version = event.episode, event.executor, event.adapter_version
    view.task, view.goal = event.task or view.task, event.goal or view.goal


@_take.register
def _(event: StepTaken, view: RunView) -> None:
    view.step = event
    view.errors["parser"] += event.parse_failure is not None
    for name, values in view.timings.items():
        if (milliseconds := as_float(event.timings.get(name))) is not None:
            values.append(milliseconds)


@_take.register
def _(event: EpisodeFinished, view: RunView) -> None:
    view.episodes["open" if event.success is None else "success" if event.success else "failure"] += 1
    view.stop_reasons[event.stop_reason] += 1
    view.phase_done += 1


@_take.register
def _(event: GateDecided, view: RunView) -> None:
    view.gate = event
    if not event.accepted:
        view.refused[event.reason] += 1


@_take.register
def _(event: UpdateMade, view: RunView) -> None:
    view.updates += 1
    view.routes[event.route or ""] += 1
    view.loss, view.kl = event.loss, event.kl
    view.candidate = event.candidate or view.candidate


@_take.register
def _(event: ProbePlayed, view: RunView) -> None:
    if event.success is not None:
        view.probe_task = event.task or view.task
        view.probes.setdefault(view.probe_task, []).append(event)
    view.champion = event.champion or view.champion


def _mark(view: RunView, what: str) -> None:
    task = view.probe_task or view.task
    view.marks.setdefault(task, []).append((len(view.probes.get(task, [])), what))


@_take.register
def _(event: PromotionDecided, view: RunView) -> None:
    if not event.accepted:
        view.promotions_refused += 1
        return
    view.promotions += 1
    view.champion, view.candidate = event.new, ""
    _mark(view, "promotion")


@_take.register
def _(event: CheckpointSaved, view: RunView) -> None:
    if event.version and event.version not in view.checkpoints:
        view.checkpoints.append(event.version)


@_take.register
def _(event: RolledBack, view: RunView) -> None:
    view.rollbacks.append(event)
    view.champion, view.candidate = event.new, ""
    _mark(view, "rollback")


@_take.register
def _(event: Quarantined, view: RunView) -> None:
    view.quarantined.update(event.versions)


@_take.register
def _(event: Readmitted, view: RunView) -> None:
    view.quarantined.difference_update(event.names)


@_take.register
def _(event: PhaseMeasured, view: RunView) -> None:
    view.results[event.name] = event


@_take.register
def _(event: ErrorRaised, view: RunView) -> None:
    where = event.where or "unknown"
    if where not in ("parser", "input"):  # parse failures are counted at their steps; bad input is not a fault
        view.errors[where] += 1
    view.last_error = event.message


@_take.register
def _(event: GuardFired, view: RunView) -> None:
    view.guards[event.name] += 1


@_take.register
def _(event: RecoveryTried, view: RunView) -> None:
    if event.useful or event.measure == GIVE_UP:
        view.recoveries[event.measure] += 1


@_take.register
def _(event: PauseChanged, view: RunView) -> None:
    view.paused, view.paused_at = (event.reason, view.last_at) if event.paused else (None, None)


@_take.register
def _(event: RunStopped, view: RunView) -> None:
    view.stopped, view.paused, view.paused_at = event.reason, None, None


@_take.register
def _(event: FaultInjected, view: RunView) -> None:
    if not view.faults:
        view.updates_before_fault, view.refused_before_fault = view.updates, view.promotions_refused
    view.faults.append(event.name)
    _mark(view, "fault")


@_take.register
def _(event: ShadowCompared, view: RunView) -> None:
    view.shadow_total += 1
    view.shadow_agrees += event.agrees


@_take.register
def _(event: RunFinished, view: RunView) -> None:
    view.finished, view.seconds = event.reason or "finished", event.seconds
    view.paused, view.paused_at = None, None
