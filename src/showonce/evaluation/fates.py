"""What became of a run that was damaged on purpose, read from the events of its lesson."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from showonce.inference.torch.adapter_files import content_hash
from showonce.runtime.teaching import TeachResult

End = Literal["refused", "contained", "rolled_back", "acted", "not_injected"]
TOLERANCE: Final = 0.05  # of success: a run that ends with less of a loss was not harmed


@dataclass(frozen=True)
class Fate:
    """end: refused = nothing damaged ever acted; contained = what did act in the end does no harm (see `judged`);
    rolled_back = it acted and was undone, the last time for good; acted = it acts still; not_injected = the run was
    never well enough for the fault to begin.

    refusals: damaged candidates that were refused. by_hash: of these, because their file did not match its hash.
    probes_to_see: from the moment at which the first damaged champion that was undone began to act to its rollback;
    seen_rate: the share of them that succeeded.
    restored: what acts after the last rollback has, bit for bit, the content of the version moved back to.
    """

    end: End
    refusals: int = 0
    by_hash: int = 0
    probes_to_see: int | None = None
    seen_rate: float | None = None
    restored: bool | None = None


def fate_of(result: TeachResult) -> Fate:
    """Return what became of the damage."""
    kinds = [str(event.get("kind")) for event in result.events]
    if "fault" not in kinds:
        return Fate("not_injected")
    events = result.events[kinds.index("fault") + 1 :]
    promotions = [event for event in events if event["kind"] == "promotion"]
    refusals = sum(not event.get("accepted") for event in promotions)
    by_hash = sum(event["kind"] == "error" and event.get("where") == "store" for event in events)
    moves = [e for e in events if e["kind"] == "rollback" or (e["kind"] == "promotion" and e.get("accepted"))]
    if not any(event["kind"] == "promotion" for event in moves):
        return Fate("refused", refusals, by_hash)
    (seen, rate), last = _probes(events), moves[-1]
    if last["kind"] != "rollback":
        return Fate("acted", refusals, by_hash, seen, rate)
    restored = result.versions.get(str(last.get("new"))) == content_hash(result.tensors)
    return Fate("rolled_back", refusals, by_hash, seen, rate, restored)


def judged(fate: Fate, start: float, end: float) -> Fate:
    """Return the fate in view of success before the damage and in the end.

    What acts and lost nothing is contained; a version moved back to that is damaged itself acts still.
    """
    lost = end < start - TOLERANCE
    if fate.end == "acted" and not lost:
        return replace(fate, end="contained")
    return replace(fate, end="acted") if fate.end == "rolled_back" and lost else fate


def _probes(events: Sequence[Mapping[str, Any]]) -> tuple[int | None, float | None]:
    """Return how many probes there were from the last promotion before the drop test's first rollback to it, and the
    share of them that succeeded.

    None without one: a rollback for another reason, after refusals, was not seen by probes.
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
