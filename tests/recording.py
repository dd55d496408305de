"""A recording of a person in a browser, under way in a thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.people import CdpPerson
from tests.xscreen import until

from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.clocks import MachineClock
from showonce.runtime.watch import record_watched
from showonce.secrets import NOWHERE, Places
from showonce.types import Demonstration, Success, Task

OWN = ("ctrl+f6", "ctrl+f7", "ctrl+f8", "ctrl+f9", "ctrl+f10")


class Session:
    """A recording under way in a browser that runs by itself, and the person in front of it."""

    def __init__(self, url: str, person: CdpPerson, folder: Path) -> None:
        self.folder, self.person = folder, person
        self.environment = BrowserEnvironment(BrowserSettings(cdp_url=url, settle=0.3))
        self.lines: list[str] = []
        self.path: Path | None = None
        self.error: Exception | None = None
        self.thread = threading.Thread()
        self.clock: MachineClock | None = None
        self.source: BrowserSource | None = None

    def show(self, html: str, redact: Any = (), secrets: Places = NOWHERE) -> None:
        """Begin to record on a page."""
        page = self.folder / "page.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0;background:#eee'>{html}", "utf-8")
        task = Task("user/web", "do it", "browser", start=str(page), success=Success("none"), redact=redact)

        def run() -> None:
            try:
                self.path = record_watched(
                    self.environment, lambda: self.watch(secrets), task, 1,
                    EpisodeStore(self.folder / "episodes"), tell=lambda text, final: self.lines.append(text),
                )  # fmt: skip
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()
        until(lambda: self.error or self.lines, 30, "the recording")
        self.told("Recording")
        self.person.sit_down()

    def watch(self, secrets: Places) -> BrowserSource:
        self.source = self.environment.watch(OWN, secrets)
        if self.clock is not None:
            self.source = BrowserSource(self.environment, OWN, self.clock, secrets)
        return self.source

    def told(self, text: str) -> None:
        until(lambda: self.error or any(text in line for line in self.lines), what=f"a line with {text!r}")
        assert self.error is None, self.error

    def checked(self, count: int) -> bool:
        return sum(line.startswith(("   must be there", "no check")) for line in self.lines) >= count

    def end(self) -> Demonstration:
        self.person.key("F10", "", "ctrl")
        self.thread.join(10)
        assert self.error is None, self.error
        assert self.path is not None
        return load_demonstration(self.path)

    def close(self) -> None:
        if self.thread.is_alive():
            self.person.key("F10", "", "ctrl")
            self.thread.join(10)
        self.environment.close()
