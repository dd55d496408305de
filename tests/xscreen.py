"""A real X screen for tests: Xvfb with openbox, programs in it, and xdotool as the person in front of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

WAIT = 20.0


def until(condition: Callable[[], object], seconds: float = WAIT, what: str = "") -> None:
    """Wait for a condition; a test that waits in vain fails."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what or condition} did not come true within {seconds:g} s"
        time.sleep(0.005)


class Screen:
    """One X display. Everything that is started in it is ended with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.environ = {**os.environ, "DISPLAY": name, "LC_ALL": "C.UTF-8"}
        self.environ.pop("WAYLAND_DISPLAY", None)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, window: str = "") -> subprocess.Popen[bytes]:
        """Start a program; with `window`, wait for a window with this title."""
        process = subprocess.Popen(
            command, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.running.append(process)
        if window:
            until(lambda: self.find(window), what=f"a window {window!r}")
        return process

    def xdotool(self, *words: str) -> str:
        """Let the person do something."""
        done = subprocess.run(["xdotool", *words], env=self.environ, capture_output=True, text=True, timeout=30)
        return done.stdout.strip()

    def find(self, title: str) -> str:
        """Return the id of the visible window with this title, or ""."""
        return self.xdotool("search", "--onlyvisible", "--name", f"^{title}$").partition("\n")[0]

    def end(self) -> None:
        """End every program that was started."""
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


def start_server(size: str = "1280x720") -> tuple[subprocess.Popen[bytes], str]:
    """Start Xvfb on a display number that is free; return its process and the display's name."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    assert number, "Xvfb did not start"
    return server, f":{number}"


@contextmanager
def x_screen(size: str = "1280x720", manager: bool = True) -> Iterator[Screen]:
    """Start a display of its own, on a number that is free."""
    lacking = [name for name in ("Xvfb", "openbox", "xdotool") if shutil.which(name) is None]
    if lacking:
        pytest.skip(f"no {', '.join(lacking)} here")
    server, name = start_server(size)
    screen = Screen(name)
    try:
        if manager:
            screen.start("openbox")
            until(lambda: "window id #" in _prop(screen), what="openbox")
        yield screen
    finally:
        screen.end()
        server.terminate()
        server.wait(10)


def _prop(screen: Screen) -> str:
    command = ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"]
    return subprocess.run(command, env=screen.environ, capture_output=True, text=True, timeout=10).stdout
