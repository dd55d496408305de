"""Pages that rewrite, replace, sandbox and hide their documents while a person is recorded: no act is lost unsaid."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import needs_browser
from tests.environments.test_browser_record import HEIGHT, WIDTH, actions, at
from tests.people import CdpPerson, running_browser
from tests.recording import Session
from tests.xscreen import until

from showonce.actions import Action, Click, Key, Type
from showonce.demonstrations import load_demonstration, load_episode
from showonce.environments.browser.documents import NAME
from showonce.environments.clocks import MachineClock

pytestmark = [needs_browser]
BUTTON = "<button style='position:absolute;left:20px;top:20px;width:80px;height:30px'{}>go</button>"
INSIDE = "<body style='margin:0'>" + BUTTON.format("")
FRAME = "<iframe {} style='position:absolute;left:100px;top:{}px;width:200px;height:90px;border:0'></iframe>"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_browser(tmp_path_factory.mktemp("profile"), WIDTH, HEIGHT, flags=["--site-per-process"]) as address:
        yield address


@pytest.fixture(scope="module")
def person(url: str) -> Iterator[CdpPerson]:
    somebody = CdpPerson(url)
    yield somebody
    somebody.close()


@pytest.fixture
def session(url: str, person: CdpPerson, tmp_path: Path) -> Iterator[Session]:
    made = Session(url, person, tmp_path)
    yield made
    made.close()


@contextmanager
def server(answer: Callable[[str], tuple[dict[str, str], str]]) -> Iterator[str]:
    """A server on this machine. answer: from a path to headers and body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers, body = answer(self.path)
            self.send_response(200)
            for name, value in {"Content-Type": "text/html", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def js(session: Session, expression: str) -> Any:
    return session.person.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


def go(session: Session, address: str) -> None:
    """Let the page load an address, and the recorder see it."""
    js(session, f"location.href = '{address}'")
    until(lambda: js(session, f"location.href === '{address}' && document.readyState") == "complete", what=address)
    time.sleep(0.7)


def clicks(session: Session, *places: tuple[int, int]) -> list[Action]:
    """Click on places, one after another; return what was recorded."""
    for number, (x, y) in enumerate(places, 1):
        session.person.click(x, y)
        time.sleep(0.6)  # longer than a double click
        session.told(f"{number}. click (0.")
    return actions(session.end())


def test_frames_of_every_kind_are_seen(session: Session) -> None:
    """No scripts by sandbox or by policy, other origins and processes, an empty address: all of them are recorded."""

    def answer(path: str) -> tuple[dict[str, str], str]:
        policy = {"Content-Security-Policy": "default-src 'none'; sandbox"} if path == "/policy" else {}
        return policy, INSIDE

    with server(answer) as address:
        other = address.replace("127.0.0.1", "localhost")
        inside = INSIDE.replace('"', "").replace("'", "&quot;")
        kinds = [
            f'sandbox srcdoc="{inside}"', f'sandbox="allow-same-origin" srcdoc="{inside}"', f"src={address}/policy",
            f"src={other}/plain sandbox",
        ]  # fmt: skip
        session.show("".join(FRAME.format(kind, 10 + 110 * n) for n, kind in enumerate(kinds)))
        time.sleep(0.5)
        places = [(150, 45 + 110 * n) for n in range(len(kinds))]
        assert clicks(session, *places) == [Click(*at(*place)) for place in places]


def test_a_click_that_takes_its_frame_away_is_kept(session: Session) -> None:
    """The iframe's origin is its own, so only the recorder can tell where it was."""
    link = "<a href=/next target=_top style='position:absolute;left:20px;top:20px'>next</a>".replace("'", "&quot;")
    frame = FRAME.format(f'sandbox="allow-top-navigation-by-user-activation" srcdoc="{link}"', 40)

    with server(lambda path: ({}, "<h1>next" if path == "/next" else f"<body style='margin:0'>{frame}")) as address:
        session.show("<p>before")
        go(session, f"{address}/mail")
        session.person.click(130, 68)
        session.told("click (0.")
        until(lambda: js(session, "document.body.innerText") == "next", what="the next page")
        assert actions(session.end()) == [Click(*at(130, 68))]


LATE = {
    "empty": "f.contentDocument.body.innerHTML = {}",
    "written": "f.contentDocument.open(); f.contentDocument.write({}); f.contentDocument.close()",
    "blob": "f.src = URL.createObjectURL(new Blob([{}], {{type: 'text/html'}}))",
    "srcdoc": "f.srcdoc = {}",
    "script": "f.src = 'javascript:' + encodeURIComponent(JSON.stringify({}))",
    "lazy": "f.loading = 'lazy'; f.srcdoc = {}",
}


def test_frames_that_come_late_are_seen(session: Session) -> None:
    session.show("<p>top")
    time.sleep(0.5)
    expected = []
    for number, how in enumerate(LATE.values()):
        x, y = 10 + 210 * (number % 3), 20 + 150 * (number // 3)
        make = (
            "{const f = document.createElement('iframe');"
            "f.style = 'position:absolute;width:200px;height:90px;border:0;"
            f"left:{x}px;top:{y}px'; document.body.append(f); {how.format(repr(INSIDE))}}}"
        )
        js(session, make)
        time.sleep(0.4)
        session.person.click(x + 50, y + 35)
        session.told(f"{number + 1}. click (0.")
        expected.append(Click(*at(x + 50, y + 35)))
        time.sleep(0.5)
    assert actions(session.end()) == expected, [*LATE]


REWRITTEN = {
    "open": "document.open(); document.write(HTML); document.close()",
    "late write": "document.open(); setTimeout(() => { document.write(HTML); document.close() }, 50)",
    "root": "const e = document.createElement('html'); e.innerHTML = HTML; document.replaceChild(e, "
    "document.documentElement)",
    "stop": "window.stop(); document.open(); document.write(HTML); document.close(); window.stop()",
}


def test_a_document_that_is_rewritten_loses_no_act(session: Session) -> None:
    rewritten = "<!doctype html><body style='margin:0'><input style='position:absolute;left:20px;top:60px'>" + BUTTON
    session.show(BUTTON.format(""))
    expected: list[Action] = []
    for kind, how in REWRITTEN.items():
        js(session, f"{{const HTML = {rewritten.format('')!r}; {how}}}")
        time.sleep(0.1)
        session.person.click(30, 70)
        session.person.type(f"{kind} ")
        session.told(kind.strip())
        expected += [Click(*at(30, 70)), Type(f"{kind} ")]
    assert actions(session.end()) == expected


def test_a_page_cannot_deafen_the_recorder(session: Session) -> None:
    """It overwrites what recorders use, stops every event at the window, and has a policy against scripts."""
    hostile = (
        "<script>for (const k of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click', 'keydown', 'input',"
        "'beforeinput']) addEventListener(k, e => e.stopImmediatePropagation(), true);"
        "EventTarget.prototype.addEventListener = window.addEventListener = () => {};"
        "for (const k of Object.getOwnPropertyNames(window)) if (/showonce/.test(k)) try { delete window[k] } catch {};"
        "JSON.stringify = performance.now = () => { throw 1 };"
        "Object.defineProperty(Event.prototype, 'isTrusted', {get: () => false});"
        "MutationObserver = undefined; window.stop();</script>"
    )
    policy = {"Content-Security-Policy": "script-src 'unsafe-inline'; default-src 'none'; style-src 'unsafe-inline'"}
    with server(
        lambda path: (policy, f"<!doctype html>{hostile}<body style='margin:0'>{BUTTON.format('')}<input>")
    ) as address:
        session.show("<p>before")
        go(session, f"{address}/hostile")
        session.person.click(30, 30)
        session.told("1. click")
        assert js(session, "Object.getOwnPropertyNames(window).filter(k => /told/.test(k)).length") == 0
        time.sleep(0.5)
        session.person.key("Tab")
        session.person.type("kept")
        assert actions(session.end()) == [Click(*at(30, 30)), Key("tab"), Type("kept")]


def test_typing_goes_on_over_a_navigation(session: Session) -> None:
    page = (
        "<!doctype html><body style='margin:0'><input autofocus oninput=\"if (this.value === 'ab' && !location.hash) "
    )
    page += "setTimeout(() => location.href = '/two#', 150)\">"
    with server(lambda path: ({}, page)) as address:
        session.show("<p>before")
        go(session, f"{address}/one")
        session.person.type("abc")
        until(lambda: js(session, "location.pathname") == "/two", what="the next page")
        time.sleep(0.3)
        session.person.type("def")
        assert actions(session.end()) == [Type("abcdef")]


def test_a_tab_that_crashes_is_told_and_the_others_go_on(session: Session) -> None:
    (session.folder / "two.html").write_text(f"<!doctype html><body style='margin:0'>{BUTTON.format('')}")
    session.show("<a href=two.html target=_blank style='position:absolute;left:10px;top:10px'>open</a>")
    session.person.click(20, 20)
    until(lambda: len(session.environment.session.tabs) > 1, what="the tab")  # type: ignore[union-attr]
    session.person.sit_down()
    time.sleep(0.5)
    session.person.click(30, 30)
    session.told("2. click")
    session.person.owner.call(lambda: _crash(session), 5, "the crash")
    session.told("crashed")
    session.person.owner.call(lambda: _first(session), 5, "the first tab")
    session.person.click(300, 300)
    session.told("3. click")
    session.person.key("F10", "", "ctrl")
    session.thread.join(10)
    assert session.error is None and session.path is not None
    acts = [frame.action for frame in load_demonstration(session.path).frames]
    assert acts[:3] == [Click(*at(20, 20)), Click(*at(30, 30)), Click(*at(300, 300))]


async def _crash(session: Session) -> None:
    crash = asyncio.ensure_future(session.person.cdp.send("Page.crash"))
    await asyncio.wait({crash}, timeout=0.5)


async def _first(session: Session) -> None:
    page = session.person.browser.contexts[0].pages[-2]
    session.person.cdp = await page.context.new_cdp_session(page)
    await page.bring_to_front()


def test_a_crash_of_the_only_tab_keeps_what_was_recorded(session: Session) -> None:
    session.show(BUTTON.format(""))
    session.person.click(30, 30)
    session.told("1. click")
    session.person.owner.call(lambda: _crash(session), 5, "the crash")
    session.thread.join(15)
    assert not session.thread.is_alive()
    (path,) = (session.folder / "episodes").iterdir()
    assert load_episode(path).steps[0].executed == Click(*at(30, 30))


def test_a_busy_page_is_told_and_loses_nothing(session: Session) -> None:
    session.show(BUTTON.format(""))
    time.sleep(0.5)
    stuck = threading.Thread(target=js, args=(session, "{const t = Date.now(); while (Date.now() - t < 2500);}"))
    stuck.start()
    session.told("the page is busy")
    stuck.join()
    session.person.click(30, 30)
    session.person.type("x")
    demonstration = session.end()
    assert actions(demonstration) == [Click(*at(30, 30)), Type("x")]


def test_a_lost_hook_comes_back_within_a_second(session: Session) -> None:
    """Its world loses the binding, as no page can do it: the heartbeat finds it, and the acts meanwhile are kept."""
    session.show(BUTTON.format(""))
    time.sleep(0.5)
    source = session.source
    assert source is not None
    breaks = f"delete window.{NAME}; window.{NAME} = 1"

    async def forget() -> None:
        for cast in source._casts.values():
            for document in cast.documents:
                await document.evaluate(breaks)

    session.environment.on_owner(forget, 5, "forgetting")
    session.person.click(30, 30)
    time.sleep(1.2)
    session.told("1. click")
    session.person.click(300, 300)
    session.told("2. click")
    assert actions(session.end()) == [Click(*at(30, 30)), Click(*at(300, 300))]


STEPS = """<style>#b{background:#fff}</style>
<button id=b style='position:absolute;left:20px;top:20px;width:500px;height:200px' onclick="n++;
 b.style.background = ['#fff', '#f00', '#0f0', '#00f', '#ff0', '#0ff'][n]">press</button><script>let n = 0</script>"""


def test_clocks_that_step_and_a_sleep_change_nothing(session: Session) -> None:
    """The wall clock is set on and back, the machine sleeps, then the monotonic clock itself goes on in its sleep."""
    wall, slept, mono = [0.0], [0.0], [0.0]
    session.clock = MachineClock(
        lambda: time.monotonic() + mono[0], lambda: time.time() + wall[0], lambda: time.monotonic() + mono[0] + slept[0]
    )
    session.show(STEPS)
    told = ("set forward by 1 h", "set back by 2 h", "slept for 10 min", "")
    for number, line in enumerate(told):
        session.person.click(100, 100)
        time.sleep(0.7)
        if number == 0:
            wall[0] += 3600
        elif number == 1:
            wall[0] -= 7200
        elif number == 2:
            slept[0] += 600
            wall[0] += 600
        else:
            mono[0] += 3600
            wall[0] += 3600
        session.told(line)
    session.person.click(100, 100)
    session.told("5. click")
    demonstration = session.end()
    assert actions(demonstration) == [Click(*at(100, 100))] * 5
    colours = [tuple(int(value) for value in frame.observation.image[150, 300]) for frame in demonstration.frames]
    assert colours == [(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
    assert sum("the computer" in line for line in session.lines) == 3


def test_what_the_browser_asks_itself_is_told(session: Session) -> None:
    """Printing and permissions happen in the browser's own windows."""
    with server(lambda path: ({}, "<body>" + BUTTON.format(" onclick='print()'"))) as address:
        session.show("<p>before")
        go(session, f"{address}/")
        session.person.click(30, 30)
        session.told("print dialog")
        session.person.send("Browser.grantPermissions", permissions=["geolocation"], origin=address)
        session.told('permission "geolocation" was granted')
        session.person.send("Browser.resetPermissions")
        session.end()


def test_windows_that_open_and_close(session: Session) -> None:
    """A pop-up that the page writes and a click closes, and one that closes itself."""
    pages = {
        "/": "<body style='margin:0'>"
        + BUTTON.format(" onclick='w = window.open(\"\", \"x\"); "
                        "w.document.write(inside.innerHTML); w.document.close()'")
        + "<template id=inside><button style=\"position:absolute;left:20px;top:20px;width:80px;height:30px\" "
        "onclick=\"opener.document.title = 'said'; window.close()\">ok</button></template>"
        + BUTTON.format(" onclick='window.open(\"/short\")'").replace("top:20px", "top:70px")
        + "<button style='position:absolute;left:20px;top:170px;width:80px;height:30px'>last</button>",
        "/short": "<h1>bye<script>setTimeout(close, 400)</script>",
    }  # fmt: skip

    with server(lambda path: ({}, pages.get(path, ""))) as address:
        session.show("<p>before")
        go(session, f"{address}/")

        def tabs() -> int:
            return len(session.environment.session.tabs)  # type: ignore[union-attr]

        session.person.click(30, 30)
        session.told("1. click")
        until(lambda: tabs() == 2, what="the pop-up")
        time.sleep(0.5)
        session.person.sit_down()
        with contextlib.suppress(Exception):  # the window closes while its button is let go
            session.person.click(40, 35)
        until(lambda: tabs() == 1, what="the end of the pop-up")
        time.sleep(0.7)
        session.person.sit_down()
        session.person.click(30, 80)
        time.sleep(0.3)
        until(lambda: tabs() == 1, what="the end of the second one")
        time.sleep(0.8)
        session.person.click(30, 180)
        session.told("last")
        places = [(30, 30), (40, 35), (30, 80), (30, 180)]
        assert actions(session.end()) == [Click(*at(*place)) for place in places]
