"""`showonce record` from the command line: a person is watched and asked, and what they did is moved about."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browsers import needs_browser
from tests.people import CdpPerson, running_browser
from tests.xscreen import until

from showonce.actions import Click, Done, Type
from showonce.cli import main
from showonce.demonstrations import load_demonstration, load_episode, read_png


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_browser(tmp_path_factory.mktemp("profile"), 480, 360) as address:
        yield address


@pytest.fixture
def person(url: str) -> Iterator[CdpPerson]:
    somebody = CdpPerson(url)
    yield somebody
    somebody.close()


PAGE = """<!doctype html><meta charset=utf-8><body style='margin:0'><input id=i
 style='position:absolute;left:20px;top:20px;width:200px;height:30px' oninput='p.textContent = `so: ${i.value}`'>
<p id=p style='position:absolute;left:20px;top:100px'>nothing</p>"""


def shown(url: str, person: CdpPerson, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Record from the command line while the person types a word; return the exit code and what was said."""
    Path("page.html").write_text(PAGE, "utf-8")
    settings = {"name": "browser", "settings": {"cdp_url": url, "settle": 0.5}}
    task = {"goal": "say sun", "environment": settings, "start": str(Path("page.html").resolve())}
    Path("mine.yaml").write_text(json.dumps({**task, "success": {"kind": "text", "value": "so: sun"}}))
    codes: list[int] = []
    told: list[str] = []
    thread = threading.Thread(target=lambda: codes.append(main(["record", "task=mine.yaml", *options])))
    thread.start()

    def says(text: str) -> bool:
        told.append(capsys.readouterr().out)
        return text in "".join(told) or not thread.is_alive()

    until(lambda: says("Recording."), 180, "the recording")
    assert thread.is_alive(), "".join(told)
    person.sit_down()
    person.click(60, 35)
    until(lambda: says("1. click"), 60, "the click")
    person.type("sunn")
    person.key("Backspace")
    person.mouse("mouseMoved", 40, 122)
    person.key("F7", "", "ctrl")
    person.key("F10", "", "ctrl")
    thread.join(120)
    assert not thread.is_alive()
    told.append(capsys.readouterr().out)
    return codes[0], "".join(told)


@needs_browser
def test_a_person_is_watched_and_their_recording_travels(
    url: str, person: CdpPerson, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = shown(url, person, capsys, "--yes")
    assert code == 0
    (path,) = Path("logs").glob("*-record/episodes/*")
    episode = load_episode(path)
    assert (episode.success, episode.source, episode.outcome.checker) == (True, "person", "text")
    actions = [frame.action for frame in load_demonstration(path).frames]
    assert [type(action) for action in actions] == [Click, Type, Done] and actions[1] == Type("sun")
    assert '2. type text="sun"' in said and "..." not in said  # nothing half-finished on a pipe
    assert read_png(path / "contact_sheet.png").shape[1] > 480
    assert 'success: {kind: text, value: "so: sun"}' in said
    places = [said.index(text) for text in ("must be there: 'so: sun'", "Recorded ", "at a glance", "Learn from it")]
    assert places == sorted(places)
    assert main(["record", "--export", "out", "--format", "agentnet", str(path)]) == 0
    assert main(["record", "--import", "out/agentnet.jsonl", "--format", "agentnet"]) == 0
    (back,) = Path("logs/imported").iterdir()
    assert [frame.action for frame in load_demonstration(back).frames] == actions
    assert main(["replay", "--mode", "template", str(path)]) == 0
    told = capsys.readouterr().out
    assert "it succeeded" in told and "No difference" in told


@needs_browser
def test_what_the_person_does_not_want_is_deleted(
    url: str, person: CdpPerson, elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, said = shown(url, person, capsys)
    assert code == 0 and "Deleted." in said
    assert list(Path("logs").glob("*-record/episodes/*")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--import", "x.jsonl"], "--format NAME"),
        (["--import", "x", "--export", "y", "--format", "agentnet"], "--import FILE or --export FOLDER"),
        (["--import", "x.jsonl", "--format", "agentnet"], "is not there"),
        (["--import", ".", "--format", "agentnot"], "Did you mean 'agentnet'"),
        (["--export", "y", "--format", "agentnet"], "at least one episode"),
        (["record.end=ctrl+nonsense", "task=app/dev/single/0"], "unknown key"),
        (["record.ende=f12"], "Did you mean"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], said: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_malformed_import_names_the_line(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.jsonl").write_text('{"task_id": "a", "instruction": "b", "traj": [{"image": "x.png"}]}\n')
    assert main(["record", "--import", "bad.jsonl", "--format", "agentnet"]) == 2
    assert "bad.jsonl line 1" in capsys.readouterr().err
    assert list(Path("logs/imported").iterdir()) == []


def test_an_import_names_what_it_did_not_use(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[1] / "data/foreign/openadapt/retina.json"
    assert main(["record", "--import", str(file), "--format", "openadapt"]) == 0
    told = capsys.readouterr().out
    assert "place for it: created_at, steps.duration_ms, steps.reward.\n1 imported, 0 left out." in told
