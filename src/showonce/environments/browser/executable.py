"""Finds a Chromium on this machine: by setting, by SHOWONCE_BROWSER, then by name and the usual places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from showonce.errors import Unavailable

VARIABLE: Final = "SHOWONCE_BROWSER"
SHELL: Final = "chromium-headless-shell"  # the fastest one, and without windows
NAMES: Final[tuple[str, ...]] = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "msedge", "brave-browser"),
)
PLACES: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)


def find_browser(setting: str = "", headless: bool = True) -> str:
    """Return the path of a Chromium executable. A window needs a full browser: the headless shell has none.

    Raises:
        Unavailable: there is none; the text names what was looked for and the package.
    """
    for origin, given in (("environment.settings.browser", setting), (VARIABLE, os.environ.get(VARIABLE, ""))):
        if given:
            path = shutil.which(str(Path(given).expanduser()))
            if path is None:
                raise Unavailable(f"{origin}={given!r} is not an executable file. Leave it empty to search for one.")
            return path
    names = (SHELL, *NAMES) if headless else NAMES
    for name in (*names, *PLACES):
        found = shutil.which(name)
        if found is not None:
            return found
    raise Unavailable(
        f"no Chromium was found (looked for {', '.join(names)}). Install one, e.g. the Debian package "
        f"{SHELL if headless else NAMES[0]}, or set environment.settings.browser or {VARIABLE} to its path."
    )
