"""An environment with a fence: what lies outside of the allowed region, pages, windows and applications is refused.

The safety rules of a run's episodes refuse it before, with the other rules. Here it holds for everybody else who acts
in the environment, too: measuring, showing, recording and replaying.
"""

from __future__ import annotations

from typing import Any

from showonce.actions import Action, points
from showonce.config import SafetyConfig
from showonce.errors import BadInput
from showonce.protocols import Environment, Interrupt, Knowing, Undoable
from showonce.runtime.safety import forbidden
from showonce.types import Executed, Observation, Outcome, Task


class Fenced:
    """An environment in which `execute` refuses what `rules` forbid. Everything else is the environment's own.

    Raises:
        BadInput: by `execute`; nothing was done.
    """

    def __init__(self, environment: Environment, rules: SafetyConfig) -> None:
        self._environment, self._rules = environment, rules
        self.name, self.capabilities = environment.name, environment.capabilities
        if isinstance(environment, Knowing):  # optional capabilities are looked up on the object itself
            self.facts = environment.facts
        if isinstance(environment, Undoable):
            self.undo = environment.undo

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        return self._environment.reset(task, seed)

    def observe(self) -> Observation:
        return self._environment.observe()

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        environment = self._environment
        facts = environment.facts(points(action)) if isinstance(environment, Knowing) else None
        if why := forbidden(action, facts, self._rules):
            raise BadInput(why)
        return environment.execute(action, interrupt)

    def verify(self) -> Outcome:
        return self._environment.verify()

    def close(self) -> None:
        self._environment.close()
