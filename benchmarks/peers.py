"""Peers: other people's environments that a benchmark compares with, each in an interpreter of its own.

--install-peers makes a virtual environment for each below ~/.cache/showonce/peers (or $SHOWONCE_PEERS) and installs it
there from the package index: BrowserGym pins an old Playwright and cannot share an environment with showonce.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from showonce.errors import Unavailable

ROOT: Final = Path(os.environ.get("SHOWONCE_PEERS", "~/.cache/showonce/peers")).expanduser()


@dataclass(frozen=True)
class Peer:
    """A program of another project. requirements: for pip. program: Python that prints one line of JSON last."""

    name: str
    requirements: tuple[str, ...]
    program: str

    @property
    def python(self) -> Path:
        return ROOT / self.name / "bin" / "python"

    def install(self) -> None:
        """Make the virtual environment, if it is not there, and install into it.

        Raises:
            Unavailable: the package index does not have it, or does not answer.
        """
        if not self.python.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(ROOT / self.name)], check=True)
        print(f"installing {self.name} into {ROOT / self.name}", flush=True)
        command = [str(self.python), "-m", "pip", "install", "--quiet", *self.requirements]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(f"{self.name} cannot be installed: {_last_line(done.stderr)}")

    def run(self, arguments: Sequence[str], env: dict[str, str], timeout_s: float = 900) -> Any:
        """Run the program and return what it printed.

        Raises:
            Unavailable: the peer is not installed, or its program failed.
        """
        if not self.python.is_file():
            raise Unavailable(f"{self.name} is not installed: run again with --install-peers")
        command = [str(self.python), "-c", self.program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env={**os.environ, **env})
        if done.returncode != 0:
            raise Unavailable(f"{self.name} failed: {_last_line(done.stderr)}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1][:200]


def chromium() -> str:
    """Return the path of this machine's Chromium.

    Raises:
        Unavailable: there is none.
    """
    names = (os.environ.get("MINIWOB_CHROME_BINARY", ""), "chromium", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise Unavailable("there is no chromium or google-chrome: install the system's package chromium")
    return found


def chromium_version() -> str:
    """Return the major version of this machine's Chromium, for which a chromedriver must be made."""
    told = subprocess.run([chromium(), "--version"], capture_output=True, text=True).stdout
    match = re.search(r"(\d+)\.\d+\.\d+", told)
    if match is None:
        raise Unavailable(f"{chromium()} --version does not say its version: {told.strip()!r}")
    return match[1]
