"""How soon no more input comes once a person has pressed ESC, and whether the agent ever stops itself.

    python -m benchmarks.emergency_stop      # some minutes; needs Xvfb, openbox, xdotool, chromium
    python -m benchmarks.emergency_stop --quick

The agent drags, clicks and types without a pause on an Xvfb of its own. The person is another process with a connection
of its own: it presses ESC at a random moment and takes, from the display's own record of events, the time from that
press to the last input event of any kind, releases included, and what is held down in the end. Four conditions: nothing
else runs; a busy process for every core; the embedded model answers before every action and, in a thread, all the time;
a browser in front of the agent is halted (SIGSTOP). Then the agent presses, clicks and types on its own, which must not
stop it.

The goals are absolute: they are a promise to a person, whatever the machine. Beside each stands its floor, the time in
which the person's own process hears of its own press (XTEST to RECORD), in the same condition.
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
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.screen import screen
from benchmarks.verdict import Row, finish, of_times, parser
from showonce.actions import NAMED_KEYS, Action, Click, DoubleClick, Drag, Key, Scroll, Type
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.errors import BadInput, Stopped
from showonce.evaluation.goals import Goal
from showonce.runtime.stop import Stop
from showonce.types import Task

GOALS = {  # milliseconds from the press to the last input event, the longest of all presses
    "idle": Goal("<=", 50, "g", unit=" ms"),
    "all cores loaded": Goal("<=", 150, "g", unit=" ms"),
    "model thinking": Goal("<=", 150, "g", unit=" ms"),
    "browser hung": Goal("<=", 300, "g", unit=" ms"),
}
ALL, NONE = Goal("=", 1.0), Goal("=", 0, "g")
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
    heard_at: list[float] = []  # this process's clock when it heard of ESC going down

    def see(event: dict[str, Any]) -> None:
        escape = event.get("key") == "escape"
        if escape and event["kind"] == "press":
            heard_at.append(time.perf_counter())
        events.append((escape, event["kind"], event["time"]))

    listener = X11Listener(see, lambda reason: None, display)
    listener.start()
    mine = connect(display, "XTEST")
    code = mine.keysym_to_keycode(0xFF1B)
    print("ready", flush=True)
    for line in sys.stdin:
        time.sleep(float(line.split()[1]))
        del events[:-10], heard_at[:]
        begun = time.perf_counter()
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
            "floor": (heard_at[0] - begun) * 1e3 if heard_at else None,
            "midst": any(-MIDST < late < 0 for late in others),
        }
        mask = mine.screen().root.query_pointer().mask & 0x1F0D  # buttons, shift, ctrl, alt
        saw["held"] = any(mine.query_keymap()) or bool(mask)
        print(json.dumps(saw), flush=True)
    listener.close()


class Person:
    """The other end of that process."""

    def __init__(self, display: str) -> None:
        command = [sys.executable, "-m", "benchmarks.emergency_stop", "--person", display]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


@dataclass
class Trials:
    """Presses of one condition. ms: from each press to the last input; floor_ms: until the person's process heard it.

    unheeded: presses after which the stop did not hold; held: presses after which a key was down; midst: presses that
    came in the midst of an action.
    """

    ms: list[float] = field(default_factory=list)
    floor_ms: list[float] = field(default_factory=list)
    unheeded: int = 0
    held: int = 0
    midst: int = 0

    def rows(self, name: str) -> list[Row]:
        n, note = len(self.ms), f"{self.midst} pressed amid input"
        return [
            of_times(f"{name}: press to last input", self.ms, note=note),
            of_times(f"{name}: press heard by the person's own process", self.floor_ms),
            Row(f"{name}: longest press to last input", max(self.ms), GOALS[name], " ms", n),
            Row(f"{name}: share of presses that were heeded", 1 - self.unheeded / n, ALL, n=n),
            Row(f"{name}: presses after which a key was down", self.held, NONE, n=n),
        ]


def trials(display: str, count: int, think: Callable[[Any], None], seed: int) -> Trials:
    """Press ESC `count` times while the agent acts. think: what the agent does with a frame before each action."""
    rng, stop = random.Random(seed), Stop()
    desktop, human = Desktop(DesktopSettings(display=display)), Person(display)
    found = Trials()
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
            found.unheeded += not stop.pressed
            found.ms.append(saw["ms"])
            found.floor_ms += [] if saw["floor"] is None else [saw["floor"]]
            found.held += saw["held"]
            found.midst += saw["midst"]
            stop.rearm()
    finally:
        desktop.close()
        human.close()
    return found


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
    from showonce.inference.process import set_process
    from showonce.policy.vlm_policy import load_policy
    from showonce.protocols import Context
    from showonce.types import Observation

    inference = InferenceConfig(feature_cache=1)
    set_process(inference)
    policy = load_policy(Config(adapter="none", inference=inference))
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
    """Measure, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="3 presses of each condition and 200 actions instead of 50 and 10,000")
    arguments.add_argument("--presses", type=int, default=50, help="of each condition")
    arguments.add_argument("--own", type=int, default=10_000, help="actions of the agent's own")
    arguments.add_argument("--person", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.person:
        person(given.person)
        return 0
    presses, own = (3, 200) if given.quick else (given.presses, given.own)
    rows = list[Row]()
    with screen() as display:
        for number, name in enumerate(GOALS):
            with contextlib.ExitStack() as condition:
                think: Callable[[Any], None] = lambda frame: None  # noqa: E731
                if name == "all cores loaded":
                    condition.enter_context(busy())
                elif name == "model thinking":
                    think = condition.enter_context(thinking())
                elif name == "browser hung":
                    condition.enter_context(hung_browser(display))
                rows += trials(display, presses, think, number).rows(name)
        false, refused = own_actions(display, own)
    rows.append(Row("stops by the agent's own actions", false, NONE, n=own, note=f"{refused} texts with ESC refused"))
    return finish(rows, given)


if __name__ == "__main__":
    sys.exit(main())
