"""Runs beside each other: the table of all runs, and the comparison of some in every number and setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from showonce.runs.index import RunRecord, read_index, resolve_run
from showonce.runs.layout import CONFIG
from showonce.runs.metrics import read_metrics


def overview(names: Sequence[str], logs: str | Path) -> Table | str:
    """Return the comparison of the named runs, or of none the table of all; a sentence where there are no runs.

    Raises:
        BadInput: a named run is not there.
    """
    if names:
        return comparison([resolve_run(name, logs) for name in names])
    records = read_index(logs)
    return table(records) if records else f"No runs in {logs}/ yet. Begin one with `showonce run`."


def table(records: Iterable[RunRecord]) -> Table:
    """Return one row a run, newest last, its task below its name; fits into 80 columns."""
    caption = "success: before / teacher / after"
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for name in ("run", "success", "updates", "rollbacks", "status"):
        drawn.add_column(name, overflow="fold")
    for one in records:
        rates = " / ".join(_percent(rate) for rate in (one.before, one.teacher, one.after))
        counts = ["-" if n is None else str(n) for n in (one.updates, one.rollbacks)]
        if one.learner == "frozen":
            counts[0] = "off"
        drawn.add_row(Text.assemble(one.name, "\n", (one.task, "dim")), rates, *counts, one.status)
    return drawn


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


def _read_config(folder: Path) -> dict[str, Any]:
    found = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _leaves(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
