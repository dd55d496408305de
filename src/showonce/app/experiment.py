"""What a run does: its tasks one after another, or the phases before, teacher, learn and after on one demonstration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from showonce.app.compose import LiveRun
from showonce.app.demonstration import recorded_of
from showonce.app.phases import BEFORE, RETENTION_AFTER, RETENTION_BEFORE, TEACHER, Scores
from showonce.app.plan import Plan, check_unattended
from showonce.errors import BadInput, ConfigError, DemonstrationError
from showonce.events import EpisodeFinished, PhaseStarted
from showonce.learning.lesson import Lesson
from showonce.learning.methods.registry import find_method
from showonce.learning.session import Session
from showonce.protocols import CHAMPION, adapter_of
from showonce.runs.event_file import read_events
from showonce.runs.layout import EVENTS
from showonce.types import Demonstration, Task

UNSEEN: Final = ("ask_person", "none")  # success checks by which nothing can be measured


# ------------------------------------------------------------------------------------------ tasks


def do_tasks(live: LiveRun) -> None:
    """Attempt each task `experiment.episodes` times, learning in between or not; every m-th attempt is a probe."""
    for task in live.plan.tasks:
        live.writer.events.emit(PhaseStarted(name="tasks", total=live.plan.config.experiment.episodes))
        shown = live.demonstrate(task)
        if shown is not None and len(live.plan.tasks) == 1:
            note_demonstration(live, shown)
        if live.session is None:
            attempt(live, task, shown)
        else:
            attempt_and_learn(live, live.session, task, shown)
    for name in ("before", "teacher", "after", "retention", "calibration"):
        live.writer.reasons[name] = "experiment=tasks measures no phases; experiment=one_demo does"


def attempt(live: LiveRun, task: Task, shown: Demonstration | None) -> None:
    """Attempt a task without learning; an in-context learner is shown the demonstration whenever it acts."""
    learning = live.plan.config.learning
    in_view = learning.enabled and find_method(learning.learner).acts_with_demonstration
    for seed in _rest(live, task):
        live.player.play(task, seed, "run", demonstration=shown if in_view else None)


def attempt_and_learn(live: LiveRun, session: Session, task: Task, shown: Demonstration | None) -> None:
    """Attempt a task, learn between the attempts, probe at every m-th."""
    session.begin(task, shown)
    practice, every = session.config.practice, session.config.ratchet.probe_every
    if practice.source in ("head", "mixed"):
        session.imagine(task, practice.head_views)
    lesson = Lesson(session, task, probed=_done(live, task, "probe"))
    for number, seed in enumerate(_rest(live, task), _done(live, task, "run") + lesson.probed + 1):
        if number % every == 0:
            lesson.probe(1)
        else:
            session.observe(live.player.play(task, seed, "run", [session.trainer]))
            session.between(task)
    session.consider(force=True)


def _rest(live: LiveRun, task: Task) -> range:
    """Return the seeds of the attempts that are still to be made (of a resumed run: those after the ones made)."""
    seeds = live.plan.seeds.take("practice", live.plan.config.experiment.episodes)
    return seeds[_done(live, task, "run") + _done(live, task, "probe") :]


def _done(live: LiveRun, task: Task, phase: str) -> int:
    """Return how many episodes of a task the run finished before it was resumed."""
    if not live.plan.config.resume:
        return 0
    events = read_events(live.writer.folder / EVENTS)
    return sum(isinstance(e, EpisodeFinished) and (e.task, e.phase) == (task.id, phase) for e in events)


# ------------------------------------------------------------------------------------------ one demonstration


def check_one_demonstration(plan: Plan) -> None:
    """Check what the phases need, as far as that is known before anything is done.

    Raises:
        ConfigError: a person wants to be asked. BadInput: several tasks, or one that cannot be measured.
        DemonstrationError: there will be no demonstration.
    """
    check_unattended(plan.config.safety, "experiment=one_demo")
    if len(plan.tasks) != 1:
        raise BadInput(f"experiment=one_demo takes one task, not {len(plan.tasks)}: set task=..., and tasks=[].")
    task, demonstration = plan.tasks[0], plan.config.demonstration
    if task.success.kind in UNSEEN:
        raise BadInput(f"experiment=one_demo cannot measure {task.id!r}: nothing but a person checks success there.")
    if asked := [name for name, source in plan.environment.sources(task).items() if source == "prompt"]:
        raise ConfigError(
            f"secret.{asked[0]}=prompt: experiment=one_demo measures in a new process, which cannot ask; use env: or "
            "keyring:."
        )
    none = demonstration == "auto" and not task.goal and recorded_of(plan, task) is None
    if demonstration == "none" or none:
        raise not_shown(task)


def not_shown(task: Task) -> DemonstrationError:
    """Return the error of a task that nobody has shown."""
    return DemonstrationError(
        f"experiment=one_demo needs a demonstration of {task.id!r}: record one with `showonce record task={task.id}`."
    )


def one_demonstration(live: LiveRun) -> None:
    """Before, teacher, learn, after; then what was kept, what the confidence is worth, and the baselines."""
    task = live.plan.tasks[0]
    shown = live.demonstrate(task)
    if shown is None:
        raise not_shown(task)
    note_demonstration(live, shown)
    scores, fresh = Scores(live, task), acts_as_base(live)
    scores.measure(BEFORE, live.acting)
    scores.measure(TEACHER, None, shown)
    scores.measure_skills(RETENTION_BEFORE, live.acting)
    practice = live.plan.config.learning.practice
    total = 0 if practice.source == "head" else practice.episodes
    live.writer.events.emit(PhaseStarted(name="learn", total=total))
    if live.session is None:
        for name in ("after", "retention"):
            live.writer.reasons[name] = "nothing was learned: learning is off"
    else:
        learn_lessons(live, live.session, live.lessons(task, shown))
        scores.measure_after(live.session)
        scores.measure_skills(RETENTION_AFTER, live.acting)
        if fresh:
            scores.measure_off()
        scores.note_retention()
    scores.note_calibration()
    for name in live.plan.config.experiment.baselines:
        scores.note_baseline(name, shown)
    scores.close()


def learn_lessons(live: LiveRun, session: Session, lessons: Sequence[tuple[Task, Demonstration | None]]) -> None:
    """Learn lessons one after another, each with the whole budget of a run; of a resumed run those that had not ended.

    Most tasks have one lesson, themselves.
    """
    played = [_done(live, task, "practice") + _done(live, task, "run") for task, _ in lessons]
    for at, (task, shown) in enumerate(lessons):
        if any(played[at + 1 :]):
            continue
        session.trainer.run = live.writer.folder.name + (f"#{at + 1}" if at else "")
        session.begin(task, shown)
        Lesson(session, task, played[at], _done(live, task, "probe")).learn()


def note_demonstration(live: LiveRun, shown: Demonstration) -> None:
    """Add the demonstration to what the run found; a path within the run's folder is written relative to it."""
    path = Path(shown.ref).resolve()
    folder = live.writer.folder.resolve()
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    live.writer.found["demonstration"] = {"path": name, "source": shown.source, "steps": len(shown.frames)}


def acts_as_base(live: LiveRun) -> bool:
    """Return whether the acting adapter does nothing yet: no trained rows, and every LoRA matrix B zero."""
    adapter = adapter_of(live.player.policy)
    tensors = {} if adapter is None else adapter.tensors(CHAMPION)
    return all(key.startswith("lora.") and not (key.endswith(".B") and bool(t.any())) for key, t in tensors.items())
