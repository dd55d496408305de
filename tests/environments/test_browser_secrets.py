"""Secrets that a person types into fields of many kinds, and every byte that a recording of them leaves."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.browsers import needs_browser
from tests.people import CdpPerson, running_browser
from tests.recording import Session

from showonce.actions import Type
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.errors import ConfigError
from showonce.runtime.replay import replay_episode
from showonce.secrets import VARIABLE, Places, name_in, places_of
from showonce.types import Demonstration, Success, Task

pytestmark = [needs_browser]
WIDTH, HEIGHT = 640, 480
LEFT, TALL = 10, 30  # CSS pixels: the left edge of the fields, and the distance of two fields

BOX = "<input maxlength=1 style='width:15px' oninput='this.nextSibling && this.nextSibling.focus()'>"
SECRETS = {
    "type": "<input type=password>",
    "autocomplete current": "<input autocomplete='section-a current-password'>",
    "autocomplete code": "<input autocomplete=one-time-code>",
    "autocomplete card": "<input autocomplete=cc-number>",
    "autocomplete csc": "<input autocomplete=cc-csc>",
    "text security": "<input style='-webkit-text-security:disc'>",
    "security font": "<input style='font-family:text-security-disc'>",
    "name": "<input name=userPassword>",
    "id": "<input id=txtPwd2>",
    "data-testid": "<input data-testid=login_passwd>",
    "aria-label": "<input aria-label='Your PIN'>",
    "placeholder": "<textarea placeholder='Passphrase' rows=1></textarea>",
    "label": "<label>API key <input></label>",
    "labelledby": "<span id=lb>2FA code</span><input aria-labelledby=lb>",
    "text before": "Verification code: <input>",
    "table": "<table><tr><td>Token<td><input></table>",
    "CVV": "<input placeholder='CVV / CVC'>",
    "card": "<input placeholder='Card number'>",
    "German": "<input placeholder='Kennwort wiederholen'>",
    "French": "<input placeholder='Mot de passe'>",
    "Spanish": "<input placeholder='Contraseña'>",
    "Portuguese": "<input placeholder=Senha>",
    "Dutch": "<input placeholder=Wachtwoord>",
    "Polish": "<input placeholder=Hasło>",
    "Turkish": "<input placeholder='ŞİFRENİZ'>",
    "Russian": "<input placeholder='Введите пароль'>",
    "Chinese": "<input placeholder=请输入密码>",
    "Japanese": "<input placeholder=パスワードを入力>",
    "Korean": "<input placeholder='비밀번호 입력'>",
    "Arabic": "<input placeholder='كلمة المرور'>",
    "contenteditable": "<div contenteditable aria-label='Secret' style='background:white;height:20px'></div>",
    "open root": "<x-f mode=open></x-f>",
    "closed root": "<x-f mode=closed></x-f>",
    "nested closed": "<x-f mode=closed deep></x-f>",
    "closed in div": "<div class=host></div>",
    "declared closed": "<div><template shadowrootmode=closed><input type=password></template></div>",
    "iframe": """<iframe srcdoc="<body style='margin:0'><input type=password>" height=24 frameborder=0></iframe>""",
    "other origin": """<iframe src="data:text/html,<body style='margin:0'><input placeholder=Password>" height=24
      frameborder=0></iframe>""",
    "closed in iframe": """<iframe srcdoc="<body style='margin:0'><div id=h></div><script>h.attachShadow({mode:
      'closed'}).innerHTML='<input type=password>'</script>" height=24 frameborder=0></iframe>""",
    "sandboxed": """<iframe sandbox srcdoc="<body style='margin:0'><input type=password>" height=24
      frameborder=0></iframe>""",
    "sandboxed scripts": """<iframe sandbox=allow-scripts srcdoc="<body style='margin:0'><input placeholder=PIN>"
      height=24 frameborder=0></iframe>""",
    "boxes": f"<form>{BOX * 6}</form>",
}  # fmt: skip
PLAIN = {
    "search": "<input type=search name=search placeholder='Search'>",
    "passenger": "<input name=passengerName aria-label='Passenger name'>",
    "compass": "<input placeholder='Compass heading'>",
    "boarding": "<input placeholder='Boarding pass'>",
    "shipping": "<label>Shipping pinboard <input></label>",
    "email": "<label>Email for password reset <input type=email></label>",
    "tokens": "<input name=max_tokens>",
    "closed root": "<x-f mode=closed plain></x-f>",
    "secretary": "<input placeholder=Secretary>",
    "country code": "<input placeholder='Country code'>",
    "contenteditable": "<div contenteditable aria-label='Message' style='background:white;height:20px'></div>",
}
SCRIPT = """<script>
customElements.define('x-f', class extends HTMLElement { connectedCallback() {
  const field = this.hasAttribute('plain') ? '<input placeholder=City>' : '<input type=password>';
  const root = this.attachShadow({mode: this.getAttribute('mode')});
  if (!this.hasAttribute('deep')) { root.innerHTML = field; return; }
  root.innerHTML = '<p style="margin:0"></p>';
  root.firstChild.attachShadow({mode: 'closed'}).innerHTML = field;
}});
for (const e of document.querySelectorAll('.host')) e.attachShadow({mode: 'closed'}).innerHTML = '<input name=pin>';
</script>"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine and give its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def places(fields: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Return where each field stands: 14 a column, so that a page holds 42."""
    return {name: (LEFT + 210 * (i // 14), 5 + TALL * (i % 14)) for i, name in enumerate(fields)}


def page(fields: dict[str, str]) -> str:
    style = "<style>input,textarea,iframe,div[contenteditable]{width:120px;box-sizing:border-box}td{padding:0}</style>"
    parts = []
    for name, (x, y) in places(fields).items():
        parts.append(f"<section style='position:absolute;left:{x}px;top:{y}px;width:200px'>{fields[name]}</section>")
    return style + "".join(parts) + SCRIPT


WHERE = """(() => { const found = [];
 for (const s of document.querySelectorAll('section')) {
   const e = s.querySelector('input,textarea,iframe,[contenteditable],x-f') || s.querySelector('div') || s;
   const r = e.getBoundingClientRect(); found.push([r.left, r.top, r.width, r.height]); }
 return found })()"""


def boxes(session: Session, fields: dict[str, str]) -> dict[str, tuple[float, float, float, float]]:
    found = session.person.send("Runtime.evaluate", expression=WHERE, returnByValue=True)["result"]["value"]
    return dict(zip(fields, found, strict=True))


def texts(demonstration: Demonstration) -> list[str]:
    return [frame.action.text for frame in demonstration.frames if isinstance(frame.action, Type)]


def leaks(session: Session, words: list[str]) -> list[str]:
    """Return the words that stand anywhere in what the recording stored or printed."""
    assert session.path is not None
    held = b"".join(file.read_bytes() for file in session.path.rglob("*") if file.is_file())
    held += "\n".join(session.lines).encode()
    return [word for word in words if word.encode() in held or json.dumps(word)[1:-1].encode() in held]


def test_no_byte_of_a_secret_of_any_kind_of_field_is_stored_or_printed(session: Session) -> None:
    session.show(page(SECRETS))
    person, words, where = session.person, [], boxes(session, SECRETS)
    for number, (name, (x, y, _, height)) in enumerate(where.items()):
        word = f"Zq{number:02d}xk"
        words.append(word)
        person.click(x + 7, y + min(height / 2, 10))
        person.type(word)
        assert session.error is None, (name, session.error)
    person.click(600, 450)
    demonstration = session.end()
    found = texts(demonstration)
    clear = [list(SECRETS)[words.index(word)] for word in words if any(word[:5] in text for text in found)]
    assert clear == [] and len(set(found)) == len(SECRETS) and all(map(name_in, found))
    assert leaks(session, words) == []
    picture = demonstration.frames[-1].observation.image
    for name, (x, y, _, _) in where.items():
        assert not picture[int(y) + 4 : int(y) + 14, int(x) + 4 : int(x) + 12].any(), f"{name} can be seen"


def test_plain_fields_are_recorded_in_clear(session: Session) -> None:
    session.show(page(PLAIN))
    for name, (x, y, _, height) in boxes(session, PLAIN).items():
        session.person.click(x + 7, y + min(height / 2, 10))
        if name == "closed root":
            time.sleep(0.5)  # until the root is known, what is typed counts as secret
        session.person.type(f"Hi {name}")
    assert texts(session.end()) == [f"Hi {name}" for name in PLAIN]


def test_a_secret_that_the_page_repeats_is_kept_from_names_and_pictures_of_the_field_that_replaces_it(
    session: Session,
) -> None:
    """A page shows the password in a new field without a name, and in the text of a button."""
    session.show(
        "<input id=p type=password style='position:absolute;left:10px;top:10px;width:200px'>"
        "<button id=b style='position:absolute;left:10px;top:50px;width:200px'>show</button><script>b.onclick = () => {"
        "const n = document.createElement('input'); n.value = p.value; n.style.cssText = p.style.cssText;"
        "b.textContent = 'Hide ' + p.value; p.replaceWith(n); }</script>"
    )
    person = session.person
    person.click(20, 20)
    person.type("Wz81kfqp")
    person.click(20, 60)
    person.click(20, 60)
    person.click(20, 20)
    person.type("Xj")
    person.click(400, 400)
    demonstration = session.end()
    assert texts(demonstration) == ["<secret:p>", "<secret:password>"]
    assert leaks(session, ["Wz81kfqp", "Wz81kf"]) == []
    assert not demonstration.frames[-1].observation.image[12:28, 14:200].any()


MARKED = """<style>input,p,div,iframe {position:absolute;left:10px;width:200px;height:24px;margin:0}</style>
<input id=iban2 aria-label='Account of the payee' style='top:10px'>
<p class=balance style='top:50px'>balance 7431-EUR</p>
<div id=g style='top:90px'><div contenteditable style='left:0;background:white' aria-label=Note></div></div>
<input aria-label=Customer style='top:130px'><input aria-label=City style='top:210px'>
<iframe style='top:250px;border:0' srcdoc="<input class=private style='position:absolute;left:0;top:0'>">"""


def test_what_record_secrets_names_is_a_field_for_secrets(session: Session) -> None:
    """By a selector of a field, of a text, of what contains a field, of a field in a frame; by a place."""
    places = places_of(["css:#iban2", "css:p.balance", "css:#g", "css:.private", "region:0.0,0.26,0.5,0.33"])
    session.show(MARKED, secrets=places)
    person = session.person
    for y, word in ((20, "DE021001"), (100, "nobody-k"), (140, "cust0mer-9"), (220, "Paris"), (260, "fram3d-x")):
        person.click(60, y)
        person.type(word)
    person.click(60, 140)
    person.key("Backspace")
    person.click(500, 400)
    demonstration = session.end()
    names = ["account_of_the_payee", "note", "customer", "", "password"]
    assert [name_in(text) or "" for text in texts(demonstration)] == names and "Paris" in texts(demonstration)
    assert leaks(session, ["DE021001", "nobody-k", "cust0mer-9", "fram3d-x", "7431-EUR"]) == []
    for frame in demonstration.frames[1:]:
        picture = frame.observation.image
        for top in (12, 52, 92, 132):
            assert not picture[top : top + 18, 14:200].any(), f"{top} can be seen"
        assert picture[212:230, 14:200].any()
    assert not demonstration.frames[-1].observation.image[252:268, 14:150].any()


def test_what_is_typed_between_two_presses_of_the_key_is_secret_on_the_pictures_too(session: Session) -> None:
    session.show("<input aria-label=Customer style='position:absolute;left:10px;top:10px;width:200px'>",
                 secrets=Places(chord="ctrl+f6"))  # fmt: skip
    person = session.person
    person.click(60, 20)
    person.key("F6", "", "ctrl")
    session.told("is a secret")
    person.type("cust0mer-99")
    person.key("Backspace")
    person.key("F6", "", "ctrl")
    session.told("recorded again")
    person.click(500, 400)
    demonstration = session.end()
    assert texts(demonstration) == ["<secret:customer>"], "a backspace is no step of its own"
    assert leaks(session, ["cust0mer-9"]) == []
    assert not demonstration.frames[-1].observation.image[13:28, 14:200].any()


@pytest.mark.parametrize("wrong", ["css:#a >", "css:p[", "css:::nothing"])
def test_a_selector_that_is_none_is_refused(session: Session, wrong: str) -> None:
    with pytest.raises(AssertionError, match="is not a CSS selector"):
        session.show(MARKED, secrets=places_of([wrong]))
    assert isinstance(session.error, ConfigError) and wrong in str(session.error)


def test_the_last_picture_of_a_person_who_waits_is_masked_too(session: Session) -> None:
    session.show("<input name=password style='position:absolute;left:10px;top:10px;width:200px'>")
    session.person.click(20, 20)
    session.person.type("Wz81kfqp")
    time.sleep(2)
    demonstration = session.end()
    assert not demonstration.frames[-1].observation.image[12:28, 14:200].any()


def test_what_cannot_be_looked_into_is_secret(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root is never handed over: what is typed there counts as secret, and its host's box is black."""

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(BrowserSource, "_look", nothing)
    session.show(page({"plain": PLAIN["closed root"], "after": PLAIN["search"]}))
    person = session.person
    person.click(LEFT + 7, 15)
    person.type("Wz81kfqp")
    person.click(LEFT + 7, 15 + TALL)
    person.type("shoes")
    demonstration = session.end()
    assert texts(demonstration) == ["<secret:x_f>", "shoes"] and leaks(session, ["Wz81kfqp"]) == []
    assert not demonstration.frames[-1].observation.image[9:20, LEFT + 4 : LEFT + 80].any()


def test_a_closed_root_in_a_frame_of_another_process_is_known(tmp_path: Path) -> None:
    inner = "<body style='margin:0'><div id=h style='position:absolute;left:{}px'></div><script>h.attachShadow({{mode:"
    (tmp_path / "secret.html").write_text(inner.format(5) + "'closed'}).innerHTML='<input type=password>'</script>")
    (tmp_path / "plain.html").write_text(inner.format(5) + "'closed'}).innerHTML='<input>'</script>")
    with (
        running_browser(tmp_path / "profile", WIDTH, HEIGHT, flags=["--site-per-process"]) as url,
        site(tmp_path) as at,
    ):
        person = CdpPerson(url)
        session = Session(url, person, tmp_path)
        frame = (
            "<iframe src='{}' style='position:absolute;left:10px;top:{}px' width=250 height=40 frameborder=0></iframe>"
        )
        try:
            session.show(frame.format(f"{at}/secret.html", 10) + frame.format(f"{at}/plain.html", 80))
            time.sleep(1)
            person.click(40, 20)
            person.type("Wz81kfqp")
            person.click(40, 90)
            time.sleep(0.5)
            person.type("plain")
            person.click(500, 400)
            demonstration = session.end()
            assert texts(demonstration) == ["<secret:password>", "plain"] and leaks(session, ["Wz81kfqp"]) == []
            picture = demonstration.frames[-1].observation.image
            assert not picture[14:26, 20:120].any() and picture[84:96, 20:120].any()
        finally:
            session.close()
            person.close()


def test_a_replay_does_not_compare_what_the_recorder_blanked(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four kinds of fields are black in the recording and legible on the page; a change beside them is still seen."""
    field = "<{} style='position:absolute;left:10px;top:{}px;width:600px;height:60px;font-size:48px;background:#fff'{}"
    html = "".join(
        [
            field.format("input id=p type=password", 10, ">"),
            field.format("input autocomplete=cc-number", 90, " value='4111 1111 1111 1111'>"),
            field.format("input name=otp", 170, " value='482913'>"),
            field.format("div contenteditable aria-label=Secret", 250, ">Wz81kfqp</div>"),
            "<button style='position:absolute;left:10px;top:400px' onclick=\"this.textContent=p.value\">Go</button>",
        ]
    )
    session.show(html)
    session.person.click(100, 40)
    session.person.type("hunter22")
    session.person.click(20, 410)
    session.end()
    assert session.path is not None
    monkeypatch.setenv(VARIABLE, "hunter22")
    task = Task("user/web", "do it", "browser", start=str(session.folder / "page.html"), success=Success("none"))
    with closing(BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, settle=0.3))) as browser:
        report = replay_episode(session.path, browser, task)
        assert report.reached and report.first_difference is None, report.first_difference
        page = session.folder / "page.html"
        page.write_text(
            page.read_text()
            + "<p style='position:absolute;left:340px;top:330px;width:300px;height:60px;background:red'>"
        )
        report = replay_episode(session.path, browser, task)
        assert report.reached and report.differs
