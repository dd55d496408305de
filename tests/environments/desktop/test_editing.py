"""Text that was edited while it was typed is the same text when the recording is replayed."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.environments.desktop.conftest import Program
from tests.environments.desktop.test_record import Session
from tests.xscreen import Screen, until

from showonce.actions import Action, Done, Key
from showonce.demonstrations import load_demonstration
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.runtime.stop import Stop
from showonce.types import Success, Task

SEQUENCES = 20
EDITS = ("BackSpace", "BackSpace", "BackSpace", "Delete", "Left", "Right", "Home", "End", "shift+Left", "shift+Home")
SIGNS = "abcXYZ 019.-üÖß€@"  # all on the keyboard: what xdotool binds for an instant, Tk may look up too late
DEAD = (("dead_acute", "e"), ("dead_circumflex", "shift+a"), ("Multi_key", "o", "e"))


def edited(chance: random.Random, screen: Screen) -> None:
    """Type and correct something in the entry; Return ends it."""
    for _ in range(chance.randint(6, 14)):
        kind = chance.random()
        if kind < 0.5:
            words = ["type", "--delay", "8", "".join(chance.choices(SIGNS, k=chance.randint(1, 4)))]
        else:
            words = ["key", "--delay", "8", *(chance.choice(DEAD) if kind < 0.65 else [chance.choice(EDITS)])]
        screen.xdotool(*words)
    screen.xdotool("key", "Return")


def test_twenty_texts_that_were_corrected_in_typing_are_replayed_as_they_stood(
    german: None, screen: Screen, program: Program, tmp_path: Path
) -> None:
    chance = random.Random(7)
    session = Session(screen, tmp_path / "episodes")
    written: list[str] = []
    screen.xdotool("mousemove", "300", "135", "click", "1")
    for number in range(SEQUENCES):
        edited(chance, screen)
        until(lambda number=number: returns(program) > number, what="Return")  # type: ignore[misc]
        written.append(program.text)
        screen.xdotool("key", "End", "shift+Home", "Delete")
        until(lambda: program.text == "", what="an empty entry")
    screen.xdotool("key", "ctrl+F10")
    demonstration = session.end()
    assert session.path is not None and load_demonstration(session.path)
    actions = [frame.action for frame in demonstration.frames]
    assert len(set(written)) > SEQUENCES // 2
    assert replayed(actions, screen, program) == written


def returns(program: Program) -> int:
    return sum(event["key"] == "Return" for event in program.events("key"))


def replayed(actions: list[Action], screen: Screen, program: Program) -> list[str]:
    """Do the actions again; return what stood in the entry at each Return."""
    before, written = returns(program), list[str]()
    desktop = Desktop(DesktopSettings(display=screen.name, quiet=0.001, first=0.001))
    desktop.reset(Task("user/desk", "do it", "desktop", success=Success("none"), reset="none"))
    stop = Stop()
    for action in actions:
        if isinstance(action, Done):
            break
        desktop.execute(action, stop)
        if action == Key("enter"):
            until(lambda: returns(program) > before + len(written), what="Return")
            time.sleep(0.02)
            written.append(program.text)
    desktop.close()
    return written
