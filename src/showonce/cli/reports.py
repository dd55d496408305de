"""What verbs return, as tables and sentences for a person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from showonce.runs.metrics import UNCHECKED
from showonce.runs.study import SHOWN, Line, cells

if TYPE_CHECKING:
    from showonce.app.doctor import Check
    from showonce.app.parameters import Parameters
    from showonce.app.rollback import Checkpoints, RollbackResult
    from showonce.app.run import RunResult
    from showonce.evaluation.score import Score
    from showonce.runs.metrics import TaskResult
    from showonce.runtime.replay import ReplayReport

LONGEST: Final = 40  # characters of a recorded value in a table
MARKS: Final = {"ok": "[green]yes[/]", "no": "[dim]no[/]", "later": "[dim]later[/]", "needed": "[red]MISSING[/]"}


def doctor_table(checks: Sequence[Check]) -> Table:
    """Return one row for each check."""
    table = Table("", "here", "detail", title="showonce doctor", title_justify="left")
    for check in checks:
        table.add_row(check.name, MARKS[check.verdict], Text(check.detail))
    return table


def score_table(made: Score) -> Table:
    """Return one row for each task of a score, one for each part of its set (what it separates), and their mean."""
    drawn = Table("task", "success", "95 % interval", "n", "errors", title=made.name)
    for task, result in made.results.items():
        low, high = result.interval
        drawn.add_row(task, f"{result.success:.3f}", f"{low:.3f} to {high:.3f}", str(result.n), str(result.errors))
    drawn.add_section()
    for part, (separates, one) in made.parts.items():
        words = Text.assemble(part, (f": {separates}", "dim"))
        drawn.add_row(
            words,
            f"{one.mean:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            f"{one.n_units} task{'s' * (one.n_units != 1)}",
            "",
        )
    drawn.add_section()
    mean = made.mean
    drawn.add_row("mean", f"{mean.mean:.3f}", f"{mean.low:.3f} to {mean.high:.3f}", f"{mean.n_units} tasks", "")
    return drawn


def study_table(lines: Sequence[Line]) -> Table:
    """Return one row for each line of a study."""
    drawn = Table(*SHOWN, title_justify="left")
    for line in lines:
        drawn.add_row(*map(Text, cells(line)))
    return drawn


def values_table(made: Parameters) -> Table:
    """Return one row for each value of a recording."""
    table = Table("name", "kind", "recorded", "label", "steps", "follow it", title_justify="left")
    for value in made.values:
        notes = [
            value.expression,
            value.form if value.kind == "parameter" else "",
            "optional" if value.optional else "",
        ]
        kind = f"{value.kind} ({', '.join(filter(None, notes))})" if any(notes) else value.kind
        recorded = value.recorded if len(value.recorded) <= LONGEST else f"{value.recorded[:LONGEST]}…"
        steps = ", ".join(map(str, value.steps))
        follow = ", ".join(made.follows.get(value.name, ()))
        table.add_row(value.name, Text(kind), Text(recorded), Text(value.label), steps, Text(follow))
    return table


def settings_table(environment: str) -> Table:
    """Return one row for each setting of an environment.

    Raises:
        ConfigError: there is no such environment (nearest named).
    """
    from showonce.environments.registry import settings_type
    from showonce.environments.settings import listed

    title = f"environment {environment}"
    table = Table("environment.settings.", "type", "default", "meaning", title=title, title_justify="left")
    for line in listed(settings_type(environment)):
        table.add_row(line.name, Text(line.type), Text(line.default), Text(line.meaning))
    return table


def checkpoint_table(found: Checkpoints) -> Table:
    """Return one row for each checkpoint, newest last."""
    table = Table("checkpoint", "made", "probes", "state", title=str(found.store), title_justify="left")
    for one in found.versions:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created))
        probes = ", ".join(f"{task} {good}/{n}" for task, (good, n) in sorted(one.probes.items())) or "-"
        quarantined = f"quarantined: {one.quarantined}" if one.quarantined else ""
        marks = ["champion" if one.champion else "", "pinned" if one.pinned else "", quarantined]
        table.add_row(one.version, made, Text(probes), Text(", ".join(filter(None, marks))))
    return table


def move_text(moved: RollbackResult) -> str:
    """Return which checkpoint acts now, and what was quarantined or re-admitted by the move."""
    move = moved.move
    if move.old == move.new and not move.quarantined and not move.readmitted:
        return f"{move.new} acts already in adapter {moved.adapter}; nothing was changed."
    aside = f" Put aside until re-admitted: {', '.join(move.quarantined)}." if move.quarantined else ""
    back = f" {move.new} had been put aside and is re-admitted, with its sources." if move.readmitted else ""
    return f"adapter {moved.adapter}: {move.old} -> {move.new}.{back}{aside}"


def stop_text(result: RunResult, logs: str) -> str:
    """Return why a run was stopped, and the command that resumes it from the working folder."""
    below = Path(logs) == Path("logs") and result.folder.parent.resolve() == Path(logs).resolve()
    first = f"Remove {result.stop_file}, then go on" if result.stop_file is not None else "Go on"
    name = result.folder.name if below else result.folder
    return f"stopped ({result.stopped}). {first} by: showonce run resume={name}"


def results_text(tasks: Sequence[TaskResult]) -> str:
    """Return one line a task: how many attempts succeeded and who checked it; of a failure, why the last one ended."""
    lines = []
    for one in tasks:
        tried = f"{one.attempts} attempt{'s' * (one.attempts != 1)}"
        how = f"succeeded in {one.success} of {tried}, checked by {one.checker}"
        if one.checker == UNCHECKED:
            how = f"{one.claimed} of {tried} ended as done, and nothing checks it"
        which = "The last failure" if one.success else "It" if one.attempts == 1 else "The last"
        last = f" {which} ended with {_ended(one.stop_reason, one.why)}."
        lines.append(f"{one.task}: {how}.{last if one.stop_reason else ''}")
    return "\n".join(lines)


def _ended(reason: str, why: str) -> str:
    """Return why an attempt ended: the reason in words, then what it came of."""
    return ": ".join(filter(None, (reason.replace("_", " "), why.rstrip("."))))


def replay_text(report: ReplayReport) -> str:
    """Return what came of a replay; steps are counted from 1."""
    verdict = "succeeded" if report.reached else "failed, the goal was not reached"
    if not report.checked:
        verdict = "was done to its end, and nothing checks success" if report.reached else "was not done to its end"
    first, of = report.first_difference, f"of {report.recorded_steps} recorded actions"
    text = (
        f"{report.steps} {of} were done, by {report.mode}: it {verdict} "
        f"({_ended(report.stop_reason, report.episode.why)}). The new episode is in {report.episode.path}."
    )
    if first is None:
        return f"{text}\nNo difference from the recording."
    where = f"its ending, after {first.step} {of}" if first.kind == "ending" else f"step {first.step + 1}, {first.kind}"
    picture = f" See {first.picture}." if first.picture else ""
    return f"{text}\nFirst difference at {where}: {first.detail.rstrip('.')}.{picture}"
