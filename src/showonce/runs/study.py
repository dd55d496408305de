"""A study as a table: learners beside each other, on the same tasks and seeds.

Success of a line: the mean over tasks of the mean over seeds. Its interval: a bootstrap over tasks, seeds nested. The
difference from the first line is taken lesson by lesson (same task, same seed) and bootstrapped in the same way.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from showonce.stats import Estimate, bootstrap_mean, paired_bootstrap

SHOWN: Final = ("learner", "success", "95 %", "- first", "95 %", "lessons", "updates", "prompts", "s", "total s")


@dataclass(frozen=True)
class StudyLesson:
    """One lesson of a study and what was measured afterwards.

    line: the key of its line. success: share of n screens; None = the lesson failed, for the reason in `error`, or was
    not taught yet. practice: episodes. prompts: how many the model read in the lesson. lesson_s: seconds of teaching;
    wall_s: with loading and measuring.
    """

    line: str
    task: str
    seed: int
    success: float | None = None
    n: int = 0
    updates: int = 0
    practice: int = 0
    prompts: int = 0
    lesson_s: float = 0.0
    wall_s: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Line:
    """One learner under one setting. asked: lessons that it was to be taught. first: the line itself is the first.

    success, difference: None where nothing was measured. The rest: means over lessons, and the sum of their seconds.
    """

    key: str
    learner: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    asked: int = 0
    lessons: int = 0
    failed: int = 0
    success: Estimate | None = None
    difference: Estimate | None = None
    updates: float = 0.0
    practice: float = 0.0
    prompts: float = 0.0
    lesson_s: float = 0.0
    total_s: float = 0.0

    @property
    def name(self) -> str:
        """The learner and its settings, each by the last part of its key."""
        told = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.settings.items())
        return f"{self.learner} {told}".strip()


def by_task(lessons: Iterable[StudyLesson]) -> dict[str, dict[int, float]]:
    """Return success by task and seed, without the lessons that have none."""
    found: dict[str, dict[int, float]] = {}
    for one in lessons:
        if one.success is not None:
            found.setdefault(one.task, {})[one.seed] = one.success
    return found


def summed(lines: Sequence[Line], lessons: Sequence[StudyLesson]) -> list[Line]:
    """Return the lines with their numbers. lessons: of all lines."""
    of_line: dict[str, list[StudyLesson]] = {line.key: [] for line in lines}
    for one in lessons:
        if one.line in of_line:
            of_line[one.line].append(one)
    return [_summed(line, of_line[line.key], of_line[lines[0].key]) for line in lines]


def _summed(line: Line, lessons: Sequence[StudyLesson], first: Sequence[StudyLesson]) -> Line:
    done = [one for one in lessons if one.success is not None]
    failed = sum(bool(one.error) for one in lessons)
    if not done:
        return Line(line.key, line.learner, line.settings, len(lessons), failed=failed)
    own, other = by_task(done), by_task(first)
    pairs = {task: [seed for seed in seeds if seed in other.get(task, {})] for task, seeds in own.items()}
    same = {task: seeds for task, seeds in pairs.items() if seeds}
    difference = None
    if same and lessons is not first:
        before, after = ({t: [s[t][seed] for seed in seeds] for t, seeds in same.items()} for s in (other, own))
        difference = paired_bootstrap(before, after)
    means = {
        name: sum(getattr(one, name) for one in done) / len(done)
        for name in ("updates", "practice", "prompts", "lesson_s")
    }
    return Line(
        line.key, line.learner, line.settings, len(lessons), len(done), failed,
        bootstrap_mean({task: [*seeds.values()] for task, seeds in own.items()}), difference, **means,
        total_s=sum(one.wall_s for one in lessons),
    )  # fmt: skip


def certain(line: Line) -> bool:
    """Whether the intervals of a line mean anything: one lesson alone has none."""
    return line.lessons > 1


def cells(line: Line) -> list[str]:
    """Return the texts of a line under the heads `SHOWN`."""
    lessons = str(line.lessons) + (f" of {line.asked}" if line.lessons < line.asked else "")
    if line.success is None:
        return [line.name, *["-"] * 4, lessons, *["-"] * 4]
    return [
        line.name, f"{line.success.mean:.3f}", _between(line, line.success, ".3f"),
        f"{line.difference.mean:+.3f}" if line.difference else "", _between(line, line.difference, "+.3f"), lessons,
        f"{line.updates:.0f}", f"{line.prompts:.0f}", f"{line.lesson_s:.0f}", f"{line.total_s:.0f}",
    ]  # fmt: skip


def _between(line: Line, estimate: Estimate | None, form: str) -> str:
    if estimate is None or not certain(line):
        return ""
    return f"{estimate.low:{form}} to {estimate.high:{form}}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, without a newline at its end."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def table_record(line: Line) -> dict[str, Any]:
    """Return a line as a flat record: its name, its settings by their keys, its numbers."""
    estimates: dict[str, float | None] = {}
    for name, one in (("success", line.success), ("difference", line.difference)):
        estimates[name] = one.mean if one else None
        for end in ("low", "high"):
            estimates[f"{name}_{end}"] = getattr(one, end) if one and certain(line) else None
    counts = {name: getattr(line, name) for name in ("asked", "lessons", "failed")}
    cost = {name: round(getattr(line, name), 3) for name in ("updates", "practice", "prompts", "lesson_s", "total_s")}
    return {"learner": line.learner, **line.settings, **counts, **estimates, **cost}


def lesson_record(lessons: Iterable[StudyLesson], lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the lessons as flat records: learner and settings of their lines, then their own numbers."""
    known = {line.key: line for line in lines}
    return [
        {"learner": known[one.line].learner, **known[one.line].settings, **asdict(one)}
        for one in lessons if one.line in known
    ]  # fmt: skip


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return records as CSV; a record may lack columns."""
    out = io.StringIO()
    columns = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(out, list(columns) or ["name"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
