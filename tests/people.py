"""A person in front of a headless browser: a DevTools client of its own, beside the one that is tested."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.xscreen import until

from showonce.actions import NOTCH_PIXELS
from showonce.environments.browser.executable import find_browser
from showonce.environments.browser.owner import BrowserOwner, Launch

SHIFT = {"shift": 8, "ctrl": 2, "alt": 1, "meta": 4}
VIRTUAL = {
    "Backspace": 8, "Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38,
    "ArrowRight": 39, "ArrowDown": 40, "Delete": 46,
}  # fmt: skip


class CdpPerson:
    """Uses mouse and keyboard of the newest page of the browser at `url`, in CSS pixels of the window."""

    def __init__(self, url: str) -> None:
        self.owner = BrowserOwner()
        self.launch = Launch(cdp_url=url)
        self.browser = self.owner.call(lambda: self.owner.browser(self.launch), 30, "the person")
        self.cdp: Any = None

    def sit_down(self) -> None:
        """Take the newest page; waits until it is there."""

        async def session() -> Any:
            page = self.browser.contexts[0].pages[-1]
            return await page.context.new_cdp_session(page)

        until(lambda: self.browser.contexts[0].pages, what="a page")
        self.cdp = self.owner.call(session, 10, "the person")

    def send(self, method: str, **values: Any) -> Any:
        return self.owner.call(lambda: self.cdp.send(method, values), 10, method)

    def mouse(self, kind: str, x: float, y: float, button: str = "none", count: int = 0, **more: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=count, **more)

    def click(self, x: float, y: float, button: str = "left", count: int = 1, modifiers: int = 0) -> None:
        self.mouse("mouseMoved", x, y)
        for number in range(1, count + 1):
            self.mouse("mousePressed", x, y, button, number, modifiers=modifiers)
            self.mouse("mouseReleased", x, y, button, number, modifiers=modifiers)

    def drag(self, x: float, y: float, to_x: float, to_y: float, modifiers: int = 0) -> None:
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, "left", 1, modifiers=modifiers)
        for part in (0.3, 0.7, 1.0):
            at = (x + (to_x - x) * part, y + (to_y - y) * part)
            self.mouse("mouseMoved", *at, "left", buttons=1, modifiers=modifiers)
        self.mouse("mouseReleased", to_x, to_y, "left", 1, modifiers=modifiers)

    def wheel(self, x: float, y: float, notches: int, modifiers: int = 0) -> None:
        turned = NOTCH_PIXELS if notches > 0 else -NOTCH_PIXELS
        for _ in range(abs(notches)):
            self.mouse("mouseWheel", x, y, deltaX=0, deltaY=turned, modifiers=modifiers)

    def type(self, text: str) -> None:
        for letter in text:
            self.key(letter, letter)

    def key(self, key: str, text: str = "", *held: str) -> None:
        modifiers = sum(SHIFT[name] for name in held)
        code = VIRTUAL.get(key, ord(key.upper()) if len(key) == 1 and key.isascii() and key.isalnum() else 0)
        if key.startswith("F") and key[1:].isdigit():
            code = 111 + int(key[1:])
        down = {"type": "keyDown" if text else "rawKeyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.send("Input.dispatchKeyEvent", **down, key=key, modifiers=modifiers, windowsVirtualKeyCode=code)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers, windowsVirtualKeyCode=code)

    def insert(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def close(self) -> None:
        self.owner.close()
        self.owner._loop.close()


@contextmanager
def running_browser(
    folder: Path, width: int, height: int, display: str = "", start: str = "about:blank", flags: Sequence[str] = ()
) -> Iterator[str]:
    """Start a browser as a person would their own, and give its debugging address; without a display it is headless."""
    look = ["--no-first-run", "--test-type", "--disable-gpu"] if display else ["--headless", "--hide-scrollbars"]
    command = [
        find_browser(headless=not display), *look, "--no-sandbox", "--remote-debugging-port=0",
        f"--user-data-dir={folder}", f"--window-size={width},{height}", "--window-position=0,0", *flags, start,
    ]  # fmt: skip
    environ = {**os.environ, "DISPLAY": display} if display else None
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    port = folder / "DevToolsActivePort"
    try:
        until(lambda: port.exists() and "\n" in port.read_text(), 30, "the browser's port")
        yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
