"""The benchmark of targets: what it counts, on made descriptions, and its quick mode in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.browsers import needs_browser

from benchmarks import targets
from benchmarks.verdict import Verdict
from showonce.types import Element

ROOT = Path(__file__).resolve().parents[2]
ROW = Element("Edit", (0.1, 0.1, 0.2, 0.14), "button", near=("Ada",), page="http://crm.test/list", count=2)
OTHER = replace(ROW, near=("Bob",), index=1)


def test_a_thing_in_doubt_and_a_wrong_one_are_counted_apart() -> None:
    before = targets.Screen("list", "", ((ROW, "ada"), (OTHER, "bob")))

    def word(*after: tuple[Element, str]) -> tuple[str, list[str]]:
        trials = targets.trials_of([before], [targets.Screen("list", "same", after)], [])
        outcomes = [one.run()[0] for one in trials]
        rows = [row for row in targets.rows_of(trials, outcomes) if not row.name.startswith("renamed, found")]
        return Verdict(tuple(rows)).word, list(outcomes)

    assert word((ROW, "ada"), (OTHER, "bob")) == ("PASS", ["right", "right"])
    assert word((ROW, "bob"), (OTHER, "ada")) == ("FAIL", ["wrong", "wrong"])
    assert word((ROW, "ada"), (replace(OTHER, near=("Cyd",)), "bob")) == ("FAIL", ["right", "doubt"])


@needs_browser
def test_the_quick_mode_measures_and_passes(tmp_path: Path) -> None:
    told = tmp_path / "targets.json"
    command = [sys.executable, "-m", "benchmarks.targets", "--quick", "--json", str(told)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["name"]: row for row in json.loads(told.read_text("utf-8"))["rows"]}
    assert rows["sure and wrong"]["value"] == 0 and rows["sure and wrong"]["n"] > 400
