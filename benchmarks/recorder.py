"""Is what a person does recorded exactly, and does a recording do the same again?

    python -m benchmarks.recorder            # some minutes on two cores
    python -m benchmarks.recorder --quick

The person is xdotool on an X screen of its own, and a second DevTools client in front of a headless browser. Both
programs draw a bar code that counts the input they got, so every frame tells which input came before it.
Needs Xvfb, openbox, xdotool, a Chromium and the extras browser and desktop.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from tests.people import SHIFT, CdpPerson, running_browser
from tests.xscreen import Screen, until, x_screen

from benchmarks.recorder_screens import BITS, CELL, SCREEN, bench, panel, panel_places
from benchmarks.verdict import Row, finish, parser
from showonce.actions import (
    Action,
    Click,
    DoubleClick,
    Drag,
    Key,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    from_pixel,
    points,
    to_pixel,
)
from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.demonstrations.reduce import GestureLimits
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.record import DesktopSource
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.desktop.windows_x11 import X11Windows
from showonce.evaluation.goals import Goal
from showonce.protocols import Environment, EventSource
from showonce.runtime.replay import replay_episode
from showonce.runtime.watch import record_watched
from showonce.types import Success, Task

GOAL: Final = Goal("=", 1.0)  # a share
WIDTH: Final = 1280
HEIGHT: Final = 720
HUMAN_SECONDS: Final = 0.25  # least time of a person from seeing to acting; the script waits as long
# On a busy machine the script is slow too; its actions are distinguished by their places, which are 20 pixels apart.
HAND: Final = GestureLimits(double_seconds=3.0, scroll_seconds=3.0, wait_seconds=30.0)
OWN: Final = ("ctrl+f8", "ctrl+f9", "ctrl+f10")
WORDS: Final = ("hello", "ünïcode", "a b", "x=1;", "QWERTZ", "tel. 0-9", "naïve", "{ok}")
PLAIN: Final = tuple(word for word in WORDS if word.isascii())  # xdotool loses letters that need a mapping of their own
CHORDS: Final = ("enter", "left", "home", "end", "ctrl+a", "ctrl+b", "shift+left", "f2", "ctrl+shift+k")
HELD: Final = ("ctrl", "shift", "ctrl+shift")  # alt moves windows
VERBS: Final[dict[str, Callable[[float, float, str], Action]]] = {
    "click": Click, "double": DoubleClick, "triple": TripleClick, "right": RightClick,
}  # fmt: skip


# -------------------------------------------------------------------------------------------------------- the people


class Person(Protocol):
    """Does actions by other means than the environment. state: of the program, as it reports it."""

    def do(self, action: Action) -> None: ...
    def state(self) -> Any: ...
    def end(self) -> None: ...


def pixels(action: Action) -> list[tuple[int, int]]:
    return [(to_pixel(x, WIDTH), to_pixel(y, HEIGHT)) for x, y in points(action)]


def modifiers(action: Action) -> list[str]:
    """Return the modifiers that are held during an action of the pointer."""
    return [name for name in getattr(action, "held", "").split("+") if name]


class XPerson:
    """Acts by xdotool; the state is the file that the panel writes."""

    def __init__(self, screen: Screen, file: Path) -> None:
        self.screen, self.file = screen, file

    def do(self, action: Action) -> None:
        run = self.screen.xdotool
        places = [(str(x), str(y)) for x, y in pixels(action)]
        if places:
            run("mousemove", *places[0])
        held = modifiers(action)
        for name in held:
            run("keydown", name)
        match action:
            case Click():
                run("click", "1")
            case DoubleClick():
                run("click", "--repeat", "2", "--delay", "60", "1")
            case TripleClick():
                run("click", "--repeat", "3", "--delay", "60", "1")
            case RightClick():
                run("click", "3")
            case Scroll():
                run("click", "--repeat", str(abs(action.dy)), "--delay", "15", "5" if action.dy > 0 else "4")
            case Drag():
                (x, y), (to_x, to_y) = pixels(action)
                middle = (str((x + to_x) // 2), str((y + to_y) // 2))
                run(
                    "mousedown",
                    "1",
                    "mousemove",
                    *middle,
                    "sleep",
                    "0.03",
                    "mousemove",
                    *places[1],
                    "sleep",
                    "0.03",
                    "mouseup",
                    "1",
                )
            case Type():
                run("type", "--delay", "15", action.text)
                run("key", "y", "BackSpace")  # a typing error and its correction
            case Key():
                names = {"enter": "Return", "home": "Home", "left": "Left", "end": "End", "f2": "F2"}
                run("key", "+".join(names.get(part, part) for part in action.keys.split("+")))
        for name in reversed(held):
            run("keyup", name)

    def state(self) -> Any:
        return json.loads(self.file.read_text()) if self.file.exists() else None

    def end(self) -> None:
        self.screen.xdotool("key", "ctrl+F10")


class WebPerson:
    """Acts by a DevTools client; the state is read from the page."""

    def __init__(self, client: CdpPerson) -> None:
        self.client = client

    def do(self, action: Action) -> None:
        hand, places = self.client, pixels(action)
        bits = sum(SHIFT[name] for name in modifiers(action))
        match action:
            case Click():
                hand.click(*places[0], modifiers=bits)
            case DoubleClick():
                hand.click(*places[0], count=2, modifiers=bits)
            case TripleClick():
                hand.click(*places[0], count=3, modifiers=bits)
            case RightClick():
                hand.click(*places[0], "right", modifiers=bits)
            case Scroll():
                hand.wheel(*places[0], action.dy, modifiers=bits)
            case Drag():
                hand.drag(*places[0], *places[1], modifiers=bits)
            case Type():
                hand.type(f"{action.text}y")
                hand.key("Backspace")
            case Key():
                *held, key = action.keys.split("+")
                names = {"enter": "Enter", "home": "Home", "left": "ArrowLeft", "end": "End", "f2": "F2"}
                hand.key(names.get(key, key), "\r" if key == "enter" else "", *held)

    def state(self) -> Any:
        told = self.client.send("Runtime.evaluate", expression="window.told ? told() : JSON.stringify({count: n})")
        return json.loads(told["result"]["value"])

    def end(self) -> None:
        self.client.key("F10", "", "ctrl")


def rest(person: Person) -> Any:
    """Wait until the program's state has not changed for HUMAN_SECONDS; return it."""
    last, since = person.state(), time.monotonic()
    while time.monotonic() - since < HUMAN_SECONDS:
        time.sleep(0.02)
        now = person.state()
        if now != last:
            last, since = now, time.monotonic()
    return last


# -------------------------------------------------------------------------------------------------------- recording


class Recording:
    """A recording in a thread of its own."""

    def __init__(self, environment: Environment, watch: Callable[[], EventSource], task: Task, folder: Path) -> None:
        self.lines: list[str] = []
        self.path: Path | None = None
        self.error: Exception | None = None

        def run() -> None:
            try:
                self.path = record_watched(
                    environment, watch, task, 1, EpisodeStore(folder), gestures=HAND,
                    tell=lambda text, final: self.lines.append(text), source="oracle",
                )  # fmt: skip
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()
        until(lambda: self.error or any("Recording" in line for line in self.lines), 30, "the recording")

    def end(self, person: Person) -> Path:
        person.end()
        self.thread.join(30)
        if self.error is not None or self.path is None:
            raise self.error or TimeoutError("the recording did not end")
        return self.path


def synthetic(rng: random.Random, n: int, area: tuple[int, int, int, int]) -> list[Action]:
    """Return n random actions that do not merge into each other. area: left, top, right, bottom in pixels."""
    left, top, right, bottom = area
    made: list[Action] = []
    column, row = left, top

    def place() -> tuple[float, float]:
        nonlocal column, row
        before = (column, row)
        while max(abs(column - before[0]), abs(row - before[1])) < 20:
            column, row = rng.randrange(left, right), rng.randrange(top, bottom)
        return from_pixel(column, WIDTH), from_pixel(row, HEIGHT)

    while len(made) < n:
        kind = rng.choice(("click", "click", "double", "triple", "right", "drag", "scroll", "type", "type", "key"))
        held = rng.choice(("", "", *HELD))
        if kind == "type" and not (made and isinstance(made[-1], Type)):
            made.append(Type("".join(rng.choice(WORDS) for _ in range(rng.randint(1, 2)))))
        elif kind == "key":
            made.append(Key(rng.choice(CHORDS)))
        elif kind == "scroll":
            made.append(Scroll(*place(), rng.choice((-3, -1, 1, 2, 4)), held=held))
        elif kind == "drag":
            made.append(Drag(*place(), *place(), held=held))
        elif kind in VERBS:
            made.append(VERBS[kind](*place(), held))
    return made


def read_code(image: np.ndarray[Any, Any], left: int, bottom: int) -> int:
    """Return the number that the bar code shows."""
    row = bottom - CELL // 2
    return sum(int(image[row, left + i * CELL + CELL // 2, 0] < 128) << i for i in range(BITS))


def watch_actions(
    person: Person, recording: Recording, wanted: Sequence[Action], corner: tuple[int, int]
) -> tuple[int, int]:
    """Let the person act; return how many actions were recovered, and how many with the frame before them."""
    before = []
    for action in wanted:
        before.append(int(rest(person)["count"]))
        person.do(action)
        until(lambda: person.state()["count"] >= before[-1] + least(action), 60, f"{action} in the program")  # noqa: B023
    rest(person)
    frames = load_demonstration(recording.end(person)).frames[:-1]
    exact = sum(frame.action == action for frame, action in zip(frames, wanted, strict=False))
    right = sum(
        frame.action == action and read_code(frame.observation.image, *corner) == count
        for frame, action, count in zip(frames, wanted, before, strict=False)
    )
    if len(frames) != len(wanted) or right < len(wanted):
        told = 0
        for at, (frame, action, count) in enumerate(zip(frames, wanted, before, strict=False)):
            shown = read_code(frame.observation.image, *corner)
            if (frame.action != action or shown != count) and (told := told + 1) <= 5:
                print(f"  {at}: did {action}, understood {frame.action}; frame after {shown} inputs, not {count}")
    return exact, right


def least(action: Action) -> int:
    """Return how many inputs of an action the program counts at the least."""
    match action:
        case DoubleClick():
            return 2
        case TripleClick():
            return 3
        case Scroll():
            return abs(action.dy)
        case Type():
            return len(action.text) + 2
    return 1


# ------------------------------------------------------------------------------------------------------------ flows


def web_flow(rng: random.Random, places: dict[str, tuple[int, int]]) -> list[Action]:
    def at(name: str, x: int = 0, y: int = 0) -> tuple[float, float]:
        return from_pixel(places[name][0] + x, WIDTH), from_pixel(places[name][1] + y, HEIGHT)

    choices: dict[str, list[Action]] = {
        "count": [Click(*at("count"))],
        "twice": [DoubleClick(*at("twice"))],
        "menu": [RightClick(*at("menu"))],
        "name": [Click(*at("name")), Type(rng.choice(WORDS)), Key("home"), Type("1")],
        "tick": [Click(*at("tick"))],
        "slide": [Drag(*at("slide"), *at("slide", rng.randint(20, 60)))],
        "list": [Scroll(*at("list"), rng.randint(1, 4))],
        "box": [Drag(*at("box"), *at("box", rng.randint(15, 70), rng.randint(-15, 25)))],
    }
    return [action for name in rng.sample(list(choices), 5) for action in choices[name]]


def desk_flow(rng: random.Random, places: dict[str, tuple[int, int]], left: int, top: int) -> list[Action]:
    def at(name: str, x: int = 0, y: int = 0) -> tuple[float, float]:
        return from_pixel(left + places[name][0] + x, WIDTH), from_pixel(top + places[name][1] + y, HEIGHT)

    spot: list[list[Action]] = [
        [Drag(*at("spot"), *at("spot", rng.randint(10, 60), rng.randint(5, 30)))],
        [DoubleClick(*at("spot"))],
        [RightClick(*at("spot"))],
    ]
    choices: list[list[Action]] = [
        [Click(*at("button"))],
        [Click(*at("tick"))],
        [Click(*at("entry")), Type(rng.choice(PLAIN)), Key("home"), Type("1")],
        [Click(*at("scale", 40, 10))],
        rng.choice(spot),
    ]
    return [action for part in rng.sample(choices, 4) for action in part]


def shown_flow(person: Person, recording: Recording, flow: Sequence[Action]) -> tuple[Path, Any, Any]:
    """Let the person do a flow; return its recording, and the states in which it began and ended."""
    first = rest(person)
    for action in flow:
        person.do(action)
        state = rest(person)
    return recording.end(person), first, state


# ------------------------------------------------------------------------------------------------------------- main


class Numbers:
    """Counts of recorded actions and of replays."""

    def __init__(self) -> None:
        self.actions = self.exact = self.framed = self.flows = self.equal = 0

    def rows(self) -> list[Row]:
        """Return the shares that have to be 1."""
        return [
            Row("actions recovered exactly", self.exact / max(self.actions, 1), GOAL, n=self.actions),
            Row("actions with the frame before them", self.framed / max(self.actions, 1), GOAL, n=self.actions),
            Row("replays that ended in the recorded state", self.equal / max(self.flows, 1), GOAL, n=self.flows),
        ]

    def recovered(self, name: str, n: int, found: tuple[int, int]) -> None:
        print(f"{name}: {found[0]} of {n} actions recovered exactly, {found[1]} with the frame before them", flush=True)
        self.actions, self.exact, self.framed = self.actions + n, self.exact + found[0], self.framed + found[1]

    def replayed(self, name: str, first: Any, shown: Any, again: Any, why: str) -> None:
        """Count a replay; it is equal only if its flow changed the program's state at all."""
        equal = shown == again and shown != first
        self.flows, self.equal = self.flows + 1, self.equal + equal
        told = f"{len(shown)} values equal" if equal else f"NOT EQUAL: {first}, {shown} and {again} {why}"
        print(f"{name}: {told}", flush=True)


def on_the_web(numbers: Numbers, folder: Path, actions: int, flows: int, seed: int) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(running_browser(folder / "profile", WIDTH, HEIGHT))
        client = CdpPerson(url)
        stack.callback(client.close)
        person = WebPerson(client)
        page = folder / "page.html"
        environment = BrowserEnvironment(BrowserSettings(cdp_url=url))
        stack.callback(environment.close)
        task = Task("user/web", "do it", "browser", start=str(page), success=Success("none"))

        def begin(html: str) -> Recording:
            page.write_text(html, "utf-8")
            made = Recording(environment, lambda: BrowserSource(environment, OWN), task, folder / "episodes")
            if made.error is not None:
                raise made.error
            client.sit_down()
            return made

        wanted = synthetic(random.Random(seed), actions, (10, 10, WIDTH - 10, HEIGHT - 60))
        numbers.recovered("browser", actions, watch_actions(person, begin(SCREEN), wanted, (0, HEIGHT)))
        for number in range(flows):
            rng = random.Random(f"web {seed} {number}")
            html, places = bench(rng)
            path, first, shown = shown_flow(person, begin(html), web_flow(rng, places))
            report = replay_episode(path, environment, task)
            session = environment.session
            assert session is not None
            told = environment.on_owner(lambda s=session: s.tab.page.evaluate("told()"), 5, "the state")  # type: ignore[misc]
            numbers.replayed(f"browser flow {number}", first, shown, json.loads(told), str(report.first_difference))


def on_the_desktop(numbers: Numbers, folder: Path, actions: int, flows: int, seed: int) -> None:
    with x_screen(f"{WIDTH}x{HEIGHT}") as screen, ExitStack() as stack:
        file = folder / "told.json"
        person = XPerson(screen, file)
        environment = Desktop(DesktopSettings(display=screen.name))
        stack.callback(environment.close)

        task = Task("user/desk", "do it", "desktop", success=Success("none"), reset="none")

        def fresh(flow: str) -> None:
            screen.end()
            file.unlink(missing_ok=True)
            screen.start("openbox")
            screen.start(
                sys.executable, "-m", "benchmarks.recorder", "--panel", str(file), f"--flow={flow}", window="panel"
            )
            until(person.state, 60, "the panel")
            rest(person)

        def begin(flow: str) -> Recording:
            fresh(flow)
            made = Recording(environment, lambda: DesktopSource(environment), task, folder / "episodes")
            if made.error is not None:
                raise made.error
            return made

        wanted = synthetic(random.Random(seed + 1), actions, (120, 80, 1080, 600))
        recording = begin("")
        left, top, bottom = _panel_corner(screen)
        numbers.recovered("desktop", actions, watch_actions(person, recording, wanted, (left, bottom)))
        for number in range(flows):
            name = f"{seed}-{number}"
            recording = begin(name)
            flow = desk_flow(random.Random(f"desk {name}"), panel_places(random.Random(name)), left, top)
            path, first, shown = shown_flow(person, recording, flow)
            fresh(name)
            report = replay_episode(path, environment, task)
            numbers.replayed(f"desktop flow {number}", first, shown, rest(person), str(report.first_difference))


def _panel_corner(screen: Screen) -> tuple[int, int, int]:
    """Return left, top and bottom of what the panel shows."""
    windows = X11Windows(screen.name)
    try:
        place = windows.place(windows.find("panel")[-1])
    finally:
        windows.close()
    assert place is not None
    return place[0], place[1], place[1] + place[3]


def main() -> int:
    """Record and replay, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="10 actions and 2 flows instead of 200 and 20")
    arguments.add_argument("--actions", type=int, default=200)
    arguments.add_argument("--flows", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--panel", help=argparse.SUPPRESS)
    arguments.add_argument("--flow", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.panel:
        panel(given.panel, given.flow)
        return 0
    numbers, folder = Numbers(), Path(tempfile.mkdtemp(prefix="showonce-recorder-"))
    actions, flows, desktop = (10, 2, 1) if given.quick else (given.actions, given.flows, given.flows * 2 // 5)
    try:
        on_the_web(numbers, folder, actions // 2, flows - desktop, given.seed)
        on_the_desktop(numbers, folder, actions - actions // 2, desktop, given.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return finish(numbers.rows(), given)


if __name__ == "__main__":
    sys.exit(main())
