"""Is a task learned on a real screen from one demonstration that was recorded through the real input path?

    python -m benchmarks.lesson --environment desktop   # needs Xvfb, openbox, xdotool
    python -m benchmarks.lesson --environment browser   # a page of the demo site; needs a Chromium
    python -m benchmarks.lesson --environment miniwob --task miniwob/drag-circle learning.gate.budget_run=30

`showonce record` watches input from outside: xdotool in the window of the shipped example program, or a second DevTools
client in the browser. No person is there, so the demonstration is scripted. `showonce run experiment=one_demo` then
measures, learns and measures again in a new process, each time on that screen. Goal: success up by 0.3 or more, with
every seed. Ten minutes each; --quick shows that it runs and seldom reaches the goal. Further words are settings of the
run.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.screen import screen
from benchmarks.verdict import Row, finish, parser
from showonce.actions import Click, to_pixel
from showonce.environments.browser.executable import find_browser
from showonce.environments.desktop.example import TITLE
from showonce.environments.desktop.windows_x11 import X11Windows
from showonce.environments.embedded.world import EmbeddedWorld, task_for
from showonce.environments.miniwob.oracles import oracle_script
from showonce.evaluation.goals import Goal

GOAL: Final = Goal(">=", 0.3, name="smallest")
SHOWN: Final = 4242  # seed of the demonstrated screen
WAIT: Final = 60.0
PAUSE: Final = 1.0  # seconds before each action, as a person takes
EXAMPLE: Final = "app/dev/single/0"  # task whose screen the example program shows
TASKS: Final = {"desktop": "", "browser": "site/shapes", "miniwob": "miniwob/circle-center"}  # "": the config's own
SETTINGS: Final = {
    "desktop": [],
    "browser": [
        "policy=tiny",  # the page's shapes and its goal word are the embedded world's
        "environment.settings.width=112",
        "environment.settings.height=112",
        "environment.settings.timeout=30",
    ],
    "miniwob": [
        "environment.settings.reload=false",
        "environment.settings.timeout=30",
    ],
}
STAR: Final = """(() => {
  if (document.body.dataset.chosen) return null;
  const r = document.querySelector("[data-name='red star']").getBoundingClientRect();
  return {action: 'click', x: r.left + r.width / 2, y: r.top + r.height / 2};
})()"""


# ------------------------------------------------------------------------------------------ who shows it


class XPerson:
    """Acts by xdotool in the window of the example program."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env, self.windows = env, X11Windows(env["DISPLAY"])

    def ready(self) -> bool:
        return bool(self.windows.find(TITLE))

    def show(self) -> None:
        left, top, _, _ = self.windows.place(self.windows.find(TITLE)[0]) or (0, 0, 0, 0)
        world = EmbeddedWorld()
        size = world.reset(task_for(EXAMPLE), SHOWN).width
        action = world.oracle()
        assert isinstance(action, Click)
        x, y = left + to_pixel(action.x, size), top + to_pixel(action.y, size)
        for step in (["mousemove", str(x), str(y)], ["click", "1"], ["key", "ctrl+F10"]):
            subprocess.run(["xdotool", *step], env=self.env, check=True)
            time.sleep(PAUSE)
        self.windows.close()


class CdpPerson:
    """A second DevTools client: evaluates `next_step` in the page and does that action; places are CSS pixels."""

    def __init__(self, port: int, next_step: str) -> None:
        self.port, self.next_step = port, next_step
        self._socket: Any = None
        self._id = 0

    def ready(self) -> bool:
        """Connect to the page and return whether there is one yet."""
        import websocket

        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/list", timeout=5) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page" and one["url"] != "about:blank"]
        except OSError:
            return False
        if pages:
            address = pages[0]["webSocketDebuggerUrl"]
            self._socket = websocket.create_connection(address, timeout=WAIT, suppress_origin=True)
        return bool(pages)

    def show(self) -> None:
        for _ in range(25):
            step = self._ask("Runtime.evaluate", expression=self.next_step, returnByValue=True)["result"].get("value")
            if step is None:
                break
            self._do(step)
            time.sleep(PAUSE)
        self._key("F10", 121, held=2)
        self._socket.close()

    def _do(self, step: dict[str, Any]) -> None:
        match step["action"]:
            case "click" | "drag":
                to = (step.get("to_x", step["x"]), step.get("to_y", step["y"]))
                self._mouse("mouseMoved", step["x"], step["y"])
                self._mouse("mousePressed", step["x"], step["y"], button="left", clickCount=1)
                if to != (step["x"], step["y"]):
                    for part in (0.3, 0.7, 1.0):
                        x, y = (a + (b - a) * part for a, b in zip((step["x"], step["y"]), to, strict=True))
                        self._mouse("mouseMoved", x, y, button="left", buttons=1)
                self._mouse("mouseReleased", *to, button="left", clickCount=1)
            case "type":
                for letter in step["text"]:
                    self._ask("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
                    self._ask("Input.dispatchKeyEvent", type="keyUp", key=letter)
            case other:
                raise SystemExit(f"FAIL: this person cannot {other}: choose a task of clicks, drags and text.")

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def _key(self, key: str, code: int, held: int = 0) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=held)

    def _ask(self, method: str, **values: Any) -> Any:
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": values}))
        while True:
            told = json.loads(self._socket.recv())
            if told.get("id") == self._id:
                return told.get("result", {})


def in_page(task: str) -> str:
    """Return a JavaScript expression: the next action on a page, null when the task is done."""
    if task.startswith("site/"):
        return STAR
    return f"WOB_DONE_GLOBAL ? null : {oracle_script()}({json.dumps(task.removeprefix('miniwob/'))})"


def open_browser(folder: Path, port: int) -> Path:
    """Return the path of a script that starts this machine's browser with a debugging port for a second client."""
    path = folder / "chromium.sh"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(find_browser())} --remote-debugging-port={port} "$@"\n')
    path.chmod(0o755)
    return path


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# ------------------------------------------------------------------------------------------ recorded and learned


def record(name: str, words: list[str], task: str, folder: Path, env: dict[str, str]) -> Path:
    """Let the recorder watch the person and return the episode's folder."""
    port, log = free_port(), folder / "record.log"
    more = [word for word in words if word.startswith(("task=", "environment."))]  # what else a run reads, it refuses
    if name != "desktop":
        more += [f"environment.settings.browser={open_browser(folder, port)}", "environment.settings.headless=true"]
    command = [sys.executable, "-m", "showonce", "record", "--config", name, "--yes", f"seed={SHOWN}", *more]
    with log.open("w") as out:
        watching = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    person = XPerson(env) if name == "desktop" else CdpPerson(port, in_page(task))
    end = time.monotonic() + WAIT
    while not ("Recording" in log.read_text() and person.ready()):
        if watching.poll() is not None or time.monotonic() > end:
            watching.kill()
            raise SystemExit(f"FAIL: the recorder did not begin: {log.read_text()}")
        time.sleep(0.1)
    time.sleep(2 * PAUSE)
    person.show()
    if watching.wait(WAIT):
        raise SystemExit(f"FAIL: {log.read_text()}")
    return next(folder.glob("logs/*/episodes/*"))


def lesson(
    name: str, words: list[str], folder: Path, shown: Path, seed: int, screens: int, env: dict[str, str]
) -> dict[str, Any]:
    """Learn from the demonstration and return the run's metrics."""
    run = folder / f"run-{seed}"
    words = ["run", "--config", name, "experiment=one_demo", f"demonstration={shown}", f"seed={seed}", *words]
    words += [f"experiment.eval_screens={screens}", "dashboard.mode=off", f"run_dir={run}"]
    subprocess.run(
        [sys.executable, "-m", "showonce", *words], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL
    )
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


@contextmanager
def no_screen() -> Iterator[str]:
    yield os.environ.get("DISPLAY", "")


def main() -> int:
    """Print the rise of every seed and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="one seed, 10 screens, at most 8 updates")
    arguments.add_argument("--environment", choices=tuple(TASKS), default="desktop")
    arguments.add_argument("--task", default="")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--screens", type=int, default=50)
    arguments.add_argument("settings", nargs="*", help="key=value, as of `showonce run`")
    given = arguments.parse_args()
    name, task = given.environment, given.task or TASKS[given.environment]
    words = [*([f"task={task}"] if task else []), *SETTINGS[name], *given.settings]
    seeds, screens = (1, 10) if given.quick else (given.seeds, given.screens)
    words += ["learning.gate.budget_run=8"] if given.quick else []
    rows = list[Row]()
    make: Callable[[], Any] = screen if name == "desktop" else no_screen
    with make() as display, tempfile.TemporaryDirectory(prefix=f"showonce-{name}-") as root:
        folder, env = Path(root), {**os.environ, "DISPLAY": display}
        shown = record(name, words, task, folder, env)
        for seed in range(1, seeds + 1):
            found = lesson(name, words, folder, shown, seed, screens, env)
            rates = {phase: found[phase]["success"] for phase in ("before", "teacher", "after")}
            note = ", ".join(f"{phase} {rate:.2f}" for phase, rate in rates.items())
            note += f", {found['updates']['accepted']} updates"
            rows.append(Row(f"rise of success, seed {seed}", rates["after"] - rates["before"], n=screens, note=note))
            print(rows[-1], flush=True)
    smallest = min(row.value for row in rows if row.value is not None)
    return finish([*rows, Row("rise of success", smallest, GOAL, n=len(rows) * screens)], given)


if __name__ == "__main__":
    sys.exit(main())
