"""logs/index.jsonl: which runs there are, how each ended, and finding one by its name."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from showonce.config import Config
from showonce.errors import BadInput, nearest
from showonce.events import as_float
from showonce.fsio import LineWriter, make_folder, read_lines
from showonce.runs.layout import CONFIG, INDEX
from showonce.runs.metrics import PHASES, TaskResult, read_metrics

LATEST: Final = "latest"
COMPLETED: Final = "completed"  # the status of a run that came to its end
FAILED: Final = "failed"  # the status of a run that an error ended
KINDS: Final = ("run", "record", "replay", "eval", "do")


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
    kind: str = "run"  # the verb: run, record, replay, eval, do or compare
    attempts: int | None = None  # at its tasks, measured phases left out
    success: int | None = None  # how many of them `checker` verified
    checker: str = ""
    ended: str = ""  # why the last attempt that did not succeed ended, "" where all did
    before: float | None = None
    teacher: float | None = None
    after: float | None = None
    updates: int | None = None
    rollbacks: int | None = None


def note_start(folder: Path, config: Config, kind: str = "run") -> None:
    """Add a line to the index: the run in `folder` has started, or goes on. kind: the verb.

    Raises:
        DiskError: the index cannot be written.
    """
    task = config.task or ", ".join(config.tasks)
    learner = config.learning.learner if config.learning.enabled else "frozen"
    if kind == "compare":
        task, learner = ", ".join(config.compare.tasks), ", ".join(config.compare.learners)
    begun = {"kind": kind, "status": "started", "began": True, "task": task, "learner": learner, "seed": config.seed}
    _append(config.output.logs, folder, begun)


def finish_run(
    folder: Path, logs: str | Path, reason: str, began: bool = True, results: Sequence[TaskResult] = ()
) -> None:
    """Add a line to the index: the run ended, with its status and the headline numbers of its metrics.json, if any.

    reason: completed, stopped, or an error's message, of which the index keeps `failed`. began: whether an episode was
    played or measured before the run ended. results: what came of its tasks.

    Raises:
        DiskError: the index cannot be written.
    """
    ended = {"status": status_word(reason), "began": began, **_verified(results), **_headline(read_metrics(folder))}
    _append(logs, folder, ended)


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


def _verified(results: Sequence[TaskResult]) -> dict[str, Any]:
    """Return how many attempts were verified and by whom; empty where there was none."""
    if not results:
        return {}
    return {
        "task": ", ".join(one.task for one in results),
        "attempts": sum(one.attempts for one in results),
        "success": sum(one.success for one in results),
        "checker": ", ".join(dict.fromkeys(one.checker for one in results if one.checker)),
        "ended": next((one.stop_reason for one in reversed(results) if one.stop_reason), ""),
    }


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
            **{**_kind(str(entry.get("run", path))), **{key: value for key, value in entry.items() if key in known}},
        )
        for path, entry in merged.items()
        if (root / path / CONFIG).is_file()
    ]
    return sorted(records, key=lambda record: record.started)


def _kind(name: str) -> dict[str, str]:
    """Return the kind of a run of an index that has none, by the name that the verb gives when none is set."""
    kind = name.rpartition("-")[2]
    return {"kind": kind if kind in KINDS else "run"}


def resolve_run(run: str, logs: str | Path, kinds: Sequence[str] = KINDS) -> Path:
    """Return the folder of a run given as ``latest``, a name (or its unambiguous part), or a path.

    ``latest`` is the newest run of one of `kinds` that began (`RunRecord.began`), or the newest where none did.

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
        fit = [record for record in records if record.kind in kinds]
        if not fit:
            raise BadInput(f"no run {run!r}: in {logs}/ there are only {_listed(records)}. Name one, or run one.")
        return next((record for record in reversed(fit) if record.began), fit[-1]).path
    exact = [record for record in records if record.name == run]
    found = exact or [record for record in records if run in record.name]
    if len(found) > 1:
        raise BadInput(f"{run!r} could be any of {', '.join(record.name for record in found)}. Name one of them.")
    if not found:
        raise BadInput(
            f"no run {run!r} in {logs}/.{nearest(run, [LATEST, *(record.name for record in records[-10:])])}"
        )
    return found[0].path


def _listed(records: Sequence[RunRecord]) -> str:
    kinds = {"run": "runs", "record": "recordings", "replay": "replays", "eval": "evaluations", "do": "chores"}
    return " and ".join(kinds.get(kind, kind) for kind in dict.fromkeys(record.kind for record in records))
