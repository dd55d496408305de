"""Runs policies on tasks with fixed seeds, through the one loop, many episodes at a time; measured rows are kept."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from showonce.config import SafetyConfig
from showonce.errors import Stopped
from showonce.evaluation.results import EvalResult, Results, Row, row_of
from showonce.events import ErrorRaised, Event
from showonce.policy.batched import WIDTH, BatchedPolicy, batchable
from showonce.protocols import Environment, Policy, Sampling
from showonce.runtime.guards import guards_for
from showonce.runtime.loop import run_episode
from showonce.runtime.stop import Stop
from showonce.types import Demonstration, Limits, StopReason, Task

MakeEnvironment = Callable[[], Environment]
Advance = Callable[[int], None]
ProgressBar = Callable[[str, int], AbstractContextManager[Advance]]  # title, total -> advance by n
PATIENCE: float = 3600.0  # seconds an episode may take, as in a batch it waits for the other episodes


@dataclass(frozen=True)
class Plan:
    """How one measurement is made. part and arm name its rows; the rest goes to `run_episode`.

    width: episodes at a time. safety: names the guards of every episode. stop: ends it early; missing rows are measured
    by the next call. advance: called with the number of rows that were added.
    """

    part: str = "eval"
    arm: str = "student"
    phase: str = "eval"
    width: int = WIDTH
    sampling: Sampling = "greedy"
    limits: Limits | None = None
    safety: SafetyConfig | None = None
    seed: int = 0
    stop: Stop | None = None
    advance: Advance | None = None


def evaluate_task(
    policy: Policy,
    make_env: MakeEnvironment,
    task: Task,
    seeds: Sequence[int],
    *,
    demonstration: Demonstration | None = None,
    results: Results | None = None,
    **plan: Any,
) -> EvalResult:
    """Attempt a task once for every seed. Further keywords are those of `Plan`.

    Rows that `results` holds already are not measured again. A policy, model or environment that breaks gives a row
    with its error, not an exception.

    Raises:
        Stopped: `stop` was pressed; the rows so far are kept.
    """
    shown = {task.id: demonstration} if demonstration is not None else {}
    return evaluate_set(policy, make_env, [task], seeds, demonstrations=shown, results=results, **plan)[task.id]


def evaluate_set(
    policy: Policy,
    make_env: MakeEnvironment,
    tasks: Sequence[Task],
    seeds: Sequence[int],
    *,
    demonstrations: Mapping[str, Demonstration] | None = None,
    results: Results | None = None,
    **plan: Any,
) -> dict[str, EvalResult]:
    """Attempt every task once for every seed and return the results by task id. See `evaluate_task`."""
    how = Plan(**plan)
    kept = results if results is not None else Results()
    wanted = [(task, seed) for task in tasks for seed in seeds]
    missing = [(task, seed) for task, seed in wanted if kept.get((how.part, task.id, seed, how.arm)) is None]
    if how.advance is not None and len(missing) < len(wanted):
        how.advance(len(wanted) - len(missing))
    if missing:
        _Crew(policy, make_env, how, demonstrations or {}, kept).run(missing)
    return {task.id: kept.result(how.part, task.id, how.arm, seeds) for task in tasks}


class _Errors:
    """An event sink that keeps the text of the last error."""

    def __init__(self) -> None:
        self.last = ""

    def emit(self, event: Event) -> None:
        if isinstance(event, ErrorRaised):
            self.last = f"{event.where}: {event.message}"


class _Crew:
    """Threads that take (task, seed) pairs from one queue and share one policy."""

    def __init__(
        self,
        policy: Policy,
        make_env: MakeEnvironment,
        plan: Plan,
        demonstrations: Mapping[str, Demonstration],
        results: Results,
    ) -> None:
        self._policy = policy
        self._make_env = make_env
        self._plan = plan
        self._demonstrations = demonstrations
        self._results = results
        self._stop = plan.stop or Stop()
        self._jobs: queue.SimpleQueue[tuple[Task, int]] = queue.SimpleQueue()
        self._failures: list[BaseException] = []  # exceptions of threads; the first one is raised in the end

    def run(self, jobs: Sequence[tuple[Task, int]]) -> None:
        """Do all jobs, on several threads where the policy is a model and environments may run side by side."""
        for job in jobs:
            self._jobs.put(job)
        model = batchable(self._policy)
        count = min(self._plan.width, len(jobs)) if model is not None else 1
        first = self._make_env()
        if not first.capabilities.parallel:
            count = 1
        policy: Policy = self._policy
        if model is not None and count > 1:
            policy = BatchedPolicy(model, count, self._plan.seed)
        barrier = threading.Barrier(count)
        threads = [
            threading.Thread(
                target=self._work, args=(policy, barrier, first if i == 0 else None), name=f"episode-{i}", daemon=True
            )
            for i in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            _join(threads)
        except BaseException:
            self._stop.press("the evaluation was interrupted")
            _join(threads)
            raise
        if self._failures:
            raise self._failures[0]
        self._stop.check()

    def _work(self, policy: Policy, barrier: threading.Barrier, environment: Environment | None) -> None:
        try:
            environment = environment or self._make_env()
        except BaseException as error:
            self._failures.append(error)
            barrier.abort()
            return
        together = policy.member() if isinstance(policy, BatchedPolicy) else nullcontext()
        try:
            self._take_jobs(policy, environment, together, barrier)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            self._failures.append(error)
        finally:
            environment.close()

    def _take_jobs(
        self, policy: Policy, environment: Environment, together: AbstractContextManager[None],
        barrier: threading.Barrier,
    ) -> None:  # fmt: skip
        with together:
            barrier.wait()  # all threads begin together, so that batches do not depend on which was first
            while not self._stop.pressed and not self._failures:
                try:
                    task, seed = self._jobs.get_nowait()
                except queue.Empty:
                    return
                row = self._attempt(policy, environment, task, seed)
                if row is None:
                    return
                self._results.add(row)
                if self._plan.advance is not None:
                    self._plan.advance(1)

    def _attempt(self, policy: Policy, environment: Environment, task: Task, seed: int) -> Row | None:
        """Return the row of one episode; None when it was stopped."""
        plan, errors = self._plan, _Errors()
        limits = plan.limits or task.limits
        try:
            episode = run_episode(
                environment,
                policy,
                task,
                seed=seed,
                phase=plan.phase,
                demonstration=self._demonstrations.get(task.id),
                sampling=plan.sampling,
                limits=replace(limits, max_seconds=max(limits.max_seconds, PATIENCE), step_seconds=0.0),
                guards=guards_for(limits, plan.safety),
                stop=self._stop,
                events=errors,
            )
        except Stopped:
            return None
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            return Row(plan.part, task.id, seed, plan.arm, False, "error", 0, error=text)
        if episode.stop_reason is StopReason.STOPPED:
            return None
        return row_of(episode, plan.part, plan.arm, errors.last)


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)  # with a timeout, so that Ctrl-C is seen on every system


def no_bar(title: str, total: int) -> AbstractContextManager[Advance]:
    """Return a progress bar that shows nothing."""
    return nullcontext(lambda n: None)
