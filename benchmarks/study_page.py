"""The page of the MiniWoB++ study: rows worked out from its folder, tables with intervals, learning curves."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from showonce.app.jobs import ROWS, Record, records
from showonce.config import Config
from showonce.evaluation.results import EvalResult, Results
from showonce.fsio import atomic_write_bytes, atomic_write_json, atomic_write_text
from showonce.stats import wilson

PART: Final = "study"
ARM_BEFORE: Final = "before"
FULL: Final = "full:"  # before an arm: only the whole raw reward is a success
CURVE: Final = "curve@{seed}-{n}"
PAGE, PICTURE, JSON = "study.md", "study.png", "study.json"
CONTROLS: Final = (
    "copied_coordinates", "template_replay", "no_demonstration", "practice_alone", "sft_teacher", "sft_demonstration",
)  # fmt: skip
CHECKS: Final = ("adapter_off", "other_tasks", "old_skills")
BLUE, ORANGE, INK, FAINT = "#0072B2", "#E69F00", "#333333", "#999999"  # Okabe and Ito's
COLUMNS: Final = 4
ZERO_SHOT: Final = 0.8  # success without a demonstration from which on a task counts as known
NOISE: Final = 0.05  # loss of success below which it is not listed as worse


@dataclass(frozen=True)
class Share:
    """Successes of n episodes; by_seed: of each lesson, where there are several."""

    successes: int = 0
    n: int = 0
    by_seed: tuple[float, ...] = ()

    @property
    def success(self) -> float:
        return self.successes / self.n if self.n else 0.0

    @property
    def text(self) -> str:
        """Success with Wilson's 95 % interval over the episodes."""
        if not self.n:
            return "-"
        low, high = wilson(self.successes, self.n)
        return f"{self.success:.2f} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Row:
    """One task. controls: shares by name; checks: the figures of adapter_off, other_tasks, old_skills by name.

    full: before and after where only the whole raw reward is a success.
    curves: by seed, the points (updates, success) of the greedy student. errors: why something was not done.
    """

    task: str
    goal: str = ""
    steps: int = 0
    before: Share = Share()
    teacher: Share = Share()
    after: Share = Share()
    full: tuple[Share, Share] = (Share(), Share())
    updates: tuple[int, ...] = ()
    practice: tuple[int, ...] = ()
    held_back: int = 0
    controls: Mapping[str, Share] = field(default_factory=dict)
    checks: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[int, list[tuple[int, float]]] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    @property
    def learned_nothing(self) -> bool:
        return bool(self.updates) and not any(self.updates)

    @property
    def lift(self) -> float:
        return self.after.success - self.before.success


# ------------------------------------------------------------------------------------------ rows


def rows_of(config: Config, folder: Path) -> list[Row]:
    """Return one row a task, in the order of config.tasks, from the rows and jobs of a folder."""
    results, done = Results(folder / ROWS), records(folder)
    results.close()
    return [_row(config, results, done, task) for task in config.tasks]


def _row(config: Config, results: Results, done: Mapping[str, Record], task: str) -> Row:
    seeds = config.evaluation.seeds

    def lessons(part: str) -> list[dict[str, Any]]:
        found = (done.get(f"{part}|{task}|{repetition}") for repetition in range(len(seeds)))
        return [record.numbers for record in found if record is not None and not record.error]

    def share(*arms: str) -> Share:
        found = [r for r in (results.result(PART, task, arm) for arm in arms) if r.n]
        rates = tuple(r.success for r in found) if len(arms) > 1 else ()
        return Share(sum(r.successes for r in found), sum(r.n for r in found), rates)

    def each(name: str) -> Share:
        return share(*(f"{name}@{seed}" for seed in seeds))

    learned, checked = lessons("learn"), lessons("controls")
    first = checked[0] if checked else {}
    taught = next(iter(lessons("taught")), {})
    controls = {"copied_coordinates": each("replay-coordinates"), "template_replay": each("replay-template")}
    controls |= {name: _pooled(taught[name]) for name in CONTROLS if name in taught}
    checks = {name: first[name] for name in CHECKS[1:] if first.get(name)}
    checks |= {"adapter_off": min(one["adapter_off"]["value"] for one in checked)} if checked else {}
    return Row(
        task, next((n["goal"] for n in learned), ""), max((n["steps"] for n in learned), default=0),
        share(ARM_BEFORE), each("teacher"), each("after"), (share(FULL + ARM_BEFORE), each(f"{FULL}after")),
        tuple(n["updates"] for n in learned),
        tuple(n["practice"] for n in learned), sum(n["held_back"] for n in learned), controls, checks,
        {seed: _curve(results, task, seed, n["updates"]) for seed, n in zip(seeds, learned, strict=False)},
        tuple(sorted({r.error for key, r in done.items() if r.error and key.split("|")[1] == task})),
    )  # fmt: skip


def _pooled(control: Mapping[str, Any]) -> Share:
    return Share(round(control["value"] * control["n"]), control["n"])


def _curve(results: Results, task: str, seed: int, updates: int) -> list[tuple[int, float]]:
    """Return the student's success on the same episodes, before the first update and after so many."""
    points: dict[int, EvalResult] = {}
    for n in range(1, updates + 1):
        found = results.result(PART, task, CURVE.format(seed=seed, n=n))
        if found.n:
            points[n] = found
    if not points:
        return []
    start = results.result(PART, task, ARM_BEFORE, [row.seed for row in next(iter(points.values())).rows])
    return [(n, r.success) for n, r in {0: start, **points}.items()]


# ------------------------------------------------------------------------------------------ the page


def write_page(config: Config, rows: list[Row], folder: Path) -> None:
    """Write study.md, study.json and study.png into the folder."""
    atomic_write_json(folder / JSON, [_plain(row) for row in rows])
    atomic_write_bytes(folder / PICTURE, picture(rows))
    atomic_write_text(folder / PAGE, page(config, rows))


def _plain(row: Row) -> dict[str, Any]:
    shares = {"before": row.before, "teacher": row.teacher, "after": row.after, **row.controls}
    shares |= dict(zip(("full_before", "full_after"), row.full, strict=True))
    told = {
        name: {"success": s.success, "n": s.n, "interval": list(wilson(s.successes, s.n)), "by_seed": s.by_seed}
        for name, s in shares.items() if s.n
    }  # fmt: skip
    return {
        "task": row.task, "goal": row.goal, "steps": row.steps, "lift": row.lift if row.after.n else None,
        "updates": row.updates, "practice_episodes": row.practice, "held_back": row.held_back, **told,
        "checks": dict(row.checks), "curves": {str(seed): points for seed, points in row.curves.items()},
        "errors": row.errors,
    }  # fmt: skip


def page(config: Config, rows: list[Row]) -> str:
    """Return the page as Markdown."""
    n, seeds = config.evaluation.screens, len(config.evaluation.seeds)
    lines = [
        f"{len(rows)} MiniWoB++ tasks, {seeds} lessons each (a demonstration, practice and learning seed of its own), "
        f"{n} measured episodes, the same for every lesson and column. *before* is greedy and knows no lesson, so it "
        "is measured once. *teacher* has the demonstration in its context, *after* has not: it is measured in a new "
        "process. In brackets: Wilson's 95 % interval over the episodes; then the lessons one by one.",
        "",
        "| task | before | teacher | after | lessons | lift | updates | steps shown |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lift = f"{row.lift:+.2f}" if row.after.n else "-"
        each = " ".join(f"{rate:.2f}" for rate in row.after.by_seed) or "-"
        updates = " ".join(map(str, row.updates)) or "-"
        lines.append(
            f"| {_short(row)} | {row.before.text} | {row.teacher.text} | {row.after.text} | {each} | {lift} "
            f"| {updates} | {row.steps or '-'} |"
        )
    lines += ["", *_full(rows), f"![learning curves]({PICTURE})", "", *_controls(rows), *_failures(rows)]
    return "\n".join(lines) + "\n"


def _short(row: Row) -> str:
    return row.task.removeprefix("miniwob/")


def _full(rows: list[Row]) -> list[str]:
    """Lines about success where only the whole reward counts."""
    found = [row for row in rows if any(s.n for s in row.full)]
    if not found:
        return []
    lines = [
        "Only the whole raw reward counted as success:",
        "",
        "| task | before | after | lessons |",
        "|---|---|---|---|",
    ]
    for row in found:
        before, after = row.full
        each = " ".join(f"{rate:.2f}" for rate in after.by_seed) or "-"
        lines.append(f"| {_short(row)} | {before.text} | {after.text} | {each} |")
    return [*lines, ""]


def _controls(rows: list[Row]) -> list[str]:
    """Lines about the controls: replays of every lesson, other learners beside the first one."""
    names = [name for name in CONTROLS if any(name in row.controls and row.controls[name].n for row in rows)]
    checks = [name for name in CHECKS if any(name in row.checks for row in rows)]
    if not names:
        return []
    heads = [name.replace("_", " ") for name in [*names, *checks]]
    lines = [
        "Controls. Replays act by the demonstration alone; the others learn with as many updates and as much practice "
        "as the first lesson. *adapter off*: share of answers that are those of before. *other tasks*, *old skills*: "
        "what the first lesson changes on the other tasks of this table and on the embedded world's skills.",
        "",
        f"| task | after | {' | '.join(heads)} |",
        "|---|" + "---|" * (len(heads) + 1),
    ]
    for row in rows:
        cells = [row.controls[name].text if name in row.controls else "-" for name in names]
        cells += [_check(row.checks.get(name)) for name in checks]
        lines.append(f"| {_short(row)} | {row.after.text} | {' | '.join(cells)} |")
    return [*lines, ""]


def _check(found: Any) -> str:
    if found is None:
        return "-"
    if isinstance(found, float):
        return f"{found:.2f}"
    return f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"


def _failures(rows: list[Row]) -> list[str]:
    """Lines about what did not work, task by task."""
    lines = []
    for row in rows:
        said = [*row.errors]
        if row.after.n and round(row.lift, 2) <= -NOISE:
            said.append(f"worse after learning than before ({row.lift:+.2f})")
        if row.after.n and row.teacher.n and row.teacher.success <= row.before.success < ZERO_SHOT:
            said.append("the demonstration does not help the teacher, so there is little to learn from it")
        if row.learned_nothing and row.before.success < ZERO_SHOT:
            said.append("no update was made")
        if row.held_back:
            said.append(f"canaries held {row.held_back} candidates back")
        if said:
            lines.append(f"- {_short(row)}: {'; '.join(said)}.")
    return ["What did not work:", "", *lines, ""] if lines else []


# ------------------------------------------------------------------------------------------ the picture


def picture(rows: list[Row]) -> bytes:
    """Return the learning curves as PNG: success of the greedy student over updates, one panel a task."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, max(1, len(rows)))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(2.7 * columns + 0.4, 2.1 * lines + 0.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for at, axes in enumerate(panels.flat):
        if at < len(rows):
            _panel(axes, rows[at])
        else:
            axes.axis("off")
    figure.supxlabel("updates", fontsize=9, color=INK)
    text = "greedy success on held-out episodes. Blue: the lessons, their mean; orange: teacher; grey: before"
    figure.suptitle("\n".join(textwrap.wrap(text, 28 * columns)), fontsize=8, color=INK)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "showonce"})
    return out.getvalue()


def _panel(axes: Any, row: Row) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(_short(row), fontsize=9, color=INK)
    axes.set_ylim(-0.04, 1.04)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=7, colors=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for share, colour in ((row.before, FAINT), (row.teacher, ORANGE)):
        if share.n:
            axes.axhline(share.success, color=colour, linewidth=1.2, linestyle="--")
    curves = [points for points in row.curves.values() if points]
    for points in curves:
        axes.plot(*zip(*points, strict=True), color=BLUE, linewidth=0.8, alpha=0.5)
    if curves:
        x = [n for n, _ in max(curves, key=len)]
        ends = [dict(points) for points in curves]
        mean = [sum(_at(points, n) for points in ends) / len(ends) for n in x]
        axes.plot(x, mean, color=BLUE, linewidth=2)
    elif not row.before.n:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=FAINT, fontsize=8)


def _at(points: dict[int, float], n: int) -> float:
    """Return the success after so many updates; a lesson that ended earlier keeps its last."""
    return points[max(m for m in points if m <= n)]
