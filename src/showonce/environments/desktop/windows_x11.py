"""The windows of an X display: ids, titles, applications, places."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

from showonce.environments.desktop.xdisplay import connect, hang_up, speaking

Place = tuple[int, int, int, int]  # left, top, width, height in pixels of the virtual screen
_VIEWABLE: Final = 2


class X11Windows:
    """Queries about windows; for a window that is gone they return None or "". display: ":1"; "" = $DISPLAY.

    For use by any thread; a lock lets in one at a time, because two on one python-xlib connection can deadlock.
    """

    def __init__(self, display: str = "") -> None:
        self._display: Any = connect(display)
        self._root = self._display.screen().root
        self._pids: dict[int, int] = {}
        self._lock = threading.RLock()

    def size(self) -> tuple[int, int]:
        """Return the size of the virtual screen."""
        with self._speaking():
            geometry = self._root.get_geometry()
        return int(geometry.width), int(geometry.height)

    def all(self) -> list[int]:
        """Return the ids of programs' windows, as the window manager lists them; without one, the top-level ones."""
        with self._speaking():
            listed = self._property(self._root, "_NET_CLIENT_LIST")
            if listed is not None:
                return [int(each) for each in listed]
            return [each.id for each in self._root.query_tree().children if self.place(each.id) is not None]

    def title(self, window: int) -> str:
        """Return the title, "" when it has none or is gone."""
        each = self._window(window)
        for name in ("_NET_WM_NAME", "WM_NAME"):
            value = self._property(each, name)
            if value:
                return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return ""

    def application(self, window: int) -> str:
        """Return the application's name (the class of WM_CLASS, ICCCM 4.1.2.5), "" when it has none or is gone."""
        value = self._property(self._window(window), "WM_CLASS")
        names = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
        return names.rstrip("\0").rpartition("\0")[2]

    def active(self) -> int | None:
        """Return the window that has the keyboard as the window manager says; 0 = none, None = unknown."""
        value = self._property(self._root, "_NET_ACTIVE_WINDOW")
        return int(value[0]) if value is not None and len(value) else None

    def at(self, x: int, y: int) -> int | None:
        """Return the topmost window at a place of the virtual screen; 0 = the background, None = unknown."""
        listed = self._property(self._root, "_NET_CLIENT_LIST_STACKING")
        if listed is None:
            return None
        for window in reversed([int(each) for each in listed]):
            place = self.place(window)
            if place is not None and 0 <= x - place[0] < place[2] and 0 <= y - place[1] < place[3]:
                return window
        return 0

    def of_process(self, pid: int) -> list[int]:
        """Return the visible windows of a local process, also those that the window manager does not manage."""
        with self._speaking():
            listed = {*self.all(), *(each.id for each in self._root.query_tree().children)}
        self._pids = {window: self._pids[window] if window in self._pids else self._pid(window) for window in listed}
        return [window for window, owner in self._pids.items() if owner == pid and self.place(window) is not None]

    def focused_process(self) -> int:
        """Return the id of the local process whose window has the keyboard; 0 = unknown."""
        with self._speaking():
            window = self._display.get_input_focus().focus
        if not hasattr(window, "id") or window.id == self._root.id:
            return 0
        if window.id not in self._pids:
            self._pids[window.id] = self._pid(window.id)
        return self._pids[window.id]

    def _pid(self, window: int) -> int:
        """Return the id of the process that owns a window, from the server (X-Resource 1.2); 0 = unknown."""
        from Xlib import error

        if not self._display.has_extension("X-Resource"):
            value = self._property(self._window(window), "_NET_WM_PID")
            return int(value[0]) if value is not None and len(value) else 0
        with self._speaking():
            try:
                found = self._display.res_query_client_ids([{"client": window, "mask": 2}]).ids
            except error.XError:
                return 0
        return int(found[0].value[0]) if found and found[0].value else 0

    def place(self, window: int) -> Place | None:
        """Return where the window's contents are; None when it is closed, minimised or on another desktop."""
        from Xlib import error

        each = self._window(window)
        with self._speaking():
            try:
                if each.get_attributes().map_state != _VIEWABLE:
                    return None
                geometry = each.get_geometry()
                corner = self._root.translate_coords(each, 0, 0)
            except (error.BadWindow, error.BadDrawable):
                return None
        return int(corner.x), int(corner.y), int(geometry.width), int(geometry.height)

    def find(self, title: str) -> list[int]:
        """Return the windows with this title; if there is none, those whose title contains it, whatever the case."""
        titled = [(window, self.title(window)) for window in self.all()]
        exact = [window for window, name in titled if name == title]
        return exact or [window for window, name in titled if title.casefold() in name.casefold()]

    def activate(self, window: int) -> None:
        """Bring it to the front and give it the keyboard."""
        from Xlib import X, error

        each = self._window(window)
        with self._speaking():
            try:
                if self._property(self._root, "_NET_CLIENT_LIST") is not None:
                    self._tell_manager(each, "_NET_ACTIVE_WINDOW", [2, 0, 0, 0, 0])
                else:
                    each.raise_window()
                    each.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
                self._display.sync()
            except (error.BadWindow, error.BadMatch):
                return

    def ask_to_close(self, window: int) -> None:
        """Ask a window to close, through the window manager where there is one; it may ask back or stay.

        Without one, only a window that can be asked is (ICCCM 4.2.8.1, WM_DELETE_WINDOW).
        """
        from Xlib import X, error
        from Xlib.protocol import event

        each = self._window(window)
        with self._speaking():
            try:
                protocols, delete = (self._display.intern_atom(n) for n in ("WM_PROTOCOLS", "WM_DELETE_WINDOW"))
                if self._property(self._root, "_NET_CLIENT_LIST") is not None:
                    self._tell_manager(each, "_NET_CLOSE_WINDOW", [X.CurrentTime, 2, 0, 0, 0])
                elif delete in (self._property(each, "WM_PROTOCOLS") or ()):
                    data = (32, [delete, X.CurrentTime, 0, 0, 0])
                    each.send_event(event.ClientMessage(window=each, client_type=protocols, data=data))
                self._display.sync()
            except error.BadWindow:
                return

    def _tell_manager(self, window: Any, kind: str, data: list[int]) -> None:
        """Send a request of a pager (EWMH, source indication 2)."""
        from Xlib import X
        from Xlib.protocol import event

        message = event.ClientMessage(window=window, client_type=self._display.intern_atom(kind), data=(32, data))
        self._root.send_event(message, X.SubstructureRedirectMask | X.SubstructureNotifyMask)

    def manager(self) -> str:
        """Return the name of the window manager, "" when there is none."""
        value = self._property(self._root, "_NET_SUPPORTING_WM_CHECK")
        return self.title(int(value[0])) if value is not None and len(value) else ""

    def close(self) -> None:
        with self._lock:
            hang_up(self._display)

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        with self._lock, speaking():
            yield

    def _window(self, window: int) -> Any:
        return self._display.create_resource_object("window", window)

    def _property(self, window: Any, name: str) -> Any:
        from Xlib import X, error

        with self._speaking():
            try:
                found = window.get_full_property(self._display.intern_atom(name), X.AnyPropertyType)
            except (error.BadWindow, error.BadDrawable):
                return None
        return None if found is None else found.value
