"""The card that stays on the terminal when a run is over: results, updates, rollbacks and errors."""

from __future__ import annotations

import re

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from showonce.dashboard.state import RunView
from showonce.dashboard.views import counted, error_line, panel, result_row, trouble_words
from showonce.dashboard.wording import clean, end_words, rollback_words


def summary(view: RunView) -> Panel:
    """Return the card of a run, finished or not."""
    table = Table.grid(padding=(0, 1))
    for _ in range(5):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for name, result in view.results.items():
        table.add_row(*result_row(name, result, bars=True))
    good, bad, left_open = (view.episodes[k] for k in ("success", "failure", "open"))
    words = [
        Text(f"episodes of all phases: {good} succeeded, {bad} failed, {left_open} not verified"),
        Text(update_words(view)),
        Text(f"acting adapter: {acting_words(view)}"),
        *(Text(line, style="yellow") for line in undone_words(view)),
        *(
            Text(rollback_words(event), style="red")
            for event in view.rollbacks
        ),
        *(Text(line, style="yellow") for line in trouble_words(view)),
        error_line(view),
    ]  # fmt: skip
    rows: list[RenderableType] = [Text(f'task {clean(view.task)}, goal "{clean(view.goal)}"', style="bold")]
    state, message = end_words(view)
    if message:
        rows.append(Text(message, style="red"))
    if view.results:
        rows.append(table)
    return panel(Group(*rows, *words), f"showonce · {clean(view.run.name or view.run.run, 60)} · {state}")


def update_words(view: RunView) -> str:
    """Return how many updates there were, of how many, and why others were refused."""
    if view.run.learning is False:
        return "updates: learning off"
    budget = view.run.budget_run
    used = f"{view.updates_used} of {budget}" if budget is not None else str(view.updates_used)
    why = f"refused: {counted(view.refused)}" if view.refused else "none refused"
    return f"updates: {used} ({counted(view.routes)}); {why}"


def acting_words(view: RunView) -> str:
    """Return which adapter acted, if anything did."""
    if not view.episodes.total():
        return "none, nothing acted"
    return clean(view.champion) or clean(view.adapter_version) or "base"


def undone_words(view: RunView) -> list[str]:
    """Return one line on faults, refused promotions, quarantine and rollbacks; no line where there was none."""
    held_back = view.promotions_refused - view.refused_before_fault
    versions = sum(re.fullmatch(r"v\d+", name) is not None for name in view.quarantined)
    sources = len(view.quarantined) - versions
    aside = " and ".join(_plural(n, what) for n, what in ((versions, "version"), (sources, "source")) if n)
    words = [f"held back {held_back}", f"quarantined {aside or 0}", f"rolled back {len(view.rollbacks)}"]
    if view.faults:
        words.insert(0, f"fault: {clean(', '.join(view.faults))} after {_plural(view.updates_before_fault, 'update')}")
    elif not (held_back or aside or view.rollbacks):
        return []
    return ["; ".join(words)]


def _plural(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
