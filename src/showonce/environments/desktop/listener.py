"""Raw events of keyboard and pointer, whichever window gets them; and the protocol of whoever listens.

A raw event is a dict (`RawEvent`). Every one has

    kind        "press" | "release" | "motion" | "wheel" | "asked"
    device      "key" | "pointer" | "selection"
    time        seconds of `time.monotonic` at which it happened at the display (it arrives here later)

and, but for a selection:

    x, y        int, where the pointer was, in pixels of the virtual screen (left, top of the first monitor = 0, 0)
    modifiers   tuple of the modifiers held just before it: "ctrl", "alt", "shift", "meta"

and, by kind and device:

    key press, release      keycode  int, the hardware's
                            keysym   int, what the key means with shift, locks and layout group as they were (X11);
                                     0 where the system has no keysyms
                            key      what `actions.Key` calls the key whatever shift is held: "s", "enter", "f5"; also
                                     "shift", "ctrl", "alt", "meta", "altgr", "capslock", "numlock"; "" if unnamed
                            character  the text that it types without regard to ctrl and alt: "S", "é", "\\n" for
                                     Return, "\\t" for Tab, "" for keys that type nothing. A dead key gives "": what
                                     it makes of the next key is composed in the application, see `compose`
                            repeat   bool, a press that the keyboard repeats because the key is held
    pointer press, release  button   "left" | "middle" | "right" | "back" | "forward" | "buttonN"
    selection asked         a program asks for what another holds ready for pasting (X11 only): requestor (its window),
                            selection, target (atoms)
    wheel                   dx, dy   int notches, positive = right, down, as in `actions.Scroll`; one event a notch

Events come in the order in which they happened. Input that is injected (XTest: xdotool, our own hands) is seen too and
cannot be told from a person's. On X11 the RECORD extension is read (`record_x11`), elsewhere pynput (`elsewhere`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

RawEvent = dict[str, Any]
OnEvent = Callable[[RawEvent], None]
OnDeath = Callable[[str], None]


class Listener(Protocol):
    """Calls `on_event` for each raw event, from a thread of its own; `on_death` once, with the reason, if it dies.

    An exception in `on_event` counts as a death: no event may get lost silently.
    """

    @property
    def alive(self) -> bool: ...
    @property
    def seen(self) -> int:
        """Number of events so far, including those that are not passed on (the release of a wheel notch)."""
        ...

    def start(self) -> None:
        """Begin; every event after this returns is reported.

        Raises:
            Unavailable: no display, or no permission to listen (the text names the setting or package).
        """
        ...

    def close(self) -> None:
        """End it; twice is fine, and no `on_death` follows."""
        ...
