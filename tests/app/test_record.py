"""`record`: what the oracle did is stored as scripted."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.conftest import TASK, MakeConfig

from showonce.app.record import record
from showonce.cli import main
from showonce.demonstrations import load_demonstration, load_episode
from showonce.settings import to_yaml


def test_record_stores_what_the_oracle_did_as_scripted(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    made = record(make(seed=4), oracle=True)
    (path,) = Path("logs").glob("*-t/episodes/*")
    assert (made.path, made.sheet, made.stopped) == (path, None, "")
    shown = load_demonstration(path)
    assert (shown.task_id, shown.source, len(shown.frames)) == (TASK, "oracle", 1)
    assert load_episode(path).seed == 4 and capsys.readouterr() == ("", ""), "verbs print nothing"
    Path("record.yaml").write_text(to_yaml(make(name="again")))
    assert main(["record", "--oracle", "--config", "record.yaml"]) == 0
    (again,) = Path("logs").glob("*-again/episodes/*")
    assert str(again) in capsys.readouterr().out.replace("\n", "")
