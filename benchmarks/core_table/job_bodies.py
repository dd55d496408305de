"""What each job of the core table measures or teaches, and under which names its rows and lessons are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final

from benchmarks.core_table.fault_outcome import judged, outcome_of
from benchmarks.core_table.lesson_settings import fault_learning, learning_of
from benchmarks.core_table.schedule import TABLE_CONTROLS, apps_of, lines_of
from showonce.app.jobs import Job, Work, numbers_of
from showonce.config import Config
from showonce.environments.registry import find_task
from showonce.errors import ShowonceError
from showonce.evaluation.bench import TaughtLesson
from showonce.evaluation.controls import CONTROLS, Exam, before, teacher
from showonce.evaluation.fresh import measure
from showonce.evaluation.lessons import counted
from showonce.evaluation.runner import evaluate_set
from showonce.evaluation.tasks import siblings, task_set
from showonce.runtime.teaching import TeachRequest, TeachResult
from showonce.seeds import Seeds
from showonce.types import Demonstration, Task

UNTAUGHT_SCREENS: Final = 30  # screens of each of two untaught apps, for the mixed set of the calibration


def run_job(job: Job, work: Work) -> dict[str, Any]:
    """Do one job and return its numbers."""
    return _BODIES[job.part](job, work)


# ------------------------------------------------------------------------------------------ teach


def exam_of(work: Work, part: str, repetition: int) -> Exam:
    """Return the seeds on which a repetition is measured, and where its rows are kept."""
    screens = work.config.evaluation.screens
    seeds = Seeds.of(work.config, _seed(work.config, repetition)).take("evaluation", screens)
    return Exam(seeds, work.results, work.lessons, part, specificity_screens=2 * screens, stop=work.stop)


def _seed(config: Config, repetition: int) -> int:
    """Return the seed of a repetition, by which its ranges of practice and evaluation seeds are numbered."""
    return config.evaluation.seeds[repetition]


def _skills(job: Job, work: Work) -> dict[str, Any]:
    """Measure a built-in skill of the frozen policy."""
    task, seeds = find_task(job.task), Seeds.of(work.config, 0).take("evaluation", work.config.evaluation.per_family)
    with work.bench.acting(None) as policy:
        evaluate_set(
            policy, work.bench.make_environment, [task], seeds, results=work.results, part="skills", arm="before",
            stop=work.stop,
        )  # fmt: skip
    return {}


def _app(job: Job, work: Work) -> dict[str, Any]:
    """Teach the lesson of an app and measure before and teacher."""
    seed = _seed(work.config, job.repetition)
    learning = learning_of(work.config, seed, job.part)
    if job.part == "head_only":
        learning = replace(learning, practice=replace(learning.practice, source="head", episodes=0))
    task = find_task(job.task)
    shown = work.bench.show(task, Seeds.of(work.config, seed).first("demonstration"))
    request = TeachRequest(task, shown, learning, seed)
    result = work.lessons.get_or(_name(job.part, job.task, seed), lambda: work.bench.lesson(request))
    if job.part != "head_only":
        lesson, exam = TaughtLesson(task, shown, learning, result, seed), exam_of(work, job.part, job.repetition)
        before(work.bench, lesson, exam)
        teacher(work.bench, lesson, exam)
    return _took(result)


def _took(result: TeachResult) -> dict[str, Any]:
    events = counted(result.events)
    return {
        "updates": result.updates, "seconds": result.seconds, "practice": result.practice_episodes,
        "screens": result.distinct_screens, "rollbacks": events["rollback"], "errors": events["error"],
    }  # fmt: skip


def _name(part: str, task: str, seed: int) -> str:
    return f"{part}-{task}@{seed}"


def result_of(work: Work, part: str, task_id: str, repetition: int = 0, name: str = "") -> TeachResult:
    """Return the result of a lesson. name: under which it is kept; default: that of the part, task and seed.

    Raises:
        ShowonceError: it was not taught, because its own job failed.
    """
    result = work.lessons.get(name or _name(part, task_id, _seed(work.config, repetition)))
    if result is None:
        raise ShowonceError(f"{task_id} was not taught: its job in part {part!r} failed. Run again.")
    return result


def taught(work: Work, part: str, task_id: str, repetition: int = 0) -> TaughtLesson:
    """Return a lesson that was taught before, with its demonstration. Raises as `result_of` does."""
    seed, result = _seed(work.config, repetition), result_of(work, part, task_id, repetition)
    task = find_task(task_id)
    learning = learning_of(work.config, seed, part)
    return TaughtLesson(
        task, work.bench.show(task, Seeds.of(work.config, seed).first("demonstration")), learning, result, seed
    )


def _sequence(job: Job, work: Work) -> dict[str, Any]:
    """Teach several apps one after another, each lesson from the adapter of the one before."""
    line = next(line for line in lines_of(work.config) if line[0] == job.task)
    seed = _seed(work.config, 0)
    earlier: list[tuple[Task, Demonstration]] = []
    start, found = None, []
    for at, app in enumerate(line):
        task = find_task(app)
        shown = work.bench.show(task, Seeds.of(work.config, seed).first("demonstration"))
        request = TeachRequest(task, shown, learning_of(work.config, seed), seed, start, tuple(earlier))
        result = work.lessons.get_or(_in_line(job, at), partial(work.bench.lesson, request))
        earlier.append((task, shown))
        start = result.tensors
        found.append(_took(result))
    return {"lessons": found}


def _in_line(job: Job, at: int) -> str:
    return f"sequence-{job.task}-{at}"


# ------------------------------------------------------------------------------------------ compare


def _controls(job: Job, work: Work) -> dict[str, Any]:
    """Run the controls beside a lesson."""
    lesson, exam = taught(work, "single", job.task), exam_of(work, "controls", 0)
    return {name: numbers_of(CONTROLS[name](work.bench, lesson, exam)) for name in TABLE_CONTROLS}


def _in_context(job: Job, work: Work) -> dict[str, Any]:
    lesson, exam = taught(work, "single", job.task), exam_of(work, "in_context", 0)
    return numbers_of(CONTROLS["other_demonstrations"](work.bench, lesson, exam))


def _fault(job: Job, work: Work) -> dict[str, Any]:
    """Go on with a taught adapter under a fault, and return how that ended."""
    apps = apps_of(work.config, "single")
    lesson, exam = taught(work, "single", apps[job.repetition % len(apps)]), exam_of(work, "faults", 0)
    seed = _seed(work.config, 0) + job.repetition
    learning = fault_learning(work.config, job.task, seed)
    request = TeachRequest(
        lesson.task, lesson.demonstration, learning, seed, lesson.result.tensors,
        ((lesson.task, lesson.demonstration),),
    )  # fmt: skip
    result = work.lessons.get_or(f"fault-{job.task}-{job.repetition}", lambda: work.bench.lesson(request))
    rates = {}
    for arm, tensors in (("start", lesson.result.tensors), ("end_rate", result.tensors)):
        with work.bench.acting(tensors) as policy:
            named = f"{arm}-{job.task}-{job.repetition}"
            rates[arm] = exam.run(work.bench, policy, lesson.task, named).success
    return {**asdict(judged(outcome_of(result), rates["start"], rates["end_rate"])), **rates}


# ------------------------------------------------------------------------------------------ fresh processes


def _after(job: Job, work: Work) -> dict[str, Any]:
    """Measure a lesson, in a process that was never shown a demonstration."""
    part = job.part.removeprefix("after_")
    result, seed = result_of(work, part, job.task, job.repetition), _seed(work.config, job.repetition)
    _measure(work, result, job.task, part, f"after@{seed}", job.repetition)
    return {}


def _measure(work: Work, result: TeachResult, task_id: str, part: str, arm: str, repetition: int = 0) -> None:
    exam = exam_of(work, part, repetition)
    with work.bench.acting(result.tensors, result.calibration) as policy:
        measure(
            policy, work.bench.make_environment, find_task(task_id), exam.seeds, results=work.results, part=part,
            arm=arm, stop=work.stop,
        )  # fmt: skip


def _after_sequence(job: Job, work: Work) -> dict[str, Any]:
    """Measure each app of a line right after its own lesson, and after the last lesson."""
    line = next(line for line in lines_of(work.config) if line[0] == job.task)
    results = [result_of(work, "sequence", app, name=_in_line(job, at)) for at, app in enumerate(line)]
    for app, own in zip(line, results, strict=True):
        _measure(work, own, app, "sequence", "right_after")
        _measure(work, results[-1], app, "sequence", "final")
    return {}


def _specificity(job: Job, work: Work) -> dict[str, Any]:
    task, seed = find_task(job.task), _seed(work.config, 0)
    nothing = Demonstration(task.id, task.goal, ())  # specificity does not use the demonstration
    lesson = TaughtLesson(task, nothing, learning_of(work.config, seed), result_of(work, "single", job.task), seed)
    return numbers_of(CONTROLS["specificity"](work.bench, lesson, exam_of(work, "specificity", 0)))


def _retention(job: Job, work: Work) -> dict[str, Any]:
    """Measure skills with an app's adapter, on a share of the screens; all apps together cover all of them."""
    apps = apps_of(work.config, "single")
    seeds = Seeds.of(work.config, 0).take("evaluation", work.config.evaluation.per_family)[
        apps.index(job.task) :: len(apps)
    ]
    result = result_of(work, "single", job.task)
    with work.bench.acting(result.tensors, result.calibration) as policy:
        evaluate_set(
            policy, work.bench.make_environment, task_set("skills").tasks, seeds, results=work.results,
            part="retention", arm="after", stop=work.stop,
        )  # fmt: skip
    return {}


def _calibration(job: Job, work: Work) -> dict[str, Any]:
    """Measure confidences on screens of untaught apps, where an adapter should be unsure."""
    result = result_of(work, "single", job.task)
    others = [task for task in siblings(find_task(job.task)) if task.id != job.task]
    at = apps_of(work.config, "single").index(job.task)
    chosen = [others[(2 * at + i) % len(others)] for i in range(min(2, len(others)))]
    seeds = Seeds.of(work.config, 0).take("evaluation", UNTAUGHT_SCREENS)
    with work.bench.acting(result.tensors, result.calibration) as policy:
        evaluate_set(
            policy, work.bench.make_environment, chosen, seeds, results=work.results, part="calibration",
            arm=f"untaught:{job.task}", stop=work.stop,
        )  # fmt: skip
    return {}


_BODIES: Final[dict[str, Callable[[Job, Work], dict[str, Any]]]] = {
    "skills": _skills,
    "single": _app,
    "multi": _app,
    "head_only": _app,
    "sequence": _sequence,
    "controls": _controls,
    "in_context": _in_context,
    "faults": _fault,
    "after_single": _after,
    "after_multi": _after,
    "after_head_only": _after,
    "after_sequence": _after_sequence,
    "specificity": _specificity,
    "retention": _retention,
    "calibration": _calibration,
}
