from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.environments.desktop.conftest import Program
from tests.environments.wrappers.test_perceive import ocr_or_skip
from tests.xscreen import Screen, until

from showonce.actions import Action, Click, Done, DoubleClick, Drag, Key, RightClick, Scroll, Type, from_pixel
from showonce.demonstrations import EpisodeStore, load_demonstration, load_episode, read_png
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.record import DesktopSource
from showonce.environments.desktop.settings import DesktopSettings
from showonce.errors import DemonstrationError
from showonce.runtime.watch import record_watched
from showonce.types import Success, Task

WIDTH, HEIGHT = 1280, 720


class Session:
    """A recording under way, and the lines that were told."""

    def __init__(self, screen: Screen, folder: Path, redact: Any = (), **settings: Any) -> None:
        self.lines: list[str] = []
        self.error: Exception | None = None
        self.desktop = Desktop(DesktopSettings(display=screen.name, **settings))
        self.path: Path | None = None
        task = Task("user/desk", "do it", "desktop", success=Success("none"), reset="none", redact=redact)
        store = EpisodeStore(folder)

        def run() -> None:
            try:
                self.path = record_watched(
                    self.desktop, lambda: DesktopSource(self.desktop), task, 1, store,
                    tell=lambda text, final: self.lines.append(text),
                )  # fmt: skip
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()
        until(lambda: any("Recording" in line for line in self.lines), what="the recording")

    def told(self, text: str) -> None:
        until(lambda: any(text in line for line in self.lines), what=f"a line with {text!r}")

    def end(self) -> Any:
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.desktop.close()
        assert self.error is None, self.error
        assert self.path is not None
        return load_demonstration(self.path)


@pytest.fixture
def session(screen: Screen, program: Program, tmp_path: Path) -> Iterator[Session]:
    made = Session(screen, tmp_path / "episodes")
    yield made
    if made.thread.is_alive():
        screen.xdotool("key", "ctrl+F10")
        made.thread.join(10)
    made.desktop.close()


def at(x: int, y: int) -> tuple[float, float]:
    return from_pixel(x, WIDTH), from_pixel(y, HEIGHT)


def test_a_persons_hands_are_understood_to_the_pixel(session: Session, screen: Screen, program: Program) -> None:
    """xdotool is the person; the frames are those before each action."""
    screen.xdotool("mousemove", "300", "300", "click", "1")
    session.told("click (0.235, 0.417)")
    screen.xdotool("mousemove", "401", "299", "click", "--repeat", "2", "--delay", "60", "1")
    session.told("double_click")
    screen.xdotool("mousemove", "350", "350", "click", "3")
    screen.xdotool("mousemove", "200", "200", "mousedown", "1", "mousemove", "260", "220", "mousemove", "301", "233")
    screen.xdotool("mouseup", "1")
    session.told("drag")
    screen.xdotool("mousemove", "333", "333", "click", "--repeat", "3", "5")
    screen.xdotool("type", "--delay", "12", "Héllo, w")
    screen.xdotool("key", "BackSpace", "W", "ctrl+a", "Return")
    session.told("enter")
    screen.xdotool("key", "ctrl+F10")
    demonstration = session.end()
    expected: list[Action] = [
        Click(*at(300, 300)), DoubleClick(*at(401, 299)), RightClick(*at(350, 350)),
        Drag(*at(200, 200), *at(301, 233)), Scroll(*at(333, 333), 3), Type("Héllo, W"), Key("ctrl+a"), Key("enter"),
        Done(),
    ]  # fmt: skip
    assert [frame.action for frame in demonstration.frames] == expected
    first, second = (frame.observation.image for frame in demonstration.frames[:2])
    red = (255, 0, 0)  # the program draws a red spot where it was clicked
    assert not (first[290:310, 290:310] == red).all(axis=2).any()
    assert (second[300, 300] == red).all()
    assert not (second[290:310, 401:420] == red).all(axis=2).any()


def test_a_window_of_its_own_frame_follows_its_window(screen: Screen, program: Program, tmp_path: Path) -> None:
    session = Session(screen, tmp_path / "episodes", window="panel")
    left, top, width, height = session.desktop._camera.place()  # type: ignore[union-attr]
    screen.xdotool("mousemove", str(left + 40), str(top + 90), "click", "1")
    screen.xdotool("mousemove", str(left + width + 60), str(top + 90), "click", "1")  # beside the window
    session.told("click")
    screen.xdotool("key", "ctrl+F10")
    frames = session.end().frames
    assert [frame.action for frame in frames] == [Click(from_pixel(40, width), from_pixel(90, height)), Done()]
    assert frames[0].observation.image.shape == (height, width, 3)


def test_a_closed_window_ends_it_with_what_was_done(screen: Screen, program: Program, tmp_path: Path) -> None:
    session = Session(screen, tmp_path / "episodes", window="panel")
    left, top, *_ = session.desktop._camera.place()  # type: ignore[union-attr]
    screen.xdotool("mousemove", str(left + 40), str(top + 90), "click", "1")
    session.told("click")
    program.process.terminate()
    session.thread.join(10)
    session.desktop.close()
    assert isinstance(session.error, DemonstrationError) and "closed or minimised" in str(session.error)
    (path,) = (tmp_path / "episodes").iterdir()
    assert [step.executed.verb for step in load_episode(path).steps if step.executed] == ["click"]


def test_chosen_regions_are_blank_on_the_disk(screen: Screen, program: Program, tmp_path: Path) -> None:
    session = Session(screen, tmp_path / "episodes", redact=((0.0, 0.0, 0.5, 1.0),))
    screen.xdotool("mousemove", "300", "300", "click", "1")
    session.told("click")
    screen.xdotool("key", "ctrl+F10")
    session.end()
    assert session.path is not None
    pictures = [read_png(file) for file in session.path.glob("*.png")]
    assert pictures and not any(picture[:, :640].any() for picture in pictures)
    assert all(picture[:, 640:].any() for picture in pictures)


def test_pause_and_redo_by_key(screen: Screen, program: Program, tmp_path: Path) -> None:
    session = Session(screen, tmp_path / "episodes")
    screen.xdotool("mousemove", "300", "300", "click", "1")
    session.told("1. click")
    screen.xdotool("key", "ctrl+F9")
    until(lambda: sum("Recording." in line for line in session.lines) == 2, what="the second recording")
    screen.xdotool("key", "ctrl+F8")
    session.told("paused")
    screen.xdotool("type", "secret")
    screen.xdotool("key", "ctrl+F8")
    session.told("recording again")
    screen.xdotool("type", "--delay", "15", "ok")
    screen.xdotool("key", "ctrl+F10")
    assert [frame.action for frame in session.end().frames] == [Type("ok"), Done()]
    assert len(list((tmp_path / "episodes").iterdir())) == 1


def test_what_the_person_says_is_a_secret_is_nowhere(session: Session, screen: Screen) -> None:
    hand = screen.xdotool
    hand("mousemove", "300", "135", "click", "1", "key", "ctrl+F6")
    session.told("what you type now is a secret")
    hand("type", "--delay", "15", "Pa55-Wordx")
    hand("key", "BackSpace", "ctrl+F6")
    session.told("recorded again")
    hand("type", "--delay", "15", "ok")
    hand("key", "ctrl+F10")
    actions = [frame.action for frame in session.end().frames]
    assert [action.verb for action in actions] == ["click", "type", "type", "done"]
    assert isinstance(actions[1], Type) and actions[1].text.startswith("<secret") and actions[2] == Type("ok")
    assert session.path is not None
    stored = b"".join(file.read_bytes() for file in session.path.glob("*.json*"))
    assert stored and b"Pa55" not in stored and not any("Pa55" in line for line in session.lines)


def test_a_text_under_the_pointer_is_read_from_the_screen(session: Session, screen: Screen, program: Program) -> None:
    ocr_or_skip()
    screen.xdotool("type", "--delay", "12", "Invoice paid")
    until(lambda: program.text == "Invoice paid", what="the text")
    screen.xdotool("mousemove", "140", "130")  # in the entry, below the title bar of the window at (100, 100)
    time.sleep(0.2)
    screen.xdotool("key", "ctrl+F7")
    session.told("must be there: 'Invoice paid")
    screen.xdotool("key", "ctrl+F10")
    (check,) = session.end().checks
    assert check.step == 1 and check.text.startswith("Invoice paid")  # the caret may be read, too
    assert check.region[0] * WIDTH <= 140 <= check.region[2] * WIDTH
