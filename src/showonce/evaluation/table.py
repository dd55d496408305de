"""The core table: every goal of the project beside what was reached. Resumable; every row says when it was not run.

FOLDER/settings.json   under which settings everything in the folder was measured
FOLDER/results.jsonl   one row a screen
FOLDER/jobs.jsonl      one line a finished job
FOLDER/lessons/        what was taught
FOLDER/table.md, table.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table as RichTable

from showonce.config import Config
from showonce.errors import BadInput
from showonce.evaluation import rows, rows_machine
from showonce.evaluation.jobs import ROWS, Job, MakeBench, records, run_jobs
from showonce.evaluation.machine import JOBS, run_machine_job
from showonce.evaluation.parts import check_parts, jobs_of, run_job
from showonce.evaluation.results import Results
from showonce.evaluation.rows import Found, TableRow
from showonce.evaluation.runner import progress_bar
from showonce.fsio import atomic_write_json, atomic_write_text, explained, make_folder, plain
from showonce.policy.vlm_policy import find_checkpoint

SETTINGS, MARKDOWN, JSON = "settings.json", "table.md", "table.json"
BUILDERS: Final[dict[str, Callable[[Found], list[TableRow]]]] = {
    "skills": rows.skills,
    "single": rows.single,
    "multi": rows.multi,
    "head_only": rows.head_only,
    "controls": rows.controls,
    "specificity": rows.specificity,
    "retention": rows.retention,
    "sequence": rows.sequence,
    "calibration": rows.calibration,
    "faults": rows_machine.faults,
    "drop_test": rows_machine.drop_test,
    "overhead": rows_machine.overhead,
    "demo_time": rows_machine.demo_time,
}
HEAD: Final = ("", "goal", "reached", "95 % interval", "n", "worst", "verdict")


@dataclass(frozen=True)
class Table:
    """The rows in order. seconds: time that jobs took, summed over processes. failed: jobs with their errors."""

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


def core_table(config: Config, folder: str | Path, make_bench: MakeBench) -> Table:
    """Do what is missing of the table's parts (config.evaluation.parts, none = all), write the table and return it.

    The folder may hold what an earlier call with the same settings measured; that is not measured again. make_bench: a
    function of a module, since worker processes call it.

    Raises:
        ConfigError: an unknown part. BadInput: the folder was begun under other settings.
        Stopped: Ctrl-C; the table so far is written.
    """
    home = make_folder(folder)
    parts = check_parts(config.evaluation.parts)
    check_settings(config, home)
    phases = jobs_of(config, parts)
    extra = [Job(name, "") for name in JOBS if name in parts]
    try:
        with progress_bar("core table", sum(map(len, phases)) + len(extra)) as advance:
            for jobs in phases:
                run_jobs(jobs, run_job, make_bench, config, home, workers=config.evaluation.workers, advance=advance)
                write_table(config, home)
            run_jobs(extra, run_machine_job, make_bench, config, home, workers=0, advance=advance)
    finally:
        table = write_table(config, home)
    return table


def check_settings(config: Config, folder: Path) -> None:
    """Compare with what the folder was begun under; write it down if it is new.

    Which parts are run, on how many processes, and where things go, may change in between. So may the number of
    repetitions: further seeds may follow those that were measured, or only the first of them be looked at.
    """
    wanted = _settings(config)
    path = folder / SETTINGS
    if not path.is_file():
        atomic_write_json(path, wanted)
        return
    with explained(path, "read"):
        text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{path} is not JSON ({error}): choose another folder with run_dir=PATH.") from None
    old, new = (settings.get("evaluation", {}).get("seeds", []) for settings in (found, wanted))
    if found != wanted and old[: len(new)] == new[: len(old)]:
        longer = max(old, new, key=len)
        same = {**wanted, "evaluation": {**wanted["evaluation"], "seeds": old}}
        if found == same:
            atomic_write_json(path, {**same, "evaluation": {**same["evaluation"], "seeds": longer}})
            return
    if found != wanted:
        other = [key for key in {*found, *wanted} if found.get(key) != wanted.get(key)]
        raise BadInput(
            f"{folder} was begun under other settings ({', '.join(sorted(other))}). Use those again, or begin anew in "
            "another folder with run_dir=PATH."
        )


def _settings(config: Config) -> dict[str, Any]:
    model = find_checkpoint(config.policy.checkpoint) / "model.safetensors"
    weights = model.stat().st_size if model.is_file() else 0
    kept = replace(config.evaluation, parts=(), workers=0)
    own = {
        "seed": config.seed, "policy": config.policy, "learning": config.learning, "evaluation": kept,
        "environment": config.environment, "eval_seed_offset": config.experiment.eval_seed_offset,
        "weights_bytes": weights, "weights": _digest(model),
    }  # fmt: skip
    settings: dict[str, Any] = json.loads(json.dumps(plain(own)))
    return settings


def _digest(path: Path) -> str:
    import hashlib

    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_of(config: Config, folder: Path) -> Table:
    """Work the table out from what the folder holds."""
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
        "failed": table.failed, "settings": _settings(config),
    }  # fmt: skip
    atomic_write_json(folder / JSON, record)
    atomic_write_text(folder / MARKDOWN, markdown(table))
    return table


def _cells(row: TableRow) -> Sequence[str]:
    return row.title, row.goal, row.value, row.interval, row.n, row.worst, row.verdict


def markdown(table: Table) -> str:
    """Return the table as README shows it."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    lines += [
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in _cells(row)) + " |"
        for row in table.rows
    ]
    return "\n".join([*lines, "", table.summary]) + "\n"


def rich_table(table: Table) -> RichTable:
    """Return the table for a terminal."""
    drawn = RichTable(*HEAD, title="core table", show_lines=False)
    colours = {"reached": "green", "missed": "red", "not run": "dim", "reported": ""}
    for row in table.rows:
        drawn.add_row(*_cells(row), style=colours[row.verdict] or None)
    return drawn
