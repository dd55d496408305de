"""Whether an input method makes text of the keys at this moment, which a listener to keys cannot follow.

ibus and fcitx run in most sessions all the time, and with a plain keyboard layout chosen they pass every key on; so
they are asked by their own commands what is chosen. An input method that cannot be asked counts as composing.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import Final

from showonce.environments.desktop.selections import Selections

ASK_EVERY: Final = 1.0  # seconds for which an answer holds
ANSWER_SECONDS: Final = 1.0
_PLAIN: Final = ("xkb:", "keyboard-")  # engines of ibus and fcitx that are keyboard layouts
_NAMED_IN: Final = ("GTK_IM_MODULE", "QT_IM_MODULE", "XMODIFIERS")
_COMMANDS: Final = {"ibus": ("ibus", "engine"), "fcitx": ("fcitx5-remote", "-n")}


class InputMethods:
    """Asks whether a server of input methods (XIM) is on the display, and what it does."""

    def __init__(self, selections: Selections) -> None:
        self._selections = selections
        self._asked, self._answer = -ASK_EVERY, ""

    def composing(self) -> str:
        """Return the name of the input method that composes now, "" for none."""
        now = time.monotonic()
        if now - self._asked >= ASK_EVERY:
            self._asked, self._answer = now, self._ask()
        return self._answer

    def _ask(self) -> str:
        servers = self._servers()
        named = {os.environ.get(name, "").removeprefix("@im=") for name in _NAMED_IN}  # GTK and Qt talk past X
        for server in [*servers, *sorted(named - {*servers})]:
            command = _COMMANDS.get(server.rstrip("5"))
            engine = None if command is None else _output(*command)
            if engine is None and server in servers:
                return server
            if engine and not engine.startswith(_PLAIN):
                return f"{server} ({engine})"
        return ""

    def _servers(self) -> list[str]:
        """Return the names of servers that run: XIM_SERVERS of the root lists atoms "@server=NAME", each a selection
        that the server holds."""
        found = self._selections.property(None, "XIM_SERVERS")
        names = [] if found is None else [self._selections.name(int(atom)) for atom in found.value]
        return [
            name.removeprefix("@server=")
            for name in names
            if name.startswith("@server=") and self._selections.holder(name) is not None
        ]


def _output(*command: str) -> str | None:
    """Return what a command prints; None when it is not there or does not answer."""
    try:
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
