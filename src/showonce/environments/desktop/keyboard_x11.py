"""The keyboard mapping of an X display, and temporary keycodes for characters that no key has.

A character beyond the layout is bound to a keycode that the layout leaves empty (ChangeKeyboardMapping). A binding
stays until the keyboard is closed or the keycode is needed again, because programs look a key up only when they handle
its event: a binding removed earlier would lose the character. `restore` puts every keycode back as it was found.
"""

from __future__ import annotations

import time
from typing import Any, Final

from showonce.environments.desktop.keysyms import KEYSYMS, character, keysym_of, pair
from showonce.environments.desktop.xdisplay import speaking
from showonce.errors import BadInput

MODIFIERS: Final = {"ctrl": 0xFFE3, "alt": 0xFFE9, "shift": 0xFFE1, "meta": 0xFFEB}  # the left ones of each
CAPS_LOCK: Final = 0xFFE5
KEEP_SECONDS: Final = 0.5  # a keycode is not bound to another character earlier than this after its last use
_MAPPING_NOTIFY: Final = 34


class Keyboard:
    """The mapping of one display, kept up to date."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._first = int(display.display.info.min_keycode)
        self._count = int(display.display.info.max_keycode) - self._first + 1
        self._original: dict[int, list[int]] = {}
        self._bound: dict[int, float] = {}  # keycode -> when it was used last
        self._read()

    def find(self, keysym: int, group: int = 0) -> tuple[int, bool] | None:
        """Return (keycode, shifted) of the key that gives this keysym in the layout group; None when no key does."""
        self.follow()
        found = self._places[min(group, 2)].get(keysym)
        if found is not None and found[0] in self._bound:
            self._bound[found[0]] = time.monotonic()
        return found

    def knows(self, keysym: int, group: int = 0) -> bool:
        """Say whether a key gave this keysym when the mapping was last read."""
        return keysym in self._places[min(group, 2)]

    def need_room(self, keysym: int) -> None:
        """Raise BadInput, naming the character, when no keycode is left that could be bound to it."""
        if not self._empty and not self._bound:
            raise BadInput(
                f"the character {character(keysym)!r} is on no key, and the keyboard layout leaves no keycode empty to "
                "bind it to. Choose a layout that has it."
            )

    def bind(self, keysym: int, other: int | None = None) -> None:
        """Give the keysym a keycode; `other` goes on the same key with shift. Slow: programs reload the mapping.

        Raises:
            BadInput: the layout leaves no keycode empty.
        """
        self.need_room(keysym)
        code = self._spare()
        row = pair([keysym]) if other is None else (keysym, other)
        self._original.setdefault(code, list(self._rows[code - self._first]))
        self._bound[code] = time.monotonic()
        self._display.change_keyboard_mapping(code, [[*row, *row]])  # two levels for each of two layout groups
        self._display.sync()
        self._read()

    def code(self, keysym: int) -> int | None:
        """Return the keycode whose plain level is this keysym: for modifiers and locks."""
        found = self.find(keysym)
        return None if found is None else found[0]

    def untypable(self, text: str) -> list[str]:
        """Return the characters of `text` that no key can have."""
        return list(dict.fromkeys(c for c in text if keysym_of(c) is None))

    def restore(self) -> None:
        """Put every keycode that was bound back as it was."""
        for code, row in self._original.items():
            self._display.change_keyboard_mapping(code, [row])
        self._display.sync()
        self._original.clear()
        self._bound.clear()
        self._read()

    def _spare(self) -> int:
        if self._empty:
            return self._empty[-1]
        code = min(self._bound, key=lambda c: self._bound[c])
        time.sleep(max(0.0, self._bound[code] + KEEP_SECONDS - time.monotonic()))
        return code

    def follow(self) -> None:
        """Read the mapping anew if it was changed, by us or by somebody else."""
        changed = False
        with speaking():
            while self._display.pending_events():
                changed = self._display.next_event().type == _MAPPING_NOTIFY or changed
            if changed:
                self._read()

    def _read(self) -> None:
        self._rows = [list(row) for row in self._display.get_keyboard_mapping(self._first, self._count)]
        self._empty = [self._first + i for i, row in enumerate(self._rows) if not any(row) and i]
        # Places of the first group, of the second, and of further ones, which the core protocol does not tell apart:
        # there only keys with one group are sure.
        self._places: tuple[dict[int, tuple[int, bool]], ...] = ({}, {}, {})
        for i, row in enumerate(self._rows):
            groups = [row[0:2], row[2:4] if any(row[2:4]) else row[0:2]]
            groups.append(row[0:2] if pair(groups[0]) == pair(groups[1]) else [])
            for given, places in zip(groups, self._places, strict=True):
                if any(given):
                    plain, shifted = pair(given)
                    places.setdefault(plain, (self._first + i, False))
                    places.setdefault(shifted, (self._first + i, True))


def keysym_of_key(name: str) -> int:
    """Return the keysym of a key name of `actions`.

    Raises:
        BadInput: no such key.
    """
    keysym = KEYSYMS.get(name) or MODIFIERS.get(name) or (keysym_of(name) if len(name) == 1 else None)
    if keysym is None:
        raise BadInput(f"the key {name!r} cannot be pressed.")
    return keysym
