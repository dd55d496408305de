"""The browser environment on pages of its own, in a real Chromium."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest
from tests.browsers import BUTTON, GO, HEIGHT, LOG, WIDTH, Seat, needs_browser

from showonce.actions import Click, Done, DoubleClick, Drag, Key, Move, Open, RightClick, Scroll, TripleClick, Type
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.errors import BadInput, ConfigError, Stopped
from showonce.types import Success, Task

pytestmark = needs_browser


def test_every_kind_of_input_reaches_the_page(seat: Seat) -> None:
    seat.show(
        LOG
        + "<textarea id=t style='position:absolute;left:0;top:0;width:200px;height:60px'></textarea><script>"
        + "for (const k of ['click','dblclick','contextmenu','mousedown','mouseup','wheel','keydown'])"
        + "addEventListener(k, e => say(k + ' ' + (e.key ?? (e.clientX | 0) + ',' + (e.clientY | 0))))</script>"
    )
    seat.click(10, 10)
    seat.do(Type("aé你\n"))
    seat.do(Key("ctrl+a"))
    assert seat.environment.shows("textarea:focus")
    said = seat.text
    for line in ("mousedown 10,10", "mouseup 10,10", "click 10,10", "keydown a", "keydown Enter", "keydown Control"):
        assert line in said
    for action, line in (
        (DoubleClick(0.5, 0.1), "dblclick 160,24"),
        (RightClick(0.9, 0.9), "contextmenu 288,216"),
        (Scroll(0.9, 0.9, 2), "wheel 288,216"),
        (Drag(0.8, 0.8, 0.9, 0.9), "mousedown 256,192\nmouseup 288,216"),
    ):
        seat.do(action)
        assert line in seat.text
    assert seat.environment.execute(Move(1.0, 1.0), GO).pixels == ((WIDTH - 1, HEIGHT - 1),)
    assert seat.do(Done("x")).action == Done("x")


def test_modifiers_are_held_through_the_gesture_and_let_go(seat: Seat) -> None:
    """In the events of the pointer, and as keys of their own for a page that listens to keys."""
    seat.show(
        LOG
        + "<p style='position:absolute;left:0;top:40px;margin:0'>three words here</p><script>"
        + "const held = e => [e.ctrlKey && 'c', e.altKey && 'a', e.shiftKey && 's', e.metaKey && 'm']"
        + ".filter(x => x).join('');"
        + "for (const k of ['click','contextmenu','mousedown','mouseup','wheel','keydown','keyup','dblclick'])"
        + "addEventListener(k, e => { e.preventDefault; say(`${k} ${e.key ?? e.detail} [${held(e)}]`) });"
        + "</script>"
    )
    told = ""
    for action, lines in (
        (
            Click(0.9, 0.9, "ctrl+shift"),
            ["keydown Control [c]", "keydown Shift [cs]", "mousedown 1 [cs]", "click 1 [cs]", "keyup Control []"],
        ),
        (DoubleClick(0.9, 0.6, "alt"), ["mousedown 2 [a]", "dblclick 2 [a]", "keyup Alt []"]),
        (TripleClick(0.1, 0.2), ["mousedown 1 []", "mousedown 2 []", "mousedown 3 []", "click 3 []"]),
        (RightClick(0.9, 0.3, "meta"), ["keydown Meta [m]", "contextmenu 0 [m]", "keyup Meta []"]),
        (Scroll(0.9, 0.9, 2, 0, "ctrl"), ["keydown Control [c]", "wheel 0 [c]", "wheel 0 [c]", "keyup Control []"]),
        (
            Drag(0.8, 0.8, 0.9, 0.9, "shift"),
            ["keydown Shift [s]", "mousedown 1 [s]", "mouseup 1 [s]", "keyup Shift []"],
        ),
        (Click(0.9, 0.9), ["mousedown 1 []", "mouseup 1 []", "click 1 []"]),
    ):
        seat.do(action)
        said, told = seat.text.removeprefix(told), seat.text
        at = 0
        for line in lines:
            assert line in said[at:], (action, line, said)
            at = said.index(line, at) + len(line)
    seat.do(TripleClick(0.1, 0.2))
    seat.do(Click(0.9, 0.9, "shift"))


def test_modifiers_are_let_go_when_the_stop_is_pressed_and_when_a_dialog_opens(seat: Seat) -> None:
    seat.show(
        BUTTON.format("alert('one')") + LOG + "<script>addEventListener('click', e => say(`at ${e.ctrlKey}`))</script>"
    )
    with pytest.raises(Stopped):
        seat.environment.execute(Click(0.9, 0.9, "ctrl"), Presses(after=2))
    seat.do(Click(0.9, 0.9))
    assert "at false" in seat.text and "at true" not in seat.text
    assert "one" in seat.do(Click(30 / WIDTH, 30 / HEIGHT, "ctrl")).detail
    seat.do(Key("enter"))
    seat.do(Click(0.9, 0.9))
    assert seat.text.rstrip().endswith("at false")


def test_text_arrives_as_it_was_typed(seat: Seat) -> None:
    seat.show(
        "<textarea autofocus style='width:300px;height:100px' oninput='o.textContent=this.value'></textarea><pre id=o>"
    )
    text = 'Az1!é€ñ你 "x"/@ ß\tz\nüber'
    seat.click(10, 10)
    seat.do(Type(text.replace("\t", " ")))
    assert text.replace("\t", " ") in seat.text


def test_a_change_that_begins_at_once_is_in_the_next_frame(seat: Seat) -> None:
    first = seat.show(BUTTON.format("document.body.style.background='rgb(0,128,0)'"))
    seat.click(30, 30)
    after = seat.environment.observe()
    assert seat.environment.settled
    assert tuple(after.image[200, 300]) == (0, 128, 0) != tuple(first.image[200, 300])


@pytest.mark.parametrize(
    "code",
    [
        "requestAnimationFrame(() => requestAnimationFrame(() => document.title='x', b.textContent='new'))",
        "fetch('http://site.showonce/index.html', {mode:'no-cors'}).then(() => b.textContent = 'new')",
        "Promise.resolve().then(() => b.textContent = 'new')",
        "setTimeout(() => b.textContent = 'new', 8)",
        "const r = document.body.appendChild(document.createElement('p')).attachShadow({mode:'open'}); "
        "setTimeout(() => r.innerHTML = '<b>new</b>', 8)",
    ],
    ids=["frames", "fetch", "microtask", "timer", "shadow"],
)
def test_the_frame_waits_for_what_follows_at_once(seat: Seat, code: str) -> None:
    seat.show(BUTTON.format(code))
    seat.click(30, 30)
    seat.environment.observe()
    assert seat.environment.settled
    assert seat.environment.shows("text=new")


def test_a_page_that_never_rests_is_seen_anyway(seat: Seat) -> None:
    seat.show("<p id=p>0</p><script>setInterval(() => p.textContent++, 5)</script>", settle=0.3, timeout=10.0)
    begun = time.monotonic()
    seat.environment.observe()
    assert not seat.environment.settled
    assert time.monotonic() - begun < 8.0


def test_a_caret_is_not_waited_for(seat: Seat) -> None:
    seat.show("<input autofocus>", settle=5.0, caret=True)
    seat.click(10, 10)
    seat.environment.observe()
    assert seat.environment.settled


def test_dialogs_are_seen_and_answered(seat: Seat) -> None:
    seat.show(
        BUTTON.format(
            "say('alert ' + alert('one')); say('confirm ' + confirm('two?')); say('prompt ' + prompt('three?', 'x'))"
        )
        + LOG
    )
    plain = seat.environment.observe()
    assert "one" in seat.click(30, 30).detail
    box = seat.environment.observe()
    assert "one" in (box.text or "") and not np.array_equal(plain.image, box.image)
    assert "nothing else" in seat.click(2, 238).detail and "nothing else" in seat.do(Open("site:cart")).detail
    seat.do(Key("enter"))
    assert "two?" in seat.text
    seat.do(Key("escape"))
    assert "three?" in seat.text
    seat.do(Type("answer"))
    seat.do(Type("!\n"))
    assert "alert undefined\nconfirm false\nprompt answer!" in seat.text


def test_a_button_of_a_dialog_is_clicked_where_it_is_drawn(seat: Seat) -> None:
    seat.show(BUTTON.format("say('said ' + confirm('sure?'))") + LOG)
    for column, said in ((0.9, "said true"), (0.1, "said false")):
        seat.click(30, 30)
        image = seat.environment.observe().image
        rows, columns = np.nonzero((image == (225, 232, 245)).all(-1))  # the buttons' colour
        at = np.quantile(columns, column), rows[0] + 3
        seat.click(float(at[0]), float(at[1]))
        assert said in seat.text


def test_ten_dialogs_one_after_another(seat: Seat) -> None:
    seat.show(BUTTON.format("for (let i = 0; i < 10; i++) alert('number ' + i); say('through')") + LOG)
    seat.click(30, 30)
    for number in range(10):
        assert f"number {number}" in seat.text
        seat.do(Key("enter"))
    assert "through" in seat.text


def test_a_native_list_is_operated_by_clicks(seat: Seat) -> None:
    seat.show(
        "<select style='position:absolute;left:0;top:0;width:100px' onchange='o.textContent=this.value'>"
        "<option>one<option>two<option>three</select><pre id=o style='position:absolute;left:200px'></pre>"
    )
    before = seat.environment.observe()
    seat.click(50, 10)
    opened = seat.environment.observe()
    changed = np.nonzero((before.image != opened.image).any(-1))[0]
    assert changed.max() > 40, "the list is not in the frame"
    seat.click(40, (changed.max() - 20) * 0.85 + 20)
    assert seat.environment.shows("pre:has-text('three')") or seat.environment.shows("pre:has-text('two')")


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("date", "2024-05-17", "2024-05-17"),
        ("date", "05/17/2024", "2024-05-17"),
        ("time", "03:20PM", "15:20"),
        ("time", "00:07", "00:07"),
        ("month", "2024-05", "2024-05"),
        ("datetime-local", "2024-05-17T15:20", "2024-05-17T15:20"),
    ],
)
def test_date_and_time_fields_take_typed_text(seat: Seat, kind: str, typed: str, value: str) -> None:
    seat.show(f"<input type={kind} onchange='o.textContent=this.value'><pre id=o>")
    seat.click(12 if "/" in typed or "M" in typed else 50, 10)
    seat.do(Type(typed))
    assert value in seat.text


def test_new_tabs_are_followed_and_left_again(seat: Seat) -> None:
    (seat.folder / "other.html").write_text("<title>o</title><p>the other page")
    seat.show(BUTTON.format("window.open('other.html')") + "<p>first page")
    seat.click(30, 30)
    assert "the other page" in seat.text
    assert seat.environment.url.endswith("other.html")
    seat.do(Key("ctrl+w"))
    assert "first page" in seat.text


def test_links_history_and_addresses(seat: Seat) -> None:
    (seat.folder / "next.html").write_text("<p>second page")
    seat.show("<a href=next.html style='position:absolute;left:0;top:0;font-size:40px'>go</a>")
    seat.click(20, 20)
    assert "second page" in seat.text and seat.environment.settled
    seat.do(Key("alt+left"))
    assert "go" in seat.text
    seat.do(Open(str(seat.folder / "next.html")))
    assert "second page" in seat.text
    assert "cannot be opened" in seat.do(Open("http://nowhere.invalid/")).detail
    with pytest.raises(BadInput, match="demo site has no page 'lgin'"):
        seat.do(Open("site:lgin"))
    with pytest.raises(BadInput, match="neither an address"):
        seat.do(Open("notes"))


def test_a_file_chooser_takes_a_path(seat: Seat) -> None:
    (seat.folder / "letter.txt").write_text("dear")
    seat.show(
        "<input type=file onchange='o.textContent=this.files[0].name' style='position:absolute;left:0;top:0'><pre id=o>"
    )
    seat.click(30, 10)
    assert "Choose a file" in seat.text
    with pytest.raises(BadInput, match=r"none\.txt"):
        seat.do(Type(str(seat.folder / "none.txt")))
    seat.do(Type(str(seat.folder / "letter.txt")))
    assert seat.environment.shows("pre:has-text('letter.txt')")


def test_downloads_go_to_the_folder(seat: Seat) -> None:
    link = (
        "<a download=got.txt href='data:text/plain,hello' style='position:absolute;left:0;top:0;font-size:40px'>get</a>"
    )
    seat.show(link, downloads=str(seat.folder / "down"))
    for _ in range(2):
        seat.click(20, 20)
        seat.environment.observe()
    assert sorted(p.name for p in (seat.folder / "down").iterdir()) == ["got (1).txt", "got.txt"]
    assert (seat.environment.folder / "got.txt").read_text() == "hello"


def test_success_by_text_turns_the_text_on(seat: Seat) -> None:
    environment = BrowserEnvironment(BrowserSettings(start="site:index", width=WIDTH, height=HEIGHT))
    plain = Task("user/x", "x", "browser")
    assert environment.reset(plain, 1).text is None
    asked = Task("user/x", "x", "browser", success=Success("text", "hello"))
    assert environment.reset(asked, 1).text
    environment.close()


def test_it_works_inside_a_running_loop_and_from_many_threads(seat: Seat) -> None:
    seat.show("inside")

    async def inside() -> str:
        return seat.text

    assert "inside" in asyncio.run(inside())
    texts: list[str] = []

    def one(number: int) -> None:
        environment = BrowserEnvironment(
            BrowserSettings(width=WIDTH, height=HEIGHT, text=True, start=f"data:text/html,number {number}")
        )
        texts.append(environment.reset(Task("user/x", "x", "browser"), 1).text or "")
        environment.close()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts) == [f"number {n}" for n in range(3)]


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("width", 3, "width=3 must be a number in"),
        ("scale", 9.0, "scale"),
        ("quiet", -1, "quiet"),
        ("frame", [1, 2, 3], "frame"),
        ("frame", "big", "frame"),
    ],
)
def test_bad_settings_are_named(setting: str, value: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        BrowserEnvironment(BrowserSettings(**{setting: value}))  # type: ignore[arg-type]
