"""The core table's parts as jobs: what is taught, what is measured, and under which names rows are kept.

Three phases, each in processes of its own. *teach*: the frozen policy is measured, with and without demonstration, and
lessons are taught. *compare*: what is taught against a lesson. *fresh*: processes that never see a demonstration
measure what was taught.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final

from showonce.config import Config, FaultConfig, LearningConfig
from showonce.environments.registry import find_task
from showonce.errors import ConfigError, ShowonceError, nearest
from showonce.evaluation.bench import TaughtLesson
from showonce.evaluation.controls import CONTROLS, Control, Exam, before, teacher
from showonce.evaluation.fates import fate_of, judged
from showonce.evaluation.fresh import measure
from showonce.evaluation.jobs import Job, Work
from showonce.evaluation.lessons import counted
from showonce.evaluation.runner import evaluate_set
from showonce.evaluation.tasks import (
    demonstration_seed,
    evaluation_seeds,
    practice_offset,
    siblings,
    task_set,
)
from showonce.runtime.teaching import TeachRequest, TeachResult
from showonce.types import Demonstration, Task

TEACH: Final = ("skills", "single", "multi", "head_only", "sequence")
COMPARE: Final = ("controls", "in_context", "faults")
FRESH: Final = (
    "after_single", "after_multi", "after_head_only", "after_sequence", "specificity", "retention", "calibration",
)  # fmt: skip
PHASES: Final = (TEACH, COMPARE, FRESH)
STEPS: Final[dict[str, tuple[str, ...]]] = {  # a part of the table -> the jobs that it needs
    "skills": ("skills",),
    "single": ("single", "after_single"),
    "multi": ("multi", "after_multi"),
    "head_only": ("head_only", "after_head_only"),
    "controls": ("single", "controls"),
    "specificity": ("single", "specificity", "in_context"),
    "retention": ("skills", "single", "retention"),
    "sequence": ("sequence", "after_sequence"),
    "calibration": ("skills", "single", "after_single", "retention", "calibration"),
    "faults": ("single", "faults"),
    "drop_test": (),
    "overhead": (),
    "demo_time": (),
}
CONTROL_APPS: Final = 6  # apps on which baselines are taught
LINE: Final = 5  # apps learnt one after another
FAULTS: Final = ("wrong_demonstration", "inverted_loss", "lr_x100", "corrupt_checkpoint")
FAULT_RUNS: Final = 10
ALONE: Final = "drop_test:"  # before the kind of fault: the canaries are off, so that the drop test stands alone
ALONE_FAULTS: Final = tuple(f"{ALONE}{kind}" for kind in FAULTS[:3])
ALONE_RUNS: Final = 5
HEALTHY_UPDATES: Final = 10  # before a fault may begin; then
POISONED_UPDATES: Final = 50  # at most
PROBES_EACH: Final = 4  # probes after every episode of a fault run
UNTAUGHT_SCREENS: Final = 30  # of each of two untaught apps, for the mixed set
TABLE_CONTROLS: Final = tuple(name for name in CONTROLS if name not in ("specificity", "other_demonstrations"))


def check_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts to run; none named = all.

    Raises:
        ConfigError: an unknown part (nearest named).
    """
    for name in names:
        if name not in STEPS:
            raise ConfigError(f"evaluation.parts: {name!r} is not a part.{nearest(name, STEPS)}")
    return tuple(names) or tuple(STEPS)


def jobs_of(config: Config, parts: Sequence[str]) -> tuple[list[Job], ...]:
    """Return the jobs of the three phases, in order."""
    wanted = {step for part in parts for step in STEPS[part]}
    return tuple([job for step in phase if step in wanted for job in _jobs(config, step)] for phase in PHASES)


def apps_of(config: Config, kind: str) -> tuple[str, ...]:
    """Return the ids of the apps that are measured."""
    return task_set(kind, config.evaluation.split, config.evaluation.apps).ids


def lines_of(config: Config) -> list[tuple[str, ...]]:
    """Return the groups of apps that are learnt one after another."""
    ids = apps_of(config, "single")
    return [ids[at : at + LINE] for at in range(0, len(ids), LINE) if at == 0 or len(ids) - at >= LINE]


def _jobs(config: Config, step: str) -> list[Job]:
    repetitions = range(len(config.evaluation.seeds))
    kind = "multi" if step.endswith("multi") else "single"
    if step == "skills":
        return [Job(step, task_id) for task_id in task_set("skills").ids]
    if step in ("single", "multi", "after_single", "after_multi"):
        return [Job(step, app, r) for r in repetitions for app in apps_of(config, kind)]
    if step in ("sequence", "after_sequence"):
        return [Job(step, line[0]) for line in lines_of(config)]
    if step == "faults":
        both = [Job(step, fault, run) for run in range(FAULT_RUNS) for fault in FAULTS]
        return both + [Job(step, fault, run) for run in range(ALONE_RUNS) for fault in ALONE_FAULTS]
    if step == "controls":
        return [Job(step, app) for app in apps_of(config, kind)[:CONTROL_APPS]]
    return [Job(step, app) for app in apps_of(config, kind)]


def run_job(job: Job, work: Work) -> dict[str, Any]:
    """Do one job and return its numbers."""
    return _BODIES[job.part](job, work)


# ------------------------------------------------------------------------------------------ teach


def learning_of(config: Config, repetition: int, kind: str = "single") -> LearningConfig:
    """Return the settings of a lesson; every repetition practises on seeds of its own.

    kind: a lesson of several steps (multi) may take more updates, and practises as much more.
    """
    ours, practice = config.learning, config.learning.practice
    practice = replace(practice, seed_offset=practice_offset(config, repetition))
    if kind == "multi":
        most = config.evaluation.multi_updates
        gate = replace(ours.gate, budget_run=most, budget_task=max(most, ours.gate.budget_task))
        share = most / max(ours.gate.budget_run, 1)
        return replace(ours, gate=gate, practice=replace(practice, episodes=round(practice.episodes * share)))
    return replace(ours, practice=practice)


def exam_of(work: Work, part: str, repetition: int) -> Exam:
    """Return on which seeds a repetition is measured."""
    screens = work.config.evaluation.screens
    seeds = evaluation_seeds(work.config, screens, _seed(work.config, repetition))
    return Exam(seeds, work.results, work.lessons, part, specificity_screens=2 * screens, stop=work.stop)


def _seed(config: Config, repetition: int) -> int:
    """Return the seed of a repetition, which also is the number of its ranges of seeds."""
    return config.evaluation.seeds[repetition]


def _skills(job: Job, work: Work) -> dict[str, Any]:
    """The built-in skills of the frozen policy."""
    task, seeds = find_task(job.task), evaluation_seeds(work.config, work.config.evaluation.per_family)
    with work.bench.acting(None) as policy:
        evaluate_set(
            policy, work.bench.make_environment, [task], seeds, results=work.results, part="skills", arm="before",
            stop=work.stop,
        )  # fmt: skip
    return {}


def _app(job: Job, work: Work) -> dict[str, Any]:
    """Before, teacher, and the lesson."""
    seed = _seed(work.config, job.repetition)
    learning = learning_of(work.config, seed, job.part)
    if job.part == "head_only":
        learning = replace(learning, practice=replace(learning.practice, source="head", episodes=0))
    task = find_task(job.task)
    shown = work.bench.show(task, demonstration_seed(seed))
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


def taught(work: Work, part: str, task_id: str, repetition: int = 0) -> TaughtLesson:
    """Return a lesson that was taught before.

    Raises:
        ShowonceError: it was not, because its own job failed.
    """
    seed = _seed(work.config, repetition)
    result = work.lessons.get(_name(part, task_id, seed))
    if result is None:
        raise ShowonceError(f"{task_id} was not taught: its job in part {part!r} failed. Run again.")
    task = find_task(task_id)
    learning = learning_of(work.config, seed, part)
    return TaughtLesson(task, work.bench.show(task, demonstration_seed(seed)), learning, result, seed)


def _sequence(job: Job, work: Work) -> dict[str, Any]:
    """Several apps, one after another, in one growing adapter."""
    line = next(line for line in lines_of(work.config) if line[0] == job.task)
    seed = _seed(work.config, 0)
    earlier: list[tuple[Task, Demonstration]] = []
    start, found = None, []
    for at, app in enumerate(line):
        task = find_task(app)
        shown = work.bench.show(task, demonstration_seed(seed))
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
    """What is taught in other ways, with the same updates and practice."""
    lesson, exam = taught(work, "single", job.task), exam_of(work, "controls", 0)
    return {name: _plain(CONTROLS[name](work.bench, lesson, exam)) for name in TABLE_CONTROLS}


def _plain(control: Control) -> dict[str, Any]:
    return {key: value for key, value in asdict(control).items() if key not in ("name", "question")}


def _in_context(job: Job, work: Work) -> dict[str, Any]:
    lesson, exam = taught(work, "single", job.task), exam_of(work, "in_context", 0)
    return _plain(CONTROLS["other_demonstrations"](work.bench, lesson, exam))


def fault_learning(config: Config, kind: str, seed: int) -> LearningConfig:
    """Return the settings of a run that is damaged once it is well: many probes, updates to the end.

    kind: of the fault; behind `ALONE` the canaries are off.
    """
    ours = learning_of(config, seed)
    most = HEALTHY_UPDATES + POISONED_UPDATES
    gate = replace(
        ours.gate, budget_run=most, budget_task=max(most, ours.gate.budget_task), updates_per_episode=1, headroom=0.0,
        cooldown=0,
    )  # fmt: skip
    ratchet = replace(ours.ratchet, probe_every=1, probe_batch=PROBES_EACH)
    if kind.startswith(ALONE):
        ratchet = replace(ratchet, canary_screens=0)
    practice = replace(ours.practice, episodes=2 * most)
    fault = FaultConfig(kind.removeprefix(ALONE), HEALTHY_UPDATES)
    return replace(ours, gate=gate, ratchet=ratchet, practice=practice, fault=fault)


def _fault(job: Job, work: Work) -> dict[str, Any]:
    """A taught adapter is damaged while it goes on learning: what becomes of it?"""
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
    return {**asdict(judged(fate_of(result), rates["start"], rates["end_rate"])), **rates}


# ------------------------------------------------------------------------------------------ fresh processes


def _after(job: Job, work: Work) -> dict[str, Any]:
    """What was learned, in a process that was never shown anything."""
    part = job.part.removeprefix("after_")
    seed = _seed(work.config, job.repetition)
    result = work.lessons.get(_name(part, job.task, seed))
    if result is None:
        raise ShowonceError(f"{job.task} was not taught: its job in part {part!r} failed. Run again.")
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
    """Each app right after its lesson, and after the last lesson."""
    line = next(line for line in lines_of(work.config) if line[0] == job.task)
    results = [work.lessons.get(_in_line(job, at)) for at in range(len(line))]
    for app, own in zip(line, results, strict=True):
        if own is None or results[-1] is None:
            raise ShowonceError(f"{app} was not taught: its job in part 'sequence' failed. Run again.")
        _measure(work, own, app, "sequence", "right_after")
        _measure(work, results[-1], app, "sequence", "final")
    return {}


def _own(work: Work, app: str) -> TeachResult:
    result = work.lessons.get(_name("single", app, _seed(work.config, 0)))
    if result is None:
        raise ShowonceError(f"{app} was not taught: its job in part 'single' failed. Run again.")
    return result


def _specificity(job: Job, work: Work) -> dict[str, Any]:
    task, seed = find_task(job.task), _seed(work.config, 0)
    nothing = Demonstration(task.id, task.goal, ())  # it is not looked at
    lesson = TaughtLesson(task, nothing, learning_of(work.config, seed), _own(work, job.task), seed)
    return _plain(CONTROLS["specificity"](work.bench, lesson, exam_of(work, "specificity", 0)))


def _retention(job: Job, work: Work) -> dict[str, Any]:
    """A share of the skills' screens for every app's adapter, so that together they are all of them."""
    apps = apps_of(work.config, "single")
    seeds = evaluation_seeds(work.config, work.config.evaluation.per_family)[apps.index(job.task) :: len(apps)]
    result = _own(work, job.task)
    with work.bench.acting(result.tensors, result.calibration) as policy:
        evaluate_set(
            policy, work.bench.make_environment, task_set("skills").tasks, seeds, results=work.results,
            part="retention", arm="after", stop=work.stop,
        )  # fmt: skip
    return {}


def _calibration(job: Job, work: Work) -> dict[str, Any]:
    """Screens of untaught apps while the adapter acts: what it should be unsure about."""
    result = _own(work, job.task)
    others = [task for task in siblings(find_task(job.task)) if task.id != job.task]
    at = apps_of(work.config, "single").index(job.task)
    chosen = [others[(2 * at + i) % len(others)] for i in range(min(2, len(others)))]
    seeds = evaluation_seeds(work.config, UNTAUGHT_SCREENS)
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
