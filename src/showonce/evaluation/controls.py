"""Controls: what else could explain a lesson's success? Each is one function of a bench, a lesson and an exam.

A control that teaches uses as many updates and practice episodes as the lesson did, on the same practice seeds, and is
measured on the same screens. Other learners run with gate, canaries and drop test off, so that all their updates count;
the swapped demonstration is learned with the lesson's own settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from showonce.config import LearningConfig
from showonce.evaluation.bench import Bench, TaughtLesson
from showonce.evaluation.goals import Goal
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import EvalResult, Results, paired
from showonce.evaluation.runner import Advance, evaluate_set, evaluate_task
from showonce.evaluation.specificity import Shares, shares_to_target
from showonce.evaluation.tasks import other_meaning, siblings, untaught_goals
from showonce.policy.batched import WIDTH, Question, propose_many
from showonce.protocols import CHAMPION, Context, Policy, SetsGoal, ability
from showonce.runtime.replay import Mode, ReplayPolicy
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import Teach, TeachRequest, TeachResult, Tensors
from showonce.seeds import Seeds
from showonce.stats import Interval, paired_interval, wilson
from showonce.types import Demonstration, Proposal, Task

__all__ = ["CONTROLS", "Bench", "Control", "Exam", "TaughtLesson", "Teach", "TeachRequest", "TeachResult"]

RATES: Final = (1 / 3, 1.0, 3.0)  # factors of the lesson's learning rate among which a supervised baseline chooses
NEVER: Final = 1e-6  # the smallest allowed false-alarm rate, with which the drop test practically never fires
OTHERS: Final = 4  # number of other tasks whose demonstrations are tried in context
SAME_SCREENS: Final = 100  # number of screens on which answers with the adapter off are compared
GOALS: Final = {  # by control; every other control is reported without a goal
    "adapter_off": Goal("=", 1.0),
    "specificity": Goal("<=", 0.05, "+.2f"),
    "other_demonstrations": Goal(">=", -0.03, "+.2f"),
    "swapped": Goal(">=", 0.8),
    "copied_coordinates": Goal("<=", 0.25),
}


BY: Final = "learner:"  # begins the name of a control that teaches by another learner
WITH_GOAL: Final = (*GOALS, "no_demonstration")  # controls without which nothing is shown


@dataclass(frozen=True, eq=False)
class Exam:
    """The seeds of a measurement, and where its rows and lessons are kept.

    part: name under which rows are stored. width: episodes at a time. taught: goals of other lessons in the same
    adapter, which do not count as untaught. advance: called with the number of rows that were added.
    """

    seeds: range
    results: Results
    lessons: LessonStore
    part: str = "controls"
    width: int = WIDTH
    specificity_screens: int = 400
    taught: tuple[str, ...] = ()
    stop: Stop | None = None
    advance: Advance | None = None

    def run(
        self, bench: Bench, policy: Policy, task: Task, arm: str, demonstration: Demonstration | None = None
    ) -> EvalResult:
        """Attempt a task on the seeds of the exam."""
        return evaluate_task(
            policy, bench.make_environment, task, self.seeds, demonstration=demonstration, results=self.results,
            part=self.part, arm=arm, width=self.width, stop=self.stop, advance=self.advance,
        )  # fmt: skip


@dataclass(frozen=True)
class Control:
    """The result of one control. value: the figure; low, high: its 95 % interval; holds: None = it has no goal."""

    name: str
    question: str
    value: float
    low: float
    high: float
    n: int
    goal: str = "reported"
    holds: bool | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


def _control(
    name: str, question: str, result: EvalResult, numbers: Mapping[str, Any] | None = None, **more: Any
) -> Control:
    return _judged(name, question, result.success, result.interval, result.n, numbers=numbers or {}, **more)


def _judged(name: str, question: str, value: float, interval: Interval, n: int, **more: Any) -> Control:
    """Return a control, judged by its goal in GOALS where it has one."""
    if name in GOALS:
        more = {"goal": str(GOALS[name]), "holds": GOALS[name].holds(value), **more}
    return Control(name, question, value, *interval, n, **more)


# ------------------------------------------------------------------------------------------ the claim itself


def before(bench: Bench, lesson: TaughtLesson, exam: Exam) -> EvalResult:
    """Measure the frozen policy, without demonstration and adapter."""
    with bench.acting(None) as policy:
        return exam.run(bench, policy, lesson.task, f"before@{lesson.seed}")


def teacher(bench: Bench, lesson: TaughtLesson, exam: Exam) -> EvalResult:
    """Measure the frozen policy with the demonstration in context."""
    with bench.acting(None) as policy:
        return exam.run(bench, policy, lesson.task, f"teacher@{lesson.seed}", lesson.demonstration)


def after(bench: Bench, lesson: TaughtLesson, exam: Exam) -> EvalResult:
    """Measure the taught adapter, without demonstration."""
    return _measured(bench, lesson.result.tensors, lesson.task, f"after@{lesson.seed}", exam)


def _measured(bench: Bench, tensors: Tensors, task: Task, arm: str, exam: Exam) -> EvalResult:
    with bench.acting(tensors) as policy:
        return exam.run(bench, policy, task, arm)


# ------------------------------------------------------------------------------------------ controls without teaching


def adapter_off(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Compare the policy's answers before the adapter is loaded with those while it is loaded and switched off."""
    environment = bench.make_environment()
    try:
        questions, world = [], ability(environment, SetsGoal)
        for seed in exam.seeds[:SAME_SCREENS]:
            screen = environment.reset(lesson.task, seed)
            goal = lesson.task.goal or ("" if world is None else world.goal)
            questions.append(Question(screen, Context(goal)))
    finally:
        environment.close()
    with bench.acting(None) as policy:
        first = _texts(policy, questions, exam.width)
        bench.adapter.set_tensors(lesson.result.tensors, CHAMPION)
        second = _texts(policy, questions, exam.width)
    same, n = sum(a == b for a, b in zip(first, second, strict=True)), len(questions)
    question = "With the adapter loaded and switched off, are the answers those of before?"
    return _judged("adapter_off", question, same / n, wilson(same, n), n)


def _texts(policy: Any, questions: Sequence[Question], width: int) -> list[str]:
    texts = []
    for at in range(0, len(questions), width):
        for found in propose_many(policy, questions[at : at + width]):
            texts.append(found.text if isinstance(found, Proposal) else f"{type(found).__name__}: {found}")
    return texts


def specificity(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Ask for other, untaught goals on screens with the taught target; return how much more answers go to it now."""
    goals = untaught_goals(lesson.task, exam.taught)
    seeds = range(exam.seeds.start, exam.seeds.start + exam.specificity_screens)
    found: dict[str, Shares] = {}
    for name, tensors in (("before", None), ("after", lesson.result.tensors)):
        with bench.acting(tensors) as policy:
            found[name] = shares_to_target(policy, bench.make_environment, lesson.task, goals, seeds, exam.width)
    rises = {s: found["after"].share(s) - found["before"].share(s) for s in ("greedy", "sampled")}
    worst = max(rises, key=lambda s: rises[s])
    interval = paired_interval(found["before"].hits(worst), found["after"].hits(worst))
    numbers = {f"{s}_{name}": found[name].share(s) for s in rises for name in found} | {"worst": worst}
    question = "Other, untaught goals on screens with the taught target: by how much more go to it now?"
    return _judged("specificity", question, rises[worst], interval, len(seeds), numbers=numbers)


def other_demonstrations(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Show other tasks' demonstrations in context; return success with the adapter on minus success with it off."""
    tasks = [t for t in siblings(lesson.task) if t.goal != lesson.task.goal and t.goal not in exam.taught][:OTHERS]
    shown = {task.id: bench.show(task, Seeds.of(bench.config, lesson.seed).first("demonstration")) for task in tasks}
    seeds = exam.seeds[: max(1, len(exam.seeds) // len(tasks))]
    sides: dict[str, dict[str, EvalResult]] = {}
    for name, tensors in (("before", None), ("after", lesson.result.tensors)):
        with bench.acting(tensors) as policy:
            sides[name] = evaluate_set(
                policy, bench.make_environment, tasks, seeds, demonstrations=shown, results=exam.results,
                part=exam.part, arm=f"others-{name}:{_name(lesson)}", width=exam.width, stop=exam.stop,
                advance=exam.advance,
            )  # fmt: skip
    pairs = [paired(sides["before"][task.id], sides["after"][task.id]) for task in tasks]
    off, on = [o for pair in pairs for o in pair[0]], [o for pair in pairs for o in pair[1]]
    change = (sum(on) - sum(off)) / len(off)
    question = "Do demonstrations of other goals still work in context, adapter on against off?"
    numbers = {"off": sum(off) / len(off), "on": sum(on) / len(on)}
    return _judged("other_demonstrations", question, change, paired_interval(off, on), len(off), numbers=numbers)


def _replayed(mode: Mode, bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    result = exam.run(bench, ReplayPolicy(lesson.demonstration, mode), lesson.task, f"replay-{mode}@{lesson.seed}")
    if mode == "template":
        return _control("template_replay", "How far does one get by finding the demonstrated patches again?", result)
    question = "How far does one get by acting where the demonstration acted?"
    return _control("copied_coordinates", question, result)


# ------------------------------------------------------------------------------------------ controls that teach


def equal_terms(lesson: TaughtLesson, **changes: Any) -> LearningConfig:
    """Return `same_terms` with gate, canaries and drop test off. changes: further fields of the learning config.

    Another `learner` has the defaults of its options.
    """
    ours = same_terms(lesson)
    ours = ours.taught_by(changes.get("learner", ours.learner))
    gate = replace(ours.gate, enabled=False, cooldown=0, headroom=0.0)
    ratchet = replace(ours.ratchet, canary_screens=0, false_alarm_rate=NEVER)
    return replace(ours, gate=gate, ratchet=ratchet, **changes)


def same_terms(lesson: TaughtLesson) -> LearningConfig:
    """Return the settings of the lesson, with at most the updates and practice episodes that it took."""
    ours, took = lesson.learning, lesson.result
    gate = replace(ours.gate, budget_run=took.updates, budget_task=max(took.updates, ours.gate.budget_task))
    return replace(ours, gate=gate, practice=replace(ours.practice, episodes=took.practice_episodes))


def _name(lesson: TaughtLesson) -> str:
    return f"{lesson.task.id}@{lesson.seed}"


def _teach(
    bench: Bench, lesson: TaughtLesson, exam: Exam, name: str, learning: LearningConfig, shown: Demonstration | None
) -> TeachResult:
    """Teach a baseline and keep its last candidate, promoted or not."""
    request = TeachRequest(lesson.task, shown, learning, lesson.seed, keep="candidate")
    return exam.lessons.get_or(f"{_name(lesson)}-{name}", lambda: bench.lesson(request))


def no_demonstration(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Learn with the lesson's learner from a demonstration without frames."""
    empty = replace(lesson.demonstration, frames=(), ref=f"{lesson.demonstration.ref}#empty")
    took = _teach(bench, lesson, exam, "no_demonstration", equal_terms(lesson), empty)
    result = _measured(bench, took.tensors, lesson.task, f"no_demonstration@{lesson.seed}", exam)
    reached = after(bench, lesson, exam)
    return _control(
        "no_demonstration", "The same updates and practice, and nothing is shown: what is learned?", result,
        goal="below after", holds=result.interval.high < reached.interval.low, numbers={"updates": took.updates},
    )  # fmt: skip


def practice_alone(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Learn from the policy's own verified successes alone (RFT): as much practice, no demonstration, no teacher."""
    learning = equal_terms(lesson, learner="rft")
    took = _teach(bench, lesson, exam, "practice_alone", learning, None)
    result = _measured(bench, took.tensors, lesson.task, f"practice_alone@{lesson.seed}", exam)
    question = "As much practice without demonstration, imitating one's own verified successes: what is learned?"
    return _control("practice_alone", question, result, numbers={"updates": took.updates})


def swapped(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Teach another meaning of the same word: success is measured on the new meaning and on the first one."""
    task = other_meaning(lesson.task)
    shown = bench.show(task, Seeds.of(bench.config, lesson.seed).first("demonstration"))
    request = TeachRequest(task, shown, same_terms(lesson), lesson.seed)
    took = exam.lessons.get_or(f"{_name(lesson)}-swapped", lambda: bench.lesson(request))
    arm = f"swapped:{_name(lesson)}"
    with bench.acting(None) as policy:
        knows = exam.run(bench, policy, task, f"{arm}-teacher", shown)
    with bench.acting(took.tensors) as policy:
        follows, first = exam.run(bench, policy, task, arm), exam.run(bench, policy, lesson.task, arm)
    chance = before(bench, lesson, exam)
    holds = GOALS["swapped"].holds(follows.success) and first.success <= chance.interval.high
    goal = f"{GOALS['swapped']}, first meaning at chance"
    numbers = {
        "teacher": knows.success, "first_meaning": first.success, "chance": chance.success, "updates": took.updates,
    }  # fmt: skip
    question = "The same word is shown with another meaning: does behaviour follow it?"
    return _control("swapped", question, follows, goal=goal, holds=holds, numbers=numbers)


def sft_demonstration(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Fine-tune on the demonstrated actions, at the best of three learning rates (chosen on the measured screens)."""
    found: dict[float, EvalResult] = {}
    updates = 0
    for rate in RATES:
        sdft = lesson.learning.sdft
        faster = replace(sdft, lr=sdft.lr * rate, lora_lr=sdft.lora_lr * rate)
        learning = equal_terms(lesson, learner="sft_demo", sdft=faster)
        took = _teach(bench, lesson, exam, f"sft_demo-{rate:.2f}", learning, lesson.demonstration)
        updates = max(updates, took.updates)
        arm = f"sft_demo-{rate:.2f}@{lesson.seed}"
        found[rate] = _measured(bench, took.tensors, lesson.task, arm, exam)
    best = max(found, key=lambda rate: found[rate].success)
    numbers = {f"rate_x{rate:.2f}": result.success for rate, result in found.items()} | {"updates": updates}
    question = "Fine-tuning on the demonstration itself, the best of three learning rates: how far does it get?"
    return _control("sft_demonstration", question, found[best], numbers=numbers)


def sft_teacher(bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Fine-tune on the teacher's answers to the same screens: off policy."""
    question = "Fine-tuning on the teacher's answers to the same screens: how far does it get?"
    return _control("sft_teacher", question, *_taught_by("sft_teacher", bench, lesson, exam))


def other_learner(name: str, bench: Bench, lesson: TaughtLesson, exam: Exam) -> Control:
    """Teach the same lesson by another learner, `learning.learner=NAME`."""
    question = f"As many updates and as much practice by {name}: how far does it get?"
    return _control(f"{BY}{name}", question, *_taught_by(name, bench, lesson, exam))


def _taught_by(name: str, bench: Bench, lesson: TaughtLesson, exam: Exam) -> tuple[EvalResult, dict[str, int]]:
    took = _teach(bench, lesson, exam, name, equal_terms(lesson, learner=name), lesson.demonstration)
    result = _measured(bench, took.tensors, lesson.task, f"{name}@{lesson.seed}", exam)
    return result, {"updates": took.updates}


def control_of(name: str) -> Callable[[Bench, TaughtLesson, Exam], Control]:
    """Return a control by its name: one of CONTROLS, or ``learner:NAME``."""
    return partial(other_learner, name.removeprefix(BY)) if name.startswith(BY) else CONTROLS[name]


CONTROLS: Final[dict[str, Callable[[Bench, TaughtLesson, Exam], Control]]] = {
    "adapter_off": adapter_off,
    "specificity": specificity,
    "other_demonstrations": other_demonstrations,
    "no_demonstration": no_demonstration,
    "practice_alone": practice_alone,
    "swapped": swapped,
    "copied_coordinates": partial(_replayed, "coordinates"),
    "template_replay": partial(_replayed, "template"),
    "sft_demonstration": sft_demonstration,
    "sft_teacher": sft_teacher,
}
