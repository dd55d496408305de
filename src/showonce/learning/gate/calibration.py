"""Maps a raw confidence to a calibrated one: the success rate of probes with that confidence.

Isotonic regression (pool adjacent violators) over the last `MAX_POINTS` probes, pulled to the identity by
`PRIOR_WEIGHT` pseudo-outcomes spread evenly over [0, 1], so that with few points the map is nearly the identity.
Between the knots it is linear; it is monotone, so it keeps the ranking up to ties.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from showonce.errors import StoreError

MIN_POINTS: Final = 20  # with fewer outcomes the map is exactly the identity
MAX_POINTS: Final = 2000  # older outcomes are dropped, since the policy changes
PRIOR_WEIGHT: Final = 10.0  # number of pseudo-outcomes whose success rate equals the raw confidence
PRIOR_KNOTS: Final = 11

Floats = NDArray[np.float64]


class Calibration:
    """Raw confidence in [0, 1] -> calibrated confidence in [0, 1]."""

    def __init__(self, min_points: int = MIN_POINTS) -> None:
        self.min_points = min_points
        self._points: deque[tuple[float, bool]] = deque(maxlen=MAX_POINTS)

    def __len__(self) -> int:
        """Return the number of verified outcomes in use."""
        return len(self._points)

    def add(self, confidence: float | None, success: bool) -> None:
        """Add one verified outcome; a missing or non-finite confidence is skipped."""
        if confidence is None or not math.isfinite(confidence):
            return
        self._points.append((min(max(confidence, 0.0), 1.0), success))
        self.__dict__.pop("_map", None)

    def __call__(self, confidence: float) -> float:
        """Return the calibrated confidence in [0, 1]; 0 for a non-finite one: it passes no threshold."""
        if not math.isfinite(confidence):
            return 0.0
        confidence = min(max(confidence, 0.0), 1.0)
        if len(self._points) < self.min_points:
            return confidence
        knots_K, values_K = self._map
        return float(np.interp(confidence, knots_K, values_K))

    @cached_property
    def _map(self) -> tuple[Floats, Floats]:
        raw_N, success_N = np.array(self._points, dtype=np.float64).T
        prior_K = np.linspace(0.0, 1.0, PRIOR_KNOTS)
        weight_M = np.concatenate([np.ones(len(raw_N)), np.full(PRIOR_KNOTS, PRIOR_WEIGHT / PRIOR_KNOTS)])
        target_M = np.concatenate([success_N, prior_K])
        knots_K, index_M = np.unique(np.concatenate([raw_N, prior_K]), return_inverse=True)
        weight_K = np.bincount(index_M, weight_M)
        mean_K = np.bincount(index_M, weight_M * target_M) / weight_K
        return knots_K, np.asarray(isotonic_regression(mean_K, weights=weight_K).x, dtype=np.float64)

    @property
    def state(self) -> dict[str, Any]:
        """Return the JSON form that a checkpoint keeps."""
        return {
            "min_points": self.min_points,
            "points": [[round(confidence, 5), int(success)] for confidence, success in self._points],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Calibration:
        """Build it back from `state`.

        Raises:
            StoreError: the state is not one of a calibration map.
        """
        try:
            made = cls(int(state["min_points"]))
            for confidence, success in state["points"]:
                made.add(float(confidence), bool(success))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"not the state of a calibration map ({error!r}); remove it to start from none."
            ) from error
        return made
