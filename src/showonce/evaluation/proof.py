"""The proof of one run: its phases, its controls, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from showonce.evaluation.controls import WITH_GOAL, Control


@dataclass(frozen=True)
class Proof:
    """Everything measured about one run.

    phases: before, teacher, after, each {success, n, low, high}. process: the report of the process that measured
    `after` (its id, adapter, demonstrations in its prompts). not_run: reasons by control. learned: `after` is clearly
    above `before`, no control missed its goal, and none that has one was left out.
    """

    run: str
    task: str
    goal: str
    seed: int
    updates: int
    practice_episodes: int
    phases: Mapping[str, Mapping[str, Any]]
    process: Mapping[str, Any]
    controls: tuple[Control, ...]
    not_run: Mapping[str, str] = field(default_factory=dict)

    @property
    def improved(self) -> bool:
        return bool(self.phases["after"]["low"] > self.phases["before"]["high"])

    @property
    def missed(self) -> tuple[str, ...]:
        """The controls that missed their goal."""
        return tuple(control.name for control in self.controls if control.holds is False)

    @property
    def learned(self) -> bool:
        return self.improved and not self.missed and not set(self.not_run) & set(WITH_GOAL)

    @property
    def verdict(self) -> str:
        """The finding in one sentence."""
        if not self.improved:
            return "Not shown: success after learning is not clearly above success before."
        if self.missed:
            return f"Improved, but not all controls hold: {', '.join(self.missed)}."
        if not self.learned:
            return f"Improved, and {self._shown}. Not run: {', '.join(self.not_run)}."
        left_out = f" Not run: {', '.join(self.not_run)}." if self.not_run else ""
        return f"Learned from the demonstration: success rose without it, and {self._shown}.{left_out}"

    @property
    def _shown(self) -> str:
        """A clause about the controls; a control without a goal is reported with its figure."""
        held = [control.name for control in self.controls if control.holds]
        words = f"the {len(held)} controls that have a goal hold" if held else "no control with a goal was run"
        reported = [control for control in self.controls if control.holds is None]
        if not reported:
            return words
        words += f"; reported without a goal: {', '.join(f'{c.name} {c.value:.2f}' for c in reported)}"
        equal = [control.name for control in reported if control.high >= self.phases["after"]["low"]]
        if equal:
            words += f". Not shown: that this way of learning is better than {', '.join(equal)}"
        return words
