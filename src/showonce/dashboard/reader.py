"""Folds a run's event file into one `RunView`, from which the dashboard is drawn.

Reading is incremental (only new bytes); unknown kinds change nothing, and lines that are no JSON are counted.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from showonce import events as ev
from showonce.dashboard.state import RunView
from showonce.dashboard.wording import describe
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
        """Whether the run has written that it finished."""
        return self.view.finished is not None

    @property
    def now(self) -> float:
        """Unix seconds on the clock of the run."""
        return time.time()

    def poll(self) -> list[tuple[float | None, str]]:
        """Fold in the events written since the last call; return (unix seconds, sentence) for those worth a line."""
        events = self._tail.poll()
        if self._tail.restarts != self._restarts:
            self._restarts, self.view = self._tail.restarts, RunView()
        lines = [line for event in events if (line := fold(self.view, event)) is not None]
        self.view.broken += self._tail.broken
        self._tail.broken = 0
        return lines


class ReplayReader(RunReader):
    """The events of a file, folded in at their own distances in time divided by `speed`, from now on."""

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


def fold(view: RunView, event: ev.Event) -> tuple[float | None, str] | None:
    """Change the view by one event; return (unix seconds, sentence) if the event is worth a line, else None."""
    view.events += 1
    view.last_at = event.t if event.t is not None else view.last_at
    sentence = describe(view, event)
    _take(view, event)
    if sentence is None:
        return None
    view.log.append((event.t, sentence))
    return event.t, sentence


def _take(view: RunView, event: ev.Event) -> None:
    """Change the view by an event of the run, of an episode or of an error; the others are learning's."""
    match event:
        case ev.StepTaken():
            view.step = event
            view.errors["parser"] += event.parse_failure is not None
            for name, values in view.timings.items():
                if (milliseconds := ev.as_float(event.timings.get(name))) is not None:
                    values.append(milliseconds)
        case ev.EpisodeStarted():
            view.episode, view.executor, view.adapter_version = event.episode, event.executor, event.adapter_version
            view.task, view.goal = event.task or view.task, event.goal or view.goal
        case ev.EpisodeFinished():
            view.episodes["open" if event.success is None else "success" if event.success else "failure"] += 1
            view.stop_reasons[event.stop_reason] += 1
            view.phase_done += 1
        case ev.RunStarted():
            view.run, view.task, view.goal = event, event.task, event.goal
            view.started_at = view.last_at if view.started_at is None else view.started_at
            view.finished, view.stopped = None, ""  # a resumed run goes on in the same file
        case ev.PhaseStarted():
            view.phase, view.phase_total, view.phase_done = event.name, event.total, 0
        case ev.PhaseMeasured():
            view.results[event.name] = event
        case ev.ErrorRaised():
            where = event.where or "unknown"
            if where not in ("parser", "input"):  # parse failures are counted at their steps; bad input is not a fault
                view.errors[where] += 1
            view.last_error = event.message
        case ev.GuardFired():
            view.guards[event.name] += 1
        case ev.RecoveryTried():
            if event.useful or event.measure == ev.GIVE_UP:
                view.recoveries[event.measure] += 1
        case ev.ShadowCompared():
            view.shadow_total += 1
            view.shadow_agrees += event.agrees
        case ev.PauseChanged():
            view.paused, view.paused_at = (event.reason, view.last_at) if event.paused else (None, None)
        case ev.RunStopped():
            view.stopped, view.paused, view.paused_at = event.reason, None, None
        case ev.RunFinished():
            view.finished, view.paused, view.paused_at = event.reason or "finished", None, None
        case _:
            _take_learning(view, event)


def _take_learning(view: RunView, event: ev.Event) -> None:
    match event:
        case ev.GateDecided():
            view.gate = event
            if not event.accepted:
                view.refused[event.reason] += 1
        case ev.UpdateMade():
            view.updates += 1
            view.routes[event.route or ""] += 1
            view.loss, view.kl, view.parts = event.loss, event.kl, dict(event.parts or {})
            view.candidate = event.candidate or view.candidate
        case ev.ProbePlayed():
            if event.success is not None:
                view.probe_task = event.task or view.task
                view.probes.setdefault(view.probe_task, []).append(event)
            view.champion = event.champion or view.champion
        case ev.PromotionDecided(accepted=True):
            view.promotions += 1
            view.champion, view.candidate = event.new, ""
            _mark(view, "promotion")
        case ev.PromotionDecided():
            view.promotions_refused += 1
        case ev.CheckpointSaved():
            if event.version and event.version not in view.checkpoints:
                view.checkpoints.append(event.version)
        case ev.RolledBack():
            view.rollbacks.append(event)
            view.champion, view.candidate = event.new, ""
            _mark(view, "rollback")
        case ev.Quarantined():
            view.quarantined.update(event.versions)
        case ev.Readmitted():
            view.quarantined.difference_update(event.names)
        case ev.FaultInjected():
            if not view.faults:
                view.updates_before_fault, view.refused_before_fault = view.updates, view.promotions_refused
            view.faults.append(event.name)
            _mark(view, "fault")


def _mark(view: RunView, what: str) -> None:
    """Put a mark under the curve of probes, after the last one."""
    task = view.probe_task or view.task
    view.marks.setdefault(task, []).append((len(view.probes.get(task, [])), what))
