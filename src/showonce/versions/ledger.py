"""The ledger of a store: what is known about its versions and what was spent, in one JSON file (state.json).

Per version: evidence (rows of checks; counts of verified probes by task), approvals, the sources that it was made from,
pin and quarantine. Beside them the updates spent by run and by task, a history, and sections in which other parts keep
plain data. The file is replaced as a whole at every change. No checkpoint is touched here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from showonce.errors import StoreError
from showonce.fsio import atomic_write_json, explained
from showonce.stats import lower_bound
from showonce.versions.checkpoints import version_number

SCHEMA: Final = 1
HISTORY: Final = 500  # entries kept
LEVEL: Final = 0.90  # confidence level of the one-sided lower bound by which versions are compared
ENOUGH: Final = 20  # least number of probes on a task for a version to be called the best
SOME: Final = 5  # least number of probes on a task for a version's lower bound to be compared at all

Counts = dict[str, tuple[int, int]]  # task id -> (successes, probes)
Verdict = Literal["approved", "declined"]


@dataclass(frozen=True)
class Evidence:
    """One row: the result of one check on one version. t: unix seconds. detail: what was found, for a person."""

    check: str
    passed: bool
    detail: str = ""
    t: float = 0.0


@dataclass(frozen=True)
class Approval:
    """What a person decided about one version. t: unix seconds."""

    who: str
    verdict: Verdict
    reason: str = ""
    t: float = 0.0


@dataclass(frozen=True)
class Best:
    """The version with the best evidence. lower: one-sided 90 % lower bound of its success rate on `task`."""

    version: str
    task: str
    successes: int
    n: int
    lower: float


class Ledger:
    """The ledger of one store, read from `path`. readonly: `write` is refused.

    Raises:
        StoreError: the file is damaged or of a newer schema.
    """

    def __init__(self, path: Path, readonly: bool = False) -> None:
        self.path, self.readonly = path, readonly
        self._data: dict[str, Any] = {
            "schema": SCHEMA, "last_number": -1, "moving_to": None, "probes": {}, "sources": {}, "pinned": [],
            "quarantine": {}, "quarantined_sources": {}, "evidence": {}, "approvals": {},
            "updates": {"runs": {}, "tasks": {}}, "history": [],
            "sections": {},
        }  # fmt: skip
        if path.is_file():
            self._data |= read_json(path, SCHEMA)

    def write(self) -> None:
        """Write all changes to the file.

        Raises:
            StoreError: opened for reading only.
            DiskError: it cannot be written; the file is as before.
        """
        if self.readonly:
            raise StoreError(f"{self.path.parent} was opened for reading only.", key="store.readonly")
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
        """Enter a new version. sources: refs of what was used for it since the version before. probes: see `probes`."""
        self._data["last_number"] = version_number(version)
        self._data["sources"][version] = sources
        if probes:
            self._data["probes"][version] = dict(probes)
        self.note("saved", version=version)

    def forget(self, versions: Iterable[str]) -> None:
        """Remove versions whose checkpoints were pruned. The sources of those not quarantined stay trusted."""
        versions = list(versions)
        for version in versions:
            if self._data["quarantine"].pop(version, None) is not None:
                self._data["sources"].pop(version, None)
            for table in ("probes", "evidence", "approvals"):
                self._data[table].pop(version, None)
        self.note("pruned", versions=versions)

    @property
    def moving_to(self) -> str | None:
        """The new champion of a move that was begun and not finished, else None (see `VersionStore`)."""
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
        """Quarantined versions -> the reason."""
        return dict(self._data["quarantine"])

    @property
    def quarantined_sources(self) -> dict[str, str]:
        """Refs of demonstrations and episodes that must not be learned from -> the reason."""
        return dict(self._data["quarantined_sources"])

    def put_aside(self, versions: Iterable[str], reason: str, sources: Iterable[str] = (), blame: bool = True) -> None:
        """Quarantine versions and sources; does not write the file.

        Quarantined are `sources` and, if `blame`, the sources of `versions`; of both, those stay usable that a version
        outside quarantine was made from as well. blame: False where the sources are not the reason (a damaged file).
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

    # ---- evidence and approval

    def add_evidence(self, version: str, check: str, passed: bool, detail: str = "") -> None:
        """Add one row of evidence."""
        self._add_row("evidence", version, Evidence(check, passed, detail, time.time()))

    def evidence(self, version: str) -> list[Evidence]:
        """Return the rows of a version, oldest first."""
        return [Evidence(**row) for row in self._data["evidence"].get(version, ())]

    def add_approval(self, version: str, who: str, verdict: Verdict, reason: str = "") -> None:
        """Add what a person decided."""
        self._add_row("approvals", version, Approval(who, verdict, reason, time.time()))

    def approvals(self, version: str) -> list[Approval]:
        """Return what persons decided about a version, oldest first; the last one counts."""
        return [Approval(**row) for row in self._data["approvals"].get(version, ())]

    def _add_row(self, table: str, version: str, row: Evidence | Approval) -> None:
        self._data[table].setdefault(version, []).append(asdict(row))
        self.write()

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
        """Return the ids of all tasks with probes, sorted."""
        return sorted({task for counts in self._data["probes"].values() for task in counts})

    def best(self, versions: Iterable[str], task: str | None = None, minimum: int = ENOUGH) -> Best | None:
        """Return the version with the highest lower 90 % bound of verified success, or None without enough probes.

        A version takes part when it is not quarantined and has `minimum` probes of `task` (None: of any task). Its
        bound is the mean over all tasks with probes, a task with fewer than `minimum` counting 0: a version that is
        proven on several tasks wins over one that is proven on `task` alone. Ties: the latest.
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
        """Count n updates on a run and on a task, and write the file: no restart and no rollback refunds them."""
        for table, key in (("runs", run), ("tasks", task)):
            self._data["updates"][table][key] = self._data["updates"][table].get(key, 0) + n
        self.write()

    def updates_run(self, run: str) -> int:
        """Return the number of updates counted on a run."""
        return int(self._data["updates"]["runs"].get(run, 0))

    def updates_task(self, task: str) -> int:
        """Return the number of updates counted on a task, over all runs."""
        return int(self._data["updates"]["tasks"].get(task, 0))

    # ---- sections

    def read_section(self, name: str) -> dict[str, Any]:
        """Return the plain data that a part of the system (the ratchet, say) keeps under `name`; empty at first."""
        return dict(self._data["sections"].get(name, {}))

    def write_section(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace the plain data under `name`."""
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
        text = f"{path} is not a JSON object: it was changed by hand or damaged. Restore it from a copy."
        raise StoreError(text, key="store.damaged")
    if data.get("schema") != schema:
        raise StoreError(
            f"{path} has schema {data.get('schema')!r}, and this showonce reads {schema}. Update showonce, or choose "
            f"another name.",
            key="store.schema",
        )
    return data
