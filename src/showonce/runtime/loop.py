"""THE loop: running, recording, practising, shadowing and evaluating are this function with other arguments.

It never learns. Every end has a StopReason; a broken model, an unreadable answer and a broken environment have
reasons of their own. A bad episode is data, not a crash.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from showonce.demonstrations import EpisodeStore
from showonce.protocols import Approver, Environment, EventSink, Interrupt, Policy, Sampling
from showonce.runtime.approvals import Person, person_of
from showonce.runtime.attempt import Attempt, Setting, Teacher
from showonce.runtime.completion import Checker, make_checker
from showonce.runtime.guards import Guard, guards_for
from showonce.runtime.journal import Journal
from showonce.runtime.recovery import Recovery
from showonce.runtime.safety import Pace, Safety, allow
from showonce.runtime.stop import Stop
from showonce.types import Demonstration, Episode, Executor, Limits, Task


def run_episode(
    environment: Environment,
    policy: Policy,
    task: Task,
    *,
    seed: int | None = None,
    phase: str = "run",
    run: str = "",
    demonstration: Demonstration | None = None,
    sampling: Sampling = "greedy",
    executor: Executor = "student",
    limits: Limits | None = None,
    approver: Approver | None = None,
    person: Person | None = None,
    stop: Interrupt | None = None,
    observers: Sequence[Any] = (),
    store: EpisodeStore | None = None,
    events: EventSink | None = None,
    checker: Checker | None = None,
    safety: Safety = allow,
    pace: Pace | None = None,
    guards: Sequence[Guard] | None = None,
    recovery: Recovery | None = None,
    teacher: Teacher | None = None,
    teacher_beta: float = 0.0,
    teacher_executor: Executor = "teacher",
    rng: random.Random | np.random.Generator | None = None,
) -> Episode:
    """Attempt a task once and return what happened.

    Example:
        >>> from showonce import load_config, load_policy, make_environment
        >>> from showonce.environments.registry import find_task
        >>> world, policy = make_environment("embedded"), load_policy(load_config("run"))
        >>> episode = run_episode(world, policy, find_task("skill/click_icon"), seed=5)
        >>> episode.success, [step.executed.verb for step in episode.steps]
        (True, ['click'])

    observers: objects with `on_step(task, observation, step, context)` or `on_episode(episode)`, or both. teacher:
    asked with probability `teacher_beta` per step for the action to execute in place of the policy's; such an
    episode has the teacher as its source and never counts as the student's. `executor` labels whose hand the policy
    is (the student's, an oracle's, a replay's). person: answers what the task itself asks (`ask_person`), by default
    the approver, if it can; without either nobody answers. pace: counts the actions of all episodes that share it.
    recovery: of this episode alone; by default a guard ends it. Everything else defaults to what the task asks for.

    Raises:
        BadInput, Unavailable: the task cannot be used in this environment at all; every other end is a StopReason.
    """
    limits = limits or task.limits
    stop = stop or Stop()
    person = person or person_of(approver)
    checker = checker or make_checker(task, environment, person)
    guards = guards_for(limits) if guards is None else guards
    rng = rng or random.Random(seed)
    setting = Setting(
        environment=environment, policy=policy, task=task, checker=checker, limits=limits, guards=guards, safety=safety,
        pace=pace or Pace(), recovery=recovery or Recovery(), approver=approver, person=person, stop=stop,
        sampling=sampling,
        executor=executor, demonstration=demonstration, teacher=teacher, teacher_executor=teacher_executor,
        teacher_beta=teacher_beta, rng=rng, observers=observers, run=run,
    )  # fmt: skip
    attempt = Attempt(setting, Journal(events, store))
    try:
        return _attempt(attempt, seed, phase)
    finally:
        attempt.journal.close()


def _attempt(attempt: Attempt, seed: int | None, phase: str) -> Episode:
    """Run the nine steps until something ends them."""
    reason = attempt.reset(seed, phase)
    while reason is None:
        if reason := attempt.stopped():  # 1 stop?
            break
        if reason := attempt.limit():  # 2 limits?
            break
        turn = attempt.observe()  # 3 observe
        attempt.propose(turn)  # 4 propose; stop pressed meanwhile?
        if (
            attempt.parsed(turn)  # 5 parsed?
            and attempt.safe(turn)  # 6 safety verdict
            and attempt.approve(turn)  # 7 approved, if asked for?
        ):
            attempt.execute(turn)  # 8 stop? then execute
        reason = attempt.record(turn)  # 9 append the step, call the observers; completed?
    attempt.settle(reason)
    episode = attempt.episode(reason, seed, phase)
    episode = replace(episode, path=attempt.journal.finish(episode))
    for observer in attempt.set.observers:
        if hasattr(observer, "on_episode"):
            observer.on_episode(episode)
    return episode
