"""The verb `compare`: teaches the lessons of a study by jobs, and writes its table and its picture.

Of every lesson a line is kept as soon as it is done (`app.jobs`), so a study that was stopped or killed goes on. It may
be given more learners, tasks, seeds and settings then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from showonce.app.jobs import Job, Work, check_settings, make_bench, records, run_jobs, workers_of
from showonce.app.study import Study
from showonce.app.teach import teach
from showonce.config import Config
from showonce.errors import BadInput, ConfigError, EnvironmentBroken, Stopped
from showonce.evaluation.runner import ProgressBar, no_bar
from showonce.fsio import atomic_write_bytes, atomic_write_json, atomic_write_text
from showonce.runs.folder import start_run
from showonce.runs.index import COMPLETED, FAILED, finish_run, read_index
from showonce.runs.layout import COMPARISON, CONFIG, LESSON_ROWS
from showonce.runs.study import (
    SHOWN,
    Line,
    StudyLesson,
    cells,
    csv_text,
    lesson_record,
    markdown_table,
    summed,
    table_record,
)
from showonce.runs.study_picture import study_picture
from showonce.settings import load_config, to_yaml
from showonce.versions.lock import StoreLock

Tell = Callable[[str], None]
LOOKED_AT: Final = 5  # newest studies among which one that did not end is looked for
FREE: Final = (  # what may differ when a study goes on
    "name", "given", "run_dir", "resume", "output", "dashboard", "compare", "task", "tasks", "seed", "workers", "ray",
)  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What came of a study. stopped: why it did not come to its end, "" where it did."""

    folder: Path
    lines: tuple[Line, ...]
    lessons: tuple[StudyLesson, ...]
    stopped: str = ""

    @property
    def errors(self) -> list[StudyLesson]:
        """The lessons that failed."""
        return [one for one in self.lessons if one.error]


def compare(study: Study, bar: ProgressBar = no_bar, begun: Path | None = None, tell: Tell = print) -> Compared:
    """Teach the lessons of a study that are missing, write the table, and return it.

    bar: shows how many lessons are done. begun: the folder of a study to go on with; None = a new one, or run_dir.
    tell: shows a person one line.

    Raises:
        BadInput: the folder was begun under other settings. StoreLocked: another process is at it.
    """
    config = study.config
    given = Path(config.run_dir) if config.run_dir else None
    begun = begun or (given if given is not None and (given / CONFIG).is_file() else None)
    if begun is not None:
        check_same(config, begun)
        config = replace(config, resume=str(begun), run_dir="")
    folder = start_run(config, "compare")
    stopped, reason = "", FAILED
    with StoreLock(folder):
        try:
            check_settings(replace(config, seed=0), folder)
            atomic_write_text(folder / CONFIG, to_yaml(replace(config, resume="")))
            try:
                _teach(study, config, folder, bar, tell)
            except Stopped as stop:
                stopped = str(stop) or "stopped"
            found = write_comparison(study, folder, stopped)
            reason = "stopped" if stopped else FAILED if found.errors else COMPLETED
        finally:
            finish_run(folder, config.output.logs, reason)
    return found


def _teach(study: Study, config: Config, folder: Path, bar: ProgressBar, tell: Tell) -> None:
    jobs = [Job(arm.key, task, seed) for arm, task, seed in study.lessons()]
    run = partial(teach_one, configs={arm.key: arm.config for arm in study.arms})
    workers = workers_of(config, os.cpu_count() or 1)
    with bar("lessons", len(jobs)) as advance:
        run_jobs(jobs, run, make_bench, config, folder, workers=workers, advance=advance, tell=tell)


def teach_one(job: Job, work: Work, configs: Mapping[str, Config]) -> dict[str, Any]:
    """Teach one lesson and measure it; return its numbers. configs: by the part of a job, but for task and seed.

    Raises:
        EnvironmentBroken: an attempt of the measurement broke.
    """
    config = replace(configs[job.part], task=job.task, seed=job.repetition)
    taught = teach(config, job.task, screens=config.experiment.eval_screens, stop=work.stop)
    after = taught.after
    assert after is not None, "eval_screens is at least 1"
    for row in after.rows:
        work.results.add(replace(row, part=job.part, arm=f"after@{job.repetition}"))
    if after.errors:
        why = next(row.error for row in after.rows if row.error)
        raise EnvironmentBroken(f"{after.errors} of {after.n} attempts broke: {why}")
    return {
        "success": after.success, "n": after.n, "updates": taught.updates, "practice": taught.practice_episodes,
        "prompts": taught.prompts, "lesson_s": round(taught.seconds, 2), "version": taught.version,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------ going on


def check_same(config: Config, folder: Path) -> None:
    """Check that a study may go on in a folder: what is compared may grow, settings of the lessons stay.

    Raises:
        BadInput: another setting differs, or the folder is not that of a study.
    """
    own = load_config(folder / CONFIG)
    other = [
        name for name in Config.__dataclass_fields__ if name not in FREE and getattr(own, name) != getattr(config, name)
    ]
    if other:
        raise BadInput(
            f"{folder} was begun under other settings ({', '.join(other)}). Use those again, or begin anew in another "
            "folder with run_dir=PATH."
        )


def unfinished(config: Config) -> Path | None:
    """Return the newest study of the log folder that was begun by the same command and did not come to its end."""
    studies = [one for one in read_index(config.output.logs) if one.kind == "compare" and one.status != COMPLETED]
    for one in reversed(studies[-LOOKED_AT:]):
        try:
            own = load_config(one.path / CONFIG)
            check_same(config, one.path)
        except (BadInput, ConfigError):
            continue
        if own.compare == config.compare:
            return one.path
    return None


# ------------------------------------------------------------------------------------------ the table


def write_comparison(study: Study, folder: Path, stopped: str = "") -> Compared:
    """Write the table, the picture and the lessons of a study from what its folder holds, and return them."""
    lessons = tuple(_lessons(study, folder))
    lines = tuple(summed([Line(arm.key, arm.learner, arm.settings) for arm in study.arms], lessons))
    found, head = Compared(folder, lines, lessons, stopped), study.summary
    atomic_write_text(folder / f"{COMPARISON}.csv", csv_text([table_record(line) for line in lines]))
    atomic_write_text(folder / LESSON_ROWS, csv_text(lesson_record(lessons, lines)))
    record = {
        "summary": head,
        "lines": [table_record(line) for line in lines],
        "lessons": lesson_record(lessons, lines),
    }
    atomic_write_json(folder / f"{COMPARISON}.json", record)
    table = markdown_table(SHOWN, map(cells, lines))
    page = f"# {study.config.name}: {head}\n\n{table}\n\n![comparison]({COMPARISON}.png)\n"
    atomic_write_text(folder / f"{COMPARISON}.md", page)
    atomic_write_bytes(folder / f"{COMPARISON}.png", study_picture(f"{study.config.name}: {head}", lines, lessons))
    return found


def _lessons(study: Study, folder: Path) -> list[StudyLesson]:
    done, found = records(folder), []
    for arm, word, seed in study.lessons():
        record, task = done.get(Job(arm.key, word, seed).key), study.tasks[word].id
        if record is None or record.error:
            error = "" if record is None else record.error
            found.append(
                StudyLesson(arm.key, task, seed, wall_s=0.0 if record is None else record.seconds, error=error)
            )
            continue
        numbers = {name: value for name, value in record.numbers.items() if name in StudyLesson.__dataclass_fields__}
        found.append(StudyLesson(arm.key, task, seed, wall_s=record.seconds, **numbers))
    return found
