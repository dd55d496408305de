"""Forms and links that a real server answers: no episode is broken, and the page that follows is seen."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial

import pytest
from tests.browsers import BUTTON, GO, Seat, needs_browser
from tests.environments.test_site import place
from tests.fakes import ScriptedPolicy

from showonce.actions import Done, Type
from showonce.environments.browser.addresses import address_of
from showonce.environments.browser.owner import owner
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.registry import find_task
from showonce.errors import EnvironmentBroken
from showonce.runtime.loop import run_episode
from showonce.types import StopReason, Task

pytestmark = needs_browser
CLICKS = 8
# kind: (start, what is clicked, one after the other, a text of the page that is seen then, the end of its address)
KINDS = {
    "get": ("site:find", ["form >> text=Search"], "found", "/find?q="),
    "post": ("site:signin", ["button"], "Wrong name or pass", "/signin"),
    "redirect": ("site:find", ["text=Orders"], "signin", "/signin"),
    "slow": ("site:find", ["text=Slow"], "here at last", "/slow?"),
    "new tab": ("site:find", ["text=Window"], "popup", "/popup"),
    "self-closing": ("site:find", ["text=Window", "text=Close"], "find", "/find"),
    "same document": ("site:find", ["text=End"], "find", "/find#end"),
    "download": ("site:find", ["text=Receipt"], "find", "/find"),
}


@pytest.fixture(scope="module")
def environment() -> Iterator[BrowserEnvironment]:
    made = BrowserEnvironment(BrowserSettings(width=500, height=400, text=True))
    yield made
    made.close()


def clicked(environment: BrowserEnvironment, kind: str) -> float:
    """Click through one kind from its start; return the seconds from the last click to the frame after it."""
    start, clicks, text, end = KINDS[kind]
    environment.reset(Task("user/form", "go", "browser", start=start), 1)
    for selector in clicks:
        click, begun = place(environment, selector), time.monotonic()
        environment.execute(click, GO)
        seen = environment.observe()
    assert text in (seen.text or ""), f"the page after {kind} was not seen: {seen.text!r}"
    assert environment.url.endswith(end)
    return time.monotonic() - begun


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_that_a_server_answers_with_is_seen(environment: BrowserEnvironment, kind: str) -> None:
    for _ in range(2 if kind == "slow" else CLICKS):
        clicked(environment, kind)


def test_a_download_arrives(environment: BrowserEnvironment) -> None:
    clicked(environment, "download")
    assert (environment.folder / "receipt.txt").read_text() == "receipt"


def test_a_whole_flow_through_a_server(environment: BrowserEnvironment) -> None:
    hands = ["input[name=user]", Type("ada"), "input[name=pass]", Type("sun"), "button"]
    steps = iter([*hands, Done()])

    def step(*_: object) -> object:
        what = next(steps)
        return place(environment, what) if isinstance(what, str) else what

    episode = run_episode(environment, ScriptedPolicy([step] * 6), find_task("site/signin"), seed=1)  # type: ignore[list-item]
    assert episode.stop_reason == StopReason.COMPLETED
    for what in ("input[name=order]", Type("tea\n")):
        environment.execute(place(environment, what) if isinstance(what, str) else what, GO)
        seen = environment.observe()
    assert "ada: tea" in (seen.text or ""), "an order was sent twice or not at all"


def test_a_post_needs_the_token_of_its_session() -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address_of("site:signin"), b"user=ada&pass=sun", timeout=10)
    assert refused.value.code == 403
    refused.value.close()


def test_a_question_that_the_browser_dropped_is_asked_again(seat: Seat) -> None:
    seat.show("here", timeout=5.0)
    session = seat.environment.session
    assert session is not None
    send, dropped, end = session.tab.cdp.send, set[str](), asyncio.Event()

    async def lossy(method: str, params: dict[str, object] | None = None) -> object:
        if method not in dropped:
            dropped.add(method)
            await end.wait()
        return await send(method, params)

    session.tab.cdp.send = lossy  # type: ignore[method-assign, assignment]
    begun = time.monotonic()
    assert "here" in seat.text and dropped == {"Runtime.evaluate", "Page.captureScreenshot"}
    assert time.monotonic() - begun < 5.0
    owner().call(partial(_set, end), 5, "ending")


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_an_input_whose_answer_is_lost_is_not_sent_twice(seat: Seat) -> None:
    seat.show(BUTTON.format(f"location.href = '{address_of('site:find?q=x')}'"), timeout=5.0)
    session = seat.environment.session
    assert session is not None
    send, sent, end = session.tab.cdp.send, list[object](), asyncio.Event()

    async def lossy(method: str, params: dict[str, object] | None = None) -> object:
        told = await send(method, params)
        if method == "Input.dispatchMouseEvent":
            sent.append((params or {})["type"])
            if sent[-1] == "mouseReleased":
                await end.wait()
        return told

    session.tab.cdp.send = lossy  # type: ignore[method-assign, assignment]
    begun = time.monotonic()
    seat.click(30, 30)
    assert "found x" in seat.text and sent == ["mouseMoved", "mousePressed", "mouseReleased"]
    assert time.monotonic() - begun < 5.0
    owner().call(partial(_set, end), 5, "ending")


def test_a_page_that_hangs_is_still_given_up_in_time(seat: Seat) -> None:
    seat.show(BUTTON.format("setTimeout(() => { while (true); })"), timeout=1.5)
    begun = time.monotonic()
    with pytest.raises(EnvironmentBroken, match=r"within 1.5 s: it hangs"):
        for _ in range(3):
            seat.click(30, 30)
            seat.environment.observe()
    assert time.monotonic() - begun < 4 * 1.5


def test_a_page_that_navigates_without_end_is_seen(seat: Seat) -> None:
    address = address_of("site:find")
    seat.show(BUTTON.format(f"location.href = '{address}'"), timeout=2.0, settle=0.5)
    session = seat.environment.session
    assert session is not None
    page = session.tab.page
    owner().call(
        lambda: page.add_init_script("setTimeout(() => location.search = '?q=' + Math.random(), 200)"), 5, "it"
    )
    seat.click(30, 30)
    begun = time.monotonic()
    assert seat.environment.observe().image.size
    assert time.monotonic() - begun < 10


def test_a_server_that_does_not_answer_breaks_nothing(seat: Seat) -> None:
    seat.show(BUTTON.format(f"location.href = '{address_of('site:slow?seconds=6')}'"), timeout=2.5, settle=0.5)
    seat.click(30, 30)
    assert seat.environment.observe().image.size and not seat.environment.settled
    while "here at last" not in seat.text:
        assert not seat.environment.settled
