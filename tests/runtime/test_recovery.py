"""What is tried before an episode is given up, on the real embedded world and with a scripted policy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import Board, Recorder, ScriptedPolicy, board_task

from showonce.actions import Action, Click, Done, Type, Wait
from showonce.config import RecoveryConfig, SafetyConfig
from showonce.environments.embedded.settings import EmbeddedSettings
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task
from showonce.errors import BadInput, EnvironmentBroken
from showonce.protocols import ApprovalRequest, Context, Facts, Interrupt, Undoable
from showonce.runtime.guards import SameAction, Unproved, guards_for
from showonce.runtime.loop import run_episode
from showonce.runtime.recovery import Measure, Recovery
from showonce.runtime.stop import Stop
from showonce.types import Executed, Observation, ScreenFacts, StopReason

NOWHERE = Click(0.99, 0.01)
DIALOG = 5  # a seed whose target lies beside the dialog's button
ALL = ("reobserve", "retry", "undo", "ask")


def recovery(*measures: str, able: Any = lambda name: True, confirm: bool = False, **settings: Any) -> Recovery:
    return Recovery(RecoveryConfig(measures=measures, **{"backoff_seconds": 0.01, **settings}), able, confirm)


def measures(log: Recorder) -> list[str]:
    return [str(event["measure"]) for event in log.of("recovery")]


# what comes next --------------------------------------------------------------------------------------------------


def test_measures_come_in_the_order_of_the_settings_and_back_off() -> None:
    plan = recovery("retry", "reobserve", "ask", retries=3, backoff_seconds=0.5)
    waits = [Measure("retry", 0.5), Measure("retry", 1.0), Measure("retry", 2.0)]
    assert [plan.next() for _ in range(6)] == [*waits, Measure("reobserve"), Measure("ask"), None]


def test_after_progress_everything_may_be_tried_again_up_to_a_limit() -> None:
    plan = recovery("reobserve", per_episode=2)
    assert plan.next() and plan.next() is None
    plan.worked()
    assert plan.next()
    plan.worked()
    assert plan.next() is None, "enough for one episode"


def test_what_cannot_be_done_here_is_left_out() -> None:
    plan = recovery(*ALL, able=lambda name: name != "undo", retries=1)
    assert [measure.name for measure in iter(plan.next, None)] == ["reobserve", "retry", "ask"]
    assert Recovery().next() is None and not Recovery().on


# an action that is refused ----------------------------------------------------------------------------------------


class Shy(Board):
    """Refuses the first `times` actions: nothing is done."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.at: list[float] = []

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        self.at.append(time.monotonic())
        if len(self.at) <= self.times:
            raise BadInput("not ready yet.")
        return super().execute(action, interrupt)


def test_a_refused_action_is_tried_again_with_back_off() -> None:
    board, log = Shy(2), Recorder()
    episode = run_episode(
        board, ScriptedPolicy([Type("a")]), board_task(max_steps=1), seed=1, events=log,
        recovery=recovery("retry", backoff_seconds=0.1),
    )  # fmt: skip
    assert board.done == [Type("a")] == [step.executed for step in episode.steps]
    assert board.at[1] - board.at[0] >= 0.1 and board.at[2] - board.at[1] >= 0.2
    assert measures(log) == ["retry", "retry"] and episode.steps[0].note.startswith("done after all")


def test_retries_end_and_the_refusal_is_told() -> None:
    board, log = Shy(99), Recorder()
    episode = run_episode(
        board, ScriptedPolicy([Type("a")]), board_task(max_steps=1), seed=1, events=log,
        recovery=recovery("retry", retries=2),
    )  # fmt: skip
    assert episode.steps[0].executed is None and "not ready yet" in episode.steps[0].note
    assert measures(log) == ["retry", "retry", "give_up"] and len(board.at) == 3


def test_without_recovery_a_refused_action_is_tried_once() -> None:
    board, log = Shy(99), Recorder()
    run_episode(board, ScriptedPolicy([Type("a")]), board_task(max_steps=1), seed=1, events=log)
    assert len(board.at) == 1 and measures(log) == []


@pytest.mark.parametrize("error", [EnvironmentBroken("gone."), ZeroDivisionError("a bug")])
def test_after_a_crash_nothing_is_tried_since_nobody_knows_what_was_done(error: Exception) -> None:
    class Crashing(Board):
        def execute(self, action: Action, interrupt: Interrupt) -> Executed:
            self.calls += 1
            raise error

    board, log = Crashing(), Recorder()
    episode = run_episode(board, ScriptedPolicy([Type("a")]), board_task(), seed=1, events=log, recovery=recovery(*ALL))
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR and board.calls == 1 and measures(log) == []


def test_a_stop_ends_a_back_off() -> None:
    stop, board = Stop(), Shy(99)

    def think(screen: Observation, context: Context) -> Action:
        import threading

        threading.Timer(0.1, stop.press).start()
        return Type("a")

    episode = run_episode(
        board, ScriptedPolicy([think]), board_task(), seed=1, stop=stop,
        recovery=recovery("retry", backoff_seconds=30.0),
    )  # fmt: skip
    assert episode.stop_reason is StopReason.STOPPED and len(board.at) == 1


# a guard that fired -----------------------------------------------------------------------------------------------


def play(world: Any, answers: list[Any], plan: Recovery | None, log: Recorder, **how: Any) -> Any:
    task = find_task(how.pop("task", "app/dev/single/0"))
    task = replace(task, limits=replace(task.limits, max_steps=12))
    safety = SafetyConfig(guards=how.pop("on", ("same_action", "unchanged", "done_without_evidence")))
    how.setdefault("guards", guards_for(task.limits, safety))
    return run_episode(world, ScriptedPolicy(answers), task, events=log, recovery=plan, **{"seed": 7, **how})


def test_a_second_look_may_be_all_that_was_missing() -> None:
    world, log = EmbeddedWorld(EmbeddedSettings(mistakes=99)), Recorder()

    def think(screen: Observation, context: Context) -> Action:
        return NOWHERE if len(context.actions) < 3 else world.oracle()

    assert play(world, [think], None, log).stop_reason is StopReason.GUARD
    episode = play(world, [think], recovery("reobserve"), log)
    assert episode.success and episode.source == "policy"
    assert [str(event["name"]) for event in log.of("guard")] == ["same_action", "same_action"]
    assert measures(log) == ["reobserve"]


def test_when_nothing_helps_it_is_given_up_with_a_reason() -> None:
    world, log = EmbeddedWorld(EmbeddedSettings(mistakes=99)), Recorder()
    episode = play(world, [NOWHERE], recovery("reobserve", "retry", retries=1), log)
    assert episode.stop_reason is StopReason.GUARD
    assert measures(log) == ["reobserve", "retry", "give_up"]
    assert log.of("recovery")[-1]["trouble"] == "same_action"
    assert log.of("recovery")[-1]["detail"] == "nothing is left to try"


def test_a_stray_dialog_is_closed() -> None:
    world, log = EmbeddedWorld(EmbeddedSettings(mistakes=99, dialog=1.0)), Recorder()
    assert isinstance(world, Undoable) and isinstance(world, Facts)
    plain = EmbeddedWorld()
    plain.reset(find_task("app/dev/single/0"), DIALOG)
    blind = plain.oracle()  # where the target is; a dialog stands in the way
    without = play(world, [blind], None, log, seed=DIALOG)
    assert without.stop_reason is StopReason.GUARD and not without.success
    log.events.clear()
    episode = play(world, [blind], recovery("undo"), log, seed=DIALOG)
    assert episode.success and measures(log) == ["undo"]
    assert str(log.of("recovery")[0]["detail"]).startswith("closed the dialog")


def test_nothing_to_take_back_is_of_no_use() -> None:
    world, log = EmbeddedWorld(EmbeddedSettings(mistakes=99)), Recorder()
    episode = play(world, [NOWHERE], recovery("undo"), log)
    assert episode.stop_reason is StopReason.GUARD
    assert [(e["measure"], e["detail"], e["useful"]) for e in log.of("recovery")] == [
        ("undo", "", False), ("give_up", "nothing is left to try", False),
    ]  # fmt: skip


class Person:
    """Agrees or not, and knows the right action."""

    def __init__(self, agrees: bool, right: Any = None) -> None:
        self.agrees, self.right = agrees, right
        self.asked: list[str] = []

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        self.asked.append(request.reason)
        return self.right() if self.right else None, "a person"

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.agrees


@pytest.mark.parametrize("agrees", [True, False])
def test_where_a_person_is_asked_an_undo_needs_a_yes(agrees: bool) -> None:
    world, log, person = EmbeddedWorld(EmbeddedSettings(mistakes=99, dialog=1.0)), Recorder(), Person(agrees)
    plain = EmbeddedWorld()
    plain.reset(find_task("app/dev/single/0"), DIALOG)
    episode = play(world, [plain.oracle()], recovery("undo", confirm=True), log, approver=person, seed=DIALOG)
    assert episode.success is agrees
    assert "Take back what came of it?" in person.asked[0]


def test_a_person_is_asked_about_the_next_action_and_may_know_better() -> None:
    world, log = EmbeddedWorld(EmbeddedSettings(mistakes=99)), Recorder()
    person = Person(True, right=lambda: world.oracle())
    episode = play(world, [NOWHERE], recovery("ask"), log, approver=person)
    assert episode.success and episode.source == "person" and episode.steps[-1].corrected
    assert person.asked[0].startswith("same_action: ") and len(person.asked) == 1


def test_typing_into_nothing_is_seen_and_recovered_from() -> None:
    task = "skill/fill_field"
    world, log = EmbeddedWorld(EmbeddedSettings(mistakes=99)), Recorder()

    def think(screen: Observation, context: Context) -> Action:
        return Type("zzz") if not context.actions else world.oracle()

    assert play(world, [think], None, log, task=task, on=("typing_into_nothing",)).stop_reason is StopReason.GUARD
    assert [event["name"] for event in log.of("guard")] == ["typing_into_nothing"]
    assert play(world, [think], recovery("reobserve"), log, task=task, on=("typing_into_nothing",)).success
    assert play(world, [think], None, log, task=task, on=()).success, "switched off, nobody minds"


class Form(Board):
    """A board that writes a button on its screen."""

    def observe(self) -> Observation:
        seen = super().observe()
        return Observation(seen.image, text=f"{seen.text}\nSubmit")


def test_a_forgotten_submit_is_seen_before_the_claim_counts() -> None:
    log = Recorder()
    task = board_task(max_steps=4)
    guards = guards_for(task.limits, SafetyConfig(guards=("submit_forgotten", "done_without_evidence")))
    answers = [Type("sun"), Done(), Wait(0.0)]
    episode = run_episode(Form(), ScriptedPolicy(answers), task, seed=1, events=log, guards=guards)
    assert episode.stop_reason is StopReason.GUARD
    assert [event["name"] for event in log.of("guard")] == ["submit_forgotten"]
    guards = guards_for(task.limits, SafetyConfig(guards=("done_without_evidence",)))
    episode = run_episode(Form(), ScriptedPolicy(answers), task, seed=1, events=log, guards=guards)
    assert episode.stop_reason is StopReason.CLAIMED


def test_a_click_outside_is_seen_where_the_environment_tells_what_is_inside() -> None:
    class Framed(Board):
        def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
            return ScreenFacts(content=(0.0, 0.2, 1.0, 1.0))

    for guards, name in ((("click_outside",), "click_outside"), ((), None)):
        log, task = Recorder(), board_task(max_steps=2)
        on = guards_for(task.limits, SafetyConfig(guards=guards))
        run_episode(Framed(), ScriptedPolicy([Click(0.5, 0.1)]), task, seed=1, events=log, guards=on)
        assert [event["name"] for event in log.of("guard")] == ([name] if name else [])


def test_recovery_goes_on_after_a_claim_without_evidence() -> None:
    board, log = Board(), Recorder()

    def think(screen: Observation, context: Context) -> Action:
        return Done() if not context.actions else board.oracle()

    episode = run_episode(
        board, ScriptedPolicy([think]), board_task(), seed=1, events=log, recovery=recovery("reobserve"),
        guards=(Unproved(), SameAction(3)),
    )  # fmt: skip
    assert episode.success and measures(log) == ["reobserve"]
