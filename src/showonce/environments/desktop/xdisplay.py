"""A connection to an X display, with a clear word when there is none."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any, Final

from showonce.environments.desktop.settings import EXTRA
from showonce.errors import EnvironmentBroken, Unavailable

_LACKS: Final = {
    "RECORD": "so the stop key and a person's actions cannot be seen",
    "XTEST": "so no input can be sent",
}


def connect(name: str = "", *extensions: str) -> Any:
    """Return a new `Xlib.display.Display`. name: ":1" and so on; "" = $DISPLAY.

    Raises:
        Unavailable: python-xlib is missing, nothing answers there, access is denied, or an extension is missing.
    """
    try:
        from Xlib import display, error
    except ImportError:
        raise Unavailable(f"environment=desktop needs python-xlib on X11: {EXTRA}") from None
    shown = name or os.environ.get("DISPLAY", "")
    problem = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # python-xlib leaves its socket open where nobody answers
        try:
            connection = display.Display(name or None)
        except (error.DisplayError, error.ConnectionClosedError, OSError) as failure:
            problem = str(failure)
    if problem:
        raise Unavailable(
            f"the X display {shown!r} cannot be used: {problem}. Is it running, and may this user use it (`xhost`, "
            "XAUTHORITY)? A virtual one: `xvfb-run showonce ...` (package xvfb)."
        )
    # python-xlib lets RANDR's errors overwrite those of the core protocol (it adds them without their base).
    connection.display.error_classes = error.xerror_class.copy()
    for extension in extensions:
        if not connection.has_extension(extension):
            connection.close()
            raise Unavailable(
                f"the X display {shown!r} lacks the extension {extension}, {_LACKS.get(extension, 'which is needed')}. "
                "Xorg and Xvfb have it unless it was switched off; VNC servers may need an option."
            )
    return connection


@contextlib.contextmanager
def speaking() -> Iterator[None]:
    """What goes wrong on a connection in this block is a broken environment.

    Raises:
        EnvironmentBroken: the display ended or refused a request.
    """
    from Xlib import error

    try:
        yield
    except (error.ConnectionClosedError, error.XError, OSError) as problem:
        raise EnvironmentBroken(f"the X display failed: {problem}") from None


def hang_up(connection: Any) -> None:
    """Close a connection, also one that is broken already."""
    from Xlib import error

    with contextlib.suppress(error.ConnectionClosedError, error.XError, OSError):
        connection.close()
