"""The words of the embedded world, on its screens and in its goals.

A goal is a *phrase* (``click red circle``) or the word of an app (``zoka``), which stands for a *program* of phrases
that only a demonstration reveals. `split_phrases` parses the text form, `phrase_text` writes it.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from functools import cache
from typing import Final

from showonce.errors import TaskError, nearest

COLOURS: Final = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES: Final = ("circle", "square", "triangle", "star", "diamond", "cross")
LABELS: Final = (
    *("save", "send", "next", "back", "help", "copy", "print", "undo"),
    *("share", "zoom", "login", "quit", "reply", "draft", "block", "view"),
)
TITLES: Final = ("file", "edit", "page")
FIELDS: Final = ("name", "city", "mail", "code")
TEXTS: Final = (
    *("sun", "moon", "tree", "river", "stone", "apple", "bread", "lamp"),
    *("tiger", "horse", "paris", "oslo", "anna", "peter", "maria", "piano"),
)
KEYS: Final = (
    *("ctrl+s", "ctrl+c", "ctrl+v", "ctrl+z", "ctrl+a", "ctrl+f"),
    *("f5", "tab", "enter", "delete", "alt+left", "ctrl+p"),
)
PROGRAMS: Final = ("notes", "calendar", "maps", "music", "photos", "clock")  # what `open` can start
DISMISS: Final = ("ok", "close", "later")
NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SLIDER_MAX: Final = 8
POINTING: Final = ("click", "double_click", "right_click", "move")

Phrase = tuple[str, ...]


def phrase_text(phrase: Phrase) -> str:
    """Return the goal text of a phrase: its words joined by blanks."""
    return " ".join(phrase)


def program_phrases() -> tuple[Phrase, ...]:
    """Return every phrase that an app's program may contain, in a fixed order."""
    icons = [(verb, c, s) for verb in POINTING for c in COLOURS for s in SHAPES]
    labels = [("click", label) for label in LABELS]
    return (*icons, *labels, *[("type", t) for t in TEXTS], *[("press", k) for k in KEYS])


@dataclass(frozen=True)
class App:
    """A goal word and the program that it stands for. `id` is ``app/SPLIT/KIND/INDEX``."""

    id: str
    word: str
    program: tuple[Phrase, ...]


_SPLITS: Final = {"test": (40, 40), "dev": (16, 16), "train": (24, 24)}  # single, multi
_SEED: Final = 20_261_121


def _words(n: int, rng: random.Random) -> list[str]:
    syllables = [c + v for c in "bdfgjklmnprtvz" for v in "aeiou"]
    taken = {*COLOURS, *SHAPES, *LABELS, *TITLES, *FIELDS, *TEXTS, *PROGRAMS, *DISMISS}
    out: list[str] = []
    while len(out) < n:
        word = "".join(rng.sample(syllables, 3))
        if word not in taken:
            taken.add(word)
            out.append(word)
    return out


def random_program(rng: random.Random, steps: int) -> tuple[Phrase, ...]:
    """Draw a program of `steps` phrases whose targets are all different and fit on one screen."""
    program: list[Phrase] = []
    kinds: tuple[str, ...] = (*POINTING, "click", "click", "label", "label", "type", "press")
    if steps == 1:
        kinds = (*POINTING, "click", "click", "click", "label", "label")
    used: set[Phrase] = set()
    while len(program) < steps:
        kind = rng.choice(kinds)
        if kind == "label":
            target: Phrase = (rng.choice(LABELS),)
            phrase: Phrase = ("click", *target)
        elif kind == "type":
            target = phrase = ("type", rng.choice(TEXTS))
        elif kind == "press":
            target = phrase = ("press", rng.choice(KEYS))
        else:
            target = (rng.choice(COLOURS), rng.choice(SHAPES))
            phrase = (kind, *target)
        icons = sum(len(t) == 2 and t[0] in COLOURS for t in used)
        labels = sum(len(t) == 1 for t in used)
        if target in used or (len(target) == 1 and labels >= 2) or (target[0] in COLOURS and icons >= 4):
            continue
        used.add(target)
        program.append(phrase)
    return tuple(program)


@cache
def apps() -> dict[str, App]:
    """Return every app by id. Words, word-meaning pairs and multi-step programs differ between the splits."""
    rng = random.Random(_SEED)
    words = iter(_words(sum(a + b for a, b in _SPLITS.values()), rng))
    out: dict[str, App] = {}
    programs: set[tuple[Phrase, ...]] = set()
    for split, (single, multi) in _SPLITS.items():
        for kind, count in (("single", single), ("multi", multi)):
            for index in range(count):
                steps = 1 if kind == "single" else rng.randint(3, 5)
                program = random_program(rng, steps)
                while steps > 1 and program in programs:
                    program = random_program(rng, steps)
                programs.add(program)
                app = App(f"app/{split}/{kind}/{index}", next(words), program)
                out[app.id] = app
    return out


def app_words() -> tuple[str, ...]:
    """Return the goal words of all apps, in a fixed order (each is one token of the tiny model)."""
    return tuple(app.word for app in apps().values())


def find_app(app_id: str) -> App:
    """Return an app by id.

    Raises:
        TaskError: no such app; the nearest id is named, or which numbers there are.
    """
    known = apps()
    if app_id not in known:
        kind, _, number = app_id.rpartition("/")
        numbers = [int(name.rpartition("/")[2]) for name in known if name.rpartition("/")[0] == kind]
        if numbers and number.lstrip("-").isdecimal():
            raise TaskError(f"no app {app_id!r}: {kind}/ has the numbers {min(numbers)} to {max(numbers)}.")
        raise TaskError(f"no app {app_id!r}.{nearest(app_id, known)}")
    return known[app_id]


def held_out_hash() -> str:
    """Return the SHA-256 of the test split (words and programs); written down before pre-training."""
    test = [(a.id, a.word, a.program) for a in apps().values() if a.id.startswith("app/test/")]
    return hashlib.sha256(json.dumps(test).encode()).hexdigest()


def held_out_programs() -> frozenset[tuple[Phrase, ...]]:
    """Return the multi-step programs of the dev and test splits, which pre-training must never draw."""
    return frozenset(a.program for a in apps().values() if len(a.program) > 1 and not a.id.startswith("app/train/"))


def vocabulary() -> tuple[str, ...]:
    """Return every word of the goal language but the apps' own, in a fixed order."""
    verbs = (
        "click",
        "double_click",
        "right_click",
        "move",
        "drag",
        "scroll",
        "type",
        "key",
        "open",
        "wait",
        "done",
        "ask",
    )
    families = ("context", "fill", "form", "check", "set", "find", "pick", "press", "colour", "count")
    groups = (verbs, families, COLOURS, SHAPES, LABELS, TITLES, FIELDS, TEXTS, KEYS, PROGRAMS, DISMISS, NUMBERS)
    seen: dict[str, None] = {}
    for group in groups:
        seen.update(dict.fromkeys(group))
    return tuple(seen)
