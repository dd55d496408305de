"""Every seed is attempted once, through the one loop; what was measured stays measured."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.benchfactory import embedded
from tests.fakes import Board, ScriptedPolicy, board_task, oracle_policy

from showonce.actions import Click
from showonce.config import SafetyConfig
from showonce.environments.registry import find_task
from showonce.errors import EnvironmentBroken, Stopped, TaskError
from showonce.evaluation.results import Results, Row
from showonce.evaluation.runner import evaluate_set, evaluate_task
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Environment
from showonce.runtime.recorder import HandPolicy, shown_by_oracle
from showonce.runtime.stop import Stop

TASK = board_task("light red green")


class Oracle(HandPolicy):
    """The oracle of one environment that is used again and again; counts what it is asked."""

    def __init__(self, environment: Any) -> None:
        super().__init__(lambda _: environment.oracle())
        self.environment = environment
        self.asked = 0

    def propose(self, *arguments: Any) -> Any:
        self.asked += 1
        return super().propose(*arguments)


class Kept(Results):
    """Presses the stop once so many rows are there."""

    def __init__(self, stop: Stop, after: int) -> None:
        super().__init__()
        self.stop, self.after = stop, after

    def add(self, row: Row) -> None:
        super().add(row)
        if len(self.rows()) == self.after:
            self.stop.press()


def test_the_oracle_succeeds_on_every_seed_and_the_rows_say_how() -> None:
    world = embedded()
    oracle = Oracle(world)
    task = find_task("skill/fill_field")
    found = evaluate_task(oracle, lambda: world, task, range(5, 9), part="skills", arm="oracle")
    assert [(row.seed, row.success, row.reason, row.steps, row.right) for row in found.rows] == [
        (seed, True, "completed", 2, 2) for seed in range(5, 9)
    ]
    assert {(row.part, row.task, row.arm) for row in found.rows} == {("skills", "skill/fill_field", "oracle")}
    assert all(step.correct for row in found.rows for step in row.steps_scored)
    assert oracle.asked == 8


def test_what_is_measured_is_not_measured_again(tmp_path: Path) -> None:
    path, board = tmp_path / "results.jsonl", Board()
    first = Results(path)
    evaluate_task(oracle_policy(board), lambda: board, TASK, [1, 2], results=first)
    first.close()
    advanced: list[int] = []
    board = Board()
    policy = oracle_policy(board)
    found = evaluate_task(policy, lambda: board, TASK, [1, 2, 3], results=Results(path), advance=advanced.append)
    assert [row.seed for row in found.rows] == [1, 2, 3]
    assert len(policy.contexts) == 2  # two steps, of seed 3 alone
    assert sum(advanced) == 3
    other = evaluate_task(oracle_policy(Board()), Board, TASK, [1], results=Results(path), arm="another")
    assert other.rows[0].arm == "another"


def test_what_breaks_is_a_row_and_is_tried_again(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    broken = evaluate_task(ScriptedPolicy([RuntimeError("out of memory")]), Board, TASK, [1], results=results)
    assert (broken.success, broken.errors) == (0.0, 1)
    assert "model: RuntimeError: out of memory" in broken.rows[0].error
    fallen = evaluate_task(ScriptedPolicy([Click(0.5, 0.5)]), lambda: Board(breaks_at=1), TASK, [2], results=results)
    assert "fell off the table" in fallen.rows[0].error
    board = Board()
    mended = evaluate_task(oracle_policy(board), lambda: board, TASK, [1, 2], results=results)
    assert (mended.success, mended.errors) == (1.0, 0)


def test_a_task_that_cannot_be_used_is_a_row_too() -> None:
    bad, good = board_task("paint it black"), TASK
    board = Board()
    found = evaluate_set(oracle_policy(board), lambda: board, [bad, good], [1])
    assert "does not understand" in found[bad.id].rows[0].error
    assert found[good.id].success == 1.0


def test_a_failed_task_is_no_error() -> None:
    found = evaluate_task(ScriptedPolicy([Click(0.01, 0.99)]), lambda: Board(fatal=True), TASK, [1, 2])
    assert (found.success, found.errors) == (0.0, 0)
    assert {row.reason for row in found.rows} == {"failed"}


def test_without_an_environment_it_ends_with_the_reason() -> None:
    def none() -> Environment:
        raise EnvironmentBroken("no display")

    with pytest.raises(EnvironmentBroken, match="no display"):
        evaluate_task(ScriptedPolicy([Click(0.5, 0.5)]), none, TASK, [1])


def test_a_stop_keeps_what_is_done_and_counts_nothing_else(tmp_path: Path) -> None:
    stop, board = Stop(), Board()
    results = Kept(stop, after=2)
    with pytest.raises(Stopped):
        evaluate_task(oracle_policy(board), lambda: board, TASK, range(5), results=results, stop=stop)
    assert [row.success for row in results.rows()] == [True, True]
    stop.rearm()
    board = Board()
    found = evaluate_task(oracle_policy(board), lambda: board, TASK, range(5), results=results, stop=stop)
    assert found.success == 1.0


def test_many_at_a_time_give_the_rows_of_one_at_a_time(policy: VLMPolicy) -> None:
    tasks = [find_task("skill/click_icon"), find_task("app/dev/single/0"), find_task("skill/ask")]
    world = embedded()
    shown = {tasks[1].id: shown_by_oracle(world, tasks[1], 3)}
    one, many = (
        evaluate_set(policy, embedded, tasks, range(20, 24), demonstrations=shown, width=width) for width in (1, 5)
    )
    for task in tasks:
        assert len(one[task.id].rows) == 4
        for a, b in zip(one[task.id].rows, many[task.id].rows, strict=True):
            assert (a.success, a.reason, a.steps, a.right) == (b.success, b.reason, b.steps, b.right)


def test_environments_are_closed_and_threads_end(policy: VLMPolicy) -> None:
    made: list[Environment] = []
    lock = threading.Lock()

    def make() -> Environment:
        with lock:
            made.append(embedded())
            return made[-1]

    evaluate_task(policy, make, find_task("skill/ask"), range(3), width=2)
    assert len(made) == 2
    for environment in made:
        with pytest.raises(EnvironmentBroken):
            environment.observe()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("episode-")]


def test_a_screen_that_cannot_be_shared_is_used_once_at_a_time(policy: VLMPolicy) -> None:
    made: list[Environment] = []

    def make() -> Environment:
        world = embedded()
        world.capabilities = replace(world.capabilities, parallel=False)
        made.append(world)
        return world

    found = evaluate_task(policy, make, find_task("skill/ask"), range(3), width=3)
    assert len(made) == 1 and len(found.rows) == 3 and not found.errors


def test_a_demonstration_by_the_oracle_holds_every_step_in_order() -> None:
    task = find_task("app/dev/multi/0")
    shown = shown_by_oracle(embedded(), task, 4)
    assert (shown.task_id, shown.goal, shown.source) == (task.id, task.goal, "oracle")
    world = embedded()
    screen = world.reset(task, 4)
    stop = Stop()
    for frame in shown.frames:
        assert frame.observation.hash == screen.hash
        world.execute(frame.action, stop)
        screen = world.observe()
    assert world.verify().success is True


def test_without_an_oracle_nothing_is_demonstrated() -> None:
    class Mute:
        name = "mute"

    with pytest.raises(TaskError, match="no oracle"):
        shown_by_oracle(Mute(), TASK, 0)  # type: ignore[arg-type]


def test_waiting_for_the_others_is_not_counted_against_an_episode() -> None:
    board = Board()
    hurried = replace(TASK, limits=replace(TASK.limits, max_seconds=0.0))
    assert evaluate_task(oracle_policy(board), lambda: board, hurried, [1]).success == 1.0


@pytest.mark.parametrize(
    ("guards", "reason", "steps"), [(None, "guard", 3), ((), "max_steps", 8), (("unchanged",), "guard", 4)]
)
def test_the_guards_of_a_measurement_are_those_of_the_settings(
    guards: tuple[str, ...] | None, reason: str, steps: int
) -> None:
    task = replace(TASK, limits=replace(TASK.limits, max_steps=8))
    safety = None if guards is None else SafetyConfig(guards=guards)
    found = evaluate_task(ScriptedPolicy([Click(0.001, 0.001)]), Board, task, [1], safety=safety)
    assert [(row.reason, row.steps) for row in found.rows] == [(reason, steps)]
