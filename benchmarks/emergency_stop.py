"""How soon nothing comes any more once a person has pressed ESC, and whether the agent ever stops itself.

    python -m benchmarks.emergency_stop      # some minutes; needs Xvfb, openbox, xdotool, chromium; exit 0: goals hold

The agent drags, clicks and types without a pause on an Xvfb of its own. The person is another process with a
connection of its own: it presses ESC at a random moment and takes, from the display's own record of events, the time
from that press to the last input event of any kind, releases included, and what is held down in the end. Four
conditions: nothing else runs; a busy process for every core; the embedded model answers before every action and, in
a thread, all the time; a browser in front of the agent is halted (SIGSTOP). Then the agent presses, clicks and types
on its own, and no stop may come of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.screen import screen
from showonce.actions import NAMED_KEYS, Action, Click, DoubleClick, Drag, Key, Scroll, Type
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.errors import BadInput, Stopped
from showonce.runtime.stop import Stop
from showonce.types import Task

GOALS_MS = {"idle": 50, "both cores loaded": 150, "model thinking": 150, "browser hung": 300}
TASK = Task("bench/stop", "act", "desktop")
MIDST = 0.02  # seconds: a press so soon after an input event came in the midst of an action
QUIET = 0.5  # seconds without input after which a trial is over
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?\"'()[]{}<>/\\|@#$%^&*-_=+~`\n\t"
BEYOND = "éñßüå€→жλ你"


# ---- the person: another process


def person(display: str) -> None:
    """For each line `press SECONDS`: wait, press ESC, wait for quiet, say what came after and what is held down."""
    from showonce.environments.desktop.record_x11 import X11Listener
    from showonce.environments.desktop.xdisplay import connect

    events: list[tuple[bool, str, float]] = []

    def see(event: dict[str, Any]) -> None:
        events.append((event.get("key") == "escape", event["kind"], event["time"]))

    listener = X11Listener(see, lambda reason: None, display)
    listener.start()
    mine = connect(display, "XTEST")
    code = mine.keysym_to_keycode(0xFF1B)
    print("ready", flush=True)
    for line in sys.stdin:
        time.sleep(float(line.split()[1]))
        del events[:-10]
        mine.xtest_fake_input(2, code)
        mine.xtest_fake_input(3, code)
        mine.sync()
        heard = -1
        while heard != len(events):
            heard = len(events)
            time.sleep(QUIET)
        pressed = next(at for esc, kind, at in reversed(events) if esc and kind == "press")
        others = [at - pressed for esc, _, at in events if not esc]
        saw = {
            "ms": max([late * 1e3 for late in others if late >= 0], default=0.0),
            "midst": any(-MIDST < late < 0 for late in others),
        }
        mask = mine.screen().root.query_pointer().mask & 0x1F0D  # buttons, shift, ctrl, alt
        saw["held"] = any(mine.query_keymap()) or bool(mask)
        print(json.dumps(saw), flush=True)
    listener.close()


class Person:
    """The other end of that process."""

    def __init__(self, display: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--person", display], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"

    def press(self, seconds: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"press {seconds}\n")
        self._process.stdin.flush()

    def saw(self) -> dict[str, Any]:
        return dict(json.loads(self._line()))

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


# ---- the agent


def acts(rng: random.Random) -> Iterator[Action]:
    """Yield actions without end, the long ones most often: a stop in their midst is what counts."""
    while True:
        places = [rng.uniform(0.05, 0.95) for _ in range(2)] + [rng.uniform(0.2, 0.9) for _ in range(2)]
        actions: list[Action] = [
            Drag(places[0], places[2], places[1], places[3]),
            Type("".join(rng.choices(LETTERS[:-2] + BEYOND, k=300))),
            Type("".join(rng.choices(LETTERS[:-2], k=300))),
            Click(places[0], places[2]),
            Scroll(places[0], places[2], 20),
        ]
        yield rng.choice(actions)


def trials(display: str, count: int, think: Callable[[Any], None], seed: int) -> tuple[list[float], int, int, int]:
    """Return the milliseconds of each press, and of how many presses: not heeded, a key held after, amid an action."""
    rng, stop = random.Random(seed), Stop()
    desktop, human = Desktop(DesktopSettings(display=display)), Person(display)
    found, unheeded, held, midst = list[float](), 0, 0, 0
    actions = acts(rng)
    try:
        frame = desktop.reset(TASK)
        for _ in range(count):
            human.press(rng.uniform(0.05, 0.6))
            until = time.monotonic() + 10
            with contextlib.suppress(Stopped):
                while time.monotonic() < until:
                    think(frame)
                    desktop.execute(next(actions), stop)
                    frame = desktop.observe()
            saw = human.saw()
            unheeded += not stop.pressed
            found.append(saw["ms"])
            held += saw["held"]
            midst += saw["midst"]
            stop.rearm()
    finally:
        desktop.close()
        human.close()
    return found, unheeded, held, midst


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Keep every core busy."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 2)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@contextlib.contextmanager
def thinking() -> Iterator[Callable[[Any], None]]:
    """Give a function that lets the embedded model look at a frame; a thread does so all the time."""
    from showonce.config import Config, InferenceConfig
    from showonce.policy.vlm_policy import load_policy
    from showonce.protocols import Context
    from showonce.types import Observation

    policy = load_policy(Config(adapter="none", inference=InferenceConfig(feature_cache=1)))
    context, lock, end = Context("click ok"), threading.Lock(), False

    def think(frame: Any) -> None:
        with lock:
            policy.propose(frame, context)

    def on_and_on() -> None:
        rng = np.random.default_rng(0)
        while not end:
            think(Observation(rng.integers(0, 255, (112, 112, 3), dtype=np.uint8)))

    thread = threading.Thread(target=on_and_on)
    thread.start()
    try:
        yield think
    finally:
        end = True
        thread.join()


@contextlib.contextmanager
def hung_browser(display: str) -> Iterator[None]:
    """Put a browser window over the whole screen and halt it."""
    program = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if program is None:
        sys.exit("FAIL: no chromium here (package chromium)")
    environ = {**os.environ, "DISPLAY": display}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = os.path.join(folder, "page.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write("<title>hung</title><textarea autofocus rows=20 cols=80></textarea>")
        browser = subprocess.Popen(
            [program, "--no-sandbox", "--no-first-run", f"--user-data-dir={folder}/profile", "--start-maximized", page],
            env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            find, until = ["xdotool", "search", "--onlyvisible", "--name", "hung"], time.monotonic() + 60
            while not subprocess.run(find, env=environ, capture_output=True).stdout and time.monotonic() < until:
                time.sleep(0.2)
            os.killpg(browser.pid, signal.SIGSTOP)
            yield
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait(10)


def own_actions(display: str, count: int) -> tuple[int, int]:
    """Let the agent press, click and type `count` times; return how often that stopped it, and the refused ones."""
    rng, stop, false, refused = random.Random(1), Stop(), 0, 0
    desktop = Desktop(DesktopSettings(display=display, quiet=0.001, first=0.001, cap=0.001))
    keys = [name for name in NAMED_KEYS if name not in ("escape", "f4", "space", "tab")] + [*"abcxyz159-[;"]
    try:
        desktop.reset(TASK)
        for n in range(count):
            held = [name for name in ("ctrl", "shift", "meta") if rng.random() < 0.3]
            x, y = rng.uniform(0.05, 0.95), rng.uniform(0.2, 0.9)
            text = "".join(rng.choices(LETTERS + BEYOND, k=rng.randint(1, 12))) + ("\x1b" if n % 100 == 99 else "")
            kinds: list[Action] = [Key("+".join([*held, rng.choice(keys)])), Type(text), Click(x, y)]
            action = rng.choice([*kinds, DoubleClick(x, y)]) if n % 100 != 99 else kinds[1]
            try:
                desktop.execute(action, stop)
            except BadInput:
                refused += 1
            except Stopped as problem:
                print(f"false stop at {action}: {problem}")
                false += 1
                stop.rearm()
    finally:
        desktop.close()
    return false, refused


def main() -> int:
    """Print each condition and the verdict; return 0 when every goal holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presses", type=int, default=50, help="of each condition")
    parser.add_argument("--own", type=int, default=10_000, help="actions of the agent's own")
    parser.add_argument("--person", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.person:
        person(options.person)
        return 0
    passed, worst = True, list[str]()
    with screen() as display, contextlib.ExitStack() as stack:
        idle: Callable[[Any], None] = lambda frame: None  # noqa: E731
        for number, (name, goal) in enumerate(GOALS_MS.items()):
            with contextlib.ExitStack() as condition:
                think = idle
                if name == "both cores loaded":
                    condition.enter_context(busy())
                elif name == "model thinking":
                    think = condition.enter_context(thinking())
                elif name == "browser hung":
                    condition.enter_context(hung_browser(display))
                found, unheeded, held, midst = trials(display, options.presses, think, number)
            median, p90, most = (float(np.quantile(found, q)) for q in (0.5, 0.9, 1.0))
            good = most <= goal and not unheeded and not held
            passed = passed and good
            worst.append(f"{name} {most:.0f}")
            print(
                f"{name}: {len(found) - unheeded} of {len(found)} heeded, press to last input median {median:.1f} ms, "
                f"90 % {p90:.1f} ms, most {most:.1f} ms (goal {goal} ms), still held after {held}, "
                f"{midst} pressed amid input: {'good' if good else 'NOT GOOD'}",
                flush=True,
            )
        stack.close()
        false, refused = own_actions(display, options.own)
        passed = passed and false == 0
        print(f"{options.own} actions of its own: {false} false stops; {refused} texts with ESC in them refused")
    print(
        f"{'PASS' if passed else 'FAIL'}: press to last input, most of {options.presses} each in ms: "
        f"{', '.join(worst)} (goals {', '.join(map(str, GOALS_MS.values()))}); {false} false stops of {options.own}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
