"""How long a step on the desktop takes: click, wait until the screen rests, look.

    python -m benchmarks.desktop_step     # half a minute; needs Xvfb, openbox, xdotool; exit code 0 when the goal holds

A Tk program on an Xvfb of 1280x720 draws a dot where it is clicked. Reported apart: typing a character, and a click
that changes nothing, which waits as long as a first change is waited for; and the frames of a step on which the dot of
its click is not yet to be seen (the program was slower than that).
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.screen import screen
from showonce.actions import Action, Click, Move, Type, from_pixel
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.runtime.stop import Stop
from showonce.types import Task

GOAL_MS = 50.0


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
            stale += frame.image[row, column].tolist() != [255, 0, 0]
    return found, stale


def clicks(count: int) -> Iterator[Action]:
    """Yield clicks at places on the program's canvas."""
    rng = random.Random(0)
    for _ in range(count):
        yield Click(from_pixel(rng.randrange(40, 1240), 1280), from_pixel(rng.randrange(120, 680), 720))


def main() -> int:
    """Print the times and the verdict; return 0 when the median is within the goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    count = max(parser.parse_args().steps, 10)
    with screen() as name:
        desktop = Desktop(DesktopSettings(display=name))
        try:
            desktop.reset(Task("bench/step", "click", "desktop"))
            steps(desktop, clicks(10))
            clicked, stale = steps(desktop, clicks(count))
            desktop.execute(Click(0.5, 0.06), Stop())
            typed, _ = steps(desktop, (Type("w") for _ in range(count // 3)))
            moved, _ = steps(desktop, (Move(0.5, 0.5) for _ in range(20)))
        finally:
            desktop.close()
    for what, found in (("click", clicked), ("character", typed), ("nothing changes", moved)):
        median, p90, p99 = (float(np.quantile(found, q)) for q in (0.5, 0.9, 0.99))
        print(f"{what}: n {len(found)}, median {median:.1f} ms, 90 % {p90:.1f} ms, 99 % {p99:.1f} ms")
    median = float(np.median(clicked))
    print(f"frames without the dot of their click: {stale} of {len(clicked)}")
    passed = median <= GOAL_MS
    print(
        f"{'PASS' if passed else 'FAIL'}: click + settle + frame at 1280x720, median {median:.1f} ms, "
        f"goal <= {GOAL_MS:g} ms"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
