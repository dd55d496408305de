"""A run that an older version wrote (November 2026, kept in tests/data) is read as before.

Its updates were damaged on purpose (`learning/fault=lr_x100`); after its end a person rolled it back and re-admitted
what was quarantined. metrics.json and summary.md are the older version's: what its readers made of the same events.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from tests.runs.conftest import printed

from showonce.dashboard import watch
from showonce.dashboard.reader import RunReader
from showonce.events import EpisodeFinished, Event, RunFinished, RunStarted, StepTaken, Unknown
from showonce.fsio import plain
from showonce.runs.comparison import comparison, overview
from showonce.runs.event_file import read_events
from showonce.runs.history import read_history
from showonce.runs.index import finish_run, note_start, read_index
from showonce.runs.layout import CONFIG, EVENTS, METRICS, SUMMARY
from showonce.runs.metrics import metrics_of, read_metrics
from showonce.runs.report import write_report
from showonce.runs.trackers import Scalars
from showonce.settings import load_config

OLD = Path(__file__).parents[1] / "data" / "run_2026_11"
EVENT_KEYS = ("updates", "episodes", "rollbacks", "timing_ms", "wall_s", "seed")  # of metrics.json: made of events


def until_its_end() -> list[Event]:
    """The events that were there when metrics.json and summary.md were written."""
    events = read_events(OLD / EVENTS)
    return events[: next(i for i, event in enumerate(events) if isinstance(event, RunFinished)) + 1]


def test_every_line_is_an_event_that_keeps_all_it_said() -> None:
    events, lines = read_events(OLD / EVENTS), (OLD / EVENTS).read_text(encoding="utf-8").splitlines()
    assert len(events) == len(lines) > 600
    assert not [event for event in events if isinstance(event, Unknown)]
    assert len({type(event) for event in events}) >= 18
    for event, line in zip(events, lines, strict=True):
        old, new = json.loads(line), plain(event.to_json())
        assert {key: new[key] for key in old} == old


def test_metrics_are_what_the_older_version_made_of_them() -> None:
    old = read_metrics(OLD)
    new = metrics_of(until_its_end(), load_config(OLD / CONFIG), old, {})
    assert {key: new[key] for key in EVENT_KEYS} == {key: old[key] for key in EVENT_KEYS}
    assert new["practice"]["episodes"] == old["practice"]["episodes"]


def test_the_report_is_the_older_versions_word_for_word(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(OLD / METRICS, folder)
    lines = (OLD / EVENTS).read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / EVENTS).write_text("".join(lines[: len(until_its_end())]), encoding="utf-8")
    text, picture = write_report(folder)
    assert text.read_text() == (OLD / SUMMARY).read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_history() -> None:
    history = read_history(OLD)
    assert (history.name, history.learner, history.finished) == ("demo_fault", "sdft", "completed")
    assert len(history.updates) == 50 and len(history.promotions) == 3 and len(history.held_back) == 2
    assert len(history.rollbacks) == 1 and history.faults[0][1] == "lr_x100"
    assert "v0003" not in history.quarantined, "a person re-admitted it"


def test_the_dashboard_shows_its_end() -> None:
    reader = RunReader(OLD)
    lines = [line for _, line in reader.poll()]
    view = reader.view
    assert view.broken == 0 and view.finished == "completed" and view.champion == "v0002"
    assert (view.updates, len(view.rollbacks), view.promotions, view.promotions_refused) == (50, 1, 3, 2)
    assert (view.episodes.total(), view.run.budget_run, view.shadow_total) == (180, 75, 91)
    assert "rolled back: v0003 to v0002: by hand" in lines
    assert any(line.startswith("fault injected on purpose: lr_x100 injected after 30") for line in lines)
    assert watch(OLD, "off", follow=False).results["after"].success == 1.0


def test_trackers_get_its_numbers() -> None:
    scalars, events = Scalars(), read_events(OLD / EVENTS)
    names = Counter(point.name for event in events for point in scalars.of(event))
    assert scalars.counts["episodes"] == sum(isinstance(event, EpisodeFinished) for event in events)
    assert names["ms/model"] == sum(isinstance(event, StepTaken) for event in events)
    assert names["update/loss"] == 50 and names["rollback"] == 1 and names["result/after/success"] == 1


def test_it_has_its_row_in_the_table_of_runs(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "old"
    shutil.copytree(OLD, folder)
    config = load_config(folder / CONFIG, [f"output.logs={tmp_path / 'logs'}"])
    note_start(folder, config)
    finish_run(folder, tmp_path / "logs", "completed")
    (record,) = read_index(tmp_path / "logs")
    assert (record.updates, record.rollbacks, record.status) == (50, 0, "completed")
    assert record.before == pytest.approx(1 / 12) and record.after == 1.0
    assert "8/100/100 %" in printed(overview([], tmp_path / "logs"))
    assert "updates.accepted" in printed(comparison([folder, folder]))


def test_its_config_and_start_agree() -> None:
    started, config = read_events(OLD / EVENTS)[0], load_config(OLD / CONFIG)
    assert isinstance(started, RunStarted)
    assert (started.seed, started.adapter, started.task) == (config.seed, config.adapter, config.task)
    assert started.budget_run == config.learning.gate.budget_run
