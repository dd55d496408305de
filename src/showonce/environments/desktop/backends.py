"""Opens the listener and the hands of the system that this is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from showonce.environments.desktop.hands import Hands
from showonce.environments.desktop.interpret import Interpreter, Locate
from showonce.environments.desktop.listener import Listener, OnDeath, OnEvent
from showonce.environments.desktop.system import System, detect
from showonce.environments.desktop.terminals import Terminals
from showonce.types import Region


def make_listener(on_event: OnEvent, on_death: OnDeath, display: str = "") -> Listener:
    """Return the listener of this system, not started yet. display: an X display such as ":1"; "" = $DISPLAY.

    Raises:
        Unavailable: Wayland, no display, or a package that is missing.
    """
    if detect(display) == "x11":
        from showonce.environments.desktop.record_x11 import X11Listener

        return X11Listener(on_event, on_death, display)
    from showonce.environments.desktop.elsewhere import PynputListener, pynput_layer

    return PynputListener(on_event, on_death, pynput_layer())


def make_interpreter(
    locate: Locate, secret: Sequence[Region] = (), display: str = ""
) -> tuple[Interpreter, Callable[[], None]]:
    """Return what makes the recorder's events of the listener's, and a function that closes its connections."""
    if detect(display) != "x11":
        return Interpreter(locate, secret=secret), lambda: None
    from showonce.environments.desktop.compose import Composer, compose_tree
    from showonce.environments.desktop.input_methods import InputMethods
    from showonce.environments.desktop.selections import Selections

    selections = Selections(display)
    methods = InputMethods(selections)
    return Interpreter(
        locate, Composer(compose_tree()), selections, selections.multi_click(), secret, methods.composing
    ), selections.close


def open_terminals(display: str = "") -> Terminals | None:
    """Return what knows of password prompts in terminals; None where it cannot be known (not X11)."""
    if detect(display) != "x11":
        return None
    from showonce.environments.desktop.windows_x11 import X11Windows

    return Terminals(X11Windows(display))


def open_hands(system: System, display: str = "") -> Hands:
    """Connect the hands. Raises Unavailable: a package is missing, or the display does not answer."""
    if system == "x11":
        from showonce.environments.desktop.x11 import X11Hands

        return X11Hands(display)
    from showonce.environments.desktop.elsewhere import PynputHands, pynput_layer

    return PynputHands(pynput_layer())
