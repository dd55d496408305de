"""How a run ended whose updates were damaged on purpose, read from the events of its lesson."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from showonce.inference.torch.adapter_files import content_hash
from showonce.runtime.teaching import TeachResult

End = Literal["refused", "contained", "rolled_back", "acted", "not_injected"]
TOLERANCE: Final = 0.05  # loss of success up to which a run counts as not harmed


@dataclass(frozen=True)
class FaultOutcome:
    """How a damaged run ended.

    end: refused = no damaged adapter was ever promoted; rolled_back = one was promoted, and the last move was a
    rollback; acted = the last move promoted a damaged adapter; contained = as acted, but success did not fall (see
    `judged`); not_injected = the run ended before the fault began.

    refusals: number of damaged candidates that were refused. by_hash: those among them whose file did not match its
    hash. probes_to_see: number of probes from the first damaged promotion that was undone to its rollback; seen_rate:
    the share of these probes that succeeded. restored: whether the adapter after the last rollback has, bit for bit,
    the content of the version moved back to.
    """

    end: End
    refusals: int = 0
    by_hash: int = 0
    probes_to_see: int | None = None
    seen_rate: float | None = None
    restored: bool | None = None


def outcome_of(result: TeachResult) -> FaultOutcome:
    """Return how the run ended, as far as its events and its last adapter show."""
    kinds = [str(event.get("kind")) for event in result.events]
    if "fault" not in kinds:
        return FaultOutcome("not_injected")
    events = result.events[kinds.index("fault") + 1 :]
    promotions = [event for event in events if event["kind"] == "promotion"]
    refusals = sum(not event.get("accepted") for event in promotions)
    by_hash = sum(event["kind"] == "error" and event.get("where") == "store" for event in events)
    moves = [e for e in events if e["kind"] == "rollback" or (e["kind"] == "promotion" and e.get("accepted"))]
    if not any(event["kind"] == "promotion" for event in moves):
        return FaultOutcome("refused", refusals, by_hash)
    (seen, rate), last = _probes(events), moves[-1]
    if last["kind"] != "rollback":
        return FaultOutcome("acted", refusals, by_hash, seen, rate)
    restored = result.versions.get(str(last.get("new"))) == content_hash(result.tensors)
    return FaultOutcome("rolled_back", refusals, by_hash, seen, rate, restored)


def judged(outcome: FaultOutcome, start: float, end: float) -> FaultOutcome:
    """Return the outcome corrected by measured success: `start` before the damage, `end` after the run.

    A promoted adapter that lost at most TOLERANCE is contained; a rollback to a version that lost more is acted.
    """
    lost = end < start - TOLERANCE
    if outcome.end == "acted" and not lost:
        return replace(outcome, end="contained")
    return replace(outcome, end="acted") if outcome.end == "rolled_back" and lost else outcome


def _probes(events: Sequence[Mapping[str, Any]]) -> tuple[int | None, float | None]:
    """Return the number of probes between the drop test's first rollback and the promotion before it, and the share of
    them that succeeded; None where the drop test made no rollback (a rollback after refusals has no statistic).
    """
    probes: list[bool] = []
    for event in events:
        if event["kind"] == "rollback" and event.get("statistic") is not None:
            return len(probes), sum(probes) / max(len(probes), 1)
        if event["kind"] == "promotion" and event.get("accepted"):
            probes = []
        if event["kind"] == "probe":
            probes.append(bool(event["success"]))
    return None, None
