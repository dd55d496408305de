"""What each part of the hard set withholds: on the screens of demonstrations alone, or on all."""

from __future__ import annotations

from collections import Counter

import pytest

from showonce.actions import Done
from showonce.environments.embedded.hard import DEMONSTRATED, EACH, PARTS, find_hard, hard_tasks, measured
from showonce.environments.embedded.language import LABELS, apps
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task, make_environment
from showonce.errors import TaskError
from showonce.evaluation.tasks import lessons_of, part_of, task_set
from showonce.runtime.recorder import shown_by_oracle
from showonce.runtime.stop import Stop
from showonce.types import Demonstration

MEASURED = range(5_000_000, 5_000_020)


def world() -> EmbeddedWorld:
    made = make_environment("embedded")
    assert isinstance(made, EmbeddedWorld)
    return made


def shown(task_id: str, seed: int) -> Demonstration:
    return shown_by_oracle(world(), find_task(task_id), seed)


def test_the_set_is_named_fixed_and_in_order() -> None:
    assert len(measured()) == EACH * len(PARTS)
    assert task_set("hard").ids == measured()
    assert task_set("hard", n=len(PARTS)).ids == tuple(f"hard/{part}/0" for part in PARTS)
    assert part_of("hard/leak/1") == ("leak", PARTS["leak"]) and part_of("app/dev/single/0") == ("", "")
    with pytest.raises(TaskError, match="hard/alike/2"):
        find_task("hard/alike/3")


@pytest.mark.parametrize("task_id", hard_tasks())
def test_every_task_is_shown_by_the_oracle_and_can_be_done(task_id: str) -> None:
    for seed in (0, DEMONSTRATED - 1, MEASURED[0], MEASURED[1]):
        found = shown(task_id, seed)
        assert found.goal == find_hard(task_id).goal
        assert find_task(task_id).limits.max_steps >= len(found.frames)


def test_no_taught_goal_is_taught_twice_and_none_is_an_app_of_the_test_split() -> None:
    goals = Counter(hard_tasks()[task.id].goal for name in measured() for task in lessons_of(find_task(name)))
    assert {count for goal, count in goals.items() if goal not in shared_goals()} == {1}
    held_out = {app.word for app in apps().values() if app.id.startswith("app/test/")}
    assert not held_out & {word for goal in goals for word in goal.split()}


def shared_goals() -> set[str]:
    """The goals that two tasks are taught: the part `shared` measures them, the part `leak` what they did."""
    return {find_hard(f"hard/shared/{index}").goal for index in range(EACH)}


def test_alike_screens_are_full_of_what_looks_alike() -> None:
    env, task = world(), find_task("hard/alike/0")
    colour, shape = find_hard(task.id).program[0][1:]
    for seed in (0, *MEASURED):
        env.reset(task, seed)
        near = [w for w in env.scene.widgets if w.kind == "icon" and (w.colour == colour) != (w.shape == shape)]
        assert len(near) >= 4


def test_a_slip_is_in_the_demonstration_alone_and_forgiven_there_alone() -> None:
    first, second = shown("hard/slip/0", 0).frames
    assert first.observation.hash == second.observation.hash and first.action != second.action
    assert len(shown("hard/slip/0", MEASURED[0]).frames) == 1
    env = world()
    env.reset(find_task("hard/slip/0"), 0)
    env.execute(first.action, Stop())
    assert env.verify().success is False, "a policy that copies the slip has failed"


def test_a_late_recording_lacks_the_first_step() -> None:
    assert len(shown("hard/late/0", 0).frames) == 1
    assert len(shown("hard/late/0", MEASURED[0]).frames) == len(find_hard("hard/late/0").program) == 2


def test_dialogs_are_on_about_half_of_the_screens_and_on_none_that_is_shown() -> None:
    env, task = world(), find_task("hard/dialog/0")
    seen = {True: 0, False: 0}
    for seed in (*range(20), *MEASURED):
        env.reset(task, seed)
        seen[seed < DEMONSTRATED] += env.scene.popup is not None
    assert seen[True] == 0 and 4 <= seen[False] <= 16


def test_a_leak_is_measured_beside_the_taught_target() -> None:
    for index in range(EACH):
        hard, taught = find_hard(f"hard/leak/{index}"), find_hard(f"hard/shared/{index}")
        label = hard.goal.split()[1]
        assert [task.id for task in lessons_of(find_task(hard.id))] == [taught.id]
        assert label in LABELS and taught.goal.split()[1] == label
        env = world()
        for task_id in (hard.id, taught.id):  # the word's old meaning and its new one stand on every screen
            env.reset(find_task(task_id), MEASURED[0])
            assert env.scene.find((label,)) >= 0 and env.scene.find(taught.program[0][1:]) >= 0


def test_a_sequence_shares_words_and_measures_the_first() -> None:
    first, second, third = (find_hard(task.id) for task in lessons_of(find_task("hard/sequence/1")))
    assert first.id == "hard/sequence/1"
    words = [set(one.goal.split()) for one in (first, second, third)]
    assert len(words[0] & words[1]) == len(words[0] & words[2]) == 1 and not words[1] & words[2]
    assert len({first.program, second.program, third.program}) == 3


def test_the_oracle_of_an_ordinary_task_is_as_it_was() -> None:
    env = world()
    env.reset(find_task("app/dev/single/0"), 0)
    assert env.oracle() == env.oracle() != Done()
