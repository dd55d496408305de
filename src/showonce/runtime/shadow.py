"""Whether two answers to one screen do the same: of the acting policy and of the frozen one, the shadow."""

from __future__ import annotations

import math
from typing import Final

from showonce.actions import Action, points, to_json

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
