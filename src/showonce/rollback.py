"""`showonce rollback`: which checkpoints a run's adapter has, and moving it back by hand. Files only; no model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from showonce.errors import BadInput
from showonce.learning.checkpoints import version_name
from showonce.learning.store import AdapterStore, Move, VersionInfo
from showonce.runs import CONFIG, find_store
from showonce.runtime.events import EventWriter
from showonce.settings import load_config

EVENTS: Final = "events.jsonl"
REASON: Final = "by hand"


def list_checkpoints(run: Path, console: Console | None = None) -> int:
    """Print the checkpoints of a run's adapter, or that there are none. Returns the exit code."""
    out = console or Console()
    place = find_store(load_config(run / CONFIG), run)
    versions = []
    if place is not None:
        with AdapterStore(*place, readonly=True) as store:
            versions = store.list_versions()
    if place is None or not versions:
        out.print(f"{run.name} has no checkpoints: it acted without an adapter, or nothing was learned yet.")
    else:
        out.print(checkpoint_table(versions, f"{place[0] / place[1]}"))
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
    place = find_store(load_config(run / CONFIG), run)
    if place is None:
        raise BadInput(f"{run.name} has no checkpoints to go back to: it acted without an adapter, or learned nothing.")
    with AdapterStore(*place) as store, EventWriter(run / EVENTS) as events:
        move = store.rollback_to(version_name(int(to)) if to.isdecimal() else to, REASON)
        if store.taken_over_from is not None:
            events.emit("lock_taken_over", owner=str(store.taken_over_from), path=str(store.path))
        events.emit("rollback", episode=None, old=move.old, new=move.new, statistic=None, reason=move.reason)
        if move.quarantined:
            events.emit("quarantine", versions=list(move.quarantined), reason=move.reason)
    (console or Console()).print(told(move, store.name))
    return 0


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


def told(move: Move, name: str) -> str:
    """Return what a person should know about a move."""
    if move.old == move.new and not move.quarantined:
        return f"{move.new} acts already in adapter {name}; nothing was changed."
    aside = f" Put aside until re-admitted: {', '.join(move.quarantined)}." if move.quarantined else ""
    return f"adapter {name}: {move.old} -> {move.new}.{aside}"
