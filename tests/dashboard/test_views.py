"""What must be visible is visible at every size, nothing is wider or taller than the terminal, nothing raises."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from showonce.dashboard.card import summary
from showonce.dashboard.picture import load_frame
from showonce.dashboard.reader import RunReader, fold
from showonce.dashboard.state import RunView
from showonce.dashboard.views import screen
from showonce.events import from_json

MakeRun = Callable[..., Path]
SIZES = [(100, 30), (160, 50), (80, 24)]


def draw(what: RenderableType, width: int, height: int) -> str:
    """Render as text and check that it keeps to width x height."""
    console = Console(record=True, width=width, height=height, file=io.StringIO(), color_system="truecolor")
    console.print(what, height=height)
    text = console.export_text()
    lines = text.rstrip("\n").split("\n")
    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width
    return text


def view_of(events: list[dict[str, Any]]) -> RunView:
    view = RunView()
    for event in events:
        fold(view, from_json(event))
    return view


def read(folder: Path) -> RunView:
    reader = RunReader(folder)
    reader.poll()
    return reader.view


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_facts_are_on_the_screen(make_run: MakeRun, width: int, height: int) -> None:
    folder = make_run(finish=False)
    view = read(folder)
    assert view.step is not None
    sure = view.step.confidence
    assert view.started_at is not None and sure is not None
    frame = load_frame(folder, view.step.frame)
    text = draw(screen(view, frame, width, height, now=view.started_at + 42), width, height)
    for fact in (
        *("one_demo", "app/dev/single/0", "zorb the lamp", "live  0:42", "learn 150 of 150", "by student"),
        *("click (0.71, 0.32)", f"stated {sure.stated:.2f}", f"token {sure.token:.2f}", "calibrated -"),
        *("learning on: update 19 of 60; last decision:", "refused", "task budget 19 of 240"),
        *("rollbacks 1: rolled back at episode", f"champion {view.champion}", "candidate none"),
        *("drop test", "of 4.90", "expected 0.93", "▼", "▲", "before 0.20" if width == 80 else "before  0.20"),
        *("observe", "model", "parse", "execute", "overhead", "▀"),
        *("model 0", "parser 4", "executor 0", "environment 1"),
    ):  # fmt: skip
        assert fact in text, fact


@pytest.mark.parametrize(("width", "height"), [(100, 30), (160, 50)])
def test_checkpoints_are_listed(make_run: MakeRun, width: int, height: int) -> None:
    view = read(make_run())
    assert f"checkpoints {len(view.checkpoints)}: {' '.join(view.checkpoints)}" in draw(
        screen(view, None, width, height, 0.0), width, height
    )


def test_the_gate_says_why() -> None:
    numbers = {"budget_run_left": 48, "budget_task_left": 228}
    events = [
        {"t": 1, "kind": "run_started", "budget_run": 60, "budget_task": 240, "learning": True},
        {"t": 2, "kind": "gate", "accepted": False, "reason": "confidence 0.31 under 0.50", **numbers},
    ]
    text = draw(screen(view_of(events), None, 160, 50, now=3.0), 160, 50)
    assert "learning on: update 12 of 60; last decision: refused (confidence 0.31 under 0.50)" in text
    off = draw(screen(view_of([{"kind": "run_started", "learning": False}]), None, 100, 30, 0.0), 100, 30)
    assert "learning off" in off


def test_a_parse_failure_and_a_refusal_are_told_apart() -> None:
    step = {"t": 1, "kind": "step", "episode": "7", "index": 0, "executed": None, "executor": "student"}
    failure = {**step, "text": "I would click", "parse_failure": {"reason": "no_object", "detail": "no JSON"}}
    text = draw(screen(view_of([failure]), None, 100, 30, 0.0), 100, 30)
    assert "not an action: no_object: no JSON" in text
    assert "answer I would click" in text
    assert "parser 1" in text
    refused = {**step, "proposed": {"action": "key", "keys": "ctrl+q"}, "note": "the stop chord"}
    text = draw(screen(view_of([refused]), None, 100, 30, 0.0), 100, 30)
    assert "not executed: the stop chord" in text
    assert 'not done: key "ctrl+q"' in text
    assert "parser 0" in text


def test_a_silent_run_is_pointed_out() -> None:
    view = view_of([{"t": 100, "kind": "run_started", "name": "a"}])
    assert "● live" in draw(screen(view, None, 100, 30, now=130), 100, 30)
    assert "no event for 2:00, it may have been killed" in draw(screen(view, None, 100, 30, now=220), 100, 30)


def test_terminal_codes_in_events_are_not_passed_on() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07goal\n[bold]\x9b31m"
    events = [
        {"t": 1, "kind": "run_started", "name": evil, "task": evil, "goal": evil, "learning": True, "learner": evil},
        {"t": 1, "kind": "episode_started", "episode": evil, "adapter_version": evil, "executor": evil},
        {"t": 1, "kind": "step", "episode": evil, "executor": evil, "text": evil, "executed": {"action": evil}},
        {"t": 1, "kind": "gate", "accepted": False, "reason": evil, "numbers": {evil: 1.0}},
        {"t": 1, "kind": "error", "where": evil, "message": evil},
        {"t": 1, "kind": "rollback", "episode": evil, "old": evil, "new": evil, "reason": evil},
        {"t": 1, "kind": "phase_result", "name": evil, "success": 0.5, "n": 2},
        {"t": 1, "kind": "checkpoint", "version": evil},
        {"t": 1, "kind": "run_finished", "reason": evil},
    ]
    view = view_of(events)
    for what in (screen(view, None, 160, 50, 0.0), screen(view, None, 40, 10, 0.0), summary(view)):
        console = Console(width=160, height=50, file=io.StringIO(), color_system=None, force_terminal=False)
        console.print(what)
        assert isinstance(console.file, io.StringIO)
        assert not {c for c in console.file.getvalue() if not c.isprintable()} - {"\n"}
    assert not any(c for _, line in view.log for c in line if not c.isprintable())


@pytest.mark.parametrize(("width", "height"), [*SIZES, (70, 20), (40, 8), (10, 3), (300, 12), (71, 90)])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 1.0])
def test_every_size_and_moment_fits(make_run: MakeRun, width: int, height: int, part: float) -> None:
    folder = make_run()
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[: int(part * len(lines))]))
    view = read(folder)
    frame = load_frame(folder, view.step.frame if view.step else None)
    assert draw(screen(view, frame, width, height, now=0.0), width, height).strip()


def test_summary_holds_results_costs_and_what_was_undone(make_run: MakeRun) -> None:
    view = read(make_run())
    text = draw(summary(view), 100, 30)
    (rollback,) = view.rollbacks
    for fact in (
        *("finished: completed", "before", "teacher", "after", "n=20", "updates: 19 of 60", "shown 18, earned 1"),
        *(f"{view.episodes['success']} succeeded", "refused: headroom", f"{rollback.old} to {rollback.new}"),
        "errors model 0 parser 4",
    ):  # fmt: skip
        assert fact in text, fact
    assert "not finished" in draw(summary(RunView()), 100, 30)


def test_an_error_stands_whole_on_the_card_and_is_not_the_models() -> None:
    message = f"DemonstrationError: {'/a/long/path' * 8} is no episode folder. Name another."
    told = {"kind": "run_started", "name": "mine", "task": "t", "goal": "g", "learning": True, "budget_run": 60}
    error = {"kind": "error", "where": "input", "message": message}
    text = draw(summary(view_of([told, error, {"kind": "run_finished", "reason": message}])), 80, 30)
    assert "showonce · mine · finished: failed" in text
    assert message.replace(" ", "") in "".join(line.strip("│ ") for line in text.splitlines()).replace(" ", "")
    assert "model 0" in text and "acting adapter: none, nothing acted" in text


def test_a_fault_and_what_came_of_it_are_on_the_card() -> None:
    refused = {"kind": "promotion", "accepted": False, "old": "v0001", "new": "x", "reason": "canaries"}
    sources = ["a", "b", "c", "v0002"]
    events = [
        {"kind": "run_started", "learning": True, "budget_run": 60},
        *[{"kind": "update", "route": "shown"}] * 3,
        refused,
        {"kind": "fault", "name": "wrong_demonstration", "detail": "x"},
        *[{"kind": "update", "route": "shown"}] * 2,
        refused,
        refused,
        {"kind": "quarantine", "versions": sources},
        {"kind": "phase_result", "name": "retention", "success": 0.9, "n": 40, "low": 0.8, "high": 1, "before": 0.95},
    ]
    text = draw(summary(view_of(events)), 140, 30)
    came_of_it = "held back 2; quarantined 1 version and 3 sources; rolled back 0"
    assert f"fault: wrong_demonstration after 3 updates; {came_of_it}" in text
    assert "retention" in text and "n=40, 0.95 before" in text
    assert "held back" not in draw(summary(view_of(events[:4])), 140, 30)


def test_a_run_that_cannot_learn_says_so() -> None:
    text = draw(summary(view_of([{"kind": "run_started", "learning": False, "budget_run": 60}])), 100, 30)
    assert "updates: learning off" in text and "of 60" not in text


KINDS = (
    *("run_started", "phase", "episode_started", "step", "episode_finished", "guard", "gate", "update", "probe"),
    *("promotion", "checkpoint", "rollback", "quarantine", "lock_taken_over", "fault", "shadow", "phase_result"),
    *("error", "run_finished", "recovery", "pause", "stop", "canaries", "readmit"),
)
FIELDS = (
    *("t", "task", "goal", "name", "total", "episode", "success", "n", "statistic", "threshold", "frame", "executed"),
    *("proposed", "confidence", "timings", "stated", "model", "parse_failure", "accepted", "reason", "numbers"),
    *("budget_run_left", "budget_run", "versions", "version", "new", "old", "seconds", "learning", "kl", "loss"),
    *(
        "champion",
        "low",
        "route",
        "where",
        "action",
        "x",
        "y",
        "measure",
        "trouble",
        "detail",
        "step",
        "paused",
        "skills",
    ),
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=4,
)
EVENTS = st.lists(
    st.builds(
        lambda kind, data: {**data, "kind": kind},
        st.sampled_from(KINDS),
        st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=6),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS, st.sampled_from([*SIZES, (40, 8)]))
def test_no_event_can_break_the_screen(events: list[dict[str, Any]], size: tuple[int, int]) -> None:
    view = view_of(events)
    assert view.events == len(events)
    draw(screen(view, None, *size, now=5.0), *size)
    draw(summary(view), 100, 60)


EARLY: list[dict[str, Any]] = [
    {"t": 1, "kind": "run_started", "run": "mine", "name": "one_demo", "task": "app/dev/single/0", "goal": "zorb"},
    {"t": 2, "kind": "phase", "name": "teacher", "total": 100},
]
KEYS = "Ctrl-C: stop   Ctrl-\\: pause"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_before_the_first_step_the_screen_tells_what_is_done_and_how_far_it_is(width: int, height: int) -> None:
    view = view_of(EARLY[:1])
    assert "the model is being loaded" in draw(screen(view, None, width, height, 12.0), width, height)
    view = view_of(EARLY)
    view.phase_done = 25
    text = draw(screen(view, None, width, height, 12.0), width, height)
    assert "teacher: the model with" in text and "25 of 100" in text and "no step yet" in text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_last_line_names_the_keys_until_the_run_is_over(make_run: MakeRun, width: int, height: int) -> None:
    for finish in (False, True):
        view = read(make_run(finish=finish))
        text = draw(screen(view, None, width, height, 99.0, KEYS), width, height)
        assert (text.rstrip().splitlines()[-1].strip() == KEYS) is not finish
