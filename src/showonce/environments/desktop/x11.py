"""The hands of X11, by the XTEST extension.

The server answers each primitive before the next one is sent, so that at most one is under way when the stop is
pressed; a click (at most four primitives) is sent as a whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from showonce.environments.desktop.hands import _never, parts
from showonce.environments.desktop.keyboard_x11 import CAPS_LOCK, MODIFIERS, Keyboard, keysym_of_key
from showonce.environments.desktop.keysyms import character, keysym_of
from showonce.environments.desktop.xdisplay import connect, hang_up, speaking
from showonce.errors import BadInput

_KEY_PRESS, _KEY_RELEASE, _PRESS, _RELEASE, _MOTION = range(2, 7)  # event codes of the core protocol
_BUTTONS: Final = {"left": 1, "middle": 2, "right": 3}
_NOTCHES: Final = {(0, -1): 4, (0, 1): 5, (-1, 0): 6, (1, 0): 7}
_LOCK: Final = 2
_HELD: Final = (("shift", 1), ("ctrl", 4), ("alt", 8), ("meta", 64))


class X11Hands:
    """See `hands.Hands`. display: ":1" and so on; "" = $DISPLAY.

    Raises:
        Unavailable: no display, or one without XTEST.
    """

    def __init__(self, display: str = "") -> None:
        self.check: Callable[[], None] = _never
        self._display: Any = connect(display, "XTEST")
        self._root = self._display.screen().root
        self._keyboard = Keyboard(self._display)
        self._keys: list[int] = []
        self._buttons: list[int] = []
        self.sent = self.others = 0

    def move(self, x: int, y: int) -> None:
        self.check()
        with speaking():
            there = self._root.query_pointer()
        if (there.root_x, there.root_y) != (x, y):
            self._send(_MOTION, 0, x, y)
            self.others += 1

    def button(self, name: str, down: bool) -> None:
        self._press(self._buttons, _BUTTONS[name], down, _PRESS if down else _RELEASE)

    def click(self, name: str, times: int) -> None:
        number = _BUTTONS[name]
        for _ in range(times):
            self._press(self._buttons, number, True, _PRESS, wait=False)
            self._press(self._buttons, number, False, _RELEASE, wait=False)
        with speaking():
            self._display.sync()
        self.sent += times

    def notch(self, dx: int, dy: int) -> None:
        number = _NOTCHES[dx, dy]
        self._press(self._buttons, number, True, _PRESS)
        self._press(self._buttons, number, False, _RELEASE)

    def hold(self, modifier: str, down: bool) -> None:
        self._press(self._keys, self._modifier(modifier), down, _KEY_PRESS if down else _KEY_RELEASE)

    def chord(self, keys: str) -> None:
        modifiers, key = parts(keys)
        with self._without_caps():
            code, shifted = self._place([keysym_of_key(key)])
            self._stroke(code, [*modifiers, *(["shift"] if shifted and "shift" not in modifiers else [])])

    def write(self, text: str) -> None:
        text = text.replace("\r\n", "\n")
        if bad := self._keyboard.untypable(text):
            raise BadInput(f"these characters cannot be typed: {', '.join(f'U+{ord(c):04X}' for c in bad)}.")
        keysyms = [keysym for c in text if (keysym := keysym_of(c)) is not None]
        self._keyboard.follow()
        group = (self._mask() >> 13) & 3
        if lacking := [keysym for keysym in keysyms if not self._keyboard.knows(keysym, group)]:
            self._keyboard.need_room(lacking[0])
        with self._without_caps():
            for i in range(len(keysyms)):
                code, shifted = self._place(keysyms[i:])
                self._stroke(code, ["shift"] if shifted else [])

    def held(self) -> tuple[str, ...]:
        mask = self._mask()
        return tuple(name for name, bit in _HELD if mask & bit)

    def release(self) -> None:
        if not self._keys and not self._buttons:
            return
        with speaking():  # in one go: each answer that is waited for takes long while a model keeps the cores busy
            for codes, kind in ((self._keys, _KEY_RELEASE), (self._buttons, _RELEASE)):
                while codes:
                    self._display.xtest_fake_input(kind, codes.pop())
            self._display.sync()

    def close(self) -> None:
        try:
            self.release()
            with speaking():
                self._keyboard.restore()
        finally:
            hang_up(self._display)

    def _place(self, keysyms: list[int]) -> tuple[int, bool]:
        """Return (keycode, shifted) of the first keysym; a keycode bound for it gets the next keysym, too."""
        keyboard, group = self._keyboard, (self._mask() >> 13) & 3
        with speaking():
            found = keyboard.find(keysyms[0], group)
            if found is None:
                keyboard.bind(keysyms[0], next((k for k in keysyms[1:] if not keyboard.knows(k, group)), None))
                found = keyboard.find(keysyms[0], group)
        if found is None:
            raise BadInput(f"the character {character(keysyms[0])!r} cannot be bound to a key of this layout.")
        return found

    @contextlib.contextmanager
    def _without_caps(self) -> Iterator[None]:
        """Switch Caps Lock off in this block, so that shift alone makes capitals; a stop leaves it off."""
        caps = self._keyboard.code(CAPS_LOCK) if self._mask() & _LOCK else None
        if caps is not None:
            self._stroke(caps, [])
        yield
        if caps is not None:
            self._stroke(caps, [])

    def _stroke(self, code: int, modifiers: list[str]) -> None:
        """Hold the modifiers, press and release the key, let the modifiers go."""
        held = [self._modifier(name) for name in modifiers]
        for each in (*held, code):
            self._press(self._keys, each, True, _KEY_PRESS)
        for each in (code, *reversed(held)):
            self._press(self._keys, each, False, _KEY_RELEASE)

    def _modifier(self, name: str) -> int:
        code = self._keyboard.code(MODIFIERS[name])
        if code is None:
            raise BadInput(f"this keyboard layout has no key for {name}.")
        return code

    def _press(self, pressed: list[int], detail: int, down: bool, kind: int, wait: bool = True) -> None:
        self.check()
        if down:
            pressed.append(detail)  # before it is sent: a release too many does no harm
        self._send(kind, detail, wait=wait)
        if not down and detail in pressed:
            pressed.remove(detail)
        self.sent, self.others = self.sent + (wait and down), self.others + (wait and not down)

    def _send(self, kind: int, detail: int, x: int = 0, y: int = 0, wait: bool = True) -> None:
        with speaking():
            self._display.xtest_fake_input(kind, detail, x=x, y=y)
            if wait:
                self._display.sync()

    def _mask(self) -> int:
        with speaking():
            return int(self._root.query_pointer().mask)
