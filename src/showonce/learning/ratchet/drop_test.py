"""Sequential tests for a drop of the success rate, with a stated false-alarm rate over a horizon.

One `DropTest` watches one task: p0 comes from a frozen window of probes (`Reference`), shrunk, never from the best of
several checkpoints. It follows one of three rules:

* `Cusum`: the default. Exact threshold for the estimated p0 (see `thresholds`).
* `BetaBinomial`: Shiryaev-Roberts sum of the likelihood ratios "dropped since probe k" over all k, against the
  Beta-Binomial prediction, which goes on estimating p0. R_t - t is a martingale under the prediction,
  so Doob's inequality gives P(max R >= horizon / rate) <= rate.
* `Window`: failures among the last 30 probes; simulated threshold.

A rule's `advance` works on one state of shape (d,) as on many of shape (N, d), so what is simulated is what is shipped.
The statement covers `horizon` probes; after them the statistic starts anew for the next horizon. Probes of one task
are taken as independent; a mixture of tasks is not one task (watch each by its own test and split the rate).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from showonce.errors import ConfigError, StoreError, nearest
from showonce.learning.ratchet.thresholds import STEPS, Reference, cusum_designs, dropped, window_threshold

Floats = NDArray[np.float64]
WIDTH: Final = 30  # probes in the plain window


@dataclass(frozen=True)
class DropVerdict:
    """The state of a test after a probe. fired: statistic >= threshold, both in the rule's own unit.

    threshold: None if p0 is too low for a drop to be seen. p0: the shrunk reference rate. n: probes watched so far.
    """

    fired: bool
    statistic: float
    threshold: float | None
    p0: float
    n: int


class Rule(Protocol):
    """The arithmetic of one test on a state array of shape (..., d). It keeps no state itself."""

    @property
    def threshold(self) -> float | None: ...
    @property
    def start(self) -> tuple[float, ...]: ...
    def advance(self, state: Floats, success: NDArray[np.bool_]) -> Floats: ...
    def statistic(self, state: Floats) -> Floats: ...


class Cusum:
    """Bernoulli CUSUM; unit: failures above the allowance."""

    def __init__(self, reference: Reference, rate: float, horizon: int, drop: float) -> None:
        design = cusum_designs(reference.n, rate, horizon, drop)[reference.successes]
        self.start = (0.0,)
        self.threshold = None if design is None else design.threshold / STEPS
        self._rise, self._fall = (0, 0) if design is None else (design.rise, design.fall)

    def advance(self, state: Floats, success: NDArray[np.bool_]) -> Floats:
        return np.maximum(0.0, state + np.where(success, -self._fall, self._rise)[..., None])

    def statistic(self, state: Floats) -> Floats:
        return np.asarray(state[..., 0] / STEPS)


class BetaBinomial:
    """Shiryaev-Roberts against the Beta-Binomial prediction; unit: nats, log(1 + R). State: R and the Beta's a, b."""

    def __init__(self, reference: Reference, rate: float, horizon: int, drop: float) -> None:
        p1 = dropped(reference.p0, drop)
        self.start = (0.0, *reference.posterior)
        self.threshold = None if p1 is None else math.log1p(horizon / rate)
        self._p1 = reference.p0 if p1 is None else p1

    def advance(self, state: Floats, success: NDArray[np.bool_]) -> Floats:
        total, a, b = np.moveaxis(state, -1, 0)
        predicted = a / (a + b)
        ratio = np.where(success, self._p1 / predicted, (1 - self._p1) / (1 - predicted))
        return np.stack([np.minimum((1 + total) * ratio, 1e300), a + success, b + ~success], axis=-1)

    def statistic(self, state: Floats) -> Floats:
        return np.asarray(np.log1p(state[..., 0]))


class Window:
    """Failures among the last `WIDTH` probes. State: the failures themselves, oldest first."""

    def __init__(self, reference: Reference, rate: float, horizon: int, drop: float) -> None:
        count = window_threshold(reference, rate, horizon, WIDTH)
        possible = dropped(reference.p0, drop) is not None and count <= WIDTH
        self.start = (0.0,) * WIDTH
        self.threshold = float(count) if possible else None

    def advance(self, state: Floats, success: NDArray[np.bool_]) -> Floats:
        return np.concatenate([state[..., 1:], np.where(success, 0.0, 1.0)[..., None]], axis=-1)

    def statistic(self, state: Floats) -> Floats:
        return np.asarray(state.sum(-1))


RULES: Final[dict[str, type[Cusum] | type[BetaBinomial] | type[Window]]] = {
    "cusum": Cusum,
    "beta_binomial": BetaBinomial,
    "window": Window,
}


class DropTest:
    """Watches the probes of one task. rate: stated probability of a false alarm within `horizon` probes, in (0, 0.5].

    drop: the loss of success rate that the rule is tuned to.

    Raises:
        ConfigError: unknown kind of test.
    """

    def __init__(self, kind: str, reference: Reference, *, rate: float, horizon: int, drop: float) -> None:
        if kind not in RULES:
            raise ConfigError(f"unknown drop test {kind!r}.{nearest(kind, RULES)}")
        self.kind, self.reference = kind, reference
        self.rate, self.horizon, self.drop = rate, horizon, drop
        self.n = 0
        self._rule: Rule = RULES[kind](reference, rate, horizon, drop)
        self._state = np.array(self._rule.start)

    @property
    def verdict(self) -> DropVerdict:
        """Return the state of the test without a new probe."""
        statistic, threshold = float(self._rule.statistic(self._state)), self._rule.threshold
        fired = threshold is not None and statistic >= threshold
        return DropVerdict(fired, statistic, threshold, self.reference.p0, self.n)

    def update(self, success: bool) -> DropVerdict:
        """Add one probe and return the new state of the test."""
        if self.n and self.n % self.horizon == 0:
            self._state = np.array(self._rule.start)
        self._state = self._rule.advance(self._state, np.asarray(success, dtype=np.bool_))
        self.n += 1
        return self.verdict

    @property
    def state(self) -> dict[str, Any]:
        """Return the JSON form, without thresholds: `from_state` computes them again."""
        return {
            "kind": self.kind, "successes": self.reference.successes, "window": self.reference.n, "rate": self.rate,
            "horizon": self.horizon, "drop": self.drop, "n": self.n, "values": self._state.tolist(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> DropTest:
        """Build it back from `state`.

        Raises:
            StoreError: the state is not one of a drop test.
        """
        try:
            reference = Reference(int(state["successes"]), int(state["window"]))
            made = cls(state["kind"], reference, rate=state["rate"], horizon=state["horizon"], drop=state["drop"])
            made.n = int(state["n"])
            values = np.array(state["values"], dtype=np.float64)
            if values.shape != made._state.shape:
                raise ValueError(f"{len(values)} values, not {len(made._state)}")
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"not the state of a drop test ({error!r}); remove it to start a new window.") from error
        made._state = values
        return made
