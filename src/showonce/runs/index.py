"""logs/index.jsonl: which runs there are, how each ended, and finding one by its name."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from showonce.config import Config
from showonce.errors import BadInput, nearest
from showonce.events import as_float
from showonce.fsio import LineWriter, make_folder, read_lines
from showonce.runs.layout import CONFIG, INDEX
from showonce.runs.metrics import PHASES, read_metrics

LATEST: Final = "latest"
FAILED: Final = "failed"  # the status of a run that an error ended


@dataclass(frozen=True)
class RunRecord:
    """One run in the index. Success values are fractions, None where the phase did not run."""

    name: str
    path: Path
    started: float  # unix seconds
    status: str  # one word: started (still running, or killed), completed, stopped or failed
    began: bool = True  # False when it ended before its first episode
    task: str = ""
    learner: str = ""
    seed: int | None = None
    before: float | None = None
    teacher: float | None = None
    after: float | None = None
    updates: int | None = None
    rollbacks: int | None = None


def note_start(folder: Path, config: Config) -> None:
    """Add a line to the index: the run in `folder` has started, or goes on.

    Raises:
        DiskError: the index cannot be written.
    """
    task = config.task or ", ".join(config.tasks)
    learner = config.learning.learner if config.learning.enabled else "frozen"
    begun = {"status": "started", "began": True, "task": task, "learner": learner, "seed": config.seed}
    _append(config.output.logs, folder, begun)


def finish_run(folder: Path, logs: str | Path, reason: str, began: bool = True) -> None:
    """Add a line to the index: the run ended, with its status and the headline numbers of its metrics.json, if any.

    reason: completed, stopped, or an error's message, of which the index keeps `failed`. began: whether an episode was
    played or measured before the run ended.

    Raises:
        DiskError: the index cannot be written.
    """
    _append(logs, folder, {"status": status_word(reason), "began": began, **_headline(read_metrics(folder))})


def status_word(reason: str) -> str:
    """Return the status of a run that ended for `reason`: that word itself, or `failed` for an error's message."""
    return reason if re.fullmatch(r"\w+", reason) else FAILED


def _append(logs: str | Path, folder: Path, record: Mapping[str, Any]) -> None:
    root = make_folder(logs).resolve()
    place = folder.resolve()
    where = place.relative_to(root) if place.is_relative_to(root) else place
    writer = LineWriter(root / INDEX)
    try:
        writer.write({"t": time.time(), "run": place.name, "path": where.as_posix(), **record})
    finally:
        writer.close()


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the success of the phases and the counts of updates and rollbacks, None where metrics.json lacks them."""
    updates, rollbacks = metrics.get("updates"), metrics.get("rollbacks")
    return {
        **{phase: _success(metrics.get(phase)) for phase in PHASES},
        "updates": updates.get("accepted") if isinstance(updates, Mapping) else None,
        "rollbacks": len(rollbacks) if isinstance(rollbacks, list) else None,
    }


def _success(phase: Any) -> float | None:
    return as_float(phase.get("success")) if isinstance(phase, Mapping) else None


def read_index(logs: str | Path) -> list[RunRecord]:
    """Return the runs of a log folder, oldest first; runs whose folder was deleted are left out."""
    root = Path(logs)
    merged: dict[str, dict[str, Any]] = {}
    for line in read_lines(root / INDEX)[0]:
        path = str(line.get("path", ""))
        began = merged.get(path, line).get("t")
        merged[path] = {**merged.get(path, {}), **line, "t": began}
    known = set(RunRecord.__dataclass_fields__) - {"name", "path", "started", "status"}
    records = [
        RunRecord(
            name=str(entry.get("run", path)),
            path=root / path,
            started=float(entry.get("t") or 0.0),
            status=status_word(str(entry.get("status", "started"))),
            **{key: value for key, value in entry.items() if key in known},
        )
        for path, entry in merged.items()
        if (root / path / CONFIG).is_file()
    ]
    return sorted(records, key=lambda record: record.started)


def resolve_run(run: str, logs: str | Path) -> Path:
    """Return the folder of a run given as ``latest``, a name (or its unambiguous part), or a path.

    ``latest`` is the newest run that began (`RunRecord.began`), or the newest where none did.

    Raises:
        BadInput: no run fits (nearest named), or several do (they are named).
    """
    folder = Path(run).expanduser()
    if (folder / CONFIG).is_file():
        return folder
    records = read_index(logs)
    if not records:
        raise BadInput(f"no run {run!r}: there are no runs in {logs}/. Begin one with `showonce run`.")
    if run == LATEST:
        return next((record for record in reversed(records) if record.began), records[-1]).path
    exact = [record for record in records if record.name == run]
    found = exact or [record for record in records if run in record.name]
    if len(found) > 1:
        raise BadInput(f"{run!r} could be any of {', '.join(record.name for record in found)}. Name one of them.")
    if not found:
        raise BadInput(
            f"no run {run!r} in {logs}/.{nearest(run, [LATEST, *(record.name for record in records[-10:])])}"
        )
    return found[0].path
