"""Pause and resume, from any thread, from a file and from the keyboard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes import Board, ScriptedPolicy, board_task

from showonce.actions import Action, Type
from showonce.errors import Stopped
from showonce.protocols import Context
from showonce.runtime.loop import run_episode
from showonce.runtime.pause import PausableStop, held_by, pause_on_key
from showonce.runtime.stop import Stop
from showonce.types import Executed, Observation, StopReason


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def started(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_a_check_waits_until_it_is_resumed_and_tells() -> None:
    told: list[tuple[bool, str]] = []
    control = PausableStop(tell=lambda paused, reason: told.append((paused, reason)))
    control.check()
    control.pause("lunch")
    thread = started(control.check)
    until(lambda: told == [(True, "lunch")])
    assert thread.is_alive() and control.paused
    control.resume()
    thread.join(20)
    assert not thread.is_alive()
    assert told == [(True, "lunch"), (False, "lunch")]
    assert control.held > 0 and held_by(control) == control.held
    before = control.held
    time.sleep(0.02)
    assert control.held == before, "it counts only while somebody waits"


def test_stop_ends_a_pause() -> None:
    control = PausableStop()
    control.pause()
    ended: list[str] = []

    def wait() -> None:
        try:
            control.check()
        except Stopped as error:
            ended.append(str(error))

    thread = started(wait)
    control.press("enough")
    thread.join(20)
    assert ended == ["stopped: enough."]


def test_a_file_pauses_as_long_as_it_is_there(tmp_path: Path) -> None:
    control = PausableStop(tmp_path / "STOP", tmp_path / "PAUSE")
    (tmp_path / "PAUSE").touch()
    assert control.paused
    thread = started(control.check)
    until(lambda: control.held > 0)
    (tmp_path / "PAUSE").unlink()
    thread.join(20)
    assert not thread.is_alive() and not control.paused
    (tmp_path / "PAUSE").touch()
    control.resume()
    assert not (tmp_path / "PAUSE").exists() and not control.paused


def test_several_that_wait_are_one_pause() -> None:
    told: list[bool] = []
    control = PausableStop(tell=lambda paused, reason: told.append(paused))
    control.pause()
    threads = [started(control.check) for _ in range(4)]
    until(lambda: control._waiting == 4)
    begun = time.monotonic()
    time.sleep(0.1)
    control.resume()
    for thread in threads:
        thread.join(20)
    assert told == [True, False]
    assert control.held < time.monotonic() - begun + 5
    assert held_by(Stop()) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="no Ctrl-\\ on Windows")
def test_the_key_pauses_and_resumes() -> None:
    control = PausableStop()
    before = signal.getsignal(signal.SIGQUIT)
    with pause_on_key(control):
        os.kill(os.getpid(), signal.SIGQUIT)
        until(lambda: control.paused)
        os.kill(os.getpid(), signal.SIGQUIT)
        until(lambda: not control.paused)
    assert signal.getsignal(signal.SIGQUIT) is before


WAITING = """
import sys
from showonce.errors import Stopped
from showonce.runtime.pause import PausableStop, pause_on_key
from showonce.runtime.stop import stop_on_interrupt

control = PausableStop(tell=lambda paused, reason: print("paused" if paused else "resumed", flush=True))
with stop_on_interrupt(control), pause_on_key(control):
    print("ready", flush=True)
    try:
        while True:
            control.check()
    except Stopped:
        print("stopped", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="no Ctrl-\\ on Windows")
def test_a_process_is_paused_resumed_and_stopped_from_outside() -> None:
    child = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = []
    for number in (None, signal.SIGQUIT, signal.SIGQUIT, signal.SIGQUIT, signal.SIGINT):
        if number is not None:
            child.send_signal(number)
        said.append(child.stdout.readline().strip())
    said.append(child.stdout.readline().strip())
    child.stdout.close()
    assert child.wait(30) == 0
    assert said == ["ready", "paused", "resumed", "paused", "resumed", "stopped"]


# in the loop ------------------------------------------------------------------------------------------------------


def test_nothing_is_executed_in_a_pause_and_no_time_runs() -> None:
    control, board = PausableStop(), Board()

    def think(screen: Observation, context: Context) -> Action:
        if not context.actions:
            control.pause()
        return Type("ab"[len(context.actions)])

    done: list[object] = []
    task = board_task(max_steps=2, max_seconds=1.0, step_seconds=0.7)
    thread = started(lambda: done.append(run_episode(board, ScriptedPolicy([think]), task, seed=1, stop=control)))
    until(lambda: control.held > 1.2)
    assert board.done == []
    control.resume()
    thread.join(20)
    (episode,) = done
    assert episode.stop_reason is StopReason.MAX_STEPS  # type: ignore[attr-defined]
    assert board.done == [Type("a"), Type("b")]


class Slow(Board):
    """Types letter by letter and looks at the interrupt before each, as every environment has to."""

    def execute(self, action: Action, interrupt: object) -> Executed:
        for letter in action.text:  # type: ignore[union-attr]
            interrupt.check()  # type: ignore[attr-defined]
            self._typed += letter
        self.done.append(action)
        return Executed(action)


def test_a_pause_halts_an_action_that_has_begun() -> None:
    control, board = PausableStop(), Slow()
    text = "x" * 50
    original = control.check

    def check() -> None:  # a person presses pause in the middle of the text
        if len(board._typed) == 20:
            control.pause()
        original()

    control.check = check  # type: ignore[method-assign]
    task = board_task(max_steps=1)
    thread = started(lambda: run_episode(board, ScriptedPolicy([Type(text)]), task, seed=1, stop=control))
    until(lambda: control.held > 0.1)
    assert len(board._typed) == 20 and board.done == []
    control.check = original  # type: ignore[method-assign]
    control.resume()
    thread.join(20)
    assert board.done == [Type(text)] and len(board._typed) == 50
