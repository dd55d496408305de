from __future__ import annotations

import base64
import html
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from showonce.errors import ConfigError, Unavailable
from showonce.secrets import KNOWN, SECRET, Secrets, check_source, hidden_event, name_for


def typed(*words: str) -> Secrets:
    """Return what is known after each word was typed into a field that may hold a secret."""
    secrets = Secrets()
    for word in words:
        for letter in word:
            event = {"kind": "key", "time": 0.0, "key": "•", "text": "•", "secret": True, "typed": letter}
            assert secrets.note(event) == {name: value for name, value in event.items() if name != "typed"}
        secrets.note({"kind": "press", "time": 0.0, "values": (word,)})
    return secrets


def test_a_secret_is_known_as_it_stands_after_corrections_and_not_half_typed() -> None:
    secrets = typed("hunter2x")
    assert secrets.found == ["hunter2x"]
    for key, letter in (("•", "g"), ("•", "e"), ("•", "X"), ("backspace", ""), ("•", "h"), ("•", "e"), ("•", "i")):
        secrets.note({"kind": "key", "time": 0.0, "key": key, "secret": True, "typed": letter, "values": ("ge", "geh")})
    assert secrets.found == ["hunter2x", "gehei"]


@pytest.mark.parametrize("kind", ["told", "lost"])
def test_a_line_for_the_person_does_not_split_what_is_typed(kind: str) -> None:
    secrets = Secrets()
    for letter in "hunter2x":
        secrets.note({"kind": "key", "time": 0.0, "key": "•", "secret": True, "typed": letter})
        secrets.note({"kind": kind, "time": 0.0, "text": "the page is busy"})
    assert secrets.found == ["hunter2x"]


def test_a_whole_secret_that_begins_another_is_hidden_too() -> None:
    secrets = Secrets()
    for value in ("summer", "summer2024"):
        secrets.add(value)
    assert secrets.hide("summer, then summer2024") == f"{SECRET}, then {SECRET}"


def test_an_event_into_a_secret_field_has_dots_for_what_it_adds_and_removes() -> None:
    event = {"kind": "key", "time": 0.0, "key": "backspace", "text": "", "modifiers": (), "removed": "ab"}
    assert hidden_event(event) == {**event, "secret": True, "removed": "••"}
    event = {"kind": "key", "time": 0.0, "key": "a", "text": "a", "modifiers": ("shift",)}
    hidden = {"key": "•", "text": "•", "modifiers": (), "typed": "a", "secret": True}
    assert hidden_event(event) == {**event, **hidden}


@pytest.mark.parametrize(
    ("secret", "text", "hidden"),
    [
        ("hunter2", 'signed in with "hunter2".', f'signed in with "{SECRET}".'),
        ("a&b c/d", "http://x/?p=a%26b+c%2Fd", f"http://x/?p={SECRET}"),
        ('qu"oté', '{"text": "qu\\"oté", "raw": "qu\\"ot\\u00e9"}', f'{{"text": "{SECRET}", "raw": "{SECRET}"}}'),
        ("4711", "the PIN 4711, not 147110", f"the PIN {SECRET}, not 147110"),
        ("cat", "cat", "cat"),  # too short to look for
    ],
)
def test_a_secret_is_found_in_every_form_it_takes(secret: str, text: str, hidden: str) -> None:
    assert typed(secret).hide(text) == hidden


def test_files_lose_the_secret_and_stay_readable(tmp_path: Path) -> None:
    line = {"kind": "type", "target": "type s3cret-type", "text": "s3cret-type", "time": 14711.5, "n": [4711, "a 4711"]}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "events.jsonl").write_text(json.dumps(line) + "\n" + '{"text": "torn s3cret-ty')
    (tmp_path / "meta.json").write_text(json.dumps({"goal": "plain", "title": "of s3cret-type"}))
    (tmp_path / "index.html").write_text("<b>s3cret-type</b>")
    (tmp_path / "raw.bin").write_bytes(b"\xff\x00s3cret-type")
    (tmp_path / "other.txt").write_text("nothing")
    mended, left = typed("s3cret-type", "4711").scrub(tmp_path)
    assert sorted(path.name for path in mended) == ["events.jsonl", "index.html", "meta.json"]
    assert [path.name for path in left] == ["raw.bin"]
    first = json.loads((tmp_path / "deep" / "events.jsonl").read_text().splitlines()[0])
    assert first == {**line, "target": f"type {SECRET}", "text": SECRET, "n": [4711, f"a {SECRET}"]}
    assert json.loads((tmp_path / "meta.json").read_text()) == {"goal": "plain", "title": f"of {SECRET}"}


def test_words_of_the_format_stay_when_they_are_a_secret(tmp_path: Path) -> None:
    line = {"action": {"action": "click"}, "executor": "person", "text": "click"}
    (tmp_path / "steps.jsonl").write_text(json.dumps(line) + "\n")
    typed("click", "person").scrub(tmp_path)
    assert json.loads((tmp_path / "steps.jsonl").read_text()) == {**line, "text": SECRET}


@pytest.mark.parametrize("source", ["env:CRM_PW", "keyring:crm/anna", "keyring:crm.example/anna@example.org", "prompt"])
def test_sources(source: str) -> None:
    check_source("secret.password", source)


@pytest.mark.parametrize(
    "value", ["hunter2", "env:", "env:my pw", "keyring:crm", "file:/etc/pw", "prompt!", 7, None, ""]
)
def test_a_plain_value_is_refused_and_not_repeated(value: object) -> None:
    with pytest.raises(ConfigError, match=r"secret\.password must say where") as caught:
        check_source("secret.password", value)
    assert "hunter2" not in str(caught.value) and "my pw" not in str(caught.value)


def test_a_value_is_read_once_and_hidden_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PW", "gEheim-7")
    assert KNOWN.read("password", "env:CRM_PW") == "gEheim-7"
    monkeypatch.delenv("CRM_PW")
    assert KNOWN.read("password", "env:CRM_PW") == "gEheim-7" and KNOWN.hide("x gEheim-7") == f"x {SECRET}"
    with pytest.raises(ConfigError, match="environment variable NOWHERE is not set"):
        KNOWN.read("password", "env:NOWHERE")


def test_a_prompt_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"secret\.pin=prompt: nobody can be asked"):
        Secrets().read("pin", "prompt")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda text: asked.append(text) or "typed-1")
    assert Secrets().read("pin", "prompt", "PIN of https://x") == "typed-1" and asked == [
        "secret pin (PIN of https://x): "
    ]


def test_a_keyring_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(Unavailable, match=r"showonce\[keyring\]"):
        Secrets().read("pin", "keyring:crm/anna")
    held = types.SimpleNamespace(get_password=lambda service, user: {("crm", "anna"): "ring-1"}.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", held)
    assert Secrets().read("pin", "keyring:crm/anna") == "ring-1"
    with pytest.raises(ConfigError, match="keyring set crm bob"):
        Secrets().read("pin", "keyring:crm/bob")

    def locked(service: str, user: str) -> str:
        raise RuntimeError("locked")

    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_password=locked))
    with pytest.raises(Unavailable, match="cannot be read"):
        Secrets().read("pin", "keyring:crm/anna")


@pytest.mark.parametrize(
    "spelt",
    [
        lambda s: s[::-1],
        lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
        lambda s: base64.b64encode(f"anna:{s}".encode()).decode(),
        lambda s: base64.b64encode(f"an:{s}:x".encode()).decode(),
        lambda s: base64.urlsafe_b64encode(f"a{s}".encode()).decode(),
        lambda s: s.encode().hex(),
        lambda s: json.dumps(s),
        lambda s: html.escape(s),
        lambda s: quote(s, safe=""),
    ],
)
def test_spellings_of_a_secret(spelt: Callable[[str], str], tmp_path: Path) -> None:
    word = 'pÄ>?"s/&word7'
    secrets = Secrets()
    secrets.add(word)
    text = f"before {spelt(word)} after"
    hidden = secrets.hide(text)
    core = spelt(word)
    assert hidden.startswith("before ") and hidden.endswith(" after") and SECRET in hidden and core not in hidden
    (tmp_path / "a.bin").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    assert [path.name for path in secrets.scrub(tmp_path)[1]] == ["a.bin"]


def test_names_are_made_of_labels_and_unique() -> None:
    assert name_for("Contraseña *") == "contrasena" and name_for("2FA code") == "secret_2fa_code"
    assert name_for("input") == name_for("") == name_for("密码") == "password"
    assert name_for("PIN", ["pin", "pin_2"]) == "pin_3"
