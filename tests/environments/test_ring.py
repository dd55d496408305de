from __future__ import annotations

import numpy as np
import pytest

from showonce.environments.ring import FrameRing
from showonce.errors import EnvironmentBroken
from showonce.types import Observation


def ring(length: int = 4) -> tuple[FrameRing[int], list[int]]:
    made: list[int] = []

    def make(frame: int) -> Observation:
        made.append(frame)
        return Observation(np.full((2, 2, 3), frame, np.uint8))

    return FrameRing(make, length), made


def shown(kept: FrameRing[int], time: float) -> int:
    return int(kept.before(time)[0].image[0, 0, 0])


def test_the_frame_before_an_event_is_the_last_one_that_was_there() -> None:
    kept, _ = ring()
    for time, frame in ((1.0, 10), (2.0, 20), (3.0, 30)):
        kept.put(time, frame)
    assert [shown(kept, t) for t in (1.5, 2.0, 2.001, 9.0)] == [10, 10, 20, 30]
    assert shown(kept, 0.5) == 10  # nothing older was seen


def test_only_the_last_frames_are_kept() -> None:
    kept, _ = ring(length=2)
    for frame in range(9):
        kept.put(float(frame), frame)
    assert [shown(kept, t) for t in (3.5, 7.5, 8.5)] == [7, 7, 8]


def test_a_caret_is_a_frame_and_no_visible_change() -> None:
    kept, _ = ring()
    kept.put(1.0, 1)
    kept.put(2.0, 2, visible=False)
    kept.put(3.0, 3, visible=False)
    assert kept.before(9.0)[1] == 1.0 and shown(kept, 9.0) == 3
    kept.put(4.0, 4)
    assert kept.before(9.0)[1] == 4.0


def test_a_frame_is_made_once_and_only_when_it_is_asked_for() -> None:
    kept, made = ring()
    for time in (1.0, 2.0, 3.0):
        kept.put(time, int(time))
    one, two = kept.before(9.0)[0], kept.before(8.0)[0]
    assert one is two and made == [3]


def test_nothing_seen_is_told() -> None:
    kept, _ = ring()
    with pytest.raises(EnvironmentBroken, match="no frame within"):
        kept.wait(0.0)
    with pytest.raises(EnvironmentBroken, match="not seen yet"):
        kept.before(1.0)
