"""`showonce rollback`: which checkpoints a run's adapter has, moving it back and re-admitting by hand. No model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from showonce.config import Config
from showonce.errors import BadInput
from showonce.events import LockTakenOver, Quarantined, Readmitted, RolledBack
from showonce.runs.event_file import EventWriter
from showonce.runs.index import CONFIG, find_store, resolve_run
from showonce.settings import load_config
from showonce.versions.checkpoints import version_name
from showonce.versions.store import STORE, AdapterStore, ChampionMove, VersionInfo

EVENTS: Final = "events.jsonl"
REASON: Final = "by hand"


def run_or_adapter(name: str, config: Config) -> Path:
    """Return the folder of a run, or of an adapter (exactly so named) that is no run's own.

    Raises:
        BadInput: there is neither.
    """
    adapter = Path(config.output.adapters) / name
    if (adapter / STORE).is_file() and not (Path(config.output.logs) / name / CONFIG).is_file():
        return adapter
    return resolve_run(name, config.output.logs)


def place_of(folder: Path) -> tuple[Path, str] | None:
    """Return root and name of the adapter store of a run, or of the adapter that `folder` is; None without one."""
    if (folder / STORE).is_file():
        return folder.parent, folder.name
    return find_store(load_config(folder / CONFIG), folder)


def events_of(folder: Path) -> AbstractContextManager[EventWriter | None]:
    """Return where a run is told what was done by hand; an adapter alone has no such place."""
    return EventWriter(folder / EVENTS) if (folder / CONFIG).is_file() else nullcontext()


def readmit(run: Path, names: Sequence[str], console: Console | None = None) -> int:
    """Let versions (with their sources) and single sources be used again that were put aside. Returns the exit code.

    Raises:
        BadInput: the run has no adapter store. StoreError: one of them is not put aside; nothing was changed.
        StoreLocked: a live run owns the store.
    """
    place = place_of(run)
    if place is None:
        raise BadInput(f"{run.name} has put nothing aside: it acted without an adapter, or learned nothing.")
    with AdapterStore(*place) as store, events_of(run) as events:
        before = {*store.ledger.quarantine, *store.ledger.quarantined_sources}
        store.readmit(names)
        back = sorted(before - {*store.ledger.quarantine, *store.ledger.quarantined_sources})
        if events is not None:
            events.emit(Readmitted(names=tuple(back), reason=REASON))
        text = f"adapter {store.name}: re-admitted {', '.join(back)}. {store.champion} acts as before."
    (console or Console()).print(text, soft_wrap=True, markup=False, highlight=False)
    return 0


def list_checkpoints(run: Path, console: Console | None = None) -> int:
    """Print the checkpoints of a run's adapter, or that there are none. Returns the exit code."""
    out = console or Console()
    place, versions, sources = place_of(run), [], {}
    if place is not None:
        with AdapterStore(*place, readonly=True) as store:
            versions, sources = store.list_versions(), store.ledger.quarantined_sources
    if place is None or not versions:
        out.print(f"{run.name} has no checkpoints: it acted without an adapter, or nothing was learned yet.")
    else:
        out.print(checkpoint_table(versions, f"{place[0] / place[1]}"))
        for name, reason in sorted(sources.items()):
            out.print(f"source put aside: {name} ({reason})", soft_wrap=True, markup=False, highlight=False)
    return 0


def roll_back(run: Path, to: str, console: Console | None = None) -> int:
    """Let checkpoint `to` (v0003, or 3) act from now on; later ones are quarantined. Returns the exit code.

    The move is written into the run's events.

    Raises:
        BadInput: the run has no adapter store.
        StoreError: no such checkpoint (nearest named).
        StoreLocked: a live run owns the store.
        CheckpointCorrupt: the checkpoint is not whole; nothing was changed.
    """
    place = place_of(run)
    if place is None:
        raise BadInput(f"{run.name} has no checkpoints to go back to: it acted without an adapter, or learned nothing.")
    with AdapterStore(*place) as store, events_of(run) as events:
        move = store.rollback_to(version_name(int(to)) if to.isdecimal() else to, REASON)
        if events is not None:
            tell(events, store, move)
    (console or Console()).print(told(move, store.name))
    return 0


def tell(events: EventWriter, store: AdapterStore, move: ChampionMove) -> None:
    """Write a move into the events of a run."""
    if store.taken_over_from is not None:
        events.emit(LockTakenOver(owner=str(store.taken_over_from), path=str(store.path)))
    events.emit(RolledBack(episode=None, old=move.old, new=move.new, statistic=None, reason=move.reason))
    if move.quarantined:
        events.emit(Quarantined(versions=tuple(move.quarantined), reason=move.reason))
    if move.readmitted:
        events.emit(Readmitted(names=(move.new,), reason=move.reason))


def checkpoint_table(versions: list[VersionInfo], title: str) -> Table:
    """Return one row a checkpoint, newest last."""
    table = Table("checkpoint", "made", "probes", "state", title=title, title_justify="left")
    for one in versions:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created))
        probes = ", ".join(f"{task} {good}/{n}" for task, (good, n) in sorted(one.probes.items())) or "-"
        quarantined = f"quarantined: {one.quarantined}" if one.quarantined else ""
        marks = ["champion" if one.champion else "", "pinned" if one.pinned else "", quarantined]
        table.add_row(one.version, made, Text(probes), Text(", ".join(filter(None, marks))))
    return table


def told(move: ChampionMove, name: str) -> str:
    """Return what a person should know about a move."""
    if move.old == move.new and not move.quarantined and not move.readmitted:
        return f"{move.new} acts already in adapter {name}; nothing was changed."
    aside = f" Put aside until re-admitted: {', '.join(move.quarantined)}." if move.quarantined else ""
    back = f" {move.new} had been put aside and is re-admitted, with its sources." if move.readmitted else ""
    return f"adapter {name}: {move.old} -> {move.new}.{back}{aside}"
