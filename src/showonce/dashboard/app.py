"""Watching a run: a live screen in a terminal, plain lines elsewhere; a finished run can be replayed."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from showonce.dashboard.card import summary
from showonce.dashboard.output import Output, Sized, choose_mode, make_output, write
from showonce.dashboard.picture import load_frame
from showonce.dashboard.reader import ReplayReader, RunReader
from showonce.dashboard.state import RunView
from showonce.dashboard.views import screen
from showonce.errors import BadInput
from showonce.runs.layout import EVENTS

JOIN_S: Final = 5.0  # how long the end of a run waits for its dashboard
WATCH_KEYS: Final = "q: close this view; the run goes on   files STOP and PAUSE in its folder end it, hold it"
RUN_KEYS: Final = "Ctrl-C: stop   Ctrl-\\: pause, and go on   from elsewhere: files STOP and PAUSE in the run's folder"
TALLEST_PRINT: Final = 50  # rows of the screen that is printed for a finished run


class Keys:
    """Single key presses from a terminal, without Enter; none where standard input is not a POSIX terminal."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = None
        self._handle = -1

    def __enter__(self) -> Keys:
        with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):  # no POSIX, no input, closed input
            import termios
            import tty

            handle = sys.stdin.fileno()
            if os.isatty(handle):
                self._saved = termios.tcgetattr(handle)
                tty.setcbreak(handle)
                self._handle = handle
        return self

    def __exit__(self, *exc: object) -> None:
        if self._handle >= 0:
            import termios

            termios.tcsetattr(self._handle, termios.TCSADRAIN, self._saved or [])

    def quit_within(self, seconds: float) -> bool:
        """Wait that long; return True as soon as q is pressed."""
        if self._handle < 0:
            time.sleep(seconds)
            return False
        ready, _, _ = select.select([self._handle], [], [], seconds)
        return bool(ready) and os.read(self._handle, 64).lower().find(b"q") >= 0


def watch(
    run_folder: str | Path,
    mode: str = "auto",
    refresh_per_second: float = 4.0,
    follow: bool = True,
    speed: float = 0.0,
    console: Console | None = None,
) -> RunView:
    """Show a run until it is over, q or Ctrl-C; a run that is over shows its final state at once.

    follow: False reads what is there and ends. speed: replay from the start, that many times as fast as it happened
    (0 = no replay). Returns the last state.

    Raises:
        BadInput: the folder is not there or holds no event file, or the speed is negative.
        ConfigError: an unknown mode.
    """
    folder = Path(run_folder)
    if not (folder / EVENTS).is_file():
        raise BadInput(
            f"{folder} is no run folder: it has no {EVENTS}. Give a folder such as logs/<time>-<name>; "
            "`showonce runs` lists them."
        )
    if speed < 0:
        raise BadInput(f"speed={speed!r} must be 0 (no replay) or more.")
    out = console or Console()
    chosen = choose_mode(mode, out)
    reader = ReplayReader(folder, speed) if speed > 0 else RunReader(folder)
    first = reader.poll()
    if chosen == "live" and (not follow or (reader.over and speed == 0)):
        view, rows = reader.view, min(out.size.height - 1, TALLEST_PRINT)
        frame = load_frame(folder, view.step.frame if view.step else None)
        drawn = screen(view, frame, out.size.width, rows, view.last_at or reader.now)
        write(out, Sized(drawn, rows))
    elif chosen != "off":
        with (
            contextlib.suppress(KeyboardInterrupt),
            Keys() as keys,
            _taken(make_output(chosen, out, folder, WATCH_KEYS)) as output,
        ):
            output.show(reader, first)
            while follow and not reader.over and not keys.quit_within(1.0 / _rate(refresh_per_second)):
                output.show(reader, reader.poll())
    if chosen != "off":
        write(out, summary(reader.view))
    return reader.view


@contextlib.contextmanager
def _taken(output: Output) -> Iterator[Output]:
    """Take the terminal, and give it back also after an error."""
    try:
        output.take()
        yield output
    finally:
        output.release()


def _rate(refresh_per_second: float) -> float:
    return min(max(refresh_per_second, 0.2), 30.0)


class LiveDashboard:
    """The dashboard of a run in progress, in a thread that reads the run's event file and nothing else.

        with LiveDashboard(run_folder, mode="auto"):
            ...the run...

    Its errors never reach the run, which waits at most `JOIN_S` seconds for it at the end: the reason is printed in one
    line and kept in `failure`. The final summary stays on the terminal. A question at the console is asked under
    ``with dashboard.paused():``.

    Raises:
        ConfigError: an unknown mode, when it is made.
    """

    def __init__(
        self,
        run_folder: str | Path,
        mode: str = "auto",
        refresh_per_second: float = 4.0,
        console: Console | None = None,
    ) -> None:
        self.failure: str | None = None
        self._console = console or Console()
        self._mode = choose_mode(mode, self._console)
        self._folder = Path(run_folder)
        self._reader = RunReader(self._folder)
        self._interval = 1.0 / _rate(refresh_per_second)
        self._stop = threading.Event()
        self._turn = threading.Lock()  # held while the terminal is used
        self._output = make_output(self._mode, self._console, self._folder, RUN_KEYS)
        self._thread = threading.Thread(target=self._guarded(self._loop), name="dashboard", daemon=True)

    def __enter__(self) -> LiveDashboard:
        if self._mode != "off":
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._mode == "off":
            return
        self._stop.set()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            self.failure = f"it did not end within {JOIN_S:g} s"
        if self.failure is None:
            self._guarded(lambda: write(self._console, summary(self._reader.view)))()
        if self.failure is not None:
            with contextlib.suppress(Exception):
                print(f"the dashboard stopped ({self.failure}); the run itself was not touched", file=sys.stderr)

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:  # no error of the dashboard may reach the run
                self.failure = f"{type(error).__name__}: {error}"

        return run

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Give the terminal back for as long as this lasts, so that a person can be asked something on it."""
        with self._turn:
            shown = self._thread.is_alive()
            if shown:
                self._guarded(self._output.release)()
            try:
                yield
            finally:
                if shown:
                    self._guarded(self._output.take)()

    def _loop(self) -> None:
        try:
            with self._turn:
                self._output.take()
            stopped = False
            while not stopped:
                stopped = self._stop.wait(self._interval)  # read once more after the stop: nothing is left out
                with self._turn:
                    self._output.show(self._reader, self._reader.poll())
        finally:
            with self._turn:
                self._output.release()
