"""The safety verdict on one action: a pure function of the action and the screen, asked before anybody else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from showonce.actions import Action
from showonce.types import Observation


@dataclass(frozen=True)
class Verdict:
    """allow: go on; ask: a person has to approve it; refuse: the episode ends. `reason` is one sentence."""

    decision: Literal["allow", "ask", "refuse"] = "allow"
    reason: str = ""


Safety = Callable[[Action, Observation], Verdict]


def allow(action: Action, observation: Observation) -> Verdict:
    """Allow everything: for worlds without side effects."""
    return Verdict()


def ask_always(action: Action, observation: Observation) -> Verdict:
    """Let a person look at every action before it is done."""
    return Verdict("ask", "every action is to be approved")
