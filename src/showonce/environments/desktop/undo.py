"""Takes back what came of the last action on the desktop: the windows that it opened, the files that it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from showonce.environments.desktop.windows_x11 import X11Windows

CLOSE_SECONDS: Final = 2.0  # a window that was asked to close and is still there then stays
NAP: Final = 0.01


@dataclass(frozen=True)
class DesktopBefore:
    """What was there when an action began: windows by id, files of the episode's own folder."""

    windows: frozenset[int]
    files: frozenset[Path]

    @classmethod
    def of(cls, windows: X11Windows | None, folder: Path) -> DesktopBefore:
        """Note what is there now; windows: None where nobody can tell."""
        return cls(frozenset(windows.all() if windows is not None else ()), frozenset(_files(folder)))


def close_windows(
    before: DesktopBefore, windows: X11Windows, own: Collection[int], pause: Callable[[float], None]
) -> str:
    """Ask the windows that are new to close, as a person would by the cross in the corner, and wait until they do.

    own: windows that are left alone. pause: sleeps, and may raise to break off. Returns what was closed, "" when
    nothing is new or everything stayed open.
    """
    new = {window: windows.title(window) for window in windows.all() if window not in before.windows}
    for window in [*new]:
        if window in own or windows.place(window) is None:
            del new[window]
        else:
            windows.ask_to_close(window)
    end = time.monotonic() + CLOSE_SECONDS
    while (left := new.keys() & {*windows.all()}) and time.monotonic() < end:
        pause(NAP)
    titles = [title for window, title in new.items() if window not in left]
    return f"closed the window{_several(titles)}" if titles else ""


def delete_files(before: DesktopBefore, folder: Path) -> str:
    """Delete the files in the folder that are new; returns which, "" when there are none."""
    new = sorted(path for path in _files(folder) if path not in before.files)
    for path in new:
        path.unlink(missing_ok=True)
    return f"deleted the file{_several([str(path.relative_to(folder)) for path in new])}" if new else ""


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]


def _several(names: list[str]) -> str:
    return f"{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
