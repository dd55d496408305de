"""Seventy kinds of acts that people do on pages, each at random places: is what was done stored exactly, or is it said?

    python -m benchmarks.recorder_kinds              # 70 kinds x 5 by both hands, about 25 minutes on two cores
    python -m benchmarks.recorder_kinds --quick      # one hand, once
    python -m benchmarks.recorder_kinds --kinds "triple click, paste" --repeats 1

The person is a second DevTools client in front of a headless browser that showonce is attached to, and xdotool in front
of a window of a browser that showonce has opened itself. A page holds twelve kinds at a time, each in a cell of its own
that logs the input it gets (event types, click counts, modifiers, values). After the recording the episode is replayed
by its coordinates on a fresh page. A kind was

    exact     its cell ends in the same state, event log included, after the replay as after the person
    told      the recorder said in its live line, while the person did it, that something is not kept
    changed   neither: something else was stored without a word

Needs a Chromium, Xvfb, openbox, xdotool and the extra browser.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tests.people import CdpPerson, running_browser
from tests.xscreen import Screen, until, x_screen

from benchmarks.verdict import Row, finish, parser
from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.errors import ShowonceError
from showonce.evaluation.goals import Goal
from showonce.runtime.replay import replay_episode
from showonce.runtime.watch import record_watched
from showonce.types import Success, Task

NONE: Final = Goal("=", 0.0)
WIDTH: Final = 1280
HEIGHT: Final = 720
COLUMNS: Final = 4
ROWS: Final = 3
OWN: Final = ("ctrl+f7", "ctrl+f8", "ctrl+f9", "ctrl+f10")
HUMAN_SECONDS: Final = 0.25  # least time of a person from seeing to acting
QUIET: Final = 0.7  # seconds without a new live line after which a kind is over
FAMILY: Final = "\U0001f468‍\U0001f469‍\U0001f467"


class Reader(Protocol):
    """Looks into a page without doing anything there."""

    def ask(self, expression: str) -> Any: ...


class Hand(Reader, Protocol):
    """Mouse and keyboard of a person. Places are CSS pixels of the page; held: modifiers."""

    def move(self, x: float, y: float) -> None: ...
    def click(
        self, x: float, y: float, button: str = "left", count: int = 1, held: Sequence[str] = (), pause: float = 0.03
    ) -> None: ...
    def drag(self, x: float, y: float, to_x: float, to_y: float, held: Sequence[str] = ()) -> None: ...
    def wheel(self, x: float, y: float, dy: int, dx: int = 0, held: Sequence[str] = ()) -> None: ...
    def key(self, chord: str) -> None: ...
    def type(self, text: str) -> None: ...


class DevToolsHand:
    """A second DevTools client. The input method and text without keys exist only here."""

    _MODIFIERS: Final = {"alt": 1, "ctrl": 2, "meta": 4, "shift": 8}
    _KEYS: Final = {"shift": ("Shift", 16), "ctrl": ("Control", 17), "alt": ("Alt", 18), "meta": ("Meta", 91)}
    _NAMES: Final = {
        "enter": "Enter", "tab": "Tab", "escape": "Escape", "backspace": "Backspace", "delete": "Delete",
        "home": "Home", "end": "End", "left": "ArrowLeft", "right": "ArrowRight", "up": "ArrowUp", "down": "ArrowDown",
        "space": " ", "f2": "F2", "f10": "F10",
    }  # fmt: skip

    def __init__(self, client: CdpPerson) -> None:
        self.client = client

    @contextmanager
    def _holding(self, held: Sequence[str]) -> Iterator[int]:
        bits = 0
        for name in held:
            bits |= self._MODIFIERS[name]
            key, code = self._KEYS[name]
            self.client.send(
                "Input.dispatchKeyEvent", type="rawKeyDown", key=key, windowsVirtualKeyCode=code, modifiers=bits
            )
        yield bits
        for name in reversed(held):
            bits &= ~self._MODIFIERS[name]
            key, code = self._KEYS[name]
            self.client.send(
                "Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, modifiers=bits
            )

    def move(self, x: float, y: float) -> None:
        self.client.mouse("mouseMoved", x, y)

    def click(
        self, x: float, y: float, button: str = "left", count: int = 1, held: Sequence[str] = (), pause: float = 0.03
    ) -> None:
        self.client.mouse("mouseMoved", x, y)
        with self._holding(held) as bits:
            for number in range(1, count + 1):
                self.client.mouse("mousePressed", x, y, button, number, modifiers=bits)
                self.client.mouse("mouseReleased", x, y, button, number, modifiers=bits)
                time.sleep(pause)

    def drag(self, x: float, y: float, to_x: float, to_y: float, held: Sequence[str] = ()) -> None:
        mouse = self.client.mouse
        mouse("mouseMoved", x, y)
        with self._holding(held) as bits:
            mouse("mousePressed", x, y, "left", 1, modifiers=bits)
            for part in (0.1, 0.3, 0.7, 1.0):
                at = (x + (to_x - x) * part, y + (to_y - y) * part)
                mouse("mouseMoved", *at, "left", buttons=1, modifiers=bits)
                time.sleep(0.03)
            mouse("mouseReleased", to_x, to_y, "left", 1, modifiers=bits)

    def wheel(self, x: float, y: float, dy: int, dx: int = 0, held: Sequence[str] = ()) -> None:
        self.client.mouse("mouseMoved", x, y)
        with self._holding(held) as bits:
            for _ in range(max(abs(dy), abs(dx))):
                turned: dict[str, Any] = {"deltaX": 120 * _sign(dx), "deltaY": 120 * _sign(dy)}
                self.client.mouse("mouseWheel", x, y, modifiers=bits, **turned)

    def key(self, chord: str) -> None:
        *held, key = chord.split("+")
        key = key.upper() if "shift" in held and len(key) == 1 else key
        with self._holding(held):
            self.client.key(self._NAMES.get(key, key), {"enter": "\r", "space": " "}.get(key, ""), *held)

    def type(self, text: str) -> None:
        for letter in text:
            if letter.isascii():
                self.client.key(letter, letter)
            else:
                self.client.send("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
                self.client.send("Input.dispatchKeyEvent", type="keyUp", key=letter)

    def ask(self, expression: str) -> Any:
        told = self.client.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")


class XHand:
    """xdotool in front of a browser's window; `reader` looks into the page, and does nothing there."""

    _NAMES: Final = {
        "enter": "Return", "tab": "Tab", "escape": "Escape", "backspace": "BackSpace", "delete": "Delete",
        "home": "Home", "end": "End", "left": "Left", "right": "Right", "up": "Up", "down": "Down", "space": "space",
        "f2": "F2", "f10": "F10", "meta": "super",
    }  # fmt: skip

    def __init__(self, screen: Screen, reader: Reader) -> None:
        self.screen, self.reader = screen, reader
        corner = "[screenX + (outerWidth - innerWidth) / 2, screenY + outerHeight - innerHeight]"
        self.left, self.top = (float(value) for value in reader.ask(corner))

    def _do(self, held: Sequence[str], *words: str) -> None:
        names = [self._NAMES.get(name, name) for name in held]
        down = [word for name in names for word in ("keydown", name)]
        up = [word for name in reversed(names) for word in ("keyup", name)]
        self.screen.xdotool(*down, *words, *up)

    def _at(self, x: float, y: float) -> tuple[str, str]:
        return str(int(x + self.left)), str(int(y + self.top))

    def move(self, x: float, y: float) -> None:
        self.screen.xdotool("mousemove", *self._at(x, y))

    def click(
        self, x: float, y: float, button: str = "left", count: int = 1, held: Sequence[str] = (), pause: float = 0.03
    ) -> None:
        self.move(x, y)
        number = {"left": "1", "middle": "2", "right": "3"}[button]
        delay = str(round(max(pause, 0.06) * 1000))
        self._do(held, "click", "--repeat", str(count), "--delay", delay, number)

    def drag(self, x: float, y: float, to_x: float, to_y: float, held: Sequence[str] = ()) -> None:
        self.move(x, y)
        steps: list[str] = ["mousedown", "1"]
        for part in (0.1, 0.3, 0.7, 1.0):
            steps += ["mousemove", *self._at(x + (to_x - x) * part, y + (to_y - y) * part), "sleep", "0.04"]
        self._do(held, *steps, "mouseup", "1")

    def wheel(self, x: float, y: float, dy: int, dx: int = 0, held: Sequence[str] = ()) -> None:
        self.move(x, y)
        button = ("5" if dy > 0 else "4") if dy else ("7" if dx > 0 else "6")
        self._do(held, "click", "--repeat", str(max(abs(dy), abs(dx))), "--delay", "15", button)

    def key(self, chord: str) -> None:
        self.screen.xdotool("key", "+".join(self._NAMES.get(part, part) for part in chord.split("+")))

    def type(self, text: str) -> None:
        self.screen.xdotool("type", "--delay", "20", text)

    def ask(self, expression: str) -> Any:
        return self.reader.ask(expression)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


# ------------------------------------------------------------------------------------------------------------- kinds

LOG: Final = "<div class=log tabindex=0>log</div>"
FIELD: Final = "<input class=f>"
TWO: Final = "<input class=f><br><input class=g>"
TEXT: Final = "<input class=f value='alpha beta gamma'>"
AREA: Final = "<textarea class=f rows=4 cols=24>first line\nsecond line\nthird line</textarea>"
RICH: Final = "<div class='f box' contenteditable></div>"
FILES: Final = (
    "<select class=f multiple size=5><option>a.txt<option>b.txt<option>c.txt<option>d.txt<option>e.txt</select>"
)
MENU: Final = (
    "<div class=menu><span class=open>menu</span><div class=sub><a class=pick>Rename</a>"
    "<a class=pick>Delete</a></div></div><div class='log under'>under</div>"
)
SCRIPTED: Final = (
    "<span class=open onmouseenter=\"setTimeout(() => this.nextSibling.style.display = 'block', 120)\">more</span>"
    "<div class=late style='display:none'><button class=log>inside</button></div>"
)
NESTED: Final = (
    "<div class=menu><span class=open>file</span><div class=sub><div class=menu><span class=next>recent</span>"
    "<div class=sub><a class=pick>one</a></div></div></div></div>"
)
FRAME: Final = '<iframe class=frame {} srcdoc="<input type=checkbox class=c><input class=f size=8>"></iframe>'


class Cell:
    """One kind's place on the page, as its act sees it."""

    def __init__(self, hand: Hand, name: str) -> None:
        self.hand, self.name = hand, name

    def at(self, selector: str = ".f", dx: float = 0, dy: float = 0) -> tuple[float, float]:
        """Return a place: the middle of an element, moved. ``frame>>inner`` leads into a frame or a shadow root."""
        there = f"!!R({self.name!r}, {selector!r})"
        if not self.hand.ask(there):
            until(lambda: self.hand.ask(there), 10, f"{selector} of {self.name}")
            time.sleep(HUMAN_SECONDS)
        x, y = self.hand.ask(f"R({self.name!r}, {selector!r})")
        return int(x + dx) + 0.5, int(y + dy) + 0.5  # the middle of a pixel, where a replay points, too

    def click(self, selector: str = ".f", dx: float = 0, dy: float = 0, **more: Any) -> None:
        self.hand.click(*self.at(selector, dx, dy), **more)

    def keys(self, *chords: str) -> None:
        for chord in chords:
            self.hand.key(chord)

    def compose(self, *parts: str, commit: str) -> None:
        """Type by an input method: each part is shown underlined, then `commit` is inserted."""
        assert isinstance(self.hand, DevToolsHand)
        for part in parts:
            self.hand.client.send(
                "Input.imeSetComposition", text=part, selectionStart=len(part), selectionEnd=len(part)
            )
            time.sleep(0.05)
        self.hand.client.send("Input.insertText", text=commit)


Act = Callable[[Cell, random.Random], None]


@dataclass(frozen=True)
class Kind:
    """One kind. html: of its cell. act: what the person does. state: a JavaScript expression of the cell `c`.

    keyless: needs text that comes without keys, which only DevTools can send here.
    """

    name: str
    html: str
    act: Act
    state: str = "c.log || [...c.querySelectorAll('input,textarea')].map(e => e.value)"
    keyless: bool = False


VALUES: Final = "[...c.querySelectorAll('input,textarea')].map(e => e.value)"
CHOSEN: Final = "[...c.querySelector('select').selectedOptions].map(o => o.text)"
INNER: Final = "c.querySelector('.f').innerText"


def _on_log(**more: Any) -> Act:
    return lambda c, rng: c.click(".log", rng.randint(-30, 30), rng.randint(-15, 15), **more)


def _typing(*steps: str, first: str = "hello") -> Act:
    """Return an act: click into the field, type `first`, then keys (``key:...``) and texts."""

    def act(c: Cell, rng: random.Random) -> None:
        c.click()
        for step in (first, *steps):
            if step.startswith("key:"):
                c.hand.key(step[4:])
            elif step:
                c.hand.type(step)

    return act


def _held_drag(*held: str) -> Act:
    def act(c: Cell, rng: random.Random) -> None:
        x, y = c.at(".log", -40, rng.randint(-10, 10))
        c.hand.drag(x, y, x + rng.randint(30, 80), y + rng.randint(-8, 8), held)

    return act


def _wheel(dy: int, dx: int = 0, *held: str) -> Act:
    return lambda c, rng: c.hand.wheel(*c.at(".log", rng.randint(-20, 20)), dy, dx, held)


def _copied(source: str, *paste: str, into: str = ".g") -> Act:
    """Return an act: copy all of one field and insert it into the other by keys."""

    def act(c: Cell, rng: random.Random) -> None:
        c.click(source)
        c.keys("ctrl+a", "ctrl+c")
        c.click(into)
        c.keys(*paste)

    return act


def _composed(*parts: str, commit: str, before: str = "", after: str = "") -> Act:
    def act(c: Cell, rng: random.Random) -> None:
        c.click()
        c.hand.type(before)
        c.compose(*parts, commit=commit)
        c.hand.type(after)

    return act


def _inserted(text: str, after: str = "", *keys: str) -> Act:
    def act(c: Cell, rng: random.Random) -> None:
        assert isinstance(c.hand, DevToolsHand)
        c.click()
        c.hand.client.insert(text)
        c.keys(*keys)
        c.hand.type(after)

    return act


def _rows(c: Cell, *numbers: int, held: Sequence[str]) -> None:
    x, y = c.at()
    height = c.hand.ask(f"{_cell(c.name)}.querySelector('option').getBoundingClientRect().height")
    for at, number in enumerate(numbers):
        c.hand.click(x, y + (number - 2) * height, held=held if at else ())


def _cell(name: str) -> str:
    return f"document.getElementById({name!r})"


def _hover(*path: str, target: str, rest: float = 0.5) -> Act:
    def act(c: Cell, rng: random.Random) -> None:
        for selector in path:
            c.hand.move(*c.at(selector, rng.randint(-4, 4)))
            time.sleep(rest)
        c.click(target)
        c.hand.move(640, 2)

    return act


def _selected(c: Cell, rng: random.Random) -> None:
    half = c.hand.ask(f"{_cell(c.name)}.querySelector('.f').getBoundingClientRect().width") / 2
    c.hand.drag(*c.at(".f", 4 - half), *c.at(".f", rng.randint(30, 60) - half))
    c.hand.type("Z")


def _moved_block(c: Cell, rng: random.Random) -> None:
    c.hand.drag(*c.at(".from"), *c.at(".to", rng.randint(-10, 10)))


def _slowly(c: Cell, rng: random.Random) -> None:
    x, y = c.at(".log", rng.randint(-20, 20))
    for _ in range(2):
        c.hand.click(x, y)
        time.sleep(0.9)


def _both(*acts: Act) -> Act:
    def act(c: Cell, rng: random.Random) -> None:
        for one in acts:
            one(c, rng)
            time.sleep(HUMAN_SECONDS)

    return act


def _into(selector: str, text: str = "", **more: Any) -> Act:
    def act(c: Cell, rng: random.Random) -> None:
        c.click(selector, **more)
        if text:
            c.hand.type(text)

    return act


def _then(text: str) -> Act:
    return lambda c, rng: c.hand.type(text)


def _closing(c: Cell, rng: random.Random) -> None:
    c.click(".log")
    c.hand.key("escape")


INSIDE: Final = (
    "(d => d && [...d.querySelectorAll('input')].map(e => e.type == 'checkbox' ? e.checked : e.value))"
    "(c.querySelector('iframe') && c.querySelector('iframe').contentDocument)"
)
KINDS: Final = (
    Kind("click", LOG, _on_log()),
    Kind("double click", LOG, _on_log(count=2)),
    Kind("triple click", LOG, _on_log(count=3)),
    Kind("triple click on a line then typing", AREA, _both(_into(".f", count=3), _then("new")), VALUES),
    Kind("double click on a word then typing", TEXT, _both(_into(".f", dx=-65, count=2), _then("W")), VALUES),
    Kind("two slow clicks", LOG, _slowly),
    Kind("right click", LOG, _on_log(button="right")),
    Kind("middle click", LOG, _on_log(button="middle")),
    Kind("ctrl+click", LOG, _on_log(held=("ctrl",))),
    Kind("shift+click", LOG, _on_log(held=("shift",))),
    Kind("ctrl+shift+click", LOG, _on_log(held=("ctrl", "shift"))),
    Kind("alt+shift+click", LOG, _on_log(held=("alt", "shift"))),
    Kind("ctrl+double click", LOG, _on_log(count=2, held=("ctrl",))),
    Kind("shift+right click", LOG, _on_log(button="right", held=("shift",))),
    Kind("ctrl+click on list entries", FILES, lambda c, rng: _rows(c, 0, 2, 3, held=("ctrl",)), CHOSEN),
    Kind("shift+click on a list", FILES, lambda c, rng: _rows(c, 1, 3, held=("shift",)), CHOSEN),
    Kind("drag", LOG, _held_drag()),
    Kind("ctrl+drag", LOG, _held_drag("ctrl")),
    Kind("shift+drag", LOG, _held_drag("shift")),
    Kind(
        "slider",
        "<input class=f type=range step=10>",
        lambda c, rng: c.hand.drag(*c.at(), *c.at(".f", rng.randint(15, 45))),
        VALUES,
    ),
    Kind("text selected by a drag then typing", TEXT, _selected, VALUES),
    Kind("drag and drop", "<div class=from draggable=true>A</div><div class=to>target</div>", _moved_block),
    Kind("wheel", LOG, _wheel(3)),
    Kind("wheel sideways", LOG, _wheel(0, 2)),
    Kind("shift+wheel", LOG, _wheel(2, 0, "shift")),
    Kind("ctrl+wheel", LOG, _wheel(-2, 0, "ctrl")),
    Kind(
        "label of a box",
        "<label class=l><input type=checkbox>agree</label>",
        _into(".l", dx=20),
        "c.querySelector('input').checked",
    ),
    Kind(
        "radio button",
        "<input type=radio name=r><input type=radio name=r class=f>",
        _into(".f"),
        "c.querySelector('.f').checked",
    ),
    Kind("typing", FIELD, _typing("x=1; {ok}", first=""), VALUES),
    Kind("accented typing", FIELD, _typing("naïve café", first=""), VALUES),
    Kind("CJK text without keys", FIELD, _inserted("日本語", " ok"), VALUES, keyless=True),
    Kind("emoji without keys", FIELD, _inserted(f"hi {FAMILY}"), VALUES, keyless=True),
    Kind("input method", FIELD, _composed("に", "にほ", "日本", commit="日本語", after=" ok"), VALUES, keyless=True),
    Kind(
        "input method within text",
        FIELD,
        _composed("ㅎ", "하", "한", commit="한", before="a ", after=" b"),
        VALUES,
        keyless=True,
    ),
    Kind("input method in a rich field", RICH, _composed("ni", "nihao", commit="你好", after="!"), INNER, keyless=True),
    Kind("dead key", FIELD, _composed("´", commit="é", before="caf"), VALUES, keyless=True),
    Kind("paste", "<input class=f value='copied text'><br><input class=g>", _copied(".f", "ctrl+v"), VALUES),
    Kind(
        "paste by shift+insert",
        "<input class=f value='old way'><br><input class=g>",
        _copied(".f", "ctrl+v", "space", "ctrl+v"),
        VALUES,
    ),
    Kind("paste of lines", f"{AREA}<textarea class=g rows=3></textarea>", _copied(".f", "ctrl+v"), VALUES),
    Kind(
        "paste into a rich field",
        "<input class=f value='to rich'><div class='g box' contenteditable></div>",
        _copied(".f", "ctrl+v"),
        "c.querySelector('.g').innerText",
    ),
    Kind(
        "cut and paste",
        "<input class=f value=moved><br><input class=g>",
        _both(_into(".f"), lambda c, rng: c.keys("ctrl+a", "ctrl+x"), _into(".g"), lambda c, rng: c.keys("ctrl+v")),
        VALUES,
    ),
    Kind("backspace", FIELD, _typing("key:backspace", "key:backspace", "LO"), VALUES),
    Kind(
        "backspace over one emoji of several code points",
        FIELD,
        _inserted(f"hi {FAMILY}", "\U0001f44d", "backspace"),
        VALUES,
        keyless=True,
    ),
    Kind("backspace over a word", TEXT, _typing("key:end", "key:ctrl+backspace", "delta", first=""), VALUES),
    Kind("delete at the beginning", FIELD, _typing("key:home", "key:delete", "J"), VALUES),
    Kind("shift+home then typing", FIELD, _typing("key:shift+home", "bye"), VALUES),
    Kind("select all then typing", TEXT, _typing("key:ctrl+a", "new", first=""), VALUES),
    Kind("select all then backspace and typing", TEXT, _typing("key:ctrl+a", "key:backspace", "x", first=""), VALUES),
    Kind("insertion in the middle", FIELD, _typing("key:left", "key:left", "XY"), VALUES),
    Kind("undo", FIELD, _typing("key:ctrl+z", "b"), VALUES),
    Kind(
        "enter in a form",
        "<form onsubmit='C(this).log.push(this.q.value); return false'><input class=f name=q></form>",
        _typing("key:enter"),
        "[c.log, c.querySelector('.f').value]",
    ),
    Kind("tab to the next field", TWO, _typing("key:tab", "two", first="one"), VALUES),
    Kind("shift+tab", TWO, _both(_into(".g", "b"), lambda c, rng: c.hand.key("shift+tab"), _then("a")), VALUES),
    Kind("chord", LOG, _both(_on_log(), lambda c, rng: c.keys("ctrl+b", "ctrl+shift+k", "f2"))),
    Kind("escape", LOG, _closing),
    Kind(
        "space on a button", "<button class=log>go</button>", _both(_into(".log"), lambda c, rng: c.hand.key("space"))
    ),
    Kind(
        "choice by keys",
        "<input class=f size=4><select class=g><option>a<option>b<option>c</select>",
        _typing("key:tab", "key:down", "key:down", first="k"),
        f"[{VALUES}, {CHOSEN}]",
    ),
    Kind(
        "number by arrow keys",
        "<input class=f type=number value=5>",
        _typing("key:up", "key:up", "key:down", first=""),
        VALUES,
    ),
    Kind("rich text with two lines", RICH, _typing("key:enter", "two", "key:backspace"), INNER),
    Kind("menu that opens under the pointer", MENU, _hover(".open", target=".pick")),
    Kind("menu that a script opens", SCRIPTED, _hover(".open", target=".late .log")),
    Kind("menu in a menu", NESTED, _hover(".open", ".next", target=".pick")),
    Kind("frame", FRAME.format(""), _both(_into(".frame>>.c"), _into(".frame>>.f", "in")), INSIDE),
    Kind("frame without scripts", FRAME.format("sandbox=allow-same-origin"), _into(".frame>>.c"), INSIDE),
    Kind(
        "typing in a frame without scripts",
        FRAME.format("sandbox=allow-same-origin"),
        _into(".frame>>.f", "mail"),
        INSIDE,
    ),
    Kind(
        "open shadow root",
        "<x-open></x-open>",
        _into("x-open>>.f", "sh"),
        "c.querySelector('x-open').shadowRoot.querySelector('.f').value",
    ),
    Kind(
        "closed shadow root",
        "<x-closed></x-closed>",
        _into("x-closed>>.c"),
        "ROOTS.get(c.querySelector('x-closed')).querySelector('.c').checked",
    ),
    Kind(
        "document written anew",
        "<button class=b onclick='rewrite(C(this))'>load</button><iframe class=frame></iframe>",
        _both(_into(".b"), _into(".frame>>.c")),
        INSIDE,
    ),
    Kind(
        "late frame",
        "<button class=b onclick='late(C(this))'>load</button>",
        _both(_into(".b"), _into(".frame>>.c")),
        INSIDE,
    ),
    Kind("canvas", "<canvas class='log f' width=200 height=60></canvas>", _both(_on_log(), _held_drag())),
)

PAGE: Final = """<!doctype html><meta charset=utf-8><style>
body{margin:0;font:15px sans-serif;background:#f4f4f4;overflow:hidden;height:720px}
.cell{position:absolute;width:300px;height:220px} .log,.to{width:200px;height:60px;background:#cde} .box{width:200px;
height:60px;background:#fff} .from{width:40px;height:30px;background:#a44;display:inline-block} .frame{width:230px;
height:60px} .menu{display:inline-block} .sub{display:none;background:#eee;width:120px} .menu:hover>.sub{display:block}
.pick,.open,.next{display:block;width:120px;height:24px;background:#ddd} .under{margin-top:4px}
</style><body>CELLS<script>
const ROOTS = new Map(), C = e => e.closest('.cell');
customElements.define('x-open', class extends HTMLElement {
  connectedCallback() { this.attachShadow({mode: 'open'}).innerHTML = '<input class=f>'; }});
customElements.define('x-closed', class extends HTMLElement {
  connectedCallback() { const r = this.attachShadow({mode: 'closed'}); r.innerHTML = '<input type=checkbox class=c>';
    ROOTS.set(this, r); }});
const WIDGETS = '<input type=checkbox class=c><input class=f size=8>';
const rewrite = c => { const d = c.querySelector('iframe').contentDocument; d.open(); d.write(WIDGETS); d.close(); };
const late = c => setTimeout(() => { const f = document.createElement('iframe'); f.className = 'frame';
  f.srcdoc = WIDGETS; c.append(f); }, 100);
const held = e => ['ctrlKey', 'altKey', 'shiftKey', 'metaKey'].filter(k => e[k]).join();
for (const c of document.querySelectorAll('.cell')) c.log = [];
for (const e of document.querySelectorAll('.log, .pick')) {
  const log = C(e).log, say = (...words) => log.push(words.join(' '));
  for (const kind of ['mousedown', 'click', 'dblclick', 'auxclick'])
    e.addEventListener(kind, v => say(e.textContent, kind, v.button, v.detail, held(v)));
  e.addEventListener('contextmenu', v => { v.preventDefault(); say('contextmenu', held(v)); });
  e.addEventListener('wheel', v => { v.preventDefault(); say('wheel', held(v), v.deltaX, v.deltaY); },
    {passive: false});
  e.addEventListener('mouseup', v => say('mouseup', Math.floor(v.clientX), Math.floor(v.clientY), held(v)));
  e.addEventListener('keydown', v => { if (!['Control', 'Shift', 'Alt', 'Meta'].includes(v.key))
    { v.preventDefault(); say('key', v.key, held(v)); } });
}
for (const e of document.querySelectorAll('.from')) e.ondragstart = v => v.dataTransfer.setData('text/plain', 'A');
for (const e of document.querySelectorAll('.to')) {
  e.ondragover = v => v.preventDefault();
  e.ondrop = v => { v.preventDefault(); C(e).log.push('dropped ' + v.dataTransfer.getData('text/plain')); };
}
const R = (id, path) => {
  let root = document.getElementById(id), x = 0, y = 0, r;
  for (const part of path.split('>>')) {
    const e = root && root.querySelector(part);
    if (!e) return null;
    r = e.getBoundingClientRect();
    if (!r.width) return null;
    if (e.tagName === 'IFRAME') { x += r.left + e.clientLeft; y += r.top + e.clientTop; root = e.contentDocument; }
    else root = e.shadowRoot || ROOTS.get(e) || e;
  }
  const inner = path.includes('>>') && !path.startsWith('x-');
  return [(inner ? x : 0) + r.left + r.width / 2, (inner ? y : 0) + r.top + r.height / 2];
};
const told = () => Object.fromEntries([...document.querySelectorAll('.cell')].map(c =>
  [c.id, STATES[c.id](c)]));
const STATES = {FUNCTIONS};
</script>"""


def page_of(kinds: Sequence[Kind], rng: random.Random) -> str:
    """Return a page with one cell a kind, each at a random place within its part of the page."""
    places = rng.sample(range(COLUMNS * ROWS), len(kinds))
    cells = []
    for kind, place in zip(kinds, places, strict=True):
        left = place % COLUMNS * 318 + rng.randint(4, 40)
        top = place // COLUMNS * 236 + rng.randint(4, 30)
        cells.append(f"<div class=cell id='{kind.name}' style='left:{left}px;top:{top}px'>{kind.html}</div>")
    functions = ", ".join(f"{json.dumps(kind.name)}: c => {kind.state}" for kind in kinds)
    return PAGE.replace("CELLS", "".join(cells)).replace("FUNCTIONS", functions)


# --------------------------------------------------------------------------------------------------------- recording


@dataclass
class Count:
    """How the repetitions of one kind ended. why: of each one that was changed."""

    exact: int = 0
    told: int = 0
    changed: int = 0
    why: list[str] = field(default_factory=list)


class Tally:
    """The counts of all kinds, by hand and kind; waits: that nobody meant, in all recordings."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Count] = {}
        self.waits = 0

    def add(self, hand: str, kind: Kind, shown: Any, again: Any, fresh: Any, lines: Sequence[str]) -> None:
        """Judge one repetition by the states after the person, after the replay and at the start."""
        count = self.counts.setdefault((hand, kind.name), Count())
        if shown == again and (shown != fresh or lines):
            count.exact += 1
        elif lines:
            count.told += 1
        else:
            count.changed += 1
            count.why.append("the act changed nothing on the page" if shown == fresh else f"{shown} became {again}")
            print(f"  CHANGED {hand}, {kind.name}: {count.why[-1]}", flush=True)

    def rows(self) -> list[Row]:
        """Return one row a hand: silently changed repetitions, of which the goal is none."""
        made = []
        for hand in sorted({hand for hand, _ in self.counts}):
            mine = [count for (name, _), count in self.counts.items() if name == hand]
            exact, told, changed = (sum(getattr(c, key) for c in mine) for key in ("exact", "told", "changed"))
            note = f"{len(mine)} kinds: {exact} exact, {told} told"
            made.append(Row(f"{hand}: acts changed without a word", changed, NONE, n=exact + told + changed, note=note))
        return [
            *made,
            Row("waits that nobody made", self.waits, NONE, n=sum(c.exact + c.told for c in self.counts.values())),
        ]


class Session:
    """One environment, the hand in front of it, and a folder for its episodes."""

    def __init__(self, environment: BrowserEnvironment, folder: Path, sit: Callable[[], Hand]) -> None:
        self.environment, self.folder, self.sit = environment, folder, sit
        self.page = folder / "page.html"
        self.task = Task("user/kinds", "do it", "browser", start=str(self.page), success=Success("none"))

    def once(self, name: str, kinds: Sequence[Kind], rng: random.Random, tally: Tally) -> None:
        """Record all kinds in a random order, replay the episode on a fresh page, and judge each."""
        self.page.write_text(page_of(kinds, rng), "utf-8")
        lines: list[str] = []
        result: list[Any] = []
        thread = threading.Thread(target=self._record, args=(lines, result))
        thread.start()
        until(lambda: result or any("Recording" in line for line in lines), 60, "the recording")
        if result:
            raise result[0]
        hand = self.sit()
        fresh = hand.ask("told()")
        said: dict[str, list[str]] = {}
        for kind in rng.sample(kinds, len(kinds)):
            before = len(lines)
            kind.act(Cell(hand, kind.name), rng)
            time.sleep(0.5)
            self._rest(lines)
            said[kind.name] = [line for line in lines[before:] if not re.match(r"\d+\. ", line)]
        shown = hand.ask("told()")
        hand.key("ctrl+f10")
        thread.join(10)
        if thread.is_alive():  # the focus lies where the recorder does not see keys
            print(f"  {name}: the recording could not be ended from within {list(said)[-1]!r}", flush=True)
            said[list(said)[-1]] = []
            hand.click(640.5, 2.5)
            hand.key("ctrl+f10")
        thread.join(60)
        if not result or isinstance(result[0], Exception):
            raise result[0] if result else TimeoutError("the recording did not end")
        done = [frame.action for frame in load_demonstration(result[0]).frames]
        for at, action in enumerate(done):
            if action.verb == "wait":
                tally.waits += 1
                print(f"  WAIT {name}: {action} between {done[at - 1] if at else None} and {done[at + 1]}", flush=True)
        report = replay_episode(result[0], self.environment, self.task)
        time.sleep(0.5)
        session = self.environment.session
        assert session is not None
        again = self.environment.on_owner(lambda: session.tab.page.evaluate("told()"), 5, "the state")
        print(f"{name}: {len(kinds)} kinds, replay {report.episode.stop_reason}", flush=True)
        for kind in kinds:
            tally.add(name, kind, shown[kind.name], again[kind.name], fresh[kind.name], said[kind.name])

    def _record(self, lines: list[str], result: list[Any]) -> None:
        try:
            path = record_watched(
                self.environment, lambda: BrowserSource(self.environment, OWN), self.task, 1,
                EpisodeStore(self.folder / "episodes"), tell=lambda text, final: lines.append(text), source="oracle",
            )  # fmt: skip
            result.append(path)
        except (ShowonceError, OSError) as error:
            result.append(error)

    @staticmethod
    def _rest(lines: Sequence[str]) -> None:
        """Wait until no live line came for QUIET seconds."""
        count, since = len(lines), time.monotonic()
        while time.monotonic() - since < QUIET:
            time.sleep(0.05)
            if len(lines) != count:
                count, since = len(lines), time.monotonic()


def attached(stack: ExitStack, folder: Path) -> Session:
    """Return a session with a headless browser that showonce is attached to, and a second DevTools client as hand."""
    url = stack.enter_context(running_browser(folder / "profile", WIDTH, HEIGHT))
    client = CdpPerson(url)
    stack.callback(client.close)
    environment = BrowserEnvironment(BrowserSettings(cdp_url=url))
    stack.callback(environment.close)

    def sit() -> Hand:
        client.sit_down()
        return DevToolsHand(client)

    return Session(environment, folder, sit)


def windowed(stack: ExitStack, folder: Path) -> Session:
    """Return a session with a person's browser in a window, whose hand is xdotool."""
    screen = stack.enter_context(x_screen("1400x900"))
    url = stack.enter_context(running_browser(folder / "windowed", 1380, 880, display=screen.name))
    client = CdpPerson(url)
    stack.callback(client.close)
    environment = BrowserEnvironment(BrowserSettings(cdp_url=url))
    stack.callback(environment.close)

    def sit() -> Hand:
        client.sit_down()
        return XHand(screen, DevToolsHand(client))

    return Session(environment, folder, sit)


SEATS: Final[dict[str, Callable[[ExitStack, Path], Session]]] = {"DevTools": attached, "xdotool": windowed}


def measure(kinds: Sequence[Kind], hands: Sequence[str], repeats: int, seed: int) -> Tally:
    """Record and replay every kind `repeats` times by each hand."""
    tally = Tally()
    for name in hands:
        mine = [kind for kind in kinds if name == "DevTools" or not kind.keyless]
        with (
            ExitStack() as stack,
            tempfile.TemporaryDirectory(prefix="showonce-kinds-", ignore_cleanup_errors=True) as at,
        ):
            session = SEATS[name](stack, Path(at))
            for repeat in range(repeats):
                rng = random.Random(f"{seed} {repeat}")
                order = rng.sample(mine, len(mine))
                for first in range(0, len(order), COLUMNS * ROWS):
                    session.once(name, order[first : first + COLUMNS * ROWS], rng, tally)
    return tally


def main() -> int:
    """Measure, print a line for each kind that was not always exact, the rows and the verdict."""
    arguments = parser(__doc__, quick="the DevTools client alone, once")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--hands", default=", ".join(SEATS), help=f"of {', '.join(SEATS)}")
    arguments.add_argument("--kinds", default="", help="names, comma-separated; all of them by default")
    given = arguments.parse_args()
    names = [name.strip() for name in given.kinds.split(",") if name.strip()]
    hands = ["DevTools"] if given.quick else [name.strip() for name in given.hands.split(",")]
    unknown = {*names} - {kind.name for kind in KINDS} | {*hands} - SEATS.keys()
    if unknown:
        arguments.error(f"unknown: {', '.join(sorted(unknown))}. Kinds: {', '.join(kind.name for kind in KINDS)}.")
    kinds = [kind for kind in KINDS if not names or kind.name in names]
    tally = measure(kinds, hands, 1 if given.quick else given.repeats, given.seed)
    for (hand, name), count in tally.counts.items():
        if count.told or count.changed:
            print(f"{hand}, {name}: {count.exact} exact, {count.told} told, {count.changed} changed {count.why[:1]}")
    return finish(tally.rows(), given)


if __name__ == "__main__":
    if shutil.which("Xvfb") is None:
        print("Xvfb is missing; only --hands DevTools can run.", file=sys.stderr)
    sys.exit(main())
