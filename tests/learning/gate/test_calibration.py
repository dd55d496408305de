"""The calibration map: identity without evidence, the truth with much, monotone always."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce import stats
from showonce.errors import StoreError
from showonce.learning.gate.calibration import MAX_POINTS, Calibration


def overconfident(n: int, seed: int = 0) -> list[tuple[float, bool]]:
    """Stated confidences whose true success probability is their square."""
    rng = np.random.default_rng(seed)
    stated = rng.random(n)
    return list(zip(stated.tolist(), (rng.random(n) < stated**2).tolist(), strict=True))


def test_identity_until_there_are_enough_points() -> None:
    calibration = Calibration(min_points=5)
    for _ in range(4):
        calibration.add(0.9, False)
    assert [calibration(c) for c in (0.0, 0.37, 0.9, 1.0)] == [0.0, 0.37, 0.9, 1.0]
    calibration.add(0.9, False)
    assert calibration(0.9) < 0.9


def test_few_points_are_shrunk_to_the_identity() -> None:
    calibration = Calibration(min_points=1)
    calibration.add(0.9, False)
    w = 10 / 11  # the prior's weight at each of its eleven knots; those from .6 to .9 pool
    assert calibration(0.9) == pytest.approx(w * (0.6 + 0.7 + 0.8 + 0.9) / (4 * w + 1))
    assert calibration(0.5) == pytest.approx(0.5)


def test_pooling_by_hand() -> None:
    """Six failures at .9 outweigh the prior: knots .4 ... .9 pool, the others stay."""
    calibration = Calibration(min_points=1)
    for _ in range(6):
        calibration.add(0.9, False)
    w = 10 / 11
    block = w * (0.4 + 0.5 + 0.6 + 0.7 + 0.8 + 0.9) / (6 * w + 6)
    assert calibration(0.9) == pytest.approx(block)
    assert calibration(0.4) == pytest.approx(block)
    assert calibration(0.3) == pytest.approx(0.3)
    assert calibration(0.95) == pytest.approx((block + 1) / 2)
    assert calibration(1.0) == pytest.approx(1.0)


def test_it_mends_an_overconfident_policy_on_fresh_points() -> None:
    calibration = Calibration()
    for confidence, success in overconfident(800):
        calibration.add(confidence, success)
    raw, outcomes = zip(*overconfident(4000, seed=1), strict=True)
    mended = [calibration(c) for c in raw]
    before, after = stats.ece(raw, outcomes), stats.ece(mended, outcomes)
    assert before is not None and after is not None
    assert before > 0.12
    assert after < 0.05
    assert (stats.brier(mended, outcomes) or 1.0) < (stats.brier(raw, outcomes) or 0.0)
    assert (stats.auroc(mended, outcomes) or 0.0) > (stats.auroc(raw, outcomes) or 1.0) - 0.01


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_monotone_and_in_range(points: list[tuple[float, bool]]) -> None:
    calibration = Calibration(min_points=1)
    for confidence, success in points:
        calibration.add(confidence, success)
    values = [calibration(c) for c in np.linspace(0, 1, 41).tolist()]
    assert all(0 <= v <= 1 for v in values)
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(values))


def test_unusable_readings_are_skipped_and_old_ones_forgotten() -> None:
    calibration = Calibration(min_points=1)
    for reading in (None, float("nan"), float("inf")):
        calibration.add(reading, True)
    assert len(calibration) == 0
    assert calibration(float("nan")) == 0.0
    assert calibration(1.7) == 1.0
    for _ in range(MAX_POINTS + 5):
        calibration.add(0.5, True)
    assert len(calibration) == MAX_POINTS


def test_state_survives_json() -> None:
    calibration = Calibration(min_points=10)
    for confidence, success in overconfident(60):
        calibration.add(confidence, success)
    again = Calibration.from_state(json.loads(json.dumps(calibration.state)))
    assert [again(c) for c in (0.1, 0.5, 0.93)] == pytest.approx([calibration(c) for c in (0.1, 0.5, 0.93)], abs=1e-4)
    with pytest.raises(StoreError, match="calibration map"):
        Calibration.from_state({"points": [[1, 2, 3]], "min_points": 1})
