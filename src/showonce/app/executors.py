"""What a job is, and where jobs are done: in this process, or on worker processes of this machine of one thread each.

The third place, the machines of a Ray cluster, is `app.on_ray`.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Protocol, Self

from showonce.config import Config
from showonce.errors import ShowonceError, Stopped
from showonce.evaluation.bench import Bench
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results
from showonce.runs.layout import RESULTS, STOP
from showonce.runtime.stop import Stop, end_with_parent, ignore_interrupt

STOP_FILE: Final = STOP  # its appearance in the work folder ends all jobs
ROWS, LESSONS = RESULTS, "lessons"

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


@dataclass(frozen=True, eq=False)
class Order:
    """What an executor needs to do jobs. run and make_bench: functions of a module, since other processes import them.

    folder: where rows and lessons are kept. stop: of this process. tell: shows a person one line.
    """

    run: RunJob
    make_bench: MakeBench
    config: Config
    folder: Path
    stop: Stop
    tell: Callable[[str], None] = lambda _: None


class Executor(Protocol):
    """A place where jobs are done. Leaving it as a context manager ends what it began, jobs at work included."""

    def submit(self, job: Job) -> None:
        """Do a job when those submitted before it are done or at work."""
        ...

    def finished(self, seconds: float) -> list[Record | None]:
        """Return the records of the jobs that ended since the last call; None for one that was stopped.

        Waits up to `seconds` for the first one; the executor in this process does one job.

        Raises:
            ShowonceError: no job can be done here: the bench cannot be made, a worker process died.
        """
        ...

    def stop(self) -> None:
        """Drop the jobs that wait, let those at work end at their next step, and return when they have ended."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


def open_work(order: Order) -> Work:
    """Make the bench of this process and open what is kept in the folder."""
    bench = order.make_bench(order.config, order.stop)
    return Work(bench, Results(order.folder / ROWS), LessonStore(order.folder / LESSONS), order.stop)


def attempt(job: Job, run: RunJob, work: Work) -> Record | None:
    """Do a job; None when it was stopped. An exception of the job becomes the error of its record."""
    begun = time.monotonic()
    try:
        work.stop.check()
        numbers = run(job, work)
    except Stopped:
        return None
    except Exception as error:
        return Record(job.key, time.monotonic() - begun, error=f"{type(error).__name__}: {error}")
    return Record(job.key, time.monotonic() - begun, numbers)


class ThisProcess:
    """Does the jobs one after another in this process."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._work: Work | None = None
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def finished(self, seconds: float) -> list[Record | None]:
        self._work = self._work or open_work(self._order)
        return [attempt(self._jobs.popleft(), self._order.run, self._work)]

    def stop(self) -> None:
        self._jobs.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._work is not None:
            self._work.results.close()


class Processes:
    """Does the jobs on new processes of this machine, each with one torch thread and a bench of its own."""

    def __init__(self, order: Order, count: int) -> None:
        self._order = order
        given = (order.run, order.make_bench, order.config, str(order.folder))
        self._pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, given)
        self._waiting: set[Future[Record | None]] = set()

    def submit(self, job: Job) -> None:
        self._waiting.add(self._pool.submit(_in_worker, job))

    def finished(self, seconds: float) -> list[Record | None]:
        done, self._waiting = wait(self._waiting, seconds, FIRST_COMPLETED)
        broken = {future for future in done if isinstance(future.exception(), BrokenProcessPool)}
        self._waiting |= broken
        if broken and broken == done:
            raise ShowonceError(
                "a worker process ended by itself (out of memory?). Run the same command again to go on."
            )
        return [future.result() for future in done - broken]

    def stop(self) -> None:
        self._waiting = set()
        with _pressed(self._order.folder):
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._waiting:
            self.stop()
        self._pool.shutdown()


@contextlib.contextmanager
def _pressed(folder: Path) -> Iterator[None]:
    """Create the stop file for the length of a block, so that worker processes end their jobs."""
    file = folder / STOP_FILE
    file.touch()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


_order: Order | None = None  # of this worker process
_here: Work | None = None  # what the jobs of this worker process are given, opened by the first


def _begin(run: RunJob, make_bench: MakeBench, config: Config, folder: str) -> None:
    """Set a worker process up: one torch thread, SIGINT ignored (the parent uses the stop file)."""
    global _order
    ignore_interrupt()
    end_with_parent()
    import torch

    torch.set_num_threads(1)
    _order = Order(run, make_bench, config, Path(folder), Stop(Path(folder) / STOP_FILE))


def _in_worker(job: Job) -> Record | None:
    global _here
    assert _order is not None, "the worker was begun"
    _here = _here or open_work(_order)
    _here.results.reload()
    return attempt(job, _order.run, _here)
