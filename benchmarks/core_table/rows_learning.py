"""The core table's rows about what is learned: success before and after, controls, retention, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from benchmarks.core_table.rows import ByUnit, Found, TableRow, Verdict, between, judged, missing, short
from benchmarks.core_table.schedule import TABLE_CONTROLS, apps_of, lines_of
from showonce.evaluation.controls import GOALS
from showonce.evaluation.goals import Goal
from showonce.evaluation.results import paired, readings
from showonce.evaluation.tasks import task_set
from showonce.stats import (
    auroc,
    bootstrap_mean,
    brier,
    brier_base_rate,
    ece,
    paired_bootstrap,
    paired_interval,
)

APPS, LESSONS, SCREENS = 20, 3, 200  # least apps, lessons of each app and screens of each lesson
MIXED_STEPS: Final = 1000  # steps on which the confidence has to be judged, at least


def _apps_row(found: Found, part: str, title: str, arm: str, goal: Goal) -> TableRow:
    apps = apps_of(found.config, "multi" if part == "multi" else "single")
    rates, n = found.rates(part, arm, apps)
    if not rates:
        return missing(part, title, goal)
    estimate = bootstrap_mean(rates)
    worst = (max if goal.relation == "<=" else min)(rates, key=lambda app: sum(rates[app]) / len(rates[app]))
    value = sum(rates[worst]) / len(rates[worst])
    failed = found.failed(part, f"after_{part}")
    return TableRow(
        part, title, str(goal), f"{estimate.mean:.3f}", _counted(rates, n, failed),
        between(estimate), f"{short(worst)} {value:.2f}", judged(goal.holds(estimate.mean), not failed),
    )  # fmt: skip


def _counted(rates: ByUnit, n: int, failed: int) -> str:
    """Return how many apps, lessons and screens there were, whether that is fewer than asked for, and failed jobs."""
    lessons = sum(len(values) for values in rates.values())
    enough = len(rates) >= APPS and lessons >= APPS * LESSONS and n >= lessons * SCREENS
    small = "" if enough else f" (fewer than {APPS} x {LESSONS} x {SCREENS})"
    return f"{len(rates)} apps, {lessons} lessons, {n} screens{small}" + (f"; {failed} jobs failed" if failed else "")


def skills(found: Found) -> list[TableRow]:
    title = "built-in skills of the tiny VLM"
    mean, each = Goal(">=", 0.95, name="mean"), Goal(">=", 0.85, name="each family")
    goal = f"{mean}, {each}"
    results = {t: found.results.result("skills", t, "before") for t in task_set("skills").ids}
    rates: ByUnit = {task: [r.success] for task, r in results.items() if r.rows}
    if not rates:
        return [missing("skills", title, goal)]
    estimate = bootstrap_mean(rates)
    n = min(results[task].n for task in rates)
    verdict = judged(mean.holds(estimate.mean), each.holds(estimate.worst_mean), len(rates) == len(results))
    return [
        TableRow(
            "skills", title, goal, f"{estimate.mean:.3f}", f"{len(rates)} families, {n} screens each",
            between(estimate), f"{short(estimate.worst)} {estimate.worst_mean:.2f}", verdict,
        )
    ]  # fmt: skip


def single(found: Found) -> list[TableRow]:
    rows = [
        _apps_row(found, "single", "single-step apps: before", "before", Goal("<=", 0.25)),
        _apps_row(found, "single", "single-step apps: teacher", "teacher", Goal(">=", 0.90)),
        _apps_row(found, "single", "single-step apps: after", "after", Goal(">=", 0.90)),
    ]
    return [*rows, _cost(found)]


def multi(found: Found) -> list[TableRow]:
    return [
        _apps_row(found, "multi", "multi-step apps: before", "before", Goal("<=", 0.10)),
        _apps_row(found, "multi", "multi-step apps: teacher", "teacher", Goal(">=", 0.80)),
        _apps_row(found, "multi", "multi-step apps: after", "after", Goal(">=", 0.80)),
    ]


def _cost(found: Found) -> TableRow:
    title = "updates and wall time of a single-step lesson"
    most, time = Goal("<=", 60, "g", unit=" updates"), Goal("<=", 90, "g", unit=" s")
    goal = f"{most}, {time}"
    took = list(found.numbers("single").values())
    if not took:
        return missing("single", title, goal)
    updates, seconds = [t["updates"] for t in took], [t["seconds"] for t in took]
    rolled = sum(t["rollbacks"] > 0 for t in took)
    verdict = judged(most.holds(max(updates)), time.holds(median(seconds)))
    value = f"median {median(updates):.0f} updates, {median(seconds):.0f} s"
    worst = f"most {max(updates)} updates, {max(seconds):.0f} s; {rolled} rolled back"
    return TableRow("single", title, goal, value, f"{len(took)} lessons", worst=worst, verdict=verdict)


def head_only(found: Found) -> list[TableRow]:
    title = "practice in the head only (0 episodes), single-step: after"
    return [_apps_row(found, "head_only", title, "after", Goal(">=", 0.80))]


def controls(found: Found) -> list[TableRow]:
    by_app = found.numbers("controls")
    rows = []
    for name in TABLE_CONTROLS:
        goal = GOALS.get(name)
        title = f"control: {name.replace('_', ' ')}"
        values: ByUnit = {app: [numbers[name]["value"]] for (app, _), numbers in by_app.items() if name in numbers}
        if not values:
            rows.append(missing("controls", title, goal or "reported"))
            continue
        estimate = bootstrap_mean(values)
        n = sum(numbers[name]["n"] for numbers in by_app.values() if name in numbers)
        more = _first_meaning(by_app) if name == "swapped" else ""
        verdict: Verdict = "reported" if goal is None else judged(goal.holds(estimate.mean))
        shown = str(goal) if goal is not None else "reported"
        rows.append(
            TableRow(
                "controls", title, shown, f"{estimate.mean:.3f}{more}", f"{len(values)} apps, {n} screens",
                between(estimate), f"{short(estimate.worst)} {estimate.worst_mean:.2f}", verdict,
            )
        )  # fmt: skip
    return rows


def _first_meaning(by_app: Mapping[tuple[str, int], dict[str, Any]]) -> str:
    told = [numbers["swapped"]["numbers"] for numbers in by_app.values()]
    first, chance = (sum(t[key] for t in told) / len(told) for key in ("first_meaning", "chance"))
    return f" (first meaning {first:.2f}, chance {chance:.2f})"


def specificity(found: Found) -> list[TableRow]:
    title = "untaught goals on screens with the taught target: share that goes to it, after - before"
    goal = GOALS["specificity"]
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
                "specificity", named, str(goal), share, f"{len(before)} apps, {screens} screens", between(change),
                f"{short(worst)} {rises[worst]:+.2f}", judged(goal.holds(change.mean)),
            )
        )  # fmt: skip
    return [*rows, _in_context(found)]


def _mean(values: ByUnit) -> float:
    return sum(v[0] for v in values.values()) / len(values)


def _in_context(found: Found) -> TableRow:
    title, goal = "demonstrations of other goals in context: adapter on - off", GOALS["other_demonstrations"]
    by_app = found.numbers("in_context")
    if not by_app:
        return missing("specificity", title, goal)
    changes: ByUnit = {app: [n["value"]] for (app, _), n in by_app.items()}
    estimate = bootstrap_mean(changes)
    screens = sum(n["n"] for n in by_app.values())
    return TableRow(
        "specificity", title, str(goal), f"{estimate.mean:+.3f}", f"{len(changes)} apps, {screens} screens",
        between(estimate), f"{short(estimate.worst)} {estimate.worst_mean:+.2f}", judged(goal.holds(estimate.mean)),
    )  # fmt: skip


def retention(found: Found) -> list[TableRow]:
    title = "retention of the built-in skills (paired, greedy)"
    mean, each = Goal(">=", -0.01, name="mean"), Goal(">=", -0.03, name="upper bound of each family")
    goal = f"{mean}, {each}"
    changes: ByUnit = {}
    below, n = [], []
    for task in task_set("skills").ids:
        pairs = paired(found.results.result("skills", task, "before"), found.results.result("retention", task, "after"))
        if pairs[0]:
            changes[task] = [(sum(pairs[1]) - sum(pairs[0])) / len(pairs[0])]
            n.append(len(pairs[0]))
            if not each.holds(paired_interval(*pairs).high):
                below.append(short(task))
    if not changes:
        return [missing("retention", title, goal)]
    estimate = bootstrap_mean(changes)
    worst = f"{short(estimate.worst)} {estimate.worst_mean:+.3f}" + (f"; below: {', '.join(below)}" if below else "")
    return [
        TableRow(
            "retention", title, goal, f"{estimate.mean:+.4f}", f"{len(changes)} families, {min(n)} screens each",
            between(estimate), worst, judged(mean.holds(estimate.mean), not below),
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
    for title, goal, values in (
        ("apps learnt one after another in one adapter: final success", Goal(">=", 0.85), final),
        ("apps learnt one after another: backward transfer", Goal(">=", -0.03), transfer),
    ):
        if not values:
            rows.append(missing("sequence", title, goal))
            continue
        estimate = bootstrap_mean(values)
        groups = f"{len(lines_of(found.config))} lines, {len(values)} apps, {n} screens"
        rows.append(
            TableRow(
                "sequence", title, str(goal), f"{estimate.mean:.3f}", groups, between(estimate),
                f"{short(estimate.worst)} {estimate.worst_mean:.2f}", judged(goal.holds(estimate.mean)),
            )
        )  # fmt: skip
    return rows


def calibration(found: Found) -> list[TableRow]:
    which = found.config.learning.gate.confidence
    title = f"the confidence that the gate reads ({which}), mixed set after learning"
    goals = Goal("<=", 0.08, name="ECE"), Goal(">=", 0.75, name="AUROC"), Goal("<", 0, "g", "Brier - base rate's")
    goal = ", ".join(map(str, goals))
    untaught = found.results.rows("calibration")
    if not untaught:
        return [missing("calibration", title, goal)]
    seeds = found.config.evaluation.seeds
    after = found.results.rows("single", f"after@{seeds[0]}")
    half = max(len(untaught) // 2, 1)  # number of rows of taught apps and of old skills that are mixed in
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
    kept = [goal.holds(value) for goal, value in zip(goals, (error, ranking, squared - base), strict=True)]
    value = f"ECE {error:.3f}, AUROC {ranking:.3f}, Brier {squared:.3f} (base rate {base:.3f})"
    small = "" if len(values) >= MIXED_STEPS else f" (fewer than {MIXED_STEPS})"
    counted = f"{len(values)} steps{small}, {failures:.0%} failures"
    verdict = judged(*kept, failures >= 0.3, len(values) >= MIXED_STEPS)
    return [TableRow("calibration", title, goal, value, counted, verdict=verdict)]
