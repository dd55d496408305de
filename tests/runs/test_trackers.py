"""Events become the right numbers on the right axes, all of them, and no tracker can touch the run."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import emit

from showonce.errors import ConfigError, Unavailable
from showonce.events import from_json
from showonce.runs.event_file import EventWriter
from showonce.runs.trackers import Following, Point, Scalars, open_tracker


class Recorder:
    """A tracker that keeps what it is given; it fails when it is told to."""

    def __init__(self, fail: bool = False) -> None:
        self.points: list[Point] = []
        self.closed = 0
        self.fail = fail

    def write(self, points: Sequence[Point]) -> None:
        if self.fail:
            raise ConnectionError("no network")
        self.points += points

    def close(self) -> None:
        self.closed += 1


def write_run(path: Path) -> None:
    with EventWriter(path / "events.jsonl") as events:
        emit(events, "run_started", task="a", seed=3)
        for i in (1, 2):
            confidence = {"stated": 0.5, "token": 0.25 * i, "calibrated": None}
            emit(events, "step", confidence=confidence, timings={"model": 10.0 * i, "note": "x"})
            emit(events, "episode_finished", phase="practice", success=i == 2, steps=1, seconds=0.5)
            emit(events, "update", n=i, loss=1.0 / i, kl=0.1 * i, ms=180, route="shown")
        emit(events, "probe", task="a", success=True, statistic=1.5, threshold=4.0, p0=None)
        emit(events, "gate", accepted=False, reason="headroom")
        emit(events, "rollback", old="b", new="a", statistic=5.0)
        emit(events, "error", where="model", message="!")
        emit(events, "phase_result", name="after", success=0.9, n=20, low=0.7, high=0.97)


def test_every_number_arrives_on_its_axis(tmp_path: Path) -> None:
    write_run(tmp_path)
    recorder = Recorder()
    with Following(tmp_path, (), every_s=0.01, trackers=[recorder]):
        pass
    assert recorder.points == [
        *(Point("confidence/stated", 0.5, "steps", 1), Point("confidence/token", 0.25, "steps", 1)),
        Point("ms/model", 10.0, "steps", 1),
        *(Point("episode/practice/success", 0.0, "episodes", 1), Point("episode/practice/steps", 1.0, "episodes", 1)),
        Point("episode/practice/seconds", 0.5, "episodes", 1),
        *(Point("update/loss", 1.0, "updates", 1), Point("update/kl", 0.1, "updates", 1)),
        Point("update/ms", 180.0, "updates", 1),
        *(Point("confidence/stated", 0.5, "steps", 2), Point("confidence/token", 0.5, "steps", 2)),
        Point("ms/model", 20.0, "steps", 2),
        *(Point("episode/practice/success", 1.0, "episodes", 2), Point("episode/practice/steps", 1.0, "episodes", 2)),
        Point("episode/practice/seconds", 0.5, "episodes", 2),
        *(Point("update/loss", 0.5, "updates", 2), Point("update/kl", 0.2, "updates", 2)),
        Point("update/ms", 180.0, "updates", 2),
        *(Point("probe/a/success", 1.0, "episodes", 2), Point("probe/a/statistic", 1.5, "episodes", 2)),
        *(Point("probe/a/threshold", 4.0, "episodes", 2), Point("gate/accepted", 0.0, "episodes", 2)),
        *(Point("rollback", 1.0, "episodes", 2), Point("error/model", 1.0, "episodes", 2)),
        *(Point("result/after/success", 0.9, "episodes", 2), Point("result/after/low", 0.7, "episodes", 2)),
        Point("result/after/high", 0.97, "episodes", 2),
    ]
    assert recorder.closed == 1


def test_what_is_written_while_the_run_goes_on_arrives_once(tmp_path: Path) -> None:
    recorder = Recorder()
    with Following(tmp_path, (), every_s=0.01, trackers=[recorder]), EventWriter(tmp_path / "events.jsonl") as events:
        for i in range(5):
            emit(events, "update", loss=float(i))
            time.sleep(0.02)
        assert recorder.points  # some of it before the end
    assert [(p.value, p.step) for p in recorder.points] == [(float(i), i + 1) for i in range(5)]


@pytest.mark.parametrize(
    "event", [{}, {"kind": "step", "confidence": 3, "timings": []}, {"kind": "phase_result", "t": "x"}]
)
def test_strange_events_have_no_numbers(event: dict[str, Any]) -> None:
    assert Scalars().of(from_json(event)) == []
    assert Scalars().of(from_json({"kind": "update", "loss": float("nan"), "kl": float("inf")})) == []


def test_a_tracker_that_fails_does_not_touch_the_run(tmp_path: Path) -> None:
    write_run(tmp_path)
    recorder, done = Recorder(fail=True), False
    with (
        pytest.warns(RuntimeWarning, match="Tracking stopped: ConnectionError: no network"),
        Following(tmp_path, (), every_s=0.01, trackers=[recorder]) as following,
    ):
        done = True
    assert done
    assert "no network" in following.failure
    assert recorder.closed == 1


def test_no_tracker_no_thread(tmp_path: Path) -> None:
    with Following(tmp_path, ()):
        assert "trackers" not in {thread.name for thread in threading.enumerate()}


def test_an_unknown_tracker_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'tensorboard'"):
        open_tracker("tensorbord", tmp_path, {})


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_names_the_extra(tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    before = Recorder()
    with pytest.raises(Unavailable, match=r"pip install 'showonce\[track\]'"):
        Following(tmp_path, (name,), trackers=[before])
    assert before.closed == 1  # what was open already is closed again


def test_tensorboard_files_hold_the_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    reading = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    write_run(tmp_path)
    with Following(tmp_path, ("tensorboard",), every_s=0.01) as following:
        pass
    assert following.failure == ""
    read = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [(e.step, e.value) for e in read.Scalars("update/loss")] == [(1, 1.0), (2, 0.5)]
    assert [e.step for e in read.Scalars("probe/a/success")] == [2]
