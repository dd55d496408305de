"""Secrets typed while the real `showonce record` runs: every byte that it, its exports and a replay leave."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.browsers import needs_browser
from tests.environments.test_browser_secrets import SECRETS, WHERE, page
from tests.people import CdpPerson, running_browser
from tests.xscreen import until

from showonce.demonstrations import load_episode
from showonce.environments.wrappers.secret import needs_of

pytestmark = [needs_browser]
SHOWONCE = [sys.executable, "-m", "showonce"]


def spellings(word: str) -> set[bytes]:
    """Return how a word may stand in a file."""
    data = word.encode()
    texts = {word, word[::-1], json.dumps(word)[1:-1], quote(word, safe=""), word.replace('"', "&quot;"), data.hex()}
    texts |= {base64.b64encode(b"\0" * n + data).decode()[(4 if n else 0) : -4] for n in range(3)}
    return {text.encode(code) for text in texts for code in ("utf-8", "utf-16-le", "utf-16-be")}


def found_in(held: bytes, words: list[str]) -> list[str]:
    return [word for word in words if any(form in held for form in spellings(word))]


def everything(*folders: Path) -> bytes:
    return b"\n".join(file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file())


@contextmanager
def recording(url: str, html: str, folder: Path, *options: str) -> Iterator[tuple[CdpPerson, Path]]:
    """Run `showonce record` in a process of its own on a page; give the person and the file with all that it says."""
    (folder / "page.html").write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{html}", "utf-8")
    place = {"name": "browser", "settings": {"cdp_url": url, "settle": 0.3}}
    task = {"goal": "fill it in", "environment": place, "start": str(folder / "page.html"), "success": "none"}
    (folder / "mine.yaml").write_text(json.dumps(task))
    said, person = folder / "said.txt", CdpPerson(url)
    with said.open("wb") as out:
        words = [*SHOWONCE, "record", "task=mine.yaml", "--yes", *options]
        process = subprocess.Popen(words, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env={**os.environ})
        try:
            until(lambda: b"Recording." in said.read_bytes() or process.poll() is not None, 120, "the recording")
            assert process.poll() is None, said.read_text()
            person.sit_down()
            yield person, said
            person.key("F10", "", "ctrl")
            assert process.wait(120) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()
            person.close()


def cli(folder: Path, *words: str, code: int = 0, **variables: str) -> str:
    """Run showonce and return all that it says."""
    environ = {**os.environ, **variables}
    done = subprocess.run([*SHOWONCE, *words], cwd=folder, capture_output=True, text=True, env=environ)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_no_byte_of_a_secret_is_in_anything_that_a_recording_leaves(tmp_path: Path) -> None:
    """Forty kinds of fields, three exports; then a replay that types all of them again."""
    work, words = tmp_path / "work", []
    work.mkdir()
    with running_browser(tmp_path / "profile", 640, 480) as url, recording(url, page(SECRETS), work) as (person, _):
        where = person.send("Runtime.evaluate", expression=WHERE, returnByValue=True)["result"]["value"]
        for number, (x, y, _, height) in enumerate(where):
            words.append(f'Zq{number:02d}x"k')
            person.click(x + 7, y + min(height / 2, 10))
            person.type(words[-1])
        person.click(600, 450)
    (episode,) = (work / "logs").glob("*-record/episodes/*")
    needs = needs_of(load_episode(episode).steps)
    assert len(needs) == len(SECRETS) and len({need.name for need in needs}) == len(needs)
    for form in ("agentnet", "openadapt", "lerobot"):
        cli(work, "record", "--export", f"out-{form}", "--format", form, str(episode))
    assert len(everything(work)) > 100_000
    assert found_in(everything(work), words) == []


PAGE = """<style>input,button{position:absolute;left:10px;width:200px;height:24px}</style>
<input aria-label=User style='top:10px'><input aria-label=Password type=password style='top:50px'>
<input aria-label='Card code' autocomplete=cc-csc style='top:90px'>
<button style='top:130px' onclick="document.title = [...document.querySelectorAll('input')].map(e => e.value).join()
 == 'anna,Wz81kfqp,8412-7' ? 'welcome' : 'no'; this.textContent = document.title">Sign in</button>"""


def test_what_was_recorded_is_replayed_with_named_secrets_and_refused_before_the_first_click_without(
    tmp_path: Path,
) -> None:
    words = ["Wz81kfqp", "8412-7"]
    with running_browser(tmp_path / "profile", 480, 360) as url:
        with recording(url, PAGE, tmp_path) as (person, said):
            for y, text in ((20, "anna"), (60, words[0]), (100, words[1])):
                person.click(60, y)
                person.type(text)
            person.click(60, 140)
        assert "<secret:password> " in said.read_text() and "secret.card_code=" in said.read_text()
        (episode,) = (tmp_path / "logs").glob("*-record/episodes/*")
        replay = ["replay", str(episode), "task=mine.yaml", "success.text=welcome"]
        missing = cli(tmp_path, *replay, code=2)
        assert "step 4: types a secret into 'Password' of file://. Set secret.password to env:" in missing
        given = ["secret.password=env:CRM_PW", "secret.card_code=env:CARD"]
        missing = cli(tmp_path, *replay, *given, code=2, CRM_PW=words[0])
        assert "step 6: types a secret into 'Card code'" in missing and "CARD is not set" in missing
        told = cli(tmp_path, *replay, "secret.card_cod=env:X", code=2)
        assert "types no such secret. Did you mean 'card_code'" in told
        assert "hunter2" not in cli(tmp_path, *replay, "secret.password=hunter2", code=2)
        assert not list((tmp_path / "logs").glob("*-replay")), "nothing was begun"
        told = cli(tmp_path, *replay, *given, CRM_PW=words[0], CARD=words[1])
        assert "it succeeded" in told and found_in(told.encode(), words) == []
    folders = [tmp_path / "logs", tmp_path / "adapters"]
    assert found_in(everything(*folders), words) == []
