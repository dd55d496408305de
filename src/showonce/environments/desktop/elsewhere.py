"""Listener and hands of Windows and macOS, by pynput. Tested against a fake of pynput only.

macOS needs the permissions Accessibility (input) and Input Monitoring (listening) in its privacy settings. Windows
needs none, but drops input to windows of a higher privilege.
"""

from __future__ import annotations

import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from showonce.environments.desktop.hands import _never, parts
from showonce.environments.desktop.listener import OnDeath, OnEvent, RawEvent
from showonce.environments.desktop.settings import EXTRA
from showonce.errors import BadInput, Unavailable

_PERMISSION: Final = (
    "macOS: allow the terminal or Python in System Settings > Privacy & Security > Accessibility and > Input Monitoring"
)
_NAMES: Final = {  # pynput's names of keys -> ours
    "esc": "escape", "page_up": "pageup", "page_down": "pagedown", "ctrl_l": "ctrl", "ctrl_r": "ctrl",
    "alt_l": "alt", "alt_r": "alt", "alt_gr": "altgr", "shift_l": "shift", "shift_r": "shift", "cmd": "meta",
    "cmd_l": "meta", "cmd_r": "meta", "caps_lock": "capslock", "num_lock": "numlock",
}  # fmt: skip
_KEYS: Final = {"escape": "esc", "pageup": "page_up", "pagedown": "page_down", "meta": "cmd"}  # ours -> pynput's
_MODIFIERS: Final = ("ctrl", "alt", "shift", "meta")
_TEXT: Final = {"enter": "\n", "tab": "\t", "space": " "}


@dataclass(frozen=True)
class Layer:
    """The modules of pynput: `mouse` (Controller, Listener, Button) and `keyboard` (Controller, Listener, Key)."""

    mouse: Any
    keyboard: Any


def pynput_layer() -> Layer:
    """Import pynput. Raises Unavailable when pynput is missing."""
    try:
        from pynput import keyboard, mouse
    except ImportError as problem:
        raise Unavailable(f"environment=desktop needs pynput on {sys.platform}: {EXTRA} ({problem})") from None
    return Layer(mouse, keyboard)


class PynputListener:
    """See `listener.Listener`. A lock puts the events of pynput's two threads in order."""

    def __init__(self, on_event: OnEvent, on_death: OnDeath, layer: Layer) -> None:
        self._on_event, self._on_death, self._layer = on_event, on_death, layer
        self._lock = threading.Lock()
        self._listeners: list[Any] = []
        self._held: set[str] = set()
        self._down: set[str] = set()
        self._place = (0, 0)
        self._closing = False
        self.seen = 0
        self.reason = ""

    @property
    def alive(self) -> bool:
        return bool(self._listeners) and not self.reason and all(each.is_alive() for each in self._listeners)

    def start(self) -> None:
        self._place = _whole(self._layer.mouse.Controller().position)
        mouse = self._layer.mouse.Listener(on_move=self._move, on_click=self._click, on_scroll=self._scroll)
        keyboard = self._layer.keyboard.Listener(on_press=self._down_key, on_release=self._up_key)
        self._listeners = [mouse, keyboard]
        for each in self._listeners:
            each.start()
        for each in self._listeners:
            each.wait()
            if not getattr(each, "IS_TRUSTED", True):
                self.close()
                raise Unavailable(f"this system does not let us listen. {_PERMISSION}.")
            threading.Thread(target=self._watch, args=(each,), daemon=True).start()

    def close(self) -> None:
        self._closing = True
        for each in self._listeners:
            each.stop()

    def _watch(self, listener: Any) -> None:
        """Wait until one of pynput's threads ends; report a death unless `close` ended it."""
        try:
            listener.join()
            reason = "pynput's listener ended"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        with self._lock:
            if self._closing or self.reason:
                return
            self.reason = reason
        self._on_death(reason)

    def _tell(self, kind: str, device: str, **more: Any) -> None:
        with self._lock:
            held = tuple(name for name in _MODIFIERS if name in self._held)
            x, y = self._place
            event: RawEvent = {"kind": kind, "device": device, "time": time.monotonic(), "x": x, "y": y}
            self._on_event({**event, "modifiers": held, **more})
            self.seen += 1

    def _move(self, x: float, y: float, *_: Any) -> None:
        self._place = _whole((x, y))
        self._tell("motion", "pointer")

    def _click(self, x: float, y: float, button: Any, pressed: bool, *_: Any) -> None:
        self._place = _whole((x, y))
        self._tell("press" if pressed else "release", "pointer", button=str(button.name))

    def _scroll(self, x: float, y: float, dx: float, dy: float, *_: Any) -> None:
        self._place = _whole((x, y))
        for ours, theirs in (("dx", dx), ("dy", -dy)):  # pynput counts up as positive
            for _i in range(abs(round(theirs))):
                self._tell("wheel", "pointer", **{"dx": 0, "dy": 0, ours: 1 if theirs > 0 else -1})

    def _down_key(self, key: Any, *_: Any) -> None:
        name, text = _named(key)
        self._tell("press", "key", keycode=0, keysym=0, key=name, character=text, repeat=name in self._down)
        self._down.add(name)
        if name in _MODIFIERS:
            self._held.add(name)

    def _up_key(self, key: Any, *_: Any) -> None:
        name, text = _named(key)
        self._tell("release", "key", keycode=0, keysym=0, key=name, character=text, repeat=False)
        self._down.discard(name)
        self._held.discard(name)


class PynputHands:
    """See `hands.Hands`."""

    def __init__(self, layer: Layer) -> None:
        self.check: Callable[[], None] = _never
        self._layer = layer
        self._mouse, self._keyboard = layer.mouse.Controller(), layer.keyboard.Controller()
        self._keys: list[Any] = []
        self._buttons: list[Any] = []
        self.sent = self.others = 0

    def move(self, x: int, y: int) -> None:
        self.check()
        self._mouse.position = (x, y)

    def button(self, name: str, down: bool) -> None:
        self._press(self._mouse, self._buttons, getattr(self._layer.mouse.Button, name), down)

    def click(self, name: str, times: int) -> None:
        for _ in range(times):
            self.button(name, True)
            self.button(name, False)

    def notch(self, dx: int, dy: int) -> None:
        self.check()
        self._mouse.scroll(dx, -dy)
        self.sent += 1

    def hold(self, modifier: str, down: bool) -> None:
        self._press(self._keyboard, self._keys, self._key(modifier), down)

    def chord(self, keys: str) -> None:
        modifiers, key = parts(keys)
        pressed = [self._key(part) for part in (*modifiers, key)]
        for each in pressed:
            self._press(self._keyboard, self._keys, each, True)
        for each in reversed(pressed):
            self._press(self._keyboard, self._keys, each, False)

    def write(self, text: str) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        bad = list(dict.fromkeys(c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"))
        if bad:
            raise BadInput(f"these characters cannot be typed: {', '.join(f'U+{ord(c):04X}' for c in bad)}.")
        for c in text:
            key = self._key({"\n": "enter", "\t": "tab"}.get(c, c))
            self._press(self._keyboard, self._keys, key, True)
            self._press(self._keyboard, self._keys, key, False)

    def held(self) -> tuple[str, ...]:
        return ()  # pynput cannot tell what others hold

    def release(self) -> None:
        for controller, pressed in ((self._keyboard, self._keys), (self._mouse, self._buttons)):
            while pressed:
                controller.release(pressed.pop())

    def close(self) -> None:
        self.release()

    def _key(self, name: str) -> Any:
        if len(name) == 1:
            return name
        key = getattr(self._layer.keyboard.Key, _KEYS.get(name, name), None)
        if key is None:
            raise BadInput(f"the key {name!r} does not exist on this system.")
        return key

    def _press(self, controller: Any, pressed: list[Any], what: Any, down: bool) -> None:
        self.check()
        if down:
            pressed.append(what)
            controller.press(what)
        else:
            controller.release(what)
            if what in pressed:
                pressed.remove(what)
        self.sent, self.others = self.sent + down, self.others + (not down)


def _named(key: Any) -> tuple[str, str]:
    """Return our name of a key and the text that it types."""
    char = getattr(key, "char", None)
    if char:
        control = len(char) == 1 and ord(char) < 27 and char not in "\t\n\r"  # ctrl+s comes as U+0013
        return (chr(ord(char) + 96), "") if control else (char.lower(), char)
    name = str(getattr(key, "name", "") or "")
    name = _NAMES.get(name, name)
    return name, _TEXT.get(name, "")


def _whole(place: tuple[float, float]) -> tuple[int, int]:
    return int(place[0]), int(place[1])
