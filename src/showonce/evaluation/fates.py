"""What became of a run that was damaged on purpose, read from the events of its lesson."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from showonce.evaluation.bench import TeachResult
from showonce.policy.adapter_files import content_hash

End = Literal["refused", "rolled_back", "acted", "not_injected"]


@dataclass(frozen=True)
class Fate:
    """end: refused = nothing damaged ever acted; rolled_back = it acted and was undone; acted = it acts still;
    not_injected = the run was never well enough for the fault to begin.

    refusals: damaged candidates that were refused. by_hash: of these, because their file did not match its hash.
    probes_to_see: from the moment at which the damaged champion began to act to its rollback. restored: the adapter
    that acts in the end has, bit for bit, the content of the version that was moved back to; None = nothing was.
    """

    end: End
    refusals: int = 0
    by_hash: int = 0
    probes_to_see: int | None = None
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
    back = next((event for event in events if event["kind"] == "rollback"), None)
    if back is not None:
        same = result.versions.get(str(back.get("new"))) == content_hash(result.tensors)
        return Fate("rolled_back", refusals, by_hash, _probes(events), same if _last(events) else None)
    acted = any(event.get("accepted") for event in promotions)
    return Fate("acted" if acted else "refused", refusals, by_hash)


def _probes(events: Sequence[Mapping[str, Any]]) -> int:
    """Return how many probes there were between the last promotion before the first rollback and that rollback."""
    probes = 0
    for event in events:
        if event["kind"] == "rollback":
            break
        if event["kind"] == "promotion" and event.get("accepted"):
            probes = 0
        probes += event["kind"] == "probe"
    return probes


def _last(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing was promoted or moved after the first rollback, so that what it restored is what acts."""
    at = next(i for i, event in enumerate(events) if event["kind"] == "rollback")
    return not any(
        event["kind"] == "rollback" or (event["kind"] == "promotion" and event.get("accepted"))
        for event in events[at + 1 :]
    )
