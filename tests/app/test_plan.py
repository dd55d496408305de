"""A recording of a task whose goal is drawn anew with every seed is found by its task, on a screen of its size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.browsers import needs_miniwob
from tests.fakes import Recorder

from showonce.app.demonstration import demonstration_for, recorded_of
from showonce.app.experiment import check_one_demonstration
from showonce.app.plan import make_plan
from showonce.app.record import record
from showonce.environments.registry import find_task
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
