"""Thresholds of the drop tests: what holds a stated false-alarm rate although p0 is only estimated.

The setting. A frozen window of n probes gave s successes. A test then watches up to `horizon` further probes. With the
success probability unchanged, the chance that it fires at all must not exceed `rate`, for *every* true probability,
with the window's own luck averaged in. Two steps give that:

1. For each s the threshold is chosen so that the exact false-alarm probability, averaged over the Jeffreys posterior
   Beta(s + 1/2, n - s + 1/2) of p0, meets a target. Jeffreys' prior is probability-matching: the average over the
   posterior is nearly the long-run rate at a fixed p0.
2. "Nearly" is then checked: the long-run rate is computed exactly for a grid of true p0, and the target is lowered
   until its maximum is below `MARGIN` x rate.

The probabilities come from the Markov chain of the statistic on a lattice; there is no simulation in them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from showonce.stats import upper_bound

Floats = NDArray[np.float64]

STEPS: Final = 20  # lattice steps per failure: the CUSUM's allowance is a multiple of 1 / STEPS
EXTRA_ALLOWANCE: Final = 0.1  # above the likelihood ratio's: quicker on a collapse, as quick on a loss of 0.3
MAX_FAILURES: Final = 30  # no threshold is higher than this many failures
MARGIN: Final = 0.9  # of the stated rate; the rest covers the grid
LEAST_P: Final = 0.02  # a dropped policy is not assumed to be worse than this
P_GRID: Final[Floats] = np.linspace(0.02, 0.998, 60)  # spacing 0.017, far below the width of any posterior used here


@dataclass(frozen=True)
class Reference:
    """A frozen window of probes: `successes` of `n`."""

    successes: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.n:
            raise ValueError(f"{self.successes} successes of {self.n} probes is impossible.")

    @property
    def posterior(self) -> tuple[float, float]:
        """Return the two parameters of the Beta posterior of p0 under Jeffreys' prior."""
        return self.successes + 0.5, self.n - self.successes + 0.5

    @property
    def p0(self) -> float:
        """Return the success probability, shrunk: the posterior's mean."""
        a, b = self.posterior
        return a / (a + b)


@dataclass(frozen=True)
class CusumDesign:
    """Integer CUSUM max(0, S + rise) on a failure, max(0, S - fall) on a success; fires at S >= threshold.

    Unit: 1 / STEPS of a failure. rise + fall = STEPS.
    """

    rise: int
    fall: int
    threshold: int


def dropped(p0: float, drop: float) -> float | None:
    """Return the success probability after a loss of `drop`, or None where p0 leaves no room for such a loss."""
    return max(p0 - drop, LEAST_P) if p0 >= drop else None


@lru_cache(maxsize=4096)
def _chain(rise: int, threshold: int, horizon: int) -> Floats:
    """Return, for each p of P_GRID, the probability that the CUSUM reaches `threshold` within `horizon` probes."""
    fall = STEPS - rise
    success_P, failure_P = P_GRID[:, None], 1 - P_GRID[:, None]
    mass_PS = np.zeros((len(P_GRID), threshold))
    mass_PS[:, 0] = 1.0
    fired_P = np.zeros(len(P_GRID))
    down, up = min(fall, threshold), min(rise, threshold)
    for _ in range(horizon):
        next_PS = np.zeros_like(mass_PS)
        next_PS[:, : threshold - down] = success_P * mass_PS[:, down:]
        next_PS[:, 0] += P_GRID * mass_PS[:, :down].sum(1)
        next_PS[:, up:] += failure_P * mass_PS[:, : threshold - up]
        fired_P += (1 - P_GRID) * mass_PS[:, threshold - up :].sum(1)
        mass_PS = next_PS
    return fired_P


def false_alarm_rate(design: CusumDesign, p: float, horizon: int) -> float:
    """Return the exact probability that a CUSUM fires within `horizon` probes at success probability p."""
    return float(np.interp(p, P_GRID, _chain(design.rise, design.threshold, horizon)))


def long_run_rate(designs: tuple[CusumDesign | None, ...], horizon: int) -> Floats:
    """Return for each true p0 of P_GRID the false-alarm rate over windows of len(designs) - 1 probes and a horizon."""
    n = len(designs) - 1
    rate_P = np.zeros(len(P_GRID))
    for s, design in enumerate(designs):
        if design is not None:
            rate_P += scipy_stats.binom.pmf(s, n, P_GRID) * _chain(design.rise, design.threshold, horizon)
    return rate_P


def _posterior_weights(reference: Reference) -> Floats:
    edges = np.concatenate([[0.0], (P_GRID[1:] + P_GRID[:-1]) / 2, [1.0]])
    return np.diff(scipy_stats.beta.cdf(edges, *reference.posterior))


def _design(reference: Reference, target: float, horizon: int, drop: float) -> CusumDesign | None:
    """Return the CUSUM with the lowest threshold whose posterior-averaged false-alarm probability meets `target`."""
    p0 = reference.p0
    p1 = dropped(p0, drop)
    if p1 is None:
        return None
    for_success, for_failure = math.log(p0 / p1), math.log((1 - p1) / (1 - p0))
    allowance = for_success / (for_success + for_failure) + EXTRA_ALLOWANCE
    fall = min(max(round(allowance * STEPS), 1), STEPS - 1)
    rise = STEPS - fall
    weights_P = _posterior_weights(reference)
    low, high = 1, MAX_FAILURES * STEPS
    while low < high:
        middle = (low + high) // 2
        if float(_chain(rise, middle, horizon) @ weights_P) <= target:
            high = middle
        else:
            low = middle + 1
    return CusumDesign(rise, fall, low)


@lru_cache(maxsize=64)
def cusum_designs(n: int, rate: float, horizon: int, drop: float) -> tuple[CusumDesign | None, ...]:
    """Return the CUSUM for each s in 0..n successes of the window; None where a loss of `drop` is impossible.

    Takes about a second for a new combination and is remembered.

    n: probes in the frozen window. rate: stated probability of any false alarm within `horizon` probes, in (0, 0.5].
    """
    target = MARGIN * rate
    for _ in range(12):
        designs = tuple(_design(Reference(s, n), target, horizon, drop) for s in range(n + 1))
        worst = float(long_run_rate(designs, horizon).max())
        if worst <= MARGIN * rate:
            return designs
        target *= max(MARGIN * rate / worst, 0.5) * 0.98
    return (None,) * (n + 1)  # so short a window cannot hold so low a rate: no test rather than a false promise


@lru_cache(maxsize=256)
def window_threshold(reference: Reference, rate: float, horizon: int, width: int) -> int:
    """Return the least number of failures in the last `width` probes that holds the stated rate; width + 1 = none.

    By simulation with a fixed seed: p0 drawn from the posterior, `horizon` probes each; a count is taken only when
    the upper 95 % bound of its rate is below MARGIN^2 x rate (twice the margin: the long-run rate is not checked here).
    """
    runs = 20_000
    rng = np.random.default_rng(0)
    p_R = rng.beta(*reference.posterior, size=runs).astype(np.float32)
    failures_RT = rng.random((runs, horizon), dtype=np.float32) >= p_R[:, None]
    total_RT = np.concatenate([np.zeros((runs, 1), np.int32), failures_RT.cumsum(1, dtype=np.int32)], axis=1)
    start_T = np.maximum(np.arange(1, horizon + 1) - width, 0)
    most_R = (total_RT[:, 1:] - total_RT[:, start_T]).max(1)
    for count in range(1, width + 1):
        if upper_bound(int((most_R >= count).sum()), runs) <= MARGIN**2 * rate:
            return count
    return width + 1
