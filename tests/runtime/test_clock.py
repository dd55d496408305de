"""The time that counts, and the interrupt that an environment is given in a step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from tests.fakes import Board, ScriptedPolicy, board_task

from showonce.actions import Action, Type
from showonce.environments.desktop.watcher import Latch
from showonce.errors import Stopped
from showonce.protocols import Context, Interrupt
from showonce.runtime.clock import Clock
from showonce.runtime.loop import run_episode
from showonce.runtime.pause import PausableStop
from showonce.runtime.stop import Stop
from showonce.types import Executed, Observation, StopReason


class Plain:
    def check(self) -> None:
        pass


def test_what_is_left_out() -> None:
    control = PausableStop()
    clock = Clock(control)
    clock.begin()
    with clock.uncounted():
        time.sleep(0.2)
    control.pause()
    threading.Timer(0.2, control.resume).start()
    clock.hold_until(clock.now + 0.1)  # paused in the middle of a wait: taken off once
    control.check()
    assert 0 <= clock.seconds < 0.15
    time.sleep(0.2)
    assert clock.seconds >= 0.2


def test_a_step_that_is_too_late() -> None:
    clock = Clock(Plain(), step_seconds=0.05)
    clock.begin_step()
    clock.check()
    time.sleep(0.06)
    assert not clock.expired
    with pytest.raises(Stopped, match=r"limits\.step_seconds"):
        clock.check()
    assert clock.expired


def test_a_source_of_stops_reaches_the_runs_own_stop() -> None:
    """The desktop ties its stop chord to the interrupt that it is given; seen between two steps, it has to count."""

    class Chord:
        press: Callable[[str], None]

        def connect(self, press: Callable[[str], None]) -> None:
            self.press = press

        def rearm(self) -> None: ...

    chord, stop = Chord(), Stop()

    class Desktop(Board):
        def execute(self, action: Action, interrupt: Interrupt) -> Executed:
            assert isinstance(interrupt, Latch)
            interrupt.watch(chord)
            return super().execute(action, interrupt)

    def think(screen: Observation, context: Context) -> Action:
        if context.actions:
            chord.press("Escape")
        return Type("a")

    board = Desktop()
    episode = run_episode(board, ScriptedPolicy([think]), board_task(), seed=1, stop=stop)
    assert episode.stop_reason is StopReason.STOPPED and stop.reason == "Escape" and board.done == [Type("a")]
    assert not isinstance(Clock(Plain()), Latch)
