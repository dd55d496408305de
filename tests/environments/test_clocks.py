"""Clocks that are set, that stop while the machine sleeps, and that belong to a document."""

from __future__ import annotations

import pytest

from showonce.environments.clocks import MachineClock, OtherClock


class Machine:
    """The clocks of a machine that may sleep and whose wall clock may be set."""

    def __init__(self) -> None:
        self.mono, self.ahead, self.slept = 100.0, 1.7e9, 0.0

    def clock(self, boots: bool = True) -> MachineClock:
        return MachineClock(lambda: self.mono, self.wall, lambda: self.mono + self.slept if boots else None)

    def wall(self) -> float:
        return self.mono + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.ahead += seconds


def test_a_document_s_clock_is_known_ever_more_exactly() -> None:
    clock = OtherClock()
    clock.arrived(10.0, 110.2)
    assert clock.to_python(10.0) == pytest.approx(110.2)
    clock.measure(110.0, 10.1, 110.4)
    clock.measure(120.09, 20.1, 120.12)
    assert clock.to_python(30.0) == pytest.approx(130.005, abs=0.02) and clock.error < 0.02
    clock.measure(121.0, 21.05, 121.9)  # a slow answer tells nothing new
    assert clock.error < 0.02


def test_a_document_s_clock_that_stood_still_is_measured_anew() -> None:
    clock = OtherClock()
    clock.measure(100.0, 1.0, 100.01)
    clock.measure(3710.0, 11.0, 3710.01)
    assert clock.to_python(12.0) == pytest.approx(3711.005)


def test_the_first_message_after_a_jump_is_on_the_new_time() -> None:
    clock = OtherClock()
    clock.measure(100.0, 1.0, 100.01)
    clock.arrived(2.0, 3701.0)
    assert clock.to_python(2.0) == 3701.0


@pytest.mark.parametrize("hours", [1, -1, 24])
def test_a_frame_keeps_its_time_when_the_wall_clock_is_set(hours: int) -> None:
    machine = Machine()
    clock = machine.clock()
    stamp = machine.wall()
    machine.mono += 0.04
    assert clock.of_wall(stamp) == pytest.approx(100.0)
    stamp = machine.wall()
    machine.mono += 0.04
    machine.ahead += 3600 * hours  # between the stamp and its arrival
    clock.changes()
    assert clock.of_wall(stamp) == pytest.approx(100.04)
    assert clock.of_wall(stamp - 7e6) == pytest.approx(100.08)  # of another machine's clock: when it arrived


def test_sleep_and_steps_are_told_once_and_small_ones_never() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.sleep(3600)
    assert clock.changes() == ("the computer slept for 1 h; this changes nothing in the recording", False)
    machine.ahead += 0.4
    assert clock.changes() == ("", False)
    machine.ahead -= 90
    assert clock.changes()[0].startswith("the computer's clock was set back by 1.5 min")
    assert clock.changes()[0] == ""
    machine.sleep(30)
    machine.ahead += 3600
    told = clock.changes()[0]
    assert "slept for 30 s" in told and "set forward by 1 h" in told


def test_without_a_clock_that_knows_sleep_it_looks_like_a_step() -> None:
    machine = Machine()
    clock = machine.clock(boots=False)
    machine.sleep(600)
    assert "set forward by 10 min, or the computer slept" in clock.changes()[0]
    machine.mono += 700  # a monotonic clock that goes on while the machine sleeps
    assert clock.changes() == ("", True)
