"""The event file folds into the right facts, in pieces as well as whole, whatever is in it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.fakes import Board, ScriptedPolicy, board_task, oracle_policy, unreadable

from showonce.dashboard.card import summary
from showonce.dashboard.picture import load_frame
from showonce.dashboard.reader import ReplayReader, RunReader, fold
from showonce.dashboard.state import RunView
from showonce.dashboard.views import screen
from showonce.demonstrations import EpisodeStore
from showonce.events import KINDS, Readings, from_json
from showonce.runs.event_file import EventTail, EventWriter
from showonce.runtime.loop import run_episode

MakeRun = Callable[..., Path]


def read(folder: Path) -> RunView:
    reader = RunReader(folder)
    reader.poll()
    return reader.view


def of_kind(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def test_view_agrees_with_the_file(make_run: MakeRun) -> None:
    folder = make_run()
    view = read(folder)
    episodes = of_kind(folder, "episode_finished")
    assert view.episodes["success"] == sum(e["success"] is True for e in episodes) > 50
    assert view.episodes["failure"] == sum(e["success"] is False for e in episodes) > 10
    assert view.updates == view.updates_used == len(of_kind(folder, "update")) > 10
    assert view.task_updates_used == 240 - of_kind(folder, "gate")[-1]["budget_task_left"]
    probes = [probe.success for probe in view.probes["app/dev/single/0"]]
    assert probes == [float(e["success"]) for e in of_kind(folder, "probe")]
    assert view.results["after"].n == 20
    assert view.results["after"].success == of_kind(folder, "phase_result")[-1]["success"]
    assert (view.errors["environment"], view.errors["model"]) == (1, 0)
    assert view.errors["parser"] == sum(e["parse_failure"] is not None for e in of_kind(folder, "step")) > 0
    assert view.finished == "completed"
    assert view.broken == 0


def test_rollback_moves_the_champion_and_quarantines(make_run: MakeRun) -> None:
    folder = make_run()
    view, (event,) = read(folder), of_kind(folder, "rollback")
    (rollback,) = view.rollbacks
    assert (rollback.old, rollback.new, rollback.statistic) == (event["old"], event["new"], event["statistic"])
    assert view.champion == event["new"]
    assert view.quarantined == {event["old"]}
    assert view.faults == ["lr_x100"]
    assert [what for _, what in view.marks["app/dev/single/0"]].count("rollback") == 1


def test_a_healthy_run_has_no_rollback(make_run: MakeRun) -> None:
    view = read(make_run(poison_at=None))
    assert view.rollbacks == []
    assert view.promotions == len(view.checkpoints) > 0


def test_last_gate_decision_with_its_reason_and_route() -> None:
    view = RunView()
    fold(view, from_json({"t": 1.0, "kind": "run_started", "budget_run": 60, "budget_task": 240, "learning": True}))
    left = {"budget_run_left": 48, "budget_task_left": 200}
    fold(
        view,
        from_json({"t": 2.0, "kind": "gate", "accepted": True, "route": "shown", "reason": "", "numbers": {}, **left}),
    )
    assert view.gate is not None
    assert (view.gate.accepted, view.gate.route, view.updates_used, view.task_updates_used) == (True, "shown", 12, 40)
    refused = {"accepted": False, "route": None, "reason": "headroom", "numbers": {"success": 1.0}}
    fold(view, from_json({"t": 3.0, "kind": "gate", **refused, **left}))
    assert (view.gate.accepted, view.gate.reason, view.gate.numbers) == (False, "headroom", {"success": 1.0})
    assert view.refused == {"headroom": 1}


def test_confidences_and_time_split() -> None:
    view = RunView()
    for model in (10.0, 30.0, 20.0):
        step = {"confidence": {"stated": 0.8, "token": 0.4, "calibrated": None}, "timings": {"model": model, "odd": 1}}
        fold(view, from_json({"t": 1.0, "kind": "step", "episode": "a", "index": 2, **step}))
    assert view.step is not None
    assert view.step.confidence == Readings(0.8, 0.4, None)
    assert view.time_split == {"model": 20.0}


def test_curve_is_a_rolling_mean_of_the_last_probes() -> None:
    view = RunView()
    for success in (False, True, True, True):
        fold(view, from_json({"t": 1.0, "kind": "probe", "task": "a", "success": success}))
    assert view.curve("a", window=2) == [0.0, 0.5, 1.0, 1.0]
    assert view.curve("b") == []


def test_incremental_reading_equals_reading_at_once(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    data, part = (folder / "events.jsonl").read_bytes(), tmp_path / "part"
    part.mkdir()
    reader, told = RunReader(part), []
    with (part / "events.jsonl").open("wb", buffering=0) as file:
        for start in range(0, len(data), 4099):  # cuts lines anywhere
            file.write(data[start : start + 4099])
            told += reader.poll()
    whole = RunReader(folder)
    assert told == whole.poll()
    assert reader.view == whole.view


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert tail.poll() == []  # not there yet
    path.write_text('{"kind": "a"}\n{"kind": "b"')
    assert [e.to_json()["kind"] for e in tail.poll()] == ["a"]
    assert tail.poll() == []
    with path.open("a") as file:
        file.write("}\n")
    assert [e.to_json()["kind"] for e in tail.poll()] == ["b"]
    assert tail.broken == 0


def test_broken_lines_are_counted_and_unknown_kinds_passed_over(tmp_path: Path) -> None:
    broken = [b"{not json", b"[1, 2]", b'{"kind": 5}', b"\xff\xfe", b"[" * 100_000]
    lines = [*broken, b'{"kind": "later_version", "x": 1}', b""]
    good = b'{"t": 1, "kind": "run_started", "name": "still read"}'
    (tmp_path / "events.jsonl").write_bytes(b"\n".join([*lines, good]) + b"\n")
    view = read(tmp_path)
    assert view.broken == len(broken)
    assert view.run.name == "still read"


def test_a_file_that_began_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"t": 1, "kind": "run_started", "name": "first"}\n{"t": 2, "kind": "run_finished"}\n')
    reader = RunReader(tmp_path)
    reader.poll()
    assert reader.over
    path.write_text('{"t": 9, "kind": "run_started", "name": "second"}\n')
    reader.poll()
    assert (reader.view.run.name, reader.over) == ("second", False)


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    events = [{"t": 1, "kind": "run_started"}, {"t": 5, "kind": "run_finished", "reason": "stopped"}]
    events += [{"t": 100, "kind": "run_started"}, {"t": 101, "kind": "phase", "name": "after"}]
    view = RunView()
    for event in events:
        fold(view, from_json(event))
    assert (view.finished, view.started_at, view.elapsed(now=103)) == (None, 1.0, 102.0)
    assert view.silent_for(now=161) == 60.0


def test_many_events_fold_quickly(make_run: MakeRun) -> None:
    folder, size = make_run(), 50_000
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join((lines * (size // len(lines) + 1))[:size]))
    started = time.process_time()
    view = read(folder)
    assert time.process_time() - started < 2.0
    assert view.events == size


def test_replay_follows_the_clock_of_the_run(tmp_path: Path) -> None:
    lines = [{"t": 100, "kind": "run_started"}, {"t": 100, "kind": "phase", "name": "a"}]
    lines += [{"t": 10_000, "kind": "run_finished", "reason": "completed"}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    slow = ReplayReader(tmp_path, speed=1.0)
    slow.poll()
    assert (slow.view.phase, slow.over, slow.view.finished) == ("a", False, None)
    fast = ReplayReader(tmp_path, speed=1e15)
    fast.poll()
    assert (fast.over, fast.view.finished) == (True, "completed")


def test_what_the_real_loop_writes_is_understood(tmp_path: Path) -> None:
    store = EpisodeStore(tmp_path / "episodes")
    with EventWriter(tmp_path / "events.jsonl") as events:
        board, task = Board(), board_task("light red")
        good = run_episode(board, oracle_policy(board), task, seed=1, events=events, store=store)
        bad = run_episode(Board(), ScriptedPolicy([unreadable()] * 9), task, seed=2, events=events, store=store)
    view = read(tmp_path)
    assert (view.episodes["success"], view.episodes.total()) == (1, 2)
    assert view.stop_reasons == {str(good.stop_reason): 1, str(bad.stop_reason): 1}
    assert (view.errors["parser"], view.errors["model"]) == (len(bad.steps), 0)
    assert view.step is not None
    assert view.step.parse_failure
    assert (view.task, view.goal) == (task.id, "light red")
    assert set(view.time_split) == {"observe", "model", "parse", "execute", "overhead"}
    frame = load_frame(tmp_path, view.step.frame)
    assert frame is not None
    assert frame.size == (64, 48)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_content_of_a_file_stops_the_dashboard(data: st.DataObject) -> None:
    view = RunView()
    for kind in data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6)):
        names = [one.name for one in fields(KINDS[kind])]
        fold(view, from_json({"kind": kind, **{name: data.draw(ANYTHING) for name in names}}))
    console = Console(width=120, height=40, file=io.StringIO())
    console.print(screen(view, None, 120, 40, 0.0), summary(view))
