"""Secrets: the word that stands for one, where its value comes from, and how it is kept out of text and files.

A secret is stored as ``<secret:NAME>`` (``<secret>`` in recordings of 2026), never as its value. A value is read from a
source, ``env:VARIABLE``, ``keyring:SERVICE/USER`` or ``prompt``, and lives in the memory of this process only. `KNOWN`
holds all values of this process: what writes events, episodes and errors lets it take them out.
"""

from __future__ import annotations

import base64
import functools
import getpass
import html
import importlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

from showonce.errors import ConfigError, Unavailable

SECRET: Final = "<secret>"  # stands for what was typed into a field that may hold a secret, where it has no name
SHORTEST: Final = 4  # characters; shorter text is also found where nobody meant it
VARIABLE: Final = "SHOWONCE_SECRET"  # environment variable of the only secret of an episode, where no source is named
_LONG: Final = 6  # characters; shorter text counts only where it stands as a word of its own
_FIXED: Final = {  # values of our own files that are needed to read them: the program's words, and the task's goal
    "action", "adapter_version", "button", "checker", "executor", "frame", "frame_hash", "final_frame", "goal", "id",
    "keys", "kind", "name", "path", "phase", "ref", "source", "stop_reason", "task", "task_id", "type", "where",
}  # fmt: skip
_WORD: Final = re.compile(r"<secret(?::(\w+))?>")
_SOURCE: Final = re.compile(r"env:[A-Za-z_]\w*|keyring:[^/\s]+/\S+|prompt", re.ASCII)
SOURCES: Final = "env:VARIABLE, keyring:SERVICE/USER or prompt"


# ------------------------------------------------------------------------------------------ names and sources


def word_for(name: str) -> str:
    """Return the word that stands for a secret in actions; `SECRET` for the one without a name."""
    return f"<secret:{name}>" if name else SECRET


def name_in(text: str) -> str | None:
    """Return the name of the secret that a text stands for as a whole, "" for `SECRET`; None for any other text.

    Example:
        >>> name_in("<secret:password>"), name_in("<secret>"), name_in("my <secret>")
        ('password', '', None)
    """
    found = _WORD.fullmatch(text)
    return None if found is None else found[1] or ""


def mentions(text: str) -> bool:
    """Whether the word of a secret stands anywhere in a text."""
    return _WORD.search(text) is not None


def name_for(label: str, taken: Collection[str] = ()) -> str:
    """Return a name made of a field's label, in letters, digits and ``_``, that is not in `taken`.

    Example:
        >>> name_for("Mot de passe :"), name_for("CVV", ["cvv"]), name_for("パスワード")
        ('mot_de_passe', 'cvv_2', 'password')
    """
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    name = "_".join(re.findall(r"[a-z0-9]+", plain))[:32].strip("_")
    if name in ("", "input", "textarea", "div"):  # an element's tag is no label
        name = "password"
    name = f"secret_{name}" if name[0].isdigit() else name
    return next(new for n in range(1, len(taken) + 2) if (new := name if n == 1 else f"{name}_{n}") not in taken)


def check_source(key: str, source: Any) -> None:
    """Refuse what is no source of a secret.

    Raises:
        ConfigError: naming the key; the text never quotes the value, which may be the secret itself.
    """
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        raise ConfigError(
            f"{key} must say where the secret comes from: {SOURCES}. A value in a file or on the command line could be "
            "read by others, so none is taken (and it is not repeated here)."
        )


@dataclass(frozen=True)
class Places:
    """Where a person says that secrets stand, whatever the fields are called: `record.secrets`.

    regions: left, top, right, bottom as fractions of the frame. selectors: CSS, of elements of a page. chord: makes
    what has the focus in a page a field for secrets, until it is pressed again.
    """

    regions: tuple[tuple[float, float, float, float], ...] = ()
    selectors: tuple[str, ...] = ()
    chord: str = ""

    def __bool__(self) -> bool:
        return bool(self.regions or self.selectors)


NOWHERE: Final = Places()


def places_of(specs: Sequence[str], key: str = "record.secrets") -> Places:
    """Read ``css:SELECTOR`` and ``region:LEFT,TOP,RIGHT,BOTTOM``.

    Example:
        >>> places_of(["css:#iban", "region:0.1,0.2,0.5,0.3"])
        Places(regions=((0.1, 0.2, 0.5, 0.3),), selectors=('#iban',), chord='')

    Raises:
        ConfigError: naming the key and the position in the list.
    """
    regions, selectors = [], []
    for number, spec in enumerate(specs):
        kind, _, text = spec.partition(":")
        where = f"{key}[{number}]={spec!r}"
        if kind == "css" and text.strip():
            selectors.append(text.strip())
        elif kind == "region":
            try:
                left, top, right, bottom = map(float, text.split(","))
            except ValueError:
                raise ConfigError(f"{where}: a region is four numbers, e.g. region:0.1,0.2,0.5,0.3") from None
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise ConfigError(f"{where}: left, top, right, bottom must lie in [0, 1] and not be empty.")
            regions.append((left, top, right, bottom))
        else:
            raise ConfigError(f"{where} must be css:SELECTOR or region:LEFT,TOP,RIGHT,BOTTOM.")
    return Places(tuple(regions), tuple(selectors))


def hidden_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a raw key or text event as that of a field for secrets: with dots, and its text apart, in `typed`."""
    typed, removed = str(event.get("typed") or event["text"]), str(event.get("removed") or "")
    hidden = {**event, "secret": True} | ({"removed": "•" * len(removed)} if removed else {})
    if not typed:
        return hidden
    if event["kind"] == "key":
        hidden |= {"key": "•", "modifiers": ()}
    return {**hidden, "text": "•" * len(typed), "typed": typed}


class Secrets:
    """Values that must not be written, in memory only; by default what was typed into fields that may hold a secret."""

    def __init__(self) -> None:
        self._found: set[str] = set()  # of events, some of them half typed
        self._whole: set[str] = set()
        self._listed: list[str] | None = None  # what `found` returns, until something is added
        self._read: dict[str, str] = {}  # by source
        self._run = ""
        self.last = ""  # what was typed into the latest such field

    def clear(self) -> None:
        """Forget every value."""
        self.__init__()  # type: ignore[misc]

    def add(self, value: str) -> None:
        """Keep a value from being written from now on."""
        self._whole.add(value)
        self._listed = None

    def read(self, name: str, source: str, what: str = "") -> str:
        """Return the value that a source gives for the secret `name`; it is asked once. what: which field it is for.

        Raises:
            ConfigError: there is none, and what to do. Unavailable: keyring is not installed, or no terminal to ask at.
        """
        check_source(f"secret.{name}", source)
        kind, _, place = source.partition(":")
        key = f"prompt:{name}" if kind == "prompt" else source
        if key not in self._read:
            ask = {"env": _from_environment, "keyring": _from_keyring, "prompt": _from_person}[kind]
            self._read[key] = ask(name, place, what)
            self.add(self._read[key])
        return self._read[key]

    def note(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Take the secrets out of a raw event (its keys `typed` and `values`) and return the event without them."""
        before = set(self._found)
        if event.get("secret"):
            backspace = event.get("key") == "backspace"
            self._run = self._run[:-1] if backspace else self._run + str(event.get("typed", ""))
            self.last = self._run
        elif event["kind"] not in ("idle", "release", "told", "lost"):
            self._found.add(self._run)
            self._run = ""
        self._found.update(map(str, event.get("values", ())))
        if event.get("secret") or self._found != before:
            self._listed = None
        return {key: value for key, value in event.items() if key not in ("typed", "values")}

    @property
    def found(self) -> list[str]:
        """The secrets of at least SHORTEST characters, longest first, without the beginnings of others (half typed)."""
        if self._listed is None:
            self._found = {one for one in self._found if not any(one != o and o.startswith(one) for o in self._found)}
            sure = {text.strip() for text in self._whole}
            held = {text.strip() for text in (*self._found, self._run)} | sure
            held = {text for text in held if len(text) >= SHORTEST and SECRET not in text}
            whole = [t for t in held if t in sure or not any(other != t and other.startswith(t) for other in held)]
            self._listed = sorted(whole, key=len, reverse=True)
        return self._listed

    def hide(self, text: str) -> str:
        """Return a text with SECRET in place of every secret, also of its forms in JSON, HTML, addresses and base64."""
        for secret in self.found:
            text = _pattern(secret).sub(SECRET, text)
        return text

    def hide_value(self, value: Any, key: str = "") -> Any:
        """Return a value of JSON with SECRET in every text of it, except the words that our own files are read by."""
        if not self.found:
            return value
        if isinstance(value, str):
            return value if key in _FIXED else self.hide(value)
        if isinstance(value, (list, tuple)):
            return [self.hide_value(item, key) for item in value]
        if isinstance(value, Mapping):
            return {name: self.hide_value(item, name) for name, item in value.items()}
        return value

    def scrub(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Look for every secret in every file below `folder`; return the files mended and those that still hold one.

        Text files are written anew with SECRET in its place; of JSON only values of free text, so that they stay
        readable. Left as they are: YAML (the person's own configuration and task), a goal, files that are no text.
        """
        from showonce.fsio import atomic_write_text  # imports numpy, which errors of the command line do without

        mended, left = list[Path](), list[Path]()
        if not self.found:
            return mended, left
        for path in sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()):
            data = path.read_bytes()
            try:
                text = data.decode()
            except UnicodeDecodeError:
                if self._in_bytes(data):
                    left.append(path)
                continue
            hidden = text if path.suffix == ".yaml" else self._hide_file(path, text)
            if hidden != text:
                atomic_write_text(path, hidden)
                mended.append(path)
            if self._in_bytes(hidden.encode()):
                left.append(path)
        return mended, left

    def _in_bytes(self, data: bytes) -> bool:
        """Whether a secret that is long enough to be told from chance stands in bytes, in any of its forms."""
        long = [form for secret in self.found if len(secret) >= _LONG for form in _forms(secret)]
        return any(form.encode(code) in data for form in long for code in ("utf-8", "utf-16-le", "utf-16-be"))

    def _hide_file(self, path: Path, text: str) -> str:
        if path.suffix == ".jsonl":
            return "\n".join(self._hide_json(line, None) for line in text.split("\n"))
        return self._hide_json(text, 2) if path.suffix == ".json" else self.hide(text)

    def _hide_json(self, text: str, indent: int | None) -> str:
        try:
            value = json.loads(text)
        except ValueError:  # torn: as plain text
            return self.hide(text)
        hidden = self.hide_value(value)
        end = "\n" if text.endswith("\n") else ""
        return text if hidden == value else json.dumps(hidden, ensure_ascii=False, indent=indent) + end


KNOWN: Final = Secrets()  # every value that this process has read from a source or taken from a person's correction


@functools.lru_cache(256)
def _pattern(secret: str) -> re.Pattern[str]:
    """Return what matches a secret in any of its forms; a short one only as a whole word."""
    forms = "|".join(re.escape(form) for form in sorted(_forms(secret), key=len, reverse=True))
    return re.compile(forms if len(secret) >= _LONG else rf"(?<!\w)(?:{forms})(?!\w)")


def _forms(secret: str) -> set[str]:
    """Return how a secret may be spelt: as it is, reversed, escaped for JSON, HTML and addresses, hex and base64."""
    found = {secret, secret[::-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    data = secret.encode()
    if len(data) >= _LONG:
        found |= {data.hex(), data.hex().upper()}
        for before in range(3):  # within a longer text its base64 depends on where it begins; the ends are left out
            first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
            inside = base64.b64encode(b"\0" * before + data)[first:last].decode()
            found |= {inside, inside.translate(str.maketrans("+/", "-_"))}
    return found


# ------------------------------------------------------------------------------------------ where a value comes from


def _from_environment(name: str, variable: str, what: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"secret.{name}=env:{variable}: the environment variable {variable} is not set, or empty.")
    return value


def _from_keyring(name: str, place: str, what: str) -> str:
    service, _, user = place.partition("/")
    try:
        keyring: Any = importlib.import_module("keyring")
    except ImportError:
        raise Unavailable(
            f"secret.{name}=keyring:{place}: keyring is not installed; pip install 'showonce[keyring]'."
        ) from None
    try:
        value = keyring.get_password(service, user)
    except Exception as error:  # every backend of keyring has errors of its own
        raise Unavailable(
            f"secret.{name}=keyring:{place}: the keyring cannot be read ({type(error).__name__})."
        ) from None
    if not value:
        raise ConfigError(f"secret.{name}=keyring:{place}: there is none; set it by `keyring set {service} {user}`.")
    return str(value)


def _from_person(name: str, place: str, what: str) -> str:
    if not sys.stdin.isatty():
        raise Unavailable(f"secret.{name}=prompt: nobody can be asked without a terminal; use env: or keyring:.")
    value = getpass.getpass(f"secret {name}{f' ({what})' if what else ''}: ")
    if not value:
        raise ConfigError(f"secret.{name}=prompt: nothing was entered.")
    return value
