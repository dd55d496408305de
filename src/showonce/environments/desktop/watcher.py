"""The stop chord: listens for it in every window, and refuses actions that would press it.

Since the desktop refuses the chord as an action, inside typed text too, whoever presses it is a person. A listener that
dies or no longer reports our own input is a stop as well: without it nobody could stop the agent.
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
DEAF_SECONDS: Final = 3.0  # the listener must report our own input within this
OTHER_SECONDS: Final = 0.25
NAP: Final = 0.0002
Press = Callable[[str], None]
Make = Callable[[OnEvent, OnDeath, str], Listener]


@runtime_checkable
class Latch(Protocol):
    """An interrupt that can be tied to a watcher, such as `runtime.stop.Stop`."""

    def watch(self, source: Any) -> None: ...


class Watcher:
    """Listens for the chord and latches. `runtime.stop.Stop.watch(watcher)` ties a run's stop to it.

    Args:
        chord: a key or chord as in `actions.Key`; it also counts with further modifiers held.
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
        """Number of events that the listener reported so far."""
        return 0 if self._listener is None else self._listener.seen

    def connect(self, press: Press) -> None:
        """Call `press` with the reason when the chord is pressed; at once if it was pressed before."""
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
        """Wait until the listener reports an event after number `before`; latch the stop after DEAF_SECONDS."""
        if not self._wait(before, DEAF_SECONDS):
            self._deaf = True
            self._trip("the listener for the stop chord does not hear our own input any more")
        self.check()

    def caught_up(self, before: int) -> None:
        """Like `heard`, for input that X need not report: wait at most OTHER_SECONDS; a timeout is no error."""
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
        """Release the latch, on a person's decision; restart a dead listener.

        Raises:
            Unavailable: the listener does not start; the stop stays latched.
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
