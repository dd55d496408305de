"""The drop test: its rate is what it states, it sees what it promises to see, and it survives a restart."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from showonce.errors import ConfigError, StoreError
from showonce.learning.ratchet.drop_test import RULES, WIDTH, Cusum, DropTest, DropVerdict
from showonce.learning.ratchet.thresholds import (
    P_GRID,
    STEPS,
    CusumDesign,
    Reference,
    cusum_designs,
    dropped,
    false_alarm_rate,
    long_run_rate,
    window_threshold,
)
from showonce.stats import upper_bound

RATE, HORIZON, DROP, WINDOW = 0.05, 200, 0.3, 20
KINDS = sorted(RULES)


def make(kind: str, successes: int, n: int = WINDOW) -> DropTest:
    return DropTest(kind, Reference(successes, n), rate=RATE, horizon=HORIZON, drop=DROP)


def feed(test: DropTest, outcomes: list[bool]) -> list[DropVerdict]:
    return [test.update(outcome) for outcome in outcomes]


def alarms(kind: str, success_NT: NDArray[np.bool_], rate: float = RATE) -> NDArray[np.int64]:
    """Return the probe after the window at which each run fires, or a number beyond all of them."""
    alarm_N = np.full(len(success_NT), 10**6)
    for successes in range(WINDOW + 1):
        of_N = np.flatnonzero(success_NT[:, :WINDOW].sum(1) == successes)
        rule = RULES[kind](Reference(successes, WINDOW), rate, HORIZON, DROP)
        if rule.threshold is None or not len(of_N):
            continue
        state = np.tile(np.array(rule.start), (len(of_N), 1))
        for t in range(WINDOW, success_NT.shape[1]):
            state = rule.advance(state, success_NT[of_N, t])
            fired = rule.statistic(state) >= rule.threshold
            alarm_N[of_N[fired]] = np.minimum(alarm_N[of_N[fired]], t - WINDOW + 1)
    return alarm_N


def test_the_reference_is_shrunk_to_the_middle() -> None:
    assert Reference(20, 20).p0 == pytest.approx(20.5 / 21)
    assert Reference(0, 0).p0 == 0.5
    with pytest.raises(ValueError, match="impossible"):
        Reference(3, 2)
    assert dropped(0.9, 0.3) == pytest.approx(0.6)
    assert dropped(0.31, 0.3) == 0.02
    assert dropped(0.29, 0.3) is None


def test_the_chain_against_all_sequences() -> None:
    """Every one of the 2^8 outcomes of eight probes, weighed by its probability."""
    design = CusumDesign(rise=14, fall=6, threshold=30)
    for p in (float(P_GRID[10]), float(P_GRID[45])):
        total = 0.0
        for outcomes in itertools.product([True, False], repeat=8):
            statistic, fired = 0, False
            for success in outcomes:
                statistic = max(0, statistic + (-design.fall if success else design.rise))
                fired |= statistic >= design.threshold
            total += fired * p ** sum(outcomes) * (1 - p) ** (8 - sum(outcomes))
        assert false_alarm_rate(design, p, 8) == pytest.approx(total, rel=1e-9)


def test_a_threshold_of_one_failure_is_a_geometric_wait() -> None:
    design = CusumDesign(rise=10, fall=10, threshold=10)
    p = float(P_GRID[30])
    assert false_alarm_rate(design, p, 7) == pytest.approx(1 - p**7)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_exact_long_run_rate_holds_for_every_true_p0(n: int) -> None:
    designs = cusum_designs(n, RATE, HORIZON, DROP)
    assert any(design is not None for design in designs)
    assert float(long_run_rate(designs, HORIZON).max()) <= RATE
    if n == 20:  # and the budget is used, not left lying
        assert float(long_run_rate(designs, HORIZON)[P_GRID > 0.6].max()) >= 0.6 * RATE


def test_the_long_run_rate_is_the_windows_average() -> None:
    designs = cusum_designs(WINDOW, RATE, HORIZON, DROP)
    p = float(P_GRID[50])
    by_hand = sum(
        float(binom.pmf(s, WINDOW, p)) * false_alarm_rate(design, p, HORIZON)
        for s, design in enumerate(designs)
        if design is not None
    )
    assert float(long_run_rate(designs, HORIZON)[50]) == pytest.approx(by_hand)


def test_a_fixed_p0_would_break_the_promise() -> None:
    """The same CUSUM tuned as if the window's share were the truth fires far more often than stated."""
    known = cusum_designs(10 * WINDOW, RATE, HORIZON, DROP)  # windows so long that p0 is nearly known
    naive = tuple(known[10 * s] for s in range(WINDOW + 1))
    assert float(long_run_rate(naive, HORIZON).max()) > 2 * RATE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p0", [0.5, 0.7, 0.9, 0.97])
def test_simulated_rate_with_p0_estimated(kind: str, p0: float) -> None:
    runs = 6000
    success_NT = np.random.default_rng(int(p0 * 100)).random((runs, WINDOW + HORIZON)) < p0
    fired = int((alarms(kind, success_NT) <= HORIZON).sum())
    assert upper_bound(fired, runs) <= RATE


@pytest.mark.parametrize(("kind", "most"), [("cusum", 8), ("beta_binomial", 8), ("window", 15)])
def test_a_collapse_is_seen_soon(kind: str, most: int) -> None:
    p_T = np.where(np.arange(WINDOW + 90) < WINDOW + 40, 0.95, 0.1)
    alarm_N = alarms(kind, np.random.default_rng(1).random((2000, len(p_T))) < p_T)
    assert float(np.median(alarm_N[alarm_N > 40])) - 40 <= most


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_three_tenths_is_seen_within_fifty(kind: str) -> None:
    p_T = np.where(np.arange(WINDOW + 140) < WINDOW + 40, 0.95, 0.65)
    alarm_N = alarms(kind, np.random.default_rng(2).random((2000, len(p_T))) < p_T)
    assert float(np.median(alarm_N[alarm_N > 40])) - 40 <= 50


@pytest.mark.parametrize("kind", KINDS)
def test_one_probe_at_a_time_is_what_is_simulated(kind: str) -> None:
    success_NT = np.random.default_rng(3).random((12, WINDOW + 60)) < 0.6
    expected = alarms(kind, success_NT)
    for run, alarm in zip(success_NT, expected, strict=True):
        test = make(kind, int(run[:WINDOW].sum()))
        fired = [v.fired for v in feed(test, run[WINDOW:].tolist())]
        assert (fired.index(True) + 1 if any(fired) else 10**6) == alarm


def test_cusum_arithmetic_by_hand() -> None:
    design = cusum_designs(WINDOW, RATE, HORIZON, DROP)[19]
    assert design is not None
    test = make("cusum", 19)
    up, down = design.rise / STEPS, design.fall / STEPS
    verdicts = feed(test, [False, True, False, False])
    assert [v.statistic for v in verdicts] == pytest.approx([up, up - down, 2 * up - down, 3 * up - down])
    assert verdicts[-1].threshold == pytest.approx(design.threshold / STEPS)
    assert (verdicts[-1].n, verdicts[-1].p0) == (4, pytest.approx(19.5 / 21))


def test_beta_binomial_arithmetic_by_hand() -> None:
    test = make("beta_binomial", 19)
    p1 = 19.5 / 21 - 0.3
    first = (1 - p1) / (1 - 19.5 / 21)
    second = (1 + first) * p1 / (19.5 / 22)
    assert [v.statistic for v in feed(test, [False, True])] == pytest.approx([math.log1p(first), math.log1p(second)])
    assert test.verdict.threshold == pytest.approx(math.log1p(HORIZON / RATE))


def test_window_counts_the_last_failures_only() -> None:
    test = make("window", 19)
    verdicts = feed(test, [False, False] + [True] * WIDTH)
    assert [verdicts[i].statistic for i in (1, WIDTH - 1, WIDTH, WIDTH + 1)] == [2, 2, 1, 0]
    assert verdicts[0].threshold == window_threshold(Reference(19, WINDOW), RATE, HORIZON, WIDTH)


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_drop_is_possible_it_never_fires(kind: str) -> None:
    test = make(kind, 2)
    assert not any(v.fired for v in feed(test, [False] * 100))
    assert test.verdict.threshold is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_horizon_starts_from_nothing(kind: str) -> None:
    test = DropTest(kind, Reference(19, 20), rate=RATE, horizon=10, drop=DROP)
    feed(test, [False, True] * 4 + [False, False])
    fresh = DropTest(kind, Reference(19, 20), rate=RATE, horizon=10, drop=DROP)
    assert test.update(False).statistic == fresh.update(False).statistic
    assert test.n == 11


@pytest.mark.parametrize("kind", KINDS)
def test_state_survives_json_in_the_middle(kind: str) -> None:
    rng = np.random.default_rng(5)
    outcomes = (rng.random(60) < 0.8).tolist()
    whole, half = make(kind, 18), make(kind, 18)
    feed(whole, outcomes)
    feed(half, outcomes[:25])
    again = DropTest.from_state(json.loads(json.dumps(half.state)))
    feed(again, outcomes[25:])
    assert again.verdict == whole.verdict


def test_bad_names_and_states_are_refused() -> None:
    with pytest.raises(ConfigError, match="cusum"):
        make("cusun", 19)
    state = make("cusum", 19).state
    for broken in ({}, {**state, "values": [1.0, 2.0]}, {**state, "successes": 21}):
        with pytest.raises(StoreError, match="drop test"):
            DropTest.from_state(broken)


def test_too_low_a_rate_for_too_short_a_window_gives_no_test() -> None:
    assert Cusum(Reference(1, 1), 1e-6, HORIZON, DROP).threshold is None
