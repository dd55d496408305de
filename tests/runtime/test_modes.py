"""The rules at work in the loop: what is not done, what waits, who is asked, and when time is over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import AlwaysAllow, Board, Recorder, ScriptedPolicy, board_task, unreadable

from showonce.actions import Action, Ask, Click, Done, Type
from showonce.config import RecoveryConfig, SafetyConfig
from showonce.environments.embedded.settings import EmbeddedSettings
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task
from showonce.environments.wrappers.fence import Fenced
from showonce.errors import BadInput, Stopped
from showonce.protocols import ApprovalRequest, Context, Interrupt, Oracle, ability
from showonce.runtime.loop import run_episode
from showonce.runtime.recovery import Recovery
from showonce.runtime.safety import Pace, safety_of
from showonce.runtime.stop import Stop
from showonce.types import Episode, Executed, Limits, Observation, ScreenFacts, StopReason

NOWHERE = Click(0.99, 0.01)


class Answers:
    """A person who gives one answer after another: True, False or the right action; keeps what was asked."""

    def __init__(self, *answers: bool | Action) -> None:
        self.answers = list(answers)
        self.asked: list[ApprovalRequest] = []

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        self.asked.append(request)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, bool):
            return (request.action if answer else None), "said at the console"
        return answer, "no, there"

    def confirm(self, question: str) -> bool:
        return False


def play(answers: list[Any], task_id: str = "app/dev/single/0", **how: Any) -> Episode:
    """Play on the embedded world; an answer that is a function is given the world and returns the real answer."""
    rules, world = (
        SafetyConfig(**how.pop("rules", {})),
        how.pop("world", None) or EmbeddedWorld(EmbeddedSettings(mistakes=99)),
    )
    policy = ScriptedPolicy([a(world) if callable(a) and not isinstance(a, type) else a for a in answers])
    return run_episode(world, policy, find_task(task_id), seed=7, safety=safety_of(rules), **how)


def oracle(world: EmbeddedWorld) -> Any:
    return lambda screen, context: world.oracle()


# watch ------------------------------------------------------------------------------------------------------------


def test_watching_never_acts_and_keeps_what_was_proposed() -> None:
    world, log = EmbeddedWorld(), Recorder()
    rules = {"mode": "watch", "actions_per_second": 50.0}
    episode = play([oracle], rules=rules, world=world, events=log)
    assert episode.stop_reason is StopReason.MAX_STEPS
    assert {(step.approved, step.executed) for step in episode.steps} == {(None, None)}
    assert all(isinstance(step.proposed, Click) and "mode=watch" in step.note for step in episode.steps)
    assert world.verify().evidence.startswith("0 of 1 steps done")
    assert {event["executed"] for event in log.of("step")} == {None}


@settings(max_examples=30, deadline=None)
@given(
    answers=st.lists(st.sampled_from([Type("a"), Click(0.1, 0.1), Ask("?"), Done(), unreadable()]), min_size=1),
    words=st.sampled_from([(), ("a",)]),
)
def test_watching_never_acts_whatever_happens(answers: list[Any], words: tuple[str, ...]) -> None:
    board = Board()
    rules = SafetyConfig(mode="watch", actions_per_second=1000.0, ask_words=words)
    episode = run_episode(
        board, ScriptedPolicy(answers), board_task(max_steps=5), seed=1, safety=safety_of(rules), approver=AlwaysAllow()
    )
    assert board.done == [] and all(step.executed is None for step in episode.steps)


def test_a_success_that_a_person_made_while_we_watched_is_not_the_policys() -> None:
    world = EmbeddedWorld()
    acts = iter([True])

    def person_acts(screen: Observation, context: Context) -> Action:
        if next(acts, False):
            world.execute(world.oracle(), Stop())
        return NOWHERE

    episode = play([lambda _: person_acts], rules={"mode": "watch", "actions_per_second": 50.0}, world=world)
    assert episode.outcome.success and episode.source == "person"
    assert {step.executor for step in episode.steps} == {"person"}


@pytest.mark.parametrize(
    ("action", "reason"), [(Done(), StopReason.CLAIMED), (Ask("which?"), StopReason.ASKED)], ids=["done", "ask"]
)
def test_a_claimed_end_ends_the_watching(action: Action, reason: StopReason) -> None:
    episode = play([Type("a"), action], rules={"mode": "watch", "actions_per_second": 50.0})
    assert episode.stop_reason is reason and len(episode.steps) == 2


def test_one_unreadable_answer_between_watched_steps_is_only_one() -> None:
    episode = play([Type("a"), unreadable(), Type("b"), unreadable(), Done()], "app/dev/multi/2",
                   rules={"mode": "watch", "actions_per_second": 50.0})  # fmt: skip
    assert episode.stop_reason is StopReason.CLAIMED and len(episode.steps) == 5


# step and confident -----------------------------------------------------------------------------------------------


def test_step_mode_asks_before_everything() -> None:
    person = Answers(True)
    episode = play([oracle], "app/dev/multi/2", rules={"mode": "step"}, approver=person)
    assert episode.success and episode.source == "policy"
    assert len(person.asked) == len(episode.steps) > 1
    assert {asked.reason for asked in person.asked} == {"mode=step: every action is to be approved"}


def test_no_means_that_it_is_not_done() -> None:
    world = EmbeddedWorld()
    episode = play([oracle], rules={"mode": "step"}, approver=Answers(False), world=world)
    assert episode.stop_reason is StopReason.DENIED and episode.outcome.success is None
    assert world.verify().evidence.startswith("0 of 1 steps done")


def test_no_there_is_done_in_its_place_and_is_a_correction() -> None:
    world = EmbeddedWorld()
    world.reset(find_task("app/dev/single/0"), 7)
    right = world.oracle()
    episode = play([NOWHERE], rules={"mode": "step"}, approver=Answers(right), world=world)
    (step,) = episode.steps
    assert (step.proposed, step.approved, step.executed, step.executor) == (NOWHERE, right, right, "person")
    assert step.corrected and episode.success and episode.source == "person"


def test_a_correction_is_bound_to_the_rules_like_everything_else() -> None:
    board = Board()
    rules = SafetyConfig(mode="step", region=(0.0, 0.0, 0.5, 0.5))
    episode = run_episode(
        board, ScriptedPolicy([Click(0.1, 0.1)]), board_task(), seed=1, safety=safety_of(rules),
        approver=Answers(Click(0.9, 0.9)),
    )  # fmt: skip
    assert episode.stop_reason is StopReason.REFUSED and board.done == []
    assert "safety.region" in episode.steps[0].note


def test_confident_mode_asks_only_when_unsure() -> None:
    person = Answers(True)  # the scripted policy states 0.75
    rules = {"mode": "confident", "confidence": "stated"}
    assert play([oracle], rules={**rules, "threshold": 0.7}, approver=person).success and not person.asked
    assert play([oracle], rules={**rules, "threshold": 0.8}, approver=person).success and len(person.asked) == 1


def test_confident_mode_asks_about_what_somebody_else_wants_to_do() -> None:
    board, person = Board(), Answers(False)
    rules = SafetyConfig(mode="confident", confidence="stated", threshold=0.5)
    run_episode(
        board, ScriptedPolicy([Type("a")]), board_task(), seed=1, safety=safety_of(rules), approver=person,
        teacher=lambda screen, context: Type("b"), teacher_beta=1.0,
    )  # fmt: skip
    assert [asked.action for asked in person.asked] == [Type("b")] and board.done == []


def test_words_on_the_real_widget_ask() -> None:
    world = EmbeddedWorld()
    world.reset(find_task("app/dev/single/0"), 7)
    right = world.oracle()
    assert isinstance(right, Click)
    (words,) = world.facts([(right.x, right.y)]).near or ()
    assert words
    person = Answers(True)
    assert play([oracle], rules={"ask_words": (words,)}, approver=person, world=world).success
    assert [words in asked.reason for asked in person.asked] == [True]
    assert play([oracle], rules={"ask_words": ("publish",)}, approver=person, world=world).success
    assert len(person.asked) == 1


def test_words_where_nobody_can_read_ask_too() -> None:
    board, person = Board(), Answers(False)  # the board tells nothing about its screen
    rules = SafetyConfig(ask_words=("publish",))
    run_episode(
        board, ScriptedPolicy([Click(0.1, 0.1)]), board_task(), seed=1, safety=safety_of(rules), approver=person
    )
    assert ["is not known here" in asked.reason for asked in person.asked] == [True] and board.done == []


class Pages(Board):
    """A board that tells an address, which a link may change at any time."""

    url = "https://shop.example/"

    def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
        return ScreenFacts(url=self.url, near=("",) * len(at))


def test_a_page_that_changed_while_the_person_thought_is_another_page() -> None:
    board = Pages()

    class Slow(Answers):
        def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
            board.url = "https://evil.example/"
            return super().ask(request)

    rules = safety_of(SafetyConfig(mode="step", urls=("shop.example",)))
    episode = run_episode(
        board, ScriptedPolicy([Click(0.1, 0.1)]), board_task(), seed=1, safety=rules, approver=Slow(True)
    )
    assert episode.stop_reason is StopReason.REFUSED and board.done == []
    assert "evil.example" in episode.steps[0].note


def test_a_page_that_changed_during_a_back_off_is_another_page_too() -> None:
    class Away(Pages):
        def execute(self, action: Action, interrupt: Interrupt) -> Executed:
            self.url = "https://evil.example/"
            raise BadInput("not yet.")

    board = Away()
    episode = run_episode(
        board, ScriptedPolicy([Click(0.1, 0.1)]), board_task(), seed=1,
        safety=safety_of(SafetyConfig(urls=("shop.example",))),
        recovery=Recovery(RecoveryConfig(("retry",), backoff_seconds=0.01)),
    )  # fmt: skip
    assert episode.stop_reason is StopReason.REFUSED and "evil.example" in episode.steps[0].note


# limits -----------------------------------------------------------------------------------------------------------


def test_the_rate_limit_slows_down_and_drops_nothing() -> None:
    board = Board()
    policy = ScriptedPolicy([Type("a"), Type("b"), Type("c")])
    begun = time.monotonic()
    episode = run_episode(
        board, policy, board_task(max_steps=3, step_seconds=0.09, max_seconds=0.19), seed=1, guards=(),
        safety=safety_of(SafetyConfig(actions_per_second=10.0)),
    )  # fmt: skip
    assert board.done == [Type("a"), Type("b"), Type("c")] and time.monotonic() - begun >= 0.2
    assert episode.stop_reason is StopReason.MAX_STEPS, "waiting is not the policy's time"
    assert [step.timings.get("wait", 0.0) > 50 for step in episode.steps] == [False, True, True]


def test_the_rate_and_the_budget_are_the_runs_and_not_the_episodes() -> None:
    pace, rules = Pace(), SafetyConfig(max_actions=3)
    episodes = [
        run_episode(
            Board(), ScriptedPolicy([Type("a"), Type("b")]), board_task(max_steps=2), seed=1, pace=pace,
            safety=safety_of(rules),
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [e.stop_reason for e in episodes] == [StopReason.MAX_STEPS, StopReason.REFUSED]
    assert pace.actions == 3 and "safety.max_actions" in episodes[1].steps[-1].note


def test_a_stop_while_waiting_for_the_rate_ends_it() -> None:
    stop, pace = Stop(), Pace()
    pace.note(Type("a"), time.monotonic())

    def think(screen: Observation, context: Context) -> Action:
        import threading

        threading.Timer(0.1, stop.press).start()
        return Type("b")

    board, begun = Board(), time.monotonic()
    episode = run_episode(
        board, ScriptedPolicy([think]), board_task(), seed=1, stop=stop, pace=pace,
        safety=safety_of(SafetyConfig(actions_per_second=0.05)),
    )  # fmt: skip
    assert episode.stop_reason is StopReason.STOPPED and board.done == []
    assert time.monotonic() - begun < 15


def test_a_step_that_thinks_too_long_is_not_done() -> None:
    board = Board()
    task = board_task(step_seconds=0.05)
    episode = run_episode(board, ScriptedPolicy([Type("a")], seconds=0.1), task, seed=1)
    assert episode.stop_reason is StopReason.TIMEOUT and board.done == []
    assert "limits.step_seconds" in episode.steps[0].note


def test_a_step_that_acts_too_long_is_cut_between_two_inputs() -> None:
    class Slow(Board):
        def execute(self, action: Action, interrupt: Interrupt) -> Executed:
            for _ in range(1000):
                interrupt.check()
                self._typed += "x"
                time.sleep(0.01)
            raise AssertionError("nobody stopped it")

    board = Slow()
    episode = run_episode(board, ScriptedPolicy([Type("a")]), board_task(step_seconds=0.1), seed=1)
    assert episode.stop_reason is StopReason.TIMEOUT
    assert 1 <= len(board._typed) < 100


def test_a_persons_time_is_not_the_policys() -> None:
    class Thinker(Answers):
        def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
            time.sleep(0.5)
            return super().ask(request)

    board = Board()
    task = board_task(max_steps=2, max_seconds=0.4, step_seconds=0.4)
    rules = safety_of(SafetyConfig(mode="step"))
    episode = run_episode(
        board, ScriptedPolicy([Type("a"), Type("b")]), task, seed=1, safety=rules, approver=Thinker(True)
    )
    assert episode.stop_reason is StopReason.MAX_STEPS and len(board.done) == 2


# the stop ---------------------------------------------------------------------------------------------------------


def test_a_stop_right_after_the_answer_asks_nobody() -> None:
    stop, person, board = Stop(), Answers(True), Board()

    def think(screen: Observation, context: Context) -> Action:
        stop.press("enough")
        return Type("a")

    episode = run_episode(
        board, ScriptedPolicy([think]), board_task(), seed=1, stop=stop, approver=person,
        safety=safety_of(SafetyConfig(mode="step")),
    )  # fmt: skip
    assert episode.stop_reason is StopReason.STOPPED and not person.asked and board.done == []


def test_a_stop_after_the_approval_comes_before_the_environment() -> None:
    stop = Stop()

    class Presser(Answers):
        def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
            stop.press("changed my mind")
            return super().ask(request)

    class Deaf(Board):
        """Does not look at the interrupt, as it should."""

        def execute(self, action: Action, interrupt: Interrupt) -> Executed:
            return super().execute(action, Stop())

    board = Deaf()
    episode = run_episode(
        board, ScriptedPolicy([Type("a")]), board_task(), seed=1, stop=stop, approver=Presser(True),
        safety=safety_of(SafetyConfig(mode="step")),
    )  # fmt: skip
    assert episode.stop_reason is StopReason.STOPPED and board.calls == 0
    assert (episode.steps[0].approved, episode.steps[0].executed) == (Type("a"), None)


# the fence --------------------------------------------------------------------------------------------------------


def test_the_fence_holds_for_whoever_acts() -> None:
    world = EmbeddedWorld()
    fenced = Fenced(world, SafetyConfig(applications=("embedded",), region=(0.0, 0.0, 0.5, 1.0)))
    limits = Limits(max_steps=1)
    policy = ScriptedPolicy([Click(0.9, 0.5)])
    episode = run_episode(fenced, policy, find_task("app/dev/single/0"), seed=7, limits=limits)
    (step,) = episode.steps
    assert step.executed is None and "safety.region" in step.note
    assert ability(fenced, Oracle) is world and fenced.capabilities is world.capabilities
    blind = Fenced(Board(), SafetyConfig(applications=("*",)))
    blind.reset(board_task(), 1)
    with pytest.raises(BadInput, match="is not known here"):
        blind.execute(Type("a"), Stop())
    with pytest.raises(Stopped):
        stopped = Stop()
        stopped.press()
        fenced.execute(Click(0.1, 0.1), stopped)
