"""How long a step on the desktop takes, as a multiple of raw XTest and mss: click, wait until the screen rests, look.

    python -m benchmarks.desktop_step     # half a minute; needs Xvfb, openbox, xdotool
    python -m benchmarks.desktop_step --quick

A Tk program on an Xvfb of 1280 x 720 draws a dot where it is clicked. Floor, in turns with it on the same display: the
same click by XTest, then grabs of the screen by mss until the dot is in one and nothing has changed for as long as the
environment waits for a resting screen (its setting `quiet`). Reported without a goal: that click with a single grab;
typing a character; an action that changes nothing, which waits as long as a first change is waited for; frames without
the dot of their click.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from benchmarks.screen import screen
from benchmarks.verdict import Row, finish, of_ratio, of_times, parser
from showonce.actions import Action, Click, Move, Type, from_pixel, to_pixel
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.desktop.xdisplay import connect
from showonce.evaluation.goals import Goal
from showonce.runtime.stop import Stop
from showonce.types import Task

GOAL: Final = Goal("<=", 1.8, ".1f", unit="x")
BLOCK: Final = 25  # steps before the other side has its turn
RED: Final = [255, 0, 0]


def steps(desktop: Desktop, actions: Iterator[Action]) -> tuple[list[float], int]:
    """Return the milliseconds of each step, and how many frames did not show what the click drew."""
    stop, found, stale = Stop(), list[float](), 0
    for action in actions:
        begun = time.perf_counter()
        executed = desktop.execute(action, stop)
        frame = desktop.observe()
        found.append((time.perf_counter() - begun) * 1e3)
        if isinstance(action, Click):
            column, row = executed.pixels[0]
            stale += frame.image[row, column].tolist() != RED
    return found, stale


class Raw:
    """A click by XTest and grabs by mss, with nothing between them. quiet: seconds without a change = at rest."""

    def __init__(self, display: str, quiet: float) -> None:
        import mss

        self._quiet = quiet
        self._x, self._grabber = connect(display, "XTEST"), mss.MSS(display=display)

    def step(self, click: Click) -> tuple[float, float]:
        """Return the milliseconds to the first grab, and until the dot was seen and the screen rested (1 s at most)."""
        from Xlib import X

        x, y = to_pixel(click.x, 1280), to_pixel(click.y, 720)
        begun = time.perf_counter()
        for kind, detail in ((X.MotionNotify, 0), (X.ButtonPress, 1), (X.ButtonRelease, 1)):
            self._x.xtest_fake_input(kind, detail, x=x, y=y)
        self._x.sync()
        before, changed, first = self._grab(), time.perf_counter(), 0.0
        first = (time.perf_counter() - begun) * 1e3
        while time.perf_counter() < begun + 1:
            image = self._grab()
            if not np.array_equal(image, before):
                before, changed = image, time.perf_counter()
            if image[y, x].tolist() == RED and time.perf_counter() - changed >= self._quiet:
                break
        return first, (time.perf_counter() - begun) * 1e3

    def close(self) -> None:
        self._x.close()
        self._grabber.close()

    def _grab(self) -> np.ndarray[Any, Any]:
        shot = self._grabber.grab(self._grabber.monitors[0])
        return np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)[..., 2::-1]


def clicks(count: int, seed: int = 0) -> Iterator[Click]:
    """Yield clicks at places on the program's canvas."""
    rng = random.Random(seed)
    for _ in range(count):
        yield Click(from_pixel(rng.randrange(40, 1240), 1280), from_pixel(rng.randrange(120, 680), 720))


def rows_of(ours: dict[str, list[float]], stale: int, grabs: list[float], rested: list[float]) -> list[Row]:
    """Return the rows of the verdict. ours: milliseconds by kind of step; `click` is the one with the goal."""
    note = f"frames without the dot of their click: {stale}"
    rows = [of_times(what, ms, note=note if what == "click" else "") for what, ms in ours.items()]
    rows.append(of_times("raw click and one grab", grabs))
    rows.append(of_times("raw click and grabs until the screen rests", rested))
    return [*rows, of_ratio("a click step / raw click until the screen rests", ours["click"], rested, GOAL)]


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="60 clicks instead of 300")
    arguments.add_argument("--steps", type=int, default=300)
    given = arguments.parse_args()
    count = 60 if given.quick else max(given.steps, BLOCK)
    clicked, grabs, rested, stale = list[float](), list[float](), list[float](), 0
    with screen() as name:
        settings = DesktopSettings(display=name)
        desktop, raw = Desktop(settings), Raw(name, settings.quiet)
        try:
            desktop.reset(Task("bench/step", "click", "desktop"))
            steps(desktop, clicks(10))
            for block in range(-(-count // BLOCK)):
                found, missed = steps(desktop, clicks(BLOCK, block))
                clicked, stale = clicked + found, stale + missed
                for click in clicks(BLOCK, 1000 + block):
                    first, rest = raw.step(click)
                    grabs.append(first)
                    rested.append(rest)
                time.sleep(0.2)  # what the raw clicks drew is not counted as a change of the next step
            desktop.observe()
            desktop.execute(Click(0.5, 0.06), Stop())
            typed, _ = steps(desktop, (Type("w") for _ in range(count // 3)))
            moved, _ = steps(desktop, (Move(0.5, 0.5) for _ in range(20)))
        finally:
            raw.close()
            desktop.close()
    ours = {"click": clicked, "character": typed, "nothing changes": moved}
    return finish(rows_of(ours, stale, grabs, rested), given)


if __name__ == "__main__":
    sys.exit(main())
