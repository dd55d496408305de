"""The same tasks and seeds at every call, and nothing that is measured was trained or practised on."""

from __future__ import annotations

from itertools import combinations

import pytest

from showonce.environments.embedded.language import App, apps, held_out_hash, held_out_programs
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task
from showonce.errors import ConfigError, TaskError
from showonce.evaluation.tasks import (
    other_meaning,
    siblings,
    task_set,
    untaught_goals,
)

PAIRS = list(combinations(("train", "dev", "test"), 2))


def of_split(split: str) -> list[App]:
    return [app for app_id, app in apps().items() if app_id.split("/")[1] == split]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_goal_word_is_in_two_splits(one: str, other: str) -> None:
    assert {app.word for app in of_split(one)}.isdisjoint(app.word for app in of_split(other))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_word_with_a_meaning_and_no_workflow_is_in_two_splits(one: str, other: str) -> None:
    meanings = [{(app.word, app.program) for app in of_split(split)} for split in (one, other)]
    assert meanings[0].isdisjoint(meanings[1])
    workflows = [{app.program for app in of_split(split) if len(app.program) > 1} for split in (one, other)]
    assert all(workflows)
    assert workflows[0].isdisjoint(workflows[1])


def test_every_word_stands_for_one_thing() -> None:
    words = [app.word for app in apps().values()]
    assert len(words) == len(set(words))


def test_the_held_out_workflows_are_those_of_dev_and_test() -> None:
    held = {app.program for split in ("dev", "test") for app in of_split(split) if len(app.program) > 1}
    assert held == held_out_programs()


def test_the_test_split_is_the_one_that_was_hashed_before_pretraining() -> None:
    assert held_out_hash() == "1abf941debcac64f29c70deabc918bcfa87e9ca04daddff41d6c372b3372e4da"


def test_sets_are_named_fixed_and_in_order() -> None:
    skills = task_set("skills")
    assert len(skills.tasks) == 20
    assert all(task.id.startswith("skill/") for task in skills.tasks)
    assert task_set("single", "test", 20).ids == tuple(f"app/test/single/{i}" for i in range(20))
    assert task_set("multi", "dev").ids == tuple(f"app/dev/multi/{i}" for i in range(16))
    assert len(task_set("multi", "dev", 99).tasks) == 16
    assert task_set("single", "test", 5) == task_set("single", "test", 5)
    with pytest.raises(ConfigError, match="skills"):
        task_set("skill")
    with pytest.raises(ConfigError, match="train, dev and test"):
        task_set("single", "holdout")


@pytest.mark.parametrize("task_id", ["app/dev/single/0", "app/test/single/39", "app/dev/multi/3"])
def test_another_meaning_is_the_same_word_for_something_else(task_id: str) -> None:
    task = find_task(task_id)
    other = other_meaning(task)
    mine, theirs = apps()[task_id].program, apps()[other.id].program
    assert other.goal == task.goal
    assert other.id != task_id
    assert other.id.rsplit("/", 1)[0] == task_id.rsplit("/", 1)[0]
    assert {phrase[1:] for phrase in mine}.isdisjoint(phrase[1:] for phrase in theirs)
    assert other_meaning(task) == other
    world = EmbeddedWorld()
    world.reset(other, 1)
    keys = {widget.key for widget in world.scene.widgets}
    pointed = {phrase[1:] for phrase in theirs if len(phrase) == 3}
    assert pointed <= keys  # the world plays the other meaning


def test_untaught_goals_leave_out_what_was_taught() -> None:
    task = find_task("app/dev/single/2")
    goals = untaught_goals(task)
    assert task.goal not in goals
    assert len(goals) == len(siblings(task)) - 1 == 15
    assert goals[3] not in untaught_goals(task, taught=(goals[3],))


def test_only_apps_have_meanings() -> None:
    for function in (other_meaning, untaught_goals, siblings):
        with pytest.raises(TaskError, match="not an app"):
            function(find_task("skill/ask"))  # type: ignore[operator]
