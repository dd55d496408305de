"""A browser to test with: whether there is one, and if not, why; and a seat before it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from showonce.actions import Action, Click
from showonce.environments.browser.executable import find_browser
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.errors import Unavailable
from showonce.types import Executed, Observation, Task


def _missing() -> str:
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    try:
        find_browser()
    except Unavailable as reason:
        return str(reason)
    return ""


NO_BROWSER = _missing()
needs_browser = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
needs_miniwob = pytest.mark.skipif(
    bool(NO_BROWSER) or importlib.util.find_spec("miniwob") is None, reason=NO_BROWSER or "miniwob is not installed"
)

WIDTH, HEIGHT = 320, 240
GO = Presses()
BUTTON = "<button id=b style='position:absolute;left:20px;top:20px;width:80px;height:40px' onclick=\"{}\">b</button>"
LOG = (
    "<pre id=log style='position:absolute;left:0;top:120px;margin:0'></pre>"
    "<script>const say = t => log.textContent += t + '\\n'</script>"
)


class Seat:
    """A browser environment and the page that it shows; places are CSS pixels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, text=True, timeout=2.0))

    def show(self, html: str, name: str = "page.html", **settings: object) -> Observation:
        """Load a page; with settings, in an environment of its own."""
        (self.folder / name).write_text(f"<!doctype html><body style='margin:0'>{html}", "utf-8")
        if settings:
            self.environment.close()
            given: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "text": True} | settings
            self.environment = BrowserEnvironment(BrowserSettings(**given))
        return self.environment.reset(Task("user/page", "look", "browser", start=str(self.folder / name)), 1)

    def do(self, action: Action) -> Executed:
        return self.environment.execute(action, GO)

    def click(self, x: float, y: float) -> Executed:
        return self.do(Click(x / WIDTH, y / HEIGHT))

    @property
    def text(self) -> str:
        return self.environment.observe().text or ""
