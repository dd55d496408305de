"""PASS needs everything to be measured; the exit code and the JSON file say the same as the last line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import benchmarks
from benchmarks.verdict import EXIT_CODES, Row, Verdict, finish, of_ratio, of_times, parser
from showonce.evaluation.goals import Goal

ROOT = Path(__file__).resolve().parents[2]
QUICK = Goal("<=", 2.0, unit="x")
KEPT, MISSED = Row("kept", 1.5, QUICK, "x"), Row("missed", 2.5, QUICK, "x")
ABSENT, REPORTED = Row("absent", None, QUICK, why="run again with --install-peers"), Row("reported", 9.0)


@pytest.mark.parametrize(
    ("rows", "word", "code"),
    [
        ([KEPT, REPORTED], "PASS", 0),
        ([KEPT, ABSENT], "NOT MEASURED", 2),
        ([MISSED, ABSENT], "FAIL", 1),
        ([KEPT, MISSED], "FAIL", 1),
        ([ABSENT], "NOT MEASURED", 2),
        ([REPORTED], "NOT MEASURED", 2),
        ([], "NOT MEASURED", 2),
    ],
)
def test_pass_needs_every_goal_measured_and_kept(
    rows: list[Row], word: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = parser("doc", quick="nothing").parse_args(["--json", str(tmp_path / "out.json")])
    assert finish(rows, given) == code == EXIT_CODES[Verdict(tuple(rows)).word]
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith(f"{word}: ")
    assert len(out) == len(rows) + 1
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["verdict"] == word
    assert [row["holds"] for row in written["rows"]] == [row.holds for row in rows]


def test_a_row_says_how_much_it_stands_on_and_what_to_do_where_it_is_missing() -> None:
    times = of_times("a step", [10.0, 20.0, 30.0, 40.0, 50.0])
    assert str(times) == "a step: 30 ms, 10 to 90 %: 14 to 46 ms, n 5"
    ratio = of_ratio("a step / floor", [10.0, 20.0, 30.0], [10.0, 10.0], Goal("<=", 1.5, unit="x"))
    assert (ratio.value, ratio.n, ratio.holds) == (2.0, 2, False)
    assert str(ABSENT) == "absent: not measured (run again with --install-peers); goal <= 2.00x"


def test_the_package_lists_its_benchmarks() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(f"python -m {name}" in done.stdout for name in benchmarks())
