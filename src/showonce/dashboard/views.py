"""Pure functions from a `RunView` to rich renderables. Nothing here reads a file or a clock.

`screen` fills width x height cells exactly; what stays on the terminal when the run is over is in `card`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image
from rich.align import Align
from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from showonce.dashboard import chart
from showonce.dashboard.picture import ScreenPicture
from showonce.dashboard.state import ERROR_SOURCES, RunView
from showonce.dashboard.wording import (
    action_words,
    clean,
    duration,
    end_words,
    gate_line,
    measure_words,
    number,
    phase_words,
    rollback_words,
)
from showonce.events import PhaseMeasured, ProbePlayed, Readings
from showonce.runs.metrics import PARTS

SILENT_S = 60.0  # a live run without an event for this long is pointed out
TIME_COLOURS = {"observe": "cyan", "model": "magenta", "parse": "yellow", "execute": "green", "overhead": "red"}
MARKS = {"promotion": ("▲", "green"), "rollback": ("▼", "red"), "fault": ("!", "yellow")}
CALLED = {"after:off": "adapter off"}  # a phase by another name than events.jsonl has
FIRST_PHASES = ("before", "teacher", "after", "retention")


@dataclass(frozen=True)
class Sizes:
    """Rows and columns of the parts of the screen, borders included."""

    step: int
    learning: int
    bottom: int
    left: int

    @classmethod
    def of(cls, width: int, height: int) -> Sizes:
        step, learning, bottom = (7, 9, 12) if height >= 44 else (6, 7, 7) if height >= 29 else (5, 6, 5)
        picture_rows = height - 2 - bottom - 3
        return cls(step, learning, bottom, max(20, min(2 * picture_rows + 4, int(width * 0.4))))


def screen(
    view: RunView, frame: Image.Image | None, width: int, height: int, now: float, keys: str = ""
) -> RenderableType:
    """Return the whole live screen. `now`: unix seconds, for the clock of a run that is not over. keys: what can be
    pressed, for the last line; none is drawn for a run that is over.
    """
    if width < 70 or height < 20:
        return _small_screen(view, width, height, now)
    foot = [Layout(Text(keys, "dim", no_wrap=True, overflow="ellipsis"), size=1)] if keys and not view.finished else []
    height -= len(foot)
    sizes = Sizes.of(width, height)
    layout = Layout()
    layout.split_column(
        Layout(name="header", size=2), Layout(name="middle"), Layout(name="bottom", size=sizes.bottom), *foot
    )
    layout["header"].update(Group(*header(view, width, now)))
    layout["middle"].split_row(Layout(name="screen", size=sizes.left), Layout(name="right"))
    layout["screen"].update(screen_panel(view, frame))
    inside = width - sizes.left - 4
    layout["right"].split_column(
        Layout(step_panel(view, inside), size=sizes.step),
        Layout(learning_panel(view, inside), size=sizes.learning),
        Layout(probes_panel(view, inside, height - 4 - sizes.bottom - sizes.step - sizes.learning)),
    )
    _bottom(layout["bottom"], view, width, sizes.bottom - 2)
    return layout


def _bottom(layout: Layout, view: RunView, width: int, rows: int) -> None:
    """Fill the last row: results, time and errors, and the log where there is room; one panel when it is narrow."""
    if width < 96 or rows < 4:
        layout.update(panel(_lines([results_line(view), time_line(view.time_split), error_line(view)]), "so far"))
        return
    if width >= 140:
        results, health = Layout(results_panel(view, rows, bars=True), size=46), Layout(size=62)
        health.update(health_panel(view, 58, rows))
        layout.split_row(results, health, Layout(log_panel(view, rows)))
    else:
        results = Layout(results_panel(view, rows, bars=False), size=38)
        layout.split_row(results, Layout(health_panel(view, width - 42, rows, with_log=True)))


def header(view: RunView, width: int, now: float) -> list[Text]:
    """Return the two top lines: name and state of the run; task, goal and phase."""
    left = Text("showonce ", style="bold magenta")
    left.append(clean(view.run.name or view.run.run or "waiting for the first event"), style="bold")
    if view.run.run not in ("", view.run.name):
        left.append(f"  {clean(view.run.run)}", style="dim")
    progress = _phase_words(view)
    task = Text.assemble(("task ", "dim"), clean(view.task) or "-")
    task.append("  goal ", "dim").append(clean(view.goal) or "-", "bold")
    return [_two_sided(left, _status(view, now), width), _two_sided(task, progress, width)]


def _status(view: RunView, now: float) -> Text:
    clock = duration(view.elapsed(now))
    if view.finished is not None:
        return Text(f"■ {end_words(view)[0]}  {clock}", style="bold cyan")
    if view.paused is not None:
        since = max(0.0, now - view.paused_at) if view.paused_at is not None else 0.0
        return Text(f"‖ paused {duration(since)} ({clean(view.paused, 60)})", style="bold yellow")
    silent = view.silent_for(now)
    if silent >= SILENT_S:
        return Text(f"? no event for {duration(silent)}, it may have been killed", style="bold yellow")
    return Text(f"● live  {clock}", style="bold green")


def _phase_words(view: RunView) -> Text:
    if not view.phase:
        return Text("")
    count = f" {view.phase_done} of {view.phase_total}" if view.phase_total else f" {view.phase_done} episodes"
    return Text.assemble(("phase ", "dim"), (clean(view.phase, 30), "bold yellow"), count)


def _two_sided(left: Text, right: Text, width: int) -> Text:
    """Return one line of exactly `width` cells: `left` cut to fit, `right` at the right edge."""
    right.truncate(width)
    room = max(0, width - right.cell_len - 1)
    left.truncate(room, overflow="ellipsis")
    left.append(" " * (width - right.cell_len - left.cell_len))
    left.append_text(right)
    left.no_wrap = True
    return left


def panel(content: RenderableType, title: str, subtitle: str | None = None) -> Panel:
    return Panel(
        content,
        title=Text(title, style="bold"),
        title_align="left",
        subtitle=Text(subtitle) if subtitle else None,
        subtitle_align="right",
        box=ROUNDED,
        border_style="bright_black",
        padding=(0, 1),
    )


def _lines(texts: Iterable[Text]) -> Group:
    kept = []
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
        kept.append(text)
    return Group(*kept)


def screen_panel(view: RunView, frame: Image.Image | None) -> Panel:
    """Return the picture of the screen with the last action on it."""
    step = view.step
    if step is None:
        return panel(Group(*_before_the_first_step(view)), "screen")
    action = step.executed or step.proposed
    caption = action_words(action) if action else "no action"
    picture = ScreenPicture(frame, action, executed=step.executed is not None)
    words = caption if step.executed else f"not done: {caption}"
    return panel(Align.center(picture, vertical="middle"), "screen", words)


def _before_the_first_step(view: RunView) -> list[Text]:
    """Return what the run is doing while there is no step to draw."""
    if not view.phase:
        return [Text("the model is being loaded" if view.run.run else "waiting for the first event", "dim")]
    doing = phase_words(view.phase)
    lines = [Text(f"{clean(view.phase, 30)}: {doing}" if doing else clean(view.phase, 30))]
    if view.phase_total:
        share = min(1.0, view.phase_done / view.phase_total)
        lines.append(Text(f"{chart.bar(share, 10)} {view.phase_done} of {view.phase_total} episodes", "yellow"))
    lines.append(Text("many screens are answered at once here; single steps are drawn when it learns", "dim"))
    return lines


def step_panel(view: RunView, width: int) -> Panel:
    """Return the last answer: action, outcome, confidences, and the raw text or why it was not an action."""
    step = view.step
    if step is None:
        return panel(Text("no step yet", style="dim"), "step")
    action = Text.assemble(("action ", "dim"), (action_words(step.executed or step.proposed), "bold"))
    for words, style in _came_of(view):
        action.append(f"  {words}", style=style)
    rows = [action, _confidences(view, width)]
    if step.parse_failure is not None:
        why = ": ".join(filter(None, (step.parse_failure.reason, step.parse_failure.detail))) or "no reason given"
        rows.append(Text(f"not an action: {clean(why)}", style="bold red"))
    elif step.executed is None and step.note:
        rows.append(Text(f"not executed: {clean(step.note)}", style="bold yellow"))
    if step.text:
        rows.append(Text.assemble(("answer ", "dim"), clean(step.text)))
    rows += [Text(f"{view.stop_reasons.total()} episodes so far, by stop reason: {counted(view.stop_reasons)}", "dim")]
    title = f"episode {clean(step.episode, 40)} · step {step.index} · by {clean(step.executor, 20) or '-'}"
    adapter = f"adapter {clean(view.adapter_version, 30)}" if view.adapter_version and width >= 50 else None
    return panel(_lines(rows), title, adapter)


def _came_of(view: RunView) -> list[tuple[str, str]]:
    step = view.step
    if step is None:
        return []
    words = []
    if step.step_correct is not None:
        words.append(("✓ right", "green") if step.step_correct else ("✗ wrong", "red"))
    if step.executed is None:
        words.append(("not executed", "yellow"))
    elif step.changed is not None:
        words.append(("screen changed", "dim") if step.changed else ("screen unchanged", "yellow"))
    return words


def _confidences(view: RunView, width: int) -> Text:
    line = Text("confidence" if width >= 52 else "conf.", style="dim")
    sure = view.step.confidence if view.step is not None else None
    for name, value in vars(sure or Readings()).items():
        line.append(f"{'  ' if width >= 52 else ' '}{name} ")
        style = "dim" if value is None else "green" if value >= 0.7 else "yellow" if value >= 0.4 else "red"
        line.append(number(value), style="dim" if value is None else f"bold {style} not dim")
        if value is not None and width >= 68:
            line.append(f" {chart.bar(value, 5)}", style=f"{style} not dim")
    return line


def learning_panel(view: RunView, width: int) -> Panel:
    """Return the gate, the budgets, champion and candidate, checkpoints and rollbacks."""
    gate = Text(textwrap.fill(gate_line(view), max(20, width), max_lines=2, placeholder=" …"))
    gate.highlight_regex(r"accepted", "bold green")
    gate.highlight_regex(r"refused", "bold yellow")
    rows: list[Text] = []
    if view.rollbacks:
        last = view.rollbacks[-1]
        rows.append(Text(f"rollbacks {len(view.rollbacks)}: {rollback_words(last)}", style="bold red"))
    ratchet = Text.assemble(
        ("champion ", "dim"), (clean(view.champion, 30) or "base", "bold green"),
        ("  candidate ", "dim"), (clean(view.candidate, 30) or "none", "bold"),
    )  # fmt: skip
    ratchet.append(f"  promotions {view.promotions}, held back {view.promotions_refused}", style="dim")
    rows.append(ratchet)
    rows.append(Text(f"checkpoints {len(view.checkpoints)}: {_newest(view.checkpoints)}"))
    if not view.rollbacks:
        rows.append(Text("rollbacks 0", style="dim"))
    if view.quarantined:
        rows.append(Text(f"quarantined: {_newest(sorted(view.quarantined))}", style="yellow"))
    if view.faults:
        rows.append(Text(f"faults injected on purpose: {clean(', '.join(view.faults))}", style="yellow"))
    rows.append(Text(_update_words(view), style="dim"))
    title = "learning" + (f" · {clean(view.run.learner, 20)}" if view.run.learner else "")
    used = view.task_updates_used
    task = f"task budget {used} of {view.run.budget_task}" if used is not None else None
    return panel(Group(gate, _lines(rows)), title, task)


def _update_words(view: RunView) -> str:
    words = [f"routes: {counted(view.routes)}"]
    if view.loss is not None:
        words.append(f"loss {number(view.loss, 3)}")
    if view.kl is not None:
        words.append(f"KL {number(view.kl, 3)}")
    words += [f"{clean(name, 24).replace('_', ' ')} {number(value, 3)}" for name, value in view.parts.items()]
    if view.shadow_total:
        words.append(f"shadow agrees {view.shadow_agrees} of {view.shadow_total}")
    return ", ".join(words)


def _newest(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return ("… " if len(names) > 6 else "") + " ".join(clean(name, 24) for name in names[-6:])


def counted(counter: dict[str, int]) -> str:
    ordered = sorted(counter.items(), key=lambda item: -item[1])
    return ", ".join(f"{clean(name or '?', 30).replace('_', ' ')} {count}" for name, count in ordered) or "none"


def probes_panel(view: RunView, width: int, rows: int) -> Panel:
    """Return success on probes over time as a curve, with the drop test's statistic under it.

    width and rows are those of the inside of the panel.
    """
    task = view.probe_task or view.task
    probes = view.probes.get(task, [])
    several = f" · {clean(task, 30)} ({len(view.probes)} tasks)" if len(view.probes) > 1 else ""
    title = f"success on probes{several}"
    if not probes:
        return panel(Text("no probe yet: every m-th episode is one, without demonstration or learning", "dim"), title)
    values = view.curve(task)
    columns, curve_rows = max(4, width - 4), max(1, rows - 3)
    drawn = chart.curve(values, columns, curve_rows)
    lines = [Text.assemble((_level(i, curve_rows), "dim"), (row, "bold cyan")) for i, row in enumerate(drawn)]
    lines.append(_axis(view, task, len(probes), columns))
    lines.append(Text.assemble(("drop", "dim"), (chart.spark(_shares(probes), columns), "yellow")))
    lines.append(_drop_words(probes[-1]))
    legend = "▲ promoted ▼ rolled back · " if width >= 54 else ""
    subtitle = f"{legend}last {min(20, len(probes))} of {len(probes)}: {number(values[-1])}"
    return panel(_lines(lines[-rows:]), title, subtitle)


def _level(row: int, rows: int) -> str:
    if row == 0:
        return "1.0 "
    return "0.0 " if row == rows - 1 else "0.5 " if rows % 2 and row == rows // 2 else "    "


def _shares(probes: Sequence[ProbePlayed]) -> list[float | None]:
    return [p.statistic / p.threshold if p.statistic is not None and p.threshold else None for p in probes]


def _axis(view: RunView, task: str, count: int, columns: int) -> Text:
    line: list[tuple[str, str]] = [("─", "bright_black")] * columns
    for index, what in view.marks.get(task, []):
        line[chart.column_of(max(index - 1, 0), count, columns)] = MARKS.get(what, ("?", "dim"))
    return Text.assemble(("    ", ""), *line)


def _drop_words(probe: ProbePlayed) -> Text:
    if probe.statistic is None:
        return Text("    drop test: not armed yet", style="dim")
    limit = f" of {number(probe.threshold)}" if probe.threshold is not None else ""
    words = Text.assemble(("    drop test ", "dim"), (f"{number(probe.statistic)}{limit}", "bold yellow"))
    if probe.p0 is not None:
        words.append(f", expected {number(probe.p0)}", style="dim")
    return words


def results_panel(view: RunView, rows: int, bars: bool) -> Panel:
    """Return success of the phases that have been measured, with intervals and n."""
    names = [n for n in FIRST_PHASES if n in view.results or n != "retention"]
    names += [n for n in view.results if n not in names]
    if not view.results:
        return panel(_lines([results_line(view), Text("no phase has been measured yet", style="dim")]), "results")
    hidden = [n for n in names if n not in view.results]
    shown = [n for n in names if n in view.results] + hidden
    table = Table.grid(padding=(0, 1), expand=False)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=13)
    for _ in range(4):
        table.add_column(no_wrap=True)
    for name in shown[:rows]:
        table.add_row(*result_row(name, view.results.get(name), bars))
    return panel(table, "results", f"{len(shown) - rows} more" if len(shown) > rows else None)


def result_row(name: str, result: PhaseMeasured | None, bars: bool) -> tuple[Text, ...]:
    """Return name, success, bar, interval and n."""
    if result is None or result.success is None:
        return Text(clean(name, 40), "dim"), Text("-", "dim"), Text(""), Text("not yet", "dim"), Text("")
    style = "green" if result.success >= 0.8 else "yellow" if result.success >= 0.4 else "red"
    between = f"[{number(result.low)}, {number(result.high)}]" if result.low is not None and bars else ""
    then = f", {number(result.before)} before" if result.before is not None and bars else ""
    return (
        Text(CALLED.get(name, clean(name, 40)), "bold"),
        Text(number(result.success), f"bold {style}"),
        Text(chart.bar(result.success, 6) if bars else "", style),
        Text(between),
        Text(f"n={result.n}{then}", "dim"),
    )


def health_panel(view: RunView, width: int, rows: int, with_log: bool = False) -> Panel:
    """Return the time split, errors by where they arose, guards, and the newest lines of the log. width: inside."""
    split = view.time_split
    lines = [time_bar(split, width), time_line(split), error_line(view)]
    if view.broken:
        lines.append(Text(f"{view.broken} lines of the event file could not be read", style="yellow"))
    if view.last_error:
        lines.append(Text(f"last error: {clean(view.last_error)}", style="red"))
    lines += [Text(line, style="yellow") for line in trouble_words(view)]
    if with_log:
        lines += _log_lines(view, rows - len(lines))
    return panel(_lines(lines[:rows]), "milliseconds a step, errors")


def trouble_words(view: RunView) -> list[str]:
    """Return lines on a stop, the guards that fired and the measures taken; no line for what did not happen."""
    tried = {measure_words(name): count for name, count in view.recoveries.items()}
    return [
        *([f"stopped: {clean(view.stopped)}"] if view.stopped else []),
        *([f"guards: {counted(view.guards)}"] if view.guards else []),
        *([f"recovery: {counted(tried)}"] if tried else []),
    ]


def time_bar(split: dict[str, float], width: int) -> Text:
    """Return one bar whose parts are the shares of observe / model / parse / execute / overhead, and the sum in ms."""
    total = sum(split.values())
    if total <= 0:
        return Text("no step has been timed yet", style="dim")
    words = f" {number(total, 1)}"
    line, edge, done, columns = Text(), 0.0, 0, max(1, width - len(words))
    for name in PARTS:
        edge += split.get(name, 0.0) / total * columns
        cells = round(edge) - done
        line.append("█" * cells, style=TIME_COLOURS[name])
        done += cells
    return line.append(words, style="bold")


def time_line(split: dict[str, float]) -> Text:
    """Return the medians of the five parts of a step in milliseconds, each in its colour."""
    line = Text()
    for name in PARTS:
        line.append(f"{' ' if line else ''}{name} ", style=TIME_COLOURS[name])
        line.append(number(split.get(name), 1 if split.get(name, 0) < 10 else 0))
    return line


def error_line(view: RunView) -> Text:
    """Return the number of failures by where they arose."""
    line = Text("errors")
    names = [*ERROR_SOURCES, *(n for n in view.errors if n not in ERROR_SOURCES)]
    for name in names:
        count = view.errors[name]
        line.append(f" {clean(name, 20)} {count}", style="bold red" if count else "dim")
    return line


def results_line(view: RunView) -> Text:
    """Return the phases' success in one line."""
    if not view.results:
        good, bad = view.episodes["success"], view.episodes["failure"]
        return Text(f"episodes: {good} succeeded, {bad} failed, {view.episodes['open']} not verified")
    line = Text()
    for name, result in view.results.items():
        line.append(f"{'  ' if line else ''}{clean(name, 30)} ").append(number(result.success), style="bold")
        line.append(f" n={result.n}", style="dim")
    return line


def log_panel(view: RunView, rows: int) -> Panel:
    """Return the newest lines of the log."""
    return panel(_lines(_log_lines(view, rows)), "what happened")


def _log_lines(view: RunView, rows: int) -> list[Text]:
    if rows <= 0:
        return []
    start = view.started_at or 0.0
    return [
        Text.assemble((f"{duration(max(0.0, at - start)) if at is not None else '-':>5} ", "dim"), sentence)
        for at, sentence in list(view.log)[-rows:]
    ]


def _small_screen(view: RunView, width: int, height: int, now: float) -> Group:
    """A screen too small for panels: the facts as lines, the most important first."""
    lines = [*header(view, width, now), Text(gate_line(view))]
    if view.step is not None:
        lines.append(Text(f"last action {action_words(view.step.executed or view.step.proposed)}"))
    lines += [Text(f"champion {clean(view.champion) or 'base'}, rollbacks {len(view.rollbacks)}"), error_line(view)]
    for name, result in view.results.items():
        lines.append(Text(f"{clean(name, 30)} {number(result.success)} n={result.n}"))
    return _lines(lines[: max(1, height)])
