"""A row of the core table, and the measured figures from which rows are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from showonce.app.jobs import Record
from showonce.config import Config
from showonce.evaluation.results import Results
from showonce.stats import Estimate

Verdict = Literal["reached", "missed", "not run", "reported"]
ByUnit = dict[str, list[float]]  # values of an app or a family, one a repetition


@dataclass(frozen=True)
class TableRow:
    """One line of the table, as text. part: of the table; worst: the worst app, family or run with its value."""

    part: str
    title: str
    goal: str
    value: str
    n: str = ""
    interval: str = ""
    worst: str = ""
    verdict: Verdict = "reported"


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder holds: measured rows and the records of finished jobs."""

    config: Config
    results: Results
    records: Mapping[str, Record]

    def numbers(self, part: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Return what the jobs of a part found, by task and repetition; failed jobs are left out."""
        out = {}
        for record in self.records.values():
            name, task, repetition = record.key.split("|")
            if name == part and not record.error:
                out[task, int(repetition)] = record.numbers
        return out

    def failed(self, *parts: str) -> int:
        """Return how many jobs of these parts failed."""
        return sum(bool(r.error) and r.key.split("|")[0] in parts for r in self.records.values())

    def rates(self, part: str, arm: str, apps: Sequence[str]) -> tuple[ByUnit, int]:
        """Return success by app, one value a repetition, and the number of screens."""
        rates: ByUnit = {}
        n = 0
        for app in apps:
            for seed in self.config.evaluation.seeds:
                result = self.results.result(part, app, f"{arm}@{seed}")
                if result.rows:
                    rates.setdefault(app, []).append(result.success)
                    n += result.n
        return rates, n


def judged(*kept: bool) -> Verdict:
    """Return "reached" when every goal of a row is kept, else "missed"."""
    return "reached" if all(kept) else "missed"


def missing(part: str, title: str, goal: object, why: str = "") -> TableRow:
    """Return the row of something that was not measured."""
    return TableRow(part, title, str(goal), "-", verdict="not run", worst=why)


def between(estimate: Estimate) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def short(app: str) -> str:
    return app.removeprefix("app/").removeprefix("skill/")
