"""What became of a damaged run is read from its events as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.core_table.fault_outcome import FaultOutcome, judged, outcome_of
from showonce.events import from_json
from showonce.inference.torch.adapter_files import content_hash
from showonce.runtime.teaching import TeachResult

GOOD = {"tokens.7": torch.ones(4)}
Events = list[dict[str, Any]]
FAULT: Events = [{"kind": "fault", "name": "inverted_loss"}]


def promoted(accepted: bool = True) -> Events:
    return [{"kind": "promotion", "accepted": accepted}]


def probes(n: int) -> Events:
    return [{"kind": "probe", "success": True}] * n


def back(to: str = "v0002", statistic: float | None = 3.0) -> Events:
    return [{"kind": "rollback", "old": "v0004", "new": to, "statistic": statistic}]


def result(events: Events, versions: dict[str, str] | None = None) -> TeachResult:
    kept = {"v0002": content_hash(GOOD)} if versions is None else versions
    return TeachResult(GOOD, 40, 40, 40, 1.0, tuple(map(from_json, events)), kept)


HEALTHY = [*promoted(), *probes(20), *promoted(False)]


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        (HEALTHY, FaultOutcome("not_injected")),
        ([*HEALTHY, *FAULT, *promoted(False), *probes(8), *promoted(False)], FaultOutcome("refused", 2)),
        ([*HEALTHY, *FAULT, *probes(8)], FaultOutcome("refused")),
        ([*HEALTHY, *FAULT, *promoted(), *probes(30)], FaultOutcome("acted")),
        ([*HEALTHY, *FAULT, *promoted(), *probes(9), *back()], FaultOutcome("rolled_back", 0, 0, 9, 1.0, True)),
        (
            [*HEALTHY, *FAULT, *promoted(), *probes(20), *promoted(), *probes(6), *back(), *promoted(False)],
            FaultOutcome("rolled_back", 1, 0, 6, 1.0, True),
        ),
        (
            [*FAULT, *promoted(), *probes(6), *back(), *probes(9), *promoted(), *probes(3), *back()],
            FaultOutcome("rolled_back", 0, 0, 6, 1.0, True),
        ),
        ([*FAULT, *promoted(), *probes(4), *back("v0009")], FaultOutcome("rolled_back", 0, 0, 4, 1.0, False)),
        ([*FAULT, *promoted(), *probes(4), *back("v0002", None)], FaultOutcome("rolled_back", 0, 0, None, None, True)),
        ([*FAULT, *promoted(False), *probes(4), *back("v0002", None)], FaultOutcome("refused", 1)),
        ([*FAULT, *promoted(), *probes(4), *back(), *promoted()], FaultOutcome("acted", 0, 0, 4, 1.0)),
        (
            [*FAULT, {"kind": "error", "where": "store", "message": "not whole"}, *promoted(False)],
            FaultOutcome("refused", 1, 1),
        ),
        ([*FAULT, {"kind": "error", "where": "model", "message": "x"}], FaultOutcome("refused")),
    ],
)
def test_the_outcome_of_a_damaged_run(events: Events, outcome: FaultOutcome) -> None:
    assert outcome_of(result(events)) == outcome


def test_how_many_of_the_probes_succeeded_tells_a_collapse_from_a_smaller_loss() -> None:
    failed: Events = [{"kind": "probe", "success": False}] * 3
    found = outcome_of(result([*FAULT, *promoted(), *probes(1), *failed, *back()]))
    assert (found.probes_to_see, found.seen_rate) == (4, 0.25)


def test_another_content_is_not_the_best_one() -> None:
    events = [*FAULT, *promoted(), *probes(3), *back()]
    assert outcome_of(result(events, {"v0002": "something else"})).restored is False


def test_what_acts_without_a_loss_is_contained() -> None:
    assert judged(FaultOutcome("acted", 2), 0.98, 0.95) == FaultOutcome("contained", 2)
    assert judged(FaultOutcome("acted", 2), 0.98, 0.80) == FaultOutcome("acted", 2)
    assert judged(FaultOutcome("rolled_back"), 0.98, 0.98) == FaultOutcome("rolled_back")
    assert judged(FaultOutcome("rolled_back"), 0.98, 0.60) == FaultOutcome("acted"), (
        "the version moved back to was damaged"
    )
