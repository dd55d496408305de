"""The prompts of student and teacher on a screen, and the tensors that the teacher uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from showonce.actions import Action
from showonce.errors import BadInput
from showonce.learning.methods.context import LearnerContext, Prompt
from showonce.learning.methods.corrections import is_shown, shown_on
from showonce.learning.practice.buffer import Sample
from showonce.protocols import EMA, Context
from showonce.types import Observation


def student_prompts(context: LearnerContext, batch: Sequence[Sample]) -> list[Prompt]:
    """Return the student's prompt for each screen: without demonstration."""
    return [context.policy.parts(sample.observation, sample.context()) for sample in batch]


def teacher_prompts(context: LearnerContext, batch: Sequence[Sample]) -> list[Prompt]:
    """Return the teacher's prompt for each screen: with the demonstration, and a box where the action is verified."""
    return [
        context.policy.parts(
            sample.observation,
            sample.context(shown_on(context, sample)),
            highlight=sample.action if sample.correct else None,
        )
        for sample in batch
    ]


def teacher_adapter(context: LearnerContext) -> str | None:
    """Return the name of the teacher's tensors (setting `sdft.teacher`); None = the base."""
    return {"base": None, "ema": EMA, "live": context.adapter}[context.config.sdft.teacher]


def can_teach(context: LearnerContext, sample: Sample) -> bool:
    """Return whether the teacher's prompt shows more than the student's: demonstration, correction, verified target."""
    form = context.policy.config.teacher_context
    if form != "highlight" and is_shown(context, sample):
        return True
    return form != "demonstration" and sample.correct is True and sample.action is not None


def teacher_of(context: LearnerContext, task_id: str) -> Callable[[Observation, Context], Action | None]:
    """Return a function that gives the teacher's greedy action on a screen, to be executed in the student's place.

    Raises:
        BadInput: there is no demonstration of the task.
    """
    shown = context.demonstration(task_id)
    if shown is None:
        raise BadInput(f"nobody can teach {task_id!r}: give a demonstration of it, or practise with teacher_beta=0.")

    def act(observation: Observation, told: Context) -> Action | None:
        view = replace(told, demonstration=shown)
        return context.policy.propose(observation, view, adapter=teacher_adapter(context)).action

    return act
