"""Does jobs side by side and keeps what they find. A finished job leaves a line in a file and is not done again.

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from showonce.app.compose import make_bench as bench_of_plan
from showonce.app.executors import (
    LESSONS,
    ROWS,
    STOP_FILE,
    Executor,
    Job,
    MakeBench,
    Order,
    Processes,
    Record,
    RunJob,
    ThisProcess,
    Work,
)
from showonce.app.plan import make_plan
from showonce.config import AUTO, RAY, Config, Workers
from showonce.errors import BadInput, Stopped
from showonce.evaluation.bench import Bench
from showonce.evaluation.controls import Control
from showonce.fsio import LineWriter, atomic_write_json, explained, make_folder, plain, read_lines
from showonce.policy.vlm_policy import find_checkpoint
from showonce.runtime.stop import Stop

__all__ = [
    "LESSONS", "RECORDS", "ROWS", "SETTINGS", "Job", "MakeBench", "Record", "RunJob", "Work", "check_settings",
    "do_jobs", "make_bench", "numbers_of", "records", "run_jobs", "settings_of", "workers_of",
]  # fmt: skip
SETTINGS, RECORDS = "settings.json", "jobs.jsonl"
NOT_COMPARED: Final = ("set", "parts", "workers", "multi_updates")  # older folders have these beside the evaluation
POLL_S: Final = 0.5


def workers_of(config: Config, auto: int) -> Workers:
    """Return config.workers, and `auto` in place of "auto"."""
    return auto if config.workers == AUTO else config.workers


def make_bench(config: Config, stop: Stop) -> Bench:
    """Return a bench in the environment of a config, as a job wants it. Raises as `make_plan`."""
    return bench_of_plan(make_plan(config, tasks=()), stop)


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
    workers: Workers = 2,
    advance: Callable[[int], None] = lambda _: None,
    stop: Stop | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Do the jobs that are not done yet, in order. A job that fails leaves a record with its error and is tried again
    by the next call.

    Arguments are those of `do_jobs`, and advance: called with the number of jobs that are done.

    Raises:
        Stopped: the stop file appeared, or Ctrl-C was pressed; finished jobs are kept.
        ShowonceError: a worker process died, or the workers cannot be had.
    """
    make_folder(folder)
    done = {key for key, record in records(folder).items() if not record.error}
    todo = [job for job in jobs if job.key not in done]
    advance(len(jobs) - len(todo))
    if not todo:
        return
    writer = LineWriter(folder / RECORDS)
    try:
        for record in do_jobs(todo, run, make_bench, config, folder, workers=workers, stop=stop, tell=tell):
            writer.write({"key": record.key, "seconds": round(record.seconds, 2), "numbers": record.numbers,
                          "error": record.error})  # fmt: skip
            advance(1)
    finally:
        writer.close()


def do_jobs(
    jobs: Sequence[Job],
    run: RunJob,
    make_bench: MakeBench,
    config: Config,
    folder: Path,
    *,
    workers: Workers = 2,
    stop: Stop | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Record]:
    """Do all of the jobs and yield the record of each when it is done; what it measures and teaches is kept in the
    folder.

    run and make_bench must be functions of a module, or a `partial` of one, since worker processes import them.
    workers: 0 = in this process; a number = on so many processes of this machine; "ray" = on the Ray cluster of
    config.ray. stop: in place of the folder's stop file. tell: shows a person one line.

    Raises:
        Stopped, ShowonceError: as `run_jobs`.
    """
    make_folder(folder)
    order = Order(run, make_bench, config, folder, stop or Stop(folder / STOP_FILE), tell)
    if not jobs:
        return
    with _executor(order, workers, len(jobs)) as executor:
        try:
            for job in jobs:
                executor.submit(job)
            left = len(jobs)
            while left:
                for record in executor.finished(POLL_S):
                    left -= 1
                    if record is not None:
                        yield record
                order.stop.check()
        except (KeyboardInterrupt, Stopped):
            executor.stop()
            raise Stopped("stopped; the same command goes on from here.") from None


def _executor(order: Order, workers: Workers, jobs: int) -> Executor:
    if workers == RAY:
        from showonce.app.on_ray import RayCluster

        return RayCluster(order)
    assert isinstance(workers, int), "workers is a number, or ray"
    return ThisProcess(order) if workers < 1 else Processes(order, min(workers, jobs))


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
