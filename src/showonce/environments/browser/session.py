"""One environment's context in a browser: its tabs, open dialogs, requests under way, downloads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import mimetypes
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from showonce.environments.browser.addresses import FOLDER, SITE
from showonce.environments.browser.modal import CHOOSE, LEAVE, Answer, Modal
from showonce.environments.browser.settle import STYLE, WATCH, style
from showonce.errors import EnvironmentBroken

if TYPE_CHECKING:
    from playwright.async_api import (
        BrowserContext,
        CDPSession,
        Dialog,
        Download,
        FileChooser,
        Page,
        Request,
        Route,
    )  # fmt: skip

T = TypeVar("T")
SENDS: Final = ("POST", "PUT", "PATCH", "DELETE")
# Requests that are not waited for: they stay open for long, or change nothing on the screen.
ENDLESS: Final = frozenset({"websocket", "eventsource", "ping", "media"})
CLOSE_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 0.7  # without an answer, after which a repeatable question is asked again; doubled each time
NAVIGATION: Final = ("navigation", "window")  # keys of `Tab.pending` that are waited for up to `Options.timeout`


class ModalOpened(EnvironmentBroken):
    """Raised while waiting for a page when a dialog opens; callers that can go on catch it."""

    def __init__(self) -> None:
        super().__init__("a dialog of the page stands in the way.")


class TabClosed(EnvironmentBroken):
    """Raised while waiting for a tab that was closed when others are still open; callers that can go on catch it."""


@dataclass(eq=False)
class Tab:
    """One page and its DevTools session.

    pending: what is under way -> the loop time at which it began. documents: documents of its main frame so far.
    """

    page: Page
    cdp: CDPSession
    frame: str  # DevTools' name of its main frame
    pending: dict[Any, float] = field(default_factory=dict)
    documents: int = 0
    gone: str = ""
    shot: bytes = b""  # the last screenshot, PNG


@dataclass(frozen=True, eq=False)
class Saving:
    """A download: the path of its file, and the task that saves it."""

    path: Path
    task: asyncio.Future[None]


@dataclass(frozen=True)
class Options:
    """The environment's settings that a session needs; times in seconds."""

    timeout: float  # a page that does not answer within it hangs
    patience: float  # what has been under way for longer is not waited for
    caret: bool
    selects: bool
    downloads: str
    metrics: tuple[int, int, float] | None  # width, height, device pixels of one CSS pixel; None in a person's browser


class BrowserSession:
    """Follows the pages of one context. All of it runs on the owner's thread.

    attached: the context is a person's own browser; `close` closes only the tabs that were opened here.
    """

    def __init__(self, context: BrowserContext, options: Options, attached: bool, emulating: bool = True) -> None:
        self.context, self.options, self.attached = context, options, attached
        self.emulating = emulating  # tabs get the size of `options.metrics`, whatever their windows have
        self.tabs: list[Tab] = []
        self._modals: list[tuple[Modal, Dialog | FileChooser]] = []
        self._signal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._folder: Path | None = None
        self._temporary = False
        self._theirs: set[Page] = set()
        self._known: dict[Page, asyncio.Future[None]] = {}
        self.downloads: dict[Download, Saving] = {}
        self.closed = False
        self.sent = 0  # requests that sent data, see `sends`
        self.told_sent: Callable[[], None] | None = None  # is called at each of them
        self._native = False  # file dialogs are the browser's own: see `leave_files`
        self._tasks: set[asyncio.Future[Any]] = set()

    # -------------------------------------------------------------------------------------------- opening and closing

    async def open(self) -> None:
        """Prepare the context and open the first tab."""
        await self._prepare()
        await self._adopt(await self.context.new_page())

    async def take_over(self) -> None:
        """Adopt the tab that a person has in front, and follow the tabs that it opens."""
        script = await self._prepare()
        visible = [p for p in self.context.pages if await p.evaluate("document.visibilityState") == "visible"]
        page = [*self.context.pages, *visible][-1] if self.context.pages else await self.context.new_page()
        await self._adopt(page)
        await page.evaluate(script)

    async def _prepare(self) -> str:
        css = style(self.options.caret, self.options.selects)
        script = WATCH + (f";{STYLE}({json.dumps(css)})" if css else "")
        await self.context.add_init_script(script)
        await self.context.route(f"{SITE}/**", _serve)
        self._theirs = set(self.context.pages)
        self.context.on("page", self._came)
        self.context.on("request", self._requested)
        return script

    async def close(self) -> bool:
        """Close the tabs that were opened here; False when the browser did not answer."""
        self.closed = True
        with contextlib.suppress(Exception):
            self.context.remove_listener("page", self._came)
            self.context.remove_listener("request", self._requested)
        if self.attached:
            mine = [tab.page.close() for tab in self.tabs if tab.page not in self._theirs]
            task: asyncio.Future[Any] = self.watched(asyncio.gather(*mine, return_exceptions=True))
        else:
            task = self.watched(self.context.close())
        await asyncio.wait({task}, timeout=CLOSE_SECONDS)
        if self._temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        return task.done()

    @property
    def tab(self) -> Tab:
        """The tab in front: the newest that is still open.

        Raises:
            EnvironmentBroken: there is none any more.
        """
        if not self.tabs:
            raise EnvironmentBroken("the browser window was closed; reset opens a new one.")
        return self.tabs[-1]

    @property
    def modal(self) -> Modal | None:
        """The dialog that is open."""
        return self._modals[0][0] if self._modals else None

    def _came(self, page: Page) -> None:
        if not self.closed:
            for tab in self.tabs:
                tab.pending.pop("window", None)
            self._adopt(page)

    def _adopt(self, page: Page) -> asyncio.Future[None]:
        """Follow a page from now on; a second call for it returns the same future."""
        if page not in self._known:
            self._known[page] = self.watched(self._take_in(page))
        return self._known[page]

    async def _take_in(self, page: Page) -> None:
        begun = asyncio.get_running_loop().time()
        for other in self.tabs:
            other.pending["tab"] = begun
        try:
            cdp = await self.context.new_cdp_session(page)
            await cdp.send("Page.enable")
            frame = str((await cdp.send("Page.getFrameTree"))["frameTree"]["frame"]["id"])
            if self.options.metrics is not None and self.emulating:
                await self.emulate(cdp)
        finally:
            for other in self.tabs:
                other.pending.pop("tab", None)
        tab = Tab(page, cdp, frame)
        self._listen(tab)
        self.tabs.append(tab)
        if len(self.tabs) > 1 or self.attached:
            await page.bring_to_front()
        self._wake()

    async def emulate(self, cdp: CDPSession) -> None:
        """Give a tab its size. Playwright does so in a session of its own, and screenshots ask ours."""
        if self.options.metrics is not None:
            width, height, scale = self.options.metrics
            emulated = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
            await cdp.send("Emulation.setDeviceMetricsOverride", emulated)

    def _listen(self, tab: Tab) -> None:
        loop = asyncio.get_running_loop()

        def begin(key: Any) -> None:
            tab.pending[key] = loop.time()

        def end(key: Any) -> None:
            tab.pending.pop(key, None)

        def request(sent: Request) -> None:
            if sent.resource_type not in ENDLESS:
                begin(sent)

        def leaves(told: dict[str, Any]) -> None:
            if told["frameId"] == tab.frame:
                begin("navigation")

        def stays(told: dict[str, Any]) -> None:
            if told["frameId"] == tab.frame:
                end("navigation")

        def changed(told: dict[str, Any]) -> None:
            if "parentId" not in told["frame"]:
                tab.frame, tab.documents = told["frame"]["id"], tab.documents + 1
                end("navigation")
                self._wake()

        def stopped(told: dict[str, Any]) -> None:
            end(told["frameId"])
            end(("scheduled", told["frameId"]))
            stays(told)

        page, cdp = tab.page, tab.cdp
        page.on("dialog", self._dialog)
        cdp.on("Page.javascriptDialogClosed", lambda _: self._answered(tab))
        if not self._native:
            page.on("filechooser", self._chooser)
        page.on("crash", lambda _: self._lost(tab, "the tab crashed"))
        page.on("close", lambda _: self._shut(tab))
        page.on("download", lambda download: self._download(tab, download))
        page.on("request", request)
        page.on("requestfinished", end)
        page.on("requestfailed", end)
        # A frame's navigation is scheduled, then loads; "cleared" comes after the loading began and must not end it.
        for event in ("frameRequestedNavigation", "frameScheduledNavigation"):
            cdp.on(f"Page.{event}", lambda told: begin(("scheduled", told["frameId"])))
        cdp.on("Page.frameClearedScheduledNavigation", lambda told: end(("scheduled", told["frameId"])))
        cdp.on("Page.frameStartedLoading", lambda told: begin(told["frameId"]))
        cdp.on("Page.frameStartedNavigating", leaves)
        cdp.on("Page.navigatedWithinDocument", stays)
        cdp.on("Page.frameNavigated", changed)
        for event in ("frameStoppedLoading", "frameDetached"):
            cdp.on(f"Page.{event}", stopped)
        cdp.on("Page.windowOpen", lambda _: begin("window"))

    async def close_tab(self, tab: Tab) -> None:
        """Close a tab without its beforeunload question; the one before it comes to the front."""
        await asyncio.wait({self.watched(tab.page.close())}, timeout=CLOSE_SECONDS)
        self._shut(tab)

    async def next_tab(self) -> None:
        """Bring the tab to the front that was in front longest ago."""
        self.tabs.append(self.tabs.pop(0))
        await self.tab.page.bring_to_front()

    # ------------------------------------------------------------------------------------------- what happens meanwhile

    def _lost(self, tab: Tab, why: str) -> None:
        tab.gone = why
        self._wake()

    def _shut(self, tab: Tab) -> None:
        tab.gone = tab.gone or "the tab was closed"
        with contextlib.suppress(ValueError):
            self.tabs.remove(tab)
        if self.tabs and not self.closed:
            self.watched(self.tabs[-1].page.bring_to_front())
        self._wake()

    def _dialog(self, dialog: Dialog) -> None:
        kind: Any = dialog.type
        message = dialog.message or (LEAVE if kind == "beforeunload" else "")
        self._modals.append((Modal(kind, message, dialog.default_value), dialog))
        self._wake()

    def _chooser(self, chooser: FileChooser) -> None:
        several = chooser.is_multiple()
        self._modals.append((Modal("file", CHOOSE[several], multiple=several), chooser))
        self._wake()

    def _requested(self, request: Request) -> None:
        if self.closed or not sends(request):
            return
        with contextlib.suppress(Exception):  # it has no frame: it begins a tab that the page opens
            page = request.frame.page
            if page in self._theirs and all(tab.page is not page for tab in self.tabs):
                return  # a person's tab that is not followed
        self.sent += 1
        if self.told_sent is not None:
            self.told_sent()

    def _answered(self, tab: Tab) -> None:
        """Forget a dialog that somebody else has answered: a person, in the browser's own one."""
        for one in self._modals:
            if one[0].kind != "file" and one[1].page is tab.page:
                self._modals.remove(one)
                break
        self._wake()

    def leave_files(self, native: bool) -> None:
        """Let the browser show its own file dialogs, for a person, or answer them here again."""
        if native == self._native:
            return
        self._native = native
        for tab in self.tabs:
            (tab.page.remove_listener if native else tab.page.on)("filechooser", self._chooser)

    async def answer(self, how: Answer) -> None:
        """Answer the open dialog; the next one, if any, takes its place."""
        modal, source = self._modals.pop(0)
        if modal.kind == "file":
            if how == "accept":
                await source.set_files([*modal.paths])  # type: ignore[union-attr]
        elif how == "accept":
            await source.accept(modal.text)  # type: ignore[union-attr]
        else:
            await source.dismiss()  # type: ignore[union-attr]

    def _download(self, tab: Tab, download: Download) -> None:
        taken = {saving.path for saving in self.downloads.values()}
        path = _unused(self.folder / Path(download.suggested_filename).name, taken)
        self.downloads[download] = Saving(path, self.watched(self._save(tab, download, path)))

    async def _save(self, tab: Tab, download: Download, path: Path) -> None:
        tab.pending[download] = asyncio.get_running_loop().time()
        try:
            await download.save_as(path)
        finally:
            tab.pending.pop(download, None)

    async def drop(self, download: Download) -> Path:
        """Cancel a download and delete its file; return its path."""
        saving = self.downloads.pop(download)
        with contextlib.suppress(Exception):  # fails when its tab has gone
            await download.cancel()
        await asyncio.wait({saving.task}, timeout=CLOSE_SECONDS)
        saving.path.unlink(missing_ok=True)
        return saving.path

    @property
    def folder(self) -> Path:
        """Where downloads go."""
        if self._folder is None:
            self._temporary = not self.options.downloads
            given = self.options.downloads
            self._folder = Path(given).expanduser() if given else Path(tempfile.mkdtemp(prefix="showonce-"))
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def pending(self) -> bool:
        """Say whether something is under way that began less than `patience` seconds ago, or `leaving` is true."""
        late = asyncio.get_running_loop().time() - self.options.patience
        return self.leaving() or any(begun > late for begun in self.tab.pending.values())

    def leaving(self) -> bool:
        """Say whether another document or window was requested less than `timeout` seconds ago and is not there yet."""
        late = asyncio.get_running_loop().time() - self.options.timeout
        return any(self.tab.pending.get(key, late) > late for key in NAVIGATION)

    # ------------------------------------------------------------------------------------------------------- waiting

    def _wake(self) -> None:
        if not self._signal.done():
            self._signal.set_result(None)

    def watched(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Run something in the background; its exceptions are dropped, since the tab's state shows the failure."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_swallow)
        return task

    async def ask(self, tab: Tab, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Wait for a page to answer.

        Raises:
            ModalOpened: a dialog opened; `work` goes on behind it. TabClosed: the tab was closed, others are open.
            EnvironmentBroken: the tab is gone, or it did not answer within `seconds` (default: the time-out).
        """
        return await self._wait(tab, work, None, math.inf, self.options.timeout if seconds is None else seconds)

    async def ask_again(self, tab: Tab, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for the answer to a question without effect: what is read from the page, or a screenshot.

        The browser drops a screenshot that is in flight when the page changes to another document. So `make` is called
        again when the document changes, and when there was no answer for `AGAIN_SECONDS`; the first answer counts, and
        the time-out is for all attempts together. Raises as `ask` does.
        """
        return await self._wait(tab, make(), make, AGAIN_SECONDS, self.options.timeout)

    async def send(self, tab: Tab, work: Coroutine[Any, Any, Any]) -> None:
        """Wait until the page has handled an input, which is never sent twice. Raises as `ask` does.

        An input whose answer is lost because the page changed to another document meanwhile counts as handled.
        """
        from playwright.async_api import Error

        document = tab.documents
        try:
            await self._wait(tab, work, partial(asyncio.sleep, AGAIN_SECONDS), math.inf, self.options.timeout)
        except Error:
            if tab.documents == document:
                raise

    async def _wait(
        self,
        tab: Tab,
        work: Coroutine[Any, Any, T],
        make: Callable[[], Coroutine[Any, Any, T]] | None,
        pause: float,
        seconds: float,
    ) -> T:
        """Return the first result of `work` and of what `make` makes: at each new document, and after `pause` seconds.

        The pause is doubled each time. None: nothing is made.
        """
        loop, document, tasks = asyncio.get_running_loop(), tab.documents, [self.watched(work)]
        end, again = loop.time() + seconds, loop.time() + pause
        while not (done := [task for task in tasks if task.done()]):
            if self._modals:
                raise ModalOpened
            if tab.gone:
                raise self._gone(tab)
            now = loop.time()
            if now >= end:
                raise EnvironmentBroken(f"the page did not answer within {seconds:g} s: it hangs.")
            if make is not None and (now >= again or tab.documents != document):
                pause *= 2 if tab.documents == document else 1
                document, again = tab.documents, now + pause
                tasks.append(self.watched(make()))
            if self._signal.done():
                self._signal = loop.create_future()
            either: set[asyncio.Future[Any]] = {*tasks, self._signal}
            await asyncio.wait(either, timeout=min(end, again) - now, return_when=asyncio.FIRST_COMPLETED)
        error = done[0].exception()
        if error is not None and "closed" in str(error) and not tab.gone:  # the event of its end may come later
            if self._signal.done():
                self._signal = loop.create_future()
            await asyncio.wait({self._signal}, timeout=AGAIN_SECONDS)
        if error is not None and tab.gone:
            raise self._gone(tab) from error
        return done[0].result()

    def _gone(self, tab: Tab) -> EnvironmentBroken:
        return (TabClosed if self.tabs and tab not in self.tabs else EnvironmentBroken)(f"{tab.gone}.")


def sends(request: Request) -> bool:
    """Say whether a request sends data: a form, fetch or XMLHttpRequest by POST, PUT, PATCH or DELETE.

    A beacon or ping does not count: it reports, and its page never sees an answer. Nor does a fetch to another site
    than that of its page, as analytics make, unless it has a header with credentials (`authorization`, `x-csrf...`).
    Two hosts are one site if their last two labels are equal. What a server redirects counts once. Messages on an open
    WebSocket are not seen.
    """
    if request.method not in SENDS or request.redirected_from is not None:
        return False
    if request.resource_type == "document":
        return True
    if request.resource_type not in ("fetch", "xhr"):
        return False
    if any(name == "authorization" or name.startswith(("x-csrf", "x-xsrf")) for name in request.headers):
        return True
    try:
        page = request.frame.url
    except Exception:  # of a worker
        return True
    return _site(page) == _site(request.url)


def _site(address: str) -> tuple[str, ...]:
    host = urlsplit(address).hostname or ""
    return (host,) if host.replace(".", "").isdigit() else tuple(host.split(".")[-2:])


def _swallow(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _unused(path: Path, taken: Collection[Path]) -> Path:
    number, found = 1, path
    while found.exists() or found in taken:
        found = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return found


async def _serve(route: Route) -> None:
    """Answer a request to the demo site with a file of the package."""
    name = route.request.url.removeprefix(SITE).split("?")[0].split("#")[0].strip("/") or "index.html"
    path = (FOLDER / name).resolve()
    if not path.is_relative_to(FOLDER.resolve()) or not path.is_file():
        await route.fulfill(status=404, content_type="text/plain", body=f"no page {name}")
        return
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    await route.fulfill(status=200, content_type=kind, body=path.read_bytes())
