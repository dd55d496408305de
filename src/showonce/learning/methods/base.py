"""The base class of learning methods.

A method computes the loss of a batch of screens. Everything else (choice of screens, gate, budget, optimiser, events,
state) is in `trainer`, the same for all methods. A new method is a subclass of `Method`:

    class Imitate(Method):
        name = "imitate"

        def usable(self, sample):
            return sample.correct is True

        def loss(self, batch):
            policy = self.context.policy
            answers = [policy.label_action(s.action, s.observation) for s in batch]
            return imitation(self.context, batch, student_prompts(self.context, batch), answers)

It is chosen by `learning.learner`: a name of `registry.METHODS` or of an entry point, or `module:Class`. Settings of
its own are a frozen dataclass `Options` in the class; `learning.options` gives values, `self.options` holds them:

        @dataclass(frozen=True)
        class Options:
            order: float = number(0.5, 0, 10)  # default, least and largest value; `from showonce.config import number`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from showonce.inference.decode import Decoded
from showonce.learning.methods.context import LearnerContext
from showonce.learning.practice.buffer import Sample
from showonce.schema import SchemaError, build, check_kinds, check_numbers


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of one batch.

    value: a scalar with gradient. difference: mean KL(teacher || student) per decision token in nats, None without a
    teacher. parts: further numbers for the log. n_tokens: number of decision tokens in the loss. texts: the answers
    that it was computed on.
    """

    value: Tensor
    difference: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    n_tokens: int = 0
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoOptions:
    """The options of a method that has none of its own."""


class Method:
    """See the module's text. Subclasses set `name` and define `loss`."""

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    trains: ClassVar[bool] = True  # False: there are no weights to change, so no update is ever made
    acts_with_demonstration: ClassVar[bool] = False  # True: the policy is shown the demonstration whenever it acts

    def __init__(self, context: LearnerContext) -> None:
        self.context = context
        self.options: Any = options_of(type(self), context.config.options)

    def usable(self, sample: Sample) -> bool:
        """Return whether this method can learn from a screen."""
        return True

    def batch(self, task_id: str, admitted: Callable[[Sample], bool] = lambda _: True) -> list[Sample]:
        """Return the screens of the next update, all `usable` and `admitted` (by the gate); [] if there are none."""
        context = self.context
        settings = context.config.sdft
        return context.buffer.draw(
            settings.batch_size,
            context.rng,
            task_id=task_id,
            replay=settings.replay,
            where=lambda sample: self.usable(sample) and admitted(sample),
        )

    def loss(self, batch: Sequence[Sample]) -> Loss:
        """Return the loss of a batch that is not empty."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: write one, or set trains = False.")

    def after_step(self) -> None:
        """Called after every optimiser step (to update an EMA, say)."""

    def begin(self, fresh: bool) -> None:
        """Called when a lesson begins. fresh: nothing was restored from a checkpoint."""


def options_of(method: type[Method], given: Mapping[str, Any]) -> Any:
    """Return the options of a method, an instance of its `Options`: the given values and the defaults of the others.

    Raises:
        SchemaError: an unknown name (the nearest is named), a value of the wrong type or out of range, a required one
            that is missing, or `Options` is no dataclass of types that a config can hold.
    """
    kind, section = method.Options, "learning.options"
    whose = f"learner {method.__module__}:{method.__qualname__}"
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise SchemaError(section, f"{whose}: its Options must be a class under @dataclass(frozen=True).")
    if kind is NoOptions and given:
        raise SchemaError(f"{section}.{next(iter(given))}", f"{whose} has no options of its own: leave {section} out.")
    try:
        check_kinds(kind, section)
        made = build(kind, given, section)
        check_numbers(made, section)
    except SchemaError as error:
        raise SchemaError(error.setting, f"{whose}: {error}") from None
    except Exception as error:  # a check of its own
        raise SchemaError(section, f"{whose}: {error}") from error
    return made


def token_marks(answers: Sequence[Decoded], like_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return two (B, T) masks of the answers' free tokens: those of the action, those of the stated confidence."""
    action_BT = torch.zeros_like(like_BT)
    confidence_BT = torch.zeros_like(like_BT)
    for row, answer in enumerate(answers):
        stated_T = answer.confidence_T or (False,) * len(answer.token_ids)
        for at, (free, stated) in enumerate(zip(answer.decision_T, stated_T, strict=True)):
            action_BT[row, at] = free and not stated
            confidence_BT[row, at] = free and stated
    return action_BT, confidence_BT
