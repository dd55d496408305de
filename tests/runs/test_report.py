"""The report says what metrics.json and the events say, and what is missing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.fakes import emit
from tests.runs.conftest import write_run

from showonce.errors import DiskError
from showonce.runs.event_file import EventWriter
from showonce.runs.history import read_history
from showonce.runs.learning_curve import learning_curve
from showonce.runs.report import summary, write_report

METRICS: dict[str, Any] = {
    "before": {"success": 0.21, "n": 100, "low": 0.14, "high": 0.30},
    "teacher": {"success": 0.95, "n": 100, "low": 0.89, "high": 0.98},
    "after": {"success": 0.93, "n": 100, "low": 0.86, "high": 0.97},
    "retention": {"before": 0.981, "after": 0.976, "worst_family": "drag", "worst_drop": 0.025, "n_per_family": 40},
    "baselines": {"replay_coordinates": {"success": 0.17, "n": 100, "low": 0.11, "high": 0.25}, "sft_demo": None},
    "calibration": {
        "before": None,
        "after": {"ece": 0.061, "auroc": 0.81, "brier": 0.1, "brier_base_rate": 0.12, "n": 100},
    },
    "updates": {
        "accepted": 24, "budget": 60, "by_route": {"shown": 18, "earned": 6},
        "rejected": {"teacher_unsure": 3, "headroom": 9}, "ms_median": 180.4,
    },
    "practice": {"episodes": 40, "distinct_screens": 39, "verified_outcomes_used": 40},
    "episodes": {"success": 30, "failure": 10, "retries": 0, "steps_median": 1, "seconds_median": 0.05},
    "rollbacks": [{"episode": "00063-x", "from": "v7", "to": "v5", "statistic": 5.154, "reason": "success dropped"}],
    "false_alarm_rate_stated": 0.05,
    "timing_ms": {"observe": 1.1, "model": 37.0, "parse": 0.04, "execute": 0.6, "overhead": 0.3},
    "wall_s": 88.2,
    "seed": 3,
    "checkpoint": "adapters/one_demo/v5",
    "reasons": {"sft_demo": "not asked for"},
}  # fmt: skip


def page(folder: Path, metrics: dict[str, Any]) -> str:
    return summary(folder.name, read_history(folder), metrics)


def test_summary_holds_every_number(tmp_path: Path) -> None:
    text_path, picture_path = write_report(write_run(tmp_path / "20260101-120000-one_demo", METRICS))
    text = text_path.read_text(encoding="utf-8")
    for fact in (
        "# one_demo: what happened",
        'Task `app/dev/single/0`, goal "zorb / the $lamp$", learner sdft, seed 3, 88 s. It ended: completed.',
        "**Without the demonstration, success rose from 0.21 to 0.93 (+0.72).**",
        "in context, before any learning, it was 0.95",
        "| before: no demonstration, nothing learned | 0.21 | 0.14 to 0.30 | 100 |",
        "| after: the checkpoint, no demonstration | 0.93 | 0.86 to 0.97 | 100 |",
        "| baseline: replay_coordinates | 0.17 | 0.11 to 0.25 | 100 |",
        "| baseline: sft_demo | - | not asked for | - |",
        "updates: 24 of 60 allowed (shown 18, earned 6), median 180 ms each",
        "refused by the gate: headroom 9, teacher unsure 3",
        "practice: 40 episodes, 39 distinct screens, 40 verified outcomes used",
        "observe 1.1, model 37.0, parse 0.0, execute 0.6, overhead 0.3",
        "old skills: 0.981 before, 0.976 after; worst family drag lost 0.025 (n per family 40)",
        "confidence after: ECE 0.061, AUROC 0.810, Brier 0.100, Brier of the base rate 0.120 (n=100)",
        "rolled back at episode 00063-x: v7 to v5 (success dropped, statistic 5.15)",
        "quarantined until a person re-admits it: v6, v7",
        "stated false-alarm rate over its horizon: 0.05",
        "Checkpoint: `adapters/one_demo/v5`",
        "showonce prove 20260101-120000-one_demo",
        f"![learning curve]({picture_path.name})",
    ):
        assert fact in text, fact
    assert "confidence before" not in text
    with Image.open(picture_path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "not run"), ({"success": None, "reason": "no demonstration was found"}, "no demonstration was found")],
)
def test_a_phase_that_did_not_run_says_why(tmp_path: Path, value: Any, words: str) -> None:
    missing = dict.fromkeys(("teacher", "retention", "calibration"), value)
    text = page(write_run(tmp_path / "run", None), {**METRICS, **missing, "baselines": None, "rollbacks": []})
    assert f"| teacher: the demonstration in context, nothing learned | - | {words} | - |" in text
    assert f"- old skills: {words}" in text
    assert "before any learning, it was" not in text


@pytest.mark.parametrize(("after", "verb"), [(0.1, "fell from 0.21 to 0.10 (-0.11)"), (0.21, "stayed at 0.21")])
def test_a_negative_result_is_said(tmp_path: Path, after: float, verb: str) -> None:
    metrics = {**METRICS, "after": {**METRICS["after"], "success": after}}
    assert f"success {verb}." in page(write_run(tmp_path / "run", None), metrics)


def test_a_run_that_was_cut_short_still_has_a_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", None, finish=False)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"kind": "probe", "succ')
    text, picture = write_report(folder)
    assert "The run did not finish." in text.read_text()
    assert "no readable metrics.json" in text.read_text()
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("content", ["{half", "[1]", '{"before": 3, "updates": [], "rollbacks": 7, "seed": "x"}'])
def test_strange_metrics_do_not_raise(tmp_path: Path, content: str) -> None:
    folder = write_run(tmp_path / "run", None)
    (folder / "metrics.json").write_text(content)
    assert "| before: no demonstration, nothing learned | - | not run | - |" in write_report(folder)[0].read_text()


def test_an_empty_folder_and_one_that_is_not_there(tmp_path: Path) -> None:
    assert "was not measured" in write_report(tmp_path)[0].read_text()
    with pytest.raises(DiskError):
        write_report(tmp_path / "missing")


def colours(png: bytes) -> set[tuple[int, int, int]]:
    with Image.open(io.BytesIO(png)) as image:
        found = image.convert("RGB").getcolors(1 << 24)
    return {colour for _, colour in found or [] if isinstance(colour, tuple)}  # type: ignore[misc]


def test_the_picture_shows_phases_and_rollback(tmp_path: Path) -> None:
    history = read_history(write_run(tmp_path / "run", None))
    green, red = (0x00, 0x9E, 0x73), (0xD5, 0x5E, 0x00)
    whole = learning_curve(history, METRICS)
    assert {green, red} <= colours(whole)
    assert green not in colours(learning_curve(history, {**METRICS, "after": None}))
    assert whole == learning_curve(history, METRICS)  # the same run gives the same picture


def test_counts_say_what_they_count_and_a_run_that_cannot_learn_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", METRICS)
    page = write_report(folder)[0].read_text()
    assert "- episodes that it played to learn and to probe, without the measured phases: 30 succeeded" in page
    assert "- updates: 24 of 60 allowed" in page
    with EventWriter(folder / "events.jsonl") as events:
        emit(events, "run_started", name="one_demo", learning=False)
    page = write_report(folder)[0].read_text()
    assert "- updates: learning off" in page and "of 60" not in page
