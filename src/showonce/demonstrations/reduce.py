"""From raw input events to actions, in one pass over the events and without looking at a picture.

A raw event is a mapping. All have `kind` and `time` (seconds on a clock that only goes forward); by kind:

    press, release   x, y: pixel of the frame; width, height: size of the frame; button: left | middle | right;
                     modifiers: which of `actions.MODIFIERS` are held; count: 1 for a first press, 2 and 3 for what the
                     system or the page takes as the second and third of a multiple click (absent: told by time)
    move             x, y, width, height: the pointer came here and what is pressed next appeared because of it; told
                     with its own time, before that press
    wheel            x, y, width, height; dx, dy: notches, positive = right and down, fractions are added up; modifiers
    key              key: the character on it or one of `actions.NAMED_KEYS`; text: what it types, or "";
                     modifiers: which of `actions.MODIFIERS` are held
    text             text that came without keys; source: how: composed (input method, dead key), pasted, or absent
    lost             text: one sentence, what the person did or will see that cannot be kept, and what to do instead
    told             text: one sentence for the person that is neither an act nor a loss; it never gets here
    idle             nothing was done for a while; its frame is the screen on which the person waits
    pause            the person paused the recording: the time until the next event is no waiting

A key that is the recorder's own may have `under` and `region`: the text under the pointer, and its box as fractions of
the frame; or `pointer`: (x, y), fractions of the frame, where the text is not known.

Any event may have `frame_time`: when the screen last changed visibly before it; `target`: the name of what it hit;
`apart`: true where it joins no action before or after it, and the time before it was no waiting; `secret`: true where
the text goes into a field that may hold a secret: `text` is then a dot for each character, and `origin` says whose
field it is (`types.Field`). What was typed, `typed`, and what such fields hold, `values`, go to `secrets.Secrets` and
no further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from showonce import actions as act
from showonce.actions import MAX_NOTCHES, MAX_TEXT, MAX_WAIT_S, MODIFIERS, NAMED_KEYS, Action, from_pixel
from showonce.secrets import SECRET as SECRET

RawEvent = Mapping[str, Any]
CHORD: Final = ("ctrl", "alt", "meta")  # with one of these held, a key is a hotkey and types nothing
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
    """

    action: Action
    first: int
    last: int
    target: str = ""
    note: str = ""
    origin: str = ""


@dataclass
class _Click:
    """A press, and later its release."""

    first: int
    last: int
    event: RawEvent
    double: bool = False


@dataclass
class _Text:
    first: int
    last: int
    text: str
    secret: bool
    target: str
    origin: str = ""


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
        left = event["button"] == "left"
        if (
            before is not None and left and before.event["button"] == "left" and not before.double
            and event["time"] - before.event["time"] <= self._limits.double_seconds
            and _distance(before.event, event) <= self._limits.near
        ):  # fmt: skip
            self._held = _Click(self._first, self._index, event, double=True)
            return
        self._begin(event)
        self._held = _Click(self._first, self._index, event)

    def _release(self, event: RawEvent) -> None:
        held, self._held = self._held, None
        if held is None or held.event["button"] != event["button"]:
            return
        held.last = self._index
        if held.event["button"] == "middle":
            self.lost.append("a middle click has no verb and is left out")
        elif held.event["button"] == "left" and _distance(held.event, event) > self._limits.near:
            self._end_click()
            start, end = _place(held.event), _place(event)
            self._emit(act.Drag(*start, *end), held.first, self._index, held.event)
        elif held.double and self._click is not None:
            self._click = _Click(self._click.first, self._index, self._click.event, double=True)
            self._end_click()
        elif held.event["button"] == "right":
            self._emit(act.RightClick(*_place(held.event)), held.first, self._index, held.event)
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
        if event["key"] == "backspace" and not event["modifiers"] and self._text is not None:
            self._text.text, self._text.last = self._text.text[:-1], self._index
            if not self._text.text:
                self._text = None
            return
        key = str(event["key"])
        if (len(key) != 1 and key not in NAMED_KEYS) or key == "+":
            self.lost.append(f"the key {'+'.join([*held, key])} has no name here and is left out")
            return
        self._begin(event)
        chord = [name for name in MODIFIERS if name in event["modifiers"]]
        self._emit(act.Key("+".join([*chord, key])), self._first, self._index, event)

    def _insert(self, event: RawEvent) -> None:
        secret, target = bool(event.get("secret")), str(event.get("target", ""))
        if self._text is None or self._text.secret != secret:
            self._begin(event)
            self._text = _Text(self._first, self._index, "", secret, target, str(event.get("origin", "")))
        self._text.text += str(event["text"])
        self._text.last = self._index
        while len(self._text.text) > MAX_TEXT:
            rest, self._text.text = self._text.text[MAX_TEXT:], self._text.text[:MAX_TEXT]
            self._end_text()
            self._text = _Text(self._index, self._index, rest, secret, target)

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
        if held is not None and held.event["button"] != "middle":  # its release was never seen
            self._emit(_clicked(held), held.first, held.last, held.event)

    def _end_click(self) -> None:
        if self._click is not None:
            click, self._click = self._click, None
            if self._held is not None:  # the second press became something else
                self._held.double = False
            self._emit(_clicked(click), click.first, click.last, click.event)

    def _end_text(self) -> None:
        if self._text is not None:
            run, self._text = self._text, None
            self._out.append(Reduced(_typed(run.text, run.secret), run.first, run.last, run.target, origin=run.origin))

    def _emit(self, action: Action, first: int, last: int, event: RawEvent) -> None:
        self._out.append(Reduced(action, first, last, str(event.get("target", ""))))


def _clicked(click: _Click) -> Action:
    place = _place(click.event)
    if click.event["button"] == "right":
        return act.RightClick(*place)
    return act.DoubleClick(*place) if click.double else act.Click(*place)


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
        found.append(act.Scroll(*_place(scroll.event), part_y, part_x))
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
