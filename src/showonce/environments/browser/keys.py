"""Playwright's names of keys (UI Events KeyboardEvent key values, W3C)."""

from __future__ import annotations

from typing import Final

from showonce.actions import MODIFIERS, chord_parts

NAMES: Final = {
    "enter": "Enter", "tab": "Tab", "escape": "Escape", "backspace": "Backspace", "delete": "Delete", "space": "Space",
    "home": "Home", "end": "End", "pageup": "PageUp", "pagedown": "PageDown", "up": "ArrowUp", "down": "ArrowDown",
    "left": "ArrowLeft", "right": "ArrowRight", "insert": "Insert", "ctrl": "Control", "alt": "Alt", "shift": "Shift",
    "meta": "Meta", **{f"f{i}": f"F{i}" for i in range(1, 13)},
}  # fmt: skip

assert set(MODIFIERS) <= set(NAMES)


def playwright_keys(keys: str) -> list[str]:
    """Return the keys of a chord in the order in which they are pressed; with shift a letter is a capital one.

    Example:
        >>> playwright_keys("ctrl+shift+k")
        ['Control', 'Shift', 'K']
    """
    parts = chord_parts(keys)
    return [part.upper() if "shift" in parts and len(part) == 1 else NAMES.get(part, part) for part in parts]
