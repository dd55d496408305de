"""The stages of one step, as the loop calls them. Each boundary that is crossed may fail in one place here."""

from __future__ import annotations

import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from showonce.actions import Action, Ask, Done, Key, Type, points
from showonce.environments.wrappers.fence import TOUCHES_NOTHING
from showonce.errors import BadInput, EnvironmentBroken, Stopped, Unavailable
from showonce.events import GIVE_UP
from showonce.protocols import (
    ApprovalRequest,
    Approver,
    Context,
    Environment,
    Facts,
    Interrupt,
    Policy,
    Remarks,
    Sampling,
    SetsGoal,
    ShowsHistory,
    Turn,
    TypesSecrets,
    Undoable,
    ability,
)
from showonce.runtime.approvals import Person, person_of
from showonce.runtime.clock import Clock
from showonce.runtime.completion import Checker
from showonce.runtime.freshness import compare
from showonce.runtime.guards import Guard
from showonce.runtime.journal import Journal
from showonce.runtime.recovery import NOTHING_LEFT, Measure, Recovery
from showonce.runtime.safety import Known, Pace, Safety, Verdict, allow
from showonce.runtime.stopwatch import Stopwatch
from showonce.runtime.tasks import reset_task
from showonce.secrets import mentions
from showonce.types import (
    Demonstration,
    Element,
    Episode,
    Executor,
    Limits,
    Observation,
    Outcome,
    Proposal,
    ScreenFacts,
    Step,
    StopReason,
    Task,
)

Teacher = Callable[[Observation, Context], Action | None]
WAIT_SECONDS: Final = 0.02  # a shorter wait leaves the frame as good as new
OLD_SECONDS: Final = 1.0  # age of a frame from which on a step begins with a new one
MOST_OUTDATED: Final = 2  # times in a row that an action is proposed again because the screen changed
BROKEN = (StopReason.STOPPED, StopReason.MODEL_ERROR, StopReason.ENVIRONMENT_ERROR)


@dataclass
class StepDraft:
    """One step while it is being made. intended: the action that is judged, the policy's or the teacher's."""

    screen: Observation
    executor: Executor
    proposal: Proposal | None = None
    intended: Action | None = None
    approved: Action | None = None
    executed: Action | None = None
    origin: str = ""
    targets: tuple[Element, ...] = ()
    note: str = ""
    reason: StopReason | None = None
    facts: ScreenFacts | None = None
    asked: bool = False  # a person approved it
    not_before: float = 0.0  # time of the clock before which it must not be executed


@dataclass(frozen=True)
class Setting:
    """Who takes part in an attempt and under which rules."""

    environment: Environment
    policy: Policy
    task: Task
    checker: Checker
    limits: Limits
    guards: Sequence[Guard]
    safety: Safety
    pace: Pace
    recovery: Recovery
    approver: Approver | None
    person: Person | None
    stop: Interrupt
    sampling: Sampling
    executor: Executor
    demonstration: Demonstration | None
    teacher: Teacher | None
    teacher_executor: Executor
    teacher_beta: float
    rng: random.Random | np.random.Generator
    observers: Sequence[Any]
    run: str


def _turn(step: Step, screen: Observation | None) -> Turn:
    """Return a step as later prompts show it; its text only where the policy's own action was executed."""
    own = step.proposal is not None and step.executed == step.proposed
    said = step.proposal if own else None
    return Turn(screen, said.text if said else "", said.thought if said else "", step.executed)


class Attempt:
    """The steps so far, the screen as it is, and the stages that make the next step."""

    def __init__(self, setting: Setting, journal: Journal) -> None:
        self.set = setting
        self.task = setting.task
        self.journal = journal
        self.steps: list[Step] = []
        self.outcome = Outcome(None, setting.checker.name)
        self.screen: Observation
        policy = setting.policy  # screens of the latest steps, as many as its prompts show
        self._earlier = deque[Observation](maxlen=policy.history_frames if isinstance(policy, ShowsHistory) else 0)
        self.time = Clock(setting.stop, setting.limits.step_seconds)
        self._clock = Stopwatch()
        self._started = time.monotonic()
        self._ask_next = ""  # why the next action has to be approved whatever the rules say
        self._watched = False
        looks = setting.safety is not allow or any(getattr(g, "wants_facts", False) for g in setting.guards)
        self._facts = ability(setting.environment, Facts) if looks else None
        self._secrets = ability(setting.environment, TypesSecrets)
        self._seen_waited = self._seen_at = 0.0  # `time.waited` and `time.now` when `screen` was taken
        self._outdated = 0  # actions in a row that were not executed because the screen had changed

    def reset(self, seed: int | None, phase: str) -> StopReason | None:
        """Prepare the start and announce the episode. A task that cannot be used here is the caller's error.

        A task without a goal gets that of the world, where the world draws one from the seed (its `goal`).
        """
        reason, failure = None, None
        try:
            self.screen = reset_task(self.task, self.set.environment, seed, self.set.person)
        except (BadInput, Unavailable):
            raise
        except Stopped:
            reason = StopReason.STOPPED
        except Exception as error:
            reason, failure = StopReason.ENVIRONMENT_ERROR, error
        world = ability(self.set.environment, SetsGoal)
        if not self.task.goal and failure is None and reason is None and world is not None:
            self.task = replace(self.task, goal=world.goal)
        self.journal.start(self.task, seed, phase, self.set.executor, self.set.policy.adapter_version)
        if failure is not None:
            self._failed("environment", failure)
            self.outcome = replace(self.outcome, evidence=f"its reset failed: {failure}")
        self._clock, self._started = Stopwatch(), time.monotonic()
        self.time.begin()
        self._note_seen()
        return reason

    def stopped(self) -> StopReason | None:
        """Return STOPPED if a person has pressed stop, else None."""
        try:
            self.set.stop.check()
        except Stopped:
            return StopReason.STOPPED
        return None

    def limit(self) -> StopReason | None:
        """Return the reason of the limit that is reached, else None."""
        if len(self.steps) >= self.set.limits.max_steps:
            return StopReason.MAX_STEPS
        return StopReason.TIMEOUT if self.time.seconds >= self.set.limits.max_seconds else None

    def observe(self) -> StepDraft:
        """Begin a step on the screen as it is now.

        The frame that was taken after the reset or after the previous action serves as long as nothing waited since.
        After a pause, a wait or slow observers (the frame is older than `OLD_SECONDS`) a new one is taken.
        """
        self.time.begin_step()
        draft = StepDraft(self.screen, self.set.executor)
        if self._has_waited() or self.time.now - self._seen_at > OLD_SECONDS:
            with self._boundary("environment", draft, StopReason.ENVIRONMENT_ERROR):
                draft.screen = self._look()
        return draft

    def _look(self) -> Observation:
        """Take a frame of the screen and keep it as `screen`."""
        with self._clock.part("observe"):
            self.screen = self.set.environment.observe()
        self._note_seen()
        return self.screen

    def _note_seen(self) -> None:
        self._seen_waited, self._seen_at = self.time.waited, self.time.now

    def _has_waited(self) -> bool:
        """Whether the episode waited for more than `WAIT_SECONDS` since `screen` was taken."""
        return self.time.waited - self._seen_waited > WAIT_SECONDS

    def context(self) -> Context:
        """Return the policy's input beside the screen: goal, progress, history, demonstration."""
        unseen: list[Observation | None] = [None] * (len(self.steps) - len(self._earlier))
        history = tuple(map(_turn, self.steps, [*unseen, *self._earlier]))
        progress = sum(step.changed is True for step in self.steps if step.executed is not None)
        return Context(self.task.goal, progress, history, self.set.demonstration)

    def propose(self, turn: StepDraft) -> None:
        """Ask the policy; with probability `teacher_beta` the teacher's action takes the place of its answer.

        The stop and the step's time limit are checked before the answer is used.
        """
        if turn.reason is not None:
            return
        context = self.context()
        with self._boundary("model", turn, StopReason.MODEL_ERROR), self._clock.part("model"):
            turn.proposal = self.set.policy.propose(turn.screen, context, self.set.sampling)
            turn.intended = turn.proposal.action
            if turn.proposal.screen is not None:
                turn.screen = self.screen = turn.proposal.screen
                self._note_seen()
            if self.set.teacher is not None and self.set.rng.random() < self.set.teacher_beta:
                taught = self.set.teacher(turn.screen, context)
                if taught is not None:
                    turn.intended, turn.executor = taught, self.set.teacher_executor
        if turn.proposal is not None:
            parse = min(turn.proposal.timings.get("parse", 0.0), self._clock.ms("model"))
            self._clock.add("model", -parse)
            self._clock.add("parse", parse)
        if turn.reason is None:
            with self._boundary("executor", turn, StopReason.STOPPED):
                self.time.check()

    def parsed(self, turn: StepDraft) -> bool:
        """Return whether the answer is an action. `limits.max_parse_failures` failures in a row end the episode."""
        if turn.intended is not None or turn.reason is not None:
            return turn.reason is None
        failure = turn.proposal.failure if turn.proposal is not None else None
        turn.note = "no action" if failure is None else f"{failure.reason}: {failure.detail}"
        unread = 1
        for step in reversed(self.steps):
            if step.approved is not None or step.proposed is not None:
                break
            unread += 1
        if unread >= max(1, self.set.limits.max_parse_failures):
            turn.reason = StopReason.PARSE_FAILURES
            self.journal.error("parser", f"{unread} answers in a row were not an action; the last one: {turn.note}")
        return False

    def safe(self, turn: StepDraft) -> bool:
        """Return whether the action may go on to approval. A refusal ends the episode, as does a rule that raises."""
        assert turn.intended is not None
        verdict = self._judge(turn, turn.intended)
        doubt = self._doubt(turn)
        turn.note = "; ".join(filter(None, (doubt, verdict.reason)))
        turn.not_before = self.time.now + verdict.wait_s
        if verdict.decision == "refuse":
            if verdict.ends:
                turn.reason = turn.reason or StopReason.REFUSED
            else:
                self._watch(turn)
            return False
        asks = isinstance(turn.intended, Ask) and self.set.approver is not None
        asked = verdict.decision == "ask" or asks or bool(doubt)
        if self._ask_next:
            turn.note, asked, self._ask_next = "; ".join(filter(None, (self._ask_next, turn.note))), True, ""
        turn.approved = None if asked else turn.intended
        return True

    def _judge(self, turn: StepDraft, action: Action) -> Verdict:
        """Return the verdict of the safety rules on an action; an exception on the way counts as a refusal."""
        verdict = Verdict("refuse")
        if self._facts is not None:
            with self._boundary("environment", turn, StopReason.ENVIRONMENT_ERROR):
                turn.facts = self._facts.facts(points(action))
        if turn.reason is not None:
            return Verdict("refuse", turn.note)
        with self._boundary("executor", turn, StopReason.REFUSED):
            own = turn.proposal is not None and action == turn.proposal.action
            known = Known(
                turn.facts, self.task.goal, turn.proposal.confidence if own and turn.proposal else None,
                self.time.now, tuple(self.set.pace.times), self.set.pace.actions,
            )  # fmt: skip
            verdict = self.set.safety(action, turn.screen, known)
        return Verdict("refuse", turn.note) if turn.reason is not None else verdict

    def _watch(self, turn: StepDraft) -> None:
        """Go on without acting (mode watch). Only a person can act meanwhile, so a success is not the policy's."""
        assert turn.intended is not None
        self._watched, turn.executor = True, "person"
        with self._boundary("executor", turn, StopReason.STOPPED), self._clock.part("wait"):
            self.time.hold_until(turn.not_before)
        self.set.pace.note(turn.intended, self.time.now, done=False)
        if isinstance(turn.intended, (Done, Ask)):
            ended = StopReason.CLAIMED if isinstance(turn.intended, Done) else StopReason.ASKED
            turn.reason = turn.reason or ended

    def approve(self, turn: StepDraft) -> bool:
        """Ask the approver where the verdict or the policy asks for one; without an approver the action is denied.

        Of an action in doubt the episode then ends in doubt. An answer with another action is a correction: its
        executor is the person, and the same safety rules judge it.
        """
        if turn.approved is not None:
            return True
        assert turn.proposal is not None
        doubt = self._doubt(turn)
        if self.set.approver is None:
            turn.reason = StopReason.DOUBT if doubt else StopReason.DENIED
            turn.note = doubt or f"{turn.note}; nobody is there to approve it"
            return False
        field = None
        with self._boundary("environment", turn, StopReason.ENVIRONMENT_ERROR):
            field = None if self._secrets is None else self._secrets.secret_focus()
        if turn.reason is not None:
            return False
        request = ApprovalRequest(
            self.task, turn.screen, turn.proposal, turn.intended, turn.note, self.set.run, self.journal.episode,
            len(self.steps), "" if field is None else field.name or "secret",
        )  # fmt: skip
        with self._boundary("executor", turn, StopReason.DENIED), self._clock.part("approve"), self.time.uncounted():
            answer, turn.note = self.set.approver.ask(request)
            turn.approved = answer if answer == turn.intended else self._unreadable(answer)
            if turn.approved != answer:
                turn.note += "; its text is kept as a secret: later runs need a source for it (secret.NAME=...)"
        if turn.approved is None:
            if doubt:
                turn.reason, turn.note = turn.reason or StopReason.DOUBT, f"{doubt}; {turn.note}"
            turn.reason = turn.reason or StopReason.DENIED
            return False
        turn.asked = True
        if turn.approved != turn.intended:
            turn.executor = "person"
        return self._still_allowed(turn)

    def _doubt(self, turn: StepDraft) -> str:
        """Return why the policy's own action must not be executed without a person's approval; "" if nothing is."""
        own = turn.proposal is not None and turn.intended == turn.proposal.action
        return turn.proposal.doubt if own and turn.proposal is not None else ""

    def _unreadable(self, action: Action | None) -> Action | None:
        """Return a person's action with the word of a secret in place of text for a field that may hold one."""
        text = action.text if isinstance(action, Type) else ""
        if isinstance(action, Key) and len(action.keys) == 1:
            text = action.keys
        field = self._secrets.secret_focus() if self._secrets is not None and text and not mentions(text) else None
        return action if field is None or self._secrets is None else Type(self._secrets.take(text, field))

    def _still_allowed(self, turn: StepDraft) -> bool:
        """Judge the action again: time has passed since the first verdict, or the action is a person's correction."""
        assert turn.approved is not None
        verdict = self._judge(turn, turn.approved)
        turn.not_before = self.time.now + verdict.wait_s
        if verdict.decision == "refuse" or (verdict.decision == "ask" and not turn.asked):
            turn.reason, turn.note = turn.reason or StopReason.REFUSED, verdict.reason
            return False
        return True

    def execute(self, turn: StepDraft) -> None:
        """Execute the approved action, unless stop was pressed. `executed` is what the environment returns; where it
        refuses (BadInput) nothing was done.
        """
        assert turn.approved is not None
        with self._boundary("executor", turn, StopReason.ENVIRONMENT_ERROR):
            again, refused = True, False
            while again:
                with self._clock.part("wait"):
                    self.time.hold_until(turn.not_before)
                self.time.check()
                if self._outdates(turn):
                    return
                self.set.pace.note(turn.approved, self.time.now)
                try:
                    with self._clock.part("execute"):
                        done = self.set.environment.execute(turn.approved, self.time)
                    turn.executed, turn.origin, turn.targets = done.action, done.origin, done.targets
                    turn.note = f"done after all; {turn.note}" if refused else turn.note
                    return
                except BadInput as error:
                    refused, turn.note = True, f"refused by the environment: {error}"
                    self.journal.error("executor", turn.note)
                again = self.set.recovery.on and self._recover(len(self.steps), "refused", turn.note) == "retry"
                again = again and self._still_allowed(turn)

    def _outdates(self, turn: StepDraft) -> bool:
        """Take a new frame where time has passed since the step's, and return whether it outdates the action.

        An outdated action is not executed: the next step proposes anew on the screen as it is. A person's own action is
        meant for what the person sees now, so the new frame becomes the step's. After `MOST_OUTDATED` times in a row
        only the target counts; one that goes on changing ends the episode.
        """
        assert turn.approved is not None
        if isinstance(turn.approved, TOUCHES_NOTHING) or not (turn.asked or self._has_waited()):
            return False
        before, now = turn.screen, self._look()
        if turn.executor == "person":
            turn.screen = now
            return False
        change = compare(before, now, turn.approved)
        last = self._outdated >= MOST_OUTDATED
        if not change.matters or (last and not change.target and points(turn.approved)):
            self._outdated = 0
            return False
        self._outdated += 1
        turn.note = f"{change}; {'given up' if last else 'it is proposed again'}"
        turn.approved = None
        turn.reason = StopReason.REFUSED if last else None
        return True

    def record(self, turn: StepDraft) -> StopReason | None:
        """Take the next frame, append the step, call journal and observers; return why the episode is over, or None."""
        outcome = None
        changed = None
        if turn.reason not in BROKEN:
            with self._boundary("environment", turn, StopReason.ENVIRONMENT_ERROR):
                self._look()
                if turn.executed is not None:
                    changed = self.screen.hash != turn.screen.hash
                    outcome = self.outcome = self._verify(turn.executed)
        step = Step(
            index=len(self.steps),
            frame="",
            frame_hash=turn.screen.hash,
            proposed=turn.proposal.action if turn.proposal is not None else None,
            approved=turn.approved,
            executed=turn.executed,
            executor=turn.executor,
            proposal=turn.proposal,
            outcome=outcome,
            changed=changed,
            note=turn.note or (turn.proposal.note if turn.proposal is not None else ""),
            timings=self._clock.lap(),
            facts=turn.facts,
            origin=turn.origin,
            targets=turn.targets,
        )
        context = self.context()
        step = self.journal.step(step, turn.screen, self.screen)
        self.steps.append(step)
        self._earlier.append(turn.screen)
        with self._clock.part("observers"):
            for observer in self.set.observers:
                if hasattr(observer, "on_step"):
                    observer.on_step(self.task, turn.screen, step, context)
        return turn.reason or self._over(turn, step)

    def settle(self, reason: StopReason) -> None:
        """Let the checker have the last word where it has not decided yet; a broken episode is left open."""
        if self.outcome.success is None and reason not in (*BROKEN, StopReason.DENIED, StopReason.DOUBT):
            try:
                self.outcome = self.set.checker.check(self.screen, None, last=True)
            except Stopped:
                return
            except Exception as error:
                self._failed("environment", error)

    def episode(self, reason: StopReason, seed: int | None, phase: str) -> Episode:
        """Return the episode. If another executor than the policy did a step, its source is that executor."""
        others = [s.executor for s in self.steps if s.executed is not None and s.executor != self.set.executor]
        executor = others[0] if others else "person" if self._watched else self.set.executor
        episode = Episode(
            id=self.journal.episode,
            task_id=self.task.id,
            goal=self.task.goal,
            seed=seed,
            phase=phase,
            steps=tuple(self.steps),
            stop_reason=reason,
            outcome=self.outcome,
            seconds=time.monotonic() - self._started,
            adapter_version=self.set.policy.adapter_version,
            source="policy" if executor == "student" else executor,
        )
        policy = self.set.policy
        if isinstance(policy, Remarks):
            sends = None if policy.sends is None else tuple(policy.sends)
            episode = replace(episode, lost=tuple(policy.lost), checks=tuple(policy.checks), sends=sends)
        return episode

    def _verify(self, executed: Action) -> Outcome:
        """Return the checker's outcome; where the checker is not the world, the world adds `step_correct`."""
        with self._clock.part("verify"):
            outcome = self.set.checker.check(self.screen, executed)
            if self.set.checker.name != "world" and self.set.environment.capabilities.verifiable:
                outcome = replace(outcome, step_correct=self.set.environment.verify().step_correct)
            return outcome

    def _over(self, turn: StepDraft, step: Step) -> StopReason | None:
        outcome = step.outcome
        if outcome is not None and outcome.success is True:
            return StopReason.COMPLETED
        if outcome is not None and outcome.hopeless:
            return StopReason.FAILED
        if isinstance(step.executed, Ask) and not (outcome is not None and outcome.step_correct):
            return StopReason.DOUBT if self._doubt(turn) else StopReason.ASKED
        for guard in self.set.guards:
            if detail := guard.check(self.steps, self.screen):
                self.journal.guard(step.index, guard.name, detail)
                with self._boundary("executor", turn, StopReason.ENVIRONMENT_ERROR):
                    if self._recover(step.index, guard.name, detail):
                        return None
                return turn.reason or guard.reason
        if step.changed:
            self.set.recovery.worked()
        if isinstance(step.executed, Done) and self.set.checker.name == "none":
            return StopReason.CLAIMED
        return None

    def _recover(self, step: int, trouble: str, detail: str) -> str:
        """Take the next measures until one was of use, and return its name; the empty text gives up."""
        while (measure := self.set.recovery.next()) is not None:
            told = self._take(measure, f"{trouble}: {detail}")
            self.journal.recovery(step, trouble, measure.name, told, useful=bool(told))
            if told:
                return measure.name
        if self.set.recovery.on:
            self.journal.recovery(step, trouble, GIVE_UP, NOTHING_LEFT, useful=False)
        return ""

    def _take(self, measure: Measure, trouble: str) -> str:
        """Take one measure and return what it did; the empty text when it was of no use."""
        with self._clock.part("wait"):
            self.time.hold_until(self.time.now + measure.wait_s)
        self.time.check()
        if measure.name == "ask":
            self._ask_next = trouble
            return "a person is asked about the next action"
        told = f"waited {measure.wait_s:g} s" if measure.wait_s else "looked again"
        if measure.name == "undo":
            told = self._undo(trouble)
        self._look()
        return told

    def _undo(self, trouble: str) -> str:
        """Let the environment take one thing back, once a person confirmed it where the mode asks for that."""
        environment = ability(self.set.environment, Undoable)
        assert environment is not None, "`Recovery` takes this measure only where the environment can undo"
        if self.set.recovery.confirm:
            person = person_of(self.set.approver)
            with self._clock.part("approve"), self.time.uncounted():
                agreed = person is not None and person.confirm(f"{trouble}. Take back what came of it?")
            if not agreed:
                return ""
        with self._clock.part("execute"):
            return environment.undo(self.time)

    @contextlib.contextmanager
    def _boundary(self, where: str, turn: StepDraft, reason: StopReason) -> Iterator[None]:
        """Attribute a failure to the boundary that it crossed, as a value in the turn."""
        try:
            yield
        except Stopped as error:
            turn.reason = StopReason.TIMEOUT if self.time.expired else StopReason.STOPPED
            turn.note = str(error)
        except Exception as error:
            turn.reason, turn.note = reason, f"{type(error).__name__}: {error}"
            self._failed("environment" if isinstance(error, EnvironmentBroken) else where, error)

    def _failed(self, where: str, error: Exception) -> None:
        self.journal.error(where, f"{type(error).__name__}: {error}")
