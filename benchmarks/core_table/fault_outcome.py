"""How a run ended whose updates were damaged on purpose, read from the events of its lesson."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from showonce.events import ErrorRaised, Event, FaultInjected, ProbePlayed, PromotionDecided, RolledBack
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
    begun = next((i for i, event in enumerate(result.events) if isinstance(event, FaultInjected)), None)
    if begun is None:
        return FaultOutcome("not_injected")
    events = result.events[begun + 1 :]
    refusals = sum(isinstance(event, PromotionDecided) and not event.accepted for event in events)
    by_hash = sum(isinstance(event, ErrorRaised) and event.where == "store" for event in events)
    moves = [e for e in events if isinstance(e, RolledBack) or (isinstance(e, PromotionDecided) and e.accepted)]
    if not any(isinstance(event, PromotionDecided) for event in moves):
        return FaultOutcome("refused", refusals, by_hash)
    (seen, rate), last = _probes(events), moves[-1]
    if not isinstance(last, RolledBack):
        return FaultOutcome("acted", refusals, by_hash, seen, rate)
    restored = result.versions.get(last.new) == content_hash(result.tensors)
    return FaultOutcome("rolled_back", refusals, by_hash, seen, rate, restored)


def judged(outcome: FaultOutcome, start: float, end: float) -> FaultOutcome:
    """Return the outcome corrected by measured success: `start` before the damage, `end` after the run.

    A promoted adapter that lost at most TOLERANCE is contained; a rollback to a version that lost more is acted.
    """
    lost = end < start - TOLERANCE
    if outcome.end == "acted" and not lost:
        return replace(outcome, end="contained")
    return replace(outcome, end="acted") if outcome.end == "rolled_back" and lost else outcome


def _probes(events: Sequence[Event]) -> tuple[int | None, float | None]:
    """Return the number of probes between the drop test's first rollback and the promotion before it, and the share of
    them that succeeded; None where the drop test made no rollback (a rollback after refusals has no statistic).
    """
    probes: list[bool] = []
    for event in events:
        if isinstance(event, RolledBack) and event.statistic is not None:
            return len(probes), sum(probes) / max(len(probes), 1)
        if isinstance(event, PromotionDecided) and event.accepted:
            probes = []
        if isinstance(event, ProbePlayed):
            probes.append(bool(event.success))
    return None, None
