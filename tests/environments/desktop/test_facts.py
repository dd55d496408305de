"""What the desktop knows of the window that an action goes to, on a real X screen, and what safety makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.environments.desktop.conftest import Program
from tests.xscreen import Screen

from showonce.actions import Click, Type, from_pixel
from showonce.config import SafetyConfig
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.wrappers.fence import Fenced
from showonce.errors import BadInput
from showonce.protocols import Facts
from showonce.runtime.stop import Stop
from showonce.types import Task

ON_PANEL = (from_pixel(200, 1280), from_pixel(250, 720))
OUTSIDE = (from_pixel(1200, 1280), from_pixel(700, 720))


def test_titles_and_owners_of_what_lies_under_a_place(screen: Screen, tmp_path: Path) -> None:
    Program(screen, tmp_path / "told.jsonl", "panel", "600x400+100+100")
    Program(screen, tmp_path / "other.jsonl", "other", "200x100+900+100")
    desktop = Desktop(DesktopSettings(display=screen.name))
    try:
        desktop.reset(Task("desktop/facts", "look", "desktop"))
        assert isinstance(desktop, Facts)
        facts = desktop.facts([ON_PANEL])
        assert (facts.title, facts.application) == ("panel", "Tk")
        assert facts.content is not None and facts.content[2] - facts.content[0] == pytest.approx(600 / 1280, abs=0.01)
        assert (desktop.facts([OUTSIDE]).title, desktop.facts([OUTSIDE]).content) == ("", None)
        both = desktop.facts([ON_PANEL, (from_pixel(1000, 1280), from_pixel(150, 720))])
        assert (both.title, both.application) == (None, "Tk"), "a drag from one window into another has no one title"
        assert desktop.facts().title == "other", "keys go to the window that was activated last"
    finally:
        desktop.close()


def test_a_fence_of_titles_keeps_the_agent_in_its_window(screen: Screen, tmp_path: Path) -> None:
    panel = Program(screen, tmp_path / "told.jsonl", "panel", "600x400+100+100")
    desktop = Fenced(Desktop(DesktopSettings(display=screen.name)), SafetyConfig(titles=("pan*",)))
    try:
        desktop.reset(Task("desktop/fence", "look", "desktop"))
        desktop.execute(Click(*ON_PANEL), Stop())
        desktop.execute(Type("x"), Stop())
        told = len(panel.events())
        with pytest.raises(BadInput, match=r"safety\.titles"):
            desktop.execute(Click(*OUTSIDE), Stop())
        assert len(panel.events()) == told
    finally:
        desktop.close()
