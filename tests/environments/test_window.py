"""A person at the window of the embedded world: xdotool is the person, Xvfb the display."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time

import pytest

from showonce.actions import (
    Click,
    Done,
    DoubleClick,
    Drag,
    Key,
    Move,
    Open,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
)
from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.environments.embedded.window import SCALE, ScreenWindow
from showonce.environments.registry import find_task, make_environment, oracle_for
from showonce.errors import Unavailable
from showonce.runtime.recorder import HandPolicy, record

needs_display = pytest.mark.skipif(
    not (os.environ.get("DISPLAY") and shutil.which("xdotool")), reason="needs a display (DISPLAY) and xdotool"
)


def xdotool(*words: object) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True, timeout=20)


class Person(threading.Thread):
    """Does one gesture after another, each a list of xdotool commands, as soon as the window waits for it."""

    def __init__(self, window: ScreenWindow) -> None:
        super().__init__(daemon=True)
        self.gestures: list[list[tuple[object, ...]]] = []
        self.x, self.y = window.canvas_origin()

    def at(self, action) -> tuple[int, int]:
        return self.x + int(action.x * 112) * SCALE + 2, self.y + int(action.y * 112) * SCALE + 2

    def run(self) -> None:
        for gesture in self.gestures:
            time.sleep(0.15)
            for command in gesture:
                xdotool(*command)


@pytest.fixture
def window():
    window = ScreenWindow()
    yield window
    window.close()


def move(person: Person, action) -> tuple[object, ...]:
    return ("mousemove", *person.at(action))


@needs_display
@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Click(0.5, 0.4), [("click", 1)]),
        (DoubleClick(0.3, 0.7), [("click", "--repeat", 2, "--delay", 40, 1)]),
        (TripleClick(0.3, 0.7), [("click", "--repeat", 3, "--delay", 40, 1)]),
        (
            Click(0.5, 0.4, "ctrl+shift"),
            [("keydown", "ctrl", "keydown", "shift"), ("click", 1), ("keyup", "shift", "keyup", "ctrl")],
        ),
        (RightClick(0.6, 0.2), [("click", 3)]),
        (Move(0.2, 0.2), [("click", 2)]),
        (Scroll(0.5, 0.5, 3), [("click", 5)]),
    ],
)
def test_pointing_becomes_one_action_at_the_pixel_under_the_pointer(window, wanted, words):
    world = make_environment("embedded")
    observation = world.reset(find_task("app/dev/single/0"), 1)
    person = prepare(window, observation)
    person.gestures = [[move(person, wanted), *words]]
    person.start()
    got = window.next_action(observation)
    assert type(got) is type(wanted) and getattr(got, "held", "") == getattr(wanted, "held", "")
    assert (int(got.x * 112), int(got.y * 112)) == (int(wanted.x * 112), int(wanted.y * 112))


def prepare(window: ScreenWindow, observation) -> Person:
    window.show(observation)
    return Person(window)


@needs_display
def test_a_drag_typing_chords_and_the_buttons(window):
    observation = make_environment("embedded").reset(find_task("app/dev/single/0"), 1)
    person = prepare(window, observation)
    start, end = Move(0.2, 0.3), Move(0.7, 0.8)
    person.gestures = [
        [move(person, start), ("mousedown", 1), move(person, Move(0.4, 0.5)), move(person, end), ("mouseup", 1)],
        [("type", "--delay", 20, "sux"), ("key", "BackSpace"), ("type", "n"), ("key", "Return")],
        [("key", "ctrl+s")],
        [("key", "F5")],
    ]
    person.start()
    drag = window.next_action(observation)
    assert isinstance(drag, Drag)
    assert (int(drag.to_x * 112), int(drag.to_y * 112)) == (int(0.7 * 112), int(0.8 * 112))
    assert [window.next_action(observation) for _ in range(3)] == [Type("sun"), Key("ctrl+s"), Key("f5")]
    for name, wanted in (("wait", Wait(2.0)), ("open", Open("notes")), ("done", Done("notes"))):
        window.write("notes")
        window.press(name)
        assert window.next_action(observation) == wanted


@needs_display
def test_a_person_records_a_whole_workflow(window, tmp_path):
    """The person clicks where the oracle would, through real mouse and keyboard events; the episode is a person's."""
    world, task = make_environment("embedded"), find_task("app/dev/multi/0")
    person = prepare(window, world.reset(task, 3))

    class Following:
        """Hands each screen to the window and lets the person do what the oracle knows."""

        def next_action(self, observation):
            if world.verify().success is not None:
                return None
            action = oracle_for(world)()
            hand = Person(window)
            hand.gestures = [gesture(hand, action)]
            hand.start()
            return window.next_action(observation)

    path = record(world, task, 3, HandPolicy(Following().next_action), EpisodeStore(tmp_path), "person")
    demonstration = load_demonstration(path)
    assert demonstration.source == "person" and len(demonstration.frames) >= 3
    assert person.x >= 0


def gesture(person: Person, action) -> list[tuple[object, ...]]:
    if isinstance(action, Type):
        return [("type", "--delay", 20, action.text), ("key", "Return")]
    if isinstance(action, Key):
        names = {"enter": "Return", "tab": "Tab", "delete": "Delete", "f5": "F5", "alt+left": "alt+Left"}
        return [("key", names.get(action.keys, action.keys))]
    clicks = {Click: ("click", 1), RightClick: ("click", 3), Move: ("click", 2)}
    double = ("click", "--repeat", 2, "--delay", 40, 1)
    return [move(person, action), clicks.get(type(action), double)]


def test_without_a_display_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(Unavailable, match="oracle"):
        ScreenWindow()
