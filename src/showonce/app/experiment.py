"""What a run does: its tasks one after another, or the phases before, teacher, learn and after on one demonstration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from showonce.app.compose import LiveRun
from showonce.app.phases import BEFORE, RETENTION_AFTER, RETENTION_BEFORE, TEACHER, Scores
from showonce.app.plan import recorded_of
from showonce.config import Config
from showonce.errors import BadInput, DemonstrationError
from showonce.events import EpisodeFinished, PhaseStarted
from showonce.learning.lesson import Lesson
from showonce.learning.methods.registry import find_method
from showonce.learning.session import Session
from showonce.protocols import CHAMPION
from showonce.runs.event_file import read_events
from showonce.runs.layout import EVENTS
from showonce.types import Demonstration, Task

UNSEEN: Final = ("ask_person", "none")  # success checks by which nothing can be measured


def perform(run: LiveRun) -> None:
    """Do what `experiment.name` asks for."""
    try:
        {"tasks": do_tasks, "one_demo": one_demonstration}[run.config.experiment.name](run)
    finally:
        if run.session is not None:
            note_learning(run, run.session)
        elif run.checkpoint is not None:
            run.log.found["checkpoint"] = str(run.checkpoint)


# ------------------------------------------------------------------------------------------ tasks


def do_tasks(run: LiveRun) -> None:
    """Attempt each task `experiment.episodes` times, learning in between or not; every m-th attempt is a probe."""
    for task in run.tasks:
        run.log.events.emit(PhaseStarted(name="tasks", total=run.config.experiment.episodes))
        shown = run.demonstrate(task)
        if shown is not None and len(run.tasks) == 1:
            note_demonstration(run, shown)
        if run.session is None:
            attempt(run, task, shown)
        else:
            attempt_and_learn(run, run.session, task, shown)
    for name in ("before", "teacher", "after", "retention", "calibration"):
        run.log.reasons[name] = "experiment=tasks measures no phases; experiment=one_demo does"


def attempt(run: LiveRun, task: Task, shown: Demonstration | None) -> None:
    """Attempt a task without learning; an in-context learner is shown the demonstration whenever it acts."""
    learning = run.config.learning
    in_view = learning.enabled and find_method(learning.learner).acts_with_demonstration
    for seed in _rest(run, task):
        run.stage.play(task, seed, "run", demonstration=shown if in_view else None)


def attempt_and_learn(run: LiveRun, session: Session, task: Task, shown: Demonstration | None) -> None:
    """Attempt a task, learn between the attempts, probe at every m-th."""
    session.begin(task, shown)
    if run.config.learning.practice.source in ("head", "mixed"):
        session.imagine(task, run.config.learning.practice.head_views)
    lesson, every = Lesson(session, task, probed=_done(run, task, "probe")), run.config.learning.ratchet.probe_every
    for number, seed in enumerate(_rest(run, task), _done(run, task, "run") + lesson.probed + 1):
        if number % every == 0:
            lesson.probe(1)
        else:
            session.observe(run.stage.play(task, seed, "run", [session.trainer]))
            session.between(task)
    session.consider(force=True)


def _rest(run: LiveRun, task: Task) -> range:
    """Return the seeds of the attempts that are still to be made (of a resumed run: those after the ones made)."""
    seeds = run.seeds.take("practice", run.config.experiment.episodes)
    return seeds[_done(run, task, "run") + _done(run, task, "probe") :]


def _done(run: LiveRun, task: Task, phase: str) -> int:
    """Return how many episodes of a task the run finished before it was resumed."""
    if not run.config.resume:
        return 0
    events = read_events(run.log.folder / EVENTS)
    return sum(isinstance(e, EpisodeFinished) and (e.task, e.phase) == (task.id, phase) for e in events)


# ------------------------------------------------------------------------------------------ one demonstration


def check_one_demonstration(config: Config, tasks: Sequence[Task]) -> None:
    """Check what the phases need, as far as that is known before anything is done.

    Raises:
        BadInput: several tasks, or one that cannot be measured. DemonstrationError: there will be no demonstration.
    """
    if len(tasks) != 1:
        raise BadInput(f"experiment=one_demo takes one task, not {len(tasks)}: set task=..., and tasks=[].")
    task = tasks[0]
    if task.success.kind in UNSEEN:
        raise BadInput(f"experiment=one_demo cannot measure {task.id!r}: nothing but a person checks success there.")
    none = config.demonstration == "auto" and not task.goal and recorded_of(config, task) is None
    if config.demonstration == "none" or none:
        raise not_shown(task)


def not_shown(task: Task) -> DemonstrationError:
    """Return the error of a task that nobody has shown."""
    return DemonstrationError(
        f"experiment=one_demo needs a demonstration of {task.id!r}: record one with `showonce record task={task.id}`."
    )


def one_demonstration(run: LiveRun) -> None:
    """Before, teacher, learn, after; then what was kept, what the confidence is worth, and the baselines."""
    task = run.tasks[0]
    shown = run.demonstrate(task)
    if shown is None:
        raise not_shown(task)
    note_demonstration(run, shown)
    scores, fresh = Scores(run, task), acts_as_base(run)
    scores.measure(BEFORE, run.acting)
    scores.measure(TEACHER, None, shown)
    scores.measure_skills(RETENTION_BEFORE, run.acting)
    learn(run, task, shown)
    if run.session is None:
        for name in ("after", "retention"):
            run.log.reasons[name] = "nothing was learned: learning is off"
    else:
        scores.measure_after(run.session)
        scores.measure_skills(RETENTION_AFTER, run.acting)
        if fresh:
            scores.measure_off()
        scores.note_retention()
    scores.note_calibration()
    for name in run.config.experiment.baselines:
        scores.note_baseline(name, shown)
    scores.close()


def note_demonstration(run: LiveRun, shown: Demonstration) -> None:
    """Add what the run was shown to what it found; a path within its folder is told relative to it."""
    path = Path(shown.ref).resolve()
    folder = run.log.folder.resolve()
    told = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    run.log.found["demonstration"] = {"path": told, "source": shown.source, "steps": len(shown.frames)}


def learn(run: LiveRun, task: Task, shown: Demonstration) -> None:
    """Practise and learn the task."""
    practice = run.config.learning.practice
    total = 0 if practice.source == "head" else practice.episodes
    run.log.events.emit(PhaseStarted(name="learn", total=total))
    if run.session is not None:
        run.session.begin(task, shown)
        done = _done(run, task, "practice") + _done(run, task, "run")
        Lesson(run.session, task, done, _done(run, task, "probe")).learn()


def acts_as_base(run: LiveRun) -> bool:
    """Whether the acting adapter does nothing yet: no trained rows, and every LoRA matrix B zero."""
    adapter = run.stage.policy.adapter
    tensors = {} if adapter is None else adapter.tensors(CHAMPION)
    return all(key.startswith("lora.") and not (key.endswith(".B") and bool(t.any())) for key, t in tensors.items())


# ------------------------------------------------------------------------------------------ what is told


def note_learning(run: LiveRun, session: Session) -> None:
    """Add what the session knows to what the run found."""
    run.log.found["checkpoint"] = str(session.store.folder(session.store.champion or ""))
    run.log.found["distinct_screens"] = len(session.context.buffer)
    run.log.found["verified_outcomes_used"] = len(session.context.outcomes)
