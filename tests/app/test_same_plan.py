"""Every phase measures the same: one task, one success check, the same limits, environment, fence and seeds."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import TASK, MakeConfig
from tests.toys import lesson_config

from showonce.app.plan import make_plan
from showonce.app.record import record
from showonce.app.run import run
from showonce.config import Config, EnvironmentConfig, ExperimentConfig, LimitsConfig, SafetyConfig, SuccessConfig
from showonce.environments.factory import EnvironmentFactory
from showonce.environments.registry import find_task
from showonce.evaluation import runner
from showonce.evaluation.fresh import Measurement
from showonce.protocols import Environment
from showonce.runs.event_file import read_events
from showonce.runtime import player
from showonce.types import Limits, Success, Task

FENCE = SafetyConfig(region=(0.0, 0.0, 1.0, 0.995))
SCREENS = 2


@pytest.fixture
def config(make: MakeConfig) -> Config:
    """A run whose config decides about everything that a task could decide, too."""
    shown = record(make(name="shown"), oracle=True).path
    return make(
        run_dir="here",
        demonstration=str(shown),
        success=SuccessConfig(file="never-there.txt"),
        limits=LimitsConfig(max_steps=3, max_parse_failures=1),
        environment=EnvironmentConfig(settings={"theme": "dark"}),
        safety=FENCE,
        learning=lesson_config(
            gate={"budget_run": 2}, sdft={"batch_size": 2}, practice={"episodes": 2},
            ratchet={"min_probes_best": 1, "canary_screens": 0, "probe_every": 2, "probe_batch": 1},
        ),
        experiment=ExperimentConfig(
            "one_demo", eval_screens=SCREENS, retention_per_family=1, baselines=("replay_coordinates", "sft_demo")
        ),
    )  # fmt: skip


class Spy:
    """Notes with which task, limits and seed every episode is played, and from what its environment was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tasks: dict[str, list[Task]] = {}
        self.limits: dict[str, list[Limits]] = {}
        self.seeds: dict[str, set[int]] = {}
        self.environments: list[dict[str, Any]] = []
        for module in (runner, player):
            monkeypatch.setattr(module, "run_episode", self._noting(module.run_episode))  # type: ignore[attr-defined]
        made = EnvironmentFactory.__call__

        def make(factory: EnvironmentFactory, task: Task) -> Environment:
            self.environments.append(asdict(factory))
            return made(factory, task)

        monkeypatch.setattr(EnvironmentFactory, "__call__", make)

    def _noting(self, real: Any) -> Any:
        def run_episode(environment: Environment, policy: Any, task: Task, **how: Any) -> Any:
            self.tasks.setdefault(how["phase"], []).append(task)
            self.limits.setdefault(how["phase"], []).append(how["limits"] or task.limits)
            self.seeds.setdefault(how["phase"], set()).add(how["seed"])
            return real(environment, policy, task, **how)

        return run_episode


def test_every_phase_is_given_the_same_plan(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    plan = make_plan(config, learning=True).placed(Path("here"))
    assert not run(config).stopped
    (task,) = plan.tasks
    assert (task.success, task.limits.max_steps, task.limits.max_parse_failures) == (
        Success("file", "never-there.txt"), 3, 1,
    )  # fmt: skip
    phases = {"before", "teacher", "practice", "probe", "after:off", "baseline"}
    assert phases <= spy.tasks.keys()
    for phase in phases:
        assert all(one == task for one in spy.tasks[phase]), phase
    for phase in ("retention:before", "retention:after"):
        assert {one.limits for one in spy.tasks[phase]} == {replace(find_task("skill/ask").limits, max_steps=3,
                                                                   max_parse_failures=1)}  # fmt: skip
        assert spy.seeds[phase] == set(plan.seeds.take("retention", 1))
    for phase, limits in spy.limits.items():
        assert {(one.max_steps, one.max_parse_failures) for one in limits} == {(3, 1)}, phase
    screens = plan.seeds.take("evaluation", SCREENS)
    assert all(spy.seeds[phase] == set(screens) for phase in ("before", "teacher", "after:off", "baseline"))
    assert {json.dumps(one) for one in spy.environments} == {json.dumps(asdict(plan.environment))}

    report = json.loads(Path("here/after.json").read_text())
    assert report["process"] != 0 and report["seeds"] == [screens.start, screens.stop]
    assert report["resolved"] == json.loads(json.dumps({"task": asdict(task), "environment": asdict(plan.environment)}))
    assert {row["reason"] for row in report["rows"]} and all(row["steps"] <= 3 for row in report["rows"])
    assert not any(row["success"] for row in report["rows"]), "the config's success check decides in that process, too"
    assert len(read_events(Path("here/events.jsonl"))) > 0


def test_a_plan_hands_over_what_it_resolved(config: Config) -> None:
    plan = make_plan(config).placed(Path("here"))
    order = plan.measurement(plan.tasks[0], range(3, 5), Path("v0001"))
    assert Measurement.from_json(json.loads(json.dumps(order.to_json()))) == order
    assert (order.task, order.environment, order.seeds) == (plan.tasks[0], plan.environment, range(3, 5))
    assert order.environment.fence == FENCE and order.environment.downloads == str(Path("here/downloads"))


def test_limits_that_the_config_leaves_alone_are_the_tasks_own(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\nlimits: {max_steps: 5, unchanged: 2}\n")
    limits = LimitsConfig(max_steps=12, unchanged=9, same_action=6)
    (task,) = make_plan(make(task="mine.yaml", limits=limits)).tasks
    assert (task.limits.max_steps, task.limits.unchanged, task.limits.same_action) == (5, 2, 6)
    (task,) = make_plan(make(task="mine.yaml", limits=limits, given=("limits.max_steps", "limits.unchanged"))).tasks
    assert (task.limits.max_steps, task.limits.unchanged) == (12, 9), "the command line wins, by a default value, too"
    plan = make_plan(make(limits=LimitsConfig(max_seconds=5.0)))
    assert plan.limited(find_task(TASK)).limits.max_seconds == 5.0 and plan.limited(find_task(TASK)).goal


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        (Task("app/x", "g", "embedded", split="dev"), ("browser", {"headless": True, "downloads": "d"})),
        (Task("user/x", "g", "embedded", {"theme": "dark"}), ("embedded", {"theme": "dark"})),
        (Task("user/x", "g", "browser", {"headless": False}), ("browser", {"headless": False, "downloads": "d"})),
    ],
)
def test_which_environment_a_task_is_done_in(task: Task, wanted: tuple[str, dict[str, Any]]) -> None:
    assert EnvironmentFactory("browser", {"headless": True}, downloads="d").resolve(task) == wanted
