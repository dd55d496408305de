"""Fills the core table: does the jobs that are missing, works the rows out, writes table.md and table.json.

What else the folder holds is described in `showonce.app.jobs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.table import Table as RichTable

from benchmarks.core_table import rows_learning, rows_safety
from benchmarks.core_table.job_bodies import run_job
from benchmarks.core_table.rows import Found, TableRow
from benchmarks.core_table.schedule import check_parts, jobs_of
from benchmarks.core_table.standalone import JOBS, run_standalone_job
from showonce.app.jobs import ROWS, Job, MakeBench, check_settings, records, run_jobs, settings_of
from showonce.cli.terminal import Terminal, progress_bar
from showonce.config import Config, Workers
from showonce.evaluation.results import Results
from showonce.fsio import atomic_write_json, atomic_write_text, make_folder

MARKDOWN, JSON = "table.md", "table.json"
BUILDERS: Final[dict[str, Callable[[Found], list[TableRow]]]] = {
    "skills": rows_learning.skills,
    "single": rows_learning.single,
    "multi": rows_learning.multi,
    "head_only": rows_learning.head_only,
    "controls": rows_learning.controls,
    "specificity": rows_learning.specificity,
    "retention": rows_learning.retention,
    "sequence": rows_learning.sequence,
    "calibration": rows_learning.calibration,
    "faults": rows_safety.faults,
    "drop_test": rows_safety.drop_test,
    "overhead": rows_safety.overhead,
    "demo_time": rows_safety.demo_time,
}
HEAD: Final = ("", "goal", "reached", "95 % interval", "n", "worst", "verdict")


@dataclass(frozen=True)
class Table:
    """The rows in order. seconds: time that the jobs took, summed over processes. failed: errors by job key."""

    rows: tuple[TableRow, ...]
    seconds: float
    failed: dict[str, str]

    def count(self, verdict: str) -> int:
        return sum(row.verdict == verdict for row in self.rows)

    @property
    def summary(self) -> str:
        """The verdicts in one line."""
        told = [f"{self.count(v)} {v}" for v in ("reached", "missed", "reported", "not run") if self.count(v)]
        return f"{len(self.rows)} rows: {', '.join(told)}; {self.seconds / 60:.0f} minutes of jobs" + (
            f"; {len(self.failed)} jobs failed" if self.failed else ""
        )


def core_table(
    config: Config, folder: str | Path, make_bench: MakeBench, parts: Sequence[str] = (), workers: Workers = 2
) -> Table:
    """Do the jobs that are missing for some parts of the table (none named = all), write the table and return it.

    What an earlier call with the same settings measured into the folder is not measured again. make_bench: a function
    of a module, since worker processes import it. workers: as `do_jobs` takes them.

    Raises:
        ConfigError: an unknown part. BadInput: the folder was begun under other settings.
        Stopped: Ctrl-C; the table so far is written.
    """
    home = make_folder(folder)
    chosen = check_parts(parts)
    check_settings(config, home)
    phases = jobs_of(config, chosen)
    tell = Terminal().tell
    extra = [Job(name, "") for name in JOBS if name in chosen]
    try:
        with progress_bar("core table", sum(map(len, phases)) + len(extra)) as advance:
            for jobs in phases:
                run_jobs(jobs, run_job, make_bench, config, home, workers=workers, advance=advance, tell=tell)
                write_table(config, home)
            run_jobs(extra, run_standalone_job, make_bench, config, home, workers=0, advance=advance)
    finally:
        table = write_table(config, home)
    return table


def table_of(config: Config, folder: Path) -> Table:
    """Return the table of what a folder holds."""
    found = Found(config, Results(folder / ROWS), records(folder))
    try:
        made = [row for build in BUILDERS.values() for row in build(found)]
    finally:
        found.results.close()
    failed = {record.key: record.error for record in found.records.values() if record.error}
    return Table(tuple(made), sum(record.seconds for record in found.records.values()), failed)


def write_table(config: Config, folder: Path) -> Table:
    """Write table.md and table.json from what the folder holds, and return the table."""
    table = table_of(config, folder)
    record = {
        "summary": table.summary, "rows": [asdict(row) for row in table.rows], "seconds": table.seconds,
        "failed": table.failed, "settings": settings_of(config),
    }  # fmt: skip
    atomic_write_json(folder / JSON, record)
    atomic_write_text(folder / MARKDOWN, markdown(table))
    return table


def _cells(row: TableRow) -> Sequence[str]:
    return row.title, row.goal, row.value, row.interval, row.n, row.worst, row.verdict


def markdown(table: Table) -> str:
    """Return the table as Markdown, and its summary below."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    lines += [
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in _cells(row)) + " |"
        for row in table.rows
    ]
    return "\n".join([*lines, "", table.summary]) + "\n"


def rich_table(table: Table) -> RichTable:
    """Return the table for a terminal, the rows coloured by their verdicts."""
    drawn = RichTable(*HEAD, title="core table", show_lines=False)
    colours = {"reached": "green", "missed": "red", "not run": "dim", "reported": ""}
    for row in table.rows:
        drawn.add_row(*_cells(row), style=colours[row.verdict] or None)
    return drawn
