"""Runs beside each other: the table of all runs, and the comparison of some in every number and setting."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from showonce.runs.index import RunRecord, read_index, resolve_run
from showonce.runs.layout import CONFIG
from showonce.runs.metrics import PHASES, read_metrics

MOST_BESIDE: Final = 3  # runs that are compared as columns; more are rows
PER_RUN: Final = ("name", "run_dir", "output", "dashboard", "resume")  # settings in which runs always differ


def overview(names: Sequence[str], logs: str | Path) -> Table | str:
    """Return the comparison of the named runs, or of none the table of all; a sentence where there are no runs.

    Raises:
        BadInput: a named run is not there.
    """
    if names:
        folders = [resolve_run(name, logs) for name in names]
        return comparison(folders) if len(folders) <= MOST_BESIDE else ranked(folders, logs)
    records = read_index(logs)
    return table(records) if records else f"No runs in {logs}/ yet. Begin one with `showonce run`."


def written(names: Sequence[str], logs: str | Path, form: str) -> str:
    """Return the named runs, or all, as ``csv`` or ``json``: one record a run, with its index line; of named runs also
    every number of metrics.json and every setting in which they differ.

    Raises:
        BadInput: a named run is not there.
    """
    folders = [resolve_run(name, logs) for name in names]
    known = {record.path.resolve(): record for record in read_index(logs)}
    rows: list[dict[str, Any]] = []
    settings = _different(folders) if len(folders) > 1 else [{} for _ in folders]
    for folder, differing in zip(folders, settings, strict=True):
        record = known.get(folder.resolve())
        rows.append({**_plain(record, folder), **dict(_leaves(read_metrics(folder))), **differing})
    rows = rows if names else [_plain(record, record.path) for record in known.values()]
    if form == "json":
        return json.dumps(rows, ensure_ascii=False, indent=2)
    out = io.StringIO()
    columns = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(out, list(columns) or ["name"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def read_runs(logs: str | Path = "logs", names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the runs of a log folder as a table: one flat dict a run, oldest first. names: of these runs alone.

    Its columns: the fields of `RunRecord` (name, task, learner, seed, status, success, updates ...), every number of
    metrics.json by its path (after.success, after.low, retention.worst_drop ...) and every setting by its key
    (learning.sdft.lr ...). A run lacks the columns that it has no value for. With pandas:
    `pandas.DataFrame(read_runs())`.

    Raises:
        BadInput: a named run is not there.
    """
    known = {record.path.resolve(): record for record in read_index(logs)}
    folders = [resolve_run(name, logs) for name in names] if names else [one.path for one in known.values()]
    rows = []
    for folder in folders:
        rows.append(
            {
                **dict(_leaves(_read_config(folder))),
                **dict(_leaves(read_metrics(folder))),
                **_plain(known.get(folder.resolve()), folder),
            }
        )
    return rows


def _plain(record: RunRecord | None, folder: Path) -> dict[str, Any]:
    """Return a line of the index as an object; of a run that is in no index its name alone."""
    return {"name": folder.name} if record is None else {**asdict(record), "path": str(record.path)}


def _table(*columns: str, caption: str = "") -> Table:
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, caption=caption, caption_justify="left")
    for name in columns:
        drawn.add_column(name, overflow="fold")
    return drawn


def table(records: Iterable[RunRecord]) -> Table:
    """Return one row of two lines a run, newest last; fits into 80 columns."""
    caption = "result: verified attempts and their checker; success before / teacher / after"
    drawn = _table("run, task", "kind", "learner", "result", "status", caption=caption)
    for one in records:
        ended = "" if one.success else one.ended.replace("_", " ")
        drawn.add_row(
            _two(one.name, one.task),
            _two(one.kind, "" if one.seed is None or one.seed < 0 else f"seed {one.seed}"),
            _two("off" if one.learner == "frozen" else one.learner, _counts(one)),
            _two(_result(one), (_rates(one) or ended) if one.attempts else ""),
            one.status,
        )
    return drawn


def _two(first: str, second: str) -> Text:
    return Text.assemble(first, "\n", (second, "dim")) if second else Text(first)


def _counts(one: RunRecord) -> str:
    """Return how many updates were made, and how many times the adapter was rolled back, where it was."""
    if one.updates is None or one.learner == "frozen":
        return ""
    back = f", {one.rollbacks} back" if one.rollbacks else ""
    return f"{one.updates} up{back}"


def _result(one: RunRecord) -> str:
    if one.attempts:
        return f"{one.success}/{one.attempts} {one.checker}".strip()
    return _rates(one) or "-"


def _rates(one: RunRecord) -> str:
    """Return success of the measured phases; empty where none was measured."""
    rates = [getattr(one, phase) for phase in PHASES]
    numbers = "/".join("-" if rate is None else f"{100 * rate:.0f}" for rate in rates)
    return "" if rates == [None] * len(rates) else f"{numbers} %"


def comparison(folders: Sequence[Path]) -> Table:
    """Return the runs side by side: every number of metrics.json, then every setting in which they differ."""
    drawn = Table("", *(folder.name for folder in folders))
    for source, same_too in ((read_metrics, True), (_read_config, False)):
        columns = [dict(_leaves(source(folder))) for folder in folders]
        for key in dict.fromkeys(key for column in columns for key in column):
            cells = [_cell(column.get(key)) for column in columns]
            if same_too or len(set(cells)) > 1:
                drawn.add_row(key, *map(Text, cells))
        drawn.add_section()
    return drawn


def ranked(folders: Sequence[Path], logs: str | Path) -> Table:
    """Return one row a run, in the order given: its headline numbers, and below its name the settings that differ."""
    known = {record.path.resolve(): record for record in read_index(logs)}
    drawn = _table("run", "result", *PHASES, "updates", "s", caption="every number: showonce runs --csv RUN ...")
    for folder, settings in zip(folders, _different(folders), strict=True):
        record, metrics = known.get(folder.resolve()), read_metrics(folder)
        rates = ("-" if record is None else _percent(getattr(record, phase)) for phase in PHASES)
        updates, seconds = _mapping(metrics, "updates").get("accepted"), metrics.get("wall_s")
        told = ", ".join(f"{key.rpartition('.')[2]}={_cell(value)}" for key, value in settings.items())
        result = f"{record.success}/{record.attempts}" if record is not None and record.attempts else "-"
        took = f"{seconds:.0f}" if isinstance(seconds, (int, float)) else "-"
        drawn.add_row(_two(folder.name, told), result, *rates, _cell(updates), took)
    return drawn


def _different(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return of each run the settings in which they differ; those of `PER_RUN` are left out."""
    columns = [dict(_leaves(_read_config(folder))) for folder in folders]
    keys = [
        key for key in dict.fromkeys(key for column in columns for key in column) if key.split(".")[0] not in PER_RUN
    ]
    differing = [key for key in keys if len({_cell(column.get(key)) for column in columns}) > 1]
    return [{key: column.get(key) for key in differing} for column in columns]


def _read_config(folder: Path) -> dict[str, Any]:
    found = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _mapping(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = source.get(key)
    return found if isinstance(found, Mapping) else {}


def _leaves(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    elif not (isinstance(value, list) and value and isinstance(value[0], Mapping)):
        yield key, value
    else:
        for number, child in enumerate(value):
            yield from _leaves(child, f"{key}.{number}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
