"""The goal of one measured figure, written once: it prints itself and decides."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Relation = Literal["<", "<=", "=", ">="]
_RELATIONS: Final[dict[Relation, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """A bound that a figure has to keep.

    form: format specification of the bound. name: what the figure is, where a row shows several. unit: of the figure.

    >>> goal = Goal("<=", 0.25)
    >>> str(goal), goal.holds(0.25), goal.holds(0.3)
    ('<= 0.25', True, False)
    >>> str(Goal("<=", 2, "g", "median", " ms"))
    'median <= 2 ms'
    """

    relation: Relation
    bound: float
    form: str = ".2f"
    name: str = ""
    unit: str = ""

    def holds(self, value: float) -> bool:
        """Return whether a figure keeps the bound; a NaN keeps none."""
        return _RELATIONS[self.relation](value, self.bound)

    def __str__(self) -> str:
        name = f"{self.name} " if self.name else ""
        return f"{name}{self.relation} {self.bound:{self.form}}{self.unit}"
