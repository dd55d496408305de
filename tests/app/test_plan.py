"""A recording of a task whose goal is drawn anew with every seed is found by its task, on a screen of its size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.browsers import needs_miniwob
from tests.fakes import Recorder

from showonce.app.demonstration import demonstration_for, recorded_of
from showonce.app.experiment import check_one_demonstration
from showonce.app.plan import careful, make_plan
from showonce.app.record import record
from showonce.environments.registry import find_task
from showonce.runtime.safety import RISKY
from showonce.runtime.stop import Stop
from showonce.settings import load_config


@needs_miniwob
def test_a_recording_under_a_drawn_goal_is_found(elsewhere: Path) -> None:
    config = load_config("miniwob", ["task=miniwob/click-test-2", "dashboard.mode=off", "adapter=none"])
    task = find_task("miniwob/click-test-2")
    plan = make_plan(config).placed(elsewhere / "run")
    assert not task.goal and recorded_of(plan, task) is None
    assert not record(config, oracle=True).stopped
    check_one_demonstration(plan)
    environment = plan.environment(task)
    events = Recorder()
    shown = demonstration_for(plan, task, environment, events, Stop())
    assert shown is not None and shown.task_id == task.id and shown.goal.startswith("Click button")
    other = find_task("miniwob/click-test")
    assert demonstration_for(plan, other, environment, events, Stop()) is None
    environment.close()
    larger = replace(config, environment=replace(config.environment, shipped={"area": "task"}))
    plan = make_plan(larger).placed(elsewhere / "run")
    environment = plan.environment(task)
    assert demonstration_for(plan, task, environment, events, Stop()) is None
    environment.close()


@pytest.mark.parametrize(
    ("task", "words", "attempts", "mode", "asks"),
    [
        ("environment: browser\nstart: https://crm.example/", (), 1, "confident", True),
        ("environment: browser\nstart: https://crm.example/", ("experiment.episodes=3", "safety=free"), 3, "free", 0),
        ("environment: browser\nstart: https://crm.example/", ("safety.ask_words=[ship]",), 1, "confident", False),
        ("environment: browser\nstart: site:login", (), 10, "free", False),
        ("environment: desktop", (), 1, "confident", False),  # nothing there tells which words stand under a point
        ("environment: embedded", (), 10, "free", False),
    ],
)  # fmt: skip
def test_own_tasks_on_real_screens_are_done_with_care(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    words: tuple[str, ...],
    attempts: int,
    mode: str,
    asks: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("goal: do it\nsuccess: {kind: text, value: done}\n" + task + "\n", encoding="utf-8")
    config, told = careful(load_config("run", ["task=mine.yaml", *words]))
    assert (config.experiment.episodes, config.safety.mode) == (attempts, mode)
    assert (config.safety.ask_words == RISKY) == asks
    assert bool(told) is (attempts == 1)
