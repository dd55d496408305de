"""What the programs of an X display hold ready for pasting: the selections CLIPBOARD and PRIMARY, read as a client."""

from __future__ import annotations

import select
import struct
import time
from dataclasses import dataclass
from typing import Any, Final

from showonce.environments.desktop.xdisplay import connect, hang_up, speaking

SECONDS: Final = 0.5  # for one answer of the program that holds a selection
_TEXTS: Final = ("UTF8_STRING", "STRING")
_FILES: Final = ("text/uri-list", "x-special/gnome-copied-files")
_PASSWORD: Final = "x-kde-passwordManagerHint"  # a target that password managers offer beside the text


@dataclass(frozen=True)
class Offer:
    """What a selection holds. text: None when it is no text, why: says so. owner: the client (its resource base) that
    holds it, 0 = nobody. secret: a password manager put it there."""

    text: str | None = None
    why: str = "it is empty"
    owner: int = 0
    secret: bool = False


class Selections:
    """Reads selections over a connection of its own, for one thread. display: ":1"; "" = $DISPLAY."""

    def __init__(self, display: str = "") -> None:
        from Xlib import X

        self._display: Any = connect(display)
        self._mask = int(self._display.display.info.resource_id_mask)
        self._window = self._display.screen().root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self._answer = self._display.intern_atom("SHOWONCE_SELECTION")
        self.client = self.client_of(int(self._window.id))

    def client_of(self, resource: int) -> int:
        """Return the client (its resource base) that made a window."""
        return resource & ~self._mask

    def name(self, atom: int) -> str:
        """Return the name of an atom, "" of one that is unknown."""
        from Xlib import error

        with speaking():
            try:
                return str(self._display.get_atom_name(atom))
            except error.BadAtom:
                return ""

    def focus(self) -> int:
        """Return the client whose window has the keyboard; 0 = unknown."""
        with speaking():
            window = self._display.get_input_focus().focus
        return self.client_of(int(window.id)) if hasattr(window, "id") else 0

    def under_pointer(self) -> int:
        """Return the client whose window is under the pointer; 0 = the background."""
        window, client = self._display.screen().root, 0
        with speaking():
            while hasattr(child := window.query_pointer().child, "id"):
                window, client = child, self.client_of(int(child.id))
        return client

    def holder(self, name: str) -> Any:
        """Return the window that holds a selection; None when nobody does."""
        with speaking():
            owner = self._display.get_selection_owner(self._display.intern_atom(name))
        return owner if hasattr(owner, "id") else None

    def property(self, window: Any, name: str) -> Any:
        """Return a property of a window, or of the root (None); None when it is not set or the window is gone."""
        from Xlib import X, error

        window = window or self._display.screen().root
        with speaking():
            try:
                return window.get_full_property(self._display.intern_atom(name), X.AnyPropertyType)
            except (error.BadWindow, error.BadDrawable):
                return None

    def multi_click(self) -> tuple[float, float] | None:
        """Return (seconds, pixels) between two presses of a multiple click; None when the desktop does not say."""
        owner = self.holder(f"_XSETTINGS_S{self._display.get_default_screen()}")
        found = None if owner is None else self.property(owner, "_XSETTINGS_SETTINGS")
        known = {} if found is None else xsettings(bytes(found.value))
        milliseconds = known.get("Net/DoubleClickTime", 0)
        return (milliseconds / 1000, float(known.get("Net/DoubleClickDistance", 5))) if milliseconds > 0 else None

    def read(self, name: str) -> Offer:
        """Return what `name`, CLIPBOARD or PRIMARY, holds at this moment."""
        owner = self.holder(name)
        if owner is None:
            return Offer()
        client = self.client_of(int(owner.id))
        targets = self._convert(name, "TARGETS")
        offered = (
            {self.name(int(atom)) for atom in targets.value} if targets is not None and targets.format == 32 else ()
        )
        if any(each in offered for each in _FILES):
            return Offer(None, "it holds files", client)
        for target in _TEXTS:
            found = self._convert(name, target)
            if found is not None and found.format == 8:
                data = bytes(found.value) if not isinstance(found.value, str) else found.value.encode("latin-1")
                text = data.decode("utf-8" if target == _TEXTS[0] else "latin-1", "replace").rstrip("\0")
                return Offer(text, "", client, _PASSWORD in offered) if text else Offer(None, "it is empty", client)
        return Offer(None, "it holds no text" if targets is not None else "its program does not answer", client)

    def _convert(self, selection: str, target: str) -> Any:
        """Return the property in which the owner answers; None when it refuses, is silent or sends it in parts."""
        from Xlib import X

        atom = self._display.intern_atom
        with speaking():
            self._window.delete_property(self._answer)
            self._window.convert_selection(atom(selection), atom(target), self._answer, X.CurrentTime)
            self._display.flush()
            end = time.monotonic() + SECONDS
            while (left := end - time.monotonic()) > 0:
                while self._display.pending_events():
                    event = self._display.next_event()
                    if event.type != X.SelectionNotify or event.target != atom(target):
                        continue
                    if event.property == X.NONE:
                        return None
                    found = self._window.get_full_property(self._answer, X.AnyPropertyType)
                    return None if found is None or found.property_type == atom("INCR") else found
                select.select([self._display.fileno()], [], [], min(left, 0.05))
        return None

    def close(self) -> None:
        hang_up(self._display)


def xsettings(data: bytes) -> dict[str, int]:
    """Return the whole numbers among the settings of the desktop (XSETTINGS, freedesktop.org, version 0.5)."""
    found: dict[str, int] = {}
    try:
        order = ">" if data[0] else "<"
        (count,) = struct.unpack_from(f"{order}I", data, 8)
        at = 12
        for _ in range(count):
            kind, length = struct.unpack_from(f"{order}BxH", data, at)
            name = data[at + 4 : at + 4 + length].decode("latin-1")
            at += 4 + _padded(length) + 4  # the name and the serial number
            if kind == 0:
                (found[name],) = struct.unpack_from(f"{order}i", data, at)
                at += 4
            elif kind == 1:  # text
                (length,) = struct.unpack_from(f"{order}I", data, at)
                at += 4 + _padded(length)
            else:
                at += 8
    except (struct.error, IndexError):
        pass
    return found


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4
