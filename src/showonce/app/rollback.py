"""The verb `rollback`: which checkpoints an adapter has, moving it back, re-admitting by hand. Loads no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from showonce.config import OutputConfig
from showonce.errors import BadInput
from showonce.events import LockTakenOver, Readmitted
from showonce.learning.adapter_store import AdapterStore
from showonce.runs.adapter_place import AdapterPlace, find_adapter
from showonce.runs.event_file import EventWriter
from showonce.runs.index import resolve_run
from showonce.runs.layout import CONFIG, EVENTS
from showonce.runtime.repairs import is_targets, store_folder
from showonce.settings import load_config
from showonce.versions.checkpoints import version_name
from showonce.versions.store import STORE, ChampionMove, VersionInfo, VersionStore

REASON: Final = "by hand"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of an adapter, newest last, and the sources that are quarantined, with the reasons.

    store: the adapter's folder; None when the run acted without an adapter.
    """

    owner: str  # name of the run or adapter that was asked for
    store: Path | None
    versions: tuple[VersionInfo, ...] = ()
    sources: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RollbackResult:
    """A champion that was moved by hand."""

    adapter: str
    move: ChampionMove


@dataclass(frozen=True)
class ReadmitResult:
    """Versions and sources that may be used again. champion: acts as before."""

    adapter: str
    names: tuple[str, ...]
    champion: str | None


def run_or_adapter(name: str, output: OutputConfig) -> Path:
    """Return the folder of a run, of an adapter (exactly so named) that is no run's own, or of a recording's targets.

    Raises:
        BadInput: there is neither.
    """
    targets = store_folder(Path(name))
    if is_targets(targets) and not (Path(name) / CONFIG).is_file():
        return targets
    adapter = Path(output.adapters) / name
    if (adapter / STORE).is_file() and not (Path(output.logs) / name / CONFIG).is_file():
        return adapter
    return resolve_run(name, output.logs, ("run",))


def list_checkpoints(folder: Path) -> Checkpoints:
    """Return the checkpoints of the adapter of a run, or of the adapter in `folder`."""
    place = _place_of(folder)
    if place is None:
        return Checkpoints(folder.name, None)
    with _store(place, readonly=True) as store:
        versions, sources = store.list_versions(), dict(store.ledger.quarantined_sources)
    return Checkpoints(folder.name, place.folder, tuple(versions), sources)


def roll_back(folder: Path, to: str) -> RollbackResult:
    """Let checkpoint `to` (v0003, or 3) act from now on; later ones are quarantined.

    The move is written into the run's events.

    Raises:
        BadInput: the run has no adapter store.
        StoreError: no such checkpoint (nearest named).
        StoreLocked: a live run owns the store.
        CheckpointCorrupt: the checkpoint is not whole; nothing was changed.
    """
    place = _place_of(folder)
    if place is None:
        raise BadInput(
            f"{folder.name} has no checkpoints to go back to: it acted without an adapter, or learned nothing."
        )
    with _store(place) as store, _events_of(folder) as events:
        move = store.rollback_to(version_name(int(to)) if to.isdecimal() else to, REASON)
        if events is not None:
            _emit(events, store, move)
    return RollbackResult(store.name, move)


def readmit(folder: Path, names: Sequence[str]) -> ReadmitResult:
    """Let quarantined versions (with their sources) and single sources be used again.

    Raises:
        BadInput: the run has no adapter store. StoreError: one of them is not quarantined; nothing was changed.
        StoreLocked: a live run owns the store.
    """
    place = _place_of(folder)
    if place is None:
        raise BadInput(f"{folder.name} has put nothing aside: it acted without an adapter, or learned nothing.")
    with _store(place) as store, _events_of(folder) as events:
        before = {*store.ledger.quarantine, *store.ledger.quarantined_sources}
        store.readmit(names)
        back = sorted(before - {*store.ledger.quarantine, *store.ledger.quarantined_sources})
        if events is not None:
            events.emit(Readmitted(names=tuple(back), reason=REASON))
        return ReadmitResult(store.name, tuple(back), store.champion)


def _place_of(folder: Path) -> AdapterPlace | None:
    """Return where the adapter of a run is, or the adapter that `folder` is; None without one."""
    if (folder / STORE).is_file():
        return AdapterPlace(folder.parent, folder.name)
    return find_adapter(load_config(folder / CONFIG), folder)


def _store(place: AdapterPlace, readonly: bool = False) -> VersionStore:
    """Return the store of an adapter, or of a recording's targets."""
    kind = VersionStore if is_targets(place.folder) else AdapterStore
    return kind(place.root, place.name, readonly=readonly)


def _events_of(folder: Path) -> AbstractContextManager[EventWriter | None]:
    """Return the event file of a run; None for the folder of an adapter, which has none."""
    return EventWriter(folder / EVENTS) if (folder / CONFIG).is_file() else nullcontext()


def _emit(events: EventWriter, store: VersionStore, move: ChampionMove) -> None:
    """Write a move into the events of a run."""
    if store.taken_over_from is not None:
        events.emit(LockTakenOver(owner=str(store.taken_over_from), path=str(store.path)))
    for event in move.events():
        events.emit(event)
