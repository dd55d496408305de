"""The event file as series over practice episodes."""

from __future__ import annotations

from pathlib import Path

from tests.runs.conftest import write_run

from showonce.runs.history import read_history, rolling_rate
from showonce.stats import wilson


def test_history_counts_practice_episodes_only(tmp_path: Path) -> None:
    history = read_history(write_run(tmp_path / "run", None))
    (probes,) = history.probes.values()
    assert history.episodes == 6
    assert [p.x for p in probes] == [1, 2, 3, 4, 5, 6]
    assert [p.success for p in probes] == [0, 1, 1, 0, 1, 1]
    assert [p.statistic for p in probes] == [None, 2, 4, 6, 8, 10]
    assert (history.updates, history.accepted, history.refused) == ([2], [2], [(2, "headroom")])
    assert (history.rollbacks, history.faults, history.quarantined) == ([6], [(6, "inverted_loss")], ["v6", "v7"])
    assert (history.errors, history.finished) == ({"parser": 1}, "completed")


def test_rolling_rate_has_the_interval_of_its_window(tmp_path: Path) -> None:
    (probes,) = read_history(write_run(tmp_path / "run", None)).probes.values()
    points = rolling_rate(probes, window=4)
    assert [p.rate for p in points] == [0.0, 0.5, 2 / 3, 0.5, 0.75, 0.75]
    assert points[0].interval == wilson(0, 1)
    assert points[-1].interval == wilson(3, 4)
