"""What the agent sees: a monitor, a window or a region of the virtual screen, grabbed by mss."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from showonce.environments.desktop.settings import EXTRA
from showonce.environments.desktop.system import System
from showonce.environments.desktop.windows_x11 import Place, X11Windows
from showonce.errors import BadInput, EnvironmentBroken, Unavailable, nearest
from showonce.types import Image

Pixels = NDArray[np.uint32]  # (H, W), one BGRX value a pixel: quick to compare
COVER: Final = 0xFF808080  # grey, opaque: painted over windows that the agent must not see


@dataclass(frozen=True, eq=False)
class Shot:
    """One screenshot. place: the rectangle that it shows, in units of the pointer; scale: pixels per unit."""

    pixels: Pixels
    place: Place
    scale: float

    def image(self) -> Image:
        """Return an RGB copy."""
        height, width = self.pixels.shape
        channels = self.pixels.view(np.uint8).reshape(height, width, 4)
        image = np.empty((height, width, 3), np.uint8)
        for ours, theirs in enumerate((2, 1, 0)):  # channel by channel: 4 times as fast as one strided copy
            image[..., ours] = channels[..., theirs]
        return image


def within(point: tuple[int, int], place: Place) -> bool:
    """Say whether a point lies in a place; both in units of the pointer."""
    return 0 <= point[0] - place[0] < place[2] and 0 <= point[1] - place[1] < place[3]


class Camera:
    """Takes screenshots of one place. For use by one thread.

    Args:
        system: of this machine, see `system.detect`.
        display: the X display; "" = $DISPLAY.
        monitor: 1, 2, ... ; 0 = the whole virtual screen.
        window: a window instead, by title (exact, else contained in it); followed when it moves. X11 only.
        region: a region instead: left, top, width, height in pixels of the virtual screen.

    Raises:
        BadInput: no such monitor or window (the text lists those that exist), a region outside of the screen.
        Unavailable: mss is missing, the screen cannot be grabbed, windows on another system than X11.
    """

    def __init__(
        self, system: System, display: str = "", monitor: int = 1, window: str = "",
        region: Sequence[int] | None = None, windows: X11Windows | None = None,
    ) -> None:  # fmt: skip
        try:
            import mss
        except ImportError:
            raise Unavailable(f"environment=desktop needs mss: {EXTRA}") from None
        self._mss, self._windows, self._title = mss, windows, window
        self._error: type[Exception] = mss.ScreenShotError
        try:
            self._screen: Any = mss.MSS(display=display or None) if system == "x11" else mss.MSS()
            monitors = self._screen.monitors
            monitors = monitors if len(monitors) > 1 else monitors * 2  # without outputs: the whole screen
        except self._error as problem:
            raise Unavailable(f"the screen cannot be grabbed: {problem}") from None
        self.whole = _place(monitors[0])
        self.window = self._find(window) if window else 0
        if region is not None:
            self._fixed = _inside(region, self.whole)
        elif not isinstance(monitor, int) or not 0 <= monitor < len(monitors):
            listed = "; ".join(f"{i}: {_say(_place(m))}" for i, m in enumerate(monitors) if i)
            raise BadInput(f"environment.settings.monitor={monitor!r}: there are {listed}; 0 is all of them as one.")
        else:
            self._fixed = _place(monitors[monitor])

    def shoot(self, covered: Sequence[Place] = (), place: Place | None = None) -> Shot:
        """Take a screenshot and paint `COVER` over the places in `covered`. place: from `place()`; None = ask it now.

        Raises:
            EnvironmentBroken: the window is closed or minimised, the screen changed its size or cannot be grabbed.
        """
        place = place or self.place()
        left, top, width, height = place
        seen = _clip(place, self.whole)
        if seen is None:
            raise EnvironmentBroken(f"the window {self._title!r} lies outside of the screen.")
        box = dict(zip(("left", "top", "width", "height"), seen, strict=True))
        try:
            grabbed = self._screen.grab(box)
        except self._error as problem:
            self._same_size()
            raise EnvironmentBroken(f"the screen cannot be grabbed: {str(problem).splitlines()[0]}") from None
        pixels = np.frombuffer(grabbed.raw, np.uint32).reshape(grabbed.height, grabbed.width)
        scale = grabbed.width / seen[2]
        if seen != place:  # the window reaches over the edge of the screen: that part is black
            whole = np.zeros((round(height * scale), round(width * scale)), np.uint32)
            x, y = round((seen[0] - left) * scale), round((seen[1] - top) * scale)
            whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
            pixels = whole
        for each in covered:
            part = _clip(each, place)
            if part is not None:
                x, y = round((part[0] - left) * scale), round((part[1] - top) * scale)
                pixels = pixels if pixels.flags.writeable else pixels.copy()
                pixels[y : y + round(part[3] * scale), x : x + round(part[2] * scale)] = COVER
        return Shot(pixels, place, scale)

    def place(self) -> Place:
        """Return the place of the next screenshot, in units of the pointer. Raises as `shoot` does."""
        self._same_size()
        if not self._title:
            return self._fixed
        assert self._windows is not None
        place = self._windows.place(self.window)
        if place is None:
            raise EnvironmentBroken(f"the window {self._title!r} was closed or minimised.")
        return place

    def close(self) -> None:
        with contextlib.suppress(self._error):  # the display may have ended
            self._screen.close()

    def _same_size(self) -> None:
        if self._windows is None:
            return
        width, height = self._windows.size()
        if (width, height) != self.whole[2:]:
            raise EnvironmentBroken(
                f"the screen changed its size from {self.whole[2]}x{self.whole[3]} to {width}x{height}; "
                "the next episode begins with the new one."
            )

    def _find(self, title: str) -> int:
        if self._windows is None:
            raise Unavailable("environment.settings.window works on X11 only; name a region or a monitor instead.")
        found = self._windows.find(title)
        if not found:
            there = sorted({self._windows.title(window) for window in self._windows.all()} - {""})
            known = nearest(title, there) or " There is no window."
            raise BadInput(f"environment.settings.window: no window is called {title!r}.{known}")
        return found[-1]  # the newest


def _place(monitor: dict[str, Any]) -> Place:
    return int(monitor["left"]), int(monitor["top"]), int(monitor["width"]), int(monitor["height"])


def _clip(place: Place, within: Place) -> Place | None:
    left, top = max(place[0], within[0]), max(place[1], within[1])
    right = min(place[0] + place[2], within[0] + within[2])
    bottom = min(place[1] + place[3], within[1] + within[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _inside(region: Sequence[int], whole: Place) -> Place:
    whole_numbers = len(region) == 4 and all(isinstance(v, int) and not isinstance(v, bool) for v in region)
    if not whole_numbers or region[2] <= 0 or region[3] <= 0:
        raise BadInput(
            f"environment.settings.region={[*region]} must be four whole numbers: left, top, width, height, the last "
            "two above 0."
        )
    place = (region[0], region[1], region[2], region[3])
    if _clip(place, whole) != place:
        raise BadInput(f"environment.settings.region={[*region]} reaches out of the screen, which is {_say(whole)}.")
    return place


def _say(place: Place) -> str:
    return f"{place[2]}x{place[3]} at {place[0]},{place[1]}"
