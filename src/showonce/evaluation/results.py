"""Rows of measured attempts, one a screen, as lines of a file, so that nothing is measured twice; and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from showonce.fsio import LineWriter, make_folder, read_lines
from showonce.stats import Interval, wilson
from showonce.types import Episode, StopReason

Key = tuple[str, str, int, str]
BROKEN: Final = (StopReason.MODEL_ERROR.value, StopReason.ENVIRONMENT_ERROR.value)
_DECIMALS: Final = 4


@dataclass(frozen=True)
class StepScore:
    """One step: its confidences in [0, 1], and whether the environment verified it as right (None: it cannot)."""

    stated: float | None
    token: float | None
    calibrated: float | None
    correct: bool | None


@dataclass(frozen=True)
class Row:
    """One attempt, named by part, task, seed and arm (who acts, and how).

    reason: the StopReason. right: number of steps that the environment verified as right. steps_scored: one entry a
    step, in order. error: empty unless the policy, model or environment broke.
    """

    part: str
    task: str
    seed: int
    arm: str
    success: bool
    reason: str
    steps: int
    right: int = 0
    adapter: str = "base"
    steps_scored: tuple[StepScore, ...] = ()
    error: str = ""

    @property
    def key(self) -> Key:
        return self.part, self.task, self.seed, self.arm

    @property
    def reached(self) -> bool:
        """Whether the first target was reached."""
        return self.right > 0

    def to_json(self) -> dict[str, Any]:
        """Return a line of the file; steps are short lists."""
        scored = [[_short(s.stated), _short(s.token), _short(s.calibrated), s.correct] for s in self.steps_scored]
        return {**asdict(self), "steps_scored": scored}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """Build it back.

        Raises:
            TypeError, ValueError: not such a line.
        """
        scored = tuple(StepScore(*entry) for entry in data.get("steps_scored", ()))
        return cls(**{**data, "steps_scored": scored})


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def row_of(episode: Episode, part: str, arm: str, error: str = "") -> Row:
    """Return the row of an episode."""
    scored = []
    for step in episode.steps:
        if step.proposal is not None:
            found = step.proposal.confidence
            correct = step.outcome.step_correct if step.outcome is not None else None
            scored.append(StepScore(found.stated, found.token, found.calibrated, correct))
    right = sum(step.outcome is not None and step.outcome.step_correct is True for step in episode.steps)
    broken = episode.stop_reason.value in BROKEN
    return Row(
        part, episode.task_id, episode.seed or 0, arm, episode.success, episode.stop_reason.value, len(episode.steps),
        right, episode.adapter_version, tuple(scored), (error or episode.stop_reason.value) if broken else "",
    )  # fmt: skip


@dataclass(frozen=True)
class EvalResult:
    """The rows of one task under one arm, by seed."""

    task: str
    arm: str
    rows: tuple[Row, ...]

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def outcomes(self) -> tuple[bool, ...]:
        return tuple(row.success for row in self.rows)

    @property
    def successes(self) -> int:
        return sum(self.outcomes)

    @property
    def success(self) -> float:
        """The share of successes; 0 without rows."""
        return self.successes / self.n if self.rows else 0.0

    @property
    def interval(self) -> Interval:
        """Wilson's 95 % interval."""
        return wilson(self.successes, self.n)

    @property
    def errors(self) -> int:
        return sum(bool(row.error) for row in self.rows)

    @property
    def phase(self) -> dict[str, Any]:
        """The form in which metrics.json holds a phase."""
        low, high = self.interval
        return {"success": self.success, "n": self.n, "low": low, "high": high}


class Results:
    """Rows in a file of JSON lines, or in memory where there is no path. Safe between threads.

    Several processes may add to one file; each knows the rows that were there when it opened it, and its own. Rows of
    attempts that broke are kept for the record but do not count as measured.

    Raises:
        DiskError: the file cannot be read or written.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._rows: dict[Key, Row] = {}
        self._writer: LineWriter | None = None
        self._read = 0  # bytes of the file that were read
        if self.path is not None:
            make_folder(self.path.parent)
            self.reload()
            self._writer = LineWriter(self.path)

    def reload(self) -> None:
        """Read the rows that other processes have added."""
        if self.path is None:
            return
        lines, self._read = read_lines(self.path, self._read)
        for line in lines:
            try:
                row = Row.from_json(line)
            except (TypeError, ValueError):
                continue
            self._rows[row.key] = row

    def add(self, row: Row) -> None:
        """Keep a row, in place of an older one of the same key."""
        if self._writer is not None:
            self._writer.write(row.to_json())
        self._rows[row.key] = row

    def get(self, key: Key) -> Row | None:
        """Return the row that was measured, or None."""
        row = self._rows.get(key)
        return None if row is None or row.error else row

    def rows(self, part: str | None = None, arm: str | None = None, task: str | None = None) -> list[Row]:
        """Return the rows that fit, broken ones too, by task and seed."""
        found = [
            row for row in list(self._rows.values())
            if part in (None, row.part) and arm in (None, row.arm) and task in (None, row.task)
        ]  # fmt: skip
        return sorted(found, key=lambda row: (row.task, row.seed))

    def result(self, part: str, task: str, arm: str, seeds: Iterable[int] | None = None) -> EvalResult:
        """Return the rows of a task under an arm; `seeds`: these only, in this order."""
        if seeds is None:
            return EvalResult(task, arm, tuple(self.rows(part, arm, task)))
        keys = [(part, task, seed, arm) for seed in seeds]
        return EvalResult(task, arm, tuple(self._rows[key] for key in keys if key in self._rows))

    def close(self) -> None:
        """Close the file; twice is fine."""
        if self._writer is not None:
            self._writer.close()


def paired(before: EvalResult, after: EvalResult) -> tuple[list[bool], list[bool]]:
    """Return the outcomes of the seeds that both have, in the same order."""
    first = {row.seed: row.success for row in before.rows}
    second = {row.seed: row.success for row in after.rows}
    seeds = [seed for seed in first if seed in second]
    return [first[s] for s in seeds], [second[s] for s in seeds]


def readings(rows: Sequence[Row], which: str) -> tuple[list[float], list[bool]]:
    """Return confidence and correctness of every step that has both. which: stated | token | calibrated.

    A step without a calibrated reading gives the token reading, as the gate does.
    """
    values, outcomes = [], []
    for row in rows:
        for step in row.steps_scored:
            value = getattr(step, which)
            value = step.token if value is None and which == "calibrated" else value
            if value is not None and step.correct is not None:
                values.append(float(value))
                outcomes.append(step.correct)
    return values, outcomes
