"""What can be used on a page: all of it, what a click would hit, what has the focus. See `describe` for what is told.

All of it runs on the owner's thread, document by document: the script is put into each one once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from showonce.actions import Action, Key, Scroll, Type, points
from showonce.environments.browser.describe import DESCRIBE
from showonce.environments.browser.geometry import Offset, View, offset_of
from showonce.environments.browser.session import BrowserSession
from showonce.types import Element, Region

if TYPE_CHECKING:
    from playwright.async_api import Frame

MOST: Final = 2000  # elements of one document at most
ELEMENTS_SECONDS: Final = 5.0
HIT_SECONDS: Final = 1.0  # in which a document has to say what an action will hit
_NAME: Final = "__showonce_describe"
# Shadow roots and listeners as `settle.WATCH` knows them, where it runs; else only open roots and `onclick`.
_INSTALL: Final = f"""Object.defineProperty(window, '{_NAME}', {{value: {DESCRIBE}(
  e => e.shadowRoot || window.__showonce && __showonce.roots.get(e) || null,
  e => Boolean(window.__showonce && __showonce.hears(e)))}})"""
_IS_AT: Final = f"(e, [x, y]) => e.ownerDocument.defaultView.{_NAME}.at(x, y) === e"
_HAS_FOCUS: Final = f"e => e.ownerDocument.defaultView.{_NAME}.active() === e"


async def _asked(frame: Frame, call: str) -> Any:
    """Return what a function of `describe` returns in a document; call: ``name(arguments)``."""
    told = f"{_NAME}.json({_NAME}.{call})"
    found = await frame.evaluate(f"window.{_NAME} ? {told} : ''")
    return json.loads(found or await frame.evaluate(f"window.{_NAME} || {_INSTALL}, {told}"))


def element_of(told: Mapping[str, Any], offset: Offset, view: View) -> Element:
    """Return the element that `describe` told of, in a document that lies so in the window."""
    left, top, right, bottom = told["box"]
    return Element(
        str(told["name"]),
        (*view.to_fraction(*offset.to_input(left, top)), *view.to_fraction(*offset.to_input(right, bottom))),
        str(told["role"]),
        str(told["text"]),
        tuple(str(text) for text in told["near"]),
        {str(key): str(value) for key, value in told["attributes"].items()},
        str(told["page"]),
        int(told["index"]),
        int(told["count"]),
        str(told.get("value", "")),
        tuple(str(text) for text in told.get("options", ())),
    )


async def _everywhere(session: BrowserSession, call: str) -> list[tuple[Any, Offset]]:
    """Return what each document tells, and where it lies; one that does not answer is left out."""
    frames = session.tab.page.frames

    async def one(frame: Frame) -> tuple[Any, Offset]:
        return await asyncio.wait_for(_asked(frame, call), ELEMENTS_SECONDS / 2), await offset_of(frame)

    found = await asyncio.gather(*map(one, frames), return_exceptions=True)
    return [told for told in found if not isinstance(told, BaseException)]


async def elements_of(session: BrowserSession, view: View) -> list[Element]:
    """Return the visible named elements of the page and its iframes, boxes in fractions of the frame of `view`."""
    found = []
    for told, offset in await _everywhere(session, f"listed({MOST})"):
        for name, (left, top, right, bottom), role in told:
            start, end = (
                view.to_fraction(*offset.to_input(left, top)),
                view.to_fraction(*offset.to_input(right, bottom)),
            )
            box = _cut((*start, *end))
            if name and box[0] < box[2] and box[1] < box[3]:
                found.append(Element(str(name), box, str(role)))
    return found


def _cut(box: Region) -> Region:
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in box)
    return left, top, right, bottom


async def targets_of(session: BrowserSession, view: View) -> list[Element]:
    """Return all that can be used on the page and in its iframes."""
    if session.modal is not None:
        return []
    told = await _everywhere(session, "targets()")
    return [element_of(one, offset, view) for found, offset in told for one in found]


async def target_at(session: BrowserSession, view: View, at: tuple[float, float]) -> Element | None:
    """Return what a click at a place of the frame would hit now."""
    main, place = session.tab.page.main_frame, view.to_input(*at)
    return None if session.modal is not None else await _steady(lambda: _hit(main, view, place))


async def _steady(ask: Callable[[], Coroutine[Any, Any, Element | None]]) -> Element | None:
    """Ask twice where the page changes to another document meanwhile; None: it goes on changing, or does not answer."""
    from playwright.async_api import Error

    for _ in range(2):
        with contextlib.suppress(Error, TimeoutError):
            return await asyncio.wait_for(ask(), ELEMENTS_SECONDS / 3)
    return None


async def _hit(frame: Frame, view: View, place: tuple[float, float]) -> Element | None:
    top = frame.parent_frame is None
    offset = Offset() if top else await offset_of(frame)
    here = [(place[0] - offset.x) / offset.factor_x, (place[1] - offset.y) / offset.factor_y]
    if top:  # moved by a pinch: asked for together
        told, (x, y) = await _asked(frame, f"shifted({json.dumps(here)})")
        here, offset = [here[0] + x, here[1] + y], Offset(-x, -y)
    else:
        told = await _asked(frame, f"hit({json.dumps(here)})")
    if told != "frame":
        return None if told is None else element_of(told, offset, view)
    for child in frame.child_frames:
        if await (await child.frame_element()).evaluate(_IS_AT, here):
            return await _hit(child, view, place)
    return None


async def focused_element(session: BrowserSession, view: View) -> Element | None:
    """Return what keys and typed text go to now."""
    main = session.tab.page.main_frame
    return None if session.modal is not None else await _steady(lambda: _focused(main, view))


async def _focused(frame: Frame | None, view: View) -> Element | None:
    while frame is not None:
        told = await _asked(frame, "focused()")
        if told != "frame":
            return None if told is None else element_of(told, await offset_of(frame), view)
        frame = await _focused_child(frame)
    return None


async def _focused_child(frame: Frame) -> Frame | None:
    for child in frame.child_frames:
        if await (await child.frame_element()).evaluate(_HAS_FOCUS):
            return child
    return None


async def reveal(session: BrowserSession, view: View, target: Element) -> bool:
    """Scroll until the middle of an element of `targets_of` lies in the frame; say whether it does."""
    asked = ", ".join(json.dumps(value) for value in (target.page, target.role, target.name, target.index))
    for frame in session.tab.page.frames if session.modal is None else ():
        with contextlib.suppress(Exception):  # the iframe has gone meanwhile
            if not await _asked(frame, f"reveal({asked})"):
                continue
            for outer in _outwards(frame):
                await (await outer.frame_element()).evaluate("e => e.scrollIntoView({block: 'nearest'})")
            box = await _asked(frame, f"place({asked})")
            offset = await offset_of(frame)
            start, end = (view.to_fraction(*offset.to_input(*box[side : side + 2])) for side in (0, 2))
            return all(0 <= (a + b) / 2 <= 1 for a, b in zip(start, end, strict=True))
    return False


def _outwards(frame: Frame) -> Iterator[Frame]:
    """Yield an iframe and those around it."""
    while frame.parent_frame is not None:
        yield frame
        frame = frame.parent_frame


async def hit_by(session: BrowserSession, view: View, action: Action) -> tuple[Element, ...]:
    """Return what an action will hit, see `types.Executed`. Empty: not known, or nothing in particular (scroll)."""
    hit: list[Element | None] = []
    with contextlib.suppress(Exception):  # the page hangs or is gone, which the action itself will tell
        if isinstance(action, Key | Type):
            hit = [await asyncio.wait_for(focused_element(session, view), HIT_SECONDS)]
        elif not isinstance(action, Scroll):
            hit = [await asyncio.wait_for(target_at(session, view, at), HIT_SECONDS) for at in points(action)]
    known = tuple(one for one in hit if one is not None)
    return known if len(known) == len(hit) else ()
