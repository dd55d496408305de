"""The base of every environment around another one."""

from __future__ import annotations

from showonce.actions import Action
from showonce.protocols import Environment, Interrupt
from showonce.types import Executed, Observation, Outcome, Task


class Wrapper:
    """Passes every call on to `inner`; a subclass overrides what it changes.

    Abilities (`protocols.ability`) of `inner` stay available without a line here: `ability` goes on to `inner` where
    the wrapper itself lacks the members. A subclass that defines them replaces the inner ability.
    """

    def __init__(self, inner: Environment) -> None:
        self.inner = inner
        self.name, self.capabilities = inner.name, inner.capabilities

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
