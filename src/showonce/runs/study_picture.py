"""comparison.png: success of every line of a study, its paired difference from the first, and what a lesson cost."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from showonce.runs.learning_curve import BLUE, FAINT, GREEN, INK, RED, literal, plain
from showonce.runs.study import Line, StudyLesson, by_task, certain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES: Final = 40  # lines that are drawn; the table has all


def study_picture(title: str, lines: Sequence[Line], lessons: Sequence[StudyLesson]) -> bytes:
    """Return the picture as PNG, a row a line, in the order of the table. lessons: of all lines; their tasks are dots.

    Left: success with its interval, a dot for each task. Middle: difference from the first line, with its interval:
    blue where the interval holds 0, else green (better) or red (worse). Right: seconds of a lesson.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [line for line in lines if line.success is not None][:MOST_LINES]
    figure = Figure(figsize=(9.6, 1.9 + 0.42 * max(len(drawn), 1)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display and without matplotlib's global state
    grid = figure.add_gridspec(1, 3, width_ratios=(4, 3, 2))
    success = figure.add_subplot(grid[0, 0])
    others = [figure.add_subplot(grid[0, at], sharey=success) for at in (1, 2)]
    for axes in (success, *others):
        plain(axes)
        axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    _success(success, drawn, lessons)
    _difference(others[0], drawn)
    others[1].barh(range(len(drawn)), [line.lesson_s for line in drawn], height=0.5, color=FAINT)
    others[1].set_title("seconds of a lesson", loc="left", fontsize=10, color=INK)
    for axes in others:
        axes.tick_params(labelleft=False, left=False)
    success.set_yticks(range(len(drawn)), [literal(line.name) for line in drawn])
    success.set_ylim(max(len(drawn), 1) - 0.5, -0.5)
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "showonce"})
    return out.getvalue()


def _success(axes: Axes, lines: Sequence[Line], lessons: Sequence[StudyLesson]) -> None:
    axes.set_title("success after the lesson, 95 %", loc="left", fontsize=10, color=INK)
    axes.set_xlim(-0.03, 1.03)
    for y, line in enumerate(lines):
        tasks = by_task(one for one in lessons if one.line == line.key)
        means = [sum(seeds.values()) / len(seeds) for seeds in tasks.values()]
        axes.plot(means, [y] * len(means), "o", color=FAINT, alpha=0.5, markersize=4)
        assert line.success is not None
        if certain(line):
            axes.hlines(y, line.success.low, line.success.high, color=BLUE, linewidth=5, alpha=0.3)
        axes.plot(line.success.mean, y, "|", color=BLUE, markersize=14, markeredgewidth=2.5)


def _difference(axes: Axes, lines: Sequence[Line]) -> None:
    axes.set_title("paired difference from the first", loc="left", fontsize=10, color=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    for y, line in enumerate(lines):
        one = line.difference
        if one is None:
            continue
        sure = certain(line) and not one.low <= 0 <= one.high
        colour = (GREEN if one.mean > 0 else RED) if sure else BLUE
        if certain(line):
            axes.hlines(y, one.low, one.high, color=colour, linewidth=5, alpha=0.3)
        axes.plot(one.mean, y, "|", color=colour, markersize=14, markeredgewidth=2.5)
