"""The words of the project: what is derived from them, and that they cannot be changed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from showonce.actions import Click
from showonce.types import (
    Confidence,
    Episode,
    Observation,
    Outcome,
    Parsed,
    ParseFailure,
    ParseReason,
    StopReason,
    Task,
)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def episode(success: bool | None) -> Episode:
    outcome = Outcome(success, "world")
    return Episode("e", "t", "goal", 0, "run", (), StopReason.MAX_STEPS, outcome, 1.0)


def test_observation_has_width_and_height_the_right_way_round() -> None:
    observation = Observation(noise(3, 5))
    assert (observation.width, observation.height) == (5, 3)


def test_hash_follows_pixels_and_size_alone() -> None:
    image = noise(4, 6)
    first = Observation(image).hash
    assert Observation(image.copy(), scale=2.0, text="page").hash == first
    other = image.copy()
    other[3, 5, 2] ^= 1
    assert Observation(other).hash != first
    assert Observation(image.reshape(6, 4, 3)).hash != first
    view = np.repeat(image, 2, axis=1)[:, ::2]
    assert not view.flags.c_contiguous
    assert Observation(view).hash == first


def test_confidence_is_read_by_name() -> None:
    confidence = Confidence(stated=0.9, token=0.4)
    assert [confidence.read(which) for which in ("stated", "token", "calibrated")] == [0.9, 0.4, None]


@pytest.mark.parametrize(("outcome", "success"), [(True, True), (False, False), (None, False)])
def test_an_open_outcome_is_no_success(outcome: bool | None, success: bool) -> None:
    assert episode(outcome).success is success


def test_reasons_are_plain_words_in_json() -> None:
    assert json.loads(json.dumps([StopReason.MAX_STEPS, ParseReason.NO_VERB])) == ["max_steps", "no_verb"]
    for kind in (StopReason, ParseReason):
        assert all(reason.value == reason.name.lower() for reason in kind)


def test_parse_results_compare_by_value() -> None:
    assert Parsed(Click(0.5, 0.5), 0.9) == Parsed(Click(0.5, 0.5), 0.9)
    assert ParseFailure(ParseReason.EMPTY, "a", "") != ParseFailure(ParseReason.EMPTY, "b", "")


def test_values_cannot_be_changed_and_tasks_do_not_share_settings() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Confidence().stated = 1.0  # type: ignore[misc]
    first, second = Task("a", "goal"), Task("b", "goal")
    first.settings["theme"] = "dark"
    assert second.settings == {}
