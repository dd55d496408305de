"""An environment with a fence: what lies outside of the allowed region, pages, windows and applications is refused.

The safety rules of a run's episodes refuse it before, with the other rules. Here it holds for everybody else who acts
in the environment, too: measuring, showing, recording and replaying.
"""

from __future__ import annotations

from showonce.actions import Action, points
from showonce.config import SafetyConfig
from showonce.environments.wrapped import Wrapped
from showonce.errors import BadInput
from showonce.protocols import Environment, Interrupt, Knowing
from showonce.runtime.safety import forbidden
from showonce.types import Executed


class Fenced(Wrapped):
    """An environment in which `execute` refuses what `rules` forbid. Everything else is the environment's own.

    Raises:
        BadInput: by `execute`; nothing was done.
    """

    def __init__(self, environment: Environment, rules: SafetyConfig) -> None:
        super().__init__(environment)
        self._rules = rules

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        facts = self.inner.facts(points(action)) if isinstance(self.inner, Knowing) else None
        if why := forbidden(action, facts, self._rules):
            raise BadInput(why)
        return self.inner.execute(action, interrupt)
