"""`replay`: a recording is done again, and the first difference is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.app.conftest import MakeConfig

from showonce.app.record import record
from showonce.app.replay import AS_RECORDED, replay
from showonce.cli import main
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.errors import BadInput, ConfigError, DemonstrationError
from showonce.settings import to_yaml


def test_replay_does_it_again_and_names_the_first_difference(
    make: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    record(make(name="shown"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    config = make(task="", name="again", adapter="none", seed=AS_RECORDED)
    same = replay(path, "coordinates", config)
    assert same.report is not None and same.report.first_difference is None and not same.differs
    assert replay(path, "coordinates", replace(config, seed=9)).differs
    Path("again.yaml").write_text(to_yaml(config))
    words = ["replay", "--config", "again.yaml", str(path)]
    capsys.readouterr()
    assert main([*words, "--check"]) == 0
    assert "No difference" in capsys.readouterr().out
    assert main([*words, "seed=9"]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 recorded actions were done" in said and "First difference at step 1, step: " in said
    assert ".." not in said.replace("\n", "")
    assert main([*words, "seed=9", "--check"]) == 1


def test_replay_of_a_task_of_ones_own_asks_for_its_file(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\n")
    record(make(name="shown", task="mine.yaml"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    config = make(task="", name="again", seed=AS_RECORDED)
    with pytest.raises(DemonstrationError, match=r"task=FILE\.yaml"):
        replay(path, "coordinates", config)
    assert replay(path, "coordinates", replace(config, task="mine.yaml")).report is not None


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
