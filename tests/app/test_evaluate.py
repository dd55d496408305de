"""`eval` on the toy model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.app.conftest import TASK, MakeConfig

from showonce.app.evaluate import evaluate
from showonce.cli import main
from showonce.settings import to_yaml


def test_eval_scores_a_set_and_goes_on_in_its_folder(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = replace(make().evaluation, set="single", split="dev", apps=2, seeds=(0,), screens=2)
    config = make(evaluation=evaluation, adapter="none", run_dir="scores")
    made = evaluate(config)
    rows = Path("scores/results.jsonl").read_text()
    assert (
        len(rows.splitlines()) == 4 and made.score is not None and set(made.score.results) == {TASK, "app/dev/single/1"}
    )
    assert capsys.readouterr() == ("", ""), "verbs print nothing"
    Path("scores.yaml").write_text(to_yaml(config))
    assert main(["eval", "--config", "scores.yaml"]) == 0
    assert "app/dev/single/1" in capsys.readouterr().out
    assert Path("scores/results.jsonl").read_text() == rows, "nothing is measured twice"
