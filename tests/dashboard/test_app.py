"""Watching: plain lines and the live screen, while a run grows and when it is over; trouble stays in the dashboard."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tests.fakes import emit

from showonce.dashboard import LiveDashboard, watch
from showonce.dashboard.app import JOIN_S
from showonce.dashboard.output import choose_mode
from showonce.errors import BadInput, ConfigError
from showonce.runs.event_file import EventWriter

MakeRun = Callable[..., Path]
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


def terminal(live: bool = True, encoding: str = "utf-8") -> tuple[Console, io.BytesIO]:
    """Return a console of 100 x 30 and the bytes that it writes."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    environ = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    console = Console(
        file=file, width=100, height=30, force_terminal=live, color_system="truecolor" if live else None,
        _environ=environ,
    )  # fmt: skip
    return console, raw


def text(raw: io.BytesIO) -> str:
    return raw.getvalue().decode()


def test_a_finished_run_is_shown_at_once_as_plain_lines(make_run: MakeRun) -> None:
    console, raw = terminal(live=False)
    view = watch(make_run(), console=console)
    lines = text(raw).splitlines()
    assert view.finished == "completed"
    assert lines[0].split(maxsplit=1)[1].startswith("run one_demo starts: task app/dev/single/0")
    for part in ("result before: 0.20", "update 1 of 60 (shown)", "rolled back at episode", "run finished after"):
        assert any(part in line for line in lines), part
    assert "\x1b" not in text(raw)
    assert "errors model 0 parser 4" in text(raw)  # the summary


def test_a_finished_run_is_shown_at_once_on_a_terminal(make_run: MakeRun) -> None:
    console, raw = terminal()
    watch(make_run(), console=console)
    assert ENTER_SCREEN not in text(raw)
    assert "▀" in text(raw)
    assert "success on probes" in text(raw)
    assert text(raw).count("\n") <= 29 + 13


def test_follow_ends_with_the_run(make_run: MakeRun) -> None:
    folder = make_run(finish=False)

    def go_on() -> None:
        time.sleep(0.2)
        with EventWriter(folder / "events.jsonl") as events:
            emit(events, "phase_result", name="after", success=1.0, n=7, low=0.6, high=1.0)
            emit(events, "run_finished", reason="completed", seconds=3.0)

    run = threading.Thread(target=go_on)
    run.start()
    console, raw = terminal()
    view = watch(folder, refresh_per_second=20, console=console)
    run.join()
    assert (view.finished, view.results["after"].n) == ("completed", 7)
    assert text(raw).count(ENTER_SCREEN) == text(raw).count(LEAVE_SCREEN) == 1
    assert "n=7" in text(raw).split(LEAVE_SCREEN)[1]  # the summary stays


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_q_leaves_and_gives_the_terminal_back(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty
    import termios

    person, ours = pty.openpty()
    before = termios.tcgetattr(ours)
    with os.fdopen(ours) as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        presses = [threading.Timer(delay, os.write, (person, key)) for delay, key in ((0.3, b"x"), (0.6, b"q"))]
        for press in presses:
            press.start()
        console, raw = terminal()
        view = watch(make_run(finish=False), console=console)
        assert termios.tcgetattr(keyboard.fileno()) == before
    os.close(person)
    assert view.finished is None
    assert text(raw).count(LEAVE_SCREEN) == 1


def test_without_a_keyboard_and_a_terminal(make_run: MakeRun) -> None:
    code = f"from showonce.dashboard import watch; watch({str(make_run())!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "run one_demo starts" in done.stdout


def test_without_follow_a_live_run_is_read_once(make_run: MakeRun) -> None:
    console, raw = terminal(live=False)
    assert watch(make_run(finish=False), follow=False, console=console).finished is None
    assert "not finished" in text(raw)


def test_replay_tells_the_same_lines(make_run: MakeRun) -> None:
    folder = make_run()
    at_once, replayed = terminal(live=False), terminal(live=False)
    watch(folder, console=at_once[0])
    watch(folder, console=replayed[0], speed=1000.0, refresh_per_second=30)
    assert text(replayed[1]) == text(at_once[1])


def test_what_cannot_be_watched(tmp_path: Path, make_run: MakeRun) -> None:
    with pytest.raises(BadInput, match=r"no events.jsonl.*showonce runs"):
        watch(tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'plain'"):
        watch(make_run(), mode="plian")
    with pytest.raises(BadInput, match="speed"):
        watch(make_run(), speed=-1)


def test_modes() -> None:
    able, pipe = terminal()[0], terminal(live=False)[0]
    assert [choose_mode(mode, able) for mode in ("auto", "live", "plain", "off")] == ["live", "live", "plain", "off"]
    assert [choose_mode(mode, pipe) for mode in ("auto", "live", "plain", "off")] == ["plain", "plain", "plain", "off"]
    assert choose_mode("auto", terminal(encoding="ascii")[0]) == "plain"
    small = Console(file=io.StringIO(), width=60, height=15, force_terminal=True, _environ={"TERM": "xterm"})
    dumb = Console(file=io.StringIO(), width=100, height=30, force_terminal=True, _environ={"TERM": "dumb"})
    assert (choose_mode("auto", small), choose_mode("auto", dumb)) == ("plain", "plain")


def test_a_terminal_without_these_letters_gets_question_marks(make_run: MakeRun) -> None:
    console, raw = terminal(live=False, encoding="ascii")
    watch(make_run(), console=console)
    assert b"run one_demo starts" in raw.getvalue()
    assert max(raw.getvalue()) < 128


@pytest.mark.parametrize("live", [True, False])
def test_live_dashboard_reads_what_the_run_writes(tmp_path: Path, live: bool) -> None:
    console, raw = terminal(live)
    with LiveDashboard(tmp_path, console=console, refresh_per_second=30) as dashboard:
        events = EventWriter(tmp_path / "events.jsonl")
        emit(events, "run_started", name="mine", task="a", goal="b", learning=True, budget_run=60)
        time.sleep(0.15)
        emit(events, "rollback", episode="9", old="v2", new="v1", statistic=5.0, reason="fell")
        emit(events, "run_finished", reason="completed", seconds=1.0)  # at the very end: still read
        events.close()
    assert dashboard.failure is None
    assert "run mine starts" in text(raw)
    rest = text(raw).split(LEAVE_SCREEN)[-1]
    assert "finished: completed" in rest
    assert "rolled back at episode 9: v2 to v1" in rest
    assert (ENTER_SCREEN in text(raw)) is live


def test_what_the_run_prints_is_kept_for_the_end(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    console, _ = terminal()
    streams = sys.stdout, sys.stderr
    with LiveDashboard(make_run(), console=console, refresh_per_second=30):
        time.sleep(0.2)
        print("said by the run")
        print("warned by the run", file=sys.stderr)
        assert capsys.readouterr() == ("", "")
    assert (sys.stdout, sys.stderr) == streams
    assert capsys.readouterr() == ("said by the run\n", "warned by the run\n")


def test_a_pause_gives_the_terminal_to_a_person(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    console, raw = terminal()
    with LiveDashboard(make_run(finish=False), console=console, refresh_per_second=30) as dashboard:
        time.sleep(0.2)
        with dashboard.paused():
            assert text(raw).endswith("\x1b[?25h") or LEAVE_SCREEN in text(raw)[-20:]
            print("really? ")
            assert capsys.readouterr().out == "really? \n"
            drawn = len(raw.getvalue())
            time.sleep(0.1)
            assert len(raw.getvalue()) == drawn
        time.sleep(0.1)
        assert len(raw.getvalue()) > drawn
    assert dashboard.failure is None
    assert text(raw).count(ENTER_SCREEN) == text(raw).count(LEAVE_SCREEN) == 2
    with dashboard.paused():  # over already: nothing to give back
        assert text(raw).count(ENTER_SCREEN) == 2


def test_off_says_nothing(make_run: MakeRun) -> None:
    console, raw = terminal()
    with LiveDashboard(make_run(), mode="off", console=console):
        pass
    assert watch(make_run(), mode="off", console=console).finished == "completed"
    assert text(raw) == ""


def test_a_broken_terminal_does_not_touch_the_run(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # whoever read the output has gone
    done = False
    with os.fdopen(writer, "w") as pipe:
        console = Console(file=pipe, width=100, height=30, force_terminal=False)
        with LiveDashboard(make_run(), console=console, refresh_per_second=30) as dashboard:
            time.sleep(0.1)
            done = True
        assert dashboard.failure is not None
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.fileno())
    assert done
    assert "the run itself was not touched" in capsys.readouterr().err


def test_an_exception_of_the_run_passes_through_and_frees_the_terminal(make_run: MakeRun) -> None:
    console, raw = terminal()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), LiveDashboard(make_run(finish=False), console=console):
        time.sleep(0.4)
        raise KeyboardInterrupt
    assert time.monotonic() - started < JOIN_S
    assert text(raw).count(ENTER_SCREEN) == text(raw).count(LEAVE_SCREEN) == 1
    assert "not finished" in text(raw).split(LEAVE_SCREEN)[1]
