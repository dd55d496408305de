"""Folds a run's event file into one `RunView`: what the run is doing, what it learnt and what it undid.

Reading is incremental (only new bytes) and tolerant: unknown kinds are passed over, lines that cannot be read are
counted, and nothing here raises on the content of the file.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from showonce.dashboard.state import LastGate, LastStep, PhaseResult, Probe, Rollback, RunView
from showonce.dashboard.wording import describe
from showonce.events import GIVE_UP, RecoveryTried, from_json

Event = Mapping[str, Any]

EVENTS_FILE: Final = "events.jsonl"
CHUNK_BYTES: Final = 1 << 22


class EventTail:
    """New whole lines of a JSON-lines file at each `poll`; a half-written last line waits for its end.

    `broken` counts lines that are no JSON object. A file that became shorter is read again from its start and
    `restarts` grows by one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = 0
        self.restarts = 0
        self._offset = 0

    def poll(self) -> list[dict[str, Any]]:
        """Return the events that were appended since the last call; none when the file is not there (yet)."""
        events: list[dict[str, Any]] = []
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            if file.seek(0, 2) < self._offset:
                self._offset, self.broken, self.restarts = 0, 0, self.restarts + 1
            file.seek(self._offset)
            self._read(file, events)
        return events

    def _read(self, file: IO[bytes], events: list[dict[str, Any]]) -> None:
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                if line.strip():
                    self._parse(line, events)

    def _parse(self, line: bytes, events: list[dict[str, Any]]) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            events.append(event)
        else:
            self.broken += 1


class RunReader:
    """Keeps a `RunView` up to date with a run folder. `poll` returns the lines a person should read about the news."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder
        self.view = RunView()
        self._tail = EventTail(run_folder / EVENTS_FILE)
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
        self._first = next((at for e in self._events if (at := _number(e.get("t"))) is not None), 0.0)
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
        while self._events and (_number(self._events[0].get("t")) or 0.0) <= due:
            if (line := fold(self.view, self._events.popleft())) is not None:
                lines.append(line)
        return lines


def fold(view: RunView, event: Event) -> tuple[float | None, str] | None:
    """Take one event into the view; return (time, sentence) when a person should hear of it. Never raises.

    An event whose fields have unexpected types is counted in `view.broken`.
    """
    view.events += 1
    kind, at = event.get("kind"), _number(event.get("t"))
    view.last_at = at if at is not None else view.last_at
    handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        return None
    try:
        sentence = describe(view, event)
        handler(view, event)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError):
        view.broken += 1
        return None
    if sentence is None:
        return None
    view.log.append((at, sentence))
    return at, sentence


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _word(value: Any) -> str:
    return "" if value is None else str(value)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _run_started(view: RunView, event: Event) -> None:
    view.run, view.name = _word(event.get("run")), _word(event.get("name"))
    view.task, view.goal = _word(event.get("task")), _word(event.get("goal"))
    view.adapter, view.learner = _word(event.get("adapter")), _word(event.get("learner"))
    view.budget_run, view.budget_task = _count(event.get("budget_run")), _count(event.get("budget_task"))
    view.learning, view.seed = _flag(event.get("learning")), _count(event.get("seed"))
    view.started_at = view.last_at if view.started_at is None else view.started_at
    view.finished, view.stopped = None, ""  # a resumed run goes on in the same file


def _phase(view: RunView, event: Event) -> None:
    view.phase, view.phase_total, view.phase_done = _word(event.get("name")), _count(event.get("total")), 0


def _episode_started(view: RunView, event: Event) -> None:
    view.episode = _word(event.get("episode"))
    view.task, view.goal = _word(event.get("task")) or view.task, _word(event.get("goal")) or view.goal
    view.executor = _word(event.get("executor"))
    view.adapter_version = _word(event.get("adapter_version"))


def _step(view: RunView, event: Event) -> None:
    failure, sure = event.get("parse_failure"), _mapping(event.get("confidence"))
    reason = ""
    if failure:
        parts = _mapping(failure)
        reason = ": ".join(x for x in (_word(parts.get("reason")), _word(parts.get("detail"))) if x) or _word(failure)
        view.errors["parser"] += 1
    proposed, executed = event.get("proposed"), event.get("executed")
    view.step = LastStep(
        episode=_word(event.get("episode")),
        index=_count(event.get("index")) or 0,
        frame=event["frame"] if isinstance(event.get("frame"), str) else None,
        proposed=proposed if isinstance(proposed, Mapping) else None,
        executed=executed if isinstance(executed, Mapping) else None,
        executor=_word(event.get("executor")),
        text=_word(event.get("text")),
        note=_word(event.get("note")),
        parse_failure=reason,
        stated=_number(sure.get("stated")),
        token=_number(sure.get("token")),
        calibrated=_number(sure.get("calibrated")),
        changed=_flag(event.get("changed")),
        correct=_flag(event.get("step_correct")),
    )
    for name, value in _mapping(event.get("timings")).items():
        milliseconds = _number(value)
        if milliseconds is not None and name in view.timings:
            view.timings[name].append(milliseconds)


def _episode_finished(view: RunView, event: Event) -> None:
    success = _flag(event.get("success"))
    view.episodes["open" if success is None else "success" if success else "failure"] += 1
    view.stop_reasons[_word(event.get("stop_reason"))] += 1
    view.phase_done += 1


def _gate(view: RunView, event: Event) -> None:
    accepted, reason = bool(event.get("accepted")), _word(event.get("reason"))
    view.gate = LastGate(accepted, _word(event.get("route")), reason, _mapping(event.get("numbers")))
    view.run_left, view.task_left = _count(event.get("budget_run_left")), _count(event.get("budget_task_left"))
    if not accepted:
        view.refused[reason] += 1


def _update(view: RunView, event: Event) -> None:
    view.updates += 1
    view.routes[_word(event.get("route"))] += 1
    view.loss, view.kl = _number(event.get("loss")), _number(event.get("kl"))
    view.candidate = _word(event.get("candidate")) or view.candidate


def _probe(view: RunView, event: Event) -> None:
    task = _word(event.get("task")) or view.task
    success = event.get("success")
    value = float(success) if isinstance(success, bool) else _number(success)
    if value is None:
        raise ValueError("a probe without an outcome")
    view.probes.setdefault(task, []).append(
        Probe(
            episode=_word(event.get("episode")),
            success=min(max(value, 0.0), 1.0),
            statistic=_number(event.get("statistic")),
            threshold=_number(event.get("threshold")),
            p0=_number(event.get("p0")),
        )
    )
    view.probe_task = task
    view.champion = _word(event.get("champion")) or view.champion


def _mark(view: RunView, what: str) -> None:
    task = view.probe_task or view.task
    view.marks.setdefault(task, []).append((len(view.probes.get(task, [])), what))


def _promotion(view: RunView, event: Event) -> None:
    if not event.get("accepted"):
        view.promotions_refused += 1
        return
    view.promotions += 1
    view.champion, view.candidate = _word(event.get("new")), ""
    _mark(view, "promotion")


def _checkpoint(view: RunView, event: Event) -> None:
    version = _word(event.get("version"))
    if version and version not in view.checkpoints:
        view.checkpoints.append(version)


def _rollback(view: RunView, event: Event) -> None:
    old, new = _word(event.get("old")), _word(event.get("new"))
    view.rollbacks.append(
        Rollback(_word(event.get("episode")), old, new, _number(event.get("statistic")), _word(event.get("reason")))
    )
    view.champion, view.candidate = new, ""
    _mark(view, "rollback")


def _quarantine(view: RunView, event: Event) -> None:
    versions = event.get("versions")
    view.quarantined.update(_word(v) for v in (versions if isinstance(versions, list) else [versions]))


def _readmit(view: RunView, event: Event) -> None:
    names = event.get("names")
    view.quarantined.difference_update(_word(v) for v in (names if isinstance(names, list) else [names]))


def _phase_result(view: RunView, event: Event) -> None:
    view.results[_word(event.get("name"))] = PhaseResult(
        _number(event.get("success")),
        _count(event.get("n")) or 0,
        _number(event.get("low")),
        _number(event.get("high")),
        _number(event.get("before")),
    )


def _error(view: RunView, event: Event) -> None:
    where = _word(event.get("where")) or "unknown"
    if where not in ("parser", "input"):  # the former are counted at their steps, the latter is nobody's failure
        view.errors[where] += 1
    view.last_error = _word(event.get("message"))


def _guard(view: RunView, event: Event) -> None:
    view.guards[_word(event.get("name"))] += 1


def _recovery(view: RunView, event: Event) -> None:
    tried = from_json(event)
    if isinstance(tried, RecoveryTried) and (tried.useful or tried.measure == GIVE_UP):
        view.recoveries[tried.measure] += 1


def _pause(view: RunView, event: Event) -> None:
    paused = bool(event.get("paused"))
    view.paused, view.paused_at = (_word(event.get("reason")), view.last_at) if paused else (None, None)


def _stop(view: RunView, event: Event) -> None:
    view.stopped, view.paused, view.paused_at = _word(event.get("reason")), None, None


def _fault(view: RunView, event: Event) -> None:
    if not view.faults:
        view.updates_before_fault, view.refused_before_fault = view.updates, view.promotions_refused
    view.faults.append(_word(event.get("name")))
    _mark(view, "fault")


def _shadow(view: RunView, event: Event) -> None:
    view.shadow_total += 1
    view.shadow_agrees += event.get("agrees") is True


def _told(view: RunView, event: Event) -> None:
    """Only a line in the log."""


def _run_finished(view: RunView, event: Event) -> None:
    view.finished = _word(event.get("reason")) or "finished"
    view.seconds = _number(event.get("seconds"))
    view.paused, view.paused_at = None, None


_HANDLERS: Final[dict[str, Callable[[RunView, Event], None]]] = {
    "run_started": _run_started,
    "phase": _phase,
    "episode_started": _episode_started,
    "step": _step,
    "episode_finished": _episode_finished,
    "guard": _guard,
    "recovery": _recovery,
    "pause": _pause,
    "stop": _stop,
    "gate": _gate,
    "update": _update,
    "probe": _probe,
    "promotion": _promotion,
    "checkpoint": _checkpoint,
    "rollback": _rollback,
    "quarantine": _quarantine,
    "readmit": _readmit,
    "lock_taken_over": _told,
    "canaries": _told,
    "fault": _fault,
    "shadow": _shadow,
    "phase_result": _phase_result,
    "error": _error,
    "run_finished": _run_finished,
}
