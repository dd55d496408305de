"""Teaching as a function: a lesson as `showonce run` gives it, without a run's folder, for loops of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from showonce.app.adapter import policy_for
from showonce.app.demonstration import demonstration_in_memory
from showonce.app.plan import Plan, check_unattended, make_plan
from showonce.app.tasks import task_named, tasks_of
from showonce.config import Config
from showonce.demonstrations import load_demonstration
from showonce.errors import BadInput, DemonstrationError
from showonce.evaluation.results import EvalResult
from showonce.evaluation.runner import evaluate_task
from showonce.evaluation.tasks import lessons_of
from showonce.events import Event
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.lesson import teaching
from showonce.learning.methods.registry import find_method
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import BASE, CHAMPION, choose
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import Teach, TeachRequest, TeachResult, Tensors
from showonce.types import Demonstration, Task


@dataclass(frozen=True, eq=False)
class Taught:
    """What was taught.

    task: its id. learner: the name in the config. seed: of the config. tensors: of the adapter that the ratchet let
    through, by key; empty for a learner that changes no weights. version: 12 digits of their hash, "base" without any.
    updates, practice_episodes, prompts (that the model read), seconds: over all lessons, without loading and measuring.
    events: of the lessons, as events.jsonl has them. after: the attempts at the task on the screens that were asked
    for, None where none were.
    """

    task: str
    learner: str
    seed: int
    tensors: Tensors
    version: str = BASE
    updates: int = 0
    practice_episodes: int = 0
    prompts: int = 0
    seconds: float = 0.0
    events: tuple[Event, ...] = ()
    after: EvalResult | None = None


def teach(
    config: Config,
    task: Task | str | None = None,
    demonstration: Demonstration | str | Path | None = None,
    *,
    screens: int = 0,
    start: Tensors | None = None,
    policy: VLMPolicy | None = None,
    folder: str | Path | None = None,
    stop: Stop | None = None,
    updated: Callable[[int], None] = lambda number: None,
) -> Taught:
    """Teach a policy one task by the learner of a config, as `showonce run experiment=one_demo` does between its
    measurements, and return what came of it. The same arguments give the same tensors.

    task: a registered id, a task file or a `Task`; None = the config's. A task of the hard set may be taught by several
    lessons (see `evaluation.tasks.lessons_of`). demonstration: one in memory or a folder; None = what
    config.demonstration says (auto: the newest recording under config.output.logs, the shipped one, else the oracle).
    screens: attempts afterwards, on the evaluation seeds of config.seed, without the demonstration (an in-context
    learner keeps it in view). start: tensors to go on from, those of another `Taught`. policy: one that `load_policy`
    returned for the same model, adapter and seed, to load it once for many lessons; it is left as fresh as it came.
    folder: where the adapter is written in PEFT's format, for `adapter=FOLDER`. updated: called after every update with
    its number within its lesson, 1, 2 ...

    Example:
        >>> from showonce import load_config
        >>> taught = teach(load_config("demo", ["learning=sft_demo", "learning.gate.budget_run=2"]), screens=5)
        >>> taught.updates, taught.after.n
        (2, 5)

    Raises:
        ConfigError, TaskError: what the config or the arguments name is not there or wrong.
        DemonstrationError: there is none, or it does not fit the task. BadInput: the policy has no adapter to teach.
        Stopped: `stop` was pressed.
    """
    check_unattended(config.safety, "teach")
    wanted = tasks_of(config)[0] if task is None else task_named(task) if isinstance(task, str) else task
    plan = make_plan(config, tasks=[wanted, *lessons_of(wanted)], learning=True)
    measured, lessons = plan.tasks[0], plan.tasks[1:]
    method = find_method(config.learning.learner if config.learning.enabled else "frozen")
    policy, stop = policy or policy_for(config), stop or Stop()
    made, shown = policy.prompts, {}
    if plan.learning or method.acts_with_demonstration:
        shown = {one.id: _shown(plan, one, demonstration if one.id == measured.id else None) for one in lessons}
    results: list[TeachResult] = []
    if plan.learning:
        one_lesson = teaching(plan.seeds, policy, plan.environment, stop, updated)
        results = in_order(plan, one_lesson, [(one, shown[one.id]) for one in lessons], start)
    prompts = policy.prompts - made
    tensors: Tensors = results[-1].tensors if results else start or {}
    in_view = shown.get(measured.id) if method.acts_with_demonstration else None
    return Taught(
        task=measured.id,
        learner=config.learning.learner,
        seed=config.seed,
        tensors=tensors,
        version=content_hash(tensors)[:12] if tensors else BASE,
        updates=sum(one.updates for one in results),
        practice_episodes=sum(one.practice_episodes for one in results),
        prompts=prompts,
        seconds=sum(one.seconds for one in results),
        events=tuple(event for one in results for event in one.events),
        after=_used(plan, policy, measured, tensors, screens, in_view, folder, stop),
    )


def _shown(plan: Plan, task: Task, given: Demonstration | str | Path | None) -> Demonstration | None:
    """Return the demonstration of a lesson; None where the config wants none. Raises DemonstrationError."""
    if isinstance(given, Demonstration):
        return given
    found = load_demonstration(given) if given is not None else demonstration_in_memory(plan, task)
    if found is None and plan.config.demonstration != "none":
        raise DemonstrationError(
            f"there is no demonstration of {task.id!r}: record one with `showonce record task={task.id}`."
        )
    return found


def in_order(
    plan: Plan, one_lesson: Teach, lessons: Sequence[tuple[Task, Demonstration | None]],
    start: Tensors | None = None, learner: str = "",
) -> list[TeachResult]:  # fmt: skip
    """Teach the lessons of a task one after another, each from where the one before it ended; return their results.

    learner: in place of the config's.
    """
    ours = plan.config.learning.taught_by(learner or plan.config.learning.learner)
    practice = replace(ours.practice, seed_offset=plan.seeds.first("practice"))
    learning = replace(ours, enabled=True, practice=practice)
    done: list[TeachResult] = []
    for task, shown in lessons:
        earlier = tuple((other, known) for other, known in lessons[: len(done)] if known is not None)
        begin = done[-1].tensors if done else start
        done.append(one_lesson(TeachRequest(task, shown, learning, plan.config.seed, start=begin, lessons=earlier)))
    return done


def _used(
    plan: Plan, policy: VLMPolicy, task: Task, tensors: Tensors, screens: int, in_view: Demonstration | None,
    folder: str | Path | None, stop: Stop,
) -> EvalResult | None:  # fmt: skip
    """Let the tensors act: write them into `folder` and attempt the task, as far as either is asked for."""
    adapter = policy.adapter
    if folder is not None and (adapter is None or not tensors):
        raise BadInput(f"teach(folder={str(folder)!r}): nothing was learned, so there is no adapter to write.")
    before = policy.acting
    try:
        if tensors and adapter is not None:
            adapter.set_tensors(tensors, CHAMPION)
            if folder is not None:
                adapter.save(folder, CHAMPION)
        choose(policy, CHAMPION if tensors else None)
        if not screens:
            return None
        seeds = plan.seeds.take("evaluation", screens)
        return evaluate_task(
            policy, partial(plan.environment, task), task, seeds, demonstration=in_view, part="after",
            arm=policy.adapter_version, stop=stop, safety=plan.config.safety,
        )  # fmt: skip
    finally:
        if adapter is not None:
            adapter.copy(None, CHAMPION)
        policy.use(before)
