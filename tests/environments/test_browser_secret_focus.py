"""Secrets typed into a real page: which field has the focus, whose it is, and what a correction leaves behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import needs_browser
from tests.environments.test_browser_secrets import HEIGHT, PLAIN, SECRETS, TALL, WHERE, WIDTH, page, places, site
from tests.fakes import ScriptedPolicy

from showonce.actions import Action, Click, Type
from showonce.config import SafetyConfig
from showonce.demonstrations import EpisodeStore
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.environments.wrappers.secret import WithSecrets
from showonce.errors import BadInput
from showonce.runs.event_file import EventWriter
from showonce.runtime.approvals import ConsoleApprover
from showonce.runtime.loop import run_episode
from showonce.runtime.safety import safety_of
from showonce.types import Region, Success, Task

pytestmark = [needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserEnvironment]:
    environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, text=True, settle=0.3))
    yield environment
    environment.close()


def shown(browser: BrowserEnvironment, folder: Path, html: str) -> Task:
    (folder / "page.html").write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{html}", "utf-8")
    return Task("user/page", "do it", "browser", start=str(folder / "page.html"), success=Success("none"))


def at(x: float, y: float) -> Click:
    return Click(x / WIDTH, y / HEIGHT)


def test_every_kind_of_field_is_known_when_it_has_the_focus(browser: BrowserEnvironment, tmp_path: Path) -> None:
    for fields, secret in ((SECRETS, True), (PLAIN, False)):
        browser.reset(shown(browser, tmp_path, page(fields)), 1)
        assert browser.focused_field().secret is False, "nothing has the focus yet"
        wrong = {}
        found = browser.on_owner(lambda: _asked(browser, WHERE), 5, "places")
        for name, (x, y, _, height) in zip(fields, found, strict=True):
            browser.execute(at(x + 8, y + min(height / 2, 10)), Presses())
            field = browser.focused_field()
            if field.secret is not secret or field.origin != ("null" if name == "other origin" else "file://"):
                wrong[name] = field
        assert wrong == {}
        regions = browser.secret_regions()
        covered = {name for name, place in places(fields).items() if any(_over(box, *place) for box in regions)}
        assert covered == (set(fields) if secret else set())


def _over(box: Region, x: int, y: int) -> bool:
    """Whether a region of the frame covers part of a field's section, which is one row high."""
    left, top, right, bottom = box[0] * WIDTH, box[1] * HEIGHT, box[2] * WIDTH, box[3] * HEIGHT
    return left < x + 190 and right > x and top < y + TALL - 6 and bottom > y + 4


def test_a_field_stays_secret_when_its_text_is_shown(browser: BrowserEnvironment, tmp_path: Path) -> None:
    html = "<input id=f type=password style='position:absolute;left:0;top:0;width:200px;height:30px'><p id=q>"
    html += "<button style='position:absolute;left:0;top:50px'"
    toggle = " onclick=\"f.type='text';f.focus();q.textContent=f.value\">show"
    task = shown(browser, tmp_path, html + toggle)
    world = WithSecrets(browser, {"f": "env:FIELD"}, {"f": ["file://"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELD", "Wz81kfqp")
        world.reset(task, 1)
        world.execute(at(10, 10), Presses())
        world.execute(Type("<secret:f>"), Presses())
        world.observe()
        world.execute(at(10, 60), Presses())
        seen = world.observe()
        assert not seen.image[2:28, 2:198].any() and browser.focused_field().secret
        assert seen.text is not None and "Wz81kfqp" not in seen.text and "<secret>" in seen.text


def test_the_origin_is_that_of_the_frame_and_not_of_the_page_around_it(
    browser: BrowserEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "Wz81kfqp")
    field = "<body style='margin:0'><input type=password style='width:200px;height:30px'><script>origin='https://bank.example'"
    (tmp_path / "field.html").write_text(field)
    with site(tmp_path) as here, site(tmp_path) as there:
        frame = f"<iframe src='{there}/field.html' style='position:absolute;left:0;top:0;border:0'></iframe>"
        sandboxed = frame.replace("<iframe", "<iframe sandbox").replace("top:0", "top:200px")
        inline = f'<iframe srcdoc="{field.split("<script")[0]}" style="position:absolute;left:0;top:300px;border:0">'
        (tmp_path / "page.html").write_text(f"<!doctype html><body style='margin:0'>{frame}{sandboxed}{inline}")
        task = Task("user/page", "do it", "browser", start=f"{here}/page.html", success=Success("none"))
        mine = WithSecrets(browser, {"pw": "env:PW"}, {"pw": [here]})
        mine.reset(task, 1)
        for y in (10, 210):
            mine.execute(at(10, y), Presses())
            assert browser.focused_field().origin == there
            with pytest.raises(BadInput, match=f"not typed into {there}: it is bound to {here}"):
                mine.execute(Type("<secret:pw>"), Presses())
        mine.execute(at(10, 310), Presses())
        assert mine.execute(Type("<secret:pw>"), Presses()).origin == here
        assert not mine.observe().image[2:28, 2:198].any(), "all three are masked"
        assert not mine.observe().image[202:228, 2:198].any() and not mine.observe().image[302:328, 2:198].any()
        theirs = WithSecrets(browser, {"pw": "env:PW"}, {}, (f"pw@{there}",))
        theirs.execute(at(10, 10), Presses())
        assert theirs.execute(Type("<secret:pw>"), Presses()).origin == there


VALUES = "[...document.querySelectorAll('input')].map(e => e.value)"
CORRECTIONS = """<style>* {position:absolute;left:0;width:200px;height:30px}</style>
<input aria-label='Your password' type=password style='top:0'><input aria-label=City style='top:50px'>
<div id=h style='top:100px'></div><script>h.attachShadow({mode:'closed'}).innerHTML=
'<input type=password aria-label=PIN>'</script>"""


@pytest.mark.parametrize("line", ["type Wz81kfqp", '{"action": "type", "text": "Wz81kfqp"}', "type\nWz81kfqp", "key W"])
def test_a_correction_that_is_typed_into_a_secret_field_is_never_written(
    browser: BrowserEnvironment,
    tmp_path: Path,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = shown(browser, tmp_path, CORRECTIONS)
    lines = ["y", line, "y", "type Paris", "y", line]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    wrong = Type("wrong")
    policy: list[Action] = [at(10, 10), wrong, at(10, 60), wrong, at(10, 110), wrong]
    world = WithSecrets(browser, {}, {})
    with EventWriter(tmp_path / "out" / "events.jsonl") as events:
        episode = run_episode(
            world, ScriptedPolicy(policy), task, seed=1, approver=ConsoleApprover(), events=events, limits=None,
            safety=safety_of(SafetyConfig(mode="step")), store=EpisodeStore(tmp_path / "out" / "episodes"), guards=(),
        )  # fmt: skip
    typed = [step.executed for step in episode.steps if isinstance(step.executed, Type)]
    assert typed == [Type("<secret:your_password>"), Type("Paris"), Type("<secret:your_password>")], "the same again"
    assert [step.origin for step in episode.steps if isinstance(step.executed, Type)] == ["file://", "", "file://"]
    assert "kept as a secret" in episode.steps[1].note and episode.source == "person"
    held = b"".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    told = capsys.readouterr()
    text = "Wz81kfqp" if "Wz" in line else '"w"'
    assert text.encode() not in held and text not in told.out + told.err and b"Paris" in held
    value = browser.on_owner(lambda: _asked(browser, VALUES), 5, "values")
    assert value == ["Wz81kfqp" if "Wz" in line else "w", "Paris"], "it was typed into the page all the same"


async def _asked(browser: BrowserEnvironment, script: str) -> Any:
    assert browser.session is not None
    return await browser.session.tab.page.evaluate(script)
