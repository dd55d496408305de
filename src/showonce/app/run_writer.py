"""Writes a run's folder from its first event to its last: events, trackers, and what stays however it ends."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from showonce.about import snapshot
from showonce.app.frontend import Frontend
from showonce.app.plan import Plan
from showonce.config import Config
from showonce.demonstrations import EpisodeStore
from showonce.errors import BadInput, DiskError, EnvironmentBroken, ShowonceError, Stopped, StoreError
from showonce.events import (
    EpisodeFinished,
    EpisodeStarted,
    ErrorRaised,
    PauseChanged,
    RunFinished,
    RunStarted,
    RunStopped,
)
from showonce.fsio import atomic_write_json
from showonce.runs.event_file import EventWriter, read_events
from showonce.runs.index import COMPLETED, FAILED, finish_run, status_word
from showonce.runs.layout import DEMONSTRATION, EPISODES, EVENTS, METRICS, PAUSE, STOP
from showonce.runs.metrics import metrics_of, results_of
from showonce.runs.report import write_report
from showonce.runs.trackers import Following
from showonce.runtime.pause import PausableStop
from showonce.runtime.stop import CTRL_C
from showonce.secrets import KNOWN
from showonce.settings import to_yaml


@dataclass
class RunWriter:
    """A context manager around a run. `Stopped` and KeyboardInterrupt end the block quietly; other errors go on.

    A block that ends while the stop is pressed counts as stopped, too: the stop may come in its last episode.

    report: write metrics, summary and picture at the end. found: what the run measured, by key of metrics.json; a key
    that is missing is null there, with the reason in `reasons`. stopped: why the run was stopped, "" if it was not.
    """

    config: Config
    folder: Path
    frontend: Frontend = field(default_factory=Frontend)
    report: bool = True
    found: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    stopped: str = ""

    def __post_init__(self) -> None:
        self.events = EventWriter(self.folder / EVENTS)
        self.stop = PausableStop(self.folder / STOP, self.folder / PAUSE, self._note_pause)
        self._stack = contextlib.ExitStack()
        self._begun = time.monotonic()

    def announce(self, plan: Plan) -> None:
        """Emit what the run is about to do."""
        config, gate = plan.config, plan.config.learning.gate
        self.events.emit(
            RunStarted(
                run=self.folder.name,
                name=config.name,
                task=", ".join(task.id for task in plan.tasks),
                goal=", ".join(task.goal for task in plan.tasks if task.goal),
                adapter=config.adapter,
                learner=config.learning.learner if config.learning.enabled else "frozen",
                budget_run=gate.budget_run,
                budget_task=gate.budget_task,
                learning=plan.learning,
                seed=config.seed,
                versions=snapshot(),
            )
        )

    def episodes(self) -> EpisodeStore:
        """Return where the run's episodes are stored."""
        return EpisodeStore(self.folder / EPISODES, self.config.output.save_frames)

    def _note_pause(self, paused: bool, reason: str) -> None:
        self.events.emit(PauseChanged(paused=paused, reason=reason))
        self.frontend.tell(f"{'paused' if paused else 'resumed'} ({reason})")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self.events.close)
            trackers = self.config.output.trackers
            try:
                stack.enter_context(Following(self.folder, trackers, {"config": to_yaml(self.config)}))
                stack.enter_context(self.frontend.attached(self.folder, self.stop))
            except BaseException as error:  # it never began, and must not be listed as one that goes on
                reason = f"{type(error).__name__}: {error}"
                self.events.emit(RunFinished(reason=reason, seconds=0.0))
                finish_run(self.folder, self.config.output.logs, reason, began=False)
                raise
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.frontend.closing()
        stopped = isinstance(error, (Stopped, KeyboardInterrupt)) or (error is None and self.stop.pressed)
        reason = "stopped" if stopped else COMPLETED if error is None else f"{type(error).__name__}: {error}"
        reason = KNOWN.hide(reason)
        if error is not None and not stopped:
            self.events.emit(ErrorRaised(where=_where(error), message=reason))
        if stopped:
            self.stopped = self.stop.reason or CTRL_C
            self.events.emit(RunStopped(reason=self.stopped))
        try:
            self._finish(reason)
        except ShowonceError as failure:
            if error is None:
                raise
            self.frontend.tell(str(failure))
        finally:
            self._stack.close()
            if self.events.failed:
                self.frontend.tell(f"{self.events.lost} events were lost: {self.events.failed}")
        return stopped

    def _finish(self, reason: str) -> None:
        """Write the last event, metrics, summary and picture, and the run's end into the index."""
        seconds = time.monotonic() - self._begun
        self.events.emit(RunFinished(reason=reason, seconds=seconds))
        events, began = read_events(self.folder / EVENTS), True
        if status_word(reason) == FAILED:
            played = (event for event in events if isinstance(event, (EpisodeStarted, EpisodeFinished)))
            began = any(event.phase != DEMONSTRATION for event in played)
        try:
            if self.report:
                atomic_write_json(self.folder / METRICS, metrics_of(events, self.config, self.found, self.reasons))
                write_report(self.folder)
        finally:
            _, left = KNOWN.scrub(self.folder)
            if left:
                names = ", ".join(str(path.relative_to(self.folder)) for path in left)
                self.frontend.tell(f"a secret stands in {names}; edit or delete the files")
            finish_run(self.folder, self.config.output.logs, reason, began, results_of(events))


def _where(error: BaseException) -> str:
    """Return which part failed; bad input of a person counts as `input`."""
    if isinstance(error, EnvironmentBroken):
        return "environment"
    if isinstance(error, (StoreError, DiskError)):
        return "store"
    return "input" if isinstance(error, BadInput) else "model"
