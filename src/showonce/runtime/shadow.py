"""Agreement of the frozen policy (shadow) with the policy that acts, counted over screens. Pure.

The shadow answers the same screen and is never executed. Its agreement says how far the adapter has moved behaviour,
and where.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

from showonce.actions import Action, points, to_json
from showonce.stats import wilson

SAME_PLACE: Final = 0.05  # of the frame's side
COORDINATES: Final = frozenset({"x", "y", "to_x", "to_y"})


def same_action(a: Action | None, b: Action | None, tolerance: float = SAME_PLACE) -> bool:
    """Whether two answers do the same: the same verb and arguments, and places at most `tolerance` apart.

    tolerance: Euclidean, in fractions of the frame's sides. An answer that is not an action (None) only equals another.
    """
    if a is None or b is None:
        return a is b
    if type(a) is not type(b):
        return False
    left, right = ({k: v for k, v in to_json(x).items() if k not in COORDINATES} for x in (a, b))
    near = (math.dist(p, q) <= tolerance for p, q in zip(points(a), points(b), strict=True))
    return left == right and all(near)


@dataclass(frozen=True)
class ShadowSummary:
    """agreement: share of n answers with its 95 % interval (None without answers).

    changed: how often an acting verb replaced a shadow's verb, "click -> type" -> count; only disagreements.
    """

    n: int
    agreement: float | None
    low: float
    high: float
    changed: dict[str, int]


class Shadow:
    """Counts the answers of one run."""

    def __init__(self, tolerance: float = SAME_PLACE) -> None:
        self.tolerance = tolerance
        self._agreed = 0
        self._n = 0
        self._changed: Counter[str] = Counter()

    def note(self, acting: Action | None, shadow: Action | None) -> bool:
        """Count one screen and return whether both would do the same."""
        agrees = same_action(acting, shadow, self.tolerance)
        self._n += 1
        self._agreed += agrees
        if not agrees:
            self._changed[f"{_verb(shadow)} -> {_verb(acting)}"] += 1
        return agrees

    @property
    def summary(self) -> ShadowSummary:
        """Return where it stands."""
        low, high = wilson(self._agreed, self._n)
        share = self._agreed / self._n if self._n else None
        return ShadowSummary(self._n, share, low, high, dict(self._changed.most_common()))


def _verb(action: Action | None) -> str:
    return "nothing" if action is None else action.verb
