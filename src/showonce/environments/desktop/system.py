"""Which desktop this is, and what is missing for it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from showonce.environments.desktop.settings import EXTRA
from showonce.environments.desktop.windows_x11 import X11Windows
from showonce.environments.desktop.xdisplay import connect, hang_up
from showonce.errors import Unavailable

System = Literal["x11", "windows", "macos"]
_WAYLAND: Final = (
    "this is a Wayland session, which lets no program see or use the screen of another. Choose an X11 ('Xorg') "
    "session at the login screen, or run the programs on a display of their own: `xvfb-run showonce ...` "
    "(package xvfb), or Xephyr to watch it, with environment.settings.display=:N."
)


def detect(display: str = "", environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> System:
    """Return the system whose screen is meant. display: an X display that was asked for by name; "" = the session's.

    Raises:
        Unavailable: Wayland (with what to do instead), no display, or a system that is not supported.
    """
    environ = os.environ if environ is None else environ
    if platform == "win32":
        return "windows"
    if platform == "darwin":
        return "macos"
    if not platform.startswith(("linux", "freebsd", "openbsd", "netbsd")):
        raise Unavailable(
            f"environment=desktop does not know the system {platform!r}; it knows X11, Windows and macOS."
        )
    if display:
        return "x11"
    wayland = environ.get("WAYLAND_DISPLAY") or environ.get("XDG_SESSION_TYPE", "").lower() == "wayland"
    if wayland:
        raise Unavailable(_WAYLAND)
    if not environ.get("DISPLAY"):
        raise Unavailable(
            "there is no display: DISPLAY is not set. Run it in a desktop session, under `xvfb-run showonce ...` "
            "(package xvfb), or name an X display, e.g. environment.settings.display=:1"
        )
    return "x11"


@dataclass(frozen=True)
class Fact:
    """One thing that the desktop environment needs or can use."""

    name: str
    here: bool
    detail: str


def facts(display: str = "") -> Iterator[Fact]:
    """Say what of the desktop environment works here, without a screenshot and without any input."""
    mss = importlib.util.find_spec("mss") is not None
    yield Fact("desktop capture", mss, "mss" if mss else f"mss is missing: {EXTRA}")
    try:
        system = detect(display)
    except Unavailable as problem:
        yield Fact("desktop screen", False, str(problem))
        return
    if system != "x11":
        here = importlib.util.find_spec("pynput") is not None
        said = f"{system}, written but not proved" if here else f"pynput is missing: {EXTRA}"
        yield Fact("desktop screen", here, said)
        return
    yield from _x11_facts(display)


def _x11_facts(display: str) -> Iterator[Fact]:
    for name, extension in (("desktop screen", ""), ("desktop input", "XTEST"), ("desktop stop chord", "RECORD")):
        try:
            hang_up(connect(display, *([extension] if extension else [])))
        except Unavailable as problem:
            yield Fact(name, False, str(problem))
            if not extension:
                return
        else:
            yield Fact(name, True, f"X11 {extension}".strip())
    windows = X11Windows(display)
    manager = windows.manager()
    windows.close()
    yield Fact(
        "window manager", bool(manager), manager or "none: windows have no frame and get the keyboard by pointer"
    )
