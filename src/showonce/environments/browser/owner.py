"""Runs Playwright's async API on one thread of the process, and owns the browsers that it started.

Playwright's sync API works in one thread only, and not inside a running event loop. With a thread and a loop of its own
here, environments can be used from any thread, inside and outside of an event loop. Environments that ask for the same
browser share its process; each has its own context. A browser stays until this process ends; a dead one is replaced
when the next environment asks for it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from showonce.environments.browser.executable import find_browser
from showonce.errors import EnvironmentBroken, Unavailable
from showonce.protocols import Interrupt

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

T = TypeVar("T")
SLICE: Final = 0.02  # seconds between two checks of the stop while waiting for the browser
START_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 3.0
# A wheel notch scrolls at once, so that no scroll animation has to be waited for.
ARGUMENTS: Final = ("--disable-smooth-scrolling",)


@dataclass(frozen=True)
class Launch:
    """Which browser: an executable to start, or the DevTools address of one that is running."""

    executable: str = ""
    headless: bool = True
    cdp_url: str = ""


@dataclass
class Running:
    """A browser and its process id (None when it was not started here)."""

    browser: Browser
    pid: int | None


class BrowserOwner:
    """Runs coroutines on its thread and hands out browsers. One a process; see `owner`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="showonce-browser", daemon=True)
        self._thread.start()
        self._playwright: Playwright | None = None
        self._running: dict[Launch, Running] = {}
        self._lock: asyncio.Lock | None = None

    def call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        seconds: float,
        what: str,
        interrupt: Interrupt | None = None,
    ) -> T:
        """Run a coroutine on the owner's thread and wait for it, checking the stop meanwhile.

        `interrupt.check` blocks while the run is paused; that time is not counted in `seconds`.

        Raises:
            EnvironmentBroken: it took longer than `seconds`. Stopped: by `interrupt`; the coroutine is cancelled.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the browser's own thread cannot wait for itself.")
        future = asyncio.run_coroutine_threadsafe(make(), self._loop)
        end = time.monotonic() + seconds
        try:
            while True:
                try:
                    return future.result(min(SLICE, max(end - time.monotonic(), 0.0)))
                except TimeoutError:
                    if future.done():
                        return future.result()
                if interrupt is not None:
                    looked = time.monotonic()
                    interrupt.check()
                    end += time.monotonic() - looked
                if time.monotonic() >= end:
                    raise EnvironmentBroken(f"{what} did not end within {seconds:g} s.")
        finally:
            future.cancel()

    async def browser(self, launch: Launch) -> Browser:
        """Return the running browser, or start it.

        Raises:
            Unavailable: Playwright or the browser is not installed, or the browser does not start or answer.
        """
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            found = self._running.get(launch)
            if found is not None and found.browser.is_connected():
                return found.browser
            self._running[launch] = made = await self._start(launch)
            return made.browser

    def pid(self, launch: Launch) -> int | None:
        """Return the process id of a running browser."""
        found = self._running.get(launch)
        return None if found is None else found.pid

    def kill(self, launch: Launch) -> None:
        """Kill a browser that no longer answers; one that was not started here is only forgotten."""
        found = self._running.pop(launch, None)
        if found is not None and found.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    async def _start(self, launch: Launch) -> Running:
        from playwright.async_api import Error

        for last in (False, True):
            try:
                playwright = await self._driver()
                return await _attach(playwright, launch) if launch.cdp_url else await _launch(playwright, launch)
            except Error as error:
                dead = "Connection closed" in str(error) or "driver" in str(error)
                if last or not dead:
                    raise Unavailable(_why(launch, error)) from error
                self._playwright = None  # Playwright's own process died: start another
        raise AssertionError("the second try returns or raises")

    async def _driver(self) -> Playwright:
        if self._playwright is None:
            from playwright.async_api import async_playwright

            self._playwright = await async_playwright().start()
        return self._playwright

    async def _end(self) -> None:
        for found in self._running.values():
            with contextlib.suppress(Exception):
                await asyncio.wait_for(found.browser.close(), CLOSE_SECONDS)
        self._running.clear()
        if self._playwright is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._playwright.stop(), CLOSE_SECONDS)
            self._playwright = None

    def close(self) -> None:
        """Close every browser and end the thread."""
        with contextlib.suppress(Exception):
            self.call(self._end, 3 * CLOSE_SECONDS, "closing the browser")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


async def _launch(playwright: Playwright, launch: Launch) -> Running:
    browser = await playwright.chromium.launch(
        executable_path=launch.executable,
        headless=launch.headless,
        args=list(ARGUMENTS),
        timeout=START_SECONDS * 1e3,
        handle_sigint=False,  # Ctrl-C presses the stop; the browser must live until everything is released
        handle_sigterm=False,
        handle_sighup=False,
    )
    session = await browser.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    return Running(browser, next((int(p["id"]) for p in processes if p["type"] == "browser"), None))


async def _attach(playwright: Playwright, launch: Launch) -> Running:
    return Running(await playwright.chromium.connect_over_cdp(launch.cdp_url, timeout=START_SECONDS * 1e3), None)


def _why(launch: Launch, error: Exception) -> str:
    text = str(error).strip().splitlines()
    first = next((line for line in text if line.strip()), type(error).__name__)
    if launch.cdp_url:
        return (
            f"no browser answers at cdp_url={launch.cdp_url!r} ({first}). Start yours with "
            "--remote-debugging-port=9222 --user-data-dir=FOLDER, and set cdp_url=http://127.0.0.1:9222."
        )
    if not launch.headless and not os.environ.get("DISPLAY") and os.name == "posix":
        return f"a window needs a display, and DISPLAY is not set ({first}). Set headless: true, or use xvfb-run."
    return f"{launch.executable} did not start: {first}"


_one: BrowserOwner | None = None
_making = threading.Lock()


def owner() -> BrowserOwner:
    """Return the owner of this process; made at the first call.

    Raises:
        Unavailable: Playwright is not installed.
    """
    global _one
    with _making:
        if _one is None:
            try:
                import playwright  # noqa: F401
            except ImportError:
                raise Unavailable(
                    "the browser environment needs Playwright: pip install 'showonce[browser]' (no browser download is "
                    "needed; any Chromium of this machine will do)."
                ) from None
            _one = BrowserOwner()
        return _one


@atexit.register
def _close() -> None:
    if _one is not None:
        _one.close()


def _forget() -> None:
    """Forget the owner in a forked child, which has no such thread."""
    global _one, _making
    _one, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def launch_for(executable: str, headless: bool, cdp_url: str) -> Launch:
    """Return the browser that the settings name. Raises Unavailable: there is none."""
    return Launch(cdp_url=cdp_url) if cdp_url else Launch(find_browser(executable, headless), headless)
