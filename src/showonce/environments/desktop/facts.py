"""What is known of a desktop's screen beside its pixels: which window gets the input, and whose it is."""

from __future__ import annotations

from collections.abc import Sequence

from showonce.environments.desktop.windows_x11 import Place, X11Windows
from showonce.types import ScreenFacts


def facts_of(windows: X11Windows, at: Sequence[tuple[int, int]], seen: Place) -> ScreenFacts:
    """Return title and application of the window that an action goes to; "" for the background.

    at: the action's places on the virtual screen; none = it goes to the window that has the keyboard. Places in windows
    of different names leave the name unknown. seen: where the frame lies on the virtual screen.
    """
    targets = {windows.at(x, y) for x, y in at} if at else {windows.active()}
    known = [window for window in targets if window is not None]
    if len(known) < len(targets):
        return ScreenFacts()
    titles = {windows.title(window) if window else "" for window in known}
    owners = {windows.application(window) if window else "" for window in known}
    place = windows.place(known[0]) if len(known) == 1 and known[0] else None
    return ScreenFacts(
        title=titles.pop() if len(titles) == 1 else None,
        application=owners.pop() if len(owners) == 1 else None,
        content=None if place is None else _part(place, seen),
    )


def front_of(windows: X11Windows | None) -> str:
    """Return the origin (see `types.Field`) of the window with the keyboard; ``null`` where it is not known."""
    window = None if windows is None else windows.active()
    name = windows.application(window) if windows is not None and window else ""
    return f"window:{name}" if name else "null"


def _part(place: Place, seen: Place) -> tuple[float, float, float, float] | None:
    """Return a window's place as fractions of the frame, cut to it; None where nothing of it is seen."""
    left, top = (place[0] - seen[0]) / seen[2], (place[1] - seen[1]) / seen[3]
    right, bottom = left + place[2] / seen[2], top + place[3] / seen[3]
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0)
    return (left, top, right, bottom) if left < right and top < bottom else None
