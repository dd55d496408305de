from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes import emit

from showonce.errors import DiskError
from showonce.events import Event, RunStopped, Unknown, UpdateMade, from_json
from showonce.runs.event_file import EventTail, EventWriter, read_events
from showonce.types import StopReason

FULL = Path("/dev/full")


def update(**given: Any) -> Event:
    """An update of which some fields are given."""
    return replace(from_json({"kind": "update", "n": 1}), **given)


def test_an_event_is_in_the_file_when_emit_returns(tmp_path: Path) -> None:
    path = tmp_path / "run" / "events.jsonl"
    with EventWriter(path) as events:
        before = time.time()
        events.emit(update(loss=np.float32(0.25), kl=float("nan"), route=StopReason.COMPLETED, parts={"a": np.int8(3)}))
        line = json.loads(path.read_text())
        assert before - 1 <= line.pop("t") <= time.time() + 1
        assert line == {**update().to_json(), "loss": 0.25, "kl": None, "route": "completed", "parts": {"a": 3}}
        assert events.failed == ""


def test_a_reader_follows_a_growing_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert read_events(path) == tail.poll() == []
    with EventWriter(path) as events:
        for n in range(3):
            emit(events, "update", n=n)
            assert [getattr(event, "n", None) for event in tail.poll()] == [n]
    assert tail.poll() == [] and len(read_events(path)) == 3


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_full_disk_is_told_once_and_never_raises() -> None:
    events = EventWriter(FULL)
    with pytest.warns(RuntimeWarning, match="the disk is full.*Events are being lost") as told:
        emit(events, "update", n=1)
        emit(events, "update", n=2)
    assert len(told) == 1
    assert "the disk is full" in events.failed
    assert events.lost == 2
    events.close()


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full to stand for a full disk")
def test_not_even_a_warning_that_is_an_error_raises() -> None:
    events = EventWriter(FULL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        emit(events, "update", n=1)
    assert events.failed
    events.close()


def test_content_that_cannot_be_written_does_not_raise(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "events.jsonl") as events:
        endless: list[object] = []
        endless.append(endless)
        with pytest.warns(RuntimeWarning):
            events.emit(update(parts={"a": endless}))
        events.emit(update(candidate="\ud800 half a pair", parts={"a": object}))
    (event,) = read_events(tmp_path / "events.jsonl")
    assert isinstance(event, UpdateMade) and event.candidate.endswith("half a pair")


def test_an_event_after_the_end_is_lost_and_told(tmp_path: Path) -> None:
    events = EventWriter(tmp_path / "events.jsonl")
    events.close()
    with pytest.warns(RuntimeWarning, match="closed"):
        emit(events, "update", n=1)
    assert events.lost == 1


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(DiskError, match="logs"):
        EventWriter(tmp_path / "logs" / "events.jsonl")


WRITER = """
import sys
import threading
from showonce.events import from_json
from showonce.runs.event_file import EventWriter
events = EventWriter(sys.argv[1])
n = 0
while True:
    events.emit(from_json({"kind": "update", "n": n, "candidate": "x" * 2000}))
    n += 1
"""


def test_a_killed_writer_leaves_every_event_but_at_most_the_last(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size > 200_000):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    events = read_events(path)
    assert len(events) > 50
    assert [getattr(event, "n", None) for event in events] == list(range(len(events)))
    with EventWriter(path) as again:  # and a resumed run goes on in the same file
        emit(again, "run_started", run="again")
    assert [event.kind for event in read_events(path)] == ["update"] * len(events) + ["run_started"]


def test_two_runs_on_two_threads_and_two_threads_of_one_run_mix_no_lines(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "a.jsonl") as one, EventWriter(tmp_path / "b.jsonl") as other:

        def work(writer: EventWriter, candidate: str) -> None:
            for n in range(200):
                writer.emit(update(n=n, candidate=candidate * 500))

        threads = [threading.Thread(target=work, args=pair) for pair in ((one, "x"), (one, "y"), (other, "z"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.lost == other.lost == 0
    for name, letters in (("a", "xy"), ("b", "z")):
        events = read_events(tmp_path / f"{name}.jsonl")
        for letter in letters:
            own = [e.n for e in events if isinstance(e, UpdateMade) and e.candidate == letter * 500]
            assert own == list(range(200))
        assert len(events) == 200 * len(letters)


def test_a_reader_counts_what_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b'{"kind": "stop", "reason": "key"}\n{no\n[1]\n{"kind": 3}\n{"kind": "later", "x": 1}\n{"kind": "st'
    )
    tail = EventTail(path)
    assert [type(event) for event in tail.poll()] == [RunStopped, Unknown]
    assert tail.broken == 3
    assert [type(event) for event in read_events(path)] == [RunStopped, Unknown, Unknown]
