"""What a person does on a page, by a DevTools client of their own, is what the recorder's hook tells, or it is said."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from tests.browsers import needs_browser
from tests.environments.test_browser_record import actions, at
from tests.people import SHIFT, CdpPerson
from tests.recording import Session

from showonce.actions import (
    Action,
    Click,
    DoubleClick,
    Drag,
    Key,
    Move,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
)
from showonce.demonstrations import load_episode
from showonce.environments.contract import Presses
from showonce.secrets import word_for
from showonce.types import Success, Task

pytestmark = [needs_browser]


def ask(person: CdpPerson, expression: str) -> Any:
    told = person.send("Runtime.evaluate", expression=f"JSON.stringify({expression})", returnByValue=True)
    return json.loads(told["result"]["value"])


def replayed(session: Session, found: list[Action], expression: str) -> Any:
    """Do the actions on the page as it was at first; return what an expression gives there."""
    page = str(session.folder / "page.html")
    session.environment.reset(Task("user/web", "do it", "browser", start=page, success=Success("none")), 1)
    for action in found:
        session.environment.execute(action, Presses())
    session.person.sit_down()
    return ask(session.person, expression)


def notes(session: Session) -> list[str]:
    assert session.path is not None
    return [step.note for step in load_episode(session.path).steps]


def said(session: Session) -> list[str]:
    return [line for line in session.lines if line.startswith("not kept")]


def field(name: str, top: int, html: str = "<input id={}>") -> str:
    return f"<div style='position:absolute;left:10px;top:{top}px'>{html.format(name)}</div>"


def test_clicks_with_their_number_and_what_is_held(session: Session) -> None:
    log = """<script>addEventListener('contextmenu', e => e.preventDefault());
    addEventListener('wheel', e => e.preventDefault(), {passive: false});
    addEventListener('pointerdown', e => { if (e.clientY > 400) e.preventDefault(); });</script>"""
    session.show(log)
    person = session.person
    person.click(50, 50, count=3)
    person.click(150, 50, modifiers=SHIFT["ctrl"])
    person.click(250, 50, count=2, modifiers=SHIFT["shift"] + SHIFT["alt"])
    person.click(350, 50, "right", modifiers=SHIFT["shift"])
    person.drag(50, 150, 150, 180, modifiers=SHIFT["ctrl"])
    person.wheel(250, 150, 2, modifiers=SHIFT["ctrl"])
    person.click(350, 150)
    time.sleep(0.7)  # slower than any limit here; the system takes it as a double click
    person.mouse("mousePressed", 350, 150, "left", 2)
    person.mouse("mouseReleased", 350, 150, "left", 2)
    person.click(450, 150, count=4)
    person.click(50, 250)
    person.click(50, 250)  # quick, and yet two clicks
    person.click(150, 250, count=2)
    person.click(150, 450, count=2)  # a page that prevents `mousedown` hides the number
    session.told("10. ")
    found = actions(session.end())
    assert found == [
        TripleClick(*at(50, 50)), Click(*at(150, 50), "ctrl"), DoubleClick(*at(250, 50), "alt+shift"),
        RightClick(*at(350, 50), "shift"), Drag(*at(50, 150), *at(150, 180), "ctrl"),
        Scroll(*at(250, 150), 2, held="ctrl"), DoubleClick(*at(350, 150)), TripleClick(*at(450, 150)),
        Click(*at(450, 150)), Click(*at(50, 250)), Click(*at(50, 250)), DoubleClick(*at(150, 250)),
        DoubleClick(*at(150, 450)),
    ]  # fmt: skip
    assert not said(session)


def test_what_has_no_action_is_said(session: Session) -> None:
    session.show("<p style='margin:100px'>some words to select</p>")
    person = session.person
    person.click(50, 50, "middle")
    session.told("middle click")
    person.click(50, 50, "back")
    session.told("back click")
    person.mouse("mousePressed", 110, 110, "right", 1)
    person.mouse("mouseReleased", 180, 110, "right", 1)
    session.told("drag with the right button")
    person.click(110, 110)
    person.mouse("mousePressed", 110, 110, "left", 2)
    person.mouse("mouseMoved", 190, 110, "left", buttons=1)
    person.mouse("mouseReleased", 190, 110, "left", 2)
    session.told("selects by words")
    person.send("Input.dispatchKeyEvent", type="rawKeyDown", key="Alt", windowsVirtualKeyCode=18, modifiers=1)
    person.send("Input.dispatchKeyEvent", type="keyUp", key="Alt", windowsVirtualKeyCode=18)
    session.told("alt pressed alone")
    person.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": 50, "y": 300}])
    person.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    session.told("click (0.07")
    person.key("v", "", "ctrl")
    data = {"items": [{"mimeType": "text/plain", "data": "from outside"}], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        person.send("Input.dispatchDragEvent", type=kind, x=50, y=50, data=data)
    session.end()


def test_pasted_text_is_text(session: Session) -> None:
    page = (
        field("a", 10) + field("b", 40) + field("c", 70, "<textarea id={}></textarea>")
        + field("d", 130, "<div id={} contenteditable style='width:200px;height:30px'></div>")
        + field("e", 180, "<input id={} type=password>") + field("f", 210)
        + field("g", 240) + "<script>f.onpaste = e => { e.preventDefault(); setTimeout(() => 0);"
        "f.value = e.clipboardData.getData('text').toUpperCase(); };"
        "g.onpaste = e => { e.preventDefault(); document.execCommand('insertText', false, 'own ' + 'words'); }</script>"
    )  # fmt: skip
    session.show(page)
    person = session.person
    person.click(20, 20)
    person.type("one two")
    person.key("a", "", "ctrl")
    person.key("c", "", "ctrl")
    for y in (50, 80, 145, 190, 220, 250):
        person.click(20, y)
        person.key("v", "", "ctrl")
        time.sleep(0.05)
    person.type("!")
    session.told("14. ")
    assert ask(person, "[b.value, c.value, d.textContent, e.value]") == ["one two"] * 4
    person.click(600, 400)
    person.key("v", "", "ctrl")
    session.told("what was pasted here is not kept")
    found = [action for action in actions(session.end()) if not isinstance(action, Click)]
    assert found == [
        Type("one two"), Key("ctrl+a"), Key("ctrl+c"), Type("one two"), Type("one two"), Type("one two"),
        Type(word_for("e")), Type("one two"), Type("one two"), Type("!"), Key("ctrl+v"),
    ]  # fmt: skip
    assert notes(session).count("pasted") == 6
    assert len(said(session)) == 1


def compose(person: CdpPerson, *parts: str) -> None:
    for part in parts:
        person.send("Input.dispatchKeyEvent", type="rawKeyDown", key="Process", windowsVirtualKeyCode=229)
        person.send("Input.imeSetComposition", text=part, selectionStart=len(part), selectionEnd=len(part))


def test_composed_text_is_the_text_that_arrived(session: Session) -> None:
    fields = "".join(field(f"f{i}", 10 + 30 * i) for i in range(5))
    rich = field("r", 170, "<div id={} contenteditable style='width:200px;height:30px'></div>")
    script = "<script>document.body.onclick = e => e.target.id == 'x' && document.execCommand('insertText', 0, '!')"
    where = "style='position:absolute;left:300px;top:10px'"
    button = f"<button id=x {where} onmousedown='event.preventDefault()'>!</button>"
    session.show(f"{fields}{rich}{button}{script}</script>")
    person = session.person
    person.click(20, 20)
    compose(person, "n", "に", "にほんご", "日本語")
    person.insert("日本語")
    person.type(" ok")
    person.click(20, 50)
    compose(person, "n", "にほんご")
    person.click(20, 80)  # the composition ends because the field loses the focus
    person.type("a")
    compose(person, "ㅎ", "한")
    person.insert("한")
    person.key("Enter", "\r")
    person.click(20, 110)
    person.send("Input.dispatchKeyEvent", type="rawKeyDown", key="Dead", windowsVirtualKeyCode=222)
    person.send("Input.dispatchKeyEvent", type="keyDown", key="é", text="é")
    person.click(20, 140)
    person.send(
        "Input.dispatchKeyEvent", type="keyDown", key="ø", text="ø", code="KeyO", modifiers=1, windowsVirtualKeyCode=79
    )
    person.insert("👩‍🚀")
    person.key("Backspace")
    person.type("b")
    person.click(310, 20)  # the page writes by itself: that is no text of the person
    person.click(20, 185)
    compose(person, "ni", "你好")
    person.insert("你好")
    person.type("!")
    session.told("13. ")
    values = "[...document.querySelectorAll('input')].map(e => e.value).concat(r.textContent)"
    wanted = ask(person, values)
    found = actions(session.end())
    texts = [action for action in found if not isinstance(action, Click)]
    assert texts == [
        Type("日本語 ok"), Type("にほんご"), Type("a한"), Key("enter"), Type("é"), Type("øb"), Type("你好!"),
    ]  # fmt: skip
    assert wanted == ["日本語 ok", "にほんご", "a한", "é", "øb!", "你好!"]
    assert replayed(session, found, values) == wanted
    assert not said(session)


CELLS = 40
KINDS = {
    "type": 6, "back": 8, "back a word": 1, "delete": 1, "home": 1, "end": 1, "left": 2, "right": 1, "select": 2,
    "all": 1, "cut": 1, "paste": 1, "undo": 1, "emoji": 2, "compose": 1,
}  # fmt: skip


def edit(person: CdpPerson, rng: random.Random) -> list[str]:
    """Edit the field that has the focus, at random; undo comes once and after a change of this very field."""
    done = list[str]()
    for kind in rng.choices(list(KINDS), list(KINDS.values()), k=rng.randint(4, 12)):
        if kind == "undo" and not (done and done[-1] == "type" and "undo" not in done):
            continue
        done.append(kind)
        keys = {"home": "Home", "end": "End", "left": "ArrowLeft", "right": "ArrowRight", "delete": "Delete"}
        if kind == "type":
            person.type(rng.choice(("a", "aa", "xy", "b c", "hello", "to be")))
        elif kind in ("back", "back a word"):
            person.key("Backspace", "", *(("ctrl",) if kind != "back" else ()))
        elif kind in keys:
            person.key(keys[kind])
        elif kind == "select":
            person.key("ArrowLeft", "", "shift")
        elif kind in ("all", "cut", "paste", "undo"):
            person.key({"all": "a", "cut": "x", "paste": "v", "undo": "z"}[kind], "", "ctrl")
        elif kind == "emoji":
            person.insert(rng.choice(("👨‍👩‍👧", "👍🏽", "e\u0301", "🇩🇪", "日本")))
        else:
            compose(person, "n", "に", "日本")
            person.insert("日本語")
    return done


def test_forty_random_edits_leave_the_same_text_when_they_are_replayed(session: Session) -> None:
    places = [(10 + i % 8 * 78, 10 + i // 8 * 90) for i in range(CELLS)]
    box = "style='position:absolute;left:{}px;top:{}px;width:70px;height:24px'"
    tags = ["<textarea {}></textarea>" if i % 4 == 0 else "<input {}>" for i in range(CELLS)]
    session.show("".join(tag.format(box.format(*place)) for tag, place in zip(tags, places, strict=True)))
    person = session.person
    person.click(20, 20)
    person.type("copied")
    for key in ("a", "c"):
        person.key(key, "", "ctrl")
    person.key("Backspace")
    done = []
    for number, (x, y) in enumerate(places):
        person.click(x + 10, y + 10)
        done.append(edit(person, random.Random(number)))
    values = "[...document.querySelectorAll('input, textarea')].map(e => e.value)"
    time.sleep(0.3)
    wanted = ask(person, values)
    found = actions(session.end())
    assert not said(session)
    got = replayed(session, found, values)
    for what, there, here in zip(done, wanted, got, strict=True):
        assert there == here, what


MENU = """<style>.m{position:absolute;width:100px;height:30px;background:#ddd}.s{display:none;position:absolute;left:0;
top:30px;width:120px;background:#fff}.s div{height:30px}.m:hover>.s,.n:hover>.s{display:block}.n{position:relative}
.n>.s{left:120px;top:0} button:hover{background:red}</style>
<div class=m style='left:20px;top:20px'>File<div class=s><div onclick="say('save')">Save</div>
<div class=n>More<div class=s><div onclick="say('export')">Export</div></div></div></div></div>
<div class=m style='left:300px;top:20px' onmouseenter="setTimeout(() => late.hidden = false, 150)">Late</div>
<button id=late hidden style='position:absolute;left:300px;top:50px;width:90px;height:30px' onclick="say('late')">late
</button><button style='position:absolute;left:20px;top:300px;width:90px;height:30px' title=tip onclick="say('plain')">
plain</button><script>window.log = []; const say = text => log.push(text)</script>"""


def test_a_menu_that_opens_under_the_pointer_is_opened_again(session: Session) -> None:
    session.show(MENU)
    person = session.person

    def walk(*places: tuple[int, int]) -> None:
        for x, y in places:
            person.mouse("mouseMoved", x, y)
            time.sleep(0.3)
        person.click(*places[-1])

    walk((500, 400), (60, 35), (60, 65))  # Save
    walk((500, 400), (60, 310))  # a plain button, reached over an empty page
    walk((500, 400), (60, 35), (60, 65), (60, 95), (170, 95))  # File, More, Export
    walk((500, 400), (340, 35), (340, 65))  # what a script shows
    walk((340, 35), (60, 310))  # over a menu to a plain button
    session.told("9. ")
    wanted = ask(person, "log")
    found = actions(session.end())
    assert wanted == ["save", "plain", "export", "late", "plain"]
    assert [action.verb for action in found] == [
        "move", "click", "click", "move", "move", "click", "move", "click", "click",
    ]  # fmt: skip
    assert found[0] == Move(*at(60, 35)) and found[3:5] == [Move(*at(60, 35)), Move(*at(60, 95))]
    page = str(session.folder / "page.html")
    session.environment.reset(Task("user/web", "do it", "browser", start=page, success=Success("none")), 1)
    for action in found:
        session.environment.execute(action, Presses())
        time.sleep(0.3 if isinstance(action, Move) else 0)
    person.sit_down()
    assert ask(person, "log") == wanted


@pytest.mark.parametrize("moves", [True, False], ids=["pointer", "page"])
def test_what_the_pointer_moves_over_is_no_wait(session: Session, moves: bool) -> None:
    later = "" if moves else "<script>onclick = () => setTimeout(() => document.body.style.background = 'red', 2600)"
    session.show(MENU + later + ("</script>" if later else ""))
    person = session.person
    person.click(500, 400)
    time.sleep(2.8)
    if moves:
        person.mouse("mouseMoved", 60, 315)
        person.mouse("mouseMoved", 60, 310)
    time.sleep(0.4)
    person.click(60, 310)
    session.told("plain")
    waits = [action for action in actions(session.end()) if isinstance(action, Wait)]
    assert bool(waits) is not moves
