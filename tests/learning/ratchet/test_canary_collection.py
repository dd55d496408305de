"""Canaries are collected from what is known: skills by the oracle, lessons from demonstrations and verified screens."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from tests.fakes import Board
from tests.tinyfactory import frame
from tests.toys import a_demonstration, a_task, toy_policy

from showonce.actions import Click, Type
from showonce.environments.registry import find_task, make_environment
from showonce.learning.practice.buffer import Sample
from showonce.learning.practice.episodes import in_the_head
from showonce.learning.ratchet.canaries import Canary
from showonce.learning.ratchet.canary_collection import (
    LessonCanaries,
    lesson_canaries,
    other_goals,
    skill_canaries,
    skill_world,
)
from showonce.policy.vlm_policy import VLMPolicy


@pytest.fixture
def policy(toy_checkpoint: Path) -> VLMPolicy:
    return toy_policy(toy_checkpoint)


def test_skills_of_the_embedded_world_are_known_from_its_oracle() -> None:
    world = make_environment("embedded")
    found = skill_canaries(world, range(7_000_000, 7_000_012))
    assert len(found) == 12 == len({canary.id for canary in found})
    assert len({canary.task_id for canary in found}) == 12 and {canary.group for canary in found} == {"skill"}
    again = skill_canaries(make_environment("embedded"), range(7_000_000, 7_000_012))
    assert [c.observation.hash for c in found] == [c.observation.hash for c in again]


def test_skills_are_shown_in_the_lessons_own_world_or_in_a_fresh_embedded_one(
    policy: VLMPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, board = make_environment("embedded", theme="dark"), Board()
    closed: list[Any] = []
    monkeypatch.setattr(type(own), "close", lambda self: closed.append(self))
    with skill_world(own, policy) as world:
        assert world is own
    assert closed == [], "the lesson's own world is closed by its owner"
    with skill_world(board, policy) as fresh:
        assert fresh is not None and fresh.name == "embedded"
        assert skill_canaries(fresh, range(7_000_000, 7_000_001))[0].observation.width > 0
    assert closed == [fresh]
    policy.family = cast(Any, SimpleNamespace(name="chat"))
    with skill_world(board, policy) as none, skill_world(own, policy) as world:
        assert none is None and world is own


def test_other_goals_are_training_apps_and_never_a_taught_one() -> None:
    taught = {find_task(f"app/train/single/{i}").goal for i in range(2)}
    watched, trained = other_goals(taught, random.Random(0))
    tested = {find_task(f"app/test/single/{i}").goal for i in range(20)}
    assert len(watched) > 5 and len(trained) > 5 and not {*taught, *tested} & {*watched, *trained}
    again = other_goals({"another"}, random.Random(1))
    assert not set(watched) & set(again[1]) and not set(trained) & set(again[0]), "for no lesson they change sides"


def test_views_give_way_to_verified_screens() -> None:
    task, shown = a_task(), a_demonstration()
    views = in_the_head(shown, [], 4, np.random.default_rng(0))
    others = [Canary(f"c{i}", "skill", frame(i), "zoka", Click(0.438, 0.562)) for i in range(3)]
    lesson = LessonCanaries(task, others, views, 4)
    imagined = lesson.canaries([])
    assert [c.id for c in imagined[:3]] == ["c0", "c1", "c2"]
    assert [c.group for c in imagined[3:]] == ["present", "untaught"] * 4 and not lesson.full
    verified = [Sample(frame(50 + i), task.id, task.goal, action=Click(0.5, 0.5), correct=True) for i in range(6)]
    mixed = lesson.canaries(verified[:1])
    assert [c.observation.hash for c in mixed[3::2]][:1] == [verified[0].observation.hash] and not lesson.full
    full = lesson.canaries(verified)
    assert {c.observation.hash for c in full[3:]} == {s.observation.hash for s in verified[:4]} and lesson.full


def test_a_screen_with_nothing_to_point_at_says_nothing_about_other_goals() -> None:
    sample = Sample(frame(1), "t", "zoka", action=Type("sun"), correct=True)
    assert [canary.group for canary in lesson_canaries(a_task(), [sample], 0)] == ["present"]


def test_untaught_goals_are_asked_for_on_the_taught_screen() -> None:
    task = a_task()
    sample = Sample(frame(1), task.id, task.goal, action=Click(0.5, 0.5), correct=True)
    taught, untaught = lesson_canaries(task, [sample], 0)
    assert taught.goal == task.goal != untaught.goal
    assert taught.passes(Click(0.5, 0.5)) and not untaught.passes(Click(0.5, 0.5))
