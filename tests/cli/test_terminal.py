"""The person at the terminal: Ctrl-C stops once and interrupts twice, the dashboard makes room, lines and bars."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from showonce.cli.terminal import LiveLine, Terminal, counted, progress_bar
from showonce.runtime.pause import PausableStop


class Dashboard:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __enter__(self) -> Dashboard:
        self.told.append("shown")
        return self

    def __exit__(self, *error: object) -> None:
        self.told.append("gone")

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.told.append("paused")
        yield
        self.told.append("back")


def test_the_first_ctrl_c_stops_and_the_second_interrupts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before, stop = signal.getsignal(signal.SIGINT), PausableStop()
    with Terminal().attached(tmp_path, stop):
        signal.raise_signal(signal.SIGINT)
        assert stop.pressed and stop.reason == "Ctrl-C"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopping ... once more ends it at once" in capfd.readouterr().err


def test_the_last_files_are_written_whatever_is_pressed_and_then_ctrl_c_is_given_back(tmp_path: Path) -> None:
    before, stop, terminal = signal.getsignal(signal.SIGINT), PausableStop(), Terminal()
    with terminal.attached(tmp_path, stop):
        terminal.closing()
        signal.raise_signal(signal.SIGINT)
        assert not stop.pressed
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="this system has no SIGQUIT")
def test_the_pause_key_pauses_and_resumes(tmp_path: Path) -> None:
    stop = PausableStop()
    with Terminal().attached(tmp_path, stop):
        signal.raise_signal(signal.SIGQUIT)
        assert stop.paused
        signal.raise_signal(signal.SIGQUIT)
        assert not stop.paused


def test_the_dashboard_makes_room_for_what_is_told_and_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard = Dashboard()
    terminal = Terminal(lambda folder: dashboard)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with terminal.attached(tmp_path, PausableStop()):
        terminal.tell("paused (lunch)")
        assert terminal.approver(PausableStop()).confirm("Keep it?") is True  # type: ignore[attr-defined]
    terminal.tell("3 events were lost")
    assert dashboard.told[:3] == ["shown", "paused", "back"] and dashboard.told[-1] == "gone"
    assert dashboard.told.count("paused") >= 2
    assert capsys.readouterr().err.splitlines()[0] == "showonce: paused (lunch)"


def test_a_pipe_gets_whole_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    line = LiveLine()
    line("1. click ...", False)
    line("1. click x=0.5", True)
    assert capsys.readouterr().out == "1. click x=0.5\n"


def test_parts_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    tell = counted(2)
    tell("before")
    tell("teacher")
    assert capsys.readouterr().out.splitlines() == [" 1 of 2, after 0 s: before", " 2 of 2, after 0 s: teacher"]


def test_a_bar_advances_where_there_is_no_terminal() -> None:
    with progress_bar("measuring", 3) as advance:
        advance(2)
        advance(1)
