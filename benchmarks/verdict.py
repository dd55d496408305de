"""The verdict of a benchmark: rows with goals become PASS, FAIL or NOT MEASURED, an exit code and a JSON file.

A row without a value was not measured. PASS needs every row that has a goal to be measured and to keep it; a missed
goal makes FAIL, whatever else was not measured; what remains is NOT MEASURED.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from showonce.evaluation.goals import Goal
from showonce.fsio import atomic_write_json

Word = Literal["PASS", "FAIL", "NOT MEASURED"]
EXIT_CODES: Final[dict[Word, int]] = {"PASS": 0, "FAIL": 1, "NOT MEASURED": 2}


@dataclass(frozen=True)
class Row:
    """One measured figure.

    value: None = it was not measured, and `why` says why and what to do about it. goal: None = it is only reported.
    low, high: the spread of the single measurements, their 10 % and 90 % quantile, in the unit of the value; n: how
    many there were. note: what else a reader should know.
    """

    name: str
    value: float | None
    goal: Goal | None = None
    unit: str = ""
    n: int = 0
    low: float | None = None
    high: float | None = None
    note: str = ""
    why: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is kept; None without a goal or without a value."""
        return None if self.goal is None or self.value is None else self.goal.holds(self.value)

    def __str__(self) -> str:
        if self.value is None:
            goal = f"; goal {self.goal}" if self.goal else ""
            return f"{self.name}: not measured ({self.why}){goal}"
        parts = [f"{self.name}: {_number(self.value)}{self.unit}"]
        if self.low is not None and self.high is not None:
            parts.append(f"10 to 90 %: {_number(self.low)} to {_number(self.high)}{self.unit}")
        if self.n:
            parts.append(f"n {self.n}")
        if self.note:
            parts.append(self.note)
        if self.goal is not None:
            parts.append(f"goal {self.goal}: {'kept' if self.holds else 'MISSED'}")
        return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"


def of_times(name: str, ms: Sequence[float], goal: Goal | None = None, note: str = "") -> Row:
    """Return the row of single measurements in milliseconds: their median and spread."""
    low, median, high = (float(q) for q in np.quantile(ms, (0.1, 0.5, 0.9)))
    return Row(name, median, goal, " ms", len(ms), low, high, note)


def of_ratio(name: str, ms: Sequence[float], floor_ms: Sequence[float], goal: Goal) -> Row:
    """Return the row of a ratio of two medians that were measured in the same run.

    low, high: the ratios of the 10 % and 90 % quantiles to the floor's median.
    """
    floor = float(np.median(floor_ms))
    low, median, high = (float(q) / floor for q in np.quantile(ms, (0.1, 0.5, 0.9)))
    return Row(name, median, goal, "x", min(len(ms), len(floor_ms)), low, high)


@dataclass(frozen=True)
class Verdict:
    """All rows of a benchmark."""

    rows: tuple[Row, ...]

    @property
    def word(self) -> Word:
        judged = [row for row in self.rows if row.goal is not None]
        if any(row.holds is False for row in judged):
            return "FAIL"
        if not judged or any(row.holds is None for row in judged):
            return "NOT MEASURED"
        return "PASS"

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.word]

    @property
    def line(self) -> str:
        """The last line of a benchmark: the word, then every row that has a goal."""
        return f"{self.word}: " + "; ".join(str(row) for row in self.rows if row.goal is not None)

    def to_json(self) -> dict[str, Any]:
        rows = [
            {**asdict(row), "goal": str(row.goal) if row.goal is not None else None, "holds": row.holds}
            for row in self.rows
        ]
        return {"verdict": self.word, "rows": rows}


def parser(doc: str | None, *, quick: str) -> argparse.ArgumentParser:
    """Return a parser that shows the module's docstring and has --quick and --json. quick: what --quick leaves out."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help=f"less than a minute: {quick}")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the rows and the verdict into a file")
    return made


def finish(rows: Sequence[Row], given: argparse.Namespace, say: Callable[[str], None] = print) -> int:
    """Print every row and the verdict, write the JSON file that was asked for, and return the exit code."""
    verdict = Verdict(tuple(rows))
    for row in rows:
        say(str(row))
    say(verdict.line)
    if given.json is not None:
        atomic_write_json(given.json, verdict.to_json())
    return verdict.exit_code
