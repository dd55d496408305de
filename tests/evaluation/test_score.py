"""A named set is scored on fixed seeds, once, and written down."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.benchfactory import embedded

from showonce.cli.reports import score_table
from showonce.config import EvaluationConfig
from showonce.errors import ConfigError
from showonce.evaluation.results import Results
from showonce.evaluation.score import Score, chosen_set, score, seeds_of
from showonce.policy.vlm_policy import VLMPolicy
from showonce.seeds import Seeds


def scored(ours: EvaluationConfig, policy: VLMPolicy, folder: Path) -> Score:
    return score(chosen_set(ours), seeds_of(ours, Seeds()), policy, embedded, folder)


def test_a_set_is_scored_and_a_second_call_measures_nothing(policy: VLMPolicy, tmp_path: Path) -> None:
    ours = EvaluationConfig(set="single", split="dev", apps=2, screens=2, seeds=(0, 3))
    made = scored(ours, policy, tmp_path)
    assert list(made.results) == ["app/dev/single/0", "app/dev/single/1"]
    seeds = [*Seeds().take("evaluation", 2), *Seeds(3).take("evaluation", 2)]
    assert [row.seed for row in made.results["app/dev/single/0"].rows] == seeds
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["tasks"]["app/dev/single/1"]["n"] == 4
    assert record["mean"] == made.mean.mean
    lines = (tmp_path / "results.jsonl").read_text()
    assert scored(ours, policy, tmp_path).record == made.record
    assert (tmp_path / "results.jsonl").read_text() == lines
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(score_table(made))
    assert "app/dev/single/1" in console.export_text()


def test_skills_have_a_number_of_screens_of_their_own(policy: VLMPolicy, tmp_path: Path) -> None:
    made = scored(EvaluationConfig(per_family=1), policy, tmp_path)
    assert len(made.results) == made.mean.n_units == 20
    assert all(result.n == 1 for result in made.results.values())
    assert len(Results(tmp_path / "results.jsonl").rows("skills")) == 20


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(ConfigError, match="'skills'"):
        chosen_set(EvaluationConfig(set="skils"))
