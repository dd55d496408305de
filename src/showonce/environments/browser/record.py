"""Records a person in the browser: every input of the page with the last frame before it.

The script of `hooks`, which `documents` keeps alive in every frame, reports input. Frames come from DevTools'
screencast: at a scale of 1 its pictures equal screenshots and carry the time at which they were shown; at other scales
each one only triggers a screenshot. All times are Python's monotonic ones (`clocks`). What a person answers in the
browser's own dialogs becomes the actions that answer a drawn one (`modal`). Other input to the browser's own window
(address bar, menus) is only seen by the desktop's recorder.
"""

from __future__ import annotations

import asyncio
import base64
import bisect
import collections
import contextlib
import queue
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from showonce.actions import NOTCH_PIXELS
from showonce.environments.browser.dialogs import Dialogs
from showonce.environments.browser.documents import NAME, PATIENCE, Document, Documents
from showonce.environments.browser.elements import element_of
from showonce.environments.browser.eyes import Look, png_size
from showonce.environments.browser.geometry import Offset, View
from showonce.environments.browser.hooks import script
from showonce.environments.browser.secret_focus import region_of
from showonce.environments.browser.session import BrowserSession
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.clocks import MachineClock
from showonce.environments.ring import FrameRing
from showonce.errors import EnvironmentBroken, ShowonceError
from showonce.secrets import NOWHERE, Places, hidden_event
from showonce.types import Image, Observation, Region

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

T = TypeVar("T")
LAG: Final = 0.15  # seconds that an event waits for frames from before it that are still under way
UNSEEN: Final = "something was done in a tab before it showed anything: its step has the picture of another tab"
QUIET: Final = 0.12  # seconds after the last event or frame until one more picture is taken
IDLE_SECONDS: Final = 1.0
FIRST_SECONDS: Final = 2.0  # that a new tab gets to show its first frame
HOVER_SECONDS: Final = 0.7  # a change of the screen this long after the pointer moved is what it moved over
BEAT: Final = 0.5  # seconds between two heartbeats
START_SECONDS: Final = 15.0
_PNG: Final = {"format": "png", "optimizeForSpeed": True}
_POKE: Final = {"format": "jpeg", "quality": 1, "optimizeForSpeed": True}


@dataclass(eq=False)
class _Cast:
    """One tab, its DevTools session and its frames."""

    page: Page
    cdp: CDPSession
    documents: Documents
    dialogs: Dialogs
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

    own: chords of the recorder, hidden from the page. secrets: what counts as a field for secrets beside those that the
    hook finds; regions are black in every frame, and what is typed into a field whose middle lies in one is secret.
    """

    def __init__(
        self,
        browser: WatchedBrowser,
        own: Sequence[str] = (),
        clock: MachineClock | None = None,
        secrets: Places = NOWHERE,
    ) -> None:
        self._browser, self._own, self._clock = browser, own, clock or MachineClock()
        self._secrets = secrets
        self._casts: dict[Page, _Cast] = {}
        self._masked: tuple[Region, ...] = secrets.regions  # and of all documents
        self._values: set[str] = set()  # what secret fields held since the last event
        self._inbox: queue.SimpleQueue[_Told | ShowonceError | None] = queue.SimpleQueue()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._order: asyncio.Lock | None = None
        self._closed = False
        self._motions: collections.deque[float] = collections.deque(maxlen=512)  # when the pointer moved
        self._screen = 1.0  # device pixels per pixel of the operating system, in which wheels count
        self._width, self._ratio = (
            float(browser.settings.width),
            browser.settings.scale,
        )  # of the page without a pinch, when it began
        self._by_shots = False  # the screencast's pixels differ from screenshots': it only triggers them
        self._window = False  # a person sees the browser, with dialogs of its own
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
                if since is not None and self._clock.now() - since >= IDLE_SECONDS:
                    since = None
                    yield self._framed(self._idle(), cast)
                continue
            if told is None:
                return
            if isinstance(told, ShowonceError):
                raise told
            time.sleep(max(0.0, told.arrived + LAG - self._clock.now()))
            if told.event["kind"] not in ("told", "lost", "sent"):
                since = told.event["time"]
                if told.cast.ring.filled(FIRST_SECONDS):
                    cast = told.cast
                else:
                    yield self._framed({**self._idle(), "kind": "lost", "text": UNSEEN}, cast)
            yield self._framed(told.event, cast)

    def _idle(self) -> dict[str, Any]:
        return {"kind": "idle", "time": self._clock.now(), "masks": self._masked}

    def _framed(self, event: dict[str, Any], cast: _Cast) -> tuple[Mapping[str, Any], Observation]:
        frame, _ = cast.ring.before(event["time"])
        modal = event.pop("modal", None)
        if modal is not None:
            frame = Observation(modal.draw(frame.image), scale=frame.scale)
        return {**event, "frame_time": self._changed(cast, event["time"])}, frame

    def _changed(self, cast: _Cast, until: float) -> float:
        """Return when the screen last changed by itself: by nothing that the pointer moved over. 0.0: never."""
        motions = list(self._motions)
        for changed in reversed(cast.ring.changes(until)):
            after = bisect.bisect_right(motions, changed)
            if after == 0 or changed - motions[after - 1] > HOVER_SECONDS:
                return changed
        return 0.0

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
        version = await session.tab.cdp.send("Browser.getVersion")
        self._window = "Headless" not in version["product"]
        session.leave_files(self._window)
        session.context.on("page", self._came)
        session.told_sent = lambda: self._put({"kind": "sent"})
        for tab in session.tabs:
            await self._follow(tab.page)
        self._run(self._beat())

    async def _stop(self) -> None:
        session = self._browser.session
        if session is not None:
            with contextlib.suppress(Exception):
                session.told_sent = None
                session.context.remove_listener("page", self._came)
                session.leave_files(False)
        for cast in [*self._casts.values()]:
            if cast.poke is not None:
                cast.poke.cancel()
            with contextlib.suppress(Exception):
                cast.dialogs.close()
                await cast.documents.stop()
        for task in self._tasks:
            task.cancel()

    async def _beat(self) -> None:
        while not self._closed:
            await asyncio.sleep(BEAT)
            happened, jumped = self._clock.changes()
            if happened:
                self._say(happened)
            if jumped:
                self._put({"kind": "pause"})
            for cast in [*self._casts.values()]:
                cast.documents.beat()

    def _say(self, text: str, lost: bool = False) -> None:
        """Tell the person something in the live line. lost: it is missing from the recording."""
        self._put({"kind": "lost" if lost else "told", "text": text})

    def _put(self, event: dict[str, Any], page: Page | None = None) -> None:
        """Hand over an event that no document told, after those that were told before; it happened just now."""
        now = self._clock.now()
        cast = self._casts.get(page) if page is not None else next(reversed(self._casts.values()), None)
        if cast is not None:
            made = _Told(now, {**event, "time": now, "masks": self._masked}, cast)
            self._run(self._in_order(lambda: self._inbox.put(made)))

    async def _in_order(self, do: Callable[[], None]) -> None:
        """Do something after everything that was told before."""
        assert self._order is not None
        async with self._order:
            do()

    async def _or_said(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Wait for work on what a person did; where it fails, say `what` it was and that it is not recorded, if any."""
        try:
            await work
        except Exception as error:  # its text may hold what was typed
            if what and not self._closed:
                self._say(f"{what} ({type(error).__name__}): it is not recorded", lost=True)

    def _came(self, page: Page) -> None:
        self._run(self._or_said(self._follow(page), "what is done in a new tab cannot be watched"))

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _follow(self, page: Page) -> None:
        cdp = await page.context.new_cdp_session(page)

        def told(document: Document, message: dict[str, Any]) -> None:
            what = "" if message["kind"] in ("look", "moved", "masks") else "something that was done could not be read"
            self._run(self._or_said(self._told(cast, document, message, self._clock.now()), what))

        documents = Documents(page, script(NAME, self._own, self._secrets), self._clock, told, self._say)
        dialogs = Dialogs(
            documents, lambda event: self._put(event, page), lambda text: self._say(text, True), self._window
        )
        cast = self._casts[page] = _Cast(page, cdp, documents, dialogs, FrameRing(self._observation))
        cdp.on("Page.screencastFrame", lambda sent: self._frame(cast, sent))
        page.on("close", lambda _: self._gone(page))
        page.on("crash", lambda _: self._crashed(page))
        await documents.start(cdp)
        for document in documents:
            self._run(self._look(cast, document, _ALL))
        await cdp.send("Page.startScreencast", {"format": "png", "maxWidth": 16384, "maxHeight": 16384})
        self._soon(cast)

    def _crashed(self, page: Page) -> None:
        """Go on in the other tabs; without one, end the recording, which keeps what was done so far."""
        self._say("a tab crashed: what it showed is gone, and what is done in it is not recorded", lost=True)
        self._ends(page, EnvironmentBroken("the tab crashed while it was recorded."))

    def _gone(self, page: Page) -> None:
        self._ends(page, None)

    def _ends(self, page: Page, end: ShowonceError | None) -> None:
        """Forget a tab after what was done in it; with the last one the recording ends."""

        def forget() -> None:
            if self._casts.pop(page, None) is not None and not self._casts and not self._closed:
                self._inbox.put(end)

        self._run(self._in_order(forget))

    def _frame(self, cast: _Cast, sent: dict[str, Any]) -> None:
        self._run(cast.cdp.send("Page.screencastFrameAck", {"sessionId": sent["sessionId"]}))
        if sent["data"] == cast.last:
            return
        cast.last = sent["data"]
        if self._by_shots:
            self._run(self._shoot(cast))
        else:
            shown = self._clock.of_wall(float(sent["metadata"].get("timestamp") or 0.0))
            cast.ring.put(shown, base64.b64decode(sent["data"]))
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
                cast.ring.put(self._clock.now(), base64.b64decode(cast.shot))

    def _soon(self, cast: _Cast) -> None:
        """Take one more picture after QUIET seconds; taking it makes the browser send its frame, too."""
        if cast.poke is not None:
            cast.poke.cancel()

        def take() -> None:
            self._run(self._shoot(cast) if self._by_shots else cast.cdp.send("Page.captureScreenshot", _POKE))

        cast.poke = asyncio.get_running_loop().call_later(QUIET, take)

    async def _told(self, cast: _Cast, document: Document, message: dict[str, Any], arrived: float) -> None:
        """Handle a document's messages in the order in which they arrive."""
        if self._closed or self._order is None:
            return
        if message["kind"] == "look":
            self._run(self._look(cast, document, message["ask"]))
            return
        if message["kind"] == "moved":
            self._motions.append(document.clock.to_python(message["time"]))
            return
        async with self._order:
            zoomed = float(message.get("dpr") or self._ratio) / self._ratio
            offset = await self._offset(cast, document, message["way"], zoomed)
            if offset is None:
                if message["kind"] != "masks":
                    self._say("something was done in a frame that is gone: it is not recorded", lost=True)
                return
            view = await self._view_now(cast)
            boxes = [region_of(box, offset, view) for box in message["masks"]]
            document.masks = [box for box in boxes if box is not None]
            known = [one for watched in self._casts.values() for one in watched.documents]
            self._masked = (*self._secrets.regions, *(mask for one in known for mask in one.masks))
            self._values.update(message["values"])
            self._soon(cast)
            if message["kind"] == "masks":
                return
            event: dict[str, Any] = {key: message[key] for key in _KEPT if key in message}
            event["time"] = document.clock.to_python(event["time"])
            if message.get("field") and (place := region_of(message["field"], offset, view)) is not None:
                event = self._covered(event, place)
            event |= {"masks": self._masked, "values": tuple(self._values)}
            event |= {"origin": await cast.documents.origin(document)} if event.get("secret") else {}
            self._values.clear()
            if "x" in message:
                x, y = view.to_fraction(*offset.to_input(message["x"], message["y"]))
                event |= {"x": _floor(x * view.width), "y": _floor(y * view.height)}
                event |= {"width": view.width, "height": view.height}
            if message.get("element"):
                event |= {"element": element_of(message["element"], offset, view)}
            if message.get("under"):
                event |= {"under": message["under"], "region": region_of(message["box"], offset, view)}
            if message["kind"] == "wheel":
                event |= {"dx": self._notches(message, 0), "dy": self._notches(message, 1)}
            self._inbox.put(_Told(arrived, event, cast))

    def _covered(self, event: dict[str, Any], place: Region) -> dict[str, Any]:
        """Return an event without its text where the field that it goes to lies in a region of `record.secrets`."""
        x, y = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
        if event.get("secret") or not any(a <= x <= c and b <= y <= d for a, b, c, d in self._secrets.regions):
            return event
        return hidden_event(event)

    async def _look(self, cast: _Cast, document: Document, ask: int) -> None:
        """Hand the closed shadow roots of a document to its hook, then answer its question number `ask`."""
        async with cast.looking:
            await cast.documents.hand_over(document, ask)

    def _notches(self, message: Mapping[str, Any], axis: int) -> float:
        """Return how far the wheel was turned, in notches. The page reports its own pixels, which the zoom of a
        person's browser, or the scale of ours, has made smaller: they are multiplied by it.
        """
        enlarged = float(message["dpr"]) / self._screen
        turned = float(message["turned"][axis])
        notches = turned / _TICK if turned else float(message["dx" if axis == 0 else "dy"]) / NOTCH_PIXELS
        return notches * enlarged

    async def _offset(self, cast: _Cast, document: Document, way: Sequence[float], zoomed: float) -> Offset | None:
        """Return where a document lies in the window.

        way: where it lies in the outermost document that it may reach, how many levels above, and whether that is the
        page. zoomed: factor by which the person has zoomed since the recording began; a pinch is a further factor.
        None: the iframe is gone and was never seen.
        """
        if abs(zoomed - 1) < 0.01:  # rounding of whole pixels
            zoomed = 1.0
        inner = Offset(*way[:4])
        if way[5]:
            return inner.inside(Offset(0, 0, zoomed, zoomed))
        outer, pinch = await cast.documents.place(document, int(way[4])), zoomed
        if outer is None:
            return None
        with contextlib.suppress(Exception):
            asked = cast.page.evaluate("visualViewport ? visualViewport.scale : 1")
            pinch *= float(await asyncio.wait_for(asked, PATIENCE))
        return inner.inside(outer.inside(Offset(0, 0, pinch, pinch)))

    # ------------------------------------------------------------------------------------------------------- frames

    async def _view_now(self, cast: _Cast) -> View:
        end = self._clock.now() + FIRST_SECONDS
        while self._view is None:
            if cast.ring.filled() or self._clock.now() > end:
                cast.ring.before(self._clock.now())
            await asyncio.sleep(0.02)
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
    "count",
    "source",
    "removed",
    "replaces",
    "secret",
    "typed",
)
_ALL: Final = 2**31  # answers all questions
_TICK: Final = 120.0  # units of `wheelDelta` per notch, the same on every system


def _floor(value: float) -> int:
    return int((value + 1e-6) // 1)
