"""One X screen for all desktop tests, and a program that writes down what it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.xscreen import Screen, until, x_screen

from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings


@pytest.fixture(scope="session")
def display() -> Iterator[Screen]:
    with x_screen() as screen:
        yield screen


@pytest.fixture
def screen(display: Screen) -> Iterator[Screen]:
    """The X screen; programs that a test starts in it are ended after the test."""
    keep = list(display.running)
    yield display
    begun = [process for process in display.running if process not in keep]
    display.running[:] = begun
    display.end()
    display.running[:] = keep


class Program:
    """The Tk program of `program.py` in a screen."""

    def __init__(
        self, screen: Screen, file: Path, title: str = "panel", geometry: str = "600x400+100+100", activate: bool = True
    ) -> None:
        pytest.importorskip("tkinter")
        self.file, self.title = file, title
        script = str(Path(__file__).with_name("program.py"))
        self.process = screen.start(sys.executable, script, str(file), title, geometry, window=title)
        until(lambda: self.events("ready"), what="the Tk program")
        if activate:
            screen.xdotool("search", "--name", f"^{title}$", "windowactivate", "--sync")

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what it was told so far."""
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else []
        told = [json.loads(line) for line in lines]
        return [event for event in told if not kinds or event["kind"] in kinds]

    @property
    def text(self) -> str:
        """What stands in its entry."""
        written = self.events("text")
        return str(written[-1]["text"]) if written else ""


@pytest.fixture
def program(screen: Screen, tmp_path: Path) -> Program:
    return Program(screen, tmp_path / "told.jsonl")


@pytest.fixture
def desk(screen: Screen) -> Iterator[Callable[..., Desktop]]:
    """Make desktops on the screen; they are closed after the test."""
    made: list[Desktop] = []

    def make(**settings: Any) -> Desktop:
        made.append(Desktop(DesktopSettings(**{"display": screen.name, "first": 0.1, **settings})))
        return made[-1]

    yield make
    for desktop in made:
        desktop.close()


@pytest.fixture
def german(screen: Screen) -> Iterator[None]:
    """A keyboard with dead keys, a third level and Compose."""
    layout = ["setxkbmap", "-layout", "de", "-option", "compose:menu"]
    subprocess.run(layout, env=screen.environ, check=True)
    yield
    subprocess.run(["setxkbmap", "-layout", "us", "-option", ""], env=screen.environ, check=True)
