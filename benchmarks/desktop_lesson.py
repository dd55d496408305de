"""Is a task learned on a real desktop from one demonstration that was recorded through the real input path?

    python benchmarks/desktop_lesson.py     # ten minutes; needs Xvfb, openbox, xdotool; exit code 0 when the goal holds

`showonce record` watches xdotool, as the person, use the shipped example program in its window (so the demonstration is
scripted); `showonce run experiment=one_demo` then measures, learns and measures again in a new process, each time in
that window through mss and XTest. Goal: success up by 0.3 or more, with every seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from screen import screen
from showonce.actions import Click, to_pixel
from showonce.environments.desktop.example import TITLE
from showonce.environments.desktop.windows_x11 import Windows
from showonce.environments.embedded.world import EmbeddedWorld, task_for

GOAL = 0.3
TASK = "app/dev/single/0"  # what the example program shows
SHOWN = 4242  # seed of the demonstrated screen
WAIT = 60.0


def point(seed: int) -> tuple[int, int]:
    """Return the pixel of the window that the person has to click."""
    world = EmbeddedWorld()
    size = world.reset(task_for(TASK), seed).width
    action = world.oracle()
    assert isinstance(action, Click)
    return to_pixel(action.x, size), to_pixel(action.y, size)


def record(folder: Path, env: dict[str, str]) -> Path:
    """Let the recorder watch the person and return the episode's folder."""
    log = folder / "record.log"
    words = [sys.executable, "-m", "showonce", "record", "--config", "desktop", "--yes", f"seed={SHOWN}"]
    with log.open("w") as out:
        watching = subprocess.Popen(words, cwd=folder, env=env, stdout=out, stderr=out)
    windows, end = Windows(env["DISPLAY"]), time.monotonic() + WAIT
    while not (windows.find(TITLE) and "Recording" in log.read_text()):
        if watching.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"FAIL: the recorder did not begin: {log.read_text()}")
        time.sleep(0.1)
    time.sleep(2.0)  # a person looks first
    left, top, _, _ = windows.place(windows.find(TITLE)[0]) or (0, 0, 0, 0)
    x, y = point(SHOWN)
    for step in (["mousemove", str(left + x), str(top + y)], ["click", "1"], ["key", "ctrl+F10"]):
        subprocess.run(["xdotool", *step], env=env, check=True)
        time.sleep(1.0)
    windows.close()
    if watching.wait(WAIT):
        raise SystemExit(f"FAIL: {log.read_text()}")
    return next(folder.glob("logs/*/episodes/*"))


def lesson(folder: Path, shown: Path, seed: int, screens: int, env: dict[str, str]) -> dict[str, dict[str, float]]:
    """Learn from the demonstration and return the run's metrics."""
    run = folder / f"run-{seed}"
    words = ["run", "--config", "desktop", "experiment=one_demo", f"demonstration={shown}", f"seed={seed}"]
    words += [f"experiment.eval_screens={screens}", "dashboard.mode=off", f"run_dir={run}"]
    subprocess.run(
        [sys.executable, "-m", "showonce", *words], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL
    )
    found: dict[str, dict[str, float]] = json.loads((run / "metrics.json").read_text())
    return found


def main() -> int:
    """Print before, teacher and after of every seed, and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--screens", type=int, default=50)
    given = parser.parse_args()
    lifts = []
    with screen() as name, tempfile.TemporaryDirectory(prefix="showonce-desktop-") as root:
        folder, env = Path(root), {**os.environ, "DISPLAY": name}
        shown = record(folder, env)
        for seed in range(1, given.seeds + 1):
            found = lesson(folder, shown, seed, given.screens, env)
            rates = {phase: found[phase]["success"] for phase in ("before", "teacher", "after")}
            lifts.append(rates["after"] - rates["before"])
            told = ", ".join(f"{phase} {rate:.2f}" for phase, rate in rates.items())
            print(f"seed {seed}: {told}, {found['updates']['accepted']} updates, n = {given.screens}", flush=True)
    good = min(lifts) >= GOAL
    print(f"{'PASS' if good else 'FAIL'}: success up by {min(lifts):.2f} or more with {len(lifts)} seeds (goal {GOAL})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
