"""The benchmark of starts, on one start of each verb."""

from __future__ import annotations

from benchmarks.startup import GOAL, VERBS, measure


def test_every_verb_is_started_and_none_imports_torch() -> None:
    *starts, torch = measure(1)
    assert len(starts) == len(VERBS) and all(row.goal is GOAL and row.value > 20 for row in starts if row.value)
    assert torch.value == 0 and torch.holds
