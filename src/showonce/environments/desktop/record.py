"""Records a person on the desktop: the listener's events, each with the last frame before it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from showonce.environments.clocks import MachineClock
from showonce.environments.desktop.backends import make_interpreter, make_listener, open_terminals
from showonce.environments.desktop.capture import Camera, Shot, within
from showonce.environments.desktop.facts import front_of
from showonce.environments.desktop.interpret import SILENT, Interpreter
from showonce.environments.desktop.listener import RawEvent
from showonce.environments.desktop.pointing import Pointing
from showonce.environments.desktop.settle import differs
from showonce.environments.desktop.windows_x11 import Place, X11Windows
from showonce.environments.ring import FrameRing
from showonce.errors import EnvironmentBroken, ShowonceError
from showonce.types import Observation, Region

PERIOD: Final = 0.03  # seconds between two screenshots
IDLE_SECONDS: Final = 1.0  # after so long without input an `idle` event carries the screen that the person waits for
FIRST_SECONDS: Final = 5.0
POLL: Final = 0.05  # seconds between two looks at what is due while nothing is heard
LATE: Final = 0.015  # seconds after which the pointer's motions up to a screenshot have arrived
CATCH_UP: Final = 0.25  # seconds that an event waits for the screenshots from before it
CLOCK_SECONDS: Final = 1.0  # between two looks at the machine's clocks
Item = RawEvent | ShowonceError


class WatchedDesktop(Protocol):
    """What the recorder needs of a `Desktop`."""

    display: str

    def covered(self) -> list[Place]: ...
    def second_camera(self) -> tuple[Camera, X11Windows | None]: ...


class DesktopSource:
    """Watches the screen of a `Desktop` that was reset. See `protocols.EventSource`.

    Events outside of the environment's screen, or on windows of showonce, are left out. own: chords of the recorder;
    programs receive them all the same. secret: regions of the frame that are blank in every frame; what is typed after
    a press inside of one is a secret until the focus leaves it.
    """

    def __init__(
        self,
        desktop: WatchedDesktop,
        own: Sequence[str] = (),
        secret: Sequence[Region] = (),
        clock: MachineClock | None = None,
    ) -> None:
        self._desktop, self._secret = desktop, tuple(secret)
        self._clock = clock or MachineClock()
        self._pointing = Pointing()
        self._looked = 0.0  # when the last screenshot was begun
        self._covered: list[Place] = []
        self._front = "null"  # the origin of the window with the keyboard, see `types.Field`
        self._scale, self._place = 1.0, (0, 0, 1, 1)
        self._ring: FrameRing[Shot] = FrameRing(lambda shot: Observation(shot.image(), scale=shot.scale))
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._pointer: RawEvent | None = None  # the last event that says where it is

    def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        """Yield events until `close`. Raises EnvironmentBroken when the window is closed or the listener dies."""

        def dead(why: str) -> None:
            self._inbox.put(EnvironmentBroken(f"the listener died: {why}"))

        terminals = open_terminals(self._desktop.display)

        def hear(raw: RawEvent) -> None:
            if terminals is not None and raw["device"] == "key" and raw["kind"] == "press":
                try:
                    raw["hidden"] = terminals.hidden()  # now: a moment later the prompt may be over
                except (ShowonceError, OSError):  # a window or process that is going away
                    raw["hidden"] = True
            place = self._locate(raw) if raw["kind"] == "motion" else None
            if place is not None:
                self._pointing.moved(raw["time"], place["x"], place["y"])
            self._inbox.put(raw)

        with contextlib.ExitStack() as stack:
            if terminals is not None:
                stack.callback(terminals.close)
            listener = make_listener(hear, dead, self._desktop.display)
            look = threading.Thread(target=self._look, name="frames", daemon=True)
            look.start()
            stack.callback(look.join, FIRST_SECONDS)
            stack.callback(listener.close)
            stack.callback(self.close)
            interpreter, part = make_interpreter(self._locate, self._secret, self._desktop.display)
            stack.callback(part)
            listener.start()
            self._ring.wait(FIRST_SECONDS)
            yield from self._events(interpreter)

    def close(self) -> None:
        self._closed.set()

    def _events(self, interpreter: Interpreter) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        since: float | None = None
        looked = time.monotonic()
        yield self._framed({"kind": "idle", "time": looked})
        while not self._closed.is_set():
            found: list[dict[str, Any]] = []
            try:
                raw = self._inbox.get(timeout=POLL)
                if isinstance(raw, ShowonceError):
                    raise raw
                self._pointer = raw if "x" in raw else self._pointer
                found = interpreter.feed(raw)
            except queue.Empty:
                now = time.monotonic()
                found = interpreter.tick(now)
                if not found and since is not None and now - since >= IDLE_SECONDS:
                    since = None
                    yield self._framed({"kind": "idle", "time": now})
            if time.monotonic() - looked >= CLOCK_SECONDS:
                looked = time.monotonic()
                found += self._clocks(looked)
            for event in found:
                since = since if event["kind"] in ("told", "pause") else event["time"]
                self._catch_up(event["time"])
                for each in (*self._moves(event), event):
                    yield self._framed(each if each["kind"] != "key" else {**each, **self._under()})

    def _under(self) -> dict[str, Any]:
        """Return where the pointer is, for the recorder's own keys; nothing where that is not known."""
        place = self._locate(self._pointer) if self._pointer is not None else None
        return {} if place is None else {"pointer": (place["x"] / place["width"], place["y"] / place["height"])}

    def _catch_up(self, at: float) -> None:
        """Wait until the frames from before `at` are in the ring, but not for long."""
        end = time.monotonic() + CATCH_UP
        while self._looked < at and time.monotonic() < end and not self._closed.is_set():
            time.sleep(0.002)

    def _moves(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the moves of the pointer without which what is pressed would not be there."""
        found: list[dict[str, Any]] = []
        if event["kind"] == "press":
            size = {"width": event["width"], "height": event["height"]}
            for at, column, row in self._pointing.moves(event["time"], event["x"], event["y"]):
                found.append({"kind": "move", "time": at, "x": column, "y": row, **size})
        if event["kind"] in ("press", "release", "wheel", "text") or event.get("key", "shift") not in SILENT:
            self._pointing.acted(event["time"])
        return found

    def _clocks(self, now: float) -> list[dict[str, Any]]:
        """Return what is to be told of the clocks, and a pause when the monotonic one jumped."""
        happened, jumped = self._clock.changes()
        told = [{"kind": "told", "time": now, "text": happened}] if happened else []
        return [*told, *([{"kind": "pause", "time": now}] if jumped else [])]

    def _framed(self, event: dict[str, Any]) -> tuple[Mapping[str, Any], Observation]:
        frame, changed = self._ring.before(event["time"])
        whose = {"origin": self._front} if event.get("secret") else {}
        return {**event, **whose, "frame_time": changed, "masks": self._secret}, frame

    def _locate(self, raw: RawEvent) -> dict[str, Any] | None:
        """Return place and frame size of a pointer event; None outside of the screen and on windows of showonce."""
        left, top, width, height = self._place
        at = (raw["x"], raw["y"])
        if raw["kind"] != "release" and (not within(at, self._place) or any(within(at, c) for c in self._covered)):
            return None
        column, row = int((at[0] - left) * self._scale), int((at[1] - top) * self._scale)
        return {"x": column, "y": row, "width": round(width * self._scale), "height": round(height * self._scale)}

    def _look(self) -> None:
        """Take screenshots until the end and put each that differs from the one before into the ring."""
        camera: Camera | None = None
        windows: X11Windows | None = None
        last: Shot | None = None
        try:
            camera, windows = self._desktop.second_camera()
            while not self._closed.is_set():
                self._covered, begun = self._desktop.covered(), time.monotonic()
                self._front = front_of(windows)
                shot = camera.shoot(self._covered)
                self._scale, self._place = shot.scale, shot.place
                if last is None or not np.array_equal(shot.pixels, last.pixels):
                    now = time.monotonic()
                    visible = last is None or differs(last.pixels, shot.pixels)
                    if last is not None and visible and last.pixels.shape == shot.pixels.shape:
                        time.sleep(LATE)
                        visible = not self._pointing.changed(self._looked, now, last.pixels, shot.pixels)
                    self._ring.put(now, shot, visible)
                    last = shot
                self._looked = begun
                self._closed.wait(PERIOD)
        except ShowonceError as error:
            self._inbox.put(error)
        except Exception as error:  # else the recording would go on with a picture that never changes
            self._inbox.put(EnvironmentBroken(f"there are no more frames of the screen: {error!r}."))
        finally:
            for part in (camera, windows):
                if part is not None:
                    part.close()
