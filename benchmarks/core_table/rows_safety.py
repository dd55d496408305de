"""The core table's rows about protection and cost: faults, drop test, overhead, the demo's time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from benchmarks.core_table.rows import Found, TableRow, judged, missing
from benchmarks.core_table.schedule import FAULT_RUNS, FAULTS, NO_CANARIES
from benchmarks.runtime_overhead import GOAL as OVERHEAD
from showonce.evaluation.goals import Goal

Runs = Mapping[tuple[str, int], dict[str, Any]]
ENDS: Final = ("refused", "contained", "rolled_back", "acted", "not_injected")
GOOD_ENDS: Final = ("refused", "rolled_back")
COLLAPSE: Final = 0.5  # loss of success from which on it counts as a collapse
COLLAPSE_SEEN: Final = Goal("<=", 15, "g", "median")  # probes
LOSS_SEEN: Final = Goal("<=", 50, "g", "median")  # probes
DEMO: Final = Goal("<=", 300, "g", unit=" s")


def faults(found: Found) -> list[TableRow]:
    runs = found.numbers("faults")
    both = {key: numbers for key, numbers in runs.items() if not key[0].startswith(NO_CANARIES)}
    alone = {key: numbers for key, numbers in runs.items() if key[0].startswith(NO_CANARIES)}
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
    rows.append(_seen("probes until the drop test undid a collapse (a loss of 0.5 or more)", collapsed, COLLAPSE_SEEN))
    rows.append(_seen("probes until it undid a smaller loss", lost, LOSS_SEEN))
    rows.append(_count_row("a corrupted checkpoint is refused by its hash", [r["by_hash"] > 0 for r in corrupted]))
    restored = [r["restored"] for r in runs.values() if r["restored"] is not None]
    rows.append(_count_row("after a rollback, the adapter that acts is the best one, bit for bit", restored))
    return rows


def _ends(title: str, runs: Runs, wanted: int | None) -> TableRow:
    """Return the row of how runs ended. wanted: number that must end in one of GOOD_ENDS, None = there is no goal."""
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


def _seen(title: str, seen: Sequence[int], goal: Goal) -> TableRow:
    if not seen:
        return TableRow("faults", title, str(goal), "it did not happen", verdict="reported")
    value, n, verdict = f"median {median(seen):.0f}", f"{len(seen)} rollbacks", judged(goal.holds(median(seen)))
    return TableRow("faults", title, str(goal), value, n, worst=f"{min(seen)} to {max(seen)}", verdict=verdict)


def _count_row(title: str, held: Sequence[bool]) -> TableRow:
    if not held:
        return TableRow("faults", title, "all", "it did not happen", verdict="reported")
    return TableRow("faults", title, "all", f"{sum(held)} of {len(held)}", f"{len(held)}", verdict=judged(all(held)))


def drop_test(found: Found) -> list[TableRow]:
    title = "drop test: upper 95 % bound of its false-alarm rate, simulated"
    rate = found.config.learning.ratchet.false_alarm_rate
    numbers = _only(found, "drop_test")
    goal = Goal("<=", numbers.get("stated", rate), "g")
    rows = [missing("drop_test", title, goal, _why(found, "drop_test"))]
    if numbers:
        rows = [
            TableRow(
                "drop_test", title, str(goal), f"{numbers['upper']:.4f}", f"{numbers['n']} runs each",
                worst=numbers["worst"], verdict=judged(goal.holds(numbers["upper"])),
            )
        ]  # fmt: skip
    lessons = [*found.numbers("single").values(), *found.numbers("multi").values()]
    if lessons:
        rolled = sum(lesson["rollbacks"] > 0 for lesson in lessons)
        text = f"{rolled} of {len(lessons)} rolled back"
        rows.append(TableRow("drop_test", "healthy lessons beside it", "reported", text, f"{len(lessons)} lessons"))
    return rows


def overhead(found: Found) -> list[TableRow]:
    title, numbers = "runtime's own time per step / one answer of the embedded model", _only(found, "overhead")
    if "answer" not in numbers:  # folders of older versions hold milliseconds without their floor
        return [missing("overhead", title, OVERHEAD, _why(found, "overhead"))]
    share = numbers["median"] / numbers["answer"]
    value = f"{share:.3f} ({numbers['median']:.2f} of {numbers['answer']:.1f} ms)"
    n, worst, verdict = f"{numbers['n']} steps", f"99 % below {numbers['p99']:.1f} ms", judged(OVERHEAD.holds(share))
    return [TableRow("overhead", title, str(OVERHEAD), value, n, worst=worst, verdict=verdict)]


def demo_time(found: Found) -> list[TableRow]:
    title, numbers = "./run_demo.sh after installation", _only(found, "demo_time")
    if not numbers:
        return [missing("demo_time", title, DEMO, _why(found, "demo_time"))]
    verdict = judged(DEMO.holds(numbers["seconds"]))
    return [TableRow("demo_time", title, str(DEMO), f"{numbers['seconds']:.0f} s", "1 run", verdict=verdict)]


def _only(found: Found, part: str) -> dict[str, Any]:
    return next(iter(found.numbers(part).values()), {})


def _why(found: Found, part: str) -> str:
    return next((r.error for r in found.records.values() if r.key.split("|")[0] == part and r.error), "")
