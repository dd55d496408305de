"""An environment around another one: everything is the inner one's, but for what a subclass does otherwise."""

from __future__ import annotations

from typing import Any

from showonce.actions import Action
from showonce.protocols import Environment, Interrupt, Knowing, Readable, Undoable
from showonce.types import Executed, Observation, Outcome, Task


class Wrapped:
    """Passes everything on, also what only some environments can (`facts`, `undo`, `elements`, an oracle, a goal)."""

    def __init__(self, environment: Environment) -> None:
        self.inner = environment
        self.name, self.capabilities = environment.name, environment.capabilities
        if isinstance(environment, Knowing):  # optional capabilities are looked up on the object itself
            self.facts = environment.facts
        if isinstance(environment, Undoable):
            self.undo = environment.undo
        if isinstance(environment, Readable):
            self.elements = environment.elements

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        return self.inner.reset(task, seed)

    def observe(self) -> Observation:
        return self.inner.observe()

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        return self.inner.execute(action, interrupt)

    def verify(self) -> Outcome:
        return self.inner.verify()

    def close(self) -> None:
        self.inner.close()
