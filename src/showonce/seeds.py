"""Which seeds are used for what. Every use has a range of its own, so that nothing measured was practised.

0 ................. demonstrations
practice offset ... practice episodes, then (from half-way to the next offset) probes
evaluation offset . evaluation, retention, canaries and anchors, `SPAN` each

This is the only place: runs, repetitions of a table and lessons that are taught for a control all take theirs here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from showonce.config import Config
from showonce.errors import ConfigError, DemonstrationError

Use = Literal["demonstration", "practice", "probe", "evaluation", "retention", "canary", "anchor"]
SPAN: Final = 1_000_000  # seeds of each use behind the evaluation offset
STRIDE: Final = 10_000  # seeds of one run or repetition within a range; others begin elsewhere


@dataclass(frozen=True)
class Seeds:
    """The ranges of one run or repetition. seed: its number; practice, evaluation: the offsets of the config.

    Raises:
        ConfigError: the seed is negative, or the offsets leave a range no room.
    """

    seed: int = 0
    practice: int = 1_000_000
    evaluation: int = 5_000_000

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} must be at least 0: only `replay` knows -1, the recorded seed.")
        if not STRIDE <= self.practice <= self.evaluation - 2 * STRIDE:
            raise ConfigError(
                f"learning.practice.seed_offset={self.practice} and experiment.eval_seed_offset={self.evaluation} "
                f"leave no room: the first must be at least {STRIDE}, the second at least {2 * STRIDE} more."
            )

    @classmethod
    def of(cls, config: Config, repetition: int | None = None) -> Seeds:
        """Return the ranges that a config asks for. repetition: in place of the run's seed."""
        number = config.seed if repetition is None else repetition
        return cls(number, config.learning.practice.seed_offset, config.experiment.eval_seed_offset)

    def repetition(self, number: int) -> Seeds:
        """Return the ranges of a repetition: the same uses, beginning elsewhere within them."""
        return replace(self, seed=number)

    def lesson(self, practice: int) -> Seeds:
        """Return the ranges of a lesson whose practice begins at `practice`; its probes follow, below the evaluation.

        Raises:
            ConfigError: that seed leaves practice and probes no room.
        """
        return replace(self, seed=0, practice=practice)

    def bounds(self, use: Use) -> range:
        """Return all seeds that a use may have, in any run."""
        middle = (self.practice + self.evaluation) // 2
        starts = [0, self.practice, middle, *(self.evaluation + SPAN * i for i in range(5))]
        names: tuple[Use, ...] = ("demonstration", "practice", "probe", "evaluation", "retention", "canary", "anchor")
        at = names.index(use)
        return range(starts[at], starts[at + 1])

    def first(self, use: Use) -> int:
        """Return where this run begins within the range of a use."""
        bounds = self.bounds(use)
        return bounds[0] + (self.seed if use == "demonstration" else self.seed * STRIDE) % max(len(bounds) - STRIDE, 1)

    def take(self, use: Use, n: int, skip: int = 0) -> range:
        """Return `n` seeds of a use, after `skip` others.

        Raises:
            ConfigError: more than the range holds, or than one repetition may measure.
        """
        bounds, start = self.bounds(use), self.first(use) + skip
        if use == "evaluation" and skip + n > STRIDE:
            raise ConfigError(f"{n} screens of one task are more than the {STRIDE} seeds of a repetition.")
        if start + n > bounds[-1] + 1:
            raise ConfigError(
                f"{n} {use} seeds from {start} on leave their range, which ends at {bounds[-1]}: ask for fewer."
            )
        return range(start, start + n)

    def check_demonstration(self, seed: int | None, ref: str) -> None:
        """Check that what was demonstrated is neither practised nor measured.

        Raises:
            DemonstrationError: its seed lies in the range of another use.
        """
        if seed is not None and seed not in self.bounds("demonstration"):
            raise DemonstrationError(
                f"{ref} was recorded with seed {seed}; practice and evaluation use seeds from {self.practice} on. "
                f"Record it again with a seed below that."
            )
