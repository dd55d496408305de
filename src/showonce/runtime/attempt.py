"""The stages of one step, as the loop calls them. Each boundary that is crossed may fail in one place here."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from showonce.actions import Action, Ask, Done
from showonce.errors import BadInput, EnvironmentBroken, Stopped, Unavailable
from showonce.protocols import Approver, Context, Environment, Interrupt, Policy, Sampling
from showonce.runtime.approvals import Person
from showonce.runtime.completion import Checker
from showonce.runtime.guards import Guard
from showonce.runtime.journal import Journal
from showonce.runtime.safety import Safety, Verdict
from showonce.runtime.stopwatch import Stopwatch
from showonce.runtime.tasks import reset_task
from showonce.types import (
    Demonstration,
    Episode,
    Executor,
    Limits,
    Observation,
    Outcome,
    Proposal,
    Step,
    StopReason,
    Task,
)

Teacher = Callable[[Observation, Context], Action | None]
BROKEN = (StopReason.STOPPED, StopReason.MODEL_ERROR, StopReason.ENVIRONMENT_ERROR)


@dataclass
class Turn:
    """One step while it is being made. `intended` is what is judged: the policy's action, or the teacher's."""

    screen: Observation
    executor: Executor
    proposal: Proposal | None = None
    intended: Action | None = None
    approved: Action | None = None
    executed: Action | None = None
    note: str = ""
    reason: StopReason | None = None


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
    approver: Approver | None
    stop: Interrupt
    sampling: Sampling
    executor: Executor
    demonstration: Demonstration | None
    teacher: Teacher | None
    teacher_executor: Executor
    teacher_beta: float
    rng: random.Random | np.random.Generator
    observers: Sequence[Any]


class Attempt:
    """The steps so far, the screen as it is, and the stages that make the next step."""

    def __init__(self, setting: Setting, journal: Journal) -> None:
        self.set = setting
        self.task = setting.task
        self.journal = journal
        self.steps: list[Step] = []
        self.outcome = Outcome(None, setting.checker.name)
        self.screen: Observation
        self._clock = Stopwatch()
        self._started = time.monotonic()

    def reset(self, seed: int | None, phase: str) -> StopReason | None:
        """Prepare the start and announce the episode. A task that cannot be used here is the caller's error.

        A task without a goal gets that of the world, where the world draws one from the seed (its `goal`).
        """
        reason, failure = None, None
        try:
            person = self.set.approver if isinstance(self.set.approver, Person) else None
            self.screen = reset_task(self.task, self.set.environment, seed, person)
        except (BadInput, Unavailable):
            raise
        except Stopped:
            reason = StopReason.STOPPED
        except Exception as error:
            reason, failure = StopReason.ENVIRONMENT_ERROR, error
        if not self.task.goal:
            self.task = replace(self.task, goal=str(getattr(self.set.environment, "goal", "")))
        self.journal.start(self.task, seed, phase, self.set.executor, self.set.policy.adapter_version)
        if failure is not None:
            self._failed("environment", failure)
        self._clock, self._started = Stopwatch(), time.monotonic()
        return reason

    def stopped(self) -> StopReason | None:
        """Say whether a person has pressed stop."""
        try:
            self.set.stop.check()
        except Stopped:
            return StopReason.STOPPED
        return None

    def limit(self) -> StopReason | None:
        """Say which limit is reached."""
        if len(self.steps) >= self.set.limits.max_steps:
            return StopReason.MAX_STEPS
        late = time.monotonic() - self._started >= self.set.limits.max_seconds
        return StopReason.TIMEOUT if late else None

    def observe(self) -> Turn:
        """Begin a step on the screen as it was last seen: after the reset or after the previous action."""
        return Turn(self.screen, self.set.executor)

    def context(self) -> Context:
        """Return what the policy is told beside the screen."""
        done = [step for step in self.steps if step.executed is not None]
        history = tuple(step.executed for step in done if step.executed is not None)
        progress = sum(step.changed is True for step in done)
        return Context(self.task.goal, progress, history, self.set.demonstration)

    def propose(self, turn: Turn) -> None:
        """Ask the policy; with probability `teacher_beta` the teacher's action takes the place of its answer."""
        context = self.context()
        with self._boundary("model", turn, StopReason.MODEL_ERROR), self._clock.part("model"):
            turn.proposal = self.set.policy.propose(turn.screen, context, self.set.sampling)
            turn.intended = turn.proposal.action
            if self.set.teacher is not None and self.set.rng.random() < self.set.teacher_beta:
                taught = self.set.teacher(turn.screen, context)
                if taught is not None:
                    turn.intended, turn.executor = taught, self.set.teacher_executor
        if turn.proposal is not None:
            parse = min(turn.proposal.timings.get("parse", 0.0), self._clock.ms("model"))
            self._clock.add("model", -parse)
            self._clock.add("parse", parse)

    def parsed(self, turn: Turn) -> bool:
        """Say whether there is an action to go on with; too many unreadable answers in a row end the episode."""
        if turn.intended is not None or turn.reason is not None:
            return turn.reason is None
        failure = turn.proposal.failure if turn.proposal is not None else None
        turn.note = "no action" if failure is None else f"{failure.reason}: {failure.detail}"
        unread = 1
        for step in reversed(self.steps):
            if step.approved is not None:
                break
            unread += 1
        if unread >= max(1, self.set.limits.max_parse_failures):
            turn.reason = StopReason.PARSE_FAILURES
            self.journal.error("parser", f"{unread} answers in a row were not an action; the last one: {turn.note}")
        return False

    def safe(self, turn: Turn) -> bool:
        """Say whether the action may go on to approval; a refused one ends the episode, and so does a broken rule."""
        assert turn.intended is not None
        verdict = Verdict("refuse")
        with self._boundary("executor", turn, StopReason.REFUSED):
            verdict = self.set.safety(turn.intended, turn.screen)
            turn.note = verdict.reason
        if verdict.decision == "refuse":
            turn.reason = turn.reason or StopReason.REFUSED
            return False
        if verdict.decision == "allow" and not (isinstance(turn.intended, Ask) and self.set.approver is not None):
            turn.approved = turn.intended
        return True

    def approve(self, turn: Turn) -> bool:
        """Ask the person where the verdict or the policy asks for one; without anybody to ask, the answer is no."""
        if turn.approved is not None:
            return True
        assert turn.proposal is not None
        if self.set.approver is None:
            turn.reason = StopReason.DENIED
            turn.note = f"{turn.note}; nobody is there to approve it"
            return False
        with self._boundary("executor", turn, StopReason.DENIED), self._clock.part("approve"):
            question = replace(turn.proposal, action=turn.intended)
            turn.approved, turn.note = self.set.approver.ask(self.task, turn.screen, question)
        if turn.approved is None:
            turn.reason = turn.reason or StopReason.DENIED
            return False
        if turn.approved != turn.intended:
            turn.executor = "person"
        return True

    def execute(self, turn: Turn) -> None:
        """Do it. What counts is what the environment says that it did; an action that it refuses is not done."""
        assert turn.approved is not None
        with self._boundary("executor", turn, StopReason.ENVIRONMENT_ERROR), self._clock.part("execute"):
            try:
                turn.executed = self.set.environment.execute(turn.approved, self.set.stop).action
            except BadInput as error:
                turn.note = f"refused by the environment: {error}"
                self.journal.error("executor", turn.note)

    def record(self, turn: Turn) -> StopReason | None:
        """Look again, append the step, tell everybody, and say whether the episode is over."""
        outcome = None
        changed = None
        if turn.reason not in BROKEN:
            with self._boundary("environment", turn, StopReason.ENVIRONMENT_ERROR):
                with self._clock.part("observe"):
                    self.screen = self.set.environment.observe()
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
            note=turn.note,
            timings=self._clock.lap(),
        )
        context = self.context()
        step = self.journal.step(step, turn.screen, self.screen)
        self.steps.append(step)
        with self._clock.part("observers"):
            for observer in self.set.observers:
                if hasattr(observer, "on_step"):
                    observer.on_step(self.task, turn.screen, step, context)
        return turn.reason or self._over(step)

    def settle(self, reason: StopReason) -> None:
        """Let the checker have the last word where it has not decided yet; a broken episode is left open."""
        if self.outcome.success is None and reason not in (*BROKEN, StopReason.DENIED):
            try:
                self.outcome = self.set.checker.check(self.screen, None, last=True)
            except Stopped:
                return
            except Exception as error:
                self._failed("environment", error)

    def episode(self, reason: StopReason, seed: int | None, phase: str) -> Episode:
        """Return what happened. Whoever else executed a step is the source: that success is not the policy's own."""
        others = [s.executor for s in self.steps if s.executed is not None and s.executor != self.set.executor]
        executor = others[0] if others else self.set.executor
        return Episode(
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

    def _verify(self, executed: Action) -> Outcome:
        """Return the checker's word; who else can tell about the single step is the world."""
        with self._clock.part("verify"):
            outcome = self.set.checker.check(self.screen, executed)
            if self.set.checker.name != "world" and self.set.environment.capabilities.verifiable:
                outcome = replace(outcome, step_correct=self.set.environment.verify().step_correct)
            return outcome

    def _over(self, step: Step) -> StopReason | None:
        outcome = step.outcome
        if outcome is not None and outcome.success is True:
            return StopReason.COMPLETED
        if outcome is not None and outcome.hopeless:
            return StopReason.FAILED
        if isinstance(step.executed, Ask) and not (outcome is not None and outcome.step_correct):
            return StopReason.ASKED
        for guard in self.set.guards:
            if detail := guard.check(self.steps, self.screen):
                self.journal.guard(step.index, guard.name, detail)
                return guard.reason
        if isinstance(step.executed, Done) and self.set.checker.name == "none":
            return StopReason.CLAIMED
        return None

    @contextlib.contextmanager
    def _boundary(self, where: str, turn: Turn, reason: StopReason) -> Iterator[None]:
        """Attribute a failure to the boundary that it crossed, as a value in the turn."""
        try:
            yield
        except Stopped as error:
            turn.reason, turn.note = StopReason.STOPPED, str(error)
        except Exception as error:
            turn.reason, turn.note = reason, f"{type(error).__name__}: {error}"
            self._failed("environment" if isinstance(error, EnvironmentBroken) else where, error)

    def _failed(self, where: str, error: Exception) -> None:
        self.journal.error(where, f"{type(error).__name__}: {error}")
