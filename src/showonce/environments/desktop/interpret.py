"""From the listener's events to the recorder's (`demonstrations.reduce`), one after the other, without a picture.

Composed keys become the text that they make, a paste the text that was in the selection; text that counts as secret is
told as dots; whatever cannot be kept becomes a `lost` event.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from showonce.actions import NAMED_KEYS
from showonce.environments.desktop.compose import Composer, keysym_name
from showonce.environments.desktop.keysyms import MODIFIER_KEYS, SWITCHES
from showonce.environments.desktop.listener import RawEvent
from showonce.environments.desktop.selections import Offer, Selections
from showonce.types import Region

ASK_SECONDS: Final = 0.5  # within so long after a paste key the program asks for the selection
LONGEST: Final = 20_000  # characters of a paste that are kept
CHORD: Final = ("ctrl", "alt", "meta")  # with one of these held, a key types nothing
SILENT: Final = frozenset(MODIFIER_KEYS.values())  # keys that only change what other keys mean
PROMPT: Final = "password prompt"  # name of what text without echo goes to
_BUTTONS: Final = ("left", "middle", "right")
_PASTES: Final = {("ctrl", "v"): "ctrl+v", ("ctrl", "shift", "v"): "ctrl+shift+v", ("shift", "insert"): "shift+insert"}
_NO_CONTENT: Final = ("TARGETS", "TIMESTAMP", "MULTIPLE", "SAVE_TARGETS")
_LEAVING: Final = ("enter", "tab", "escape")  # keys with which the focus leaves a field
Event = dict[str, Any]
Locate = Callable[[RawEvent], Event | None]


@dataclass
class _Paste:
    """A key or a middle button that may paste, until a program asks for a selection or `until`."""

    raw: RawEvent
    chord: str
    program: int  # the client that it goes to; 0 = unknown
    offers: dict[str, Offer]
    until: float
    asked: str = ""  # name of the selection that the program asked for


class Interpreter:
    """Takes every event of the listener in order.

    Args:
        locate: returns place and size in the frame for a pointer event; None outside of what is recorded.
        composer: None where the system composes unseen (not X11).
        selections: None where they cannot be read.
        multi_click: seconds and pixels between the presses of a multiple click; None = told by the reducer's limits.
        secret: regions of the frame; what is typed after a press inside of one is secret until the focus leaves.
        input_method: returns the name of the input method that composes text at this moment, "" for none.
    """

    def __init__(
        self, locate: Locate, composer: Composer | None = None, selections: Selections | None = None,
        multi_click: tuple[float, float] | None = None, secret: Sequence[Region] = (),
        input_method: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self._locate, self._composer, self._selections = locate, composer, selections
        self._multi, self._regions, self._method = multi_click, secret, input_method
        self._paste: _Paste | None = None
        self._later: deque[RawEvent] = deque()  # events behind a paste that is not decided yet
        self._began = 0.0  # when the first key of an open sequence was pressed
        self._secret = False  # the last press was in a secret region
        self._told = ""  # the input method that was told
        self._press: tuple[float, int, int, str, int] = (0.0, 0, 0, "", 0)  # time, x, y, button, count of the last

    def feed(self, raw: RawEvent) -> list[Event]:
        """Take the next event and return what it means, also what was waiting for it."""
        if self._paste is None:
            return self._one(raw)
        if raw["device"] == "selection":
            self._asked(self._paste, raw)
        else:
            self._later.append(raw)
        return self.tick(float(raw["time"]))

    def tick(self, now: float) -> list[Event]:
        """Return what no program decided within ASK_SECONDS. now: on the clock of the events."""
        paste = self._paste
        if paste is None or (not paste.asked and now < paste.until):
            return []
        self._paste = None
        out = self._decide(paste)
        later, self._later = self._later, deque()
        for raw in later:
            out += self.feed(raw)
        return out

    def _one(self, raw: RawEvent) -> list[Event]:
        if raw["device"] == "key":
            return self._key(raw) if raw["kind"] == "press" else []
        if raw["kind"] in ("press", "release", "wheel"):
            return self._pointer(raw)
        return []

    # ---- pointer

    def _pointer(self, raw: RawEvent) -> list[Event]:
        place = self._locate(raw)
        if place is None:
            return []
        event = {"kind": raw["kind"], "time": raw["time"], **place, "modifiers": raw["modifiers"]}
        if raw["kind"] == "wheel":
            return [*self._unfinished(raw), {**event, "dx": raw["dx"], "dy": raw["dy"]}]
        button = str(raw["button"])
        if button not in _BUTTONS:
            what = f"the mouse button {button!r} has no verb and is left out"
            return [_lost(raw, what)] if raw["kind"] == "press" else []
        event["button"] = button
        if raw["kind"] == "release":
            return [event]
        before = self._unfinished(raw)
        x, y = place["x"] / place["width"], place["y"] / place["height"]
        self._secret = any(left <= x < right and top <= y < bottom for left, top, right, bottom in self._regions)
        if self._multi is not None:
            event["count"] = self._count(raw, button, *self._multi)
        if button == "middle" and self._selections is not None:
            self._begin(raw, "a middle click", self._selections.under_pointer())
            return before
        return [*before, event]

    def _count(self, raw: RawEvent, button: str, seconds: float, pixels: float) -> int:
        """Return 1, 2 or 3; a fourth press begins anew, as toolkits count."""
        then, x, y, last, count = self._press
        near = max(abs(raw["x"] - x), abs(raw["y"] - y)) <= pixels
        again = button == last and near and raw["time"] - then <= seconds
        count = count % 3 + 1 if again else 1
        self._press = (float(raw["time"]), raw["x"], raw["y"], button, count)
        return count

    # ---- keys

    def _key(self, raw: RawEvent) -> list[Event]:
        key, keysym, text = str(raw["key"]), int(raw["keysym"]), str(raw["character"])
        if key in SILENT:
            return [self._pressed(raw, key, "")]
        if keysym in SWITCHES:
            return []
        held = any(name in raw["modifiers"] for name in CHORD)
        if self._composer is not None and not held:
            done = self._composer.feed(keysym)
            if done is not None and done.state == "open":
                self._began = self._began or float(raw["time"])
                return []
            began, self._began = self._began or float(raw["time"]), 0.0
            if done is not None and done.state == "text":
                return self._text(raw, done.text, began)
            if done is not None:
                return [_lost(raw, f"what the keys {done.keys} made is not known; it is left out")]
        before = self._unfinished(raw) if held else []
        if chord := _PASTES.get((*raw["modifiers"], key)):
            if self._selections is not None:
                self._begin(raw, chord, self._selections.focus())
                return before
            return [*before, self._pressed(raw, key, ""), _foreign(raw, chord, "it cannot be read here")]
        if key in NAMED_KEYS and key != "space":
            text = ""
        if not key and not text:
            name = keysym_name(keysym) if keysym else f"number {raw['keycode']}"
            return [*before, _lost(raw, f"the key {name} is none of the keys that an action can press; it is left out")]
        if text and not held:
            method, told, self._told = self._method(), self._told, ""
            if method:
                self._told = method
                return [*before, *([] if told == method else [_composing(raw, method)])]
        event = self._pressed(raw, key or text, text)
        if key in _LEAVING:
            self._secret = False
        return [*before, event]

    def _pressed(self, raw: RawEvent, key: str, text: str) -> Event:
        event = {"kind": "key", "time": raw["time"], "key": key, "text": text, "modifiers": raw["modifiers"]}
        if not self._hides(raw):
            return event
        if text and not any(name in raw["modifiers"] for name in CHORD):
            event |= {"key": "•", "text": "•", "modifiers": (), "typed": text}
        return event | {"secret": True, "target": PROMPT if raw.get("hidden") else ""}

    def _text(
        self, raw: RawEvent, text: str, began: float, source: str = "composed", secret: bool = False
    ) -> list[Event]:
        event = {"kind": "text", "time": began, "text": text, "source": source}
        if secret or self._hides(raw):
            target = PROMPT if raw.get("hidden") else ""
            event |= {"text": "•" * len(text), "typed": text, "secret": True, "target": target}
        return [event]

    def _hides(self, raw: RawEvent) -> bool:
        return self._secret or bool(raw.get("hidden"))

    def _unfinished(self, raw: RawEvent) -> list[Event]:
        keys = "" if self._composer is None else self._composer.drop()
        self._began = 0.0
        return [_lost(raw, f"the keys {keys} were not finished; what they made is not known")] if keys else []

    # ---- pasting

    def _begin(self, raw: RawEvent, chord: str, program: int) -> None:
        assert self._selections is not None
        names = ("PRIMARY",) if chord == "a middle click" else ("CLIPBOARD", "PRIMARY")
        offers = {name: self._selections.read(name) for name in names}
        self._paste = _Paste(raw, chord, program, offers, time.monotonic() + ASK_SECONDS)

    def _asked(self, paste: _Paste, raw: RawEvent) -> None:
        """Note which selection a program asks for, if it is the program that the key went to."""
        assert self._selections is not None
        client = self._selections.client_of(raw["requestor"])
        if client == self._selections.client or (paste.program and client != paste.program):
            return
        name, target = self._selections.name(raw["selection"]), self._selections.name(raw["target"])
        if name in paste.offers and target not in _NO_CONTENT:
            paste.asked = name

    def _decide(self, paste: _Paste) -> list[Event]:
        """Return the pasted text in place of the key; the key and what is lost where the text is not certain."""
        middle = paste.chord == "a middle click"
        if not paste.asked and not middle:  # a program takes what it holds itself without asking
            own = [name for name, offer in paste.offers.items() if offer.owner and offer.owner == paste.program]
            texts = {paste.offers[name].text for name in own}
            paste.asked = own[0] if own and (len(texts) == 1 or own[0] == "CLIPBOARD") else ""
        raw = paste.raw
        event = self._pressed(raw, str(raw["key"]), "") if not middle else self._middle(raw)
        if not paste.asked:
            return [event, *([] if middle else [_foreign(raw, paste.chord, "no program was seen to ask for it")])]
        offer = paste.offers[paste.asked]
        if offer.text is None or len(offer.text) > LONGEST:
            why = offer.why if offer.text is None else f"it is longer than {LONGEST} characters"
            return [event, _foreign(raw, paste.chord, why)]
        text = offer.text.replace("\r\n", "\n").replace("\r", "\n")
        pasted = self._text(raw, text, float(raw["time"]), "pasted", offer.secret)
        if not middle:
            return pasted
        self._drop_release()
        return [{**event, "button": "left"}, {**event, "kind": "release", "button": "left"}, *pasted]

    def _middle(self, raw: RawEvent) -> Event:
        place = self._locate(raw) or {}
        return {"kind": "press", "time": raw["time"], **place, "modifiers": raw["modifiers"], "button": "middle"}

    def _drop_release(self) -> None:
        """Forget the release of the middle button that pasted: a left click and the text stand for it."""
        for raw in list(self._later):
            if raw["kind"] == "release" and raw.get("button") == "middle":
                self._later.remove(raw)
                return


def _lost(raw: RawEvent, what: str) -> Event:
    return {"kind": "lost", "time": raw["time"], "text": what}


def _composing(raw: RawEvent, method: str) -> Event:
    what = f"the input method {method} makes text of the keys, which text cannot be known; it is left out"
    return _lost(raw, what)


def _foreign(raw: RawEvent, chord: str, why: str) -> Event:
    return _lost(raw, f"what {chord} pasted is not known, because {why}; a replay would paste something else")
