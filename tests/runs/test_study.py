"""The table of a study: means over tasks, paired differences, what is not there."""

from __future__ import annotations

from showonce.runs.study import SHOWN, Line, StudyLesson, cells, csv_text, markdown_table, summed, table_record
from showonce.runs.study_picture import study_picture


def lesson(line: str, task: str, seed: int, success: float | None, error: str = "") -> StudyLesson:
    return StudyLesson(line, task, seed, success, 10, 4, 2, 100, 3.0, 5.0, error)


LESSONS = [
    *(lesson("a", task, seed, 0.5 + 0.1 * seed) for task in ("x", "y", "z") for seed in range(2)),
    *(lesson("b", task, seed, 0.8 + 0.1 * seed) for task in ("x", "y") for seed in range(2)),
    lesson("b", "z", 0, None), lesson("b", "z", 1, None, "ValueError: no"),
]  # fmt: skip
LINES = summed([Line("a", "sdft"), Line("b", "rft", {"learning.sdft.lr": 0.1}), Line("c", "none")], LESSONS)


def test_means_are_over_tasks_and_differences_over_lessons_that_both_have() -> None:
    a, b, c = LINES
    assert a.success is not None and b.success is not None and b.difference is not None
    assert round(a.success.mean, 9) == 0.55 and a.difference is None and (a.lessons, a.asked) == (6, 6)
    assert round(b.success.mean, 9) == 0.85 and round(b.difference.mean, 9) == 0.3
    assert b.difference.low > 0.29 and (b.lessons, b.asked, b.failed) == (4, 6, 1)
    assert (b.updates, b.prompts, b.lesson_s, b.total_s) == (4, 100, 3.0, 30.0)
    assert c.success is None and cells(c)[1] == "-"


def test_the_table_as_text_csv_and_picture() -> None:
    assert cells(LINES[1])[0] == "rft lr=0.1" and cells(LINES[1])[3] == "+0.300" and "4 of 6" in cells(LINES[1])
    page = markdown_table(SHOWN, map(cells, LINES))
    assert page.count("\n") == 4 and page.splitlines()[2].startswith("| sdft | 0.550 |")
    text = csv_text([table_record(line) for line in LINES])
    assert text.splitlines()[0].startswith("learner,asked,lessons,failed,success,success_low")
    assert "learning.sdft.lr" in text.splitlines()[0]
    assert study_picture("three", LINES, LESSONS)[:4] == study_picture("none", [], [])[:4] == b"\x89PNG"


def test_one_lesson_alone_has_no_interval() -> None:
    (line,) = summed([Line("a", "sdft")], [lesson("a", "x", 0, 1.0)])
    assert cells(line)[2] == "" and table_record(line)["success_low"] is None
