"""A person in a headless browser, by a DevTools client of their own, and the recorder that watches them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.browsers import needs_browser
from tests.fakes import reduce_events
from tests.people import CdpPerson, running_browser
from tests.recording import OWN, Session
from tests.xscreen import until, x_screen

from showonce.actions import Action, Click, Done, DoubleClick, Drag, Key, RightClick, Scroll, Type, from_pixel
from showonce.demonstrations import load_demonstration, load_episode
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.runtime.replay import replay_episode
from showonce.types import Demonstration, StopReason, Success, Task

pytestmark = [needs_browser]
WIDTH, HEIGHT = 640, 480


def at(x: int, y: int) -> tuple[float, float]:
    return from_pixel(x, WIDTH), from_pixel(y, HEIGHT)


def actions(demonstration: Demonstration) -> list[Action]:
    assert demonstration.frames[-1].action == Done()
    return [frame.action for frame in demonstration.frames[:-1]]


PAGE = """<button id=b style='position:absolute;left:100px;top:90px;width:60px;height:30px'
 onclick="this.textContent='pressed';this.style.background='red'">Save</button>
<input id=i placeholder=name style='position:absolute;left:20px;top:20px;width:200px'>
<div id=c style='position:absolute;left:300px;top:100px;width:300px;height:300px;background:white'></div>
<script>oncontextmenu = e => e.preventDefault();
onmousemove = e => window.seen = [e.clientX, e.clientY]</script>"""


def test_a_persons_hands_are_understood_to_the_pixel(session: Session) -> None:
    session.show(PAGE)
    person = session.person
    person.click(108, 97)
    session.told("click (0.")
    person.click(30, 30)
    person.type("Hi boob")
    for _ in range(2):
        person.key("Backspace")
    person.type("b")
    person.key("a", "", "ctrl")
    person.key("Enter", "\r")
    person.click(351, 299, count=2)
    person.click(350, 200, "right")
    person.drag(320, 120, 401, 333)
    person.wheel(500, 380, 3)
    session.told("scroll")
    demonstration = session.end()
    expected = [
        Click(*at(108, 97)), Click(*at(30, 30)), Type("Hi bob"), Key("ctrl+a"), Key("enter"),
        DoubleClick(*at(351, 299)), RightClick(*at(350, 200)), Drag(*at(320, 120), *at(401, 333)),
        Scroll(*at(500, 380), 3),
    ]  # fmt: skip
    assert actions(demonstration) == expected
    before, after = (frame.observation.image for frame in demonstration.frames[:2])
    red = np.array((255, 0, 0))
    assert not (before == red).all(axis=2).any()  # the frame before the click
    assert (after == red).all(axis=2).sum() > 500
    assert session.path is not None
    targets = [step.proposal.text for step in load_episode(session.path).steps if step.proposal]
    assert targets[:3] == ["Save", "name", "name"]


def test_frames_are_those_that_the_environment_shows(session: Session) -> None:
    session.show(PAGE)
    session.person.click(300, 60)
    session.told("click (0.")
    demonstration = session.end()
    seen = session.environment.observe().image
    assert np.array_equal(demonstration.frames[0].observation.image, seen)


@pytest.mark.parametrize("origin", ["same", "other"])
def test_places_inside_iframes_are_places_of_the_window(session: Session, origin: str) -> None:
    button = "<button style='position:absolute;left:50px;top:20px' onclick='this.remove()'>go</button>"
    inner = f"<body style='margin:0'>{button}"
    (session.folder / "inner.html").write_text(f"<!doctype html>{inner}")
    source = "inner.html" if origin == "same" else "data:text/html," + inner.replace("#", "%23")
    frame = (
        f'<iframe src="{source}" style="position:absolute;left:100px;top:50px;border:3px solid;padding:4px"></iframe>'
    )
    session.show(frame)
    session.person.click(170, 85)
    session.told("click (0.")
    session.person.click(199, 99)
    assert actions(session.end()) == [Click(*at(170, 85)), Click(*at(199, 99))]


def test_passwords_never_leave_the_page(session: Session) -> None:
    session.show(
        "<input id=u style='position:absolute;left:10px;top:10px;width:200px'>"
        "<input id=p type=password style='position:absolute;left:10px;top:60px;width:200px;background:#0f0'>"
        "<button style='position:absolute;left:10px;top:100px' onclick=\"p.type='text'\">show</button>"
    )
    person = session.person
    person.click(20, 20)
    person.type("bob")
    person.click(20, 70)
    person.type("hunter2")
    person.insert("geheim")
    person.click(20, 110)
    person.click(40, 70)
    person.type("more")
    person.click(20, 20)
    demonstration = session.end()
    typed = [action for action in actions(demonstration) if isinstance(action, Type)]
    assert typed == [Type("bob"), Type("<secret:p>"), Type("<secret:p_2>")]
    assert session.path is not None
    stored = b"".join(file.read_bytes() for file in session.path.iterdir())
    for word in (b"hunter", b"geheim", b"more"):
        assert word not in stored
    last = demonstration.frames[-1].observation.image
    assert not last[62:78, 14:200].any()  # black where it could be read now
    assert not any("hunter" in line for line in session.lines)


def test_text_without_keys_is_text(session: Session) -> None:
    session.show("<input id=i style='position:absolute;left:10px;top:10px;width:200px'>")
    session.person.click(20, 20)
    session.person.insert("你好 grüß")
    session.told("type")
    assert actions(session.end()) == [Click(*at(20, 20)), Type("你好 grüß")]


def test_the_page_does_not_see_the_recorders_keys(session: Session) -> None:
    session.show("<p id=p>none</p><script>addEventListener('keydown', e => p.textContent += e.key)</script>")
    session.person.key("F8", "", "ctrl")
    session.told("paused")
    session.person.type("x")
    session.person.key("F8", "", "ctrl")
    session.told("recording again")
    session.person.key("F9", "", "ctrl")
    session.told("discarded")
    until(lambda: sum("Recording." in line for line in session.lines) == 2, what="the second recording")
    session.person.sit_down()
    session.person.type("ok")
    assert actions(session.end()) == [Type("ok")]
    assert "F8" not in str(session.environment.shows("text=F8"))
    assert not session.environment.shows("text=F8")
    assert len(list((session.folder / "episodes").iterdir())) == 1


def test_a_new_tab_is_followed(session: Session) -> None:
    (session.folder / "two.html").write_text("<body style='margin:0'><h1>two</h1>")
    session.show("<a href=two.html target=_blank style='position:absolute;left:10px;top:10px'>open</a>")
    session.person.click(20, 20)
    session.told("click (0.")
    until(lambda: len(session.environment.session.tabs) > 1, what="the tab")  # type: ignore[union-attr]
    session.person.sit_down()
    session.person.click(333, 222)
    session.told("2. click")
    demonstration = session.end()
    assert actions(demonstration) == [Click(*at(20, 20)), Click(*at(333, 222))]
    one, two = (frame.observation.hash for frame in demonstration.frames[:2])
    assert one != two


def test_a_closed_tab_ends_the_recording(session: Session) -> None:
    session.show(PAGE)
    session.person.click(108, 97)
    session.told("1. click (0.")
    session.person.send("Page.close")
    session.thread.join(10)
    assert session.path is not None
    assert [type(f.action) for f in load_demonstration(session.path).frames] == [Click, Done]


def test_xdotool_is_watched_in_a_browser_with_a_window(tmp_path: Path) -> None:
    """The person's hands go through the window system: pixels of the screen, keys of the keyboard, a real wheel."""
    with x_screen("800x600") as screen, running_browser(tmp_path / "profile", 700, 560, screen.name) as url:
        person = CdpPerson(url)
        session = Session(url, person, tmp_path)
        try:
            session.show(PAGE)
            seen = "window.seen ? [410 - seen[0], 310 - seen[1], innerWidth, innerHeight] : null"

            def asked() -> Any:
                return person.send("Runtime.evaluate", returnByValue=True, expression=seen)["result"].get("value")

            def at_rest() -> bool:
                """Whether the window stands still: without a window manager it is placed first and moved later."""
                places = []
                for x in (411, 410, 411, 410):
                    screen.xdotool("mousemove", str(x), "310")
                    time.sleep(0.15)
                    places.append(asked())
                return places[0] is not None and places[1] == places[3] and places[0] == places[2]

            until(at_rest, 20, "a window that stands still")
            left, top, width, height = asked()

            def go(x: int, y: int) -> tuple[str, ...]:
                return ("mousemove", str(left + x), str(top + y))

            def there(x: int, y: int) -> tuple[float, float]:
                return from_pixel(x, width), from_pixel(y, height)

            screen.xdotool(*go(30, 30), "click", "1")
            session.told("click (0.")
            screen.xdotool("type", "--delay", "20", "Greet 7")
            screen.xdotool("key", "BackSpace", "8", "ctrl+a")
            screen.xdotool(*go(400, 200), "click", "--repeat", "2", "--delay", "60", "1")
            screen.xdotool(*go(401, 301), "click", "--repeat", "3", "--delay", "30", "5")
            session.told("scroll")
            screen.xdotool("key", "ctrl+F10")
            session.thread.join(15)
            assert session.error is None and session.path is not None
            frames = load_demonstration(session.path).frames
            assert [frame.action for frame in frames] == [
                Click(*there(30, 30)), Type("Greet 8"), Key("ctrl+a"), DoubleClick(*there(400, 200)),
                Scroll(*there(401, 301), 3), Done(),
            ]  # fmt: skip
        finally:
            session.close()
            person.close()


def test_a_choice_in_a_list_of_the_system_is_said(tmp_path: Path) -> None:
    with x_screen("800x600") as screen, running_browser(tmp_path / "profile", 700, 560, screen.name) as url:
        person = CdpPerson(url)
        session = Session(url, person, tmp_path)
        session.environment = BrowserEnvironment(BrowserSettings(cdp_url=url, settle=0.3, selects=False))
        try:
            session.show("<select id=s style='position:absolute;left:30px;top:30px'><option>a<option>b<option>c")

            def asked(text: str) -> Any:
                return person.send("Runtime.evaluate", returnByValue=True, expression=text)["result"].get("value")

            until(lambda: asked("document.hasFocus()"), 20, "a window in front")
            time.sleep(0.5)
            left, top = asked("[screenX + (outerWidth - innerWidth) / 2, screenY + outerHeight - innerHeight]")
            screen.xdotool("mousemove", str(int(left) + 45), str(int(top) + 40), "click", "1", "sleep", "0.6")
            screen.xdotool("mousemove_relative", "0", "38", "sleep", "0.2", "click", "1")
            until(lambda: asked("s.value") != "a", what="a choice")
            session.told("in a list of the system is not kept")
            person.click(300, 300)
            person.key("ArrowDown")
            assert [lost.step for lost in session.end().lost] == [1]
        finally:
            session.close()
            person.close()


class Watching:
    """The bare source at work on the page of an environment."""

    def __init__(self, environment: BrowserEnvironment) -> None:
        self.source, self.events = BrowserSource(environment, OWN), list[Any]()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        until(lambda: self.events, what="the recorder")

    def _watch(self) -> None:
        for event, _ in self.source.events():
            self.events.append(event)

    def end(self, notches: int) -> list[Action]:
        def turned() -> float:
            return sum(event["dy"] for event in self.events if event["kind"] == "wheel")

        until(lambda: turned() > notches - 0.5, what="the wheel")
        self.source.close()
        self.thread.join(10)
        return [found.action for found in reduce_events(self.events)]


def scrolled(environment: BrowserEnvironment) -> float:
    """Return where the page rests."""
    seen = [-1.0]

    def rests() -> bool:
        environment.observe()
        page = environment.session.tab.page  # type: ignore[union-attr]
        seen.append(environment.on_owner(lambda: page.evaluate("scrollY"), 5.0, "the page"))
        return seen[-1] == seen[-2]

    until(rests)
    return seen[-1]


@pytest.fixture
def tall(tmp_path: Path) -> Task:
    page = tmp_path / "tall.html"
    page.write_text("<!doctype html><body style='margin:0;height:9000px'>tall")
    return Task("user/tall", "scroll", "browser", start=str(page))


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_notches_are_the_same_at_every_scale(tall: Task, scale: float) -> None:
    environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, scale=scale))
    try:
        environment.reset(tall, 1)
        watching = Watching(environment)
        environment.execute(Scroll(0.5, 0.5, 7), Presses())
        scrolls = [found for found in watching.end(7) if isinstance(found, Scroll)]
        assert (sum(found.dy for found in scrolls), {found.dx for found in scrolls}) == (7, {0})
    finally:
        environment.close()


def test_a_real_wheel_scrolls_as_far_when_it_is_replayed(tall: Task, tmp_path: Path) -> None:
    with x_screen("800x600") as screen, running_browser(tmp_path / "profile", 700, 560, screen.name) as url:
        environment = BrowserEnvironment(BrowserSettings(cdp_url=url, settle=0.3))
        try:
            for zoom in (0, 3):
                environment.reset(tall, 1)
                screen.xdotool("mousemove", "400", "400", "click", "1")
                before = environment.observe().image.shape
                for _ in range(zoom):
                    screen.xdotool("key", "ctrl+plus")
                watching = Watching(environment)
                screen.xdotool("click", "--repeat", "5", "--delay", "50", "5")
                (action,) = [found for found in watching.end(5) if isinstance(found, Scroll)]
                there = scrolled(environment)
                environment.reset(tall, 1)
                assert environment.observe().image.shape == before and scrolled(environment) == 0
                environment.execute(action, Presses())
                assert action.dy == 5 and there > 300 and scrolled(environment) == pytest.approx(there, abs=1)
        finally:
            environment.close()


@pytest.fixture
def dots(tmp_path: Path) -> Task:
    """A red dot in the page and a blue one in an iframe; what is hit is written down."""
    hit = "addEventListener('pointerdown', e => (top.hits = top.hits || []).push(e.target.id))"
    dot = "<i id={} style='position:absolute;left:{}px;top:{}px;width:9px;height:9px;background:{}'></i>"
    inside = f"<script>{hit}</script>{dot.format('blue', 60, 40, 'blue')}".replace('"', "&quot;")
    frame = f'<iframe style="margin:90px 0 0 130px;border:7px solid" srcdoc="{inside}"></iframe>'
    page = tmp_path / "dots.html"
    page.write_text(f"<!doctype html><body><script>{hit}</script>{dot.format('red', 171, 53, 'red')}{frame}")
    return Task("user/dots", "click", "browser", start=str(page))


def hit_and_recorded(environment: BrowserEnvironment, change: Callable[[], None] | None = None) -> list[str]:
    """Click on both dots where the frame shows them; return what was hit. The recorder must see the same places.

    change: what happens to the page once the recorder watches.
    """
    environment.observe()
    watching, places = Watching(environment), []
    if change is not None:
        change()
    seen = environment.observe()
    for channel in (0, 2):
        rows, columns = np.nonzero((seen.image[..., channel] > 200) & (seen.image.min(-1) < 60))
        places.append((from_pixel(int(np.median(columns)), seen.width), from_pixel(int(np.median(rows)), seen.height)))
    for x, y in places:
        environment.execute(Click(x, y), Presses())
    until(lambda: sum(e["kind"] == "release" for e in watching.events) == 2, what="two clicks")
    watching.source.close()
    watching.thread.join(10)
    downs = [event for event in watching.events if event["kind"] == "press"]
    for event, (x, y) in zip(downs, places, strict=True):
        assert abs(event["x"] - x * event["width"]) <= 1.5 and abs(event["y"] - y * event["height"]) <= 1.5
    page = environment.session.tab.page  # type: ignore[union-attr]
    found: list[str] = environment.on_owner(lambda: page.evaluate("hits.splice(0)"), 5.0, "the page")
    return found


def test_a_persons_own_zoom_moves_neither_clicks_nor_what_is_recorded(dots: Task, tmp_path: Path) -> None:
    with x_screen("800x600") as screen, running_browser(tmp_path / "profile", 700, 560, screen.name) as url:
        environment = BrowserEnvironment(BrowserSettings(cdp_url=url, settle=0.3))
        try:
            environment.reset(dots, 1)
            page, wanted = environment.session.tab.page, list[float]()  # type: ignore[union-attr]

            def asked(what: str) -> Any:
                return environment.on_owner(lambda: page.evaluate(what), 5.0, "the page")

            screen.xdotool("mousemove", "650", "20", "click", "1")
            for keys, ratio in (
                ("ctrl+0", 1),
                ("ctrl+plus", 1.1),
                ("ctrl+plus", 1.25),
                ("ctrl+0", 1),
                ("ctrl+minus", 0.9),
            ):
                screen.xdotool("key", keys)
                wanted.append(ratio)
                until(lambda: asked("devicePixelRatio") == pytest.approx(wanted[-1]), what=keys)
                assert hit_and_recorded(environment) == ["red", "blue"], keys
        finally:
            environment.close()


@pytest.mark.parametrize("when", ["before", "while"])
def test_nor_does_a_pinch(dots: Task, when: str) -> None:
    environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT))

    def pinch() -> None:
        asked = environment.session.tab.cdp.send  # type: ignore[union-attr]
        environment.on_owner(lambda: asked("Emulation.setPageScaleFactor", {"pageScaleFactor": 1.4}), 5.0, "pinch")

    try:
        environment.reset(dots, 1)
        if when == "before":
            pinch()
        assert hit_and_recorded(environment, pinch if when == "while" else None) == ["red", "blue"]
    finally:
        environment.close()


ORDER = """<button style='position:absolute;left:20px;top:20px;width:120px;height:40px'
 onclick="setTimeout(() => o.innerHTML = '{told}', {delay})">Order</button>
<p id=o style='position:absolute;left:20px;top:100px;width:200px'>nothing yet</p>
<input type=password style='position:absolute;left:20px;top:200px;width:200px;height:30px' value=hunter2hunter2>
<div style='position:absolute;left:300px;top:20px'>Total <b>12 €</b></div>"""


def test_a_text_of_the_page_must_be_there_again(session: Session) -> None:
    session.show(ORDER.format(told="Order <i>42</i> placed", delay=300))
    session.person.click(80, 40)
    session.told("1. click")
    time.sleep(0.6)
    for count, (x, y) in enumerate(((40, 125), (60, 215), (345, 30), (600, 400)), 1):
        session.person.mouse("mouseMoved", x, y)
        session.person.key("F7", "", "ctrl")
        until(partial(session.checked, count), what="what came of the check")
    shown = session.end()
    assert [check.text for check in shown.checks] == ["Order 42 placed", "12 €"], session.lines
    assert {check.step for check in shown.checks} == {1}
    left, top, right, bottom = shown.checks[0].region
    assert left <= 40 / WIDTH <= right and top <= 125 / HEIGHT <= bottom
    page = session.folder / "page.html"
    task = Task("user/web", "do it", "browser", start=str(page), success=Success("none"))
    late = replay_episode(shown.ref, session.environment, task)
    assert late.reached, late.episode.steps[-1]
    page.write_text(page.read_text("utf-8").replace("placed", "refused"), "utf-8")
    wrong = replay_episode(shown.ref, session.environment, task, longer=0.5)
    assert not wrong.reached and wrong.episode.stop_reason is StopReason.DOUBT
    assert "'Order 42 placed' must be on the screen now, and it is not" in str(wrong.first_difference)
