"""Turns actions into mouse and keyboard input; checks the stop before every primitive and releases what is held."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Literal

from showonce.actions import (
    NOTCH_PIXELS,
    Action,
    Ask,
    Click,
    Done,
    DoubleClick,
    Drag,
    Key,
    Move,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
    held_in,
    points,
)  # fmt: skip
from showonce.environments.browser.geometry import View
from showonce.environments.browser.keys import NAMES, playwright_keys
from showonce.environments.browser.session import BrowserSession, ModalOpened, Tab, TabClosed
from showonce.protocols import Interrupt

DRAG_STEPS: Final = 8  # moves between press and release
RELEASE_SECONDS: Final = 0.3
_FIRST: Final = "\x00"  # in a text to type: one step to the left in a date field
_WRITTEN: Final = {"\n": "enter", "\t": "tab", _FIRST: "left"}
_PARTS: Final = 6  # of a date field, at most
_DATE_FIELDS: Final = ("date", "month", "time", "datetime-local")
_ISO: Final = re.compile(r"(?:(\d{4})-(\d{2})(?:-(\d{2}))?)?(?:[T ]?(\d{2}):(\d{2}))?")
# Typed digits fill a date field part by part in local order, while people and models write ISO dates; see `as_typed`.
_DATE_FIELD: Final = """() => {
  let d = document;
  while (d.activeElement && d.activeElement.contentDocument) d = d.activeElement.contentDocument;
  const e = d.activeElement;
  return e && e.tagName === 'INPUT' && ['date', 'month', 'time', 'datetime-local'].includes(e.type)
    ? e.type : '';
}"""
Button = Literal["left", "right"]
Release = Callable[[], Coroutine[Any, Any, Any]]
_BUTTONS: Final[dict[Button, int]] = {"left": 1, "right": 2}  # as bits of `buttons`
_MODIFIERS: Final = {"alt": 1, "ctrl": 2, "meta": 4, "shift": 8}  # as bits of DevTools' `modifiers`


class PageHands:
    """The mouse and the keyboard of one session."""

    def __init__(self, session: BrowserSession) -> None:
        self.session = session
        self._held: dict[str, Release] = {}  # what is pressed -> the call that releases it

    async def do(self, action: Action, view: View, interrupt: Interrupt) -> str:
        """Do an action that is made of input alone; returns a text when a dialog opened, else "".

        Raises:
            Stopped: by the interrupt, before the next primitive. EnvironmentBroken: the page hangs or is gone.
        """
        act = _Act(self, self.session.tab, view, interrupt)
        try:
            await act.perform(action)
        except ModalOpened:
            modal = self.session.modal
            return f"a dialog opened: {modal.message}" if modal is not None else "a dialog opened"
        except TabClosed as error:  # by the page itself; what is left of the action belonged to it
            return str(error)
        finally:
            if self._held:
                await self.release()
        return ""

    async def release(self) -> None:
        """Let go of everything that is held; wait at most RELEASE_SECONDS for the page."""
        held, self._held = self._held, {}
        if held:
            tasks = [self.session.watched(release()) for release in reversed(held.values())]
            await asyncio.wait(tasks, timeout=RELEASE_SECONDS)

    def hold(self, which: str, release: Release) -> None:
        """Remember that something is about to be pressed."""
        self._held[which] = release

    def let_go(self, which: str) -> None:
        """Forget it again, once its release was sent."""
        self._held.pop(which, None)


class _Act:
    """One action on one tab."""

    def __init__(self, hands: PageHands, tab: Tab, view: View, interrupt: Interrupt) -> None:
        self.hands, self.tab, self.view, self.interrupt = hands, tab, view, interrupt
        self.mouse, self.keyboard = tab.page.mouse, tab.page.keyboard
        self.modifiers = 0  # bits of those that are held; Playwright's own mouse calls know them

    async def perform(self, action: Action) -> None:
        """Do it while its modifiers are held down as keys, so that a page that listens to keys sees them, too."""
        held = [(_MODIFIERS[name], NAMES[name]) for name in held_in(action)]
        for bit, name in held:
            await self.press(name)
            self.modifiers |= bit
        await self.gesture(action)
        for _, name in reversed(held):
            await self.let_up(name)

    async def gesture(self, action: Action) -> None:
        places = [self.view.to_input(x, y) for x, y in points(action)]
        match action:
            case Move():
                await self.to(places[0])
            case Click():
                await self.click(places[0], "left", 1)
            case DoubleClick():
                await self.click(places[0], "left", 2)
            case TripleClick():
                await self.click(places[0], "left", 3)
            case RightClick():
                await self.click(places[0], "right", 1)
            case Drag():
                await self.drag(places[0], places[1])
            case Scroll():
                await self.scroll(places[0], action.dx, action.dy)
            case Type():
                await self.write(action.text)
            case Key():
                await self.chord(action.keys)
            case Wait():
                await self.rest(action.seconds)
            case Done() | Ask():
                self.interrupt.check()
            case _:
                raise AssertionError(f"{action.verb} is not input")

    async def primitive(self, work: Coroutine[Any, Any, Any], holds: str = "", release: Release | None = None) -> None:
        """Check the stop, send one input and wait until the page has handled it.

        holds: name of what this input presses; release: makes the input that lets it go.
        """
        self.check(work)
        if release is not None:
            self.hands.hold(holds, release)
        await self.hands.session.send(self.tab, work)

    def check(self, work: Coroutine[Any, Any, Any]) -> None:
        """Check the stop; an input that may not be sent any more is discarded."""
        try:
            self.interrupt.check()
        except BaseException:
            work.close()
            raise

    async def to(self, place: tuple[float, float]) -> None:
        await self.primitive(self.mouse.move(*place))

    def mouse_event(self, kind: str, place: tuple[float, float], **more: Any) -> Coroutine[Any, Any, Any]:
        return self.tab.cdp.send(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": place[0], "y": place[1], "modifiers": self.modifiers, **more},
        )

    async def click(self, place: tuple[float, float], button: Button, times: int) -> None:
        """Send all its events without waiting in between: the browser keeps their order, and waiting costs a frame."""
        sent = [self.send(self.mouse_event("mouseMoved", place))]
        for count in range(1, times + 1):
            more = {"button": button, "clickCount": count}
            up = partial(self.mouse_event, "mouseReleased", place, buttons=0, **more)
            sent.append(self.send(self.mouse_event("mousePressed", place, buttons=_BUTTONS[button], **more)))
            self.hands.hold(button, up)
            sent.append(self.send(up()))
            self.hands.let_go(button)
        await self.hands.session.send(self.tab, _all(sent))

    def send(self, work: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """Check the stop and send one input; the caller waits for the returned future."""
        self.check(work)
        return self.hands.session.watched(work)

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        await self.to(start)
        await self.primitive(self.mouse.down(), "left", self.mouse.up)
        for step in range(1, DRAG_STEPS + 1):
            part = step / DRAG_STEPS
            await self.to((start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part))
        await self.primitive(self.mouse.up())
        self.hands.let_go("left")

    async def scroll(self, place: tuple[float, float], dx: int, dy: int) -> None:
        await self.to(place)
        for notch in range(max(abs(dx), abs(dy))):
            across = NOTCH_PIXELS * _sign(dx) if notch < abs(dx) else 0
            down = NOTCH_PIXELS * _sign(dy) if notch < abs(dy) else 0
            await self.primitive(self.mouse.wheel(across, down))

    async def write(self, text: str) -> None:
        self.interrupt.check()
        kind = await self.hands.session.ask_again(self.tab, lambda: self.tab.page.evaluate(_DATE_FIELD))
        for character in as_typed(text, kind):
            if character in _WRITTEN:
                await self.chord(_WRITTEN[character])
            else:
                await self.primitive(self.keyboard.type(character))

    async def chord(self, keys: str) -> None:
        names = playwright_keys(keys)
        for name in names:
            if len(name) == 1 and not name.isascii():
                await self.primitive(self.keyboard.insert_text(name))
                continue
            await self.press(name)
        for name in reversed(names):
            if len(name) == 1 and not name.isascii():
                continue
            await self.let_up(name)

    async def press(self, key: str) -> None:
        await self.primitive(self.keyboard.down(key), key, partial(self.keyboard.up, key))

    async def let_up(self, key: str) -> None:
        await self.primitive(self.keyboard.up(key))
        self.hands.let_go(key)

    async def rest(self, seconds: float) -> None:
        """Sleep; `BrowserOwner.call` checks the stop meanwhile and cancels this."""
        self.interrupt.check()
        await asyncio.sleep(seconds)


async def _all(sent: Sequence[asyncio.Future[Any]]) -> None:
    await asyncio.gather(*sent)


def as_typed(text: str, field: str) -> str:
    """Return the characters to type into a date or time field for an ISO `text`: its parts in the field's order.

    Any other text is returned as it is. The order is the American one: contexts are opened with locale en-US.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None or field not in _DATE_FIELDS:
        return text
    year, month, day, hour, minute = found.groups()
    date = f"{month}{day}{year}" if day else f"{month}\t{year}" if month else ""
    clock = f"{(int(hour) - 1) % 12 + 1:02d}{minute}{'AP'[int(hour) >= 12]}M" if hour else ""
    wanted = {"date": (day, not hour), "month": (month, not day), "time": (hour, not month)}
    fits = all(wanted.get(field, (day, hour)))
    return _FIRST * _PARTS + "\t".join(part for part in (date, clock) if part) if fits else text


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
