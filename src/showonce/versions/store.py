"""The adapter store: everything that outlives a run, in one folder with one writer.

    adapters/NAME/
      store.json     what it holds: kind and the fingerprint of the backbone that it belongs to
      state.json     the ledger: probes, budgets, pins, quarantine, history, sections (see `ledger`)
      current        the champion's version
      versions/      immutable checkpoints (see `checkpoints`)
      lock.json      the owner, while there is one

A checkpoint holds the learned tensors, the optimiser, the EMA, the calibration map and the learner's counters; moving
back brings all of them back. What was *spent* (updates of a run, of a task) is in the ledger and is never refunded.
Nothing here knows torch or what the tensors mean: `kind` names what is held, an adapter or something else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from showonce.errors import CheckpointCorrupt, StoreError, nearest
from showonce.fsio import atomic_write_json, make_folder
from showonce.versions import checkpoints, packing
from showonce.versions.ledger import ENOUGH, SCHEMA, SOME, Best, Counts, Ledger, read_json
from showonce.versions.lock import Owner, StoreLock

STORE, STATE, VERSIONS = "store.json", "state.json", "versions"
TENSORS, EXTRAS, RECORD = "adapter.safetensors", "extras.safetensors", "checkpoint.json"
EMPTY: Final = "nothing was learned yet"


@dataclass(frozen=True)
class Identity:
    """What a store holds: `kind` (adapter/tokens, adapter/lora, ...) for which backbone (`fingerprint`)."""

    kind: str
    fingerprint: str


@dataclass(frozen=True)
class Checkpoint:
    """One loaded version: tensors by name, and what came with them."""

    version: str
    tensors: dict[str, Any]
    optimiser: Any = None
    ema: dict[str, Any] | None = None
    calibration: Any = None
    counters: dict[str, Any] = field(default_factory=dict)
    probes: Counts = field(default_factory=dict)


@dataclass(frozen=True)
class VersionInfo:
    """One line of a listing. created: unix seconds. quarantined: the reason, or None."""

    version: str
    created: float
    probes: Counts
    champion: bool
    pinned: bool
    quarantined: str | None


@dataclass(frozen=True)
class ChampionMove:
    """The champion was changed from `old` to `new`; `reason`: why.

    quarantined: versions put aside. readmitted: whether `new` was put aside before.
    """

    old: str
    new: str
    reason: str
    quarantined: tuple[str, ...] = ()
    readmitted: bool = False


class AdapterStore:
    """One store, open. Use it as a context manager, or call `close`.

    identity: given by whoever has the model: creates a missing store, and an existing one must match it.
    readonly: take no lock and change nothing (listing, reports).

    Attributes:
        ledger: evidence, budgets, sections and history.
        leftovers: names of half-written files that were removed on opening.

    Raises:
        StoreLocked: another live process has it open for writing.
        StoreError: no such store (the nearest is named), another backbone, another kind, or a newer schema.
    """

    def __init__(
        self, root: str | Path, name: str, identity: Identity | None = None, *, readonly: bool = False
    ) -> None:
        if not name or Path(name).name != name or name.startswith("."):
            raise StoreError(f"{name!r} cannot be the name of an adapter store; use letters, digits, - and _.")
        self.name, self.path, self.readonly = name, Path(root) / name, readonly
        self._versions = self.path / VERSIONS
        self._lock = StoreLock(self.path)
        self.leftovers: list[str] = []
        creates = identity is not None and not readonly
        if not (self.path / STORE).is_file() and not creates:
            known = [f.parent.name for f in Path(root).glob(f"*/{STORE}")]
            raise StoreError(f"there is no adapter store {name!r} in {root}.{nearest(name, known)}")
        if not readonly:
            self._lock.acquire()
        try:
            if not readonly:
                self.leftovers = checkpoints.remove_leftovers(self.path, self._versions)
            if identity is not None and not (self.path / STORE).is_file():
                make_folder(self._versions)
                atomic_write_json(self.path / STORE, {"schema": SCHEMA, "created": time.time(), **asdict(identity)})
            self.identity = self._check_identity(identity)
            self.ledger = Ledger(self.path / STATE, readonly)
            if not readonly:
                self._finish_what_was_begun()
        except BaseException:
            self._lock.release()
            raise

    def _finish_what_was_begun(self) -> None:
        """End a move, and enter a version, that a kill cut short between the files."""
        self._finish_move()
        for version in self.versions():
            if checkpoints.version_number(version) > self.ledger.last_number:
                record = json.loads((self.folder(version) / RECORD).read_bytes())
                self.ledger.saved(version, record["sources"], record["probes"])
        if self.champion is None and self.versions():
            self.promote(self.versions()[0], "the first version")

    def _check_identity(self, wanted: Identity | None) -> Identity:
        data = read_json(self.path / STORE, SCHEMA)
        found = Identity(str(data.get("kind")), str(data.get("fingerprint")))
        if wanted is None or wanted == found:
            return found
        what, theirs, ours = "backbone", found.fingerprint, wanted.fingerprint
        if found.kind != wanted.kind:
            what, theirs, ours = "kind", found.kind, wanted.kind
        raise StoreError(
            f"adapter store {self.name!r} is of another {what} ({theirs}) than the model in use ({ours}). "
            f"Load the model that it was made for, or choose another adapter name."
        )

    @property
    def taken_over_from(self) -> Owner | None:
        """The dead owner whose lock was taken over on opening, else None."""
        return self._lock.taken_over_from

    def check_free(self) -> None:
        """Raise StoreLocked when another live process has the store open for writing."""
        self._lock.check()

    def close(self) -> None:
        """Give the lock back; twice is fine."""
        self._lock.release()

    def __enter__(self) -> AdapterStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ---- looking

    @property
    def champion(self) -> str | None:
        """The version that acts, or None before the first one."""
        return checkpoints.read_pointer(self.path)

    def versions(self) -> list[str]:
        """Return the complete versions, oldest first."""
        return checkpoints.complete_versions(self._versions)

    def list_versions(self) -> list[VersionInfo]:
        """Return one line per version, oldest first."""
        champion, quarantine, pinned = self.champion, self.ledger.quarantine, self.ledger.pinned
        return [
            VersionInfo(
                version,
                (self._versions / version / checkpoints.MARKER).stat().st_mtime,
                self.ledger.probes(version),
                version == champion,
                version in pinned,
                quarantine.get(version),
            )
            for version in self.versions()
        ]

    def folder(self, version: str) -> Path:
        """Return the folder of a version."""
        return self._versions / version

    def verify(self, version: str) -> dict[str, Path]:
        """Compare a version with its hashes and return its files.

        Raises:
            StoreError: unknown version (nearest named).
            CheckpointCorrupt: it does not match; the text names the file and what happens next.
        """
        known = self.versions()
        if version not in known and not self.folder(version).is_dir():
            raise StoreError(f"adapter store {self.name!r} has no version {version!r}.{nearest(version, known)}")
        others = ", ".join(self.candidates(exclude=(version,))[:5])
        back = f"The others stay as they are: {others}. Move back to one by {self._command('--to', others[:5])}."
        back = back if others else "There is no other one: learn it again with another adapter name."
        return checkpoints.verify_checkpoint(self.folder(version), back)

    def _command(self, option: str, version: str) -> str:
        """Return what a person types to change this store by hand."""
        place = "" if self.path.parent == Path("adapters") else f" output.adapters={self.path.parent}"
        return f"`showonce rollback {self.name} {option} {version}{place}`"

    def load(self, version: str | None = None) -> Checkpoint:
        """Read a version (default: the champion), after its hashes were compared.

        Raises:
            StoreError: unknown version, an empty store, or a checkpoint of another backbone or kind.
            CheckpointCorrupt: see `verify`.
        """
        version = version or self._acting()
        files = self.verify(version)
        record = json.loads(files[RECORD].read_bytes())
        if Identity(record["kind"], record["fingerprint"]) != self.identity:
            raise StoreError(f"checkpoint {version} of {self.name!r} belongs to another backbone or kind of adapter.")
        extras = packing.read_tensors(files[EXTRAS]) if EXTRAS in files else {}
        return Checkpoint(
            version,
            packing.read_tensors(files[TENSORS]),
            probes=self.ledger.probes(version),
            **packing.unpack(record["extras"], extras),
        )

    def _acting(self) -> str:
        champion = self.champion
        if champion is None:
            raise StoreError(f"adapter store {self.name!r} is empty: {EMPTY}.")
        return champion

    def best(self, task: str | None = None, minimum: int = ENOUGH, exclude: Iterable[str] = ()) -> Best | None:
        """Return the version with the highest lower 90 % bound of verified success (see `Ledger.best`)."""
        skip = {*exclude}
        return self.ledger.best([v for v in self.versions() if v not in skip], task, minimum)

    def candidates(self, task: str | None = None, exclude: Iterable[str] = (), enough: int = ENOUGH) -> list[str]:
        """Return the versions that one may move back to, the most trusted first.

        First by evidence (at least `enough` probes, then at least 5), then the first version of all, then the newest.
        """
        skip = {*exclude, *self.ledger.quarantine}
        order: list[str] = []
        for minimum in (enough, SOME):
            while (best := self.best(task, minimum, {*skip, *order})) is not None:
                order.append(best.version)
        rest = [v for v in self.versions() if v not in skip and v not in order]
        return [*order, *rest[:1], *reversed(rest[1:])]

    # ---- changing

    def save(
        self,
        tensors: Mapping[str, Any],
        *,
        optimiser: Any = None,
        ema: Mapping[str, Any] | None = None,
        calibration: Any = None,
        counters: Mapping[str, Any] | None = None,
        probes: Mapping[str, tuple[int, int]] | None = None,
        sources: Iterable[str] = (),
    ) -> str:
        """Write a new version and return its name. The first one becomes the champion; later ones need `promote`.

        tensors, ema: torch tensors or numpy arrays by name. optimiser, calibration, counters: plain data, the
        optimiser's with tensors in it (a torch `state_dict()`). probes: evidence that these very tensors have already
        (task id -> successes, n). sources: refs of demonstrations and episodes that were used since the last version.

        Raises:
            DiskError: it cannot be written; the store is as before.
            StoreError: opened for reading only, or a value that cannot be stored.
        """
        self._check_writable()
        version = checkpoints.version_name(self.ledger.last_number + 1)
        skeleton, extras = packing.pack(
            {
                "optimiser": optimiser,
                "ema": None if ema is None else dict(ema),
                "calibration": calibration,
                "counters": dict(counters or {}),
            }
        )
        evidence = {task: list(counts) for task, counts in (probes or {}).items()}
        record = {
            **asdict(self.identity), "sources": sorted(set(sources)), "probes": evidence, "extras": skeleton,
        }  # fmt: skip
        files: dict[str, checkpoints.Content] = {
            TENSORS: lambda path: packing.write_tensors(path, tensors),
            RECORD: json.dumps(record, allow_nan=False).encode(),
        }
        if extras:
            files[EXTRAS] = lambda path: packing.write_tensors(path, extras)
        checkpoints.write_checkpoint(self._versions, version, files)
        self.ledger.saved(version, record["sources"], evidence)
        if self.champion is None:
            self.promote(version, "the first version")
        return version

    def promote(self, version: str, reason: str = "promoted") -> ChampionMove:
        """Let another version act from now on.

        Raises:
            StoreError: unknown or quarantined version.
            CheckpointCorrupt: it is not whole; the champion stays.
        """
        self._check_writable()
        self.verify(version)
        aside = self.ledger.quarantine.get(version)
        if aside is not None:
            command = self._command("--readmit", version)
            raise StoreError(f"{version} is quarantined ({aside}); re-admit it first by {command}.")
        move = ChampionMove(self.champion or version, version, reason)
        self._move("promoted", move)
        return move

    def rollback_to(self, version: str, reason: str, sources: Iterable[str] = ()) -> ChampionMove:
        """Move the champion back. Reads and writes files only; no model is loaded.

        Every version made after `version` is quarantined, and so are the demonstrations and episodes that were first
        used after it (and further `sources`, used since the last save), until a person re-admits them. A `version`
        that was put aside is re-admitted with its sources.

        Raises:
            StoreError: unknown version.
            CheckpointCorrupt: it is not whole; the champion stays.
        """
        self._check_writable()
        self.verify(version)
        number, aside = checkpoints.version_number(version), self.ledger.quarantine
        later = [v for v in self.versions() if checkpoints.version_number(v) > number and v not in aside]
        if version in aside:
            self.ledger.readmit([version])
        self.ledger.put_aside(later, f"newer than {version}, to which the adapter was moved back: {reason}", sources)
        move = ChampionMove(self._acting(), version, reason, tuple(later), version in aside)
        self._move("rolled_back", move)
        return move

    def recover(self) -> ChampionMove | None:
        """Move to the most trusted whole version if the champion is not whole; None when it is.

        Raises:
            StoreError: the store is empty.
            CheckpointCorrupt: no version is whole.
        """
        champion = self._acting()
        try:
            self.verify(champion)
            return None
        except CheckpointCorrupt as error:
            corrupt = error
        for version in self.candidates(exclude=(champion,)):
            try:
                self.verify(version)
            except CheckpointCorrupt:
                continue
            self.ledger.put_aside([champion], str(corrupt))
            move = ChampionMove(champion, version, str(corrupt), (champion,))
            self._move("recovered", move)
            return move
        raise corrupt

    def _move(self, event: str, move: ChampionMove) -> None:
        """Write what is about to happen, let it happen, write that it has: a kill in between is finished on opening."""
        self.ledger.moving_to = move.new
        self.ledger.note(event, **asdict(move))
        self._finish_move()

    def _finish_move(self) -> None:
        if self.ledger.moving_to is not None:
            checkpoints.write_pointer(self.path, self.ledger.moving_to)
            self.ledger.moving_to = None
            self.ledger.write()

    def prune(self, keep_last: int) -> list[str]:
        """Remove old versions and return their names; champion, first, best (of any task), pinned and last k stay."""
        self._check_writable()
        known, aside = self.versions(), self.ledger.quarantine
        admitted = [v for v in known if v not in aside]
        keep = {self.champion, *known[:1], *self.ledger.pinned, *admitted[max(len(admitted) - keep_last, 0) :]}
        keep |= {best.version for task in (None, *self.ledger.tasks()) if (best := self.best(task)) is not None}
        removed = [v for v in known if v not in keep]
        for version in removed:
            checkpoints.remove_checkpoint(self._versions, version)
        if removed:
            self.ledger.forget(removed)
        return removed

    def pin(self, version: str, pinned: bool = True) -> None:
        """Keep a version whatever `prune` would do, or no longer."""
        self.verify(version)
        self.ledger.pin(version, pinned)

    def quarantine(self, versions: Iterable[str], reason: str, sources: Iterable[str] = (), blame: bool = True) -> None:
        """Put versions aside, with what was first used for them (`blame`), and further `sources`.

        Raises:
            StoreError: one of them is the champion.
        """
        versions = list(versions)
        if self.champion in versions:
            raise StoreError(f"{self.champion} acts now; move to another version before it is quarantined.")
        self.ledger.put_aside(versions, reason, sources, blame)
        self.ledger.note("quarantined", versions=versions, reason=reason)

    def readmit(self, names: Iterable[str]) -> None:
        """A person's word that versions (with their sources) or single sources may be used again.

        Raises:
            StoreError: one of them is not put aside (nearest named); nothing was changed.
        """
        self._check_writable()
        names = list(names)
        aside = {**self.ledger.quarantine, **self.ledger.quarantined_sources}
        for name in names:
            if name not in aside:
                known = nearest(name, aside) or " Nothing is."
                raise StoreError(f"adapter store {self.name!r} has not put {name!r} aside.{known}")
        self.ledger.readmit(names)

    def _check_writable(self) -> None:
        if self.readonly:
            raise StoreError(f"adapter store {self.name!r} was opened for reading only.")
