"""Takes the screenshot of a page that has come to rest, and cuts the frame from it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from showonce.environments.browser.geometry import View
from showonce.environments.browser.session import BrowserSession, ModalOpened, Tab, TabClosed
from showonce.environments.browser.settings import FRAME_SECONDS
from showonce.environments.browser.settle import STATE, PageState
from showonce.errors import EnvironmentBroken
from showonce.types import Image as Pixels

MOST_TEXT: Final = 200_000  # characters of page text
_TEXT: Final = "() => document.body ? document.body.innerText : ''"
_PNG: Final = {"format": "png", "optimizeForSpeed": True}
_NOT_DRAWN: Final = ("Unable to capture", "Not attached", "navigated")  # errors between two documents
_STATE: Final = {"expression": STATE, "returnByValue": True}


@dataclass(frozen=True)
class Look:
    """A screenshot (PNG), the window's size in input units, and whether the page was at rest.

    pinch: factor by which a person has enlarged the page with two fingers; the input units include it.
    """

    png: bytes
    window: tuple[float, float]
    settled: bool
    url: str
    text: str | None
    pinch: float = 1.0


class Eyes:
    """Looks at the pages of one session. quiet: seconds without a change; size: of the page in CSS pixels."""

    def __init__(self, session: BrowserSession, quiet: float, size: tuple[int, int]) -> None:
        self.session, self.quiet, self.patience, self.size = session, quiet, session.options.patience, size
        self._pinch = 1.0
        self._blind = 0.0  # time at which screenshots began to fail; 0 = they work
        self._ratio = 1.0  # device pixels per CSS pixel in a person's window: their screen's, times their zoom

    async def look(self, with_text: bool) -> Look:
        """Return the page once it is at rest, or after `patience` seconds. Behind a dialog: its last screenshot."""
        while True:
            with contextlib.suppress(TabClosed):  # by the page itself: another tab is in front now
                return await self._look(with_text)

    async def _look(self, with_text: bool) -> Look:
        tab, settled = self.session.tab, False
        with contextlib.suppress(ModalOpened):
            settled, tab = await self._rest()
        text = "" if with_text else None
        if with_text:
            with contextlib.suppress(ModalOpened):
                text = await self._page_text(self.session.tab)
        png = tab.shot or self._blank()
        window = (self.size[0] / self._pinch, self.size[1] / self._pinch)
        if self.session.attached:
            with contextlib.suppress(ModalOpened):
                self._ratio = float(await self._asked(tab, "devicePixelRatio"))
            width, height = png_size(png)
            window = (width / self._ratio / self._pinch, height / self._ratio / self._pinch)
        return Look(png, window, settled, tab.page.url, text, self._pinch)

    async def window(self, tab: Tab) -> tuple[float, float]:
        """Return width and height of a person's window in input units, rounded by the browser to whole CSS pixels."""
        width, height = await self._asked(tab, "[innerWidth, innerHeight]")
        return width / self._pinch, height / self._pinch

    async def _asked(self, tab: Tab, expression: str) -> Any:
        return await self.session.ask_again(tab, lambda: tab.page.evaluate(expression))

    async def _rest(self) -> tuple[bool, Tab]:
        """Take screenshots until the page did not change during one; return whether that happened, and the tab.

        The first is taken at once: taking it lasts longer than the quiet window. It counts if the page's change counts
        before and after it are equal and nothing is pending. Ends after `patience` seconds in any case; while another
        document or window is requested and not there yet they begin anew, for `timeout` seconds at most.
        """
        loop = asyncio.get_running_loop()
        end, optimistic = loop.time() + self.patience, True
        longest = loop.time() + max(self.patience, self.session.options.timeout)
        while True:
            if self.session.leaving():
                end = min(loop.time() + self.patience, longest)
            tab = self.session.tab
            before = await self._state(tab)
            late = loop.time() >= end
            waits = before is None or before.busy or self.session.pending()
            if not late and (waits or (not optimistic and before is not None and before.quiet_ms < self.quiet * 1e3)):
                optimistic = False
                await asyncio.sleep(min(max(self.quiet, 0.002), FRAME_SECONDS))
                continue
            if not await self._shoot(tab):
                continue
            after = await self._state(tab)
            if after is not None and before is not None and after.quiet_ms < self.quiet * 1e3 and not late:
                await asyncio.sleep(self.quiet - after.quiet_ms / 1e3)
                after = await self._state(tab)
            self._pinch = after.pinch if after is not None else self._pinch
            same = before is not None and after is not None and before.changes == after.changes and not after.busy
            if same and tab is self.session.tab and not self.session.pending():
                return True, tab
            if loop.time() >= end:
                return False, tab
            optimistic = False

    async def _shoot(self, tab: Tab) -> bool:
        """Take a screenshot; False when the browser could not draw the page at the moment.

        Raises:
            EnvironmentBroken: no screenshot succeeded for `timeout` seconds.
        """
        from playwright.async_api import Error

        try:
            taken = await self.session.ask_again(tab, lambda: tab.cdp.send("Page.captureScreenshot", _PNG))
        except Error as error:
            if tab.gone or not any(why in str(error) for why in _NOT_DRAWN):
                raise
            loop = asyncio.get_running_loop()
            self._blind = self._blind or loop.time()
            if loop.time() - self._blind > self.session.options.timeout:
                raise EnvironmentBroken(f"the page was not drawn for {self.session.options.timeout:g} s.") from error
            await asyncio.sleep(FRAME_SECONDS)
            return False
        tab.shot, self._blind = base64.b64decode(taken["data"]), 0.0
        return True

    async def _state(self, tab: Tab) -> PageState | None:
        """Return how the page stands; None while it is between two documents: scripts are not answered then."""
        from playwright.async_api import Error

        if self._awaits(tab):
            return None
        try:
            told = await self.session.ask_again(tab, lambda: tab.cdp.send("Runtime.evaluate", _STATE))
            if "exceptionDetails" in told:
                return None
            found = [told["result"]["value"]]
            if found[0][5]:
                others = await self.session.ask_again(tab, lambda: _in_frames(tab, STATE, top=False))
                found += [s for s in others if isinstance(s, list)]
            return PageState.of(found)
        except Error:
            if tab.gone or tab.page.is_closed():
                raise
            return None
        except EnvironmentBroken as error:
            if isinstance(error, ModalOpened) or tab.gone or not self._awaits(tab):
                raise
            return None

    def _awaits(self, tab: Tab) -> bool:
        """Say whether a server has not answered a navigation within the time-out; screenshots still work then."""
        return "navigation" in tab.pending and not self.session.leaving()

    async def _page_text(self, tab: Tab) -> str:
        if self._awaits(tab):
            return ""
        found = await self.session.ask_again(tab, lambda: _in_frames(tab, _TEXT, top=True))
        return "\n".join(t for t in found if isinstance(t, str) and t)[:MOST_TEXT]

    def _blank(self) -> bytes:
        """Return what is seen of a page that shows a dialog before it was ever drawn."""
        out, metrics = io.BytesIO(), self.session.options.metrics
        scale = 1.0 if metrics is None else metrics[2]
        Image.new("RGB", (round(self.size[0] * scale), round(self.size[1] * scale)), "white").save(out, "PNG")
        return out.getvalue()


async def _in_frames(tab: Tab, script: str, top: bool) -> list[Any]:
    """Return what a script gives in each frame of a page, or its exception. top: in the main frame, too."""
    frames = [f for f in tab.page.frames if top or f.parent_frame is not None]
    return await asyncio.gather(*(f.evaluate(script) for f in frames), return_exceptions=True)


def png_size(png: bytes) -> tuple[int, int]:
    """Return width and height, which stand in a PNG's header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def decoded(png: bytes) -> Pixels:
    """Return the pixels of a PNG."""
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def shown(image: Pixels, view: View) -> Pixels:
    """Return the frame of a screenshot: cropped, then scaled with the mean of what falls together."""
    left, top, right, bottom = (int(value) for value in view.crop)
    part = image[top:bottom, left:right]
    if (right - left, bottom - top) == (view.width, view.height):
        return np.ascontiguousarray(part)
    return np.array(Image.fromarray(part).resize((view.width, view.height), Image.Resampling.BOX))
