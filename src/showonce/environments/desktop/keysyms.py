"""X keysyms as characters and as the key names of `actions`, both ways.

Latin-1 keysyms are their own code points and the others are 0x01000000 + code point; older sets (keysymdef.h of the
X11 protocol) that keyboard layouts still use are mapped by the 8-bit code pages that they were made from.
"""

from __future__ import annotations

import unicodedata
from typing import Final

UNICODE: Final = 0x01000000
NAMES: Final[dict[int, str]] = {
    0xFF0D: "enter", 0xFF09: "tab", 0xFF1B: "escape", 0xFF08: "backspace", 0xFFFF: "delete", 0x20: "space",
    0xFF50: "home", 0xFF57: "end", 0xFF55: "pageup", 0xFF56: "pagedown", 0xFF52: "up", 0xFF54: "down",
    0xFF51: "left", 0xFF53: "right", 0xFF63: "insert", **{0xFFBE + i: f"f{i + 1}" for i in range(12)},
}  # fmt: skip
KEYPAD: Final[dict[int, str]] = {
    0xFF8D: "enter", 0xFF89: "tab", 0xFF80: "space", 0xFF95: "home", 0xFF9C: "end", 0xFF9A: "pageup",
    0xFF9B: "pagedown", 0xFF97: "up", 0xFF99: "down", 0xFF96: "left", 0xFF98: "right", 0xFF9E: "insert",
    0xFF9F: "delete", 0xFE20: "tab",
}  # fmt: skip
MODIFIER_KEYS: Final[dict[int, str]] = {
    0xFFE1: "shift", 0xFFE2: "shift", 0xFFE3: "ctrl", 0xFFE4: "ctrl", 0xFFE9: "alt", 0xFFEA: "alt",
    0xFFE7: "meta", 0xFFE8: "meta", 0xFFEB: "meta", 0xFFEC: "meta",
    0xFE03: "altgr", 0xFFE5: "capslock", 0xFF7F: "numlock",
}  # fmt: skip
SWITCHES: Final = frozenset(  # further keys that only change what others mean: levels, groups, locks
    (*range(0xFE01, 0xFE20), *range(0xFE70, 0xFE80), 0xFF7E, 0xFFE6, 0xFFED, 0xFFEE, 0xFF14)
)
KEYSYMS: Final[dict[str, int]] = {name: keysym for keysym, name in NAMES.items()}
NUM_LOCK: Final = 0xFF7F
_PAGES: Final = {
    0x1: "iso8859-2",
    0x2: "iso8859-3",
    0x3: "iso8859-4",
    0x5: "iso8859-6",
    0xC: "iso8859-8",
    0xD: "tis-620",
}
_CYRILLIC: Final = dict(zip(range(0x6A1, 0x6B0), "ђѓёєѕіїјљњћќґўџ", strict=True)) | dict(
    zip(range(0x6B1, 0x6C0), "ЂЃЁЄЅІЇЈЉЊЋЌҐЎЏ", strict=True)
)
_GREEK: Final = (
    dict(zip(range(0x7A1, 0x7AC), "ΆΈΉΊΪ ΌΎΫ Ώ", strict=True))
    | dict(zip(range(0x7AE, 0x7BC), "΅―άέήίϊΐόύϋΰώ ", strict=True))
    | dict(zip(range(0x7C1, 0x7DA), "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣ ΤΥΦΧΨΩ", strict=True))
    | dict(zip(range(0x7E1, 0x7FA), "αβγδεζηθικλμνξοπρσςτυφχψω", strict=True))
)
_SINGLE: Final[dict[int, str]] = {
    **_CYRILLIC, **{k: c for k, c in _GREEK.items() if c != " "},
    0x13BC: "Œ", 0x13BD: "œ", 0x13BE: "Ÿ", 0xAA9: "—", 0xAAA: "–", 0xAAE: "…", 0xAD0: "‘", 0xAD1: "’", 0xAD2: "“",
    0xAD3: "”", 0xAFE: "„", 0xAC9: "™", 0xAE6: "•", 0xFF0D: "\n", 0xFF8D: "\n", 0xFF09: "\t", 0xFF89: "\t",
    0xFE20: "\t", 0xFF80: " ", **{0xFFAA + i: c for i, c in enumerate("*+,-./0123456789")}, 0xFFBD: "=",
}  # fmt: skip


def character(keysym: int) -> str:
    """Return the character that a keysym types: "\\n" for Return, "\\t" for Tab, "" for what types nothing."""
    if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF or 0x20A0 <= keysym <= 0x20BF:
        return chr(keysym)
    if UNICODE + 0x100 <= keysym <= UNICODE + 0x10FFFF:
        return chr(keysym - UNICODE)
    if keysym in _SINGLE:
        return _SINGLE[keysym]
    if 0x6C0 <= keysym <= 0x6FF:
        return bytes([keysym & 0xFF]).decode("koi8-r")
    page = _PAGES.get(keysym >> 8)
    try:
        return bytes([keysym & 0xFF]).decode(page) if page and keysym & 0xFF >= 0xA1 else ""
    except UnicodeDecodeError:
        return ""


def keysym_of(text: str) -> int | None:
    """Return the keysym that types one character; None when no key can: control characters and code points that are
    no characters. Line feed and carriage return are Return."""
    if text in ("\n", "\r"):
        return KEYSYMS["enter"]
    if text == "\t":
        return KEYSYMS["tab"]
    code = ord(text)
    if unicodedata.category(text) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return None
    return code if code <= 0xFF else UNICODE + code


def key_name(keysym: int) -> str:
    """Return what `actions.Key` calls the key with this keysym at its unshifted level; "" when it has no name."""
    named = NAMES.get(keysym) or KEYPAD.get(keysym) or MODIFIER_KEYS.get(keysym)
    return named or character(keysym).lower()[:1]


def pair(keysyms: list[int]) -> tuple[int, int]:
    """Return the plain and the shifted keysym of one group, as the X protocol fills in what is missing (section 5)."""
    first, second = [*keysyms, 0, 0][:2]
    if second:
        return first, second
    text = character(first)
    if text and text.lower() != text.upper() and len(text.lower()) == len(text.upper()) == 1:
        lower, upper = keysym_of(text.lower()), keysym_of(text.upper())
        return lower or first, upper or first
    return first, first
