from __future__ import annotations

import ast
import inspect
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import (
    WAIT,
    AlwaysAllow,
    AlwaysDeny,
    Board,
    Recorder,
    ScriptedPolicy,
    board_task,
    events_in,
    oracle_policy,
    unreadable,
)

import showonce.runtime.loop as loop_module
from showonce.actions import EXAMPLES, Action, Ask, Click, Done, Open, Type, to_json
from showonce.demonstrations import EpisodeStore, load_episode, load_observations, read_meta, read_png
from showonce.environments.registry import find_task, make_environment, oracle_for
from showonce.errors import EnvironmentBroken, Stopped, TaskError
from showonce.protocols import ApprovalRequest, Context, Interrupt, Turn
from showonce.runs.event_file import EventWriter
from showonce.runtime.guards import SameAction
from showonce.runtime.loop import run_episode
from showonce.runtime.safety import Known, Verdict
from showonce.runtime.stop import Stop
from showonce.types import Executed, Observation, StopReason, Task

NOWHERE = Click(0.99, 0.99)


def run(board: Board, answers: list[Any], task: Task | None = None, **options: Any) -> Any:
    return run_episode(board, ScriptedPolicy(answers), task or board_task(), seed=1, **options)


# every end has its reason ---------------------------------------------------------------------------------------


def ask_always(action: Action, observation: Observation, known: Known) -> Verdict:
    return Verdict("ask", "every action is to be approved")


def test_success_is_what_the_world_says() -> None:
    board = Board()
    episode = run_episode(board, oracle_policy(board), board_task("light red green"), seed=1)
    assert episode.stop_reason is StopReason.COMPLETED
    assert episode.success
    assert episode.source == "policy"
    assert episode.adapter_version == "scripted-1"
    assert [step.outcome.step_correct for step in episode.steps] == [True, True]
    assert [step.index for step in episode.steps] == [0, 1]


def test_done_is_only_a_claim() -> None:
    log = Recorder()
    episode = run(Board(), [Done("all is well")], events=log)
    assert episode.stop_reason is StopReason.CLAIMED
    assert not episode.success
    assert episode.outcome.success is False
    (guard,) = log.of("guard")
    assert guard["name"] == "done_without_evidence"
    assert "0 of 2 lamps" in str(guard["detail"])


def test_a_hopeless_world_ends_it() -> None:
    episode = run(Board(fatal=True), [NOWHERE])
    assert episode.stop_reason is StopReason.FAILED
    assert episode.outcome.success is False
    assert len(episode.steps) == 1


def test_the_step_limit() -> None:
    episode = run(Board(), [Type("a"), Type("b")] * 9, board_task(max_steps=3))
    assert episode.stop_reason is StopReason.MAX_STEPS
    assert len(episode.steps) == 3
    assert episode.outcome.success is False


def test_the_time_limit() -> None:
    policy = ScriptedPolicy([Type("a"), Type("b")] * 50, seconds=0.03)
    episode = run_episode(Board(), policy, board_task(max_steps=90, max_seconds=0.1), seed=1)
    assert episode.stop_reason is StopReason.TIMEOUT
    assert 1 <= len(episode.steps) < 10


def test_answers_that_are_no_action() -> None:
    log = Recorder()
    board = Board()
    episode = run(board, [unreadable()], board_task(max_parse_failures=3), events=log)
    assert episode.stop_reason is StopReason.PARSE_FAILURES
    assert [step.executed for step in episode.steps] == [None] * 3
    assert board.done == []
    assert [e["where"] for e in log.of("error")] == ["parser"]
    assert log.of("step")[0]["parse_failure"] == {"reason": "no_object", "detail": "no JSON object in the answer"}
    assert log.of("step")[0]["text"] == "I would rather not"


def test_only_failures_in_a_row_count() -> None:
    answers = [unreadable(), Type("a"), unreadable(), Type("b"), unreadable(), unreadable()]
    episode = run(Board(), answers, board_task(max_steps=9, max_parse_failures=2))
    assert episode.stop_reason is StopReason.PARSE_FAILURES
    assert len(episode.steps) == 6


def test_a_broken_model() -> None:
    log = Recorder()
    episode = run(Board(), [Type("a"), RuntimeError("out of memory")], events=log)
    assert episode.stop_reason is StopReason.MODEL_ERROR
    assert episode.outcome.success is not True
    assert [(e["where"], e["message"]) for e in log.of("error")] == [("model", "RuntimeError: out of memory")]
    assert "out of memory" in episode.steps[-1].note


def test_a_broken_environment_is_not_the_models_fault() -> None:
    log = Recorder()
    episode = run(Board(breaks_at=2), [Type("a")], events=log)
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR
    assert [e["where"] for e in log.of("error")] == ["environment"]
    assert [step.executed for step in episode.steps] == [Type("a"), None]
    assert episode.steps[-1].approved == Type("a")


def test_a_bug_in_the_executor_is_told_as_such() -> None:
    log = Recorder()
    episode = run(Board(crashes_at=1), [Type("a")], events=log)
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR
    assert [(e["where"], e["message"]) for e in log.of("error")] == [
        ("executor", "ZeroDivisionError: a bug in the driver")
    ]


class Blind(Board):
    """Breaks when it is looked at after an action."""

    def observe(self) -> Observation:
        if self.done:
            raise EnvironmentBroken("the camera is off.")
        return super().observe()


def test_a_screen_that_is_gone_after_the_action_keeps_the_action() -> None:
    episode = run(Blind(), [Type("a")])
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR
    assert [step.executed for step in episode.steps] == [Type("a")]
    assert episode.steps[0].changed is None


def test_an_environment_that_cannot_start() -> None:
    log = Recorder()
    board = Board()
    board.close()
    episode = run(board, [Type("a")], events=log)
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR
    assert episode.steps == ()
    assert [e["kind"] for e in log.events] == ["episode_started", "error", "episode_finished"]


def test_a_task_that_makes_no_sense_here_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="does not understand"):
        run(Board(), [Type("a")], board_task("paint red"), store=EpisodeStore(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_action_that_the_environment_refuses_is_not_done() -> None:
    log = Recorder()
    board = Board()
    episode = run(board, [Open("notes"), Type("a"), Type("b")], board_task(max_steps=2), events=log)
    assert episode.steps[0].executed is None
    assert episode.steps[0].approved == Open("notes")
    assert "cannot open anything" in episode.steps[0].note
    assert [e["where"] for e in log.of("error")] == ["executor"]
    assert board.done == [Type("a")]


def test_a_refused_action_is_not_executed() -> None:
    board = Board()
    episode = run(board, [Type("rm -rf /")], safety=lambda action, screen, known: Verdict("refuse", "dangerous text"))
    assert episode.stop_reason is StopReason.REFUSED
    assert board.done == []
    (step,) = episode.steps
    assert (step.proposed, step.approved, step.executed, step.note) == (Type("rm -rf /"), None, None, "dangerous text")


def test_a_broken_safety_rule_refuses() -> None:
    def broken(action: Action, screen: Observation, known: Known) -> Verdict:
        raise KeyError("rule")

    board = Board()
    assert run(board, [Type("a")], safety=broken).stop_reason is StopReason.REFUSED
    assert board.done == []


def test_a_denied_action_is_not_executed() -> None:
    for approver in (AlwaysDeny(), None):
        board = Board()
        episode = run(board, [Type("a")], safety=ask_always, approver=approver)
        assert episode.stop_reason is StopReason.DENIED
        assert board.done == []
        assert episode.steps[0].approved is None


def test_an_approver_that_breaks_denies() -> None:
    class Broken:
        def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
            raise ConnectionError("the chat is down")

    board, log = Board(), Recorder()
    episode = run(board, [Type("a")], safety=ask_always, approver=Broken(), events=log)
    assert episode.stop_reason is StopReason.DENIED
    assert board.done == []
    assert "the chat is down" in str(log.of("error")[0]["message"])


def test_an_approved_action_is_executed() -> None:
    board = Board()
    episode = run(board, [Type("a"), Type("b")], board_task(max_steps=2), safety=ask_always, approver=AlwaysAllow())
    assert board.done == [Type("a"), Type("b")]
    assert {step.executor for step in episode.steps} == {"student"}


class Corrector:
    """A person who knows better."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.asked: list[Action | None] = []

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        self.asked.append(request.action)
        return self.action, "no, there"


def test_a_correction_is_a_persons_and_all_three_actions_are_kept() -> None:
    board = Board()
    corrector = Corrector(Type("right"))
    episode = run(board, [Type("wrong")], board_task(max_steps=1), safety=ask_always, approver=corrector)
    (step,) = episode.steps
    assert corrector.asked == [Type("wrong")]
    assert (step.proposed, step.approved, step.executed) == (Type("wrong"), Type("right"), Type("right"))
    assert step.executor == "person"
    assert episode.source == "person"  # such a success is not the student's own


def test_a_question_goes_to_the_person_when_there_is_one() -> None:
    board = Board()
    episode = run(board, [Ask("which colour?"), Type("b")], board_task(max_steps=2), approver=Corrector(Type("red")))
    assert board.done[0] == Type("red")
    assert episode.stop_reason is StopReason.MAX_STEPS


def test_a_question_that_nobody_answers_ends_it() -> None:
    assert run(Board(), [Ask("which colour?")]).stop_reason is StopReason.ASKED
    assert run(Board(), [Ask("which colour?")], approver=AlwaysAllow()).stop_reason is StopReason.ASKED


def test_asking_is_a_step_where_the_world_wants_to_be_asked() -> None:
    world = make_environment("embedded")
    oracle = oracle_for(world)
    task = find_task("skill/ask")
    episode = run_episode(world, ScriptedPolicy([lambda screen, context: oracle()]), task, seed=3)
    assert isinstance(episode.steps[-1].executed, Ask)
    assert episode.stop_reason is StopReason.COMPLETED


# the stop -------------------------------------------------------------------------------------------------------


def test_a_stop_before_the_start_leaves_the_world_alone() -> None:
    stop = Stop()
    stop.press()
    board = Board()
    policy = ScriptedPolicy([Type("a")])
    episode = run_episode(board, policy, board_task(), seed=1, stop=stop)
    assert episode.stop_reason is StopReason.STOPPED
    assert episode.outcome.success is None
    assert policy.seen == [] and board.done == []


def test_a_stop_while_the_model_thinks_stops_the_action() -> None:
    stop = Stop()

    def think(screen: Observation, context: Context) -> Action:
        stop.press("enough")
        return Type("a")

    board = Board()
    episode = run(board, [think], stop=stop)
    assert episode.stop_reason is StopReason.STOPPED
    assert board.done == []
    (step,) = episode.steps
    assert (step.proposed, step.approved, step.executed) == (Type("a"), None, None)
    assert "enough" in step.note


def test_a_stop_from_the_person_at_the_prompt() -> None:
    class Quitter:
        def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
            raise Stopped("stopped: quit.")

    board = Board()
    episode = run(board, [Type("a")], safety=ask_always, approver=Quitter())
    assert episode.stop_reason is StopReason.STOPPED
    assert board.done == []


# what is recorded is what was done --------------------------------------------------------------------------------


class Clipping(Board):
    """Really does something else than it was asked to: text is cut to three letters."""

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        if isinstance(action, Type):
            action = Type(action.text[:3])
        return super().execute(action, interrupt)


def test_recorded_is_executed(tmp_path: Path) -> None:
    board = Clipping()
    answers = [
        Type("abcdef"),
        Open("x"),
        unreadable(),
        lambda screen, context: board.click("red"),
        Type("xyzw"),
        Ask("what?"),
    ]
    episode = run(board, answers, board_task(max_steps=9), store=EpisodeStore(tmp_path))
    for steps in (episode.steps, load_episode(episode.path).steps):
        assert [step.executed for step in steps if step.executed is not None] == board.done
    assert Type("abc") in board.done
    assert episode.steps[0].proposed == episode.steps[0].approved == Type("abcdef")


def test_the_stored_episode_is_the_returned_one(tmp_path: Path) -> None:
    board = Board()
    episode = run_episode(board, oracle_policy(board), board_task(), seed=1, store=EpisodeStore(tmp_path))
    loaded = load_episode(episode.path)
    assert [replace(step, proposal=None) for step in loaded.steps] == [
        replace(step, proposal=None) for step in episode.steps
    ]
    assert replace(loaded, steps=()) == replace(episode, steps=())
    assert [screen.hash for screen in load_observations(episode.path)] == [s.frame_hash for s in episode.steps]


def test_the_final_screen_is_stored_too(tmp_path: Path) -> None:
    board = Board()
    episode = run_episode(board, oracle_policy(board), board_task(), seed=1, store=EpisodeStore(tmp_path))
    final = Path(episode.path) / read_meta(episode.path)["final_frame"]
    assert np.array_equal(read_png(final), board.observe().image)
    assert len(list(Path(episode.path).glob("*.png"))) == 3


def test_regions_of_the_task_are_blank_on_the_disk_and_not_for_the_policy(tmp_path: Path) -> None:
    board = Board()
    policy = oracle_policy(board)
    task = replace(board_task(), redact=((0.0, 0.0, 1.0, 1.0),))
    episode = run_episode(board, policy, task, seed=1, store=EpisodeStore(tmp_path))
    assert all(screen.image.any() for screen in policy.seen)
    assert not any(screen.image.any() for screen in load_observations(episode.path))


any_answer = st.one_of(
    st.sampled_from([*EXAMPLES, WAIT, NOWHERE, Done("")]),
    st.builds(Click, x=st.floats(0, 1), y=st.floats(0, 1)),
    st.builds(unreadable, st.text(max_size=9)),
    st.sampled_from([RuntimeError("model"), ValueError("")]),
)


@settings(max_examples=80, deadline=None)
@given(
    answers=st.lists(any_answer, min_size=1, max_size=9),
    beta=st.sampled_from([0.0, 0.5, 1.0]),
    kind=st.sampled_from(["world", "text", "answer", "none"]),
    breaks_at=st.integers(-1, 5),
    fatal=st.booleans(),
)
def test_whatever_happens_it_ends_with_a_reason_and_the_truth(
    answers: list[Any], beta: float, kind: str, breaks_at: int, fatal: bool
) -> None:
    board, log = Board(fatal=fatal, breaks_at=breaks_at), Recorder()
    task = board_task("light red blue", kind=kind, value="typed: sun", max_steps=6)
    episode = run(
        board, answers, task, events=log, observers=(log,), teacher=lambda s, c: board.click("blue"), teacher_beta=beta
    )
    assert isinstance(episode.stop_reason, StopReason)
    assert len(episode.steps) <= 6
    assert [step.executed for step in episode.steps if step.executed is not None] == board.done
    assert (episode.stop_reason is StopReason.COMPLETED) == (episode.outcome.success is True)
    assert (episode.source == "policy") == all(s.executor == "student" for s in episode.steps if s.executed is not None)
    assert [e["kind"] for e in (log.events[0], log.events[-1])] == ["episode_started", "episode_finished"]
    assert len(log.of("step")) == len(episode.steps) == len(log.steps)


# what the policy is told ------------------------------------------------------------------------------------------


class Remembering(ScriptedPolicy):
    history_frames = 2


def test_a_policy_gets_as_many_earlier_screens_as_it_shows() -> None:
    policy = Remembering([Type("a"), Type("b"), unreadable(), Type("c"), Type("d")])
    run_episode(Board(), policy, board_task(max_steps=5), seed=1)
    asked = [seen.hash for seen in policy.seen]
    for step, context in enumerate(policy.contexts):
        shown = [turn.frame.hash if turn.frame else None for turn in context.history]
        assert shown == [None] * (step - 2) + asked[max(0, step - 2) : step]
    assert [turn.text for turn in policy.contexts[4].history] == [
        "I do type",
        "I do type",
        "I would rather not",
        "I do type",
    ]


def test_the_text_of_an_answer_is_remembered_only_where_it_was_what_was_done() -> None:
    policy = ScriptedPolicy([Type("a")])
    options = {"teacher": lambda _, told: Type("z") if told.actions else None, "teacher_beta": 1.0}
    run_episode(Board(), policy, board_task(max_steps=3), seed=1, **options)
    assert policy.contexts[2].history == (Turn(text="I do type", action=Type("a")), Turn(action=Type("z")))


def test_progress_counts_actions_that_changed_the_screen() -> None:
    policy = ScriptedPolicy([Type("a"), WAIT, unreadable(), NOWHERE, Type("b")])
    episode = run_episode(Board(), policy, board_task(max_steps=5), seed=1)
    assert [step.changed for step in episode.steps] == [True, False, None, False, True]
    assert [context.progress for context in policy.contexts] == [0, 1, 1, 1, 1]
    assert [len(context.actions) for context in policy.contexts] == [0, 1, 2, 2, 3]
    assert policy.contexts[-1].actions == (Type("a"), WAIT, NOWHERE)
    assert [turn.action for turn in policy.contexts[-1].history] == [Type("a"), WAIT, None, NOWHERE]
    assert all(turn.frame is None for turn in policy.contexts[-1].history)  # this policy shows none
    assert {context.goal for context in policy.contexts} == {"light red green"}
    assert all(context.demonstration is None for context in policy.contexts)


def test_every_step_sees_the_screen_after_the_one_before() -> None:
    board = Board()
    policy = ScriptedPolicy([Type("a"), Type("b"), Type("c")])
    episode = run_episode(board, policy, board_task(max_steps=3), seed=1)
    assert [s.hash for s in policy.seen] == [step.frame_hash for step in episode.steps]
    assert len({s.hash for s in policy.seen}) == 3


# the teacher ------------------------------------------------------------------------------------------------------


def test_a_teacher_may_act_and_then_it_is_not_the_students_success() -> None:
    board = Board()
    asked: list[Context] = []

    def teacher(screen: Observation, context: Context) -> Action:
        asked.append(context)
        return board.oracle()

    episode = run(board, [NOWHERE], teacher=teacher, teacher_beta=1.0)
    assert episode.success
    assert episode.source == "teacher"
    assert {step.executor for step in episode.steps} == {"teacher"}
    assert {step.proposed for step in episode.steps} == {NOWHERE}
    assert [len(context.actions) for context in asked] == [0, 1]


def test_the_teacher_acts_as_often_as_beta_says() -> None:
    def share(beta: float) -> float:
        answers: list[Any] = [Type("s"), Type("t")]
        board = Board()
        episode = run_episode(
            board, ScriptedPolicy(answers), board_task(max_steps=300), seed=1, teacher=lambda s, c: Type("u"),
            teacher_beta=beta, teacher_executor="oracle", rng=random.Random(5), guards=(),
        )  # fmt: skip
        return sum(step.executor == "oracle" for step in episode.steps) / len(episode.steps)

    assert share(0.0) == 0.0
    assert 0.2 < share(0.3) < 0.4
    assert share(1.0) == 1.0


def test_a_teacher_without_an_answer_leaves_the_student_alone() -> None:
    board = Board()
    episode = run(board, [Type("s")], board_task(max_steps=1), teacher=lambda s, c: None, teacher_beta=1.0)
    assert board.done == [Type("s")]
    assert episode.source == "policy"


def test_a_teacher_helps_an_unreadable_student() -> None:
    board = Board()
    teacher = lambda s, c: board.oracle()  # noqa: E731
    episode = run(board, [unreadable()], teacher=teacher, teacher_beta=1.0)
    assert episode.success
    assert all(step.proposed is None and step.approved is not None for step in episode.steps)


# guards, checkers, observers ---------------------------------------------------------------------------------------


def test_going_round_in_circles_ends_it_with_an_event() -> None:
    log = Recorder()
    episode = run(Board(), [NOWHERE], board_task(max_steps=9, unchanged=0), events=log)
    assert episode.stop_reason is StopReason.GUARD
    assert [e["name"] for e in log.of("guard")] == ["same_action"]
    assert len(episode.steps) == 3


def test_guards_can_be_switched_off() -> None:
    off = board_task(max_steps=7, same_action=0, unchanged=0)
    assert run(Board(), [NOWHERE], off).stop_reason is StopReason.MAX_STEPS
    assert run(Board(), [Done()], board_task(max_steps=3), guards=()).stop_reason is StopReason.MAX_STEPS
    assert run(Board(), [NOWHERE], guards=(SameAction(2),)).stop_reason is StopReason.GUARD


def test_the_checker_of_the_task_decides_and_the_world_still_judges_the_steps() -> None:
    board = Board()
    episode = run(board, [NOWHERE, Type("sun")], board_task(kind="text", value="typed: sun"))
    assert episode.stop_reason is StopReason.COMPLETED
    assert episode.outcome.checker == "text"
    assert [step.outcome.step_correct for step in episode.steps] == [False, None]


def test_an_unchecked_task_ends_with_the_claim_and_is_no_success() -> None:
    episode = run(Board(), [Type("a"), Done()], board_task(kind="none"))
    assert episode.stop_reason is StopReason.CLAIMED
    assert episode.outcome.success is None
    assert not episode.success


def test_observers_see_every_step_and_the_episode() -> None:
    board = Board()
    watcher = Recorder()
    partly = type("Partly", (), {"on_episode": lambda self, episode: watcher.episodes.append(episode)})()
    episode = run_episode(board, oracle_policy(board), board_task(), seed=1, observers=(watcher, partly))
    assert [step for _, step, _ in watcher.steps] == list(episode.steps)
    assert [screen.hash for screen, _, _ in watcher.steps] == [step.frame_hash for step in episode.steps]
    assert [len(context.actions) for _, _, context in watcher.steps] == [0, 1]
    assert watcher.episodes == [episode, episode]


def test_a_world_that_draws_the_goal_names_it() -> None:
    class Drawn(Board):
        goal = ""

        def reset(self, task: Task, seed: int | None = None) -> Observation:
            self.goal = "light blue"
            return super().reset(replace(task, goal=self.goal), seed)

    board = Drawn()
    policy = oracle_policy(board)
    episode = run_episode(board, policy, replace(board_task(), goal=""), seed=1)
    assert episode.goal == policy.contexts[0].goal == "light blue"


def test_a_world_that_broke_in_its_reset_is_not_asked_for_its_goal() -> None:
    class Gone(Board):
        @property
        def goal(self) -> str:
            raise EnvironmentBroken("the page hangs")

        def reset(self, task: Task, seed: int | None = None) -> Observation:
            raise EnvironmentBroken("the page hangs")

    episode = run_episode(Gone(), oracle_policy(Board()), replace(board_task(), goal=""), seed=1)
    assert episode.stop_reason is StopReason.ENVIRONMENT_ERROR and episode.goal == ""


# events -----------------------------------------------------------------------------------------------------------


def test_the_events_of_an_episode(tmp_path: Path) -> None:
    board = Board()
    with EventWriter(tmp_path / "events.jsonl") as events:
        store = EpisodeStore(tmp_path / "episodes")
        episode = run_episode(board, oracle_policy(board), board_task(), seed=1, store=store, events=events)
    started, first, second, finished = events_in(tmp_path)
    assert {k: started[k] for k in started if k != "t"} == {
        "kind": "episode_started", "episode": episode.id, "task": "board/light-red-green", "goal": "light red green",
        "seed": 1, "phase": "run", "adapter_version": "scripted-1", "executor": "student",
    }  # fmt: skip
    assert [first["index"], second["index"]] == [0, 1]
    assert first["proposed"] == first["executed"] == to_json(episode.steps[0].executed)
    assert first["confidence"] == {"stated": 0.75, "token": 0.5, "calibrated": None}
    assert first["parse_failure"] is None
    assert (first["changed"], first["step_correct"], first["executor"]) == (True, True, "student")
    assert set(first["timings"]) >= {"observe", "model", "parse", "execute", "overhead"}
    assert (tmp_path / first["frame"]).is_file()
    assert finished["kind"] == "episode_finished"
    assert (finished["success"], finished["steps"], finished["stop_reason"]) == (True, 2, "completed")


def test_without_a_store_there_are_no_frames_to_name() -> None:
    log = Recorder()
    episode = run(Board(), [Type("a")], board_task(max_steps=1), events=log)
    assert [e["frame"] for e in log.of("step")] == [None]
    assert episode.path == ""
    assert episode.id == log.of("step")[0]["episode"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class Noisy(Board):
    """A board whose screen cannot be compressed."""

    def observe(self) -> Observation:
        seen = super().observe()
        noise = np.random.default_rng(len(self.done)).integers(0, 256, (120, 120, 3), np.uint8)
        return Observation(noise, text=seen.text)


def test_a_full_disk_does_not_end_the_episode(tiny_disk: Path) -> None:
    log = Recorder()
    board = Noisy()
    with pytest.warns(RuntimeWarning, match="not stored.*the disk is full") as told:
        policy = ScriptedPolicy([Type("a"), Type("b"), Type("c")] * 9, seconds=0.01)
        episode = run_episode(
            board, policy, board_task(max_steps=20), seed=1, store=EpisodeStore(tiny_disk / "e"), events=log
        )
    assert len(told) == 1
    assert episode.stop_reason is StopReason.MAX_STEPS
    assert len(board.done) == 20
    assert episode.path == ""
    assert [e["where"] for e in log.of("error")] == ["store"]
    assert log.of("step")[-1]["frame"] is None


def test_a_folder_that_cannot_be_made_does_not_end_the_episode(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.warns(RuntimeWarning, match="not stored"):
        episode = run(Board(), [Type("a")], board_task(max_steps=1), store=EpisodeStore(tmp_path / "logs"))
    assert (episode.path, len(episode.steps)) == ("", 1)


# time -------------------------------------------------------------------------------------------------------------


def test_the_time_split_adds_up() -> None:
    class Slow(Board):
        def execute(self, action: Action, interrupt: Interrupt) -> Executed:
            time.sleep(0.02)
            return super().execute(action, interrupt)

    policy = ScriptedPolicy([Type("a"), Type("b")], seconds=0.03)
    started = time.perf_counter()
    episode = run_episode(Slow(), policy, board_task(max_steps=4), seed=1)
    wall = (time.perf_counter() - started) * 1e3
    for step in episode.steps:
        assert step.timings["execute"] >= 20
        assert step.timings["model"] + step.timings["parse"] >= 30
        assert step.timings["parse"] == 0.25
        assert 0 <= step.timings["overhead"] < 10
    assert sum(sum(step.timings.values()) for step in episode.steps) <= wall


def test_the_loop_stays_short_enough_to_be_read() -> None:
    source = inspect.getsource(loop_module)
    assert len(source.splitlines()) <= 250
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 80, node.name
    for number in range(1, 10):
        assert source.count(f"# {number} ") == 1
