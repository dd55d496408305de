"""The browser's own dialogs and file choosers in a real window: they open as ever, and their answers are recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import needs_browser
from tests.environments.test_browser_record import actions
from tests.people import CdpPerson, running_browser
from tests.recording import Session
from tests.xscreen import Screen, until, x_screen

from showonce.actions import Action, Click, Key, Type
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.types import Demonstration, Task

pytestmark = [needs_browser]
WIDTH, HEIGHT = 700, 560


class Desk:
    """A window, the person's hands on the window system, and a recording."""

    def __init__(self, screen: Screen, url: str, folder: Path) -> None:
        self.screen, self.person = screen, CdpPerson(url)
        self.session = Session(url, self.person, folder)
        self.person.owner.call(self._leave_dialogs, 5, "the person")
        self.left = self.top = 0
        self.clicked: list[tuple[int, int]] = []

    async def _leave_dialogs(self) -> None:
        """Playwright answers dialogs by itself where nobody listens."""
        self.person.browser.contexts[0].on("dialog", lambda _: None)

    def show(self, html: str) -> None:
        self.session.show(html)
        self.left, self.top = self.js("[screenX, screenY + outerHeight - innerHeight]")
        self.screen.xdotool("mousemove", str(self.left + 600), str(self.top + 300))

    def js(self, expression: str) -> Any:
        told = self.person.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    def click(self, x: int, y: int) -> None:
        self.clicked.append((x, y))
        self.screen.xdotool("mousemove", str(self.left + x), str(self.top + y), "sleep", "0.1", "click", "1")
        self.session.told(" on ")

    def keys(self, *keys: str) -> None:
        self.screen.xdotool("key", "--delay", "80", *keys)

    def choose(self, path: str) -> None:
        """Choose a file in the browser's own chooser."""
        until(lambda: self.screen.find("Open File.*"), what="the browser's own file chooser")
        time.sleep(0.8)
        self.keys("ctrl+l")
        self.screen.xdotool("type", "--delay", "40", path)
        time.sleep(0.6)
        window = self.screen.find("Open File.*")
        places = dict(line.split("=") for line in self.screen.xdotool("getwindowgeometry", "--shell", window).split())
        x, y = int(places["X"]) + int(places["WIDTH"]) - 50, int(places["Y"]) + int(places["HEIGHT"]) - 28
        self.screen.xdotool("mousemove", str(x), str(y), "click", "1")
        until(lambda: not self.screen.find("Open File.*"), what="the end of the chooser")

    def close(self) -> None:
        self.session.close()
        self.person.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with x_screen("900x700") as screen, running_browser(tmp_path / "profile", WIDTH, HEIGHT, screen.name) as url:
        made = Desk(screen, url, tmp_path)
        yield made
        made.close()


def kinds(demonstration: Demonstration) -> list[Action | str]:
    """The actions, with "click" for each click."""
    return ["click" if isinstance(action, Click) else action for action in actions(demonstration)]


def replayed(demonstration: Demonstration, page: Path, says: str) -> None:
    """Do the actions in a headless browser of the same size and wait for what the page says at its end."""
    size = demonstration.frames[0].observation
    environment = BrowserEnvironment(BrowserSettings(width=size.width, height=size.height, text=True))
    try:
        environment.reset(Task("user/again", "do it", "browser", start=str(page)), 1)
        for action in actions(demonstration):
            environment.execute(action, Presses())
            environment.observe()
        assert says in (environment.observe().text or "")
    finally:
        environment.close()


DIALOGS = """<meta charset=utf-8><style>button{position:absolute;left:20px;width:120px;height:30px}</style>
<button style='top:10px' onclick="alert('hello'); say('alerted')">alert</button>
<button style='top:50px' onclick="say(confirm('Sure?'))">confirm</button>
<button style='top:90px' onclick="say(prompt('Your name?', 'bob'))">prompt</button>
<button style='top:130px' onclick="say(prompt('Password?') ? 'let in' : 'kept out')">secret</button>
<button style='top:170px' onclick="onbeforeunload = e => e.preventDefault(); location = 'about:blank'">leave</button>
<p id=o style='position:absolute;left:200px'></p><script>function say(t) { o.textContent += t + ' ' }</script>"""


def test_dialogs_that_a_person_answers_are_recorded_and_replayed(desk: Desk) -> None:
    desk.show(DIALOGS)
    for y, keys in (
        (25, ["Return"]), (65, ["Escape"]), (65, ["Return"]), (105, [*"anna", "Return"]), (105, ["Return"]),
        (105, ["BackSpace", "Return"]), (145, [*"Wz81kfqp", "Return"]), (185, ["Escape"]),
    ):  # fmt: skip
        said = desk.js("o.textContent")
        desk.click(60, y)
        time.sleep(0.8)
        desk.keys(*keys)
        if y != 185:
            until(lambda said=said: desk.js("o.textContent") != said, what=f"the answer to {y}")  # type: ignore[misc]
    desk.session.told("leave")
    time.sleep(0.5)
    said = "alerted false true anna bob let in"
    assert " ".join(desk.js("o.textContent").split()) == said
    demonstration = desk.session.end()
    assert kinds(demonstration) == [
        "click", Key("enter"), "click", Key("escape"), "click", Key("enter"), "click", Type("anna"), Key("enter"),
        "click", Key("enter"), "click", Key("backspace"), Key("enter"), "click", Type("<secret:password>"),
        Key("enter"),
        "click", Key("escape"),
    ]  # fmt: skip
    shown = demonstration.frames[1].observation.image
    assert not (shown == demonstration.frames[0].observation.image).all()  # the dialog is drawn, as for a policy
    assert desk.session.path is not None
    assert not any(b"Wz81kfqp" in file.read_bytes() for file in desk.session.path.iterdir())
    replayed(demonstration, desk.session.folder / "page.html", said)


UPLOADS = """<meta charset=utf-8><input id=f type=file multiple style='position:absolute;left:20px;top:10px;width:200px'
 onchange="say([...f.files].map(x => x.name))">
<button style='position:absolute;left:20px;top:60px;width:120px' onclick="let i = document.createElement('input');
 i.type = 'file'; i.onchange = () => say(i.files[0].name); i.click()">upload</button>
<iframe style='position:absolute;left:20px;top:100px;border:0' srcdoc="<body style='margin:0'><input type=file
 onchange='parent.say(this.files[0].name)' style='width:200px' oncancel='parent.say(&quot;none&quot;)'>"></iframe>
<p id=o style='position:absolute;left:300px'></p>
<script>let n = 0; function say(t) { o.textContent += t + ' ' }; f.addEventListener('click', () => n++)</script>"""


def test_files_are_chosen_in_the_browsers_own_chooser(desk: Desk) -> None:
    one, two = desk.session.folder / "one.txt", desk.session.folder / "two.txt"
    for path in (one, two):
        path.write_text("x")
    desk.show(UPLOADS)
    desk.click(60, 20)
    desk.choose(str(one))
    desk.click(60, 70)
    desk.choose(str(two))
    desk.click(60, 110)
    until(lambda: desk.screen.find("Open File.*"), what="the third chooser")
    time.sleep(0.5)
    desk.keys("Escape")
    until(lambda: "none" in desk.js("o.textContent"), what="the cancelled chooser")
    desk.click(60, 110)
    desk.choose(str(one))
    said = "one.txt two.txt none one.txt"
    until(lambda: " ".join(desk.js("o.textContent").split()) == said, what="all files")
    assert desk.js("n") == 1
    demonstration = desk.session.end()
    expected = ["click", Type(str(one)), "click", Type(str(two)), "click", Key("escape"), "click", Type(str(one))]
    assert kinds(demonstration) == expected
    replayed(demonstration, desk.session.folder / "page.html", "two.txt")
