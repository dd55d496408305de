"""Move, look again, click: small models point better when they see where the pointer is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Final

from showonce.actions import Action, Click, DoubleClick, Move, RightClick, TripleClick
from showonce.protocols import Context, Policy, Sampling, ShowsHistory
from showonce.types import Observation, Proposal

NEAR: Final = 0.02  # of the frame's side: the policy points at where the pointer is already
CLICKS: Final = (Click, DoubleClick, TripleClick, RightClick)


class LookAgain:
    """Replaces a click of the wrapped policy by a move to its place; the next answer, with the pointer visible, clicks.

    A pure function of the screen and the history: where the last executed action is a move to the place (up to `NEAR`
    of the frame), or was preceded by `looks` moves in a row, the click goes through, at the place of the latest
    answer. A move counts as a step and as an action. Where the screen does not show the pointer nothing is gained.
    """

    def __init__(self, policy: Policy, looks: int = 1) -> None:
        self._policy = policy
        self.looks = max(1, looks)

    @property
    def adapter_version(self) -> str:
        return self._policy.adapter_version

    @property
    def history_frames(self) -> int:
        return self._policy.history_frames if isinstance(self._policy, ShowsHistory) else 0

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        moves = list(itertools.takewhile(lambda action: isinstance(action, Move), reversed(context.actions)))
        proposal = self._policy.propose(observation, context, sampling)
        action = proposal.action
        if not isinstance(action, CLICKS) or len(moves) >= self.looks or (moves and _same_place(moves[0], action)):
            return proposal
        move, text = Move(action.x, action.y), f"{proposal.text} (move there first)"
        return replace(proposal, text=text, action=move, token_ids=(), decision_T=(), logprobs_T=())


def _same_place(move: Action, click: Action) -> bool:
    assert isinstance(move, Move) and isinstance(click, CLICKS)
    return math.dist((move.x, move.y), (click.x, click.y)) <= NEAR
