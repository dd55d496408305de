"""The two outputs of the dashboard: plain lines, and the live screen."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from PIL import Image
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.text import Text

from showonce.config import DashboardConfig
from showonce.dashboard.picture import load_frame
from showonce.dashboard.reader import RunReader
from showonce.dashboard.views import screen
from showonce.dashboard.wording import duration

Line = tuple[float | None, str]

SMALLEST: Final = (70, 20)  # columns, rows of a terminal on which `auto` chooses the live screen
IDLE_REDRAW_S: Final = 1.0  # how often the clock moves while no event arrives
FRAME_TRIES: Final = 4  # 10 ms apart


class Output(Protocol):
    """Where the news goes. `take` and `release` the terminal may alternate; the last word is `release`."""

    def take(self) -> None: ...
    def release(self) -> None: ...
    def show(self, reader: RunReader, lines: Sequence[Line]) -> None: ...


class PlainOutput:
    """One line for each event of note."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def take(self) -> None:
        """Nothing to prepare: lines are appended to the terminal."""

    def release(self) -> None:
        """Nothing to give back."""

    def show(self, reader: RunReader, lines: Sequence[Line]) -> None:
        start = reader.view.started_at
        for at, sentence in lines:
            clock = duration(max(0.0, at - start)) if at is not None and start is not None else "-"
            write(self._console, Text(f"{clock:>6}  {sentence}"), soft_wrap=True)


class HeldStream(io.StringIO):
    """What others print while the screen is taken: kept, and printed when the terminal is free again."""

    def __init__(self, real: Any) -> None:
        super().__init__()
        self.rich_proxied_file = real  # by this name rich finds the stream behind a stand-in


class LiveOutput:
    """The live screen, on the alternate screen. Draws only when there is something new or a second went by."""

    def __init__(self, console: Console, folder: Path, keys: str = "") -> None:
        self._console, self._folder, self._keys = console, folder, keys
        self._live: Live | None = None
        self._held: list[tuple[str, Any, HeldStream]] = []
        self._drawn: tuple[object, ...] = ()
        self._drawn_at = 0.0
        self._frame_name: str | None = None
        self._frame: Image.Image | None = None

    def take(self) -> None:
        if self._live is not None:
            return
        self._held = [(name, real, HeldStream(real)) for name in ("stdout", "stderr") if (real := getattr(sys, name))]
        for name, _, held in self._held:
            setattr(sys, name, held)
        self._drawn = ()
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False,
            vertical_overflow="crop",
        )  # fmt: skip
        self._live.start()

    def release(self) -> None:
        live, self._live = self._live, None
        held_streams, self._held = self._held, []
        try:
            if live is not None:
                live.stop()
        finally:
            for name, real, held in held_streams:
                if getattr(sys, name) is held:
                    setattr(sys, name, real)
                real.write(held.getvalue())
                real.flush()

    def show(self, reader: RunReader, lines: Sequence[Line]) -> None:
        view, size, moment = reader.view, self._console.size, time.monotonic()
        state = (size, id(view), view.events)
        if state == self._drawn and moment - self._drawn_at < IDLE_REDRAW_S:
            return
        self._drawn, self._drawn_at = state, moment
        name = view.step.frame if view.step else None
        if name != self._frame_name or self._frame is None:
            self._frame_name, self._frame = name, _patient_frame(self._folder, name)
        if self._live is not None:
            self._live.update(screen(view, self._frame, size.width, size.height, reader.now, self._keys), refresh=True)


def _patient_frame(folder: Path, name: str | None) -> Image.Image | None:
    """Load a frame that may still be on its way to the disk: its event can be a few milliseconds ahead of it."""
    for _ in range(FRAME_TRIES if name else 0):
        frame = load_frame(folder, name)
        if frame is not None:
            return frame
        time.sleep(0.01)
    return None


def choose_mode(mode: str, console: Console) -> str:
    """Return live, plain or off. `auto` and `live` need a terminal that can show a screen; else they are plain.

    Raises:
        ConfigError: an unknown mode (nearest named).
    """
    DashboardConfig(mode=mode)
    if mode in ("plain", "off"):
        return mode
    able = console.is_terminal and not console.is_dumb_terminal and not console.legacy_windows
    able = able and console.encoding.lower().startswith("utf")
    roomy = console.size.width >= SMALLEST[0] and console.size.height >= SMALLEST[1]
    return "live" if able and (roomy or mode == "live") else "plain"


def write(console: Console, what: RenderableType, soft_wrap: bool = False) -> None:
    """Print so that no character can fail: what the terminal's encoding lacks becomes ``?``."""
    with console.capture() as captured:
        console.print(what, soft_wrap=soft_wrap, markup=False, highlight=False)
    text = captured.get().encode(console.encoding, "replace").decode(console.encoding)
    console.file.write(text)
    console.file.flush()


def make_output(mode: str, console: Console, folder: Path, keys: str = "") -> Output:
    return LiveOutput(console, folder, keys) if mode == "live" else PlainOutput(console)


class Sized:
    """A renderable held to a number of rows, for printing a screen outside the alternate screen."""

    def __init__(self, what: RenderableType, rows: int) -> None:
        self._what, self._rows = what, rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._what, options.update(height=self._rows))
