"""A store of versions of one thing (an adapter, a skill, a plan ...): one folder, one writer, one version that acts.

    ROOT/NAME/
      store.json     identity: kind of the content, fingerprint of what it belongs to; what a version needs to act
      state.json     the ledger: evidence, approvals, spent updates, pins, quarantine, history (see `ledger`)
      current        the champion: the version that acts
      versions/      immutable checkpoints: payload files and checkpoint.json (see `checkpoints`)
      lock.json      the owner, while there is one (see `lock`)

A version is saved as a candidate. `promote` lets it act, if the checks and the approval that the store asks for are
there. `rollback_to` lets an older one act again and quarantines what came after it, with its sources. What was *spent*
(updates of a run, of a task) is in the ledger and is never refunded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from showonce.errors import CheckpointCorrupt, StoreError, nearest
from showonce.events import Event, Quarantined, Readmitted, RolledBack
from showonce.fsio import atomic_write_json, make_folder
from showonce.versions import checkpoints
from showonce.versions.ledger import ENOUGH, SCHEMA, SOME, Best, Counts, Ledger, Verdict, read_json
from showonce.versions.lock import Owner, StoreLock

STORE, STATE, VERSIONS, RECORD = "store.json", "state.json", "versions", "checkpoint.json"
FIRST: Final = "the first version"


@dataclass(frozen=True)
class Identity:
    """What a store holds. kind: of the content ("adapter/lora", "skill"). fingerprint: of what it belongs to (the
    backbone of an adapter), "" where it belongs to nothing.
    """

    kind: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Requirements:
    """What a version needs before it may act. checks: each must have passed in its latest row of evidence. person:
    whether a person must have approved it.
    """

    checks: tuple[str, ...] = ()
    person: bool = False


@dataclass(frozen=True)
class StoredVersion:
    """One version, its hashes compared. files: payload by name. details: what was saved beside the files."""

    version: str
    files: Mapping[str, Path]
    details: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
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

    quarantined: versions quarantined by it. readmitted: whether `new` was quarantined before.
    """

    old: str
    new: str
    reason: str
    quarantined: tuple[str, ...] = ()
    readmitted: bool = False

    def events(
        self, episode: str | None = None, statistic: float | None = None, sources: Iterable[str] = ()
    ) -> list[Event]:
        """Return the events of a move back, for a run: RolledBack, then Quarantined and Readmitted, if any.

        episode, statistic: of the probe that decided and its drop test. sources: quarantined refs to be listed too.
        """
        found: list[Event] = [
            RolledBack(episode=episode, old=self.old, new=self.new, statistic=statistic, reason=self.reason)
        ]
        if aside := (*self.quarantined, *sources):
            found.append(Quarantined(versions=aside, reason=self.reason))
        if self.readmitted:
            found.append(Readmitted(names=(self.new,), reason=self.reason))
        return found


class VersionStore:
    """One store, open. Use it as a context manager, or call `close`.

    identity: creates a missing store; an existing one must match it. requirements: of a store that is created; one that
    exists keeps its own. readonly: take no lock and change nothing (listing, reports).

    Attributes:
        ledger: evidence, approvals, spent updates, sections and history.
        leftovers: names of half-written files that were removed on opening.

    Raises:
        StoreLocked: another live process has it open for writing.
        StoreError: no such store (the nearest is named), another identity, or a newer schema.
    """

    noun: ClassVar[str] = "store"  # in errors
    base: ClassVar[str] = "base"  # in errors: what `Identity.fingerprint` is of

    def __init__(
        self,
        root: str | Path,
        name: str,
        identity: Identity | None = None,
        *,
        requirements: Requirements | None = None,
        readonly: bool = False,
    ) -> None:
        if not name or Path(name).name != name or name.startswith("."):
            raise StoreError(f"{name!r} cannot be the name of a store; use letters, digits, - and _.", key="store.name")
        self.name, self.path, self.readonly = name, Path(root) / name, readonly
        self._versions = self.path / VERSIONS
        self._lock = StoreLock(self.path)
        self.leftovers: list[str] = []
        creates = identity is not None and not readonly
        if not (self.path / STORE).is_file() and not creates:
            known = [f.parent.name for f in Path(root).glob(f"*/{STORE}")]
            raise StoreError(f"there is no {self.noun} {name!r} in {root}.{nearest(name, known)}", key="store.missing")
        if not readonly:
            self._lock.acquire()
        try:
            if not readonly:
                self.leftovers = checkpoints.remove_leftovers(self.path, self._versions)
            if identity is not None and not (self.path / STORE).is_file():
                self._create(identity, requirements)
            data = read_json(self.path / STORE, SCHEMA)
            self.identity = self._check_identity(data, identity)
            needs = data.get("requirements") or {}
            self.requirements = Requirements(tuple(needs.get("checks", ())), bool(needs.get("person", False)))
            self.ledger = Ledger(self.path / STATE, readonly)
            if not readonly:
                self._finish_what_was_begun()
        except BaseException:
            self._lock.release()
            raise

    def _create(self, identity: Identity, requirements: Requirements | None) -> None:
        make_folder(self._versions)
        needs = {} if requirements is None else {"requirements": asdict(requirements)}
        atomic_write_json(self.path / STORE, {"schema": SCHEMA, "created": time.time(), **asdict(identity), **needs})

    def _finish_what_was_begun(self) -> None:
        """Finish a move, and enter a saved version in the ledger, that a kill interrupted between two files."""
        self._finish_move()
        for version in self.versions():
            if checkpoints.version_number(version) > self.ledger.last_number:
                record = json.loads((self.folder(version) / RECORD).read_bytes())
                self.ledger.saved(version, record["sources"], record["probes"])
        if self.champion is None and self.versions():
            self._promote_first(self.versions()[0])

    def _check_identity(self, data: Mapping[str, Any], wanted: Identity | None) -> Identity:
        found = Identity(str(data.get("kind")), str(data.get("fingerprint")))
        if wanted is None or wanted == found:
            return found
        what, theirs, ours = self.base, found.fingerprint, wanted.fingerprint
        if found.kind != wanted.kind:
            what, theirs, ours = "kind", found.kind, wanted.kind
        raise StoreError(
            f"{self._title} is of another {what} ({theirs}) than the one in use ({ours}). "
            f"Load the one that it was made for, or choose another name.",
            key="store.identity",
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
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
            raise StoreError(f"{self._title} has no version {version!r}.{nearest(version, known)}", key="store.version")
        others = self.candidates(exclude=(version,))[:5]
        back = "There is no other one: start again with another name."
        if others:
            by = f" by {self.command('--to', others[0])}" if self.command("--to", others[0]) else ""
            back = f"The others stay as they are: {', '.join(others)}. Move back to one{by}."
        return checkpoints.verify_checkpoint(self.folder(version), back)

    def command(self, option: str, version: str) -> str:
        """Return the command line by which a person applies `option` to a version; "" where there is none."""
        return ""

    def load_files(self, version: str | None = None) -> StoredVersion:
        """Return a version (default: the champion), after its hashes were compared.

        Raises:
            StoreError: unknown version, an empty store, or a version of another identity than the store.
            CheckpointCorrupt: see `verify`.
        """
        version = version or self._acting()
        files = self.verify(version)
        details = json.loads(files.pop(RECORD).read_bytes())
        if Identity(details.pop("kind"), details.pop("fingerprint")) != self.identity:
            raise StoreError(f"{version} of {self._title} is of another {self.base} or kind.", key="store.identity")
        sources = tuple(details.pop("sources"))
        details.pop("probes")  # at the time of saving; the ledger has those of now
        return StoredVersion(version, files, details, sources, self.ledger.probes(version))

    def _acting(self) -> str:
        champion = self.champion
        if champion is None:
            raise StoreError(f"{self._title} has no version that acts.", key="store.empty")
        return champion

    def best(self, task: str | None = None, minimum: int = ENOUGH, exclude: Iterable[str] = ()) -> Best | None:
        """Return the version with the highest lower 90 % bound of verified success (see `Ledger.best`)."""
        skip = {*exclude}
        return self.ledger.best([v for v in self.versions() if v not in skip], task, minimum)

    def candidates(self, task: str | None = None, exclude: Iterable[str] = (), enough: int = ENOUGH) -> list[str]:
        """Return the versions that may act and that one may move back to, the most trusted first.

        Order: by lower bound with at least `enough` probes, then with at least 5, then the oldest, then the newest.
        """
        skip = {*exclude, *self.ledger.quarantine, *(v for v in self.versions() if self.lacks(v))}
        order: list[str] = []
        for minimum in (enough, SOME):
            while (best := self.best(task, minimum, {*skip, *order})) is not None:
                order.append(best.version)
        rest = [v for v in self.versions() if v not in skip and v not in order]
        return [*order, *rest[:1], *reversed(rest[1:])]

    # ---- changing

    def save_files(
        self,
        files: Mapping[str, checkpoints.Content],
        *,
        details: Mapping[str, Any] | None = None,
        probes: Mapping[str, tuple[int, int]] | None = None,
        sources: Iterable[str] = (),
    ) -> str:
        """Write a new version and return its name. The first one becomes the champion if it needs nothing else.

        files: payload by name (see `checkpoints.write_checkpoint`). details: further JSON, kept beside the files.
        probes: evidence that the content has already (task id -> successes, n). sources: refs of what was used for it
        since the last version (demonstrations, episodes, authors).

        Raises:
            DiskError: it cannot be written; the store is as before.
            StoreError: opened for reading only, or a file's name cannot be used.
        """
        self._check_writable()
        if RECORD in files:
            raise StoreError(f"{RECORD} is the store's own file; give yours another name.", key="store.file")
        version = checkpoints.version_name(self.ledger.last_number + 1)
        evidence = {task: list(counts) for task, counts in (probes or {}).items()}
        record = {**asdict(self.identity), "sources": sorted(set(sources)), "probes": evidence, **(details or {})}
        text = json.dumps(record, allow_nan=False).encode()
        checkpoints.write_checkpoint(self._versions, version, {**files, RECORD: text})
        self.ledger.saved(version, record["sources"], evidence)
        if self.champion is None:
            self._promote_first(version)
        return version

    def _promote_first(self, version: str) -> None:
        if not self.lacks(version):
            self.promote(version, FIRST)

    def lacks(self, version: str) -> str:
        """Return what a version still needs before it may act, as a clause for a message; "" if nothing."""
        latest = {row.check: row.passed for row in self.ledger.evidence(version)}
        missing = [f"check {name!r} has not passed" for name in self.requirements.checks if not latest.get(name)]
        verdicts = self.ledger.approvals(version)
        if verdicts and verdicts[-1].verdict == "declined":
            missing.append(f"{verdicts[-1].who} declined it ({verdicts[-1].reason or 'no reason given'})")
        elif self.requirements.person and not verdicts:
            missing.append("no person has approved it")
        return ", ".join(missing)

    def approve(self, version: str, who: str, verdict: Verdict = "approved", reason: str = "") -> None:
        """Record a person's decision about a version; the last one counts.

        Raises:
            StoreError: unknown version, or the champion is declined (move to another version first).
        """
        self._check_writable()
        self.verify(version)
        if verdict == "declined" and version == self.champion:
            raise StoreError(f"{version} acts now; move to another version before it is declined.", key="store.acting")
        self.ledger.add_approval(version, who, verdict, reason)

    def promote(self, version: str, reason: str = "promoted") -> ChampionMove:
        """Let another version act from now on.

        Raises:
            StoreError: unknown or quarantined version, or one that lacks a check or an approval; the champion stays.
            CheckpointCorrupt: it is not whole; the champion stays.
        """
        self._check_writable()
        self.verify(version)
        aside = self.ledger.quarantine.get(version)
        if aside is not None:
            by = f" by {self.command('--readmit', version)}" if self.command("--readmit", version) else ""
            raise StoreError(f"{version} is quarantined ({aside}); re-admit it first{by}.", key="store.quarantined")
        self._check_lacks_nothing(version)
        move = ChampionMove(self.champion or version, version, reason)
        self._move("promoted", move)
        return move

    def rollback_to(self, version: str, reason: str, sources: Iterable[str] = ()) -> ChampionMove:
        """Move the champion back. Reads and writes files only; no content is loaded.

        Every version made after `version` is quarantined, and so are the sources that were first used after it (and
        `sources`: those used since the last save), until a person re-admits them. If `version` itself was quarantined,
        it is re-admitted with its sources.

        Raises:
            StoreError: unknown version, or one that lacks a check or an approval; the champion stays.
            CheckpointCorrupt: it is not whole; the champion stays.
        """
        self._check_writable()
        self.verify(version)
        self._check_lacks_nothing(version)
        number, aside = checkpoints.version_number(version), self.ledger.quarantine
        later = [v for v in self.versions() if checkpoints.version_number(v) > number and v not in aside]
        if version in aside:
            self.ledger.readmit([version])
        self.ledger.put_aside(later, f"newer than {version}, to which the champion was moved back: {reason}", sources)
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
        """Write the move to the ledger, do it, clear it in the ledger; a kill in between is finished on opening."""
        self.ledger.moving_to = move.new
        self.ledger.note(event, **asdict(move))
        self._finish_move()

    def _finish_move(self) -> None:
        if self.ledger.moving_to is not None:
            checkpoints.write_pointer(self.path, self.ledger.moving_to)
            self.ledger.moving_to = None
            self.ledger.write()

    def prune(self, keep_last: int) -> list[str]:
        """Remove old versions and return their names.

        Kept: the champion, the first, the best of each task and over all, pinned ones, the last `keep_last` that are
        not quarantined.
        """
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
        """Let `prune` keep a version always (or no longer)."""
        self.verify(version)
        self.ledger.pin(version, pinned)

    def quarantine(self, versions: Iterable[str], reason: str, sources: Iterable[str] = (), blame: bool = True) -> None:
        """Quarantine versions, the sources first used for them (if `blame`), and further `sources`.

        Raises:
            StoreError: one of them is the champion.
        """
        versions = list(versions)
        if self.champion in versions:
            text = f"{self.champion} acts now; move to another version before it is quarantined."
            raise StoreError(text, key="store.acting")
        self.ledger.put_aside(versions, reason, sources, blame)
        self.ledger.note("quarantined", versions=versions, reason=reason)

    def readmit(self, names: Iterable[str]) -> None:
        """Take versions (with their sources) or single sources out of quarantine; only a person decides this.

        Raises:
            StoreError: one of them is not quarantined (nearest named); nothing was changed.
        """
        self._check_writable()
        names = list(names)
        aside = {**self.ledger.quarantine, **self.ledger.quarantined_sources}
        for name in names:
            if name not in aside:
                known = nearest(name, aside) or " Nothing is."
                raise StoreError(f"{self._title} has not put {name!r} aside.{known}", key="store.admitted")
        self.ledger.readmit(names)

    @property
    def _title(self) -> str:
        return f"{self.noun} {self.name!r}"

    def _check_lacks_nothing(self, version: str) -> None:
        if lacks := self.lacks(version):
            raise StoreError(f"{version} of {self._title} may not act yet: {lacks}.", key="store.lacks")

    def _check_writable(self) -> None:
        if self.readonly:
            raise StoreError(f"{self._title} was opened for reading only.", key="store.readonly")
