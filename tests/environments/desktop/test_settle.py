"""When a screen has come to rest, on frames that are made up; and what is said of a machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.xscreen import Screen

from showonce.environments.desktop import settle as module
from showonce.environments.desktop.capture import Pixels
from showonce.environments.desktop.settle import Patience, differs, settle
from showonce.environments.desktop.system import facts
from showonce.errors import Stopped

PATIENCE = Patience(quiet=0.03, first=0.15, cap=0.5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that only pauses move; it begins at 0."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    yield now


def blank() -> Pixels:
    return np.zeros((100, 120), np.uint32)


def boxed(width: int, height: int, value: int = 1) -> Pixels:
    frame = blank()
    frame[10 : 10 + height, 20 : 20 + width] = value
    return frame


def run(clock: list[float], frame_at: Callable[[float], Pixels]) -> tuple[bool, bool, float]:
    def pause(seconds: float) -> None:
        clock[0] += seconds

    done = settle(lambda: frame_at(clock[0]), blank(), PATIENCE, pause)
    return done.changed, done.quiet, done.seconds


def test_a_change_is_waited_for_and_then_its_rest(clock: list[float]) -> None:
    changed, quiet, seconds = run(clock, lambda now: boxed(50, 50) if now >= 0.1 else blank())
    assert changed and quiet
    assert 0.13 <= seconds <= 0.15


def test_a_screen_that_had_changed_before_the_first_look_is_seen(clock: list[float]) -> None:
    changed, quiet, seconds = run(clock, lambda now: boxed(50, 50))
    assert changed and quiet and seconds <= 0.04, "the reference is the frame from before the action"


def test_a_screen_that_does_not_change_ends_early(clock: list[float]) -> None:
    changed, quiet, seconds = run(clock, lambda now: blank())
    assert (changed, quiet) == (False, True)
    assert 0.15 <= seconds <= 0.16


def test_a_caret_is_no_change_and_does_not_keep_it_waiting(clock: list[float]) -> None:
    def blinking(now: float) -> Pixels:
        frame = boxed(50, 50) if now >= 0.02 else blank()
        frame[70:90, 5:7] = int(now * 100) % 2  # blinks in every look
        return frame

    changed, quiet, seconds = run(clock, blinking)
    assert changed and quiet and seconds < 0.07


def test_what_never_rests_is_taken_as_it_is_in_the_end(clock: list[float]) -> None:
    turns = itertools.count(1)
    changed, quiet, seconds = run(clock, lambda now: boxed(50, 50, next(turns)))
    assert changed and not quiet
    assert 0.5 <= seconds <= 0.51


def test_the_stop_breaks_it_off(clock: list[float]) -> None:
    def pause(seconds: float) -> None:
        raise Stopped("stop")

    with pytest.raises(Stopped):
        settle(blank, blank(), PATIENCE, pause)


@pytest.mark.parametrize(
    ("width", "height", "different"), [(3, 40, False), (4, 40, True), (3, 41, True), (1, 1, False), (30, 1, True)]
)
def test_what_fits_in_a_caret_is_no_difference(width: int, height: int, different: bool) -> None:
    assert differs(boxed(width, height), blank()) is different
    assert not differs(boxed(width, height), boxed(width, height))


def test_another_size_is_a_difference() -> None:
    assert differs(np.zeros((5, 5), np.uint32), np.zeros((5, 6), np.uint32))


def test_what_is_here_is_said(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {fact.name: fact for fact in facts(screen.name)}
    assert set(said) == {
        *("desktop capture", "desktop screen", "desktop input", "desktop stop chord", "window manager")
    }
    assert all(fact.here for fact in said.values())
    assert said["window manager"].detail == "Openbox"
    gone = {fact.name: fact for fact in facts(":987")}
    assert not gone["desktop screen"].here and ":987" in gone["desktop screen"].detail
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    assert "DISPLAY is not set" in [*facts()][-1].detail
