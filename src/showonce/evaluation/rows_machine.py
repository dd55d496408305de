"""The core table's rows about what protects, and what it costs: faults, drop test, overhead, the demo's time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from showonce.evaluation.parts import ALONE, FAULT_RUNS, FAULTS
from showonce.evaluation.rows import Found, TableRow, judged, missing

Runs = Mapping[tuple[str, int], dict[str, Any]]
ENDS: Final = ("refused", "contained", "rolled_back", "acted", "not_injected")
GOOD_ENDS: Final = ("refused", "rolled_back")
COLLAPSE: Final = 0.5  # a loss of success from which on it is one


def faults(found: Found) -> list[TableRow]:
    runs = found.numbers("faults")
    both = {key: numbers for key, numbers in runs.items() if not key[0].startswith(ALONE)}
    alone = {key: numbers for key, numbers in runs.items() if key[0].startswith(ALONE)}
    rows = [
        _ends("faults on purpose: refused before acting, or rolled back", both, len(FAULTS) * FAULT_RUNS),
        _ends("the same with the canaries off: the drop test alone", alone, None),
    ]
    if not runs:
        return rows
    corrupted = [r for (kind, _), r in both.items() if kind == "corrupt_checkpoint" and r["end"] != "not_injected"]
    seen = [r for r in runs.values() if r["probes_to_see"] is not None]
    collapsed = [r["probes_to_see"] for r in seen if r["start"] - r["seen_rate"] >= COLLAPSE]
    lost = [r["probes_to_see"] for r in seen if r["start"] - r["seen_rate"] < COLLAPSE]
    rows.append(_seen("probes until the drop test undid a collapse (a loss of 0.5 or more)", collapsed, 15))
    rows.append(_seen("probes until it undid a smaller loss", lost, 50))
    rows.append(_count_row("a corrupted checkpoint is refused by its hash", [r["by_hash"] > 0 for r in corrupted]))
    restored = [r["restored"] for r in runs.values() if r["restored"] is not None]
    rows.append(_count_row("after a rollback, the adapter that acts is the best one, bit for bit", restored))
    return rows


def _ends(title: str, runs: Runs, wanted: int | None) -> TableRow:
    """Return how runs ended; wanted: how many of them must end well, None = there is no goal."""
    goal = "reported" if wanted is None else f"{wanted} of {wanted}"
    if not runs:
        return missing("faults", title, goal)
    ends = Counter(str(numbers["end"]) for numbers in runs.values())
    lost = max(numbers["start"] - numbers["end_rate"] for numbers in runs.values())
    value = ", ".join(f"{ends[end]} {end.replace('_', ' ')}" for end in ENDS if ends[end])
    good = sum(ends[end] for end in GOOD_ENDS)
    return TableRow(
        "faults", title, goal, value, f"{len(runs)} runs", worst=f"most success lost in the end {max(lost, 0.0):.2f}",
        verdict="reported" if wanted is None else judged(good == wanted),
    )  # fmt: skip


def _seen(title: str, seen: Sequence[int], most: int) -> TableRow:
    goal = f"median <= {most}"
    if not seen:
        return TableRow("faults", title, goal, "it did not happen", verdict="reported")
    return TableRow(
        "faults", title, goal, f"median {median(seen):.0f}", f"{len(seen)} rollbacks", f"{min(seen)} to {max(seen)}",
        verdict=judged(median(seen) <= most),
    )  # fmt: skip


def _count_row(title: str, held: Sequence[bool]) -> TableRow:
    if not held:
        return TableRow("faults", title, "all", "it did not happen", verdict="reported")
    return TableRow("faults", title, "all", f"{sum(held)} of {len(held)}", f"{len(held)}", verdict=judged(all(held)))


def drop_test(found: Found) -> list[TableRow]:
    title = "drop test: upper 95 % bound of its false-alarm rate, simulated"
    rate = found.config.learning.ratchet.false_alarm_rate
    numbers = _only(found, "drop_test")
    rows = [missing("drop_test", title, f"<= {rate:g}", _why(found, "drop_test"))]
    if numbers:
        rows = [
            TableRow(
                "drop_test", title, f"<= {numbers['stated']:g}", f"{numbers['upper']:.4f}", f"{numbers['n']} runs each",
                worst=numbers["worst"], verdict=judged(numbers["upper"] <= numbers["stated"]),
            )
        ]  # fmt: skip
    lessons = [*found.numbers("single").values(), *found.numbers("multi").values()]
    if lessons:
        rolled = sum(lesson["rollbacks"] > 0 for lesson in lessons)
        text = f"{rolled} of {len(lessons)} rolled back"
        rows.append(TableRow("drop_test", "healthy lessons beside it", "reported", text, f"{len(lessons)} lessons"))
    return rows


def overhead(found: Found) -> list[TableRow]:
    title, goal, numbers = "runtime's own overhead per step", "<= 2 ms median", _only(found, "overhead")
    if not numbers:
        return [missing("overhead", title, goal, _why(found, "overhead"))]
    return [
        TableRow(
            "overhead", title, goal, f"{numbers['median']:.2f} ms", f"{numbers['n']} steps",
            worst=f"99 % below {numbers['p99']:.1f} ms", verdict=judged(numbers["median"] <= 2.0),
        )
    ]  # fmt: skip


def demo_time(found: Found) -> list[TableRow]:
    title, goal, numbers = "./run_demo.sh after installation", "<= 5 minutes", _only(found, "demo_time")
    if not numbers:
        return [missing("demo_time", title, goal, _why(found, "demo_time"))]
    return [
        TableRow(
            "demo_time", title, goal, f"{numbers['seconds']:.0f} s", "1 run", verdict=judged(numbers["seconds"] <= 300)
        )
    ]


def _only(found: Found, part: str) -> dict[str, Any]:
    return next(iter(found.numbers(part).values()), {})


def _why(found: Found, part: str) -> str:
    return next((r.error for r in found.records.values() if r.key.split("|")[0] == part and r.error), "")
