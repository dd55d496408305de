"""The learners by name: a method, with the gate, the optimiser, the events and the state that all of them share.

sdft          self-distillation on the student's own answers
sft_demo      cross-entropy on the demonstrated actions, on the demonstrated frames
sft_teacher   cross-entropy on the teacher's answers to the same screens that sdft uses
rft           cross-entropy on the student's own actions that were verified as right
in_context    no weights: the policy is shown the demonstration whenever it acts
frozen        nothing
"""

from __future__ import annotations

from typing import ClassVar, Final

from showonce.errors import ConfigError
from showonce.learning.methods.base import Method
from showonce.learning.methods.imitation import RFT, SFTDemonstration, SFTTeacher
from showonce.learning.methods.sdft import SDFT
from showonce.plugins import Registry


class InContext(Method):
    """No weights change; the demonstration stays in the prompt for good."""

    name: ClassVar[str] = "in_context"
    trains: ClassVar[bool] = False
    acts_with_demonstration: ClassVar[bool] = True


class Frozen(Method):
    """The base as it is."""

    name: ClassVar[str] = "frozen"
    trains: ClassVar[bool] = False


METHODS: Final[dict[str, type[Method]]] = {
    method.name: method for method in (SDFT, SFTDemonstration, SFTTeacher, RFT, InContext, Frozen)
}


LEARNERS: Final = Registry(
    "learner",
    "showonce.learners",
    {name: f"{method.__module__}:{method.__name__}" for name, method in METHODS.items()},
    "learning.learner",
)


def find_method(name: str) -> type[Method]:
    """Return the class of a method: one of `METHODS`, an entry point of ``showonce.learners``, or ``module:Class``.

    Raises:
        ConfigError: no such name, module or class, or the class is not a `Method`.
    """
    found = LEARNERS.load(name)
    if not (isinstance(found, type) and issubclass(found, Method)):
        text = f"learning.learner={name!r} is not a subclass of showonce.learning.methods.base.Method."
        raise ConfigError(text, key="plugin.kind")
    return found
