"""A run from its first event to its last: event file, dashboard, trackers, Ctrl-C, and what stays however it ends."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from showonce.config import Config
from showonce.demonstrations import EpisodeStore
from showonce.errors import BadInput, DiskError, EnvironmentBroken, ShowonceError, Stopped, StoreError
from showonce.events import ErrorRaised, PauseChanged, RunFinished, RunStopped
from showonce.fsio import atomic_write_json
from showonce.runs.event_file import EventWriter, read_events
from showonce.runs.index import FAILED, METRICS, SHOWN, finish_run, status_word
from showonce.runs.metrics import metrics_of
from showonce.runs.report import write_report
from showonce.runs.trackers import Following
from showonce.runtime.approvals import ConsoleApprover
from showonce.runtime.pause import PausableStop, pause_on_key
from showonce.runtime.stop import CTRL_C, stop_on_interrupt
from showonce.settings import to_yaml

EVENTS: Final = "events.jsonl"
STOP_FILE: Final = "STOP"  # its appearance in a run's folder stops the run
PAUSE_FILE: Final = "PAUSE"  # and this one pauses it for as long as it is there
STOPPED: Final = 130
PLAYED: Final = ("episode_started", "episode_finished")
Show = Callable[[Path], AbstractContextManager[Any]]


def unwatched(folder: Path) -> AbstractContextManager[Any]:
    """Show nothing."""
    return nullcontext()


@dataclass
class RunLog:
    """Use it as a context manager around a run. A stop ends the block quietly (see `exit_code`), an error goes on.

    report: write metrics, summary and picture at the end. found: what the run measured, by key of metrics.json; what it
    lacks is null there, with the reason in `reasons`.
    """

    config: Config
    folder: Path
    show: Show = unwatched
    report: bool = True
    found: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    exit_code: int = 0

    def __post_init__(self) -> None:
        self.events = EventWriter(self.folder / EVENTS)
        self.stop = PausableStop(self.folder / STOP_FILE, self.folder / PAUSE_FILE, self._tell_pause)
        self.dashboard: Any = None
        self._stack = contextlib.ExitStack()
        self._begun = time.monotonic()

    def episodes(self) -> EpisodeStore:
        """Return where the run's episodes are stored."""
        return EpisodeStore(self.folder / "episodes", self.config.output.save_frames)

    def paused(self) -> AbstractContextManager[None]:
        """Give the terminal back for as long as this lasts, so that a person can be asked something on it."""
        return self.dashboard.paused() if hasattr(self.dashboard, "paused") else nullcontext()

    def _tell_pause(self, paused: bool, reason: str) -> None:
        self.events.emit(PauseChanged(paused=paused, reason=reason))
        with self.paused():
            print(f"showonce: {'paused' if paused else 'resumed'} ({reason})", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self.events.close)
            stack.enter_context(stop_on_interrupt(self.stop))
            stack.enter_context(pause_on_key(self.stop))
            trackers = self.config.output.trackers
            stack.enter_context(Following(self.folder, trackers, {"config": to_yaml(self.config)}))
            self.dashboard = stack.enter_context(self.show(self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        stopped = isinstance(error, (Stopped, KeyboardInterrupt))
        reason = "stopped" if stopped else "completed" if error is None else f"{type(error).__name__}: {error}"
        with _uninterrupted():
            if error is not None and not stopped:
                self.events.emit(ErrorRaised(where=_where(error), message=reason))
            if stopped:
                self.events.emit(RunStopped(reason=self.stop.reason or CTRL_C))
            try:
                self._leave(reason)
            except ShowonceError as failure:
                if error is None:
                    raise
                print(f"showonce: {failure}", file=sys.stderr)
            finally:
                self._stack.close()
                if self.events.failed:
                    print(f"showonce: {self.events.lost} events were lost: {self.events.failed}", file=sys.stderr)
        if stopped and self.report:
            print(f"showonce: stopped ({self.stop.reason or CTRL_C}). {self._how_to_go_on()}", file=sys.stderr)
        self.exit_code = STOPPED if stopped else 0
        return stopped

    def _how_to_go_on(self) -> str:
        """Return the command that resumes the run, where one has to be typed now."""
        logs = Path(self.config.output.logs)
        found = logs == Path("logs") and self.folder.parent.resolve() == logs.resolve()
        first = f"Remove {self.stop.file}, then go on" if self.stop.file and self.stop.file.exists() else "Go on"
        return f"{first} by: showonce run resume={self.folder.name if found else self.folder}"

    def _leave(self, reason: str) -> None:
        """Write everything that a reader of the run wants to have."""
        seconds = time.monotonic() - self._begun
        self.events.emit(RunFinished(reason=reason, seconds=seconds))
        told, began = read_events(self.folder / EVENTS)[0], True
        if status_word(reason) == FAILED:
            began = any(event["kind"] in PLAYED and event.get("phase") != SHOWN for event in told)
        try:
            if self.report:
                atomic_write_json(self.folder / METRICS, metrics_of(told, self.config, self.found, self.reasons))
                write_report(self.folder)
        finally:
            finish_run(self.folder, self.config.output.logs, reason, began)


class PausingApprover(ConsoleApprover):
    """Asks the person at the console, who gets the terminal back from the dashboard meanwhile."""

    def __init__(self, log: RunLog) -> None:
        super().__init__(log.stop)
        self._log = log

    def read(self, prompt: str) -> str:
        with self._log.paused():
            return super().read(prompt)


def _where(error: BaseException) -> str:
    """Return what failed. What a person wrote is nobody's failure but `input`."""
    if isinstance(error, EnvironmentBroken):
        return "environment"
    if isinstance(error, (StoreError, DiskError)):
        return "store"
    return "input" if isinstance(error, BadInput) else "model"


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let nobody cut the last second short with Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
