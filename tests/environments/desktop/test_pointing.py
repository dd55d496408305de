"""What appears because of the pointer: a move before the press, and no wait. Real frames of a Tk program."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.environments.desktop.test_interpret import Watching
from tests.environments.desktop.test_record import Session
from tests.xscreen import Screen, until

from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.runtime.stop import Stop
from showonce.types import Task

LEFT, TOP = 101, 120  # of the program's contents; openbox draws a border and a title


class Menus:
    """The program, and a person who moves in small steps."""

    def __init__(self, screen: Screen, tmp_path: Path) -> None:
        pytest.importorskip("tkinter")
        script = str(Path(__file__).with_name("menus.py"))
        screen.start(sys.executable, script, "menus", str(tmp_path / "pressed"), window="menus")
        self.screen = screen
        self.go(880, 480)
        time.sleep(0.3)
        self.watching = Watching(screen)

    def go(self, x: int, y: int, rest: float = 0.25) -> None:
        self.screen.xdotool("mousemove", str(LEFT + x), str(TOP + y), "sleep", str(rest))

    def glide(self, x: int, y: int, to_x: int, to_y: int) -> None:
        words: list[str] = []
        for step in range(11):
            words += ["mousemove", str(LEFT + x + (to_x - x) * step // 10), str(TOP + y + (to_y - y) * step // 10)]
            words += ["sleep", "0.02"]
        self.screen.xdotool(*words, "sleep", "0.15")

    def press(self) -> None:
        self.screen.xdotool("click", "1", "sleep", "0.15")

    def escape(self) -> None:
        self.screen.xdotool("key", "Escape", "sleep", "0.2")


@pytest.fixture
def menus(screen: Screen, tmp_path: Path) -> Iterator[Menus]:
    made = Menus(screen, tmp_path)
    yield made
    made.watching.close()


def acts(events: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    found = [event for event in events if event["kind"] in ("move", "press")]
    return [(event["kind"], event["x"] - LEFT, event["y"] - TOP) for event in found]


def test_a_menu_that_the_pointer_opened_keeps_the_way_to_it(menus: Menus) -> None:
    menus.go(60, 35)
    menus.go(60, 65)
    menus.press()
    menus.escape()
    menus.go(880, 480)
    menus.go(60, 35)  # a menu's menu
    menus.go(60, 125, 0.4)
    menus.glide(60, 125, 220, 128)
    menus.press()
    menus.escape()
    menus.go(260, 35, 0.7)  # one that takes its time
    menus.glide(260, 35, 262, 96)
    menus.press()
    found = acts(menus.watching.end())
    wanted = [
        *(("move", 60, 35), ("press", 60, 65)),
        *(("move", 60, 35), ("move", 60, 125), ("press", 220, 128)),
        *(("move", 260, 35), ("press", 262, 96)),
    ]
    rest = iter(found)  # an entry that lights up on the way may give one more move
    assert all(one in rest for one in wanted) and len(found) <= len(wanted) + 2, found
    assert [one for one in found if one[0] == "press"] == [one for one in wanted if one[0] == "press"]


def test_a_highlight_a_dialog_and_a_new_part_of_the_screen_need_no_move(menus: Menus) -> None:
    menus.glide(480, 90, 560, 40)  # a button, from outside to its middle
    menus.press()
    menus.glide(390, 115, 860, 116)  # a long row, highlighted where the pointer came in
    menus.press()
    menus.glide(395, 180, 560, 250)  # a large card
    menus.press()
    menus.go(690, 35)
    menus.press()
    menus.glide(690, 35, 400, 280)  # the dialog opens under the pointer half a second later
    time.sleep(0.5)
    menus.glide(400, 280, 360, 345)
    menus.press()
    assert [kind for kind, *_ in acts(menus.watching.end())] == ["press"] * 5


def test_what_the_pointer_changes_is_no_wait_and_what_comes_late_is(menus: Menus) -> None:
    """Seconds from a press to the last change before the next: menus do not count, what was loaded does."""
    menus.go(560, 40)
    menus.press()
    time.sleep(1.0)
    menus.go(60, 35)
    menus.go(60, 65)
    menus.press()
    menus.escape()
    menus.go(820, 35)
    menus.press()
    time.sleep(2.8)
    menus.go(60, 35)
    menus.go(60, 65)
    menus.press()
    presses = [event for event in menus.watching.end() if event["kind"] == "press"]
    waits = [after["frame_time"] - before["time"] for before, after in itertools.pairwise(presses)]
    assert waits[0] < 0.5 and 2.3 < waits[2] < 3.0


def test_a_menus_menu_is_opened_again_by_a_replay(screen: Screen, tmp_path: Path) -> None:
    menus = Menus(screen, tmp_path)
    menus.watching.close()
    session = Session(screen, tmp_path / "episodes")
    menus.go(60, 35)
    menus.go(60, 125, 0.4)
    menus.glide(60, 125, 220, 150)
    menus.press()
    screen.xdotool("key", "ctrl+F10")
    actions = [frame.action for frame in session.end().frames]
    verbs = [action.verb for action in actions]  # on the way an entry that lights up may give one more move
    assert verbs in (["move", "move", "click", "done"], ["move", "move", "move", "click", "done"]), actions
    pressed = tmp_path / "pressed"
    assert pressed.read_text() == "pdf\n"
    menus.escape()
    menus.go(880, 480)
    desktop = Desktop(DesktopSettings(display=screen.name, first=0.4))
    desktop.reset(Task("user/desk", "do it", "desktop", reset="none"))
    for action in actions[:-1]:
        desktop.execute(action, Stop())
        time.sleep(0.3)  # `replay` itself waits after a move
    desktop.close()
    until(lambda: pressed.read_text() == "pdf\npdf\n", what="the second press")
