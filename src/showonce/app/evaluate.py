"""The verb `eval`: the policy as it is, scored on a task set with fixed seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from showonce.app.adapter import act_with_adapter, check_adapter, policy_for
from showonce.app.frontend import Frontend
from showonce.app.jobs import Job, Work, do_jobs, make_bench, workers_of
from showonce.app.plan import Plan, check_unattended, make_plan
from showonce.app.run_writer import RunWriter
from showonce.config import Config
from showonce.environments.factory import EnvironmentFactory
from showonce.errors import ShowonceError
from showonce.evaluation.results import Results
from showonce.evaluation.runner import ProgressBar, evaluate_set, no_bar
from showonce.evaluation.score import Score, chosen_set, score, seeds_of, title_of, write_score
from showonce.evaluation.tasks import TaskSet
from showonce.policy.batched import WIDTH
from showonce.policy.confidence import CalibrationMap
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CHAMPION
from showonce.runs.folder import start_run
from showonce.runs.layout import CONFIG, RESULTS
from showonce.runtime.teaching import Tensors
from showonce.types import Task

BATCH: Final = 2 * WIDTH  # episodes of a job


@dataclass(frozen=True)
class Evaluated:
    """A finished score and its folder. score: None when it was stopped, for the reason in `stopped`."""

    folder: Path
    score: Score | None
    stopped: str = ""


def evaluate(config: Config, frontend: Frontend | None = None, bar: ProgressBar = no_bar) -> Evaluated:
    """Score on a task set. The same config with `run_dir` goes on where it was stopped.

    bar: shows how many episodes are measured.

    Raises:
        ConfigError: no such set or split.
    """
    if config.run_dir and (Path(config.run_dir) / CONFIG).is_file():
        config = replace(config, resume=config.run_dir)
    check_unattended(config.safety, "eval")
    chosen = chosen_set(config.evaluation)
    plan = make_plan(config, tasks=chosen.tasks)
    policy = policy_for(config)
    check_adapter(plan, policy)
    found = None
    with RunWriter(config, start_run(config, "eval"), frontend or Frontend(), report=False) as writer:
        plan = plan.placed(writer.folder)
        writer.announce(replace(plan, tasks=()))
        act_with_adapter(plan, policy)
        tasks, seeds = replace(chosen, tasks=plan.tasks), seeds_of(config.evaluation, plan.seeds)
        workers = workers_of(config, 0)
        if workers == 0:
            make = partial(plan.environment, plan.tasks[0])
            found = score(tasks, seeds, policy, make, writer.folder, writer.stop, bar, config.safety)
        else:
            found = _score_in_batches(tasks, seeds, policy, plan, writer, bar)
    return Evaluated(writer.folder, found, writer.stopped)


@dataclass(frozen=True)
class Batches:
    """Episodes of several tasks, measured by jobs: one is `BATCH` seeds of one task.

    tensors: of the adapter that acts, under the version `arm`; None = the policy has no adapter, or none acts.
    """

    tasks: dict[str, Task]
    seeds: tuple[int, ...]
    part: str
    arm: str
    environment: EnvironmentFactory
    tensors: Tensors | None = None
    calibration: CalibrationMap | None = None

    def seeds_of(self, job: Job) -> tuple[int, ...]:
        """Return the seeds of a job."""
        return self.seeds[job.repetition * BATCH : (job.repetition + 1) * BATCH]

    def missing(self, job: Job, rows: Results) -> int:
        """Return how many episodes of a job were not measured yet."""
        return sum(rows.get((self.part, job.task, seed, self.arm)) is None for seed in self.seeds_of(job))

    def jobs(self) -> list[Job]:
        count = -(-len(self.seeds) // BATCH)
        return [Job(self.part, task, number) for task in self.tasks for number in range(count)]


def measure_batch(job: Job, work: Work, batches: Batches) -> dict[str, Any]:
    """Measure the episodes of one job with the adapter of the process that scores."""
    policy, adapter = work.bench.policy, work.bench.policy.adapter
    if batches.tensors is not None and adapter is not None and policy.adapter_version != batches.arm:
        adapter.set_tensors(batches.tensors, CHAMPION, batches.arm)
        policy.use(CHAMPION)
    policy.calibration = batches.calibration
    make = partial(batches.environment, next(iter(batches.tasks.values())))
    evaluate_set(
        policy, make, [batches.tasks[job.task]], batches.seeds_of(job), results=work.results, part=batches.part,
        arm=batches.arm, stop=work.stop, safety=work.config.safety,
    )  # fmt: skip
    return {}


def _score_in_batches(
    chosen: TaskSet, seeds: Sequence[int], policy: VLMPolicy, plan: Plan, writer: RunWriter, bar: ProgressBar
) -> Score:
    """Measure as `score` does, on the workers of the config.

    Raises:
        ShowonceError: a job failed, for the reason that is given. Stopped: the rows so far are kept.
    """
    config, arm, adapter = plan.config, policy.adapter_version, policy.adapter
    tensors = None if adapter is None or policy.acting is None else adapter.tensors(policy.acting)
    batches = Batches(
        {task.id: task for task in chosen.tasks}, tuple(seeds), chosen.name, arm, plan.environment, tensors,
        policy.calibration,
    )  # fmt: skip
    rows = Results(writer.folder / RESULTS)
    missing = {job: batches.missing(job, rows) for job in batches.jobs()}
    by_key = {job.key: count for job, count in missing.items()}
    failed = ""
    try:
        with bar(title_of(chosen), len(chosen.tasks) * len(seeds)) as advance:
            advance(len(chosen.tasks) * len(seeds) - sum(missing.values()))
            for record in do_jobs(
                [job for job, count in missing.items() if count], partial(measure_batch, batches=batches), make_bench,
                config, writer.folder, workers=workers_of(config, 0), stop=writer.stop, tell=writer.frontend.tell,
            ):  # fmt: skip
                failed = failed or record.error
                advance(by_key[record.key])
        if failed:
            raise ShowonceError(f"a batch of episodes was not measured: {failed}")
        rows.reload()
        return write_score(chosen, seeds, arm, rows, writer.folder)
    finally:
        rows.close()
