"""The listener of X11, by the RECORD extension: sees every device event of the display, whoever has the focus.

Keyboard mappings are followed inside the record stream (requests that change them are recorded too, in order), so that
a key typed through a keycode that was bound for an instant, as xdotool does for Unicode, is still named right.
"""

from __future__ import annotations

import select
import struct
import threading
import time
from typing import Any, Final

from showonce.environments.clocks import OtherClock
from showonce.environments.desktop.keysyms import KEYPAD, MODIFIER_KEYS, NUM_LOCK, character, key_name, pair
from showonce.environments.desktop.listener import OnDeath, OnEvent, RawEvent
from showonce.environments.desktop.xdisplay import connect, hang_up
from showonce.errors import Unavailable

_KEYS: Final = {2: "press", 3: "release"}  # event codes of the core protocol
_BUTTONS: Final = {4: "press", 5: "release"}
_MOTION: Final = 6
_CONVERT_SELECTION: Final = 24  # opcodes of core requests
_CHANGE_KEYBOARD_MAPPING: Final = 100
_XKB_CHANGES: Final = (9, 23)  # minor opcodes of XKEYBOARD from SetMap to GetKbdByName, which load other layouts
_NAMES: Final = {1: "left", 2: "middle", 3: "right", 8: "back", 9: "forward"}
_WHEEL: Final = {4: (0, -1), 5: (0, 1), 6: (-1, 0), 7: (1, 0)}
_SHIFT, _LOCK, _CTRL = 1, 2, 4
_STATE: Final = (("ctrl", _CTRL), ("alt", 8), ("shift", _SHIFT), ("meta", 64))  # Mod1 and Mod4, as every layout has it
_WRAP: Final = 1 << 32  # server time is a 32-bit count of milliseconds
_TICK: Final = 0.001  # seconds; the server's time is cut to it
_INTEGER: Final = 19  # the predefined atom
READY_SECONDS: Final = 5.0
CLOCK_SAMPLES: Final = 8
BEAT: Final = 0.5  # seconds between two heartbeats
DEAF_SECONDS: Final = 0.5  # after which a heartbeat that the stream does not report is missed


class Keymap:
    """Keycode -> keysyms, as the core protocol tells them, and what a key means in a state."""

    def __init__(self, first: int, rows: list[list[int]], num_lock: int) -> None:
        self.rows = {first + i: list(row) for i, row in enumerate(rows)}
        self.num_lock = num_lock

    def change(self, first: int, rows: list[list[int]]) -> None:
        self.rows.update({first + i: list(row) for i, row in enumerate(rows)})

    def plain(self, keycode: int) -> int:
        """Return the unshifted keysym."""
        return pair(self.rows.get(keycode, [])[:2])[0]

    def keysym(self, keycode: int, state: int) -> int:
        """Return the keysym that is meant with the modifiers and the layout group in `state`."""
        row = self.rows.get(keycode, [])
        group = (state >> 13) & 3
        at = 2 * group if group < 2 and any(row[2 * group : 2 * group + 2]) else 0
        if state & 128 and len(row) > 4 and row[4 + at]:  # Mod5: the third level
            at = 4 + at
        plain, shifted = pair(row[at : at + 2])
        if state & self.num_lock and (shifted in KEYPAD or 0xFFAA <= shifted <= 0xFFBD):
            return plain if state & _SHIFT else shifted
        if state & _LOCK and plain != shifted and character(plain).upper() == character(shifted):
            return plain if state & _SHIFT else shifted
        return shifted if state & _SHIFT else plain


class X11Listener:
    """See `listener.Listener`. Four connections: the stream, its control, look-ups of the mapping, and the heartbeat.

    Each BEAT the server is asked for its time, and a request is made that the stream has to report: a stream that does
    not, although the server answers, is dead.
    """

    def __init__(self, on_event: OnEvent, on_death: OnDeath, display: str = "") -> None:
        self._on_event, self._on_death, self._name = on_event, on_death, display
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._closing = False
        self._down: set[int] = set()
        self._lock = threading.Lock()
        self._clock = OtherClock()
        self._end, self._beaten = threading.Event(), threading.Event()
        self._beats: threading.Thread | None = None
        self._epoch = 0
        self._last = 0
        self._told = 0.0
        self.seen = 0
        self.reason = ""

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self.reason

    @property
    def resource(self) -> int:
        """A resource of the stream's connection: what XKillClient takes to cut it."""
        return int(self._handle.id)

    def start(self) -> None:
        from Xlib.ext import record

        self._stream, self._control, self._lookup, self._heart = (connect(self._name, "RECORD") for _ in range(4))
        self._handle = self._stream.screen().root.create_pixmap(1, 1, 1)
        self._stream.sync()
        self._refresh()
        self._pulse = _window(self._heart)
        for _ in range(CLOCK_SAMPLES):
            self._set_clock()
        nothing: dict[str, Any] = {
            "core_requests": (0, 0), "core_replies": (0, 0), "ext_requests": (0, 0, 0, 0),
            "ext_replies": (0, 0, 0, 0), "delivered_events": (0, 0), "device_events": (0, 0), "errors": (0, 0),
            "client_started": False, "client_died": False,
        }  # fmt: skip
        change, ask = _CHANGE_KEYBOARD_MAPPING, _CONVERT_SELECTION
        ranges = [
            {**nothing, "device_events": (2, 6), "core_requests": (change, change)},
            {**nothing, "core_requests": (ask, ask)},
        ]
        xkb = self._lookup.query_extension("XKEYBOARD")
        self._xkb = int(xkb.major_opcode) if xkb is not None and xkb.present else 0
        if self._xkb:
            ranges.append({**nothing, "ext_requests": (self._xkb, self._xkb, *_XKB_CHANGES)})
        self._context = self._control.record_create_context(0, [record.AllClients], ranges)
        self._control.sync()
        self._thread = threading.Thread(target=self._run, name="showonce-listener", daemon=True)
        self._thread.start()
        if not self._ready.wait(READY_SECONDS) or self.reason:
            self.close()
            raise Unavailable(f"the display does not let us listen (RECORD): {self.reason or 'no answer'}.")
        self._beats = threading.Thread(target=self._beat, name="showonce-heartbeat", daemon=True)
        self._beats.start()

    def close(self) -> None:
        if self._closing or self._thread is None:
            return
        self._closing = True
        self._end.set()
        try:
            self._control.record_disable_context(self._context)
            self._control.sync()
        except Exception:  # the display is gone: so is the stream
            self._stream.display.socket.close()
        for thread in (self._thread, self._beats):
            if thread is not None and thread is not threading.current_thread():
                thread.join(READY_SECONDS)
        for display in (self._control, self._stream, self._lookup, self._heart):
            hang_up(display)

    def _run(self) -> None:
        reason = "the display ended the recording"
        try:
            self._stream.record_enable_context(self._context, self._reply)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        self._die(reason)

    def _die(self, reason: str) -> None:
        with self._lock:
            if self._closing or self.reason:
                return
            self.reason = reason
        self._ready.set()
        self._on_death(reason)

    def _reply(self, reply: Any) -> None:
        arrived = time.monotonic()
        if reply.category == 4:  # StartOfData
            self._time(int(reply.server_time), arrived)
            self._ready.set()
        elif reply.category == 1 and reply.data:  # from a client: it asks for a selection or changes the mapping
            order = _order(bool(reply.client_swapped))
            if reply.data[0] == _CONVERT_SELECTION:
                asked = self._asked(reply, order, arrived)
                if asked["requestor"] == self._pulse.id:
                    self._beaten.set()
                else:
                    self._on_event(asked)
            else:
                self._changed(reply.data, order)
        elif reply.category == 0:
            data = reply.data
            for at in range(0, len(data) - 31, 32):
                event = self._event(data[at : at + 32], arrived)
                if event is not None:
                    self._on_event(event)
                self.seen += 1  # last: whoever waits for it may rely on its having been told

    def _event(self, data: bytes, arrived: float) -> RawEvent | None:
        code, detail, server, x, y, state = struct.unpack_from("=BB2xI12xhh4xH", data)
        code &= 0x7F
        event: RawEvent = {
            "kind": "motion", "device": "pointer", "time": self._time(server, arrived), "x": x, "y": y,
            "modifiers": tuple(name for name, bit in _STATE if state & bit),
        }  # fmt: skip
        if code in _KEYS:
            plain, keysym = self._keymap.plain(detail), self._keymap.keysym(detail, state)
            event |= {"kind": _KEYS[code], "device": "key", "keycode": detail, "keysym": keysym}
            event |= {"key": MODIFIER_KEYS.get(plain) or key_name(plain), "character": character(keysym)}
            event["repeat"] = code == 2 and detail in self._down
            (self._down.add if code == 2 else self._down.discard)(detail)
            return event
        if code in _BUTTONS:
            if detail not in _WHEEL:
                return event | {"kind": _BUTTONS[code], "button": _NAMES.get(detail, f"button{detail}")}
            dx, dy = _WHEEL[detail]
            return event | {"kind": "wheel", "dx": dx, "dy": dy} if code == 4 else None
        return event if code == _MOTION else None

    def _time(self, server: int, arrived: float) -> float:
        """Return when it happened on our clock."""
        with self._lock:
            seconds = self._seconds(server)
            self._clock.arrived(seconds, arrived)
            at = min(self._clock.to_python(seconds), arrived)
            self._told = max(self._told, at)  # never backwards, although what is known of the clock changes
            return self._told

    def _seconds(self, server: int) -> float:
        """Return server time without its wrap after 49.7 days."""
        if server < self._last - _WRAP // 2:
            self._epoch += _WRAP
        elif server > self._last + _WRAP // 2 and self._epoch:  # a little older than the wrap
            return (server + self._epoch - _WRAP) / 1000
        self._last = server
        return (server + self._epoch) / 1000

    def _set_clock(self) -> None:
        """Ask the server for its time."""
        from Xlib import X

        asked = time.monotonic() - _TICK
        self._pulse.change_property(self._heart.intern_atom("SHOWONCE_CLOCK"), _INTEGER, 32, [0])
        self._heart.flush()
        while (event := self._heart.next_event()).type != X.PropertyNotify:
            continue
        answered = time.monotonic()
        with self._lock:
            self._clock.measure(asked, self._seconds(int(event.time)), answered)

    def _beat(self) -> None:
        """Measure the clock and test the stream until the end."""
        from Xlib import X

        beat = self._heart.intern_atom("SHOWONCE_BEAT")
        while not self._end.wait(BEAT):
            try:
                self._set_clock()
                self._beaten.clear()
                self._pulse.convert_selection(beat, beat, beat, X.CurrentTime)
                self._heart.sync()
                waiting = [self._stream.fileno()]
                while not self._beaten.wait(DEAF_SECONDS) and not self._end.is_set():
                    if not select.select(waiting, [], [], 0)[0]:  # else the report is there and not read yet
                        self._die("the display does not report input any more")
                        return
            except Exception:  # the display is gone: the stream says so
                return

    def _asked(self, reply: Any, order: str, arrived: float) -> RawEvent:
        requestor, selection, target = struct.unpack_from(f"{order}4x3I", reply.data)
        return {
            "kind": "asked", "device": "selection", "time": self._time(int(reply.server_time), arrived),
            "requestor": requestor, "selection": selection, "target": target,
        }  # fmt: skip

    def _changed(self, data: bytes, order: str) -> None:
        if data[0] != _CHANGE_KEYBOARD_MAPPING:
            self._refresh()
            return
        count, _, first, width = struct.unpack_from(f"{order}xBHBB", data)
        values = struct.unpack_from(f"{order}{count * width}I", data, 8)
        self._keymap.change(first, [list(values[i * width : (i + 1) * width]) for i in range(count)])

    def _refresh(self) -> None:
        """Read the whole mapping."""
        info = self._lookup.display.info
        first, count = info.min_keycode, info.max_keycode - info.min_keycode + 1
        rows = [list(row) for row in self._lookup.get_keyboard_mapping(first, count)]
        codes = {first + i for i, row in enumerate(rows) if NUM_LOCK in row}
        modifiers = self._lookup.get_modifier_mapping()
        num_lock = sum(1 << i for i, held in enumerate(modifiers) if codes & {c for c in held if c})
        self._keymap = Keymap(first, rows, num_lock)


def _order(swapped: bool) -> str:
    """Return the byte order of a client's requests, for `struct`."""
    return (">" if struct.pack("=H", 1) == b"\x01\x00" else "<") if swapped else "="


def _window(display: Any) -> Any:
    """Return a window that is not shown and tells of its properties."""
    from Xlib import X

    window = display.screen().root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
    window.change_attributes(event_mask=X.PropertyChangeMask)
    display.sync()
    return window
