"""learning_curve.png: success on probes over practice episodes, the measured phases, gate decisions, drop test."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from showonce.events import as_float
from showonce.runs.history import WINDOW, History, rolling_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which keep apart for colour-blind eyes.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, FAINT = "#333333", "#999999"
TASK_COLOURS: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY)
PHASES: Final = (("before", FAINT), ("teacher", ORANGE), ("after", GREEN))
WHITE: Final = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}  # under a label
MOST_REASONS: Final = 6
MOST_TASKS: Final = 5  # tasks whose curves are drawn; more colours look alike


def learning_curve(history: History, metrics: Mapping[str, Any]) -> bytes:
    """Return the picture as PNG, 1440 x 960 pixels. metrics: metrics.json; a missing phase is marked `not run`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.6, 6.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display and without matplotlib's global state
    grid = figure.add_gridspec(3, 2, height_ratios=(4, 1.45, 1.6), width_ratios=(4, 1.1))
    success = figure.add_subplot(grid[0, 0])
    phases = figure.add_subplot(grid[0, 1], sharey=success)
    events = figure.add_subplot(grid[1, 0], sharex=success)
    drop = figure.add_subplot(grid[2, 0], sharex=success)
    reasons = figure.add_subplot(grid[1:, 1])
    for axes in (success, phases, events, drop):
        plain(axes)
    _success(success, history)
    _phases(phases, metrics)
    _events(events, history)
    _drop_test(drop, history, metrics)
    _reasons(reasons, history)
    success.set_xlim(0, max(1, history.episodes) * 1.02)
    success.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (success, events):
        axes.tick_params(labelbottom=False)
    drop.set_xlabel("practice episodes")
    title = f"{history.name or 'run'}: {history.goal or history.task or 'no task'}"
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "showonce"})
    return out.getvalue()


def literal(text: str) -> str:
    """Return at most 90 characters on one line, with `$` escaped, which matplotlib reads as mathematics."""
    safe = "".join(c if c.isprintable() else " " for c in text)
    return safe[:90].replace("$", r"\$")


def plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.yaxis.label.set_color(INK)


def _success(axes: Axes, history: History) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("success")
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_title(
        f"success on probes, mean of the last {WINDOW}, 95 % Wilson band", loc="left", fontsize=10, color=INK
    )
    drawn = list(history.probes.items())[:MOST_TASKS]
    for (task, probes), colour in zip(drawn, TASK_COLOURS, strict=False):
        points = rolling_rate(probes)
        x = [p.x for p in points]
        if len(drawn) <= 2:
            axes.fill_between(
                x, [p.interval.low for p in points], [p.interval.high for p in points],
                color=colour, alpha=0.15, linewidth=0,
            )  # fmt: skip
        axes.plot(x, [p.rate for p in points], color=colour, linewidth=2, label=literal(task))
        outcomes = [p.success + (0.022 if p.success >= 0.5 else -0.022) for p in probes]
        axes.plot([p.x for p in probes], outcomes, "|", color=colour, alpha=0.5, markersize=5)
    if len(drawn) > 1:
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    if not drawn:
        axes.text(0.5, 0.5, "no probe in this run", transform=axes.transAxes, ha="center", color=FAINT)
    for x_fault, name in history.faults:
        axes.axvline(x_fault, color=ORANGE, linewidth=1.2, linestyle=":")
        axes.text(x_fault, 0.04, f" fault: {literal(name)}", color=ORANGE, fontsize=8, bbox=WHITE)
    for x_back in history.rollbacks:
        axes.axvline(x_back, color=RED, linewidth=1.2)
        axes.text(x_back, 0.12, " rolled back", color=RED, fontsize=8, bbox=WHITE)


def _phases(axes: Axes, metrics: Mapping[str, Any]) -> None:
    """Scored phases as horizontal marks with their intervals."""
    axes.set_title("scored phases", loc="left", fontsize=10, color=INK)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_xlim(-0.6, len(PHASES) - 0.2)
    axes.set_xticks(range(len(PHASES)), [name for name, _ in PHASES])
    axes.tick_params(labelleft=False, left=False, labelsize=8)
    for i, (name, colour) in enumerate(PHASES):
        value, low, high = (_value(metrics, name, key) for key in ("success", "low", "high"))
        if value is None:
            axes.text(i, 0.5, "not run", rotation=90, ha="center", va="center", color=FAINT, fontsize=8)
            continue
        if low is not None and high is not None:
            axes.vlines(i, low, high, color=colour, linewidth=5, alpha=0.3)
        axes.hlines(value, i - 0.3, i + 0.3, color=colour, linewidth=3)
        above = value <= 0.9
        axes.annotate(
            f"{value:.2f}", (i + 0.1, value), (0, 4 if above else -4), textcoords="offset points", fontsize=9,
            va="bottom" if above else "top", fontweight="bold", color=INK,
        )  # fmt: skip


def _value(metrics: Mapping[str, Any], phase: str, key: str) -> float | None:
    found = metrics.get(phase)
    return as_float(found.get(key)) if isinstance(found, Mapping) else None


def _events(axes: Axes, history: History) -> None:
    """Gate decisions, updates, candidates held back or promoted, and rollbacks as ticks, one row each."""
    rows = [
        ("rollbacks", history.rollbacks, RED),
        ("held back by canaries", history.held_back, ORANGE),
        ("promotions", history.promotions, GREEN),
        ("refused by gate", [x for x, _ in history.refused], FAINT),
        ("updates", history.updates, BLUE),
    ]
    for y, (_, places, colour) in enumerate(rows):
        axes.plot(places, [y] * len(places), "|", color=colour, markersize=9, markeredgewidth=1.6)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_yticks(range(len(rows)), [f"{name} {len(places)}" for name, places, _ in rows])
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)


def _reasons(axes: Axes, history: History) -> None:
    """Why the gate refused, as a list."""
    axes.axis("off")
    counted = Counter(reason for _, reason in history.refused).most_common(MOST_REASONS)
    lines = [f"{count:>4}  {literal(reason.replace('_', ' '))[:28]}" for reason, count in counted]
    if lines:
        text = "\n".join(["refused because", *lines])
        axes.text(0, 1, text, transform=axes.transAxes, va="top", fontsize=8, color=INK, linespacing=1.5)


def _drop_test(axes: Axes, history: History, metrics: Mapping[str, Any]) -> None:
    """The drop test's statistic as a share of its threshold, so that tests with other thresholds share one axis."""
    axes.set_ylabel("statistic / threshold")
    rate = metrics.get("false_alarm_rate_stated")
    stated = f", stated false-alarm rate {rate:g}" if isinstance(rate, (int, float)) else ""
    axes.set_title(f"drop test{stated}", loc="left", fontsize=10, color=INK)
    highest = 1.0
    for probes, colour in zip(list(history.probes.values())[:MOST_TASKS], TASK_COLOURS, strict=False):
        armed = [(p.x, p.statistic / p.threshold) for p in probes if p.statistic is not None and p.threshold]
        if armed:
            x, share = zip(*armed, strict=True)
            axes.plot(x, share, color=colour, linewidth=1.5, drawstyle="steps-post")
            axes.fill_between(x, share, step="post", color=colour, alpha=0.15, linewidth=0)
            highest = max(highest, *share)
    axes.axhline(1.0, color=RED, linewidth=1, linestyle="--")
    axes.annotate(
        "rolls back here", (1, 1.0), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="right", fontsize=8, color=RED,
    )  # fmt: skip
    axes.set_ylim(0, highest * 1.25)
    for x_back in history.rollbacks:
        axes.axvline(x_back, color=RED, linewidth=1.2)
