"""Statistics against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce import stats


def test_wilson_against_the_closed_formula() -> None:
    successes, n, z = 14, 20, 1.959963984540054
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert stats.wilson(successes, n) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert stats.wilson(0, 0) == (0.0, 1.0)


def test_lower_bound_of_all_right_is_a_root_of_the_error() -> None:
    assert stats.lower_bound(20, 20, level=0.90) == pytest.approx(0.1 ** (1 / 20))
    assert stats.lower_bound(0, 20) == 0.0
    assert stats.lower_bound(0, 0) == 0.0
    assert stats.upper_bound(0, 20, level=0.90) == pytest.approx(1 - 0.1 ** (1 / 20))


def test_lower_bound_leaves_exactly_the_error_above_it() -> None:
    bound = stats.lower_bound(17, 20, level=0.90)
    tail = sum(math.comb(20, k) * bound**k * (1 - bound) ** (20 - k) for k in range(17, 21))
    assert tail == pytest.approx(0.10)


@given(st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60, deadline=None)
def test_intervals_hold_the_point(counts: tuple[int, int]) -> None:
    successes, n = counts
    interval = stats.wilson(successes, n)
    assert 0 <= interval.low <= interval.high <= 1
    if n:
        assert interval.low - 1e-12 <= successes / n <= interval.high + 1e-12
    assert stats.lower_bound(successes, n) <= (successes / n if n else 0)


@pytest.mark.parametrize(("successes", "n", "level"), [(3, 2, 0.9), (-1, 2, 0.9), (1, 2, 1.0)])
def test_impossible_counts_are_refused(successes: int, n: int, level: float) -> None:
    for function in (stats.wilson, stats.lower_bound):
        with pytest.raises(ValueError, match=r"impossible|level"):
            function(successes, n, level)


def test_bootstrap_weights_units_equally_and_names_the_worst() -> None:
    found = stats.bootstrap_mean({"a": [1.0, 1.0, 1.0, 1.0], "b": [0.0], "c": [0.5, 0.5]}, n_resamples=500)
    assert found.mean == pytest.approx(0.5)  # not the pooled 5 / 7
    assert (found.n_units, found.worst, found.worst_mean) == (3, "b", 0.0)
    assert found.low < 0.5 < found.high


def test_bootstrap_of_constant_units_matches_the_distribution_of_draws() -> None:
    """Two units, 0 and 1: the resampled mean is 0, .5 or 1 with probability 1/4, 1/2, 1/4."""
    found = stats.bootstrap_mean({"a": [0.0], "b": [1.0]}, level=0.4, n_resamples=4000)
    assert (found.low, found.high) == (0.5, 0.5)
    wide = stats.bootstrap_mean({"a": [0.0], "b": [1.0]}, level=0.6, n_resamples=4000)
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_bootstrap_counts_the_choice_of_seeds_as_chance() -> None:
    found = stats.bootstrap_mean({"a": [0.0, 1.0]}, level=0.9, n_resamples=4000)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_bootstrap_is_seeded_and_refuses_nothing_at_all() -> None:
    values = {str(i): list(np.linspace(0, 1, i + 2)) for i in range(5)}
    assert stats.bootstrap_mean(values, seed=3) == stats.bootstrap_mean(values, seed=3)
    assert stats.bootstrap_mean(values, seed=3) != stats.bootstrap_mean(values, seed=4)
    for bad in ({}, {"a": []}):
        with pytest.raises(ValueError, match="at least one"):
            stats.bootstrap_mean(bad)


def test_paired_bootstrap_sees_a_shift_that_the_units_hide() -> None:
    before = {str(i): [i / 10, i / 10] for i in range(10)}
    after = {unit: [v + 0.05 for v in values] for unit, values in before.items()}
    found = stats.paired_bootstrap(before, after, n_resamples=500)
    assert (found.mean, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    with pytest.raises(ValueError, match="unpaired units"):
        stats.paired_bootstrap(before, {"0": [0.0, 0.0]})


def test_sign_test_and_mcnemar_by_hand() -> None:
    assert stats.sign_test(0, 5) == pytest.approx(2 * 0.5**5)
    assert stats.sign_test(0, 0) == 1.0
    found = stats.mcnemar([True] * 6 + [False] * 4, [False] * 5 + [True] + [False] * 4)
    assert (found.gained, found.lost, found.n) == (0, 5, 10)
    assert found.p_value == pytest.approx(2 * 0.5**5)


def test_paired_interval_by_hand_and_by_coverage() -> None:
    before = [True] * 90 + [False] * 10
    after = [False] * 4 + [True] * 86 + [True] * 2 + [False] * 8
    gained, lost = 3 / 102, 5 / 102
    half = 1.959963984540054 * math.sqrt((gained + lost - (gained - lost) ** 2) / 102)
    assert stats.paired_interval(before, after) == pytest.approx((gained - lost - half, gained - lost + half))
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        flips = rng.choice([-1, 0, 1], p=[0.06, 0.9, 0.04], size=200)
        low, high = stats.paired_interval((flips < 0).tolist(), (flips > 0).tolist())
        covered += low <= -0.02 <= high
    assert covered / 400 >= 0.92


def test_ece_by_hand() -> None:
    # bin [.8,.9): mean confidence .85, success .5 -> .35 with weight 2/3; bin [.1,.2): .1 against 0 with weight 1/3
    assert stats.ece([0.85, 0.85, 0.1], [1, 0, 0]) == pytest.approx(2 / 3 * 0.35 + 1 / 3 * 0.1)
    assert stats.ece([1.0, 1.0], [1, 1]) == 0.0
    assert stats.ece([], []) is None


def test_auroc_counts_ties_half() -> None:
    confidences, outcomes = [0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0]
    assert stats.auroc(confidences, outcomes) == pytest.approx(3.5 / 4)
    assert stats.auroc([1.0] * 4, outcomes) == 0.5
    assert stats.auroc([0.1, 0.2], [1, 1]) is None


def test_brier_against_the_base_rate() -> None:
    assert stats.brier([0.8, 0.3], [1, 0]) == pytest.approx((0.04 + 0.09) / 2)
    assert stats.brier_base_rate([1, 1, 1, 0]) == pytest.approx(0.75 * 0.25)
    assert stats.brier([], []) is None
    assert stats.brier_base_rate([]) is None
    with pytest.raises(ValueError, match="equal lists"):
        stats.brier([0.1], [1, 0])
