"""Jobs on worker processes of one thread each. A finished job leaves a line and is never done again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Final

from showonce.config import Config
from showonce.errors import ShowonceError, Stopped
from showonce.evaluation.bench import Bench
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results
from showonce.fsio import LineWriter, make_folder, read_lines
from showonce.runtime.stop import Stop

STOP_FILE: Final = "STOP"  # its appearance in the work folder ends all jobs
RECORDS, ROWS, LESSONS = "jobs.jsonl", "results.jsonl", "lessons"
POLL_S: Final = 0.5

MakeBench = Callable[[Config, Stop], Bench]
Run = Callable[["Job", "Work"], dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One piece of a table: a part, a task and a repetition name it."""

    part: str
    task: str
    repetition: int = 0

    @property
    def key(self) -> str:
        return f"{self.part}|{self.task}|{self.repetition}"


@dataclass(frozen=True)
class Record:
    """A job that was done. numbers: what it found beside its rows; error: why it could not be done, or empty."""

    key: str
    seconds: float
    numbers: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, eq=False)
class Work:
    """What a job is given. folder holds rows and lessons of all jobs."""

    bench: Bench
    results: Results
    lessons: LessonStore
    stop: Stop

    @property
    def config(self) -> Config:
        return self.bench.config


def open_work(make_bench: MakeBench, config: Config, folder: Path) -> Work:
    """Make the bench of this process and open what is kept in the folder."""
    stop = Stop(folder / STOP_FILE)
    return Work(make_bench(config, stop), Results(folder / ROWS), LessonStore(folder / LESSONS), stop)


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
    run: Run,
    make_bench: MakeBench,
    config: Config,
    folder: Path,
    *,
    workers: int = 2,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Do the jobs that are not done yet, in order, in new processes; workers=0: in this one.

    run and make_bench must be functions of a module, since they are handed to other processes. A job that fails leaves
    a record with its error and is tried again next time.

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
    jobs: Sequence[Job], run: Run, make_bench: MakeBench, config: Config, folder: Path, workers: int, stop: Stop
) -> Iterator[Record]:
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
    """Let the workers find the stop file within a block."""
    file = folder / STOP_FILE
    file.touch()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def end_with_parent() -> None:
    """End this spawned process at once when the one that started it is gone: killed, it cannot tell its workers."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


_here: Work | None = None  # of a worker process


def _begin(make_bench: MakeBench, config: Config, folder: str) -> None:
    """Begin a worker process: one thread, deaf to Ctrl-C (the parent tells it), with a bench of its own."""
    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    import torch

    torch.set_num_threads(1)
    _here = open_work(make_bench, config, Path(folder))


def _in_worker(job: Job, run: Run) -> Record | None:
    assert _here is not None, "the worker was begun"
    _here.results.reload()
    return _attempt(job, run, _here)


def _attempt(job: Job, run: Run, work: Work) -> Record | None:
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
