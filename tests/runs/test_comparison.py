"""The table of runs and the comparison of some."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runs.conftest import METRICS, printed, started

from showonce.runs.comparison import comparison, overview
from showonce.runs.index import finish_run


def test_the_table_shows_numbers_and_dashes(tmp_path: Path) -> None:
    folder = started(tmp_path, "demo", task="app/dev/single/0")
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    finish_run(folder, tmp_path, "finished")
    text = printed(overview([], tmp_path))
    assert all(word in text for word in (folder.name, "app/dev/single/0", "10%", "95%", "12", "finished"))
    assert "No runs" in printed(overview([], tmp_path / "empty"))


def test_the_comparison_shows_all_metrics_and_only_settings_that_differ(tmp_path: Path) -> None:
    folders = [started(tmp_path, "a", seed=1), started(tmp_path, "b", seed=2, tasks=("p", "q"))]
    for folder, after in zip(folders, (0.9, 0.8), strict=True):
        (folder / "metrics.json").write_text(json.dumps({**METRICS, "after": {"success": after}}))
    text = printed(comparison(folders))
    assert all(word in text for word in ("after.success", "0.9", "0.8", "seed", "updates.accepted", "['p', 'q']"))
    assert "learning.gate.budget_run" not in text
