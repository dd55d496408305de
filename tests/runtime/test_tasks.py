from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.browsers import NO_BROWSER
from tests.fakes import AlwaysAllow, AlwaysDeny, Board, ScriptedPolicy, board_task

from showonce.actions import Done
from showonce.environments.registry import make_environment, oracle_for
from showonce.errors import EnvironmentBroken, TaskError
from showonce.runtime.completion import KINDS, make_checker
from showonce.runtime.loop import run_episode
from showonce.runtime.tasks import RESETS, load_task, reset_task
from showonce.types import Limits, StopReason, Success, Task

EXAMPLES = sorted((Path(__file__).parents[2] / "configs" / "tasks").rglob("*.yaml"))
DESKTOP = [path for path in EXAMPLES if load_task(path).environment == "desktop"]  # done in desktop/test_environment.py
PAGES = [path for path in EXAMPLES if load_task(path).environment == "browser"]  # done in test_site.py


def task_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "box.yaml"
    path.write_text(text, "utf-8")
    return path


def refused(tmp_path: Path, text: str, *words: str) -> None:
    path = task_file(tmp_path, text)
    with pytest.raises(TaskError) as told:
        load_task(path)
    for word in (str(path), *words):
        assert word in str(told.value), told.value


def test_a_goal_is_enough(tmp_path: Path) -> None:
    assert load_task(task_file(tmp_path, "goal: click ok")) == Task("user/box", "click ok", environment="")


def test_everything(tmp_path: Path) -> None:
    text = """
    id: mine/box
    goal: schließe die Box
    environment: {name: embedded, settings: {moved: true, layout: 2}}
    start: somewhere
    success: {kind: text, value: 42}
    reset: "command:rm -f x"
    limits: {max_steps: 3, max_seconds: 7.5, same_action: 0}
    redact: [[0, 0.5, 1, 1]]
    """
    assert load_task(task_file(tmp_path, text)) == Task(
        "mine/box", "schließe die Box", "embedded", {"moved": True, "layout": 2}, "somewhere", Success("text", "42"),
        "command:rm -f x", Limits(max_steps=3, max_seconds=7.5, same_action=0), redact=((0.0, 0.5, 1.0, 1.0),),
    )  # fmt: skip


def test_a_shipped_example_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_task("configs/tasks/success_world.yaml").success.kind == "world"
    with pytest.raises(TaskError, match="success_world"):
        load_task("configs/tasks/sucess_world.yaml")


def test_short_forms(tmp_path: Path) -> None:
    text = "goal: g\nenvironment: board\nsuccess: none\nreset: {command: make reset}\n"
    task = load_task(task_file(tmp_path, text))
    assert (task.environment, task.success.kind, task.reset) == ("board", "none", "command:make reset")
    assert load_task(task_file(tmp_path, "goal: g\nreset: none")).reset == "none"
    assert load_task(task_file(tmp_path, "goal: g\nreset: null")).reset == "none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("goal: g\nsucess: world", ["'sucess'", "Did you mean 'success'?"]),
        ("goal: g\nenvironment: {nam: x}", ["'environment.nam'", "Did you mean 'name'?"]),
        ("goal: g\nsuccess: {king: x}", ["'success.king'", "'kind'"]),
        ("goal: g\nlimits: {max_step: 3}", ["'limits.max_step'", "Did you mean 'max_steps'?"]),
        ("goal: g\nreset: {comand: x}", ["'reset.comand'", "'command'"]),
        ("goal: g\nsuccess: wrold", ["success.kind 'wrold'", "Did you mean 'world'?"]),
        ("goal: g\nreset: enviroment", ["reset 'enviroment'", "Did you mean 'environment'?"]),
        ("goal: g\nreset: 'none:x'", ["reset 'none:x'"]),
        ("goal: g\nreset: 'command: '", ["needs a command"]),
        ("goal: g\nsuccess: text", ["needs success.value"]),
        ("goal: [a]", ["goal must be text"]),
        ("goal: true", ["goal must be text", "quotes"]),
        ("id: x", ["goal is missing"]),
        ("goal: ' '", ["goal is missing"]),
        ("", ["is empty"]),
        ("- goal: g", ["must hold keys with values"]),
        ("goal: g\nlimits: {max_steps: many}", ["limits.max_steps must be a whole number"]),
        ("goal: g\nlimits: {max_steps: 2.5}", ["limits.max_steps must be a whole number"]),
        ("goal: g\nlimits: {max_seconds: -1}", ["limits.max_seconds=-1.0 must be a number in [0, 10000000]"]),
        ("goal: g\nlimits: {max_steps: 0}", ["limits.max_steps=0 must be a number in [1, 100000]"]),
        ("goal: g\nlimits: {max_seconds: .nan}", ["limits.max_seconds must be a number, not nan"]),
        ("goal: g\nlimits: 3", ["limits must be keys with values"]),
        ("goal: g\nenvironment: {name: embedded, settings: {teme: dark}}", ["'teme'", "Did you mean 'theme'?"]),
        ("goal: g\nenvironment: {name: browser, settings: {width: wide}}", ["environment.settings.width must be"]),
        ("goal: g\nenvironment: {name: brwser, settings: {width: 9}}", ["Did you mean 'browser'?"]),
        ("goal: g\nenvironment: {settings: [1]}", ["environment.settings must be keys with values"]),
        ("goal: g\nredact: [[0, 0, 2, 1]]", ["left, top, right, bottom"]),
        ("goal: g\n 3: x", ["line 2"]),
        ("goal: 'g\n\n", ["line", "is not valid YAML"]),
        ("goal: {g\nsuccess: world", ["line 2", "is not valid YAML"]),
        ("goal: g\n\tsuccess: world", ["line 2", "is not valid YAML"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(tmp_path, text, *words)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no task file .*none\.yaml.*configs/tasks"):
        load_task(tmp_path / "none.yaml")
    with pytest.raises(TaskError, match="cannot be read"):
        load_task(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"goal: \xff\xfe")
    with pytest.raises(TaskError, match="is not UTF-8 text"):
        load_task(tmp_path / "a.yaml")


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    refused(tmp_path, f"goal: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']", "line 1")
    assert not (tmp_path / "made").exists()


def test_every_kind_has_a_shipped_example() -> None:
    tasks = {path.stem: load_task(path) for path in EXAMPLES}
    assert {t.success.kind for t in tasks.values()} == set(KINDS)
    assert {t.reset.partition(":")[0] for t in tasks.values()} == set(RESETS)
    assert len(tasks) == len(KINDS) + len(RESETS) + len(DESKTOP)
    assert len({t.id for t in tasks.values()}) == len(tasks)


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path not in DESKTOP], ids=lambda path: path.stem)
def test_a_shipped_example_says_how_to_run_it_and_starts(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# ")
    assert re.search(rf"^#   showonce run task=configs/tasks/{path.name}$", text, re.M)
    task = load_task(path)
    if path in PAGES and NO_BROWSER:
        pytest.skip(NO_BROWSER)
    environment = make_environment(task.environment, **task.settings)
    screen = reset_task(task, environment, seed=1, person=AlwaysAllow())
    assert screen.image.size
    assert make_checker(task, environment, AlwaysAllow()).name == task.success.kind
    environment.close()


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path not in [*PAGES, *DESKTOP]], ids=lambda path: path.stem
)
def test_a_shipped_example_can_be_done(path: Path) -> None:
    task = load_task(path)
    environment = make_environment(task.environment, **task.settings)
    oracle = oracle_for(environment)
    if task.success.kind == "text" and reset_task(task, environment, 1).text is None:
        pytest.skip("the embedded world gives no text of its screen")
    number = int(task.start.removeprefix("screen ") or 1)
    policy = ScriptedPolicy([lambda screen, context: oracle() if environment.verify().success is None else Done()])
    episode = run_episode(environment, policy, task, seed=number, approver=AlwaysAllow())
    if task.success.kind == "none":
        assert (episode.stop_reason, episode.outcome.success) == (StopReason.CLAIMED, None)
    else:
        assert episode.stop_reason is StopReason.COMPLETED
        assert episode.outcome.checker == task.success.kind


def test_a_reset_by_command(tmp_path: Path) -> None:
    task = replace(board_task(), reset=f"command:echo ready > {tmp_path / 'state'}")
    board = Board()
    assert reset_task(task, board, seed=3).hash == Board().reset(board_task(), 3).hash
    assert (tmp_path / "state").read_text() == "ready\n"


def test_a_command_that_fails_is_a_broken_environment() -> None:
    task = replace(board_task(), reset="command:echo the server is down >&2; exit 3")
    board = Board()
    with pytest.raises(EnvironmentBroken, match="ended with 3: the server is down"):
        reset_task(task, board)


def test_a_command_gets_no_input() -> None:
    assert reset_task(replace(board_task(), reset="command:cat"), Board()).image.size


def test_a_person_prepares_and_confirms() -> None:
    task = replace(board_task(), reset="ask_person")
    assert reset_task(task, Board(), 1, AlwaysAllow()).image.size
    with pytest.raises(EnvironmentBroken, match="did not confirm"):
        reset_task(task, Board(), 1, AlwaysDeny())


def test_an_unknown_reset_of_a_task_made_in_code() -> None:
    with pytest.raises(TaskError, match="Did you mean 'none'"):
        reset_task(replace(board_task(), reset="nome"), Board())


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"goal: \xff", "is not UTF-8 text (byte 6)"), (b"", "is empty; it must hold `key: value` lines")],
)
def test_a_file_without_text_is_told_in_the_words_of_a_config(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(TaskError) as caught:
        load_task(tmp_path / "mine.yaml")
    assert told in str(caught.value)
