"""The core table's rows: each a goal, what was reached, on how many screens, with which interval, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Literal

from showonce.config import Config
from showonce.evaluation.jobs import Record
from showonce.evaluation.parts import TABLE_CONTROLS, apps_of, lines_of
from showonce.evaluation.results import Results, paired, readings
from showonce.evaluation.tasks import task_set
from showonce.stats import (
    Estimate,
    auroc,
    bootstrap_mean,
    brier,
    brier_base_rate,
    ece,
    paired_bootstrap,
    paired_interval,
)

Verdict = Literal["reached", "missed", "not run", "reported"]
ByUnit = dict[str, list[float]]
APPS, LESSONS, SCREENS = 20, 3, 200  # the unit of the success rows: apps, lessons of each, screens of a lesson


@dataclass(frozen=True)
class TableRow:
    """One line of the table. part: what of the table it belongs to; worst: the worst unit and its value."""

    part: str
    title: str
    goal: str
    value: str
    n: str = ""
    interval: str = ""
    worst: str = ""
    verdict: Verdict = "reported"


@dataclass(frozen=True, eq=False)
class Found:
    """Everything that was measured."""

    config: Config
    results: Results
    records: Mapping[str, Record]

    def numbers(self, part: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Return what the jobs of a part found, by task and repetition; failed jobs are left out."""
        out = {}
        for record in self.records.values():
            name, task, repetition = record.key.split("|")
            if name == part and not record.error:
                out[task, int(repetition)] = record.numbers
        return out

    def failed(self, *parts: str) -> int:
        """Return how many jobs of these parts failed."""
        return sum(bool(r.error) and r.key.split("|")[0] in parts for r in self.records.values())

    def rates(self, part: str, arm: str, apps: Sequence[str]) -> tuple[ByUnit, int]:
        """Return success by app, one value a repetition, and the number of screens."""
        rates: ByUnit = {}
        n = 0
        for app in apps:
            for seed in self.config.evaluation.seeds:
                result = self.results.result(part, app, f"{arm}@{seed}")
                if result.rows:
                    rates.setdefault(app, []).append(result.success)
                    n += result.n
        return rates, n


def judged(reached: bool) -> Verdict:
    return "reached" if reached else "missed"


def missing(part: str, title: str, goal: str, why: str = "") -> TableRow:
    """Return the row of something that was not measured."""
    return TableRow(part, title, goal, "-", verdict="not run", worst=why)


def _between(estimate: Estimate) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _short(app: str) -> str:
    return app.removeprefix("app/").removeprefix("skill/")


def _apps_row(found: Found, part: str, title: str, arm: str, goal: str, holds: Callable[[float], bool]) -> TableRow:
    apps = apps_of(found.config, "multi" if part == "multi" else "single")
    rates, n = found.rates(part, arm, apps)
    if not rates:
        return missing(part, title, goal)
    estimate = bootstrap_mean(rates)
    worst = (max if goal.startswith("<=") else min)(rates, key=lambda app: sum(rates[app]) / len(rates[app]))
    value = sum(rates[worst]) / len(rates[worst])
    failed = found.failed(part, f"after_{part}")
    return TableRow(
        part, title, goal, f"{estimate.mean:.3f}", _counted(rates, n) + (f"; {failed} jobs failed" if failed else ""),
        _between(estimate), f"{_short(worst)} {value:.2f}", judged(holds(estimate.mean) and not failed),
    )  # fmt: skip


def _counted(rates: ByUnit, n: int) -> str:
    """Say on how much a figure stands, and when that is less than the goal asks for."""
    lessons = sum(len(values) for values in rates.values())
    enough = len(rates) >= APPS and lessons >= APPS * LESSONS and n >= lessons * SCREENS
    small = "" if enough else f" (fewer than {APPS} x {LESSONS} x {SCREENS})"
    return f"{len(rates)} apps, {lessons} lessons, {n} screens{small}"


def skills(found: Found) -> list[TableRow]:
    title, goal = "built-in skills of the tiny VLM", "mean >= 0.95, no family under 0.85"
    results = {t: found.results.result("skills", t, "before") for t in task_set("skills").ids}
    rates: ByUnit = {task: [r.success] for task, r in results.items() if r.rows}
    if not rates:
        return [missing("skills", title, goal)]
    estimate = bootstrap_mean(rates)
    n = min(results[task].n for task in rates)
    reached = estimate.mean >= 0.95 and estimate.worst_mean >= 0.85 and len(rates) == len(results)
    return [
        TableRow(
            "skills", title, goal, f"{estimate.mean:.3f}", f"{len(rates)} families, {n} screens each",
            _between(estimate), f"{_short(estimate.worst)} {estimate.worst_mean:.2f}", judged(reached),
        )
    ]  # fmt: skip


def single(found: Found) -> list[TableRow]:
    rows = [
        _apps_row(found, "single", "single-step apps: before", "before", "<= 0.25", lambda x: x <= 0.25),
        _apps_row(found, "single", "single-step apps: teacher", "teacher", ">= 0.90", lambda x: x >= 0.90),
        _apps_row(found, "single", "single-step apps: after", "after", ">= 0.90", lambda x: x >= 0.90),
    ]
    return [*rows, _cost(found)]


def multi(found: Found) -> list[TableRow]:
    return [
        _apps_row(found, "multi", "multi-step apps: before", "before", "<= 0.10", lambda x: x <= 0.10),
        _apps_row(found, "multi", "multi-step apps: teacher", "teacher", ">= 0.80", lambda x: x >= 0.80),
        _apps_row(found, "multi", "multi-step apps: after", "after", ">= 0.80", lambda x: x >= 0.80),
    ]


def _cost(found: Found) -> TableRow:
    title, goal = "updates and wall time of a single-step lesson", "<= 60 updates, <= 90 s"
    took = list(found.numbers("single").values())
    if not took:
        return missing("single", title, goal)
    updates, seconds = [t["updates"] for t in took], [t["seconds"] for t in took]
    rolled = sum(t["rollbacks"] > 0 for t in took)
    reached = max(updates) <= 60 and median(seconds) <= 90
    return TableRow(
        "single", title, goal, f"median {median(updates):.0f} updates, {median(seconds):.0f} s", f"{len(took)} lessons",
        worst=f"most {max(updates)} updates, {max(seconds):.0f} s; {rolled} rolled back", verdict=judged(reached),
    )  # fmt: skip


def head_only(found: Found) -> list[TableRow]:
    title = "practice in the head only (0 episodes), single-step: after"
    return [_apps_row(found, "head_only", title, "after", ">= 0.80", lambda x: x >= 0.80)]


_CONTROL_GOALS: Final[dict[str, tuple[str, Callable[[float], bool] | None]]] = {
    "swapped": (">= 0.80", lambda x: x >= 0.80),
    "copied_coordinates": ("<= 0.25", lambda x: x <= 0.25),
    "adapter_off": ("1.00", lambda x: x == 1.0),
}


def controls(found: Found) -> list[TableRow]:
    by_app = found.numbers("controls")
    rows = []
    for name in TABLE_CONTROLS:
        goal, holds = _CONTROL_GOALS.get(name, ("reported", None))
        title = f"control: {name.replace('_', ' ')}"
        values: ByUnit = {app: [numbers[name]["value"]] for (app, _), numbers in by_app.items() if name in numbers}
        if not values:
            rows.append(missing("controls", title, goal))
            continue
        estimate = bootstrap_mean(values)
        n = sum(numbers[name]["n"] for numbers in by_app.values() if name in numbers)
        more = _first_meaning(by_app) if name == "swapped" else ""
        verdict: Verdict = "reported" if holds is None else judged(holds(estimate.mean))
        rows.append(
            TableRow(
                "controls", title, goal, f"{estimate.mean:.3f}{more}", f"{len(values)} apps, {n} screens",
                _between(estimate), f"{_short(estimate.worst)} {estimate.worst_mean:.2f}", verdict,
            )
        )  # fmt: skip
    return rows


def _first_meaning(by_app: Mapping[tuple[str, int], dict[str, Any]]) -> str:
    told = [numbers["swapped"]["numbers"] for numbers in by_app.values()]
    first, chance = (sum(t[key] for t in told) / len(told) for key in ("first_meaning", "chance"))
    return f" (first meaning {first:.2f}, chance {chance:.2f})"


def specificity(found: Found) -> list[TableRow]:
    title, goal = "untaught goals on screens with the taught target: share that goes to it, after - before", "<= +0.05"
    by_app = found.numbers("specificity")
    rows = []
    for kind in ("greedy", "sampled"):
        named = f"{title} ({kind})"
        if not by_app:
            rows.append(missing("specificity", named, goal))
            continue
        before, after = (
            {app: [n["numbers"][f"{kind}_{side}"]] for (app, _), n in by_app.items()} for side in ("before", "after")
        )
        change = paired_bootstrap(before, after)
        rises = {app: after[app][0] - before[app][0] for app in before}
        worst = max(rises, key=lambda app: rises[app])
        screens = sum(n["n"] for n in by_app.values())
        share = f"{change.mean:+.3f} ({_mean(before):.2f} to {_mean(after):.2f})"
        rows.append(
            TableRow(
                "specificity", named, goal, share, f"{len(before)} apps, {screens} screens", _between(change),
                f"{_short(worst)} {rises[worst]:+.2f}", judged(change.mean <= 0.05),
            )
        )  # fmt: skip
    return [*rows, _in_context(found)]


def _mean(values: ByUnit) -> float:
    return sum(v[0] for v in values.values()) / len(values)


def _in_context(found: Found) -> TableRow:
    title, goal = "demonstrations of other goals in context: adapter on - off", ">= -0.03"
    by_app = found.numbers("in_context")
    if not by_app:
        return missing("specificity", title, goal)
    changes: ByUnit = {app: [n["value"]] for (app, _), n in by_app.items()}
    estimate = bootstrap_mean(changes)
    screens = sum(n["n"] for n in by_app.values())
    return TableRow(
        "specificity", title, goal, f"{estimate.mean:+.3f}", f"{len(changes)} apps, {screens} screens",
        _between(estimate), f"{_short(estimate.worst)} {estimate.worst_mean:+.2f}", judged(estimate.mean >= -0.03),
    )  # fmt: skip


def retention(found: Found) -> list[TableRow]:
    title = "retention of the built-in skills (paired, greedy)"
    goal = "mean >= -0.01, no family wholly below -0.03"
    changes: ByUnit = {}
    below, n = [], []
    for task in task_set("skills").ids:
        pairs = paired(found.results.result("skills", task, "before"), found.results.result("retention", task, "after"))
        if pairs[0]:
            changes[task] = [(sum(pairs[1]) - sum(pairs[0])) / len(pairs[0])]
            n.append(len(pairs[0]))
            if paired_interval(*pairs).high < -0.03:
                below.append(_short(task))
    if not changes:
        return [missing("retention", title, goal)]
    estimate = bootstrap_mean(changes)
    worst = f"{_short(estimate.worst)} {estimate.worst_mean:+.3f}" + (f"; below: {', '.join(below)}" if below else "")
    return [
        TableRow(
            "retention", title, goal, f"{estimate.mean:+.4f}", f"{len(changes)} families, {min(n)} screens each",
            _between(estimate), worst, judged(estimate.mean >= -0.01 and not below),
        )
    ]  # fmt: skip


def sequence(found: Found) -> list[TableRow]:
    final: ByUnit = {}
    transfer: ByUnit = {}
    n = 0
    for line in lines_of(found.config):
        for at, app in enumerate(line):
            right, last = (found.results.result("sequence", app, arm) for arm in ("right_after", "final"))
            if right.rows and last.rows:
                final[app] = [last.success]
                n += last.n
                if at < len(line) - 1:
                    transfer[app] = [last.success - right.success]
    rows = []
    for title, goal, values, least in (
        ("apps learnt one after another in one adapter: final success", ">= 0.85", final, 0.85),
        ("apps learnt one after another: backward transfer", ">= -0.03", transfer, -0.03),
    ):
        if not values:
            rows.append(missing("sequence", title, goal))
            continue
        estimate = bootstrap_mean(values)
        groups = f"{len(lines_of(found.config))} lines, {len(values)} apps, {n} screens"
        rows.append(
            TableRow(
                "sequence", title, goal, f"{estimate.mean:.3f}", groups, _between(estimate),
                f"{_short(estimate.worst)} {estimate.worst_mean:.2f}", judged(estimate.mean >= least),
            )
        )  # fmt: skip
    return rows


def calibration(found: Found) -> list[TableRow]:
    which = found.config.learning.gate.confidence
    title = f"the confidence that the gate reads ({which}), mixed set after learning"
    goal = "ECE <= 0.08, AUROC >= 0.75, Brier below the base rate's"
    untaught = found.results.rows("calibration")
    if not untaught:
        return [missing("calibration", title, goal)]
    seeds = found.config.evaluation.seeds
    after = found.results.rows("single", f"after@{seeds[0]}")
    half = max(len(untaught) // 2, 1)  # so many of what was taught and of old skills: failures are to be frequent
    some = max(half // max(len({row.task for row in after}), 1), 1)
    by_task: dict[str, int] = {}
    mixed = list(untaught)
    for row in after:
        by_task[row.task] = by_task.get(row.task, 0) + 1
        if by_task[row.task] <= some:
            mixed.append(row)
    retention = found.results.rows("retention")
    mixed += retention[:: max(1, len(retention) // half)]
    values, outcomes = readings(mixed, which)
    failures = 1 - sum(outcomes) / max(len(outcomes), 1)
    scores = ece(values, outcomes), auroc(values, outcomes), brier(values, outcomes), brier_base_rate(outcomes)
    if any(score is None for score in scores):
        return [missing("calibration", title, goal, "one class only")]
    error, ranking, squared, base = (float(score) for score in scores if score is not None)
    reached = error <= 0.08 and ranking >= 0.75 and squared < base and failures >= 0.3 and len(values) >= 1000
    value = f"ECE {error:.3f}, AUROC {ranking:.3f}, Brier {squared:.3f} (base rate {base:.3f})"
    counted = f"{len(values)} steps{' (fewer than 1000)' if len(values) < 1000 else ''}, {failures:.0%} failures"
    return [
        TableRow(
            "calibration", title, goal, value, counted, verdict=judged(reached)
        )
    ]  # fmt: skip
