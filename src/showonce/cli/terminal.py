"""The person at the terminal: Ctrl-C, the pause key, the dashboard, questions, and lines on stdout and stderr."""

from __future__ import annotations

import contextlib
import io
import itertools
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from showonce.app.frontend import Frontend
from showonce.protocols import Approver
from showonce.runtime.approvals import ConsoleApprover
from showonce.runtime.pause import PausableStop, pause_on_key
from showonce.runtime.stop import stop_on_interrupt

CLEAR: Final = "\r\x1b[K"  # to the beginning of the line, and empty it
WIDE: Final = 200  # columns of a table that goes into a file or a pipe
Show = Callable[[Path], AbstractContextManager[Any]]


def say(text: str) -> None:
    """Print lines that may hold paths: neither wrapped nor read as markup."""
    Console().print(text, soft_wrap=True, markup=False, highlight=False)


def wide_console() -> Console:
    """Return a console for a table; a file or a pipe has no width, so it gets `WIDE` columns."""
    out = Console()
    return out if out.is_terminal else Console(width=WIDE)


class Terminal(Frontend):
    """A frontend for one run. Signals are taken on the main thread only.

    show: makes the dashboard of a run's folder; an object with `paused()` is asked for the terminal before anything is
    written or read there.
    """

    def __init__(self, show: Show = lambda folder: nullcontext()) -> None:
        self._show = show
        self._dashboard: Any = None

    @contextlib.contextmanager
    def attached(self, folder: Path, control: PausableStop) -> Iterator[None]:
        """First Ctrl-C: stop; second: KeyboardInterrupt; the pause key pauses and resumes. Shows the dashboard."""
        try:
            with stop_on_interrupt(control), pause_on_key(control), self._show(folder) as self._dashboard:
                yield
        finally:
            self._dashboard = None

    def closing(self) -> None:
        """Ignore Ctrl-C until `attached` is left, which gives it back."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(self, text: str) -> None:
        with self.free():
            print(f"showonce: {text}", file=sys.stderr, flush=True)

    def approver(self, control: PausableStop) -> Approver | None:
        return _Approver(control, self) if somebody_types() else None

    def free(self) -> AbstractContextManager[object]:
        """Return a context in which the dashboard leaves the terminal alone."""
        paused = getattr(self._dashboard, "paused", None)
        found: AbstractContextManager[object] = paused() if paused is not None else nullcontext()
        return found


class Quiet(Terminal):
    """A terminal on which nothing is told that is no question."""

    def tell(self, text: str) -> None:
        """Tell nothing."""


def somebody_types() -> bool:
    """Return whether an answer may come from stdin: False where it is closed or at its end, as /dev/null is."""
    try:
        if sys.stdin.isatty():
            return True
        waiting, _, _ = select.select([sys.stdin], [], [], 0)
        return not waiting or cast(io.BufferedReader, sys.stdin.buffer).peek(1) != b""
    except io.UnsupportedOperation:  # no file: text that a program put there
        return True
    except (AttributeError, OSError, ValueError):
        return False


class _Approver(ConsoleApprover):
    """Asks at the terminal, which the dashboard leaves alone meanwhile."""

    def __init__(self, control: PausableStop, terminal: Terminal) -> None:
        super().__init__(control)
        self._terminal = terminal

    def read(self, prompt: str) -> str:
        with self._terminal.free():
            return super().read(prompt)


class LiveLine:
    """Prints what a recorder understood: one line that changes while an action goes on (on a terminal), then stays."""

    def __init__(self) -> None:
        self._alive = sys.stdout.isatty()

    def __call__(self, text: str, final: bool) -> None:
        if final:
            sys.stdout.write(f"{CLEAR if self._alive else ''}{text}\n")
        elif self._alive:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"{CLEAR}{text[:width]}")
        sys.stdout.flush()


def counted(total: int) -> Callable[[str], None]:
    """Return a function that prints the part which begins, its number of `total`, and the seconds so far."""
    numbers, begun = itertools.count(1), time.monotonic()
    return lambda name: say(f"{next(numbers):>2} of {total}, after {time.monotonic() - begun:.0f} s: {name}")


@contextlib.contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while a block measures, if that is a terminal; yield the function that advances it by n."""
    out = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda n: bar.advance(task, n)
