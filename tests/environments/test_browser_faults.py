"""The browser environment when something is stopped, hangs, dies, is closed, or belongs to somebody else."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.browsers import BUTTON, GO, HEIGHT, LOG, WIDTH, Seat, needs_browser
from tests.fakes import ScriptedPolicy
from tests.people import running_browser

from showonce.actions import Action, Click, Done, Drag, Key, Scroll, Type, Wait
from showonce.environments.browser.executable import find_browser
from showonce.environments.browser.owner import launch_for, owner
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.errors import BadInput, EnvironmentBroken, Stopped, Unavailable
from showonce.runtime.loop import run_episode
from showonce.types import StopReason, Success, Task

pytestmark = needs_browser


def test_ten_dialogs_at_once(seat: Seat) -> None:
    frames = "".join(f"<iframe srcdoc=\"<script>alert('of {i}')</script>\" width=10></iframe>" for i in range(10))
    seat.show(f"{frames}<p>all here")
    seen = set()
    for _ in range(10):
        seen.add(seat.text.split("\n")[0])
        seat.do(Key("enter"))
    assert seen == {f"of {i}" for i in range(10)}
    assert seat.environment.settled is False or "all here" in seat.text


def test_a_stop_in_a_drag_lets_go(seat: Seat) -> None:
    seat.show(LOG + "<script>for (const k of ['mousedown','mouseup']) addEventListener(k, () => say(k))</script>")
    stop = Presses(after=6)
    with pytest.raises(Stopped):
        seat.environment.execute(Drag(0.1, 0.1, 0.9, 0.9), stop)
    assert "mousedown\nmouseup" in seat.text


def test_a_stop_in_a_chord_and_in_a_text(seat: Seat) -> None:
    watch = "<script>for (const k of ['keydown','keyup']) addEventListener(k, e => say(k + e.key))</script>"
    seat.show(f"{LOG}<input>{watch}")
    seat.click(5, 5)
    with pytest.raises(Stopped):
        seat.environment.execute(Key("ctrl+shift+a"), Presses(after=4))
    said = seat.text
    assert said.count("keydown") == said.count("keyup") > 0
    with pytest.raises(Stopped):
        seat.environment.execute(Type("abcdefgh"), Presses(after=6))
    assert "keyuph" not in seat.text


def test_a_stop_ends_a_wait_and_a_hanging_page(seat: Seat) -> None:
    class Later:
        pressed = False

        def check(self) -> None:
            if self.pressed:
                raise Stopped("stopped.")

    seat.show(BUTTON.format("while (true);"))
    for action in (Wait(30), Click(30 / WIDTH, 30 / HEIGHT)):
        stop = Later()
        threading.Timer(0.2, lambda stop=stop: setattr(stop, "pressed", True)).start()  # type: ignore[misc]
        begun = time.monotonic()
        with pytest.raises(Stopped):
            seat.environment.execute(action, stop)
        assert time.monotonic() - begun < 15


def test_a_page_that_hangs_breaks_and_the_next_reset_works(seat: Seat) -> None:
    seat.show(BUTTON.format("while (true);"), timeout=0.5)
    with pytest.raises(EnvironmentBroken, match="hangs"):
        seat.click(30, 30)
    with pytest.raises(EnvironmentBroken, match="until its next reset"):
        seat.environment.observe()
    assert "fresh" in (seat.show("fresh").text or "")


def test_a_crashed_tab_breaks_and_the_next_reset_works(seat: Seat) -> None:
    seat.show("old")
    session = seat.environment.session
    assert session is not None

    async def crash() -> None:
        session.watched(session.tab.cdp.send("Page.crash"))

    owner().call(crash, 5, "the crash")
    with pytest.raises(EnvironmentBroken, match=r"crashed|closed"):
        for _ in range(100):
            seat.environment.observe()
    assert "fresh" in (seat.show("fresh").text or "")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_dead_browser_breaks_and_the_next_reset_starts_another(seat: Seat, how: signal.Signals) -> None:
    seat.show(BUTTON.format(""), timeout=0.5)
    launch = launch_for("", True, "")
    pid = owner().pid(launch)
    assert pid is not None
    threading.Timer(0.1, os.kill, (pid, how)).start()
    with pytest.raises(EnvironmentBroken):
        for _ in range(1000):
            seat.click(30, 30)
            seat.environment.observe()
    assert "fresh" in (seat.show("fresh").text or "")
    assert owner().pid(launch) != pid


def test_a_run_goes_on_after_a_browser_died_in_mid_step(seat: Seat) -> None:
    start = seat.folder / "page.html"
    start.write_text("<body style='height:2000px'>a page")
    task = Task("user/page", "look", "browser", start=str(start), success=Success("none"))
    seat.show("a browser that is there")
    environment, pid = seat.environment, owner().pid(launch_for("", True, ""))
    assert pid is not None

    def killing(*_: object) -> Action:
        threading.Timer(0.05, os.kill, (pid, signal.SIGKILL)).start()
        return Drag(0.1, 0.1, 0.9, 0.9)

    policy = ScriptedPolicy([killing, *[Scroll(0.5, 0.5, dy) for dy in (20, -20) * 4]])
    broken = run_episode(environment, policy, task)
    assert (broken.stop_reason, broken.outcome.success) == (StopReason.ENVIRONMENT_ERROR, None)
    whole = run_episode(environment, ScriptedPolicy([Click(0.5, 0.5), Done()]), task)
    assert (whole.stop_reason, len(whole.steps)) == (StopReason.CLAIMED, 2)


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[str]:
    """A browser that a person has started, with one tab; gives its debugging address."""
    page = tmp_path / "theirs.html"
    button = "<button style='position:absolute;left:0;top:60px' onclick='this.textContent=1'>b</button>"
    page.write_text(f"<title>t</title><p>their page</p>{button}")
    with running_browser(tmp_path / "profile", 500, 400, start=page.as_uri()) as address:
        yield address


def test_a_running_browser_is_attached_to_and_left_as_it_was(theirs: str, tmp_path: Path) -> None:
    environment = BrowserEnvironment(BrowserSettings(cdp_url=theirs, text=True))
    assert not environment.capabilities.resettable
    seen = environment.reset(Task("user/x", "x", "browser"))
    assert "their page" in (seen.text or "")
    width, height = seen.width, seen.height
    environment.execute(Click(10 / width, 70 / height), GO)
    assert "1" in (environment.observe().text or "")
    own = environment.reset(Task("user/x", "x", "browser", start="data:text/html,<p>a tab of ours"))
    assert "a tab of ours" in (own.text or "")
    session = environment.session
    assert session is not None

    async def resize() -> None:
        window = await session.tab.cdp.send("Browser.getWindowForTarget")
        bounds = {"windowId": window["windowId"], "bounds": {"width": 640, "height": 480}}
        await session.tab.cdp.send("Browser.setWindowBounds", bounds)

    owner().call(resize, 5, "resizing")
    with pytest.raises(BadInput, match="changed its size"):
        environment.execute(Click(0.5, 0.5), GO)
    assert environment.observe().width != width
    environment.execute(Click(0.5, 0.5), GO)
    environment.close()
    again = BrowserEnvironment(BrowserSettings(cdp_url=theirs, text=True))
    assert "their page" in (again.reset(Task("user/x", "x", "browser")).text or "")
    again.close()


def test_a_browser_that_is_not_running_says_how_to_start_it() -> None:
    with pytest.raises(Unavailable, match="remote-debugging-port"):
        BrowserEnvironment(BrowserSettings(cdp_url="http://127.0.0.1:9")).reset(Task("user/x", "x", "browser"))


def test_a_window_that_was_closed(seat: Seat) -> None:
    seat.show("old")
    session = seat.environment.session
    assert session is not None
    owner().call(session.tab.page.close, 5, "closing")
    with pytest.raises(EnvironmentBroken, match="closed"):
        seat.click(10, 10)
    assert "fresh" in (seat.show("fresh").text or "")


def test_a_huge_page(seat: Seat) -> None:
    seen = seat.show(
        "<div style='width:16384px;height:16384px;background:linear-gradient(90deg,red,blue)'></div><div id=d></div>"
        "<script>d.innerHTML = '<i>x</i>'.repeat(100000)</script>", settle=2.0, timeout=10.0,
    )  # fmt: skip
    assert (seen.width, seen.height) == (WIDTH, HEIGHT)
    seat.do(Scroll(0.5, 0.5, 50, 50))
    assert not np.array_equal(seat.environment.observe().image, seen.image)
    seat.environment.close()
    seat.environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, text=True, timeout=2.0))


def test_a_start_that_does_not_load(seat: Seat) -> None:
    environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, load=1.0))
    with pytest.raises(EnvironmentBroken, match=r"nowhere\.invalid.*cannot be opened"):
        environment.reset(Task("user/x", "x", "browser", start="http://nowhere.invalid/"))
    environment.close()


def test_no_browser_says_which_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="/none/such"):
        BrowserEnvironment(BrowserSettings(browser="/none/such")).reset(Task("user/x", "x", "browser"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("showonce.environments.browser.executable.PLACES", ())
    with pytest.raises(Unavailable, match="Debian package chromium-headless-shell"):
        find_browser()
    with pytest.raises(Unavailable, match="Debian package chromium,"):
        find_browser(headless=False)
