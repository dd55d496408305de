"""The phases on one demonstration, for real: before, teacher, learn, after in a new process, adapter off, baselines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes import events_in
from tests.toys import lesson_config

from showonce.app.phases import ADAPTER_OFF, BEFORE, OFF, Scores, same_row
from showonce.app.run import run
from showonce.config import AdapterConfig, Config, DashboardConfig, ExperimentConfig, PolicyConfig
from showonce.environments.registry import find_task
from showonce.errors import BadInput, DemonstrationError, ShowonceError
from showonce.evaluation.results import EvalResult, Results, Row, StepScore
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.adapter_store import AdapterStore
from showonce.protocols import Capabilities
from showonce.runs.layout import RESULTS
from showonce.seeds import Seeds

MakeConfig = Callable[..., Config]
SCREENS = 3


@pytest.fixture
def make(toy_checkpoint: Path, elsewhere: Path) -> MakeConfig:
    """Return a function that makes the config of a small experiment; keywords are fields of `ExperimentConfig`."""

    def build(changes: dict[str, Any] | None = None, **experiment: Any) -> Config:
        base = Config(
            name="t",
            task="app/dev/single/0",
            policy=PolicyConfig(checkpoint=str(toy_checkpoint), adapter=AdapterConfig("lora", rank=4)),
            learning=lesson_config(
                gate={"budget_run": 4},
                sdft={"batch_size": 2},
                practice={"episodes": 2},
                ratchet={"min_probes_best": 2, "canary_screens": 0},
            ),
            experiment=ExperimentConfig("one_demo", eval_screens=SCREENS, retention_per_family=1),
            dashboard=DashboardConfig("off"),
            run_dir="here",
        )
        return replace(base, experiment=replace(base.experiment, **experiment), **(changes or {}))

    return build


OWN = """
from showonce.learning.methods.imitation import SFTDemonstration

class Mine(SFTDemonstration):
    name = "mine"
"""


def metrics() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("here/metrics.json").read_text())
    return found


def events(kind: str) -> list[dict[str, Any]]:
    return [e for e in events_in("here") if e["kind"] == kind]


@pytest.mark.slow
def test_all_phases_are_measured_and_what_was_learned_is_measured_elsewhere(make: MakeConfig) -> None:
    Path("my_baseline.py").write_text(OWN)
    config = make(baselines=("replay_coordinates", "my_baseline.py:Mine"))
    assert not run(config).stopped
    found = metrics()
    for phase in ("before", "teacher", "after", "adapter_off"):
        assert found[phase]["n"] == SCREENS and 0 <= found[phase]["low"] <= found[phase]["success"] <= 1
    assert found["reasons"] == {}
    names = [event["name"] for event in events("phase")]
    assert names == ["before", "teacher", "retention:before", "learn", "after", "retention:after", "after:off",
                     "baseline:replay_coordinates", "baseline:my_baseline.py:Mine"]  # fmt: skip

    elsewhere = found["after"]["new_process"]
    assert elsewhere["process"] != os.getpid()
    assert elsewhere["demonstrations"] == 0 == elsewhere["cached_prefixes"]
    with AdapterStore("adapters", "here", readonly=True) as store:
        assert elsewhere["adapter_hash"] == content_hash(store.load().tensors)
        assert store.champion == "v0001" and found["checkpoint"] == str(store.folder("v0001"))
    assert found["adapter_off"]["same_as_before"] is True
    assert set(found["baselines"]) == {"replay_coordinates", "my_baseline.py:Mine"}
    assert found["retention"]["n_per_family"] == 1 and found["calibration"]["after"]["n"] > 0
    assert found["demonstration"]["source"] == "oracle"
    check_that_screens_are_apart()

    rows = Path("here", RESULTS).read_text()
    measured = len(events("phase_result"))
    practice = replace(config.learning.practice, episodes=config.learning.practice.episodes + 1)
    more = replace(config, run_dir="", resume="here", learning=replace(config.learning, practice=practice))
    assert not run(more).stopped
    assert Path("here", RESULTS).read_text() == rows or metrics()["checkpoint"] != found["checkpoint"]
    assert len(events("phase_result")) > measured, "what was measured before is told again"
    assert metrics()["updates"]["accepted"] <= config.learning.gate.budget_run


def check_that_screens_are_apart() -> None:
    """Nothing that was measured was shown or practised."""
    results = Results(Path("here", RESULTS))
    measured = {row.seed for row in results.rows()}
    results.close()
    played = {e["seed"] for e in events("episode_started")}
    assert measured and played and not measured & played
    ranges = {use: Seeds().bounds(use) for use in ("demonstration", "practice", "probe")}
    for event in events("episode_started"):
        assert event["seed"] in ranges[event["phase"]]


def test_without_learning_there_is_no_after(make: MakeConfig) -> None:
    config = make()
    config = replace(config, learning=replace(config.learning, enabled=False), adapter="none")
    assert not run(config).stopped
    found = metrics()
    assert found["before"]["n"] == SCREENS == found["teacher"]["n"]
    assert found["after"] is None and "learning is off" in found["reasons"]["after"]
    assert found["retention"] is None and found["calibration"]["after"] is None


def test_it_needs_one_task_that_can_be_shown_and_measured(make: MakeConfig) -> None:
    with pytest.raises(BadInput, match="one task"):
        run(make({"tasks": ("app/dev/single/0", "app/dev/single/1"), "run_dir": "a"}))
    with pytest.raises(DemonstrationError, match="showonce record"):
        run(make({"demonstration": "none", "run_dir": "b"}))
    Path("asks.yaml").write_text("goal: click red circle\nsuccess: ask_person\n")
    with pytest.raises(BadInput, match="nothing but a person"):
        run(make({"task": "asks.yaml", "run_dir": "c"}))


def test_a_skill_draws_its_goal_and_cannot_be_shown_once(make: MakeConfig) -> None:
    with pytest.raises(DemonstrationError, match="needs a demonstration"):
        run(make({"task": "skill/click_icon"}))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"success": False}, False),
        ({"steps": 2}, False),
        ({"reason": "guard"}, False),
        ({"steps_scored": (StepScore(None, 0.5004, None, True),)}, True),
        ({"steps_scored": (StepScore(None, 0.6, None, True),)}, False),
    ],
)
def test_rows_are_the_same_up_to_the_rounding_of_batches(changes: dict[str, Any], same: bool) -> None:
    row = Row("p", "t", 0, "a", True, "completed", 1, steps_scored=(StepScore(None, 0.5, None, True),))
    assert same_row(row, replace(row, **changes)) is same


@pytest.mark.parametrize("exact", [True, False])
def test_only_on_exact_screens_does_another_answer_mean_that_the_model_was_changed(exact: bool) -> None:
    scores = object.__new__(Scores)
    kinds = Capabilities(resettable=True, seeded=True, verifiable=True, side_effects=False, exact=exact)
    found: dict[str, Any] = {ADAPTER_OFF: {}}
    scores.task = find_task("skill/click_icon")
    player = SimpleNamespace(environment=lambda task: SimpleNamespace(capabilities=kinds))
    scores.live = cast(Any, SimpleNamespace(writer=SimpleNamespace(found=found), player=player))
    rows = {part: (Row(part, "t", 1, part, part == BEFORE, "", 1, 0, "base"),) for part in (BEFORE, OFF)}
    scores.measure = lambda *_: None  # type: ignore[method-assign]
    scores._result = lambda part: EvalResult("t", part, rows[part])  # type: ignore[method-assign]
    with pytest.raises(ShowonceError, match="frozen model") if exact else nullcontext():
        scores.measure_off()
    assert found[ADAPTER_OFF] == {"same_as_before": False}
