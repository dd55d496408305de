"""The table of runs and the comparison of some."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.runs.conftest import METRICS, printed, started

from showonce.cli import main
from showonce.config import Config, LearningConfig, OutputConfig
from showonce.errors import BadInput
from showonce.runs.comparison import comparison, overview, written
from showonce.runs.folder import start_run
from showonce.runs.index import finish_run, read_index, resolve_run
from showonce.runs.metrics import TaskResult


def test_the_table_shows_numbers_and_dashes(tmp_path: Path) -> None:
    folder = started(tmp_path, "demo", task="app/dev/single/0")
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    finish_run(folder, tmp_path, "finished")
    text = printed(overview([], tmp_path))
    assert all(word in text for word in (folder.name, "app/dev/single/0", "10/95/- %", "12 up, 1 back", "finished"))
    assert "No runs" in printed(overview([], tmp_path / "empty"))


def test_the_comparison_shows_all_metrics_and_only_settings_that_differ(tmp_path: Path) -> None:
    folders = [started(tmp_path, "a", seed=1), started(tmp_path, "b", seed=2, tasks=("p", "q"))]
    for folder, after in zip(folders, (0.9, 0.8), strict=True):
        (folder / "metrics.json").write_text(json.dumps({**METRICS, "after": {"success": after}}))
    text = printed(comparison(folders))
    assert all(word in text for word in ("after.success", "0.9", "0.8", "seed", "updates.accepted", "['p', 'q']"))
    assert "learning.gate.budget_run" not in text


def twelve(logs: Path) -> list[Path]:
    """Write twelve runs of all kinds: learned, failed, recorded, replayed."""
    made = []
    for seed in range(3):
        learned = started(logs, "one_demo", task="app/dev/single/0", seed=seed)
        after = {"success": 0.9 + seed / 100, "n": 50}
        (learned / "metrics.json").write_text(json.dumps({**METRICS, "after": after, "wall_s": 88.2}))
        finish_run(learned, logs, "completed", results=[TaskResult("app/dev/single/0", 40, 32, 0, "world")])
        made.append(learned)
        for kind, success, ended in (("record", 1, ""), ("replay", 0, "environment_error"), ("run", 0, "asked")):
            config = _config(logs, kind, seed)
            folder = start_run(config, kind)
            finish_run(folder, logs, "completed", results=[TaskResult("user/crm", 1, success, 0, "selector", ended)])
            made.append(folder)
    return made


def _config(logs: Path, name: str, seed: int) -> Any:
    frozen = LearningConfig(enabled=False)
    return Config(name=name, output=OutputConfig(logs=str(logs)), task="crm.yaml", seed=seed, learning=frozen)


def at_80(what: object) -> list[str]:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text().splitlines()


def test_twelve_runs_are_two_lines_each_at_80_columns(tmp_path: Path) -> None:
    folders = twelve(tmp_path)
    lines = at_80(overview([], tmp_path))
    assert len(lines) <= 2 * 12 + 5
    for folder in folders:
        assert any(line.startswith(folder.name) for line in (row.strip() for row in lines))
    text = "\n".join(lines)
    for word in (
        "32/40 world",
        "1/1 selector",
        "0/1 selector",
        "environment error",
        "asked",
        "sdft",
        "replay",
        "record",
    ):
        assert word in text, word
    assert "10/95/90 %" in text and "user/crm" in text


def test_many_runs_are_compared_as_rows_with_what_differs(tmp_path: Path) -> None:
    names = [folder.name for folder in twelve(tmp_path)]
    lines = at_80(overview(names, tmp_path))
    text = "\n".join(lines)
    assert all(any(line.strip().startswith(name) for line in lines) for name in names)
    assert "seed=2" in text and "90%" in text and "92%" in text and "32/40" in text and "…" not in text
    assert len(at_80(overview(names[:2], tmp_path))) > 20  # a few: every number, side by side


def test_runs_can_be_read_by_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [folder.name for folder in twelve(tmp_path)]
    rows = list(csv.DictReader(io.StringIO(written([], tmp_path, "csv"))))
    assert [row["name"] for row in rows] == names
    assert (rows[0]["kind"], rows[0]["success"], rows[0]["attempts"], rows[0]["checker"]) == (
        "run",
        "32",
        "40",
        "world",
    )
    found = json.loads(written([names[0], names[4]], tmp_path, "json"))
    assert [row["after.success"] for row in found] == [0.9, 0.91] and [row["seed"] for row in found] == [0, 1]
    assert main(["runs", "--json", f"output.logs={tmp_path}"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == names


def test_latest_of_a_verb_that_needs_a_run_passes_over_recordings_and_replays(tmp_path: Path) -> None:
    learned = started(tmp_path, "first")
    for kind in ("record", "replay", "eval"):
        start_run(_config(tmp_path, "mine", 1), kind)
    assert resolve_run("latest", tmp_path, ("run",)) == learned
    assert resolve_run("latest", tmp_path) != learned
    only = tmp_path / "only"
    start_run(_config(only, "mine", 1), "replay")
    with pytest.raises(BadInput, match="there are only replays"):
        resolve_run("latest", only, ("run",))


def test_an_index_without_kinds_is_read_by_the_names_of_the_runs(tmp_path: Path) -> None:
    folder = started(tmp_path, "replay")
    index = tmp_path / "index.jsonl"
    line = json.loads(index.read_text())
    del line["kind"]
    index.write_text(json.dumps(line) + "\n")
    (record,) = read_index(tmp_path)
    assert (record.kind, record.path) == ("replay", folder)
