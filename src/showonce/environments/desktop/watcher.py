"""The stop chord, seen anywhere on the screen; and why the agent can never press it.

The desktop layer refuses the chord as an action, inside typed text too, so that whoever presses it is a person. If the
listener dies or goes deaf, that is a stop as well: without it nobody could stop the agent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, runtime_checkable

from showonce.actions import MODIFIERS, Action, Key, Type, normal_keys
from showonce.environments.desktop.backends import make_listener
from showonce.environments.desktop.hands import parts
from showonce.environments.desktop.keysyms import key_name, keysym_of
from showonce.environments.desktop.listener import Listener, OnDeath, OnEvent, RawEvent
from showonce.errors import BadInput, Stopped

CHORD: Final = "escape"
DEAF_SECONDS: Final = 3.0  # our own input must come back to the listener within this
OTHER_SECONDS: Final = 0.25
NAP: Final = 0.0002
Press = Callable[[str], None]
Make = Callable[[OnEvent, OnDeath, str], Listener]


@runtime_checkable
class Latch(Protocol):
    """An interrupt that takes such a source, as `runtime.stop.Stop` does."""

    def watch(self, source: Any) -> None: ...


class Watcher:
    """Listens for the chord and latches. `runtime.stop.Stop.watch(watcher)` ties a run's stop to it.

    Args:
        chord: a key or chord as in `actions.Key`. More modifiers held with it do not hide it.
        display: the X display; "" = $DISPLAY.

    Raises:
        BadInput: a chord that is no chord, or one that ordinary text would press.
    """

    def __init__(self, chord: str = CHORD, display: str = "", make: Make = make_listener) -> None:
        self.chord = normal_keys(chord)
        held, self._key = parts(self.chord)
        self._held = frozenset(held)
        if len(self._key) == 1 and not self._held & (set(MODIFIERS) - {"shift"}):
            raise BadInput(
                f"the stop chord {chord!r} would be pressed by ordinary typing. Choose a key that types nothing, such "
                "as escape or f12, or hold ctrl, alt or meta with it."
            )
        self._display, self._make = display, make
        self._lock = threading.Lock()
        self._listener: Listener | None = None
        self._press: Press | None = None
        self._listening = self._deaf = False
        self.reason = ""

    def start(self) -> None:
        """Begin to listen; nothing if it listens already. Raises Unavailable as `backends.make_listener` does."""
        self._listening = True
        if self._listener is None:
            listener = self._make(self._on_event, self._on_death, self._display)
            listener.start()
            self._listener = listener

    def close(self) -> None:
        """End it; twice is fine."""
        self._listening = False
        self._drop()

    def _drop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @property
    def seen(self) -> int:
        """How many events were seen so far."""
        return 0 if self._listener is None else self._listener.seen

    def connect(self, press: Press) -> None:
        """Call `press` with the reason when the chord comes, and at once if it came already."""
        with self._lock:
            self._press = press
            reason = self.reason
        if reason:
            press(reason)

    def check(self) -> None:
        """Raise `Stopped` while the stop holds."""
        if self._listening and (self._listener is None or not self._listener.alive):
            self._trip("the listener for the stop chord is not alive any more")
        if self.reason:
            raise Stopped(f"stopped: {self.reason}.")

    def heard(self, before: int) -> None:
        """Wait until a press of our own, sent since `seen` was `before`, came back: a deaf listener is a stop."""
        if not self._wait(before, DEAF_SECONDS):
            self._deaf = True
            self._trip("the listener for the stop chord does not hear our own input any more")
        self.check()

    def caught_up(self, before: int) -> None:
        """The same for what the display may keep to itself: it is not waited for long."""
        self._wait(before, OTHER_SECONDS)
        self.check()

    def _wait(self, before: int, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.seen <= before and not self.reason:
            if time.monotonic() > end:
                return False
            time.sleep(NAP)
        return True

    def rearm(self) -> None:
        """Let things run again: a person's decision. A dead listener is begun anew.

        Raises:
            Unavailable: that cannot be done; the stop holds on.
        """
        if self._listening and (self._listener is None or not self._listener.alive or self._deaf):
            self._drop()
            self.start()
        with self._lock:
            self.reason, self._deaf = "", False

    def refuse(self, action: Action) -> None:
        """Raise BadInput when the action would press the chord."""
        if isinstance(action, Key):
            held, key = parts(action.keys)
            if key == self._key and self._held <= set(held):
                raise BadInput(f"{action.keys} is the stop chord, which is a person's alone; it was not pressed.")
        elif isinstance(action, Type) and self._held <= {"shift"}:
            for character in action.text:
                if (character == "\x1b" and self._key == "escape") or self._typed(character) == self._key:
                    raise BadInput(
                        f"the text holds U+{ord(character):04X}, which presses the stop chord {self.chord}; "
                        "nothing was typed."
                    )

    def _typed(self, character: str) -> str:
        keysym = keysym_of(character)
        return "" if keysym is None else key_name(keysym)

    def _on_event(self, event: RawEvent) -> None:
        pressed = event["device"] == "key" and event["kind"] == "press" and event["key"] == self._key
        if pressed and self._held <= set(event["modifiers"]):
            self._trip(f"{self.chord} was pressed")

    def _on_death(self, reason: str) -> None:
        self._trip(f"the listener for the stop chord died ({reason})")

    def _trip(self, reason: str) -> None:
        with self._lock:
            if self.reason:
                return
            self.reason = reason
            press = self._press
        if press is not None:
            press(reason)
