"""Whether the terminal that has the keyboard hides what is typed, as at the password prompts of sudo, ssh and passwd.

Such a program switches the echo of its terminal off and goes on reading whole lines; the terminal's state can be read
by whoever may open it (tcgetattr of /dev/pts/N). Shells and editors read single keys, which is no prompt. Not seen: a
prompt on another machine, where the terminal here is in the state that ssh needs; and one that shows a star for each
key (sudo's `pwfeedback`).
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

from showonce.environments.desktop.windows_x11 import X11Windows

AGAIN: Final = 0.5  # seconds after which the processes are looked up anew
_MULTIPLEXERS: Final = ("tmux", "screen")  # their programs run on terminals of a server of their own
_PTS: Final = range(136, 144)  # major numbers of the terminals in /dev/pts


class Terminals:
    """Asks for the window that has the keyboard. For use by one thread."""

    def __init__(self, windows: X11Windows) -> None:
        self._windows = windows
        self._known: tuple[float, int, tuple[str, ...]] = (-AGAIN, 0, ())  # when, of which process, its terminals

    def hidden(self) -> bool:
        """Say whether what is typed now goes to a prompt without echo."""
        process, now = self._windows.focused_process(), time.monotonic()
        if not process:
            return False
        if process != self._known[1] or now - self._known[0] >= AGAIN:
            self._known = (now, process, terminals_below(process))
        return any(_no_echo(each) for each in self._known[2])

    def close(self) -> None:
        self._windows.close()


def _no_echo(terminal: str) -> bool:
    try:
        import termios

        opened = os.open(terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except (ImportError, OSError):
        return False
    try:
        flags = termios.tcgetattr(opened)[3]
    except termios.error:
        return False
    finally:
        os.close(opened)
    return bool(flags & termios.ICANON) and not flags & termios.ECHO


def terminals_below(process: int, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Return the terminals of the processes that `process` started, without its own."""
    found = {int(folder.name): _status(folder) for folder in proc.iterdir() if folder.name.isdigit()}
    own = found.get(process, ("", 0, 0))[2]
    below, waiting = set[int](), [process]
    while waiting:
        parent = waiting.pop()
        children = [child for child, (_, of, _) in found.items() if of == parent and child not in below]
        below.update(children)
        waiting += children
    if any(found[each][0].startswith(_MULTIPLEXERS) for each in below):
        return tuple(str(path) for path in Path("/dev/pts").glob("[0-9]*") if _mine(path))
    devices = {found[each][2] for each in below} - {0, own}
    return tuple(f"/dev/pts/{os.minor(each) + 256 * (os.major(each) - _PTS[0])}" for each in sorted(devices)
                 if os.major(each) in _PTS)  # fmt: skip


def _status(folder: Path) -> tuple[str, int, int]:
    """Return name, parent and terminal (a device number) of a process, see proc(5); ("", 0, 0) when it ended."""
    try:
        name, _, rest = (folder / "stat").read_text("utf-8", "replace").partition("(")[2].rpartition(") ")
        fields = rest.split()
        return name, int(fields[1]), int(fields[4])
    except (OSError, IndexError, ValueError):
        return "", 0, 0


def _mine(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_uid == os.getuid()
