"""summary.md, a run on one page, and learning_curve.png beside it.

Both are made from metrics.json and events.jsonl alone, so they can be made again at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from showonce.events import as_float
from showonce.fsio import atomic_write_bytes, atomic_write_text
from showonce.runs.history import History, read_history
from showonce.runs.layout import METRICS, PICTURE, SUMMARY
from showonce.runs.learning_curve import learning_curve
from showonce.runs.metrics import PARTS, read_metrics

PHASES: Final = {
    "before": "before: no demonstration, nothing learned",
    "teacher": "teacher: the demonstration in context, nothing learned",
    "after": "after: the checkpoint, no demonstration",
}
SCORES: Final = {"ece": "ECE", "auroc": "AUROC", "brier": "Brier", "brier_base_rate": "Brier of the base rate"}
Metrics = Mapping[str, Any]


def write_report(run_dir: str | Path) -> tuple[Path, ...]:
    """Write summary.md and, of a run that may learn, learning_curve.png into a run folder; return their paths.

    Works for a run that was cut short: the page names what is missing.

    Raises:
        DiskError: the folder cannot be written or its event file cannot be read.
    """
    folder = Path(run_dir)
    history, metrics = read_history(folder), read_metrics(folder)
    picture, text = folder / PICTURE, folder / SUMMARY
    if replayed := _mapping(metrics, "replay"):
        atomic_write_text(text, _replay_page(folder.name, history, metrics, replayed))
        return (text,)
    if isinstance(rows := metrics.get("do"), list):
        atomic_write_text(text, _do_page(folder.name, history, metrics, rows))
        return (text,)
    atomic_write_bytes(picture, learning_curve(history, metrics))
    atomic_write_text(text, summary(folder.name, history, metrics))
    return text, picture


def summary(run: str, history: History, metrics: Metrics) -> str:
    """Return the page as Markdown. run: the name by which the commands find the run."""
    sections = [
        [f"# {_inline(history.name or run)}: what happened", "", *_opening(history, metrics)],
        ["## Success", "", *_success_table(metrics), "", f"![learning curve]({PICTURE})"],
        *([["## Attempts", "", *attempts]] if (attempts := _attempts(metrics)) else []),
        ["## What it took", "", *_cost(metrics, history.learning)],
        ["## What was kept", "", *_kept(metrics)],
        ["## What was undone", "", *_undone(history, metrics)],
        ["## Where it is, what to try next", "", *_next(run, metrics)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _replay_page(run: str, history: History, metrics: Metrics, replayed: Metrics) -> str:
    """Return the page of a replay as Markdown."""
    reached, first = replayed.get("reached"), _mapping(replayed, "first_difference")
    lines = [f"- of `{_inline(str(replayed.get('of')))}`, by {_words(replayed, 'mode')}"]
    if reached is not None:
        lines += [
            f"- {_words(replayed, 'steps')} of {_words(replayed, 'recorded_steps')} recorded actions were done",
            f"- the goal was {'reached' if reached else 'not reached'}: {_ended(replayed)}",
            f"- the new episode: `{_inline(_words(replayed, 'episode'))}`",
        ]
        at = f"step {first['step'] + 1}, {_words(first, 'kind')}: {_words(first, 'detail')}" if first else "none"
        lines.append(f"- first difference from the recording: {at}")
    lines += [f"- errors: {_counts(history.errors)}"] if history.errors else []
    title = [f"# {_inline(history.name or run)}: what happened", "", *_facts(history, metrics)]
    return "\n\n".join("\n".join(part) for part in (title, ["## The replay", "", *lines])) + "\n"


def _do_page(run: str, history: History, metrics: Metrics, rows: Sequence[Any]) -> str:
    """Return the page of a chore as Markdown: a line a row, with what came of it and where its receipt is."""
    lines = ["| row | data | verdict | why | receipt |", "|---|---|---|---|---|"]
    for one in rows:
        data = ", ".join(f"{name} = {value}" for name, value in (_mapping(one, "values") or {}).items())
        lines.append(
            f"| {_at(one, 'row') or '-'} | {_inline(data) or 'as recorded'} | {_words(one, 'verdict')} | "
            f"{_words(one, 'why')} | {_words(one, 'receipt')} |"
        )
    lines += ["", f"- errors: {_counts(history.errors)}"] if history.errors else []
    title = [f"# {_inline(history.name or run)}: what was done", "", *_facts(history, metrics)]
    return "\n\n".join("\n".join(part) for part in (title, lines)) + "\n"


def _attempts(metrics: Metrics) -> list[str]:
    """Return one row for each task that was attempted: how often it succeeded, and why it last did not."""
    tasks = metrics.get("tasks")
    rows = [
        f"| {_words(one, 'task')} | {_words(one, 'success')} of {_words(one, 'attempts')} | "
        f"{_words(one, 'checker')} | {_ended(one) or '-'} |"
        for one in (tasks if isinstance(tasks, list) else [])
    ]
    head = ["| task | verified | checked by | the last that did not succeed |", "|---|---|---|---|"]
    return [*head, *rows] if rows else []


def _ended(source: Any) -> str:
    """Return why an attempt ended: its reason, and what that came of."""
    reason, why = (_inline(str(_at(source, key) or "")) for key in ("stop_reason", "why"))
    return ": ".join(filter(None, (reason.replace("_", " "), why)))


def _opening(history: History, metrics: Metrics) -> list[str]:
    lines = [*_facts(history, metrics), "", _headline(metrics)]
    if not metrics:
        lines += ["", f"There is no readable {METRICS}: the run was cut short before its numbers were written."]
    return lines


def _facts(history: History, metrics: Metrics) -> list[str]:
    facts = [f'Task `{_inline(history.task) or "-"}`, goal "{_inline(history.goal)}"']
    facts += [f"learner {_inline(history.learner)}"] if history.learner else []
    facts += [f"seed {metrics['seed']}"] if isinstance(metrics.get("seed"), int) else []
    seconds = _number(metrics, "wall_s")
    facts += [f"{seconds:.0f} s"] if seconds is not None else []
    ended = _inline(history.finished or "", 2000).rstrip(".")
    status = "The run did not finish." if history.finished is None else f"It ended: {ended}."
    return [", ".join(facts) + f". {status}"]


def _headline(metrics: Metrics) -> str:
    before, teacher, after = (_number(metrics, name, "success") for name in PHASES)
    if before is None or after is None:
        return "Success before and after learning was not measured in this run."
    change = after - before
    verb = "rose" if change > 0 else "fell" if change < 0 else "stayed"
    numbers = f"from {before:.2f} to {after:.2f} ({change:+.2f})" if change else f"at {before:.2f}"
    sentence = f"**Without the demonstration, success {verb} {numbers}.**"
    if teacher is not None:
        sentence += f" With the demonstration in context, before any learning, it was {teacher:.2f}."
    return sentence


def _success_table(metrics: Metrics) -> list[str]:
    lines = ["| | success | interval | n |", "|---|---|---|---|"]
    for name, words in PHASES.items():
        lines.append(_row(words, metrics.get(name), _why_missing(metrics, name)))
    baselines = metrics.get("baselines")
    for name, phase in (baselines if isinstance(baselines, Mapping) else {}).items():
        lines.append(_row(f"baseline: {_inline(str(name))}", phase, _why_missing(metrics, str(name))))
    return lines


def _row(words: str, phase: Any, missing: str) -> str:
    value, low, high = (_number(phase, key) for key in ("success", "low", "high"))
    if value is None:
        return f"| {words} | - | {missing} | - |"
    between = f"{low:.2f} to {high:.2f}" if low is not None and high is not None else "-"
    return f"| {words} | {value:.2f} | {between} | {_words(phase, 'n')} |"


def _why_missing(metrics: Metrics, name: str) -> str:
    """Return why a phase is null: its own `reason`, or the entry in `reasons`."""
    phase, reasons = metrics.get(name), metrics.get("reasons")
    for found, key in ((phase, "reason"), (reasons, name)):
        if isinstance(found, Mapping) and found.get(key):
            return _inline(str(found[key]))
    return "not run"


def _cost(metrics: Metrics, learning: bool) -> list[str]:
    lines = []
    updates = _mapping(metrics, "updates")
    if updates and not learning:
        lines.append("- updates: learning off")
    elif updates:
        routes = _counts(updates.get("by_route"))
        took = _number(updates, "ms_median")
        each = f", median {took:.0f} ms each" if took is not None else ""
        used, allowed = _words(updates, "accepted"), _words(updates, "budget")
        lines.append(f"- updates: {used} of {allowed} allowed ({routes}){each}")
        lines.append(f"- refused by the gate: {_counts(updates.get('rejected'))}")
    practice = _mapping(metrics, "practice")
    if practice:
        tried, screens = _words(practice, "episodes"), _words(practice, "distinct_screens")
        outcomes = _words(practice, "verified_outcomes_used")
        lines.append(f"- practice: {tried} episodes, {screens} distinct screens, {outcomes} verified outcomes used")
    episodes = _mapping(metrics, "episodes")
    if episodes:
        good, bad, again = (_words(episodes, key) for key in ("success", "failure", "retries"))
        steps, seconds = _number(episodes, "steps_median"), _number(episodes, "seconds_median")
        middle = f"; medians: {steps:g} steps, {seconds:.2f} s" if steps is not None and seconds is not None else ""
        what = "episodes that it played to learn and to probe, without the measured phases"
        lines.append(f"- {what}: {good} succeeded, {bad} failed, {again} retries{middle}")
    times = {name: _number(metrics, "timing_ms", name) for name in PARTS}
    if any(value is not None for value in times.values()):
        split = ", ".join(f"{name} {value:.1f}" for name, value in times.items() if value is not None)
        lines.append(f"- milliseconds a step (medians): {split}")
    return lines or ["Nothing was written about it."]


def _kept(metrics: Metrics) -> list[str]:
    lines = []
    before, after = _number(metrics, "retention", "before"), _number(metrics, "retention", "after")
    if before is not None and after is not None:
        retention = _mapping(metrics, "retention")
        worst = _number(retention, "worst_drop")
        named = f"; worst family {_words(retention, 'worst_family')} lost {worst:.3f}" if worst is not None else ""
        n = _words(retention, "n_per_family")
        lines.append(f"- old skills: {before:.3f} before, {after:.3f} after{named} (n per family {n})")
    else:
        lines.append(f"- old skills: {_why_missing(metrics, 'retention')}")
    for when in ("before", "after"):
        scores = {name: _number(metrics, "calibration", when, key) for key, name in SCORES.items()}
        if any(value is not None for value in scores.values()):
            named = ", ".join(f"{name} {value:.3f}" for name, value in scores.items() if value is not None)
            lines.append(f"- confidence {when}: {named} (n={_words(metrics, 'calibration', when, 'n')})")
    return lines


def _undone(history: History, metrics: Metrics) -> list[str]:
    lines = [f"- fault injected on purpose: {_inline(name)}" for _, name in history.faults]
    rollbacks = metrics.get("rollbacks")
    for back in rollbacks if isinstance(rollbacks, list) else []:
        if isinstance(back, Mapping):
            statistic = _number(back, "statistic")
            measured = f", statistic {statistic:.2f}" if statistic is not None else ""
            old, new, when = (_words(back, key) for key in ("from", "to", "episode"))
            at = f" at episode {when}" if when.strip("-") else ""
            lines.append(f"- rolled back{at}: {old} to {new} ({_words(back, 'reason')}{measured})")
    if history.held_back:
        lines.append(f"- {len(history.held_back)} candidates held back by the canaries before they could act")
    if history.quarantined:
        versions = ", ".join(dict.fromkeys(history.quarantined))
        lines.append(f"- quarantined until a person re-admits it: {_inline(versions)}")
    lines = lines or ["- nothing had to be undone"]
    rate = _number(metrics, "false_alarm_rate_stated")
    if rate is not None:
        lines.append(f"- the drop test's stated false-alarm rate over its horizon: {rate:g}")
    if history.errors:
        lines.append(f"- errors: {_counts(history.errors)}")
    return lines


def _next(run: str, metrics: Metrics) -> list[str]:
    checkpoint = metrics.get("checkpoint")
    place = f"`{_inline(str(checkpoint))}`" if checkpoint else f"none ({_why_missing(metrics, 'checkpoint')})"
    commands = [
        (f"showonce watch {run}", "look at the run again"),
        (f"showonce prove {run}", "was it learned from the demonstration? the controls"),
        (f"showonce rollback {run} --list", "the checkpoints, to go back to one"),
    ]
    width = max(len(command) for command, _ in commands)
    lines = [f"{command:<{width}}  # {words}" for command, words in commands]
    return [f"Checkpoint: {place}", "", "```sh", *lines, "```"]


def _inline(text: str, limit: int = 200) -> str:
    """Return text that stays on its line and in its cell, cut to `limit` characters."""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).replace("|", "/").replace("`", "'")


def _mapping(source: Any, key: str) -> Mapping[str, Any]:
    found = source.get(key) if isinstance(source, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _at(source: Any, *keys: str) -> Any:
    for key in keys:
        source = source.get(key) if isinstance(source, Mapping) else None
    return source


def _number(source: Any, *keys: str) -> float | None:
    return as_float(_at(source, *keys))


def _words(source: Any, *keys: str) -> str:
    value = _at(source, *keys)
    return "-" if value is None else _inline(f"{value:g}" if isinstance(value, float) else str(value))


def _counts(found: Any) -> str:
    if not isinstance(found, Mapping) or not found:
        return "none"
    ordered = Counter({str(k): v for k, v in found.items() if isinstance(v, int)}).most_common()
    return ", ".join(f"{_inline(name).replace('_', ' ')} {count}" for name, count in ordered if count) or "none"
