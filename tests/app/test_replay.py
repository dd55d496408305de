"""`replay`: a recording is done again, and the first difference is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.app.conftest import MakeConfig

from showonce.actions import Action
from showonce.app.record import record
from showonce.app.replay import replay
from showonce.app.tasks import task_of_episode, tasks_of
from showonce.cli import main
from showonce.cli.codes import DIFFERS, NOT_REACHED, STOPPED
from showonce.config import AS_RECORDED, EnvironmentConfig
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.errors import BadInput, ConfigError, DemonstrationError
from showonce.protocols import Interrupt
from showonce.runs.index import read_index
from showonce.settings import to_yaml
from showonce.types import Executed, Observation, Task


def test_replay_does_it_again_and_names_the_first_difference(
    make: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    record(make(name="shown"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    config = make(task="", name="again", adapter="none", seed=AS_RECORDED)
    same = replay(path, "coordinates", config)
    assert same.report is not None and same.report.reached and not same.report.differs
    failed = replay(path, "coordinates", replace(config, seed=9)).report
    assert failed is not None and failed.differs and not failed.reached
    Path("again.yaml").write_text(to_yaml(config))
    words = ["replay", "--config", "again.yaml", str(path)]
    capsys.readouterr()
    assert main([*words, "--check"]) == 0
    assert "No difference" in capsys.readouterr().out
    assert main([*words, "seed=9"]) == NOT_REACHED
    said = capsys.readouterr().out
    assert "1 of 1 recorded actions were done" in said and "First difference at step 1, step: " in said
    assert "it failed, the goal was not reached (failed: " in said
    assert ".." not in said.replace("\n", "")
    assert main([*words, "seed=9", "--check"]) == NOT_REACHED


def test_what_differs_and_succeeds_is_1_with_check_alone(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(make(name="shown"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    observe = EmbeddedWorld.observe

    def scratched(self: EmbeddedWorld) -> Observation:
        seen = observe(self)
        image = seen.image.copy()
        image[0, 0] = 7
        return replace(seen, image=image)

    monkeypatch.setattr(EmbeddedWorld, "observe", scratched)
    monkeypatch.setattr(EmbeddedWorld, "reset", _then_observed(EmbeddedWorld.reset))
    assert main(["replay", str(path)]) == 0
    assert main(["replay", str(path), "--check"]) == DIFFERS
    said = capsys.readouterr().out
    assert "it succeeded (completed" in said and "First difference at step 1, frame: 1 of" in said


def _then_observed(reset: Callable[..., Observation]) -> Callable[..., Observation]:
    def change(self: EmbeddedWorld, task: Task, seed: int | None = None) -> Observation:
        reset(self, task, seed)
        return self.observe()

    return change


@pytest.mark.parametrize(
    ("executed", "said"),
    [
        ({"action": "open", "target": "nowhere"}, "max steps: refused by the environment: not here"),
        ({"action": "ask", "question": "Which of the two?"}, "denied: Which of the two?"),
        ({"action": "wait", "seconds": 0.1}, "claimed: 'goal' is not in the text of the screen"),
    ],
)
def test_a_failed_replay_says_why_on_the_terminal_in_the_summary_and_in_the_index(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    executed: dict[str, object], said: str,
) -> None:  # fmt: skip
    Path("mine.yaml").write_text("goal: click red circle\n")
    record(make(name="shown", task="mine.yaml"), oracle=True)
    Path("mine.yaml").write_text("goal: click red circle\nsuccess: {kind: text, value: goal}\n")
    execute = EmbeddedWorld.execute

    def picky(self: EmbeddedWorld, action: Action, interrupt: Interrupt) -> Executed:
        if action.verb == "open":
            raise BadInput("not here")
        return execute(self, action, interrupt)

    monkeypatch.setattr(EmbeddedWorld, "execute", picky)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    line = json.loads((path / "steps.jsonl").read_text().splitlines()[0])
    line["proposed"] = line["approved"] = line["executed"] = executed
    (path / "steps.jsonl").write_text(json.dumps(line) + "\n")
    assert main(["replay", str(path), "task=mine.yaml", "limits.max_steps=3"]) == NOT_REACHED
    assert said in capsys.readouterr().out.replace("\n", " ")
    (folder,) = Path("logs").glob("*-replay")
    page = (folder / "summary.md").read_text()
    assert "the goal was not reached: " in page and said in page
    record_ = read_index("logs")[-1]
    assert (record_.kind, record_.attempts, record_.success, record_.checker) == ("replay", 1, 0, "text")
    assert said.startswith(record_.ended.replace("_", " "))


def test_a_replay_without_a_check_is_done_when_everything_was_done(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\n")
    record(make(name="shown", task="mine.yaml"), oracle=True)
    Path("mine.yaml").write_text("goal: click red circle\nsuccess: none\n")
    (path,) = Path("logs").glob("*-shown/episodes/*")
    assert main(["replay", str(path), "task=mine.yaml", "--check"]) == 0
    assert main(["replay", str(path), "task=mine.yaml", "limits.max_steps=1"]) == 0


def test_a_replay_that_is_stopped_in_its_only_episode_is_130(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(make(name="shown"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    execute = EmbeddedWorld.execute

    def stopped(self: EmbeddedWorld, action: Action, interrupt: Interrupt) -> Executed:
        (folder,) = Path("logs").glob("*-replay")
        (folder / "STOP").touch()
        return execute(self, action, interrupt)

    monkeypatch.setattr(EmbeddedWorld, "execute", stopped)
    assert main(["replay", str(path)]) == STOPPED
    assert "STOP was found" in capsys.readouterr().err
    assert read_index("logs")[-1].status == "stopped"


def test_an_episode_knows_its_task_and_how_its_screen_was_opened(make: MakeConfig) -> None:
    Path("mine.yaml").write_text(
        "goal: click red circle\nlimits: {max_steps: 7}\nenvironment: {name: embedded, settings: {theme: dark}}\n"
    )
    path = record(
        make(name="shown", task="mine.yaml", environment=EnvironmentConfig(settings={"layout": 3})), True
    ).path
    assert path is not None
    config = make(task="", name="again", seed=AS_RECORDED, adapter="none")
    held = task_of_episode(path)
    assert (held.id, held.goal, held.limits.max_steps) == ("user/mine", "click red circle", 7)
    assert (held.environment, held.settings) == ("embedded", {"theme": "dark", "layout": 3})
    Path("mine.yaml").unlink()
    same = replay(path, "coordinates", config).report
    assert same is not None and same.first_difference is None
    settings = EnvironmentConfig(settings={"theme": "light"})
    other = replay(path, "coordinates", replace(config, environment=settings, given=("environment.settings.theme",)))
    assert other.report is not None and other.report.first_difference is not None, "the command line wins"
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps({key: value for key, value in meta.items() if key != "task"}))
    with pytest.raises(DemonstrationError, match=r"task=FILE\.yaml"):
        replay(path, "coordinates", config)


def test_an_episode_starts_no_program_that_no_task_file_here_names(make: MakeConfig) -> None:
    file = Path("mine.yaml")
    file.write_text("goal: click red circle\nreset: {command: touch reset.txt}\n")
    path = record(make(name="shown", task="mine.yaml"), oracle=True).path
    assert path is not None
    Path("reset.txt").unlink()
    config = make(task="", name="again", seed=AS_RECORDED, adapter="none")
    assert replay(path, "coordinates", config).report is not None and Path("reset.txt").exists()
    Path("reset.txt").unlink()
    for change in (lambda: file.write_text("goal: click red circle\nreset: {command: rm x}\n"), file.unlink):
        change()
        with pytest.raises(DemonstrationError, match=r"'touch reset\.txt' here.*task=FILE\.yaml"):
            replay(path, "coordinates", config)
    assert not Path("reset.txt").exists()
    meta = json.loads((path / "meta.json").read_text())
    held = {**meta["task"], "reset": "environment", "environment": {"name": "evil.module:Screen"}}
    (path / "meta.json").write_text(json.dumps({**meta, "task": held}))
    with pytest.raises(DemonstrationError, match=r"'evil\.module:Screen' here"):
        replay(path, "coordinates", config)


def test_a_demonstration_named_on_the_command_line_brings_its_task(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\n")
    path = record(make(name="shown", task="mine.yaml"), oracle=True).path
    config = make(demonstration=str(path), given=("demonstration",))
    assert [task.id for task in tasks_of(config)] == ["user/mine"]
    assert [task.id for task in tasks_of(replace(config, given=("demonstration", "task")))] == [config.task]
    assert [task.id for task in tasks_of(replace(config, given=()))] == [config.task]


def test_an_incomplete_recording_is_replayed_with_a_warning_first(
    make: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(make(name="shown"), oracle=True).path
    assert path is not None
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps({**meta, "lost": [{"step": 0, "text": "a drag in a canvas"}]}))
    Path("again.yaml").write_text(to_yaml(make(task="", name="again", adapter="none", seed=AS_RECORDED)))
    assert main(["replay", "--config", "again.yaml", str(path)]) == 0
    said = capsys.readouterr()
    assert "the recording is incomplete" in said.err and "before step 1: a drag in a canvas" in said.err
    assert "No difference" in said.out


def test_replay_modes(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'template'"):
        replay(Path("x"), "templates", make())


def test_the_environment_is_closed_when_an_error_ends_the_verb(
    make: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record(make(run_dir="there"), oracle=True)
    assert made.path is not None
    closed: list[str] = []
    monkeypatch.setattr(EmbeddedWorld, "close", lambda self: closed.append("closed"))
    with pytest.raises(BadInput, match="holds a run already"):
        record(make(run_dir="there"), oracle=True)
    with pytest.raises(BadInput, match="holds a run already"):
        replay(made.path, "coordinates", make(run_dir="there", seed=AS_RECORDED))
    assert closed == ["closed", "closed"]
