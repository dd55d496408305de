"""The core table's rows about what protects, and what it costs: faults, drop test, overhead, the demo's time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from showonce.evaluation.parts import FAULT_RUNS, FAULTS
from showonce.evaluation.rows import Found, TableRow, judged, missing


def faults(found: Found) -> list[TableRow]:
    runs = found.numbers("faults")
    all_runs = len(FAULTS) * FAULT_RUNS
    title, goal = "faults on purpose: refused before acting, or rolled back", f"{all_runs}/{all_runs}"
    if not runs:
        return [missing("faults", title, goal)]
    ends = {
        end: sum(r["end"] == end for r in runs.values()) for end in ("refused", "rolled_back", "acted", "not_injected")
    }
    good = ends["refused"] + ends["rolled_back"]
    injected = len(runs) - ends["not_injected"]
    lost = max((r["start"] - r["end_rate"] for r in runs.values()), default=0.0)
    value = ", ".join(f"{count} {end.replace('_', ' ')}" for end, count in ends.items() if count)
    rows = [
        TableRow(
            "faults", title, goal, value, f"{injected} of {all_runs} injected",
            worst=f"most success lost in the end {lost:.2f}", verdict=judged(good == all_runs),
        )
    ]  # fmt: skip
    seen = [r["probes_to_see"] for r in runs.values() if r["probes_to_see"] is not None]
    restored = [r["restored"] for r in runs.values() if r["restored"] is not None]
    corrupted = [r for (kind, _), r in runs.items() if kind == "corrupt_checkpoint" and r["end"] != "not_injected"]
    rows.append(_seen(seen))
    rows.append(_count_row("a corrupted checkpoint is refused by its hash", [r["by_hash"] > 0 for r in corrupted]))
    rows.append(_count_row("after a rollback, the adapter that acts is the best one, bit for bit", restored))
    return rows


def _seen(seen: Sequence[int]) -> TableRow:
    title, goal = "probes from the damaged champion's first act to its rollback", "median <= 15"
    if not seen:
        return TableRow("faults", title, goal, "no damaged champion acted long enough", verdict="reported")
    return TableRow(
        "faults", title, goal, f"median {median(seen):.0f}", f"{len(seen)} rollbacks", f"{min(seen)} to {max(seen)}",
        verdict=judged(median(seen) <= 15),
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
