"""Dead keys and Compose sequences: the text that a series of keys makes, by the locale's Compose file.

The file is plain text (Compose(5)): `<dead_acute> <e> : "é"`. It is found as libX11 finds it: $XCOMPOSEFILE, else
~/.XCompose, else the file that /usr/share/X11/locale/compose.dir names for the locale.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

LOCALES: Final = Path("/usr/share/X11/locale")
_KEY: Final = re.compile(r"<([^<>\s]+)>")
_LINE: Final = re.compile(r'^\s*((?:<[^<>\s]+>\s*)+):\s*"((?:[^"\\]|\\.)*)"')  # lines that name modifiers do not match
_INCLUDE: Final = re.compile(r'^\s*include\s+"([^"]+)"')
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
_DEPTH: Final = 8  # files that include each other
Tree = dict[int, Any]  # keysym -> Tree, or the text of a sequence that ends here


@dataclass(frozen=True)
class Composed:
    """What a key did. state: `open`, more keys are to come; `text`, a sequence is complete; `unknown`, these keys make
    nothing that the file knows, and programs differ in what they do then. keys: names of all keys of the sequence.
    """

    state: Literal["open", "text", "unknown"]
    text: str = ""
    keys: str = ""


class Composer:
    """Follows the keys that are pressed. tree: from `compose_tree`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = self._at = tree
        self._keys: list[int] = []

    def feed(self, keysym: int) -> Composed | None:
        """Take a key press that is no modifier; None when it belongs to no sequence."""
        found = self._at.get(keysym)
        if found is None and not self._keys:
            return Composed("unknown", "", keysym_name(keysym)) if is_dead(keysym) else None
        self._keys.append(keysym)
        if isinstance(found, dict):
            self._at = found
            return Composed("open")
        keys = self.drop()
        return Composed("unknown", "", keys) if found is None else Composed("text", found, keys)

    def drop(self) -> str:
        """Forget the open sequence; return the names of its keys, "" when there is none."""
        keys, self._keys, self._at = self._keys, [], self._tree
        return " ".join(keysym_name(each) for each in keys)


def is_dead(keysym: int) -> bool:
    """Say whether it is a dead key or Compose, which type nothing by themselves."""
    return 0xFE50 <= keysym <= 0xFE93 or keysym == 0xFF20


def compose_tree(environ: Mapping[str, str] | None = None, locales: Path = LOCALES) -> Tree:
    """Read the sequences of the locale in `environ` (default: of this process); empty where there is no file."""
    environ = os.environ if environ is None else environ
    system = _system_file(environ, locales)
    own = environ.get("XCOMPOSEFILE") or str(Path(environ.get("HOME", "/")) / ".XCompose")
    tree: Tree = {}
    _read(Path(own) if os.path.isfile(own) else system, {"L": system, "H": environ.get("HOME", ""), "S": locales}, tree)
    return tree


def _system_file(environ: Mapping[str, str], locales: Path) -> Path | None:
    """Return the Compose file of the locale: compose.dir has lines `FILE LOCALE`, the locale as en_US.UTF-8."""
    given = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    name, _, encoding = given.partition("@")[0].partition(".")
    wanted = f"{name}.{'UTF-8' if encoding.lower().replace('-', '') == 'utf8' else encoding}".rstrip(".")
    try:
        lines = (locales / "compose.dir").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    rows = [line.replace(":", " ").split() for line in lines if not line.startswith("#")]
    found = next((row[0] for row in rows if len(row) == 2 and row[1] == wanted), None)
    return None if found is None else locales / found


def _read(file: Path | None, places: Mapping[str, Any], tree: Tree, depth: int = 0) -> None:
    """Add the sequences of a file to `tree`; a later line replaces an earlier one of the same keys."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines() if file is not None and depth < _DEPTH else []
    except OSError:
        return
    for line in lines:
        if include := _INCLUDE.match(line):
            path = re.sub("%([LHS])", lambda sign: str(places[sign[1]] or ""), include[1])
            _read(Path(path), places, tree, depth + 1)
        elif sequence := _LINE.match(line):
            keys = [_keysym(name) for name in _KEY.findall(sequence[1])]
            if all(keys):
                _add(tree, keys, _ESCAPE.sub(_unescaped, sequence[2]))


def _add(tree: Tree, keys: list[int], text: str) -> None:
    for key in keys[:-1]:
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {}
        tree = below
    tree[keys[-1]] = text


def _unescaped(found: re.Match[str]) -> str:
    what = found[1]
    if what[0] == "x" and len(what) > 1:
        return chr(int(what[1:], 16))
    return chr(int(what, 8)) if what[0] in "01234567" else {"n": "\n", "t": "\t", "r": "\r"}.get(what, what)


def keysym_name(keysym: int) -> str:
    """Return the name of keysymdef.h, such as `dead_acute` or `XF86AudioPlay`; the number where it has none."""
    return _names()[1].get(keysym) or (f"U{keysym & 0xFFFFFF:04X}" if keysym >> 24 == 1 else f"0x{keysym:X}")


def _keysym(name: str) -> int:
    """Return the keysym of a name in a Compose file; 0 when it has none."""
    known = _names()[0].get(name)
    if known is not None:
        return known
    if re.fullmatch("U[0-9A-Fa-f]{2,6}", name):
        code = int(name[1:], 16)
        return code if 0x20 <= code <= 0xFF else 0x01000000 + code
    return int(name, 16) if re.fullmatch("0x[0-9A-Fa-f]+", name) else 0


@cache
def _names() -> tuple[dict[str, int], dict[int, str]]:
    """Return name -> keysym and keysym -> name of all sets that python-xlib has, and of newer dead keys."""
    from importlib import import_module

    from Xlib import keysymdef

    known = {f"dead_{name}": first + i for first, dead in _DEAD.items() for i, name in enumerate(dead)}
    for group in keysymdef.__all__:
        module = vars(import_module(f"Xlib.keysymdef.{group}"))
        known |= {re.sub("^(XF86)_", r"\1", name[3:]): value for name, value in module.items() if name[:3] == "XK_"}
    names: dict[int, str] = {}
    for name, keysym in known.items():
        names.setdefault(keysym, name)
    return known, names


_DEAD: Final = {  # first keysym -> names of it and of those that follow, as in keysymdef.h
    0xFE50: (
        *("grave", "acute", "circumflex", "tilde", "macron", "breve", "abovedot", "diaeresis", "abovering"),
        *("doubleacute", "caron", "cedilla", "ogonek", "iota", "voiced_sound", "semivoiced_sound", "belowdot", "hook"),
        *("horn", "stroke", "abovecomma", "abovereversedcomma", "doublegrave", "belowring", "belowmacron"),
        *("belowcircumflex", "belowtilde", "belowbreve", "belowdiaeresis", "invertedbreve", "belowcomma", "currency"),
    ),
    0xFE80: ("a", "A", "e", "E", "i", "I", "o", "O", "u", "U", "small_schwa", "capital_schwa", "greek", "hamza"),
    0xFE90: ("lowline", "aboveverticalline", "belowverticalline", "longsolidusoverlay"),
}
