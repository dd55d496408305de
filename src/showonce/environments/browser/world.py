"""The browser as an environment: screenshots of a page, and input by mouse and keyboard.

`observe` waits until the page is at rest (see `settle`) and returns the frame; `execute` does one action and returns
as soon as the page has handled its input. Dialogs, which no screenshot shows, are drawn and answered by `modal`. Keys
that belong to the browser's own window are carried out here: alt+left, alt+right, f5, ctrl+r, ctrl+w (close the tab),
ctrl+t (new tab), ctrl+tab.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from showonce.actions import Action, Key, Open, points
from showonce.environments.browser.addresses import address_of
from showonce.environments.browser.elements import (
    ELEMENTS_SECONDS,
    elements_of,
    focused_element,
    hit_by,
    reveal,
    target_at,
    targets_of,
)
from showonce.environments.browser.eyes import Eyes, Look, decoded, shown
from showonce.environments.browser.facts import FACTS_SECONDS, facts_of
from showonce.environments.browser.geometry import Box, View, image_size, view_of
from showonce.environments.browser.hands import RELEASE_SECONDS, PageHands
from showonce.environments.browser.owner import START_SECONDS, BrowserOwner, Launch, launch_for, owner
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.secret_focus import IS_SELECTOR, SECRETS_SECONDS, focused_field, secret_boxes
from showonce.environments.browser.session import BrowserSession, ModalOpened, Options
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.undo import TabsBefore, take_back
from showonce.environments.settings import EnvironmentSettings
from showonce.errors import BadInput, ConfigError, EnvironmentBroken, ShowonceError
from showonce.protocols import Capabilities, Interrupt
from showonce.secrets import NOWHERE, Places
from showonce.types import Element, Executed, Field, Observation, Outcome, Region, ScreenFacts, Task
from showonce.types import Image as Pixels

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, ViewportSize

T = TypeVar("T")
FIT_TRIES: Final = 8  # times that a window is asked for the size of its page, FIT_SECONDS apart
FIT_SECONDS: Final = 0.1
CONTEXT_SECONDS: Final = START_SECONDS + 10.0  # until a browser has started and opened a tab
IDLE: Final = ("wait", "done", "ask")  # verbs that send no input
EXECUTE_SECONDS: Final = 300.0  # the longest action: two thousand characters, or a wait of a minute


class BrowserEnvironment:
    """A tab of a Chromium; see `BrowserSettings`."""

    Settings: ClassVar[type[EnvironmentSettings]] = BrowserSettings
    name = "browser"

    def __init__(self, settings: BrowserSettings | None = None) -> None:
        self.settings = own = settings or BrowserSettings()
        theirs = bool(own.cdp_url)  # a person's own browser
        self.capabilities = Capabilities(
            not theirs, own.seeded and not theirs, verifiable=False, side_effects=True, parallel=not theirs
        )
        metrics = None if theirs else (own.width, own.height, own.scale)
        self._options = Options(own.timeout, own.settle, own.caret, own.selects, own.downloads, metrics)
        self._size = image_size(own.frame)
        self.session: BrowserSession | None = None
        self._hands: PageHands | None = None
        self._eyes: Eyes | None = None
        self.view: View | None = None
        self.look: Look | None = None
        self._before: TabsBefore | None = None  # tabs and downloads when the last action began
        self._broken = ""
        self._broken_before = False
        self._closed = False
        self._with_text = own.text
        self._crop: Box | None = None  # the part of the page that is shown, in CSS pixels

    # ------------------------------------------------------------------------------------------------ the environment

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        """Begin a task at its start, in a fresh context: no cookies, no history, no other tabs.

        With ``reset: none`` the page stays as it is. In a person's own browser a task with a start gets a new tab;
        without one it begins in the tab in front.

        Raises:
            Unavailable: there is no browser. TaskError, BadInput: the start cannot be opened.
            EnvironmentBroken: the page did not load, or the environment was closed.
        """
        if self._closed:
            raise EnvironmentBroken(f"the {self.name} environment was closed; make a new one.")
        self._with_text = self.settings.text or task.success.kind == "text"
        self._broken_before = bool(self._broken)
        goes_on = task.reset == "none" and self.session is not None and not self._broken
        if not goes_on:
            self._broken = "its reset failed; call reset again."
            self.on_owner(
                lambda: self._begin(task, seed),
                2 * CONTEXT_SECONDS + self.settings.load + self.settings.timeout,
                "the reset",
            )
            self._broken = ""
        if self.session is not None:
            self.session.sent = 0
        return self.observe()

    def observe(self) -> Observation:
        """Wait until the page is at rest and return the frame."""
        self._ready()
        look = self.on_owner(self._seen, self.settings.settle + 4 * self.settings.timeout, "the screenshot")
        frame, scale, view = self.frame_of(look.png, look.window[0])
        modal = self.session.modal if self.session is not None else None
        text = look.text
        if modal is not None:
            frame = modal.draw(frame)
            text = None if text is None else f"{modal.words}\n{text}"
        self.view, self.look = view, look
        return Observation(frame, scale=scale, text=text)

    def frame_of(self, png: bytes, width: float) -> tuple[Pixels, float, View]:
        """Turn a screenshot into (frame for the policy, device pixels per CSS pixel, map between frame and page).

        width: of the page in CSS pixels.
        """
        image = decoded(png)
        scale = image.shape[1] / width
        view = view_of((image.shape[1], image.shape[0]), scale, self._crop, self._size)
        frame = self._finish(shown(image, view), view)
        return frame, view.width / (view.crop[2] - view.crop[0]) * scale, view

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        """Do one action; returns it with the pixels of the frame that it hit and a sentence about the outcome.

        Raises:
            BadInput: an address that cannot be opened, a file that is not there, or a window whose size has changed.
        """
        self._ready()
        interrupt.check()
        view = self.view
        if view is None:
            raise EnvironmentBroken("nothing was seen yet; call observe first.")
        try:
            made = partial(self._done, action, view, interrupt)
            detail, hit = self.on_owner(made, EXECUTE_SECONDS, "it", interrupt)
        except BaseException:
            hands = self._hands
            if hands is not None:
                with contextlib.suppress(ShowonceError):
                    self._owner().call(hands.release, 2 * RELEASE_SECONDS, "letting go")
            raise
        return Executed(action, detail, tuple(view.to_frame_pixel(x, y) for x, y in points(action)), targets=hit)

    def verify(self) -> Outcome:
        """Return an open outcome: a page cannot verify a task."""
        self._ready()
        return Outcome(None, self.name, "a page does not verify; use success.kind url, text, selector or file")

    def close(self) -> None:
        """Close its tabs; twice is fine. The browser process stays for the others and ends with this process."""
        self._closed = True
        session, self.session = self.session, None
        if session is not None:
            with contextlib.suppress(ShowonceError):
                self._owner().call(lambda: self._end(session), 10.0, "closing")

    def undo(self, interrupt: Interrupt) -> str:
        """Dismiss an open dialog; else take back what came of the last action: close the tabs that it opened, delete
        what it downloaded, go back from another site. Returns what it was, "" for nothing.

        Raises:
            Stopped: by the interrupt; nothing was done. EnvironmentBroken: the page hangs or is gone.
        """
        self._ready()
        interrupt.check()
        return self.on_owner(lambda: self._undo(interrupt), 4 * self.settings.timeout, "taking it back", interrupt)

    # ------------------------------------------------------------------------------------------------ for checkers

    @property
    def url(self) -> str:
        """The address of the tab in front when it was last observed."""
        self._ready()
        return self.look.url if self.look is not None else ""

    def elements(self) -> list[Element]:
        """Return the visible named elements of the page and its iframes. Raises as `observe` does."""
        session, view = self._seen_page()
        return self.on_owner(lambda: elements_of(session, view), ELEMENTS_SECONDS, "the search for elements")

    def targets(self) -> list[Element]:
        """Return all that can be used on the page and in its iframes. See `protocols.Targets`. Raises as `observe`."""
        session, view = self._seen_page()
        return self.on_owner(lambda: targets_of(session, view), ELEMENTS_SECONDS, "the search for targets")

    def target_at(self, at: tuple[float, float]) -> Element | None:
        """Return what a click at `at` would hit now, by a hit test; what is covered is not hit. Raises as `observe`."""
        session, view = self._seen_page()
        return self.on_owner(lambda: target_at(session, view, at), ELEMENTS_SECONDS, "what lies at a place")

    def focused(self) -> Element | None:
        """Return what keys and typed text go to now. Raises as `observe` does."""
        session, view = self._seen_page()
        return self.on_owner(lambda: focused_element(session, view), ELEMENTS_SECONDS, "what has the focus")

    def reveal(self, target: Element) -> bool:
        """Scroll until a target lies in view; say whether it does. Raises as `observe` does."""
        session, view = self._seen_page()
        return self.on_owner(lambda: reveal(session, view, target), ELEMENTS_SECONDS, "scrolling to a target")

    @property
    def sent(self) -> int:
        """How many requests the pages sent data with since the reset. See `session.sends`."""
        return self.session.sent if self.session is not None else 0

    def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
        """Return address, title and words of the page, for the safety rules. Raises as `observe` does."""
        session, view = self._seen_page()
        return self.on_owner(lambda: facts_of(session, view, at), FACTS_SECONDS, "what the page tells of itself")

    def focused_field(self, secrets: Places = NOWHERE) -> Field:
        """Return what typed text goes to. See `protocols.SecretFields`."""
        session, view = self._seen_page()
        return self.on_owner(
            lambda: focused_field(session, view, secrets), 2 * SECRETS_SECONDS, "which field has the focus"
        )

    def secret_regions(self, secrets: Places = NOWHERE) -> list[Region]:
        """Return where fields that may hold a secret lie in the last frame. See `protocols.SecretFields`."""
        session, view = self._seen_page()
        return self.on_owner(
            lambda: secret_boxes(session, view, secrets), 4 * SECRETS_SECONDS, "the search for secret fields"
        )

    def watch(self, own: Sequence[str] = (), secrets: Places = NOWHERE) -> BrowserSource:
        """Watch a person who acts in its tabs. own: chords of the recorder, hidden from the page. secrets: see
        `protocols.Recordable`.
        """
        self._ready()
        assert self.session is not None
        page = self.session.tab.page
        for selector in secrets.selectors:
            if not self.on_owner(partial(page.evaluate, IS_SELECTOR, selector), SECRETS_SECONDS, "a selector"):
                raise ConfigError(f"record.secrets: css:{selector} is not a CSS selector.")
        return BrowserSource(self, own, secrets=secrets)

    @property
    def settled(self) -> bool:
        """Whether the page was at rest when it was last observed."""
        return self.look is not None and self.look.settled

    @property
    def folder(self) -> Path:
        """Where downloads are."""
        self._ready()
        assert self.session is not None
        return self.session.folder

    def shows(self, selector: str) -> bool:
        """Say whether an element is visible in the page or one of its iframes: CSS, or ``text=...``, ``xpath=...``.

        Raises:
            BadInput: not a selector.
        """
        self._ready()
        return self.on_owner(lambda: self._shows(selector), 2 * self.settings.timeout, "the search for an element")

    # ------------------------------------------------------------------------------------------------ between threads

    def _owner(self) -> BrowserOwner:
        return owner()

    @property
    def _launch(self) -> Launch:
        return launch_for(self.settings.browser, self.settings.headless, self.settings.cdp_url)

    def on_owner(
        self, make: Callable[[], Coroutine[Any, Any, T]], seconds: float, what: str, interrupt: Interrupt | None = None
    ) -> T:
        """Run a coroutine on the browser's thread and wait. Raises EnvironmentBroken: it failed or took too long."""
        found = self._owner()
        from playwright.async_api import Error

        try:
            return found.call(make, seconds, what, interrupt)
        except Error as error:
            self._broken = _first_line(error)
            raise EnvironmentBroken(f"the browser failed: {self._broken}") from error
        except EnvironmentBroken as error:
            self._broken = str(error)
            raise

    def _seen_page(self) -> tuple[BrowserSession, View]:
        self._ready()
        if self.session is None or self.view is None:
            raise EnvironmentBroken("nothing was seen yet; call observe first.")
        return self.session, self.view

    def _ready(self) -> None:
        if self._closed:
            raise EnvironmentBroken(f"the {self.name} environment was closed; make a new one.")
        if self._broken:
            raise EnvironmentBroken(f"the {self.name} environment is broken until its next reset: {self._broken}")
        if self.session is None:
            raise EnvironmentBroken(f"the {self.name} environment has no page yet; call reset(task, seed) first.")

    # ------------------------------------------------------------------------------------------------ on its thread

    async def _begin(self, task: Task, seed: int | None) -> None:
        address = address_of(task.start or self.settings.start, seed) if task.start or not self.settings.cdp_url else ""
        await self._fresh(take_over=not address)
        if address:
            await self._go(address)

    async def _fresh(self, take_over: bool = False) -> BrowserSession:
        """Close the context of the last episode and open another."""
        if self.session is not None:
            session, self.session = self.session, None
            await self._end(session)
        from playwright.async_api import Error

        launch = self._launch
        try:
            session = await asyncio.wait_for(self._opened(launch, take_over), CONTEXT_SECONDS)
        except (Error, TimeoutError):  # the browser has died unnoticed, or it hangs
            self._owner().kill(launch)
            session = await self._opened(launch, take_over)
        self.session, self.look, self.view, self._before = session, None, None, None
        self._hands, self._eyes = (
            PageHands(session),
            Eyes(session, self.settings.quiet, (self.settings.width, self.settings.height)),
        )
        return session

    async def _opened(self, launch: Launch, take_over: bool) -> BrowserSession:
        found = await self._owner().browser(launch)
        # An emulated size breaks the system's drag and drop in a window, so the window itself gets the size.
        windowed = not (self.settings.headless or self.settings.cdp_url) and self.settings.scale == 1
        size: ViewportSize = {"width": self.settings.width, "height": self.settings.height}
        if self.settings.cdp_url:
            context: BrowserContext = found.contexts[0] if found.contexts else await found.new_context()
        else:
            context = await found.new_context(
                no_viewport=windowed,
                viewport=None if windowed else size,
                device_scale_factor=None if windowed else self.settings.scale,
                locale="en-US",
                timezone_id="UTC" if self.capabilities.seeded else None,
                accept_downloads=True,
            )
        context.set_default_timeout(self.settings.timeout * 1e3)
        session = BrowserSession(context, self._options, bool(self.settings.cdp_url), emulating=not windowed)
        await self._prepared(session)
        await (session.take_over() if take_over else session.open())
        if windowed:
            session.emulating = True  # of further windows
            context.on("page", lambda page: page.set_viewport_size(size))
            if not await self._fitted(session):
                await session.tab.page.set_viewport_size(size)
                await session.emulate(session.tab.cdp)
        return session

    async def _fitted(self, session: BrowserSession) -> bool:
        """Give the first window the size at which its page has the set one; False where the screen is too small."""
        wanted, cdp = [self.settings.width, self.settings.height], session.tab.cdp
        inner = "[innerWidth, innerHeight, outerWidth, outerHeight]"
        window = (await cdp.send("Browser.getWindowForTarget"))["windowId"]
        for _ in range(FIT_TRIES):
            width, height, outer_width, outer_height = await session.tab.page.evaluate(inner)
            if [width, height] == wanted:
                return True
            bounds = {"width": outer_width + wanted[0] - width, "height": outer_height + wanted[1] - height}
            await cdp.send("Browser.setWindowBounds", {"windowId": window, "bounds": bounds})
            await asyncio.sleep(FIT_SECONDS)
        return False

    async def _prepared(self, session: BrowserSession) -> None:
        """Prepare a new context before its first page; a hook for subclasses."""

    async def _end(self, session: BrowserSession) -> None:
        if not await session.close() and not session.attached:
            self._owner().kill(self._launch)

    async def _go(self, address: str) -> None:
        """Load an address; returns early when a dialog opens, which the policy then answers."""
        from playwright.async_api import Error

        assert self.session is not None
        tab = self.session.tab
        try:
            await self.session.ask(
                tab,
                tab.page.goto(address, timeout=self.settings.load * 1e3),
                self.settings.load + self.settings.timeout,
            )
        except ModalOpened:
            return
        except Error as error:
            if tab.gone or not tab.page.context.browser or not tab.page.context.browser.is_connected():
                raise
            if "Download is starting" in str(error):
                return
            slow = "Timeout" in type(error).__name__
            why = f"it did not load within {self.settings.load:g} s" if slow else _first_line(error)
            raise EnvironmentBroken(f"{address} cannot be opened: {why}") from error

    async def _undo(self, interrupt: Interrupt) -> str:
        assert self.session is not None
        return await take_back(self.session, self._before, interrupt)

    async def _done(self, action: Action, view: View, interrupt: Interrupt) -> tuple[str, tuple[Element, ...]]:
        """Do an action; return a sentence about it, and what it hit.

        Tabs and downloads are noted before it unless it sends no input or is refused.
        """
        assert self.session is not None
        before = self._before
        if action.verb not in IDLE:
            self._before = TabsBefore.of(self.session)
        try:
            hit = await hit_by(self.session, view, action)
            return await self._do(action, view, interrupt), hit
        except BadInput:
            self._before = before
            raise

    async def _do(self, action: Action, view: View, interrupt: Interrupt) -> str:
        session, hands = self.session, self._hands
        assert session is not None and hands is not None
        modal = session.modal
        if modal is not None:
            how, detail = modal.answer(action, view.width, view.height)
            if action.verb in IDLE:
                return await hands.do(action, view, interrupt)
            if how is not None:
                interrupt.check()
                await session.answer(how)
            return detail
        if self.settings.cdp_url and points(action):
            await self._check_size(view)
        if isinstance(action, Open):
            return await self._open(action.target, interrupt)
        if isinstance(action, Key):
            own = await self._own_key(action.keys, interrupt)
            if own is not None:
                return own
        return await hands.do(action, view, interrupt)

    async def _open(self, target: str, interrupt: Interrupt) -> str:
        address = address_of(target)
        interrupt.check()
        try:
            await self._go(address)
        except EnvironmentBroken as error:
            if self.session is None or not self.session.tabs or self.session.tab.gone:
                raise
            return str(error)  # a bad address is the policy's mistake, not a broken environment
        return f"opened {address}"

    async def _own_key(self, keys: str, interrupt: Interrupt) -> str | None:
        """Carry out a key of the browser's window; None for a key that belongs to the page."""
        assert self.session is not None
        session, page = self.session, self.session.tab.page
        moves: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "alt+left": page.go_back, "alt+right": page.go_forward, "f5": page.reload, "ctrl+r": page.reload,
            "ctrl+w": page.close, "ctrl+t": session.context.new_page, "ctrl+tab": session.next_tab,
        }  # fmt: skip
        if keys not in moves or (keys == "ctrl+w" and len(session.tabs) == 1):
            return None
        interrupt.check()
        tab = session.tab
        try:
            await session.ask(tab, moves[keys](), self.settings.load)
        except ModalOpened:
            pass
        except EnvironmentBroken:
            if keys != "ctrl+w" or tab in session.tabs:
                raise
        return f"{keys} of the browser"

    async def _check_size(self, view: View) -> None:
        """Raise BadInput if a person resized the window since the frame was taken: its coordinates are wrong now."""
        assert self.session is not None and self._eyes is not None
        tab = self.session.tab
        seen, now = (self.look.window if self.look is not None else (0.0, 0.0)), await self._eyes.window(tab)
        if abs(seen[0] - now[0]) > 1 or abs(seen[1] - now[1]) > 1:
            raise BadInput("the window changed its size since the frame was taken; look at it again.")

    # ------------------------------------------------------------------------------------------------ looking

    async def _seen(self) -> Look:
        assert self._eyes is not None
        return await self._eyes.look(self._with_text)

    async def _shows(self, selector: str) -> bool:
        from playwright.async_api import Error

        assert self.session is not None
        if self.session.modal is not None:
            return False
        for frame in self.session.tab.page.frames:
            try:
                if await frame.locator(selector).filter(visible=True).count():
                    return True
            except Error as error:
                if "selector" in str(error).lower() or "Unexpected token" in str(error):
                    raise BadInput(f"{selector!r} is not a selector: {_first_line(error)}") from None
        return False

    def _finish(self, frame: Pixels, view: View) -> Pixels:
        """Change the frame before it is returned; a hook for subclasses."""
        return frame


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
