"""Runs jobs on worker processes of one thread each. A finished job leaves a line in a file and is not run again.

FOLDER/settings.json   the settings under which everything in the folder was measured
FOLDER/results.jsonl   one line a measured screen
FOLDER/jobs.jsonl      one line a finished job
FOLDER/lessons/        what was taught
FOLDER/STOP            ends all jobs when it appears
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from showonce.app.compose import make_bench as bench_of_plan
from showonce.app.plan import make_plan
from showonce.config import Config
from showonce.errors import BadInput, ShowonceError, Stopped
from showonce.evaluation.bench import Bench
from showonce.evaluation.controls import Control
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results
from showonce.fsio import LineWriter, atomic_write_json, explained, make_folder, plain, read_lines
from showonce.policy.vlm_policy import find_checkpoint
from showonce.runtime.stop import Stop, end_with_parent

STOP_FILE: Final = "STOP"  # its appearance in the work folder ends all jobs
SETTINGS, RECORDS, ROWS, LESSONS = "settings.json", "jobs.jsonl", "results.jsonl", "lessons"
NOT_COMPARED: Final = ("set", "parts", "workers", "multi_updates")  # older folders have these beside the evaluation
POLL_S: Final = 0.5

MakeBench = Callable[[Config, Stop], Bench]
RunJob = Callable[["Job", "Work"], dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One piece of work, named by a part of the table, a task id and the number of the repetition."""

    part: str
    task: str
    repetition: int = 0

    @property
    def key(self) -> str:
        return f"{self.part}|{self.task}|{self.repetition}"


@dataclass(frozen=True)
class Record:
    """A finished job. numbers: what it found beside its rows; error: empty, or why it failed."""

    key: str
    seconds: float
    numbers: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, eq=False)
class Work:
    """What a job is given: a bench, and the rows and lessons of all jobs."""

    bench: Bench
    results: Results
    lessons: LessonStore
    stop: Stop

    @property
    def config(self) -> Config:
        return self.bench.config


def make_bench(config: Config, stop: Stop) -> Bench:
    """Return a bench in the environment of a config, as a job wants it. Raises as `make_plan`."""
    return bench_of_plan(make_plan(config, tasks=()), stop)


def open_work(make_bench: MakeBench, config: Config, folder: Path) -> Work:
    """Make the bench of this process and open what is kept in the folder."""
    stop = Stop(folder / STOP_FILE)
    return Work(make_bench(config, stop), Results(folder / ROWS), LessonStore(folder / LESSONS), stop)


def numbers_of(control: Control) -> dict[str, Any]:
    """Return what a control found as a job's numbers, without its name and its question."""
    return {key: value for key, value in asdict(control).items() if key not in ("name", "question")}


def records(folder: Path) -> dict[str, Record]:
    """Return the jobs that were done, by key; of a key that is there twice, the last."""
    found = {}
    for line in read_lines(folder / RECORDS)[0]:
        with contextlib.suppress(TypeError):
            record = Record(**line)
            found[record.key] = record
    return found


def run_jobs(
    jobs: Sequence[Job],
    run: RunJob,
    make_bench: MakeBench,
    config: Config,
    folder: Path,
    *,
    workers: int = 2,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Do the jobs that are not done yet, in order, in new processes; workers=0: in this one.

    run and make_bench must be functions of a module, since worker processes import them. A job that fails leaves
    a record with its error and is tried again by the next call.

    Raises:
        Stopped: the stop file appeared, or Ctrl-C was pressed; finished jobs are kept.
        ShowonceError: a worker process died.
    """
    make_folder(folder)
    done = {key for key, record in records(folder).items() if not record.error}
    todo = [job for job in jobs if job.key not in done]
    advance(len(jobs) - len(todo))
    if not todo:
        return
    writer, stop = LineWriter(folder / RECORDS), Stop(folder / STOP_FILE)
    try:
        for record in _done_by(todo, run, make_bench, config, folder, workers, stop):
            writer.write({"key": record.key, "seconds": round(record.seconds, 2), "numbers": record.numbers,
                          "error": record.error})  # fmt: skip
            advance(1)
        stop.check()
    finally:
        writer.close()


def _done_by(
    jobs: Sequence[Job], run: RunJob, make_bench: MakeBench, config: Config, folder: Path, workers: int, stop: Stop
) -> Iterator[Record]:
    """Yield the record of each job when it is done; workers=0: in this process."""
    if workers < 1:
        work = open_work(make_bench, config, folder)
        try:
            for job in jobs:
                record = _attempt(job, run, work)
                if record is None:
                    return
                yield record
        finally:
            work.results.close()
        return
    # The context is left with all processes ended; a stop makes each leave its job at the next step.
    with ProcessPoolExecutor(
        min(workers, len(jobs)), get_context("spawn"), _begin, (make_bench, config, str(folder))
    ) as pool:
        waiting: set[Future[Record | None]] = {pool.submit(_in_worker, job, run) for job in jobs}
        try:
            while waiting:
                finished, waiting = wait(waiting, POLL_S, FIRST_COMPLETED)
                for future in finished:
                    record = future.result()
                    if record is not None:
                        yield record
                stop.check()
        except BrokenProcessPool as error:
            raise ShowonceError(
                "a worker process ended by itself (out of memory?). Run the same command again to go on."
            ) from error
        except (KeyboardInterrupt, Stopped):
            with _pressed(folder):
                pool.shutdown(cancel_futures=True)
            raise Stopped("stopped; the same command goes on from here.") from None


@contextlib.contextmanager
def _pressed(folder: Path) -> Iterator[None]:
    """Create the stop file for the length of a block, so that worker processes end their jobs."""
    file = folder / STOP_FILE
    file.touch()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


_here: Work | None = None  # what the jobs of this worker process are given


def _begin(make_bench: MakeBench, config: Config, folder: str) -> None:
    """Set a worker process up: one torch thread, SIGINT ignored (the parent uses the stop file), a bench of its own."""
    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    import torch

    torch.set_num_threads(1)
    _here = open_work(make_bench, config, Path(folder))


def _in_worker(job: Job, run: RunJob) -> Record | None:
    assert _here is not None, "the worker was begun"
    _here.results.reload()
    return _attempt(job, run, _here)


def _attempt(job: Job, run: RunJob, work: Work) -> Record | None:
    """Do a job; None when it was stopped."""
    begun = time.monotonic()
    try:
        work.stop.check()
        numbers = run(job, work)
    except Stopped:
        return None
    except Exception as error:
        return Record(job.key, time.monotonic() - begun, error=f"{type(error).__name__}: {error}")
    return Record(job.key, time.monotonic() - begun, numbers)


# ------------------------------------------------------------------------------------------ settings


def check_settings(config: Config, folder: Path) -> None:
    """Compare the settings with those in the folder's settings.json; write that file where there is none.

    The number of repetitions may change: further evaluation.seeds may follow those that were measured, or only the
    first of them be given.

    Raises:
        BadInput: the folder was begun under other settings, or settings.json is damaged.
    """
    wanted = settings_of(config)
    path = folder / SETTINGS
    if not path.is_file():
        atomic_write_json(path, wanted)
        return
    with explained(path, "read"):
        text = path.read_text(encoding="utf-8")
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{path} is not JSON ({error}): choose another folder with run_dir=PATH.") from None
    found["evaluation"] = {k: v for k, v in found.get("evaluation", {}).items() if k not in NOT_COMPARED}
    old, new = (settings.get("evaluation", {}).get("seeds", []) for settings in (found, wanted))
    if found != wanted and old[: len(new)] == new[: len(old)]:
        longer = max(old, new, key=len)
        same = {**wanted, "evaluation": {**wanted["evaluation"], "seeds": old}}
        if found == same:
            atomic_write_json(path, {**same, "evaluation": {**same["evaluation"], "seeds": longer}})
            return
    if found != wanted:
        other = [key for key in {*found, *wanted} if found.get(key) != wanted.get(key)]
        raise BadInput(
            f"{folder} was begun under other settings ({', '.join(sorted(other))}). Use those again, or begin anew in "
            "another folder with run_dir=PATH."
        )


def settings_of(config: Config) -> dict[str, Any]:
    """Return the settings on which measured figures depend, and the hash of the model's weights."""
    model = find_checkpoint(config.policy.checkpoint) / "model.safetensors"
    weights = model.stat().st_size if model.is_file() else 0
    kept = {key: value for key, value in asdict(config.evaluation).items() if key not in NOT_COMPARED}
    own = {
        "seed": config.seed, "policy": config.policy, "learning": config.learning, "evaluation": kept,
        "environment": config.environment, "eval_seed_offset": config.experiment.eval_seed_offset,
        "weights_bytes": weights, "weights": _digest(model),
    }  # fmt: skip
    settings: dict[str, Any] = json.loads(json.dumps(plain(own)))
    return settings


def _digest(path: Path) -> str:
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
