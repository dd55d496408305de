"""Which desktop this is, and what is missing for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final, Literal

from showonce.errors import Unavailable

System = Literal["x11", "windows", "macos"]
EXTRA: Final = "pip install 'showonce[desktop]'"
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
