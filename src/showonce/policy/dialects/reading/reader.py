"""Find the JSON-like objects in a text, in order. Nothing here knows of actions, and no text makes it raise.

Every object is read by JSON's own rules first and leniently after that: single, curly or back quotes, quotes inside
a text, bare words, trailing or missing commas, tuples, line comments, Python's True / False / None, and an end of the
text in the middle of it. Numbers stay as they are written (`Number`), so that a typed "1.50" is not retold as 1.5.

After an object that cannot be read, the next brace within it is tried. To keep this from taking quadratic time, all
readings together cover at most `MAX_READINGS` times the text's length; the rest of the text is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MAX_READINGS: Final = 16
_BEGINNING: Final = 100  # characters that are charged for each brace tried, beside those read
_SHORT: Final = 100_000  # characters that may be read of any text, however short
MAX_DEPTH: Final = 16  # of objects and lists that are not proper JSON


class Number(str):
    """A numeric literal as it is written."""

    __slots__ = ()


class Cut(str):
    """A scalar at the end of the text, which may be incomplete."""

    __slots__ = ()


@dataclass(frozen=True)
class Found:
    """An object and its place. whole: its closing brace is there. strict: it is proper JSON (and therefore whole)."""

    value: dict[str, Any]
    start: int
    end: int
    whole: bool = True
    strict: bool = True


@dataclass(frozen=True)
class Broken:
    """An object that cannot be read: where it begins, the first character that does not fit, and the reason."""

    start: int
    end: int
    detail: str
    whole: bool = True


def read_objects(text: str, start: int = 0) -> Iterator[Found | Broken]:
    """Yield every outermost object of `text` from `start` on; after a broken one its inner objects are tried."""
    left = _SHORT + MAX_READINGS * len(text)
    start = text.find("{", start)
    while start >= 0 and left > 0:
        item = _read(text, start)
        yield item
        left -= item.end - start + _BEGINNING
        start = text.find("{", item.end if isinstance(item, Found) else start + 1)


_UNKNOWN_REACH: Final = 5000  # characters read, about, before Python's limit of nesting is met
_STRICT = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number)


def _read(text: str, start: int) -> Found | Broken:
    try:
        value, end = _STRICT.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        reader = _LenientReader(text, start)
        reached = error.pos if isinstance(error, json.JSONDecodeError) else start + _UNKNOWN_REACH
        try:
            value = reader.object(MAX_DEPTH)
        except _Unreadable as unreadable:
            return Broken(start, max(reader.at, reader.reached, reached) + 1, f"{unreadable} at character {reader.at}")
        return Found(value, start, reader.at, whole=not reader.cut, strict=False)
    return Found(value, start, end)


class _Unreadable(Exception):
    """Internal: the object being read is none."""


_BLANK = re.compile(r"(?:\s+|//[^\n]*+)*+")
_BLANK_OR_COMMA = re.compile(r"(?:[\s,]+|//[^\n]*+)*+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+")
_AFTER_NUMBER = re.compile(r"\s*+(?:[,}\])]|//|[\"']|\Z)")
_BARE_KEY = re.compile(r"[^\W\d][\w.-]*+")
_BARE_VALUE = re.compile(r"[^,{}\[\]()\"\n]++")
_WORDS: Final = {"true": True, "false": False, "null": None, "none": None}
_CLOSING: Final = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
_BODY: Final = {q: re.compile(rf"[^\\{q}]*+(?:\\.[^\\{q}]*+)*+", re.DOTALL) for q in set(_CLOSING.values())}

# A quote ends a text only where something follows that can follow a text; elsewhere it belongs to the text.
_OPEN, _CLOSE = map("".join, (_CLOSING, _CLOSING.values()))
_KEY_AHEAD = rf"(?:[{_OPEN}][^{_CLOSE}\n]{{1,40}}+[{_CLOSE}]|[^\W\d]\w{{0,40}}+)\s*+:"
_KEY_CUT = rf"[{_OPEN}][^{_CLOSE}\n]{{0,40}}+[{_CLOSE}]?+\s*+\Z"
_KEY_ENDS = re.compile(r"\s*+(?::|\Z)")
_ITEM_ENDS = re.compile(r"\s*+(?:[,\])}]|\Z)")
_VALUE_ENDS = re.compile(rf"\s*+(?:\}}|//|\Z|,\s*+(?:\}}|//|\Z|{_KEY_AHEAD}|{_KEY_CUT})|{_KEY_AHEAD})")


class _LenientReader:
    """Recursive descent over one object.

    at: position in the text. reached: the furthest position looked at. cut: the text ended before the object did.
    """

    def __init__(self, text: str, start: int) -> None:
        self.text, self.at, self.reached, self.cut = text, start, start, False

    def object(self, depth: int) -> dict[str, Any]:
        """Return the object that begins here; if the text ends inside it, return the members so far and set `cut`."""
        found: dict[str, Any] = {}
        self._enter(depth)
        while self._more(_BLANK_OR_COMMA):
            if self.text[self.at] == "}":
                self.at += 1
                break
            key = self._key()
            found[key] = Cut()
            if self.cut or not self._more(_BLANK):
                break
            if self.text[self.at] != ":":
                raise _Unreadable("':' expected")
            self.at += 1
            if not self._more(_BLANK):
                break
            found[key] = self._value(depth, _VALUE_ENDS)
            if self.cut or not self._more(_BLANK):
                break
            if self.text[self.at] not in ",}" and not re.match(r"[\"'\w]", self.text[self.at]):
                raise _Unreadable("',' or '}' expected")
        return found

    def _array(self, depth: int) -> list[Any]:
        closing = {"[": "]", "(": ")"}[self.text[self.at]]
        found: list[Any] = []
        self._enter(depth)
        while self._more(_BLANK_OR_COMMA):
            if self.text[self.at] == closing:
                self.at += 1
                break
            found.append(self._value(depth, _ITEM_ENDS))
            if self.cut or not self._more(_BLANK):
                break
            if self.text[self.at] not in {",", closing}:
                raise _Unreadable(f"',' or {closing!r} expected")
        return found

    def _enter(self, depth: int) -> None:
        if depth == 0:
            raise _Unreadable(f"nested more than {MAX_DEPTH} deep")
        self.at += 1

    def _more(self, skipped: re.Pattern[str]) -> bool:
        """Skip `skipped`; return whether text is left, else set `cut`."""
        match = skipped.match(self.text, self.at)
        self.at = match.end() if match else self.at
        self.cut = self.at >= len(self.text)
        return not self.cut

    def _key(self) -> str:
        if self.text[self.at] in _CLOSING:
            return self._quoted(_KEY_ENDS)
        match = _BARE_KEY.match(self.text, self.at)
        if not match:
            raise _Unreadable("a key expected")
        return self._scalar(match)

    def _value(self, depth: int, ends: re.Pattern[str]) -> Any:
        first = self.text[self.at]
        if first == "{":
            return self.object(depth - 1)
        if first in "[(":
            return self._array(depth - 1)
        if first in _CLOSING:
            return self._quoted(ends)
        match = _NUMBER.match(self.text, self.at)
        if match and _AFTER_NUMBER.match(self.text, match.end()):
            number = self._scalar(match)
            return number if self.cut else Number(number)
        match = _BARE_VALUE.match(self.text, self.at)
        word = self._scalar(match).strip() if match else ""
        if not word:
            raise _Unreadable("a value expected")
        return Cut(word) if self.cut else _WORDS.get(word.lower(), word)

    def _scalar(self, match: re.Match[str]) -> str:
        self.at = match.end()
        self.cut = self.at >= len(self.text)
        return Cut(match.group()) if self.cut else match.group()

    def _quoted(self, ends: re.Pattern[str]) -> str:
        closing = _CLOSING[self.text[self.at]]
        start = at = self.at + 1
        refused: int | None = None  # the first quote that did not end the text
        while True:
            match = _BODY[closing].match(self.text, at)
            at = match.end() if match else at
            if at >= len(self.text) or self.text[at] != closing:
                break
            if ends.match(self.text, at + 1):
                self.at = at + 1
                return _unescape(self.text[start:at])
            refused = at if refused is None else refused
            at += 1
        if refused is not None:
            self.at, self.reached = refused + 1, len(self.text)
            raise _Unreadable("':', ',' or '}' expected")
        self.at, self.cut = len(self.text), True
        return Cut(_unescape(self.text[start:at]))


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _unescape(raw: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        if code:
            return chr(int(code, 16))
        character = match[3]
        return _ESCAPED.get(character, f"\\{character}" if character.isalnum() else character)

    return _ESCAPE.sub(plain, raw) if "\\" in raw else raw
