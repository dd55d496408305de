"""From raw input events to actions, in one pass over the events and without looking at a picture.

A raw event is a mapping. All have `kind` and `time` (seconds on a clock that only goes forward); by kind:

    press, release   x, y: pixel of the frame; width, height: size of the frame; button: left | middle | right;
                     modifiers: which of `actions.MODIFIERS` are held; count: 1 for a first press, 2 and 3 for what the
                     system or the page takes as the second and third of a multiple click (absent: told by time)
    move             x, y, width, height: the pointer came here and what is pressed next appeared because of it; told
                     with its own time, before that press
    wheel            x, y, width, height; dx, dy: notches, positive = right and down, fractions are added up; modifiers
    key              key: the character on it or one of `actions.NAMED_KEYS`; text: what it types, or "";
                     modifiers: which of `actions.MODIFIERS` are held; removed: what backspace took off the end of what
                     was just typed into the same field ("": nothing), absent where the field is not known
    text             text that came without keys; source: how: composed (input method, dead key), pasted, or absent
    lost             text: one sentence, what the person did or will see that cannot be kept, and what to do instead
    sent             the page sent data by POST, PUT, PATCH or DELETE; it never gets here
    told             text: one sentence for the person that is neither an act nor a loss; it never gets here
    idle             nothing was done for a while; its frame is the screen on which the person waits
    pause            the person paused the recording: the time until the next event is no waiting

A key that is the recorder's own may have `under` and `region`: the text under the pointer, and its box as fractions of
the frame; or `pointer`: (x, y), fractions of the frame, where the text is not known.

A key or text may have `replaces`: true where it takes the place of selected text. Any event may have `frame_time`: when
the screen last changed visibly before it; `target`: the name of what it hit; `element`: all that is known of it
(`types.Element`); `apart`: true where it joins no action before or after it, and the time before it was no waiting;
`secret`: true where the text goes into a field that may hold a secret: `text` is then a dot for each character, and
`origin` says whose field it is (`types.Field`). What was typed, `typed`, and what such fields hold, `values`, go to
`secrets.Secrets` and no further.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from showonce import actions as act
from showonce.actions import MAX_NOTCHES, MAX_TEXT, MAX_WAIT_S, MODIFIERS, NAMED_KEYS, Action, from_pixel
from showonce.secrets import SECRET as SECRET
from showonce.types import Element

RawEvent = Mapping[str, Any]
CHORD: Final = ("ctrl", "alt", "meta")  # with one of these held, a key is a hotkey and types nothing
PASTED: Final = "pasted"  # source of a text, and note of the step that types it
MOST_CLICKS: Final = 3  # of a multiple click that a verb exists for
VERBS_FOR: Final = ("left", "right")  # buttons
JOINER: Final = "\u200d"  # within one character of several code points; the other signs there are marks
SILENT: Final = (*MODIFIERS, "altgr", "capslock", "numlock")  # keys that only change what other keys mean


@dataclass(frozen=True)
class GestureLimits:
    """Limits that separate one gesture from another, in seconds and pixels of the frame, both inclusive.

    Desktops use 0.25 to 0.5 s and 4 to 10 px for double clicks.
    """

    double_seconds: float = 0.45  # between the presses of a double click
    near: float = 4.0  # largest distance within a double click or one scroll; a press that moves further is a drag
    scroll_seconds: float = 1.0  # largest gap between two wheel events of one scroll
    wait_seconds: float = 2.0  # a screen change this long after the last input, before the next one, is a wait


GESTURE_LIMITS: Final = GestureLimits()


@dataclass(frozen=True)
class Reduced:
    """An action and its raw events, indices `first` to `last`; the frame before `first` is the one it was chosen on.

    note: how it came about where the action does not say it (``pasted``); becomes the step's note. origin: of a secret.
    targets: what it hit, see `types.Executed`.
    """

    action: Action
    first: int
    last: int
    target: str = ""
    note: str = ""
    origin: str = ""
    targets: tuple[Element, ...] = ()


@dataclass
class _Click:
    """A press, and later its release. count: 1, or 2 and 3 for a double and a triple click."""

    first: int
    last: int
    event: RawEvent
    count: int = 1


@dataclass
class _Text:
    """A run of text. least: length to which it may be shortened; what replaced selected text must stay."""

    first: int
    last: int
    text: str
    secret: bool
    target: str
    origin: str = ""
    note: str = ""
    least: int = 0
    element: Element | None = None


@dataclass
class _Scroll:
    first: int
    last: int
    event: RawEvent
    dx: float
    dy: float
    time: float


class Reducer:
    """Turns events into actions as they come. lost: one sentence for each thing done that is not in the actions."""

    def __init__(self, gestures: GestureLimits = GESTURE_LIMITS) -> None:
        self.lost: list[str] = []
        self._limits = gestures
        self._index = -1
        self._out: list[Reduced] = []
        self._held: _Click | None = None  # pressed and not released yet
        self._click: _Click | None = None  # a click that may become a double click
        self._text: _Text | None = None
        self._scroll: _Scroll | None = None
        self._since: float | None = None  # time of the last input
        self._idle: int | None = None  # index of the idle event since then
        self._armed: int | None = None  # index of the first modifier that was pressed since then

    def feed(self, event: RawEvent) -> list[Reduced]:
        """Take the next event and return the actions that no later event can change any more."""
        self._index += 1
        kind = event["kind"]
        if event.get("apart"):
            self._end()
            self._since = None
        if kind == "idle":
            if self._held is None:
                self._end_click()
            self._idle = self._index if self._idle is None else self._idle
        elif kind == "pause":
            self._end()
            self._since = None
        elif kind == "lost":
            self.lost.append(str(event["text"]))
        elif kind == "key" and event["key"] in SILENT:
            self._armed = self._index if self._armed is None else self._armed
        else:
            {"press": self._press, "release": self._release, "wheel": self._wheel, "key": self._key,
             "text": self._insert, "move": self._move}[kind](event)  # fmt: skip
            self._since, self._idle, self._armed = float(event["time"]), None, None
        if event.get("apart"):
            self._end()
        done, self._out = self._out, []
        return done

    def flush(self) -> list[Reduced]:
        """Return the actions still open, when no more events come."""
        self._end()
        done, self._out = self._out, []
        return done

    @property
    def pending(self) -> Action | None:
        """The action that `flush` would return first; None when no event is open."""
        if self._text is not None:
            return _typed(self._text.text, self._text.secret)
        if self._scroll is not None:
            scrolls = _scrolls(self._scroll)
            return scrolls[0] if scrolls else None
        click = self._click or self._held
        return None if click is None else _clicked(click)

    @property
    def open(self) -> set[int]:
        """The indices of the events whose frames may still be asked for."""
        parts = (self._held, self._click, self._text, self._scroll)
        single = {index for index in (self._idle, self._armed) if index is not None}
        return {part.first for part in parts if part is not None} | single

    @property
    def _first(self) -> int:
        """The index at which the action of this event begins: of the first modifier held for it, else of the event."""
        return self._index if self._armed is None else self._armed

    # ---- pointer

    def _press(self, event: RawEvent) -> None:
        before = None if self._held is not None else self._click
        if before is not None and self._continues(before, event):
            self._held = _Click(self._first, self._index, event, before.count + 1)
            return
        self._begin(event)
        if (
            event["button"] not in VERBS_FOR
        ):  # said at once: a press of "back" may take the document, and its release, away
            self.lost.append(f"a {event['button']} click has no verb here")
            return
        if _count(event) > 1 and event["button"] == "left":
            self.lost.append("a multiple click was interrupted by something else: its clicks are kept one by one")
        self._held = _Click(self._first, self._index, event)

    def _continues(self, before: _Click, event: RawEvent) -> bool:
        """Return whether a press is the next one of a multiple click; the page's own count decides where it has one."""
        if event["button"] != "left" or before.event["button"] != "left" or before.count >= MOST_CLICKS:
            return False
        if _held(event) != _held(before.event):
            return False
        if event.get("count"):
            return _count(event) == before.count + 1
        near = _distance(before.event, event) <= self._limits.near
        return near and event["time"] - before.event["time"] <= self._limits.double_seconds

    def _release(self, event: RawEvent) -> None:
        held, self._held = self._held, None
        if held is None or held.event["button"] != event["button"]:
            return
        held.last = self._index
        button, moved = held.event["button"], _distance(held.event, event) > self._limits.near
        if moved and button != "left":
            self.lost.append(f"a drag with the {button} button has no verb here")
        elif moved:
            if held.count > 1:
                self.lost.append("a drag from a double click, which selects by words, is kept as a click and a drag")
            self._end_click()
            start, end = _place(held.event), _place(event)
            self._emit(act.Drag(*start, *end, _held(held.event)), held.first, self._index, held.event, event)
        elif button == "right":
            self._emit(_clicked(held), held.first, self._index, held.event)
        elif held.count > 1 and self._click is not None:
            first = {**self._click.event, "time": held.event["time"]}  # at the first press, in time with the last one
            self._click = _Click(self._click.first, self._index, first, held.count)
            if held.count == MOST_CLICKS:
                self._end_click()
        else:
            self._click = held

    def _move(self, event: RawEvent) -> None:
        self._begin(event)
        self._emit(act.Move(*_place(event)), self._index, self._index, event)

    def _wheel(self, event: RawEvent) -> None:
        scroll, dx, dy = self._scroll, float(event["dx"]), float(event["dy"])
        if (
            scroll is not None and scroll.dx * dx >= 0 and scroll.dy * dy >= 0
            and event["time"] - scroll.time <= self._limits.scroll_seconds
            and _distance(scroll.event, event) <= self._limits.near
            and _held(scroll.event) == _held(event)
        ):  # fmt: skip
            scroll.dx, scroll.dy, scroll.last, scroll.time = scroll.dx + dx, scroll.dy + dy, self._index, event["time"]
            return
        self._begin(event)
        self._scroll = _Scroll(self._first, self._index, event, dx, dy, event["time"])

    # ---- keyboard

    def _key(self, event: RawEvent) -> None:
        held = [name for name in CHORD if name in event["modifiers"]]
        if not held and event["text"]:
            self._insert(event)
            return
        if event["key"] == "backspace" and self._text is not None and self._taken_back(event):
            return
        key = str(event["key"])
        if (len(key) != 1 and key not in NAMED_KEYS) or key == "+":
            self.lost.append(f"the key {'+'.join([*held, key])} has no name here and is left out")
            return
        self._begin(event)
        chord = [name for name in MODIFIERS if name in event["modifiers"]]
        self._emit(act.Key("+".join([*chord, key])), self._first, self._index, event)

    def _taken_back(self, event: RawEvent) -> bool:
        """Take what a backspace removed off the text being typed; False where it removed something else.

        Without a word about the field, a plain backspace removes the last character where that is one code point that
        stands alone: how much of a longer one goes differs between programs. The first character of a run stays then,
        since it may have replaced selected text, which would be there in a replay without it.
        """
        run = self._text
        assert run is not None
        removed = event.get("removed")
        least = max(run.least, removed is None)
        if removed is None and not event["modifiers"] and _stands_alone(run.text):
            removed = run.text[-1]
        if not removed or not run.text.endswith(removed) or len(run.text) - len(removed) < least:
            return False
        run.text, run.last = run.text[: -len(removed)], self._index
        if not run.text:
            self._text = None
        return True

    def _insert(self, event: RawEvent) -> None:
        secret, target = bool(event.get("secret")), str(event.get("target", ""))
        note = PASTED if event.get("source") == PASTED else ""
        if self._text is None or self._text.secret != secret or self._text.note != note:
            self._begin(event)
            origin = str(event.get("origin", ""))
            self._text = _Text(self._first, self._index, "", secret, target, origin, note, element=event.get("element"))
        if event.get("replaces"):
            self._text.least = len(self._text.text) + 1
        element = event.get("element")
        if self._text.element is not None and element is not None and element.value:  # what a date field holds by now
            self._text.element = replace(self._text.element, value=element.value)
        self._text.text += str(event["text"])
        self._text.last = self._index
        while len(self._text.text) > MAX_TEXT:
            run, rest = self._text, self._text.text[MAX_TEXT:]
            run.text = run.text[:MAX_TEXT]
            self._end_text()
            self._text = replace(run, first=self._index, last=self._index, text=rest, least=len(rest))

    # ---- ends

    def _begin(self, event: RawEvent) -> None:
        """End the open actions; add a wait when the screen still changed `wait_seconds` after the last input."""
        self._end()
        if self._since is not None:
            waited = round(min(float(event.get("frame_time", event["time"])) - self._since, MAX_WAIT_S), 1)
            if waited >= self._limits.wait_seconds:
                at = self._index if self._idle is None else self._idle
                self._out.append(Reduced(act.Wait(waited), at, at))

    def _end(self) -> None:
        self._end_click()
        self._end_text()
        if self._scroll is not None:
            scroll, self._scroll = self._scroll, None
            for action in _scrolls(scroll):
                self._emit(action, scroll.first, scroll.last, scroll.event)
        held, self._held = self._held, None
        if held is not None:  # its release was never seen
            self._emit(_clicked(held), held.first, held.last, held.event)

    def _end_click(self) -> None:
        if self._click is not None:
            click, self._click = self._click, None
            if self._held is not None:  # the next press became something else
                self._held.count = 1
            self._emit(_clicked(click), click.first, click.last, click.event)

    def _end_text(self) -> None:
        if self._text is not None:
            run, self._text = self._text, None
            action = _typed(run.text, run.secret)
            targets = () if run.element is None else (run.element,)
            self._out.append(Reduced(action, run.first, run.last, run.target, run.note, run.origin, targets))

    def _emit(self, action: Action, first: int, last: int, event: RawEvent, *more: RawEvent) -> None:
        hit = [one["element"] for one in (event, *more) if one.get("element") is not None]
        targets = tuple(hit) if len(hit) == 1 + len(more) else ()
        self._out.append(Reduced(action, first, last, str(event.get("target", "")), targets=targets))


def _clicked(click: _Click) -> Action:
    place = _place(click.event)
    if click.event["button"] == "right":
        return act.RightClick(*place, _held(click.event))
    verbs: tuple[Callable[[float, float, str], Action], ...] = (act.Click, act.DoubleClick, act.TripleClick)
    return verbs[click.count - 1](*place, _held(click.event))


def _count(event: RawEvent) -> int:
    """Return which press of a multiple click an event is, 1 to MOST_CLICKS; 0 when it does not say so."""
    count = int(event.get("count") or 0)
    return (count - 1) % MOST_CLICKS + 1 if count else 0


def _held(event: RawEvent) -> str:
    """Return the modifiers that are held during an event, as actions spell them."""
    return "+".join(name for name in MODIFIERS if name in event.get("modifiers", ()))


def _stands_alone(text: str) -> bool:
    """Return whether the last code point of a text is a character of its own: no mark, no part of an emoji."""
    last, before = text[-1:], text[-2:-1]
    if not last or ord(last) >= 0x10000 or 0x1100 <= ord(last) < 0x1200 or before == JOINER:
        return False
    return unicodedata.category(last)[0] not in "MC"


def _typed(text: str, secret: bool) -> Action:
    """Return typed characters as an action. A single blank is the key `space`: it ticks boxes and presses buttons."""
    if secret:
        return act.Type(SECRET)
    return act.Key("space") if text == " " else act.Type(text)


def _scrolls(scroll: _Scroll) -> list[Action]:
    dx, dy = _whole(scroll.dx), _whole(scroll.dy)
    found: list[Action] = []
    while dx or dy:
        part_x, part_y = (max(-MAX_NOTCHES, min(MAX_NOTCHES, value)) for value in (dx, dy))
        found.append(act.Scroll(*_place(scroll.event), part_y, part_x, _held(scroll.event)))
        dx, dy = dx - part_x, dy - part_y
    return found


def _whole(notches: float) -> int:
    return int(abs(notches) + 0.5) * (1 if notches > 0 else -1)


def _place(event: RawEvent) -> tuple[float, float]:
    """Return the middle of the event's pixel as fractions of the frame; a place outside counts as the border."""
    width, height = int(event["width"]), int(event["height"])
    column, row = min(max(int(event["x"]), 0), width - 1), min(max(int(event["y"]), 0), height - 1)
    return from_pixel(column, width), from_pixel(row, height)


def _distance(one: RawEvent, other: RawEvent) -> float:
    return float(max(abs(one["x"] - other["x"]), abs(one["y"] - other["y"])))
