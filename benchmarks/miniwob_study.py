"""Is a MiniWoB++ task learned online from one demonstration? Zero-shot, teacher, after and controls, with curves.

    python -m benchmarks.miniwob_study --policy checkpoints/tiny --tasks click-test,click-test-2 --out logs/study
    python -m benchmarks.miniwob_study --tasks focus-text --updates 40 learning.sdft.lora_lr=0.004   # any setting
    python -m benchmarks.miniwob_study --tasks click-checkboxes --full     # also without the page's partial rewards
    python -m benchmarks.miniwob_study --tasks click-test --quick --out logs/study_quick

For every task and seed the page's oracle shows the task once, on a screen of its own (so it is labelled scripted), the
policy practises and learns as in `showonce run experiment=one_demo`, and a process that was never shown anything
measures what was learned, on episodes that were neither shown nor practised. Zero-shot is greedy and depends on no
learning seed, so it is measured once, on the same episodes as everything else. The folder holds one line an episode and
one line a finished job: the same command goes on where it was stopped, and more tasks or seeds may follow. Two worker
processes share the jobs; Ctrl-C stops them.

The last line is the verdict against two goals: 5 tasks known zero-shot, and 5 lifted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.core_table.lesson_settings import learning_of
from benchmarks.study_page import ARM_BEFORE, CURVE, FULL, PAGE, PART, ZERO_SHOT, Row, rows_of, write_page
from benchmarks.verdict import Row as Figure
from benchmarks.verdict import finish, parser
from showonce.app.jobs import Job, Work, check_settings, make_bench, numbers_of, records, run_jobs
from showonce.cli.terminal import progress_bar
from showonce.config import Config
from showonce.demonstrations import load_demonstration, save_demonstration
from showonce.environments.registry import find_task, make_environment
from showonce.errors import ShowonceError
from showonce.evaluation.bench import TaughtLesson
from showonce.evaluation.controls import CONTROLS, Exam, teacher
from showonce.evaluation.fresh import measure
from showonce.evaluation.goals import Goal
from showonce.evaluation.lessons import counted
from showonce.evaluation.results import paired
from showonce.evaluation.runner import Advance, evaluate_set
from showonce.evaluation.tasks import task_set
from showonce.events import PromotionDecided
from showonce.fsio import make_folder
from showonce.learning.lesson import teaching
from showonce.runtime.teaching import TeachRequest, TeachResult, Tensors
from showonce.seeds import STRIDE, Seeds
from showonce.settings import load_config
from showonce.stats import paired_interval
from showonce.types import Demonstration, Task

WIDTH: Final = 4  # pages that are open at a time in each process
POINTS: Final = 4  # measured points of a learning curve, beside its beginning
FEW: Final = 5  # episodes of each other task, to measure what a lesson costs it
PER_SKILL: Final = 5  # screens of each built-in skill of the embedded world, for the same
UNTAUGHT: Final = ("adapter_off", "copied_coordinates", "template_replay")  # of every lesson
TAUGHT: Final = ("no_demonstration", "practice_alone", "sft_teacher", "sft_demonstration")  # of the first seed's
LIFT: Final = 0.3
TASKS: Final = Goal(">=", 5, "g")  # known zero-shot, and as many lifted by LIFT
SETTINGS: Final = (
    "environment.settings.reload=false", "environment.settings.timeout=30", "inference.feature_cache=2048",
    "policy.adapter.kind=lora",  # a goal here is a sentence of shared words and has no tokens of its own
)  # fmt: skip


def config_of(given: argparse.Namespace) -> Config:
    """Return the settings of a study. Raises ConfigError as `load_config` does."""
    words = [*SETTINGS, f"learning.gate.budget_run={given.updates}", f"evaluation.screens={given.episodes}"]
    if given.policy:
        words.append(f"policy.checkpoint={given.policy}")
    config = load_config("miniwob", [*words, *given.settings])
    tasks = tuple(find_task(name).id for name in given.tasks.split(",") if name)
    seeds = tuple(range(1, given.seeds + 1))
    return replace(config, name="miniwob_study", tasks=tasks, evaluation=replace(config.evaluation, seeds=seeds))


def jobs_of(config: Config, taught: bool, full: bool = False) -> tuple[list[Job], ...]:
    """Return the jobs in phases, each in new processes: lessons are measured where no demonstration was shown."""
    repetitions = range(len(config.evaluation.seeds))
    each = [Job("", task, repetition) for repetition in repetitions for task in config.tasks]
    return (
        [Job("skills", ""), *(Job("before", task) for task in config.tasks), *(replace(j, part="learn") for j in each)],
        [replace(job, part="after") for job in each],
        [replace(job, part="full") for job in each if full],
        [replace(job, part="controls") for job in each],
        [Job("taught", task) for task in config.tasks if taught],
    )


def run_job(job: Job, work: Work) -> dict[str, Any]:
    """Do one job and return its numbers."""
    return {
        "skills": _skills, "before": _before, "learn": _learn, "after": _after, "full": _full,
        "controls": _controls, "taught": _taught,
    }[job.part](job, work)  # fmt: skip


# ------------------------------------------------------------------------------------------ what is measured, on what


def seeds_of(config: Config, seed: int) -> range:
    """Return the seeds of the measured episodes, the same for every lesson.

    Raises:
        ShowonceError: one of them is demonstrated, practised or probed by the lesson of this seed.
    """
    measured = Seeds.of(config, 0).take("evaluation", config.evaluation.screens)
    offset = learning_of(config, seed).practice.seed_offset
    mine = Seeds.of(config).lesson(offset)
    used = {
        "demonstrated": range(Seeds(seed).first("demonstration"), Seeds(seed).first("demonstration") + 1),
        "practised": mine.take("practice", config.learning.practice.episodes),
        "probed": mine.take("probe", STRIDE),
        "measured": measured,
    }
    names = list(used)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            a, b = used[first], used[second]
            if a.start < b.stop and b.start < a.stop:
                raise ShowonceError(f"seeds {a} are {first} and {b} are {second}: a lesson must keep them apart.")
    return measured


def exam_of(work: Work, seed: int) -> Exam:
    """Return the episodes on which the lesson of a seed is measured."""
    return Exam(seeds_of(work.config, seed), work.results, work.lessons, PART, width=WIDTH, stop=work.stop)


def shown_of(job: Job, work: Work, seed: int) -> Demonstration:
    """Return the demonstration of a lesson: recorded by the page's oracle, and kept.

    Raises:
        TaskError: there is no oracle for this page. DemonstrationError: it did not reach the goal.
    """
    folder = work.lessons.folder.parent / "demonstrations" / f"{job.task.replace('/', '-')}@{seed}"
    if not (folder / "meta.json").is_file():
        shown = work.bench.show(find_task(job.task), Seeds(seed).first("demonstration"))
        save_demonstration(shown, folder, Seeds(seed).first("demonstration"))
    return load_demonstration(folder)


def lesson_of(job: Job, work: Work, seed: int) -> TaughtLesson:
    """Return a lesson that was taught before.

    Raises:
        ShowonceError: it was not.
    """
    result = work.lessons.get(_name(job.task, seed))
    if result is None:
        raise ShowonceError("it was not taught: see the job `learn`.")
    return TaughtLesson(find_task(job.task), shown_of(job, work, seed), learning_of(work.config, seed), result, seed)


def _name(task_id: str, seed: int, updates: int | None = None) -> str:
    return f"{task_id}@{seed}" + ("" if updates is None else f"-{updates}")


def marks(updates: int) -> list[int]:
    """Return the numbers of updates after which the adapter is kept for the learning curve."""
    return sorted({max(1, round(updates * i / POINTS)) for i in range(1, POINTS + 1)})


# ------------------------------------------------------------------------------------------ jobs


def _skills(job: Job, work: Work) -> dict[str, Any]:
    """Measure the frozen policy's built-in skills, with which lessons are compared later."""
    with work.bench.acting(None) as policy:
        _skills_of(work, policy, ARM_BEFORE)
    return {}


def _before(job: Job, work: Work) -> dict[str, Any]:
    with work.bench.acting(None) as policy:
        exam_of(work, work.config.evaluation.seeds[0]).run(work.bench, policy, find_task(job.task), ARM_BEFORE)
    return {}


def _learn(job: Job, work: Work) -> dict[str, Any]:
    """Measure the teacher, teach the lesson, and keep the adapter at some numbers of updates for the curve."""
    seed = work.config.evaluation.seeds[job.repetition]
    exam, task, shown = exam_of(work, seed), find_task(job.task), shown_of(job, work, seed)
    learning = learning_of(work.config, seed)
    nothing = TeachResult({}, 0, 0, 0, 0.0)
    teacher(work.bench, TaughtLesson(task, shown, learning, nothing, seed), exam)
    policy, adapter, keep = work.bench.policy, work.bench.adapter, marks(learning.gate.budget_run)

    def updated(n: int) -> None:
        if n in keep:
            student = replace(nothing, tensors=adapter.tensors("candidate"), updates=n)
            work.lessons.put(_name(job.task, seed, n), student)

    teach = teaching(Seeds.of(work.config), policy, lambda _: work.bench.make_environment(), work.stop, updated)
    result = work.lessons.get_or(_name(job.task, seed), lambda: teach(TeachRequest(task, shown, learning, seed)))
    return {
        "updates": result.updates, "seconds": result.seconds, "practice": result.practice_episodes,
        "goal": shown.goal, "steps": len(shown.frames), "rollbacks": counted(result.events)["rollback"],
        "held_back": sum(isinstance(e, PromotionDecided) and not e.accepted for e in result.events),
    }  # fmt: skip


def _after(job: Job, work: Work) -> dict[str, Any]:
    """Measure the lesson without any demonstration, and the adapters kept on the way on fewer episodes."""
    seed = work.config.evaluation.seeds[job.repetition]
    exam, task = exam_of(work, seed), find_task(job.task)
    result = work.lessons.get(_name(job.task, seed))
    if result is None:
        raise ShowonceError("it was not taught: see the job `learn`.")

    def at(tensors: TeachResult, arm: str, tasks: list[Task], seeds: range) -> None:
        with work.bench.acting(tensors.tensors, tensors.calibration) as policy:
            for one in tasks:
                measure(
                    policy, work.bench.make_environment, one, seeds, results=work.results, part=PART, arm=arm,
                    width=WIDTH, stop=work.stop,
                )  # fmt: skip

    at(result, f"after@{seed}", [task], exam.seeds)
    some = exam.seeds[: max(1, len(exam.seeds) // 3)]
    for n in marks(work.config.learning.gate.budget_run):
        student = work.lessons.get(_name(job.task, seed, n))
        if student is not None and n <= result.updates:
            at(student, CURVE.format(seed=seed, n=n), [task], some)
    return {}


def _full(job: Job, work: Work) -> dict[str, Any]:
    """Measure before and after once more, where only the whole raw reward is a success."""
    seed = work.config.evaluation.seeds[job.repetition]
    task, exam = find_task(job.task), exam_of(work, seed)
    result = lesson_of(job, work, seed).result
    settings = {**work.config.environment.shipped, **work.config.environment.settings, "success": "full"}
    arms: dict[str, Tensors | None] = {f"{FULL}after@{seed}": result.tensors}
    if job.repetition == 0:
        arms[FULL + ARM_BEFORE] = None
    for arm, tensors in arms.items():
        with work.bench.acting(tensors, None if tensors is None else result.calibration) as policy:
            measure(
                policy, lambda: make_environment("miniwob", **settings), task, exam.seeds, results=work.results,
                part=PART, arm=arm, width=WIDTH, stop=work.stop,
            )  # fmt: skip
    return {}


def _controls(job: Job, work: Work) -> dict[str, Any]:
    """Run the controls that need no teaching; measure what the lesson cost other tasks and old skills."""
    seed = work.config.evaluation.seeds[job.repetition]
    lesson, exam = lesson_of(job, work, seed), exam_of(work, seed)
    found = {name: numbers_of(CONTROLS[name](work.bench, lesson, exam)) for name in UNTAUGHT}
    if job.repetition == 0:
        found |= {"other_tasks": _other_tasks(lesson, work, exam), "old_skills": _old_skills(lesson, work)}
    return found


def _taught(job: Job, work: Work) -> dict[str, Any]:
    """Run the controls that learn in other ways, with as many updates and practice episodes."""
    seed = work.config.evaluation.seeds[0]
    lesson, exam = lesson_of(job, work, seed), exam_of(work, seed)
    if not lesson.result.updates:
        raise ShowonceError("the lesson made no update, so there is nothing to compare with.")
    return {name: numbers_of(CONTROLS[name](work.bench, lesson, exam)) for name in TAUGHT}


def _other_tasks(lesson: TaughtLesson, work: Work, exam: Exam) -> dict[str, Any]:
    """Return the change of success on the other tasks of the study."""
    tasks = [find_task(name) for name in work.config.tasks if name != lesson.task.id]
    seeds, sides = exam.seeds[:FEW], {}
    for arm, tensors in ((ARM_BEFORE, None), (f"others:{lesson.task.id}@{lesson.seed}", lesson.result.tensors)):
        with work.bench.acting(tensors) as policy:
            sides[arm] = evaluate_set(
                policy, work.bench.make_environment, tasks, seeds, results=work.results, part=PART, arm=arm,
                width=WIDTH, stop=work.stop,
            )  # fmt: skip
    return change([paired(*(side[task.id] for side in sides.values())) for task in tasks])


def _skills_of(work: Work, policy: Any, arm: str) -> dict[str, Any]:
    seeds = Seeds.of(work.config, 0).take("evaluation", PER_SKILL)
    return evaluate_set(
        policy, lambda: make_environment("embedded"), task_set("skills").tasks, seeds, results=work.results,
        part="skills", arm=arm, stop=work.stop,
    )  # fmt: skip


def _old_skills(lesson: TaughtLesson, work: Work) -> dict[str, Any]:
    with work.bench.acting(None) as policy:
        then = _skills_of(work, policy, ARM_BEFORE)
    with work.bench.acting(lesson.result.tensors) as policy:
        now = _skills_of(work, policy, f"after:{lesson.task.id}@{lesson.seed}")
    return change([paired(then[name], now[name]) for name in then])


def change(pairs: list[tuple[list[bool], list[bool]]]) -> dict[str, Any]:
    """Return the change of success between paired outcomes, with its 95 % interval."""
    before, after = [o for pair in pairs for o in pair[0]], [o for pair in pairs for o in pair[1]]
    if not before:
        return {}
    low, high = paired_interval(before, after)
    return {"value": (sum(after) - sum(before)) / len(before), "low": low, "high": high, "n": len(before)}


# ------------------------------------------------------------------------------------------ the study


@contextmanager
def told(jobs: Sequence[Job], folder: Path) -> Iterator[Advance]:
    """Show a bar where there is a terminal; else a line for every twentieth of the jobs, with an estimate."""
    total, done = len(jobs), {key for key, record in records(folder).items() if not record.error}
    kept = sum(job.key in done for job in jobs)  # by an earlier call
    with progress_bar("study", total) as advance:
        begun, at, said = time.monotonic(), 0, kept

        def step(n: int) -> None:
            nonlocal at, said
            advance(n)
            at += n
            if not sys.stderr.isatty() and at - said >= max(1, total // 20):
                spent, said = time.monotonic() - begun, at
                left = spent / (at - kept) * (total - at)
                print(f"{at} of {total} jobs after {spent / 60:.1f} min; about {left / 60:.0f} min left", flush=True)

        yield step


def study(config: Config, folder: Path, workers: int, taught: bool, full: bool = False) -> list[Row]:
    """Do what is missing, write the page after every phase and return its rows.

    Raises:
        BadInput: the folder was begun under other settings. Stopped: what was measured is kept.
    """
    make_folder(folder)
    check_settings(config, folder)
    phases = jobs_of(config, taught, full)
    with told([job for jobs in phases for job in jobs], folder) as advance:
        for jobs in phases:
            try:
                run_jobs(jobs, run_job, make_bench, config, folder, workers=workers, advance=advance)
            finally:
                rows = rows_of(config, folder)
                write_page(config, rows, folder)
    return rows


def verdict(rows: list[Row]) -> list[Figure]:
    """Return the two figures that have a goal: tasks known zero-shot, and tasks lifted by one demonstration.

    Where not every task was measured, a figure that keeps its goal is measured, one that does not is not.
    """
    known = [row.before.success >= ZERO_SHOT for row in rows if row.before.n]
    lifted = [row.lift >= LIFT for row in rows if row.after.n]
    figures = []
    for name, held in (
        (f"tasks at {ZERO_SHOT} zero-shot or better", known),
        (f"tasks lifted by {LIFT} or more", lifted),
    ):
        measured = len(held) == len(rows) or TASKS.holds(sum(held))
        why = "" if measured else f"{len(rows) - len(held)} tasks have no figure yet: run the same command again"
        figures.append(Figure(name, sum(held) if measured else None, TASKS, n=len(rows), why=why))
    return figures


def main(words: list[str] | None = None, say: Callable[[str], None] = print) -> int:
    """Run the study and return the exit code."""
    arguments = parser(__doc__, quick="one seed, 5 episodes, 3 updates, no controls that learn")
    arguments.add_argument("--tasks", required=True, help="pages, with commas between them")
    arguments.add_argument("--seeds", type=int, default=3, help="lessons a task, each with its own demonstration")
    arguments.add_argument("--episodes", type=int, default=100, help="measured episodes")
    arguments.add_argument("--updates", type=int, default=40, help="updates of a lesson at most")
    arguments.add_argument("--policy", default="", help="checkpoint: shipped name or folder")
    arguments.add_argument("--out", default="logs/miniwob_study", help="folder that is filled")
    arguments.add_argument("--workers", type=int, default=2, help="processes; 0 = all in this one")
    arguments.add_argument("--no-taught", action="store_true", help="leave the controls out that learn themselves")
    arguments.add_argument("--full", action="store_true", help="measure without partial rewards, too")
    arguments.add_argument("settings", nargs="*", help="key=value, as of `showonce run`")
    given = arguments.parse_args(words)
    if given.quick:
        given.seeds, given.episodes, given.updates, given.no_taught = 1, 5, 3, True
    try:
        config, folder = config_of(given), Path(given.out)
        rows = study(config, folder, given.workers, not given.no_taught, given.full)
    except ShowonceError as error:
        say(f"FAIL: {error}")
        return error.exit_code
    failed = {key: record.error for key, record in records(folder).items() if record.error}
    for key, why in failed.items():
        say(f"not done: {key}: {why}")
    say((folder / PAGE).read_text("utf-8"))
    return finish(verdict(rows), given, say)


if __name__ == "__main__":
    sys.exit(main())
