"""Records a person in the browser: every input of the page with the last frame before it.

The script of `hooks` reports input, also from within iframes. Frames come from DevTools' screencast: at a scale of 1
its pictures equal screenshots and carry the time at which they were shown; at other scales each one only triggers a
screenshot. Input to the browser's own window (address bar, menus, dialogs) is only seen by the desktop's recorder.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import queue
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from showonce.actions import NOTCH_PIXELS
from showonce.environments.browser.eyes import Look, png_size
from showonce.environments.browser.geometry import Offset, View, offset_of
from showonce.environments.browser.hooks import script
from showonce.environments.browser.session import BrowserSession
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.ring import FrameRing
from showonce.errors import EnvironmentBroken, ShowonceError
from showonce.types import Image, Observation, Region

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, Frame, Page

T = TypeVar("T")
LAG: Final = 0.15  # seconds that an event waits for frames from before it that are still under way
QUIET: Final = 0.12  # seconds after the last event or frame until one more picture is taken
IDLE_SECONDS: Final = 1.0
START_SECONDS: Final = 15.0
_PNG: Final = {"format": "png", "optimizeForSpeed": True}
_POKE: Final = {"format": "jpeg", "quality": 1, "optimizeForSpeed": True}


@dataclass(eq=False)
class _Cast:
    """One tab, its DevTools session and its frames."""

    page: Page
    cdp: CDPSession
    ring: FrameRing[bytes]
    last: str = ""  # the newest frame of the screencast, base64
    shot: str = ""  # the newest screenshot, base64, at scales other than 1
    poke: asyncio.TimerHandle | None = None
    shooting: asyncio.Lock = field(default_factory=asyncio.Lock)
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True)
class _Told:
    """An event that waits LAG seconds: its arrival time, its contents with places in pixels of the frame, its tab."""

    arrived: float
    event: dict[str, Any]
    cast: _Cast


class _Line:
    """Passes the messages of a context's hooks on to the recorder that listens at the moment."""

    def __init__(self) -> None:
        self.listener: Callable[[Any, dict[str, Any]], Coroutine[Any, Any, None]] | None = None

    async def say(self, source: Any, message: dict[str, Any]) -> None:
        if self.listener is not None:
            await self.listener(source, message)


_NAME: Final = "__showonce_told"
_lines: weakref.WeakKeyDictionary[BrowserContext, _Line] = weakref.WeakKeyDictionary()


class WatchedBrowser(Protocol):
    """What the recorder needs of a `BrowserEnvironment`."""

    @property
    def settings(self) -> BrowserSettings: ...
    @property
    def session(self) -> BrowserSession | None: ...
    @property
    def look(self) -> Look | None: ...
    def frame_of(self, png: bytes, width: float) -> tuple[Image, float, View]: ...
    def on_owner(self, make: Callable[[], Coroutine[Any, Any, T]], seconds: float, what: str) -> T: ...


class BrowserSource:
    """Watches the tabs of a browser environment that was reset. See `protocols.EventSource`.

    own: chords of the recorder, hidden from the page.
    """

    def __init__(self, browser: WatchedBrowser, own: Sequence[str] = ()) -> None:
        self._browser, self._own = browser, own
        self._casts: dict[Page, _Cast] = {}
        self._offsets: dict[Frame, Offset] = {}
        self._masks: dict[Frame, list[Region]] = {}
        self._masked: tuple[Region, ...] = ()  # of all documents
        self._values: set[str] = set()  # what secret fields held since the last event
        self._inbox: queue.SimpleQueue[_Told | ShowonceError | None] = queue.SimpleQueue()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._order: asyncio.Lock | None = None
        self._closed = False
        self._screen = 1.0  # device pixels per pixel of the operating system, in which wheels count
        self._width, self._ratio = (
            float(browser.settings.width),
            browser.settings.scale,
        )  # of the page without a pinch, when it began
        self._by_shots = False  # the screencast's pixels differ from screenshots': it only triggers them
        self._view: View | None = None

    def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        """Yield events until `close`, or until the last tab is closed."""
        self._browser.on_owner(self._start, START_SECONDS, "the recorder")
        try:
            yield from self._events()
        finally:
            self._closed = True
            with contextlib.suppress(ShowonceError):
                self._browser.on_owner(self._stop, START_SECONDS, "the recorder's end")

    def close(self) -> None:
        self._closed = True
        self._inbox.put(None)

    def _events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        cast = next(reversed(self._casts.values()))
        cast.ring.wait(START_SECONDS)
        since: float | None = None
        yield self._framed(self._idle(), cast)
        while not self._closed:
            try:
                told = self._inbox.get(timeout=0.05)
            except queue.Empty:
                if since is not None and time.time() - since >= IDLE_SECONDS:
                    since = None
                    yield self._framed(self._idle(), cast)
                continue
            if told is None:
                return
            if isinstance(told, ShowonceError):
                raise told
            time.sleep(max(0.0, told.arrived + LAG - time.time()))
            since, cast = told.event["time"], told.cast
            yield self._framed(told.event, cast)

    def _idle(self) -> dict[str, Any]:
        return {"kind": "idle", "time": time.time(), "masks": self._masked}

    def _framed(self, event: dict[str, Any], cast: _Cast) -> tuple[Mapping[str, Any], Observation]:
        frame, changed = cast.ring.before(event["time"])
        return {**event, "frame_time": changed}, frame

    # ------------------------------------------------------------------------------------------------ on its thread

    async def _start(self) -> None:
        session = self._browser.session
        if session is None or not session.tabs:
            raise EnvironmentBroken("there is no page to watch; reset the environment first.")
        self._order = asyncio.Lock()
        if session.attached:
            metrics = await session.tab.cdp.send("Page.getLayoutMetrics")
            zoom = float(metrics["cssVisualViewport"].get("zoom", 1.0) or 1.0)
            self._screen = float(await session.tab.page.evaluate("devicePixelRatio")) / zoom
        look = self._browser.look
        if look is not None:
            self._width = look.window[0] * look.pinch
            self._ratio = png_size(look.png)[0] / self._width
            self._by_shots = png_size(look.png)[0] != round(self._width)
        context = session.context
        hooks = script(_NAME, self._own)
        line = _lines.get(context)
        if line is None:  # a context keeps hooks and binding for good, so they are added once
            line = _lines[context] = _Line()
            await context.expose_binding(_NAME, line.say)
            await context.add_init_script(hooks)
        line.listener = self._told
        context.on("page", self._came)
        for tab in session.tabs:
            await self._follow(tab.page)
            for frame in tab.page.frames:
                with contextlib.suppress(Exception):
                    await frame.evaluate(hooks)
                self._run(self._look(self._casts[tab.page], frame, _ALL))

    async def _stop(self) -> None:
        session = self._browser.session
        if session is not None:
            with contextlib.suppress(Exception):
                _lines[session.context].listener = None
                session.context.remove_listener("page", self._came)
        for cast in self._casts.values():
            if cast.poke is not None:
                cast.poke.cancel()
            with contextlib.suppress(Exception):
                await cast.cdp.detach()
        for task in self._tasks:
            task.cancel()

    def _came(self, page: Page) -> None:
        self._run(self._follow(page))

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _follow(self, page: Page) -> None:
        cdp = await page.context.new_cdp_session(page)
        cast = self._casts[page] = _Cast(page, cdp, FrameRing(self._observation))
        cdp.on("Page.screencastFrame", lambda sent: self._frame(cast, sent))
        page.on("close", lambda _: self._gone(page))
        await cdp.send("Page.enable")
        await cdp.send("Page.startScreencast", {"format": "png", "maxWidth": 16384, "maxHeight": 16384})
        self._soon(cast)

    def _gone(self, page: Page) -> None:
        self._casts.pop(page, None)
        if not self._casts and not self._closed:
            self._inbox.put(None)

    def _frame(self, cast: _Cast, sent: dict[str, Any]) -> None:
        self._run(cast.cdp.send("Page.screencastFrameAck", {"sessionId": sent["sessionId"]}))
        if sent["data"] == cast.last:
            return
        cast.last = sent["data"]
        if self._by_shots:
            self._run(self._shoot(cast))
        else:
            cast.ring.put(float(sent["metadata"].get("timestamp") or time.time()), base64.b64decode(sent["data"]))
        self._soon(cast)

    async def _shoot(self, cast: _Cast) -> None:
        """Take a screenshot as the environment does; it goes into the ring with the time at which it was complete."""
        session = self._browser.session
        tab = next((tab for tab in session.tabs if tab.page is cast.page), None) if session is not None else None
        if cast.shooting.locked() or tab is None:
            return  # `_soon` takes another
        async with cast.shooting:
            sent = await tab.cdp.send("Page.captureScreenshot", _PNG)
            if sent["data"] != cast.shot:
                cast.shot = sent["data"]
                cast.ring.put(time.time(), base64.b64decode(cast.shot))

    def _soon(self, cast: _Cast) -> None:
        """Take one more picture after QUIET seconds; taking it makes the browser send its frame, too."""
        if cast.poke is not None:
            cast.poke.cancel()

        def take() -> None:
            self._run(self._shoot(cast) if self._by_shots else cast.cdp.send("Page.captureScreenshot", _POKE))

        cast.poke = asyncio.get_running_loop().call_later(QUIET, take)

    async def _told(self, source: Any, message: dict[str, Any]) -> None:
        """Handle a document's messages in the order in which they arrive."""
        arrived = time.time()
        cast = self._casts.get(source["page"])
        if self._closed or cast is None or self._order is None:
            return
        frame: Frame = source["frame"]
        if message["kind"] == "look":
            self._run(self._look(cast, frame, message["ask"]))
            return
        async with self._order:
            zoomed = float(message.get("dpr") or self._ratio) / self._ratio
            offset = await self._offset(frame, message["way"], zoomed)
            view = self._view_now(cast)
            boxes = [_region(box, offset, view) for box in message["masks"]]
            self._masks[frame] = [box for box in boxes if box is not None]
            shown = [masks for known, masks in self._masks.items() if not known.is_detached()]
            self._masked = tuple(mask for masks in shown for mask in masks)
            self._values.update(message["values"])
            self._soon(cast)
            if message["kind"] == "masks":
                return
            event: dict[str, Any] = {key: message[key] for key in _KEPT if key in message}
            event |= {"masks": self._masked, "values": tuple(self._values)}
            self._values.clear()
            if "x" in message:
                x, y = view.to_fraction(*offset.to_input(message["x"], message["y"]))
                event |= {"x": _floor(x * view.width), "y": _floor(y * view.height)}
                event |= {"width": view.width, "height": view.height}
            if message["kind"] == "wheel":
                event |= {"dx": self._notches(message, 0), "dy": self._notches(message, 1)}
            elif event.get("button") == "":
                return
            self._inbox.put(_Told(arrived, event, cast))

    async def _look(self, cast: _Cast, frame: Frame, ask: int) -> None:
        """Hand the closed shadow roots of a document to its hook, then answer its question number `ask`.

        Documents of another process have a DevTools session of their own.
        """
        cdp, own = cast.cdp, None
        if frame.parent_frame is not None:
            with contextlib.suppress(Exception):
                cdp = own = await frame.page.context.new_cdp_session(frame)
        async with cast.looking:
            document = await cdp.send("DOM.getDocument", {"depth": -1, "pierce": True})
            for node in _roots(document["root"]):
                with contextlib.suppress(Exception):  # the root may be gone by now, or its document without a hook
                    found = await cdp.send("DOM.resolveNode", {"backendNodeId": node})
                    given = {"objectId": found["object"]["objectId"], "functionDeclaration": _HAND_OVER}
                    await cdp.send("Runtime.callFunctionOn", {**given, "arguments": [{"value": f"{_NAME}_root"}]})
            await cdp.send("DOM.disable")
        if own is not None:
            await own.detach()
        await frame.evaluate(f"ask => window.{_NAME}_looked && window.{_NAME}_looked(ask)", ask)

    def _notches(self, message: Mapping[str, Any], axis: int) -> float:
        """Return how far the wheel was turned, in notches. The page reports its own pixels, which the zoom of a
        person's browser, or the scale of ours, has made smaller: they are multiplied by it.
        """
        enlarged = float(message["dpr"]) / self._screen
        turned = float(message["turned"][axis])
        notches = turned / _TICK if turned else float(message["dx" if axis == 0 else "dy"]) / NOTCH_PIXELS
        return notches * enlarged

    async def _offset(self, frame: Frame, way: Sequence[float] | None, zoomed: float) -> Offset:
        """Return where a document lies in the window: from its own message, else from the documents around it.

        zoomed: factor by which the person has zoomed since the recording began; a pinch is a further factor.
        """
        if abs(zoomed - 1) < 0.01:  # rounding of whole pixels
            zoomed = 1.0
        if way is not None:
            return Offset(*(value * zoomed for value in way))
        with contextlib.suppress(Exception):  # the click may have removed the iframe: then its last offset
            found = await offset_of(frame)
            factor = zoomed * float(await frame.page.main_frame.evaluate("visualViewport ? visualViewport.scale : 1"))
            self._offsets[frame] = Offset(*(value * factor for value in astuple(found)))
        return self._offsets.get(frame, Offset())

    # ------------------------------------------------------------------------------------------------------- frames

    def _view_now(self, cast: _Cast) -> View:
        if self._view is None:
            cast.ring.before(time.time())
            assert self._view is not None
        return self._view

    def _observation(self, png: bytes) -> Observation:
        """Return a frame as `observe` of the environment would."""
        frame, scale, self._view = self._browser.frame_of(png, self._width)
        return Observation(frame, scale=scale)


_KEPT: Final = (
    "kind",
    "time",
    "button",
    "target",
    "key",
    "text",
    "modifiers",
    "secret",
    "typed",
    "size",
    "dpr",
    "scroll",
)
_ALL: Final = 2**31  # answers all questions
_HAND_OVER: Final = "function(name) { const w = this.ownerDocument.defaultView; if (w && w[name]) w[name](this); }"
_TICK: Final = 120.0  # units of `wheelDelta` per notch, the same on every system


def _roots(node: Mapping[str, Any]) -> Iterator[int]:
    """Yield the DevTools ids of the page's own shadow roots below a node of `DOM.getDocument`."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.get("shadowRootType") in ("open", "closed"):
            yield node["backendNodeId"]
        waiting += [*node.get("children", ()), *node.get("shadowRoots", ())]
        waiting += [node["contentDocument"]] if "contentDocument" in node else []


def _floor(value: float) -> int:
    return int((value + 1e-6) // 1)


def _region(box: Sequence[float], offset: Offset, view: View) -> Region | None:
    """Return a box of a document as fractions of the frame; None when it is not shown."""
    left, top = view.to_fraction(*offset.to_input(box[0], box[1]))
    right, bottom = view.to_fraction(*offset.to_input(box[2], box[3]))
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in (left, top, right, bottom))
    return (left, top, right, bottom) if left < right and top < bottom else None
