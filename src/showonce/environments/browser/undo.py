"""Takes back an effect of the last action: a dialog, new tabs, downloads, a page of another site; one kind per call."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from showonce.environments.browser.session import BrowserSession, ModalOpened, Tab
from showonce.protocols import Interrupt

if TYPE_CHECKING:
    from playwright.async_api import Download


@dataclass(frozen=True, eq=False)
class TabsBefore:
    """Tabs, site and downloads when an action began; all others came of that action."""

    tabs: tuple[Tab, ...]
    site: str  # of the tab in front
    downloads: tuple[Download, ...]

    @classmethod
    def of(cls, session: BrowserSession) -> TabsBefore:
        """Note the present state."""
        site = _site(session.tabs[-1].page.url) if session.tabs else ""
        return cls(tuple(session.tabs), site, tuple(session.downloads))


async def take_back(session: BrowserSession, before: TabsBefore | None, interrupt: Interrupt) -> str:
    """Take one kind of effect back and return what it was, "" for nothing. before: None = nothing was done yet.

    Raises:
        Stopped: by the interrupt; nothing was taken back. EnvironmentBroken: the page hangs.
    """
    interrupt.check()
    modal = session.modal
    if modal is not None:
        await session.answer("dismiss")
        return f"dismissed the dialog {modal.message!r}"
    steps: tuple[Callable[[BrowserSession, TabsBefore], Awaitable[str]], ...] = (_close_tabs, _drop_downloads, _go_back)
    for step in steps if before is not None else ():
        assert before is not None
        if told := await step(session, before):
            return told
    return ""


async def _close_tabs(session: BrowserSession, before: TabsBefore) -> str:
    """Close the tabs that are new; in a person's own browser only those that a page of ours has opened."""
    new = [tab for tab in session.tabs if tab not in before.tabs]
    if session.attached:
        new = [tab for tab in new if await tab.page.opener() is not None]
    if not new or len(new) == len(session.tabs):
        return ""
    closed = [tab.page.url for tab in new]
    for tab in reversed(new):
        await session.close_tab(tab)
    return f"closed {_several('the tab', closed)}"


async def _drop_downloads(session: BrowserSession, before: TabsBefore) -> str:
    """Cancel the new downloads and delete their files."""
    new = [download for download in session.downloads if download not in before.downloads]
    names = [(await session.drop(download)).name for download in new]
    return f"deleted {_several('the download', names)}" if names else ""


async def _go_back(session: BrowserSession, before: TabsBefore) -> str:
    """Leave a page of another site than the one that the action began on."""
    tab = session.tab
    there = _site(tab.page.url)
    if before.tabs[-1:] != (tab,) or there == before.site or not before.site:
        return ""
    from playwright.async_api import Error

    with contextlib.suppress(ModalOpened, Error):
        await session.ask(tab, tab.page.go_back(wait_until="commit"))
    return f"went back from {there}" if _site(tab.page.url) == before.site else ""


def _site(url: str) -> str:
    """Return scheme, host and port; "" for what belongs to no site (about:blank, data:)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc or parts.scheme == "file" else ""


def _several(what: str, names: list[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
