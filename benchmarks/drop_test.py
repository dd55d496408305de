"""Is the drop test's stated false-alarm rate true, and how soon does it see a drop?

Simulated probes through the very rules that are shipped. p0 is always *estimated* from a frozen window.

    python -m benchmarks.drop_test            # about a minute on one core
    python -m benchmarks.drop_test --quick

Scenarios of the false-alarm table (nothing gets worse in any of them, so every alarm is false):
  i.i.d.        one task, constant success probability p0
  task blocks   four tasks of different difficulty (p0 +- 0.05 and 0.15, clipped), probes in blocks of one task; a test
                for each task with a quarter of the rate; an alarm of any counts
  rising        success rises linearly by 0.3 (to 1 at most) over the horizon
  one for all   as task blocks, but one test over the mixture: why each task has its own. No goal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.verdict import Row, finish, parser
from showonce.evaluation.goals import Goal
from showonce.learning.ratchet.drop_test import RULES
from showonce.learning.ratchet.thresholds import Reference
from showonce.stats import upper_bound

ENOUGH = 5000  # simulated runs of a setting from which on the rate is judged
DEFAULT = "cusum"
WINDOW, HORIZON, RATE, DROP = 20, 200, 0.05, 0.3
P0 = (0.5, 0.7, 0.9, 0.97)
BLOCK, SPREAD = 10, (-0.15, -0.05, 0.05, 0.15)
HEALTHY = 40  # probes between the window and the drop
# (name, before, after, goal of the median delay or None, goal of the 90th percentile or None)
DROPS = (
    ("collapse", 0.95, 0.10, 8, 15),
    ("loss of 0.3", 0.97, 0.67, 50, None),
    ("loss of 0.3", 0.95, 0.65, 50, None),
    ("loss of 0.3", 0.90, 0.60, 50, None),
    ("loss of 0.3", 0.70, 0.40, None, None),
    ("loss of 0.3", 0.50, 0.20, None, None),
)
Bools = NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max


def first_alarm(kind: str, success_NT: Bools, rate: float = RATE) -> NDArray[np.int64]:
    """Return for each run the probe after the window at which the test fires (1 = first), or NEVER."""
    window_NW, watched_NT = success_NT[:, :WINDOW], success_NT[:, WINDOW:]
    alarm_N = np.full(len(success_NT), NEVER)
    for successes in range(WINDOW + 1):
        of_N = np.flatnonzero(window_NW.sum(1) == successes)
        rule = RULES[kind](Reference(successes, WINDOW), rate, HORIZON, DROP)
        if rule.threshold is None or not len(of_N):
            continue
        state_Nd = np.tile(np.array(rule.start), (len(of_N), 1))
        for t in range(watched_NT.shape[1]):
            state_Nd = rule.advance(state_Nd, watched_NT[of_N, t])
            fired = (rule.statistic(state_Nd) >= rule.threshold) & (alarm_N[of_N] == NEVER)
            alarm_N[of_N[fired]] = t + 1
    return alarm_N


def iid(kind: str, p0: float, runs: int, rng: np.random.Generator) -> int:
    success = rng.random((runs, WINDOW + HORIZON)) < p0
    return int((first_alarm(kind, success) <= HORIZON).sum())


def rising(kind: str, p0: float, runs: int, rng: np.random.Generator) -> int:
    p_T = np.minimum(p0 + DROP * np.arange(WINDOW + HORIZON) / (WINDOW + HORIZON), 1.0)
    success = rng.random((runs, WINDOW + HORIZON)) < p_T
    return int((first_alarm(kind, success) <= HORIZON).sum())


def _blocks(p0: float, runs: int, rng: np.random.Generator) -> tuple[Bools, NDArray[np.int64]]:
    """Return one stream of probes per run, and the task of each probe: blocks of BLOCK, tasks in random order."""
    p_K = np.clip(p0 + np.array(SPREAD), 0.02, 0.995)
    per_task = (WINDOW + HORIZON) // BLOCK
    task_T = np.repeat(rng.permuted(np.repeat(np.arange(len(p_K)), per_task)), BLOCK)
    return rng.random((runs, len(task_T))) < p_K[task_T], task_T


def task_blocks(kind: str, p0: float, runs: int, rng: np.random.Generator) -> int:
    success, task_T = _blocks(p0, runs, rng)
    share = RATE / len(SPREAD)
    alarms = [first_alarm(kind, success[:, task_T == task], share) <= HORIZON for task in range(len(SPREAD))]
    return int(np.any(alarms, axis=0).sum())


def one_for_all(kind: str, p0: float, runs: int, rng: np.random.Generator) -> int:
    orders = 20  # random orders of the blocks, as the result depends on which tasks fall into the window
    streams = [_blocks(p0, runs // orders, rng)[0][:, : WINDOW + HORIZON] for _ in range(orders)]
    return int((first_alarm(kind, np.concatenate(streams)) <= HORIZON).sum())


SCENARIOS: dict[str, Callable[[str, float, int, np.random.Generator], int]] = {
    "i.i.d.": iid, "task blocks": task_blocks, "rising": rising, "one for all": one_for_all,
}  # fmt: skip


def false_alarms(kind: str, runs: int) -> list[Row]:
    """Print the false-alarm table of one rule; return the row of its worst upper bound over scenarios and p0."""
    worst, where = 0.0, ""
    print(f"\n{kind}: share of healthy runs with an alarm within {HORIZON} probes (upper 95 % bound); stated {RATE}")
    print(f"  {'':12s}" + "".join(f"{f'p0 = {p0}':>18s}" for p0 in P0))
    for row, (name, scenario) in enumerate(SCENARIOS.items()):
        cells = []
        for column, p0 in enumerate(P0):
            alarms = scenario(kind, p0, runs, np.random.default_rng([row, column]))
            upper = upper_bound(alarms, runs)
            if name != "one for all" and upper > worst:
                worst, where = upper, f"{name}, p0 = {p0}"
            cells.append(f"{f'{alarms / runs:.4f} ({upper:.4f})':>18s}")
        print(f"  {name:12s}" + "".join(cells) + ("   no goal" if name == "one for all" else ""))
    goal = Goal("<=", RATE, "g") if runs >= ENOUGH else None
    return [Row(f"{kind}: worst upper bound of the false-alarm rate", worst, goal, n=runs, note=where)]


def delays(kind: str, runs: int) -> list[Row]:
    """Return rows of the probes after a drop until the alarm, in runs without an earlier alarm.

    A quantile beyond the horizon counts as HORIZON + 1. Only the default rule has goals.
    """
    rows = list[Row]()
    for at, (name, before, after, goal_median, goal_p90) in enumerate(DROPS):
        rng = np.random.default_rng([99, at])
        p_T = np.where(np.arange(WINDOW + HEALTHY + HORIZON) < WINDOW + HEALTHY, before, after)
        alarm_N = first_alarm(kind, rng.random((runs, len(p_T))) < p_T)
        delay_N = np.sort(alarm_N[alarm_N > HEALTHY] - HEALTHY)
        for word, share, bound in (("median", 0.5, goal_median), ("90 %", 0.9, goal_p90)):
            probes = int(delay_N[int(share * len(delay_N))])
            goal = Goal("<=", bound, "g") if bound is not None and kind == DEFAULT else None
            late = "later than the horizon" if probes > HORIZON else ""
            title = f"{kind}: {word} of probes until a {name} {before} -> {after} is seen"
            rows.append(Row(title, min(probes, HORIZON + 1), goal, n=len(delay_N), note=late))
    return rows


def main() -> int:
    """Print the false-alarm tables, the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="5000 runs of each setting instead of 20,000, the default rule only")
    arguments.add_argument("--runs", type=int, default=20_000, help="simulated runs of each setting, 5000 or more")
    given = arguments.parse_args()
    runs = ENOUGH if given.quick else given.runs - given.runs % 20
    print(f"window {WINDOW} probes, horizon {HORIZON}, {runs} runs of each setting, p0 estimated from the window")
    kinds = [DEFAULT] if given.quick else list(RULES)
    rows = [row for kind in kinds for row in false_alarms(kind, runs)]
    rows += [row for kind in kinds for row in delays(kind, max(runs // 4, ENOUGH))]
    return finish(rows, given)


if __name__ == "__main__":
    sys.exit(main())
