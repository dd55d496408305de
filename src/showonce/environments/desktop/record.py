"""Records a person on the desktop: the listener's events, each with the last frame before it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from showonce.actions import NAMED_KEYS
from showonce.environments.desktop.backends import make_listener
from showonce.environments.desktop.capture import Camera, Shot, within
from showonce.environments.desktop.listener import RawEvent
from showonce.environments.desktop.settle import differs
from showonce.environments.desktop.windows_x11 import Place, X11Windows
from showonce.environments.ring import FrameRing
from showonce.errors import EnvironmentBroken, ShowonceError
from showonce.types import Observation

PERIOD: Final = 0.03  # seconds between two screenshots
IDLE_SECONDS: Final = 1.0  # after so long without input an `idle` event carries the screen that the person waits for
FIRST_SECONDS: Final = 5.0
_BUTTONS: Final = ("left", "middle", "right")
Item = RawEvent | ShowonceError


class WatchedDesktop(Protocol):
    """What the recorder needs of a `Desktop`."""

    display: str

    def covered(self) -> list[Place]: ...
    def second_camera(self) -> tuple[Camera, X11Windows | None]: ...


class DesktopSource:
    """Watches the screen of a `Desktop` that was reset. See `protocols.EventSource`.

    Events outside of the environment's screen, or on windows of showonce, are left out. Passwords cannot be recognised
    here: pause the recording, or blank the region with the task's `redact`. own: chords of the recorder; programs
    receive them all the same.
    """

    def __init__(self, desktop: WatchedDesktop, own: Sequence[str] = ()) -> None:
        self._desktop = desktop
        self._covered: list[Place] = []
        self._scale, self._place = 1.0, (0, 0, 1, 1)
        self._ring: FrameRing[Shot] = FrameRing(lambda shot: Observation(shot.image(), scale=shot.scale))
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._closed = threading.Event()

    def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        """Yield events until `close`. Raises EnvironmentBroken when the window is closed or the listener dies."""

        def dead(why: str) -> None:
            self._inbox.put(EnvironmentBroken(f"the listener died: {why}"))

        listener = make_listener(self._inbox.put, dead, self._desktop.display)
        look = threading.Thread(target=self._look, name="frames", daemon=True)
        look.start()
        try:
            listener.start()
            self._ring.wait(FIRST_SECONDS)
            yield from self._events()
        finally:
            self.close()
            listener.close()
            look.join(FIRST_SECONDS)

    def close(self) -> None:
        self._closed.set()

    def _events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        since: float | None = None
        yield self._framed({"kind": "idle"}, time.monotonic())
        while not self._closed.is_set():
            try:
                raw = self._inbox.get(timeout=0.05)
            except queue.Empty:
                now = time.monotonic()
                if since is not None and now - since >= IDLE_SECONDS:
                    since = None
                    yield self._framed({"kind": "idle"}, now)
                continue
            if isinstance(raw, ShowonceError):
                raise raw
            event = self._event(raw)
            if event is not None:
                since = raw["time"]
                yield self._framed(event, raw["time"])

    def _framed(self, event: dict[str, Any], at: float) -> tuple[Mapping[str, Any], Observation]:
        frame, changed = self._ring.before(at)
        return {**event, "time": at, "frame_time": changed}, frame

    def _event(self, raw: RawEvent) -> dict[str, Any] | None:
        """Return the event as `demonstrations.reduce` takes it; None for motions, key releases and other buttons."""
        if raw["device"] == "key":
            return _key(raw) if raw["kind"] == "press" else None
        if raw["kind"] == "motion" or raw.get("button", "left") not in _BUTTONS:
            return None
        left, top, width, height = self._place
        at = (raw["x"], raw["y"])
        if raw["kind"] != "release" and (not within(at, self._place) or any(within(at, c) for c in self._covered)):
            return None
        column, row = int((at[0] - left) * self._scale), int((at[1] - top) * self._scale)
        size = {"width": round(width * self._scale), "height": round(height * self._scale)}
        more = ("dx", "dy") if raw["kind"] == "wheel" else ("button",)
        return {"kind": raw["kind"], "x": column, "y": row, **size, **{key: raw[key] for key in more}}

    def _look(self) -> None:
        """Take screenshots until the end and put each that differs from the one before into the ring."""
        camera: Camera | None = None
        windows: X11Windows | None = None
        last: Shot | None = None
        try:
            camera, windows = self._desktop.second_camera()
            while not self._closed.is_set():
                self._covered = self._desktop.covered()
                shot = camera.shoot(self._covered)
                self._scale, self._place = shot.scale, shot.place
                if last is None or not np.array_equal(shot.pixels, last.pixels):
                    self._ring.put(time.monotonic(), shot, last is None or differs(last.pixels, shot.pixels))
                    last = shot
                self._closed.wait(PERIOD)
        except ShowonceError as error:
            self._inbox.put(error)
        finally:
            for part in (camera, windows):
                if part is not None:
                    part.close()


def _key(raw: RawEvent) -> dict[str, Any]:
    key, text = str(raw["key"]), str(raw["character"])
    if key in NAMED_KEYS and key != "space":
        text = ""
    return {"kind": "key", "key": key or text, "text": text, "modifiers": raw["modifiers"]}
