"""Settings of the environments that run in a Chromium."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from showonce.environments.browser.geometry import image_size
from showonce.environments.settings import EnvironmentSettings, setting
from showonce.errors import ConfigError

FRAME_SECONDS: Final = 1 / 60  # one frame of the browser


@dataclass(frozen=True, kw_only=True)
class PageSettings(EnvironmentSettings):
    """What `browser` and `miniwob` have in common."""

    frame: Any = setting(0, "size to which the screenshot is scaled, in pixels: 112, or [320, 240]; 0 = not scaled")
    browser: str = setting("", "path or name of the Chromium executable; empty = searched for")
    headless: bool = setting(True, "run without a window")
    quiet: float = setting(FRAME_SECONDS, "seconds without a change after which a page counts as at rest", 0, 10)
    settle: float = setting(1.0, "seconds that a page gets to come to rest before it is looked at all the same", 0, 60)
    timeout: float = setting(5.0, "seconds after which a page that does not answer is given up", 0.1, 600)
    text: bool = setting(False, "give the page's text beside the screenshot")

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            image_size(self.frame)
        except (TypeError, ValueError):
            raise ConfigError(
                f"environment.settings.frame={self.frame!r} must be a size in pixels such as 112 or [320, 240]."
            ) from None


@dataclass(frozen=True, kw_only=True)
class BrowserSettings(PageSettings):
    """Settings of `browser`, a tab of a Chromium."""

    start: str = setting(
        "site:index",
        "where an episode begins when its task does not say: an address, a file, or site:PAGE of the demo site; {seed} "
        "in it becomes the episode's seed",
    )
    width: int = setting(1280, "width of the page in CSS pixels", 16, 8192)
    height: int = setting(720, "height of the page in CSS pixels", 16, 8192)
    scale: float = setting(1.0, "device pixels per CSS pixel", 0.5, 4)
    cdp_url: str = setting(
        "", "DevTools address of a running browser to drive, in the tab in front, e.g. http://127.0.0.1:9222"
    )
    load: float = setting(15.0, "seconds that an address gets to load", 0.1, 600)
    caret: bool = setting(False, "show the blinking caret")
    selects: bool = setting(True, "draw native lists and date fields as part of the page, so that they can be operated")
    downloads: str = setting("", "folder for downloads; empty = the run's, else a temporary one")
    seeded: bool = setting(False, "promise that the pages look the same for the same seed")
