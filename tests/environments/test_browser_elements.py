"""What a page tells of what can be used on it: names, neighbourhood, what a click would hit now; of a real browser."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.browsers import HEIGHT, WIDTH, Seat, needs_browser
from tests.environments.test_browser_hooks import said
from tests.recording import Session

from showonce.actions import Click, Drag, Key, Scroll, Type
from showonce.demonstrations import load_episode
from showonce.types import Element, Episode

pytestmark = needs_browser

KINDS = """<style>b, i, [style] {font: 12px sans-serif} .at {position: absolute; height: 20px; width: 100px; left: 5px}
.point {cursor: pointer}</style>
<button class=at style='top:5px'><svg width=16 height=16><title>Delete</title><path d='M0 0h16v16H0z'/></svg></button>
<label class=at style='top:30px'>City <input name=town value='Ulm' style='width:50px'></label>
<div class='at point' style='top:55px' id=dd aria-label='Colour'><span>red</span></div>
<div class=at style='top:80px' onclick='0'>By attribute <i>here</i></div>
<div class=at style='top:105px' id=heard>Heard <i>of</i></div>
<input class=at style='top:130px' placeholder='Search' value='lamps'>
<div class=at style='top:155px' contenteditable>typed text</div>
<button class=at style='top:180px'><span aria-hidden=true>delete_forever</span> Remove</button>
<p class=at style='top:205px'>Only <i>text</i></p>
<div style='position:absolute;left:120px;top:5px' id=menu><div>Germany</div><div>France</div></div>
<input type=submit style='position:absolute;left:120px;top:50px' value='Send'>
<input type=password style='position:absolute;left:120px;top:80px;width:60px' value='hunter2' aria-label='Code'>
<span style='position:absolute;left:120px;top:105px'><input type=checkbox id=cb
  style='position:absolute;opacity:0;width:1px;height:1px'><label for=cb>Agree</label></span>
<a style='position:absolute;left:120px;top:130px' href='/goods/7?session=x#top' data-testid=goods>Goods</a>
<select style='position:absolute;left:120px;top:155px' title='Size'><option>S<option>M</select>
<button style='position:absolute;left:120px;top:185px' disabled>Later</button>
<script>heard.addEventListener('click', () => {}); menu.addEventListener('click', () => {});
document.addEventListener('click', () => {}); document.body.addEventListener('mousedown', () => {});</script>"""


def at(seat: Seat, x: float, y: float) -> Element | None:
    return seat.environment.target_at((x / WIDTH, y / HEIGHT))


def named(seat: Seat) -> dict[str, Element]:
    return {one.name: one for one in seat.environment.targets()}


def middle(one: Element) -> tuple[float, float]:
    return (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2


def test_each_kind_of_thing_has_its_name_and_role(seat: Seat) -> None:
    seat.show(KINDS)
    found = {(one.role, one.name) for one in seat.environment.targets()}
    assert found == {
        ("button", "Delete"), ("textbox", "City"), ("button", "Colour"), ("button", "By attribute here"),
        ("button", "Heard of"), ("textbox", "Search"), ("textbox", ""), ("button", "Remove"), ("button", "Germany"),
        ("button", "France"), ("button", "Send"), ("textbox", "Code"), ("checkbox", "Agree"), ("link", "Goods"),
        ("combobox", "Size"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("x", "y", "role", "name"),
    [
        (10, 15, "button", "Delete"),  # on the path of its icon
        (12, 42, "textbox", "City"),  # on the text of the label around it
        (14, 62, "button", "Colour"),
        (85, 88, "button", "By attribute here"),
        (50, 112, "button", "Heard of"),
        (20, 140, "textbox", "Search"),
        (20, 162, "textbox", ""),
        (30, 190, "button", "Remove"),
        (40, 224, "", "text"),
        (130, 12, "button", "Germany"),
        (150, 112, "checkbox", "Agree"),
        (150, 195, "button", "Later"),
        (280, 220, "", None),  # the ground
    ],
)
def test_what_a_click_hits_stands_for_the_thing_around_it(seat: Seat, x: int, y: int, role: str, name: str) -> None:
    if not at_kinds(seat):
        seat.show(KINDS)
    found = at(seat, x, y)
    assert (found.role, found.name) == (role, name) if found is not None else name is None


def at_kinds(seat: Seat) -> bool:
    return seat.environment.session is not None and "By attribute" in seat.text


def test_what_a_field_holds_is_told_nowhere(seat: Seat) -> None:
    seat.show(KINDS)
    told = repr(seat.environment.targets())
    for value in ("Ulm", "lamps", "typed text", "hunter2"):
        assert value not in told
    (link,) = [one for one in seat.environment.targets() if one.role == "link"]
    assert link.attributes == {"href": "/goods/7", "data-testid": "goods"}
    assert link.page.startswith("file:///") and link.page.endswith("page.html")
    assert named(seat)["Search"].attributes == {"placeholder": "Search", "type": "text"}


def test_a_row_is_named_by_words_before_numbers(seat: Seat) -> None:
    seat.show("""<table><tr><th>Order</th><th>Product</th><th></th></tr>
    <tr><td>1003-14</td><td>Service 2026</td><td><button>New</button></td></tr>
    <tr><td>T-2001</td><td>17.50</td><td><button>New</button></td></tr></table>""")
    new = [one for one in seat.environment.targets() if one.name == "New"]
    assert [one.near[0] for one in new] == ["Service 2026", "T-2001"]


def test_equal_buttons_are_told_apart_by_what_is_near(seat: Seat) -> None:
    seat.show("""<h2>Customers</h2><table><thead><tr><th></th><th>Name</th><th>Do</th></tr></thead><tbody>
    <tr><td><input type=checkbox></td><td>Ada</td><td><button>Edit</button></td></tr>
    <tr><td><input type=checkbox></td><td>Bob</td><td><button>Edit</button></td></tr></table>
    <ul><li><b>Cy</b> <button>Edit</button></li><li><b>Di</b> <button>Edit</button></li></ul>
    <fieldset><legend>Address</legend><div><span>Street</span><input></div></fieldset>
    <div role=dialog aria-label='Sure?'><h3>Delete it</h3><button>Yes</button></div>""")
    edits = [one for one in seat.environment.targets() if one.name == "Edit"]
    assert [one.near[:2] for one in edits] == [("Ada", "Do"), ("Bob", "Do"), ("Cy", "Customers"), ("Di", "Customers")]
    assert [(one.index, one.count) for one in edits] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    found = named(seat)
    assert found["Street"].near == ("Address", "Customers")
    assert found["Yes"].near == ("Delete it", "Sure?")
    boxes = [one for one in seat.environment.targets() if one.role == "checkbox"]
    assert [one.near[0] for one in boxes] == ["Ada", "Bob"]
    for one in (one for one in found.values() if one.box[3] < 1):  # one description, whoever asks
        assert seat.environment.target_at(middle(one)) == one


def test_a_card_is_named_by_what_it_begins_with(seat: Seat) -> None:
    seat.show("".join(
        f"<article><h3>{title}</h3><p>Floor 0</p><button>Close</button></article>" for title in ("Lamp", "Tap")
    ))  # fmt: skip
    assert [one.near[:2] for one in seat.environment.targets()] == [("Lamp", "Floor 0"), ("Tap", "Floor 0")]


def test_a_block_has_the_label_before_it_and_a_record_its_headings(seat: Seat) -> None:
    seat.show("""<h1>Grace Hopper</h1><h2>Orders</h2><button>New</button><h2>Notes</h2><h3>Old</h3>
    <div><span>Priority</span><div><input type=hidden><div class=value onclick='0'>Normal</div>
    <div class=choices><div onclick='0'>Low</div><div onclick='0'>High</div></div></div></div>""")
    found = named(seat)
    assert found["New"].near == ("Orders", "Grace Hopper")
    assert found["Normal"].near == ("Priority", "Old", "Notes", "Grace Hopper")
    assert found["Low"].near == ("Old", "Notes", "Grace Hopper")


def test_a_covered_button_is_not_hit(seat: Seat) -> None:
    seat.show("""<button style='position:absolute;left:10px;top:10px;width:80px;height:30px'>Pay</button>
    <div style='position:sticky;top:0;height:50px;background:#fc0'>We use cookies</div>""")
    pay = named(seat)["Pay"]
    hit = seat.environment.target_at(middle(pay))
    assert hit is not None and (hit.role, hit.name) == ("", "We use cookies")


INNER = "<body style='margin:0'><button style='position:absolute;left:20px;top:20px;width:60px'>{}</button>"


def test_iframes_and_shadow_roots_are_looked_into(seat: Seat) -> None:
    (seat.folder / "other.html").write_text("<!doctype html>" + INNER.format("Same"))
    seat.show(
        f"""<iframe src=other.html style='position:absolute;left:10px;top:10px;width:120px;height:60px'></iframe>
    <iframe src="data:text/html,{INNER.format("Other")}"
      style='position:absolute;left:150px;top:10px;width:120px;height:60px;border:4px solid'></iframe>
    <x-open style='position:absolute;left:10px;top:100px'>slotted</x-open>
    <x-closed style='position:absolute;left:150px;top:100px'></x-closed>
    <script>for (const mode of ['open', 'closed']) customElements.define(`x-${{mode}}`, class extends HTMLElement {{
      connectedCallback() {{ this.attachShadow({{mode}}).innerHTML = mode === 'open' ?
        '<button><slot></slot></button>' : '<button>Closed</button><i>x</i>'; }} }});</script>"""
    )
    found = named(seat)
    assert {"Same", "Other", "slotted", "Closed"} <= set(found)
    for name in ("Same", "Other", "slotted", "Closed"):
        assert seat.environment.target_at(middle(found[name])) == found[name]
    assert found["Same"].page.endswith("/other.html") and found["Other"].page == "data:"
    left, top, right, _ = found["Other"].box
    assert (left * WIDTH, top * HEIGHT) == pytest.approx((174, 34), abs=1)
    assert (right - left) * WIDTH == pytest.approx(60, abs=1)
    seat.do(Click(*middle(found["Other"])))
    focused = seat.environment.focused()
    assert focused is not None and focused.name == "Other" and focused.box == pytest.approx(found["Other"].box)


@pytest.mark.parametrize("zoom", ["1", "1.5"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_places_hold_with_zoom_and_scale(seat: Seat, zoom: str, scale: float) -> None:
    (seat.folder / "in.html").write_text("<!doctype html>" + INNER.format("Inner"))
    settings: dict[str, Any] = {"scale": scale} if scale != 1 or zoom == "1" else {}
    seat.show(
        f"""<div style='zoom:{zoom}'><button style='position:absolute;left:20px;top:40px;width:60px'>Go</button>
    <iframe src=in.html style='position:absolute;left:100px;top:20px;width:100px;height:60px'></iframe></div>""",
        **settings,
    )
    found = named(seat)
    for name in ("Go", "Inner"):
        assert seat.do(Click(*middle(found[name]))).targets == (found[name],)


def test_what_is_scrolled_away_is_listed_and_revealed(seat: Seat) -> None:
    rows = "".join(f"<div style='height:40px'><button>Row {n}</button></div>" for n in range(40))
    (seat.folder / "in.html").write_text(f"<!doctype html>{rows}")
    seat.show(f"""<div style='height:600px'></div><div style='height:100px;overflow:auto'>{rows}</div>
    <iframe src=in.html style='width:200px;height:100px'></iframe>""")
    mine = [one for one in seat.environment.targets() if one.name == "Row 30"]
    assert len(mine) == 2 and all(one.box[1] > 1 for one in mine)
    for one in mine:
        assert seat.environment.reveal(one)
        seat.environment.observe()
        (now,) = [now for now in seat.environment.targets() if now.name == "Row 30" and now.page == one.page]
        assert seat.environment.target_at(middle(now)) == now
    assert not seat.environment.reveal(replace(mine[0], name="Row 99"))


def test_what_an_action_hit_is_told_with_it(seat: Seat) -> None:
    seat.show("""<label>Name <input id=n></label><button onclick="this.textContent='Pressed'">Press</button>
    <div draggable=true>Card</div>""")
    found = named(seat)
    press = seat.do(Click(*middle(found["Press"])))
    assert [one.name for one in press.targets] == ["Press"]  # as it was when it was hit
    assert seat.do(Click(*middle(found["Name"]))).targets == (found["Name"],)
    assert [one.name for one in seat.do(Type("Ada")).targets] == ["Name"]
    assert [one.name for one in seat.do(Key("ctrl+a")).targets] == ["Name"]
    assert [one.name for one in seat.do(Drag(*middle(found["Name"]), *middle(found["Press"]))).targets] == [
        "Name", "Pressed",
    ]  # fmt: skip
    assert seat.do(Scroll(0.5, 0.5, 1)).targets == ()
    assert seat.do(Click(0.9, 0.9)).targets == ()  # the ground


def test_a_page_that_goes_away_meanwhile_breaks_nothing(seat: Seat) -> None:
    (seat.folder / "next.html").write_text("<!doctype html><button style='width:300px;height:200px'>Next</button>")
    seat.show(
        "<button style='width:300px;height:200px' onclick='setTimeout(() => location = `next.html`, 60)'>Go</button>"
    )
    seat.click(100, 100)
    seen = {found.name for _ in range(40) if (found := at(seat, 100, 100)) is not None}
    assert seen == {"Go", "Next"}


def test_pages_with_habits_of_their_own_are_read(seat: Seat) -> None:
    seat.show(
        """<script>Array.prototype.toJSON = () => 'mine'; Element.prototype.addEventListener = null;</script>
    <form><input name=children aria-label=Children><input name=parentElement aria-label=Parent>
    <button>Go \ud83d</button></form>""".encode("utf-8", "replace").decode()
    )
    assert {"Children", "Parent"} < set(named(seat))
    assert seat.environment.focused() is None and seat.environment.focused_field().name == ""


class Shop(http.server.BaseHTTPRequestHandler):
    """A page that sends data in several ways, and a server that takes it."""

    def do_GET(self) -> None:
        self.answer(
            b"""<!doctype html><body style='margin:0'><form method=post action=/order><button id=order>Order</button>
        </form><form action=/find><button>Find</button></form>
        <button onclick="fetch('/save', {method: 'PUT', body: '1'})">Save</button>
        <button onclick="fetch('/load').then(r => r.text()); navigator.sendBeacon('/seen', '1')">Load</button>
        <button onclick="fetch(location.origin.replace('127.0.0.1', 'localhost') + '/a', {method: 'POST',
          mode: 'no-cors', body: '1'})">Count</button>"""
        )

    def do_POST(self) -> None:
        if self.path == "/order":
            self.send_response(303)
            self.send_header("Location", "/thanks")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.answer(b"ok")

    do_PUT = do_POST

    def answer(self, body: bytes) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def shop() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_what_sends_data_is_counted(seat: Seat, shop: str) -> None:
    seat.show(f"<script>location = '{shop}'</script>")
    for name, sent in (("Load", 0), ("Count", 0), ("Save", 1), ("Find", 1), ("Order", 2)):
        seat.environment.observe()
        seat.do(Click(*middle(named(seat)[name])))
        seat.environment.observe()
        assert seat.environment.sent == sent, name
    seat.show("")
    assert seat.environment.sent == 0


# ------------------------------------------------------------------------------------------ recorded


def recorded(session: Session) -> Episode:
    session.end()
    assert session.path is not None and not said(session)
    return load_episode(session.path)


def test_a_recording_knows_what_was_hit(session: Session) -> None:
    session.show(KINDS.replace("value='Ulm'", ""))
    person = session.person
    person.click(10, 15)
    person.click(50, 112)
    person.click(130, 12)
    person.click(85, 42)
    person.type("Paris")
    person.key("Tab")
    person.drag(40, 224, 14, 62)
    episode = recorded(session)
    hit = [[(one.role, one.name) for one in step.targets] for step in episode.steps[:-1]]
    assert hit == [
        [("button", "Delete")], [("button", "Heard of")], [("button", "Germany")], [("textbox", "City")],
        [("textbox", "City")], [("textbox", "City")], [("", "text"), ("button", "Colour")],
    ]  # fmt: skip
    assert episode.sends == ()
    field = episode.steps[3].targets[0]
    assert field.attributes == {"name": "town", "type": "text"} and "Paris" not in repr(episode.steps[5].targets)
    named_now = {one.name: one for one in session.environment.targets()}
    for step, name in ((0, "Delete"), (2, "Germany"), (3, "City")):
        assert episode.steps[step].targets[0] == named_now[name]


def test_a_recording_looks_into_a_closed_shadow_root(session: Session) -> None:
    session.show("""<x-closed style='position:absolute;left:10px;top:10px'></x-closed><script>
    customElements.define('x-closed', class extends HTMLElement { connectedCallback() {
      this.attachShadow({mode: 'closed'}).innerHTML = '<button>Closed</button><input placeholder=Inner>'; } });
    </script>""")
    time.sleep(0.3)  # until DevTools has handed the root to the hook
    session.person.click(30, 20)
    session.person.click(120, 20)
    session.person.type("x")
    episode = recorded(session)
    assert [step.targets[0].name for step in episode.steps[:3]] == ["Closed", "Inner", "Inner"]


def test_a_recording_knows_after_which_steps_data_was_sent(session: Session, shop: str) -> None:
    session.show(f"<a href='{shop}' style='position:absolute;left:10px;top:10px'>Shop</a>")
    session.person.click(20, 18)
    session.told("click")
    time.sleep(0.6)
    session.person.sit_down()
    session.person.click(20, 40)  # Find
    time.sleep(0.6)
    session.person.click(20, 10)  # Order
    time.sleep(0.6)
    session.person.click(300, 300)
    episode = recorded(session)
    assert [step.targets[0].name if step.targets else "" for step in episode.steps[:4]] == ["Shop", "Find", "Order", ""]
    assert episode.sends == (2,)


def test_a_secret_is_in_no_description(session: Session) -> None:
    session.show("""<input type=password id=p style='position:absolute;left:10px;top:10px'
    oninput="o.textContent=value">
    <button id=o style='position:absolute;left:10px;top:60px;height:30px'>Echo</button>""")
    session.person.click(20, 20)
    session.person.type("geheim9")
    session.person.click(20, 70)
    episode = recorded(session)
    assert "geheim9" not in repr([step.targets for step in episode.steps])
    assert [one.role for one in episode.steps[2].targets] == ["button"]
