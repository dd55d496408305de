"""Intervals, paired tests and calibration scores: every number with its n, nothing here knows what it measures.

Shapes are in the names: `_N` one value per attempt. Levels are fractions (0.95). A score that its data cannot
define (one class only, no data) is None, never 0. Wrong arguments (more successes than attempts, unequal lengths) are
programming errors and raise ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Two-sided interval of a fraction or a mean."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean over units (apps) with its bootstrap interval; `worst` names the unit with the lowest mean."""

    mean: float
    low: float
    high: float
    n_units: int
    worst: str
    worst_mean: float


@dataclass(frozen=True)
class PairedTest:
    """Discordant pairs of two sets of outcomes on the same screens: `gained` wrong -> right, `lost` right -> wrong.

    p_value: exact two-sided McNemar test, that is the sign test on the discordant pairs.
    """

    gained: int
    lost: int
    n: int
    p_value: float


def _scipy_stats() -> Any:
    """Return `scipy.stats`, imported at its first use: it takes half a second, and most verbs need no interval."""
    from scipy import stats

    return stats


def _counts(successes: int, n: int, level: float) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} attempts is impossible.")
    if not 0 < level < 1:
        raise ValueError(f"level {level} must lie strictly between 0 and 1.")


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a success rate; (0, 1) for n = 0.

    Example:
        >>> "{:.3f} {:.3f}".format(*wilson(18, 20))
        '0.699 0.972'
    """
    _counts(successes, n, level)
    if n == 0:
        return Interval(0.0, 1.0)
    found = _scipy_stats().binomtest(successes, n).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high))


def lower_bound(successes: int, n: int, level: float = 0.90) -> float:
    """Return the one-sided exact lower bound of a success rate: the rate is above it with confidence `level`."""
    _counts(successes, n, level)
    return float(_scipy_stats().beta.ppf(1 - level, successes, n - successes + 1)) if successes else 0.0


def upper_bound(successes: int, n: int, level: float = 0.95) -> float:
    """Return the one-sided exact upper bound of a success rate: the rate is below it with confidence `level`."""
    return 1.0 - lower_bound(n - successes, n, level)


def bootstrap_mean(
    values_by_unit: Mapping[str, Sequence[float]], level: float = 0.95, n_resamples: int = 4000, seed: int = 0
) -> Estimate:
    """Return the mean over units of each unit's mean, with a nested percentile bootstrap interval.

    Units (apps) are drawn with replacement and, within each drawn unit, its values (one per seed): both the choice of
    apps and the choice of seeds count as chance.

    Raises:
        ValueError: no units, or a unit without values.
    """
    if not values_by_unit or not all(len(v) for v in values_by_unit.values()):
        raise ValueError("bootstrap_mean needs at least one unit, and at least one value in each.")
    units = [np.asarray(v, dtype=np.float64) for v in values_by_unit.values()]
    sizes_U = np.array([len(v) for v in units])
    padded_UV = np.zeros((len(units), int(sizes_U.max())))
    for row, values in zip(padded_UV, units, strict=True):
        row[: len(values)] = values
    means_U = np.array([v.mean() for v in units])
    rng = np.random.default_rng(seed)
    drawn = np.empty(n_resamples)
    for i in range(n_resamples):
        unit_U = rng.integers(len(units), size=len(units))
        draws_UV = rng.random((len(units), padded_UV.shape[1]))
        value_UV = padded_UV[unit_U[:, None], (draws_UV * sizes_U[unit_U, None]).astype(np.int64)]
        counted_UV = np.arange(padded_UV.shape[1]) < sizes_U[unit_U, None]
        drawn[i] = ((value_UV * counted_UV).sum(1) / sizes_U[unit_U]).mean()
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    worst = int(means_U.argmin())
    return Estimate(
        float(means_U.mean()), float(low), float(high), len(units), list(values_by_unit)[worst], float(means_U[worst])
    )


def paired_bootstrap(
    before_by_unit: Mapping[str, Sequence[float]],
    after_by_unit: Mapping[str, Sequence[float]],
    level: float = 0.95,
    n_resamples: int = 4000,
    seed: int = 0,
) -> Estimate:
    """Return the mean difference after - before over units, value by value (same seeds), as `bootstrap_mean` does.

    Raises:
        ValueError: the two sides have other units, or a unit with another number of values.
    """
    if set(before_by_unit) != set(after_by_unit):
        raise ValueError(f"unpaired units: {sorted(set(before_by_unit) ^ set(after_by_unit))}.")
    differences = {
        unit: [b - a for a, b in zip(before, after_by_unit[unit], strict=True)]
        for unit, before in before_by_unit.items()
    }
    return bootstrap_mean(differences, level, n_resamples, seed)


def sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of as many wins among wins + losses; ties are left out, 1.0 for none."""
    return float(_scipy_stats().binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def mcnemar(before_N: Sequence[bool], after_N: Sequence[bool]) -> PairedTest:
    """Compare two sets of outcomes on the same screens.

    Raises:
        ValueError: unequal lengths.
    """
    pairs = list(zip(before_N, after_N, strict=True))
    gained = sum(after and not before for before, after in pairs)
    lost = sum(before and not after for before, after in pairs)
    return PairedTest(gained, lost, len(pairs), sign_test(gained, lost))


def paired_interval(before_N: Sequence[bool], after_N: Sequence[bool], level: float = 0.95) -> Interval:
    """Return the interval of the change of a success rate between paired outcomes (after - before).

    Bonett and Price 2012: Wald's interval after one pseudo-count is added to each kind of discordant pair; it holds
    its level from about ten pairs on.

    Raises:
        ValueError: unequal lengths.
    """
    test = mcnemar(before_N, after_N)
    gained, lost = (test.gained + 1) / (test.n + 2), (test.lost + 1) / (test.n + 2)
    z = float(_scipy_stats().norm.ppf((1 + level) / 2))
    half = z * math.sqrt(max(gained + lost - (gained - lost) ** 2, 0.0) / (test.n + 2))
    return Interval(max(gained - lost - half, -1.0), min(gained - lost + half, 1.0))


def _scored(confidences: ArrayLike, outcomes: ArrayLike) -> tuple[Floats, Floats]:
    confidence_N = np.asarray(confidences, dtype=np.float64)
    outcome_N = np.asarray(outcomes, dtype=np.float64)
    if confidence_N.shape != outcome_N.shape or confidence_N.ndim != 1:
        raise ValueError(f"confidences {confidence_N.shape} and outcomes {outcome_N.shape} must be equal lists.")
    return confidence_N, outcome_N


def ece(confidences: ArrayLike, outcomes: ArrayLike, bins: int = 10) -> float | None:
    """Return the expected calibration error in [0, 1]: mean |confidence - success| over equal-width bins, by weight."""
    confidence_N, outcome_N = _scored(confidences, outcomes)
    if not confidence_N.size:
        return None
    bin_N = np.clip((confidence_N * bins).astype(np.int64), 0, bins - 1)
    gaps_B = np.bincount(bin_N, confidence_N - outcome_N, minlength=bins)
    return float(np.abs(gaps_B).sum() / confidence_N.size)


def auroc(confidences: ArrayLike, outcomes: ArrayLike) -> float | None:
    """Return P(confidence of a success > confidence of a failure), ties counted one half; None for one class only."""
    confidence_N, outcome_N = _scored(confidences, outcomes)
    positive_N = outcome_N > 0.5
    n_positive = int(positive_N.sum())
    n_negative = len(positive_N) - n_positive
    if not n_positive or not n_negative:
        return None
    ranks_N = _scipy_stats().rankdata(confidence_N)
    above = ranks_N[positive_N].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def brier(confidences: ArrayLike, outcomes: ArrayLike) -> float | None:
    """Return the mean squared error of the confidence, in [0, 1]."""
    confidence_N, outcome_N = _scored(confidences, outcomes)
    return float(np.square(confidence_N - outcome_N).mean()) if confidence_N.size else None


def brier_base_rate(outcomes: ArrayLike) -> float | None:
    """Return the Brier score of always saying the success rate itself: r (1 - r)."""
    outcome_N = np.asarray(outcomes, dtype=np.float64)
    return float(outcome_N.mean() * (1 - outcome_N.mean())) if outcome_N.size else None
