"""Where screens come from: the teacher's share, the seeds, and views of what was demonstrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from showonce.actions import Click, Drag, Type, to_pixel
from showonce.config import PracticeConfig
from showonce.errors import BadInput
from showonce.learning.practice.buffer import Sample
from showonce.learning.practice.episodes import demonstrated, in_the_head, schedule, teacher_share, view_of
from showonce.learning.practice.views import Jitter
from showonce.types import Demonstration, Frame, Image, Observation

RED = (220, 40, 40)


def picture(left: int, top: int) -> Image:
    image = np.full((112, 112, 3), 240, dtype=np.uint8)
    image[top : top + 16, left : left + 16] = RED
    return image


def at(left: int, top: int) -> Click:
    return Click((left + 8) / 112, (top + 8) / 112)


DEMONSTRATION = Demonstration(
    "t",
    "zoka",
    (
        Frame(Observation(picture(20, 24)), at(20, 24)),
        Frame(Observation(picture(60, 40)), Type("sun")),
        Frame(Observation(picture(60, 40)), at(60, 40)),
    ),
    source="oracle",
    ref="demo",
)


@pytest.mark.parametrize(("index", "share"), [(0, 1.0), (1, 0.75), (2, 0.5), (4, 0.0), (9, 0.0)])
def test_the_teachers_share_falls_linearly(index: int, share: float) -> None:
    assert teacher_share(index, 5, 1.0, 0.0) == pytest.approx(share)


def test_a_single_episode_has_the_share_of_the_start() -> None:
    assert teacher_share(0, 1, 0.6, 0.0) == 0.6


def test_the_schedule_counts_seeds_up_and_a_resumed_one_goes_on() -> None:
    config = PracticeConfig(episodes=3, teacher_beta=1.0, teacher_beta_end=0.0)
    assert list(schedule(config, 500)) == [(500, 1.0), (501, 0.5), (502, 0.0)]
    assert list(schedule(config, 500, done=2)) == [(502, 0.0)]


def test_a_demonstrated_frame_is_a_sample_with_a_known_answer() -> None:
    samples = demonstrated(DEMONSTRATION)
    assert [s.progress for s in samples] == [0, 1, 1]
    assert [len(s.history) for s in samples] == [0, 1, 2]
    assert all(s.correct and s.executor == "oracle" and s.origin == "head" and not s.answer for s in samples)
    assert [s.action for s in samples] == [f.action for f in DEMONSTRATION.frames]


def test_head_views_differ_and_their_actions_hit_the_same_thing() -> None:
    views = in_the_head(DEMONSTRATION, (), 30, np.random.default_rng(0), Jitter(light=0, invert=0))
    assert len({v.observation.hash for v in views}) >= 20
    assert [v.goal for v in views] == ["zoka"] * 30
    for index, sample in enumerate(views):
        assert sample.progress == (0, 1, 1)[index % 3]
        if isinstance(sample.action, Click):
            image = sample.observation.image
            hit = image[to_pixel(sample.action.y, 112), to_pixel(sample.action.x, 112)]
            assert tuple(int(c) for c in hit) == RED


def test_recorded_screens_of_the_task_are_used_too_without_a_known_answer() -> None:
    recorded = [
        Sample(Observation(picture(4, 4)), "t", "zoka", origin="practice", answer=(1, 2)),
        Sample(Observation(picture(4, 4)), "other", "mipu"),
    ]
    views = in_the_head(DEMONSTRATION, recorded, 8, np.random.default_rng(1))
    assert [v.correct for v in views] == [True, True, True, None] * 2
    assert all(v.task_id == "t" and v.origin == "head" and v.answer == () for v in views)


def test_views_are_seeded() -> None:
    first, again = (in_the_head(DEMONSTRATION, (), 5, np.random.default_rng(4)) for _ in range(2))
    assert [v.observation.hash for v in first] == [v.observation.hash for v in again]


def test_a_view_that_would_lose_the_target_is_not_taken() -> None:
    corner = Sample(Observation(picture(0, 0)), "t", "zoka", action=Drag(0.0, 0.0, 1.0, 1.0), correct=True)
    always = Jitter(rearrange=0, shift=1.0, max_shift=0.3, scale=0, light=0, invert=0)
    taken = view_of(corner, np.random.default_rng(0), always)
    assert taken.action == corner.action and taken.observation.hash == corner.observation.hash


def test_a_demonstration_without_frames_is_refused() -> None:
    with pytest.raises(BadInput, match="no frames"):
        in_the_head(replace(DEMONSTRATION, frames=()), (), 4, np.random.default_rng(0))
