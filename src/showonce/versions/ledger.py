"""What a store has seen and spent, in one JSON file that is replaced at every change.

Probes per version and task, updates booked on runs and tasks, what every version was trained on, pins, quarantine,
a history, and sections in which other parts keep plain data. No checkpoint is touched here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from showonce.errors import StoreError
from showonce.fsio import atomic_write_json, explained
from showonce.stats import lower_bound
from showonce.versions.checkpoints import version_number

SCHEMA: Final = 1
HISTORY: Final = 500  # entries kept
LEVEL: Final = 0.90  # of the one-sided lower bound by which versions are compared
ENOUGH: Final = 20  # probes of a version on a task before it can be called best
SOME: Final = 5  # probes before its bound says anything at all

Counts = dict[str, tuple[int, int]]  # task id -> (successes, probes)


@dataclass(frozen=True)
class Best:
    """The version that evidence speaks for. lower: one-sided 90 % bound of its success on `task`."""

    version: str
    task: str
    successes: int
    n: int
    lower: float


class Ledger:
    """The file, open. readonly: every change is refused.

    Raises:
        StoreError: the file is damaged or of a newer schema.
    """

    def __init__(self, path: Path, readonly: bool = False) -> None:
        self.path, self.readonly = path, readonly
        self._data: dict[str, Any] = {
            "schema": SCHEMA, "last_number": -1, "moving_to": None, "probes": {}, "sources": {}, "pinned": [],
            "quarantine": {}, "quarantined_sources": {}, "updates": {"runs": {}, "tasks": {}}, "history": [],
            "sections": {},
        }  # fmt: skip
        if path.is_file():
            self._data |= read_json(path, SCHEMA)

    def write(self) -> None:
        """Put every change on the disk.

        Raises:
            StoreError: opened for reading only.
            DiskError: it cannot be written; the file is as before.
        """
        if self.readonly:
            raise StoreError(f"{self.path.parent} was opened for reading only.")
        atomic_write_json(self.path, self._data)

    def note(self, event: str, **data: Any) -> None:
        """Add to the history and write."""
        self._data["history"] = [*self._data["history"], {"t": time.time(), "event": event, **data}][-HISTORY:]
        self.write()

    @property
    def history(self) -> list[dict[str, Any]]:
        """What happened, oldest first: t (unix seconds), event and its data."""
        return list(self._data["history"])

    # ---- versions

    @property
    def last_number(self) -> int:
        """The highest number ever given to a version; -1 before the first."""
        return int(self._data["last_number"])

    def saved(self, version: str, sources: list[str], probes: Mapping[str, list[int]]) -> None:
        """Enter a new version: what it was trained on since the last one, and evidence that it already has."""
        self._data["last_number"] = version_number(version)
        self._data["sources"][version] = sources
        if probes:
            self._data["probes"][version] = dict(probes)
        self.note("saved", version=version)

    def forget(self, versions: Iterable[str]) -> None:
        """Strike versions out whose checkpoints were removed. What admitted ones were trained on stays trusted."""
        versions = list(versions)
        for version in versions:
            if self._data["quarantine"].pop(version, None) is not None:
                self._data["sources"].pop(version, None)
            self._data["probes"].pop(version, None)
        self.note("pruned", versions=versions)

    @property
    def moving_to(self) -> str | None:
        """The version to which a move has begun and not ended (the process was killed in between)."""
        target: str | None = self._data["moving_to"]
        return target

    @moving_to.setter
    def moving_to(self, version: str | None) -> None:
        self._data["moving_to"] = version

    @property
    def pinned(self) -> tuple[str, ...]:
        return tuple(self._data["pinned"])

    def pin(self, version: str, pinned: bool) -> None:
        self._data["pinned"] = sorted({*self.pinned} - {version} | ({version} if pinned else set()))
        self.write()

    # ---- quarantine

    @property
    def quarantine(self) -> dict[str, str]:
        """Versions that are put aside, with the reason."""
        return dict(self._data["quarantine"])

    @property
    def quarantined_sources(self) -> dict[str, str]:
        """Refs of demonstrations and episodes that must not be learned from, with the reason."""
        return dict(self._data["quarantined_sources"])

    def put_aside(self, versions: Iterable[str], reason: str, sources: Iterable[str] = (), blame: bool = True) -> None:
        """Quarantine versions, what was first used for them, and further sources. What an admitted version was
        trained on too stays usable. Not written: part of a larger change.

        blame: False where the versions are bad for another reason than what they were made from.
        """
        versions = list(versions)
        table: dict[str, str] = self._data["quarantine"]
        table.update((version, reason) for version in versions)
        trusted = {ref for version, refs in self._data["sources"].items() if version not in table for ref in refs}
        made_from = {ref for version in versions for ref in self._data["sources"].get(version, ())} if blame else set()
        used = made_from | set(sources)
        self._data["quarantined_sources"].update((ref, reason) for ref in sorted(used - trusted))

    def readmit(self, names: Iterable[str]) -> None:
        """Take versions (with their sources) or single sources out of quarantine."""
        names = list(names)
        for name in names:
            self._data["quarantine"].pop(name, None)
            for ref in (name, *self._data["sources"].get(name, ())):
                self._data["quarantined_sources"].pop(ref, None)
        self.note("readmitted", names=names)

    # ---- evidence

    def probes(self, version: str) -> Counts:
        """Return task id -> (verified successes, probes) of a version."""
        return {task: (s, n) for task, (s, n) in self._data["probes"].get(version, {}).items()}

    def record_probe(self, version: str, task: str, success: bool, write: bool = True) -> tuple[int, int]:
        """Count one verified probe of a version and return its (successes, probes) on this task.

        write: False when the caller writes right after it.
        """
        counts = self._data["probes"].setdefault(version, {}).setdefault(task, [0, 0])
        counts[0] += success
        counts[1] += 1
        if write:
            self.write()
        return counts[0], counts[1]

    def tasks(self) -> list[str]:
        """Return the tasks that were ever probed."""
        return sorted({task for counts in self._data["probes"].values() for task in counts})

    def best(self, versions: Iterable[str], task: str | None = None, minimum: int = ENOUGH) -> Best | None:
        """Return the version with the highest lower 90 % bound of verified success, or None without enough probes.

        task: only versions with at least `minimum` probes of it count; None = of any task. A version's bound is the
        mean over all tasks ever probed, a task with fewer probes counting 0, so that going back because of one task
        does not throw away what was proved on the others. Quarantined versions are left out. Ties: the latest.
        """
        tasks, ranked = self.tasks(), []
        for version in versions:
            counts = {t: c for t, c in self.probes(version).items() if c[1] >= minimum}
            if version in self._data["quarantine"] or not counts or (task is not None and task not in counts):
                continue
            score = sum(lower_bound(s, n, LEVEL) for s, n in counts.values()) / len(tasks)
            ranked.append((score, version_number(version), version, counts))
        if not ranked:
            return None
        _, _, version, counts = max(ranked, key=lambda r: r[:2])
        name = task if task is not None else max(counts, key=lambda t: counts[t][1])
        return Best(version, name, *counts[name], lower_bound(*counts[name], LEVEL))

    # ---- budget

    def count_update(self, run: str, task: str, n: int = 1) -> None:
        """Book n optimiser steps on a run and a task, on disk at once: no restart and no rollback refunds them."""
        for table, key in (("runs", run), ("tasks", task)):
            self._data["updates"][table][key] = self._data["updates"][table].get(key, 0) + n
        self.write()

    def updates_run(self, run: str) -> int:
        """Return how many updates were booked on a run."""
        return int(self._data["updates"]["runs"].get(run, 0))

    def updates_task(self, task: str) -> int:
        """Return how many updates were booked on a task, over all runs."""
        return int(self._data["updates"]["tasks"].get(task, 0))

    # ---- sections

    def read_section(self, name: str) -> dict[str, Any]:
        """Return what a part of the system (the ratchet, a learner) keeps here; empty if nothing."""
        return dict(self._data["sections"].get(name, {}))

    def write_section(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep plain data of a part of the system."""
        self._data["sections"][name] = dict(value)
        self.write()


def read_json(path: Path, schema: int) -> dict[str, Any]:
    """Read a JSON object of a known schema.

    Raises:
        StoreError: damaged, or written by a newer showonce.
        DiskError: it cannot be read.
    """
    with explained(path, "read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise StoreError(f"{path} is not a JSON object: it was changed by hand or damaged. Restore it from a copy.")
    if data.get("schema") != schema:
        raise StoreError(
            f"{path} has schema {data.get('schema')!r}, and this showonce reads {schema}. Update showonce, or choose "
            f"another adapter name."
        )
    return data
