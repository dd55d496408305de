"""The results of lessons, kept on disk, so that an adapter is taught once for all its measurements.

FOLDER/NAME.safetensors   the tensors, written first
FOLDER/NAME.json          everything else; the lesson is there once this file is
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError

from showonce.errors import CheckpointCorrupt
from showonce.events import (
    CheckpointSaved,
    ErrorRaised,
    Event,
    FaultInjected,
    ProbePlayed,
    PromotionDecided,
    Quarantined,
    RolledBack,
    from_json,
)
from showonce.fsio import atomic_write_bytes, atomic_write_json, explained, make_folder
from showonce.runtime.teaching import TeachResult

KEPT_EVENTS: Final = (
    FaultInjected, ProbePlayed, PromotionDecided, CheckpointSaved, RolledBack, Quarantined, ErrorRaised,
)  # fmt: skip


class LessonStore:
    """Results of lessons by name. Of a lesson's events, those of the ratchet and of errors are kept."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, name: str) -> TeachResult | None:
        """Return the result of a lesson, or None where there is none of that name.

        Raises:
            CheckpointCorrupt: its files are damaged.
        """
        from safetensors.torch import load  # imports torch

        record, weights = self._paths(name)
        if not record.is_file():
            return None
        with explained(record, "read"):
            text, data = record.read_text(encoding="utf-8"), weights.read_bytes()
        try:
            found = json.loads(text)
            tensors = load(data) if data else {}
            return TeachResult(**{**found, "events": tuple(map(from_json, found["events"])), "tensors": tensors})
        except (ValueError, TypeError, KeyError, SafetensorError) as error:
            raise CheckpointCorrupt(f"{record} is damaged ({error}): remove it to teach the lesson again.") from error

    def put(self, name: str, result: TeachResult) -> TeachResult:
        """Write the result of a lesson and return it as it is read back."""
        from safetensors.torch import save  # imports torch

        make_folder(self.folder)
        record, weights = self._paths(name)
        tensors = {key: value.detach().cpu().contiguous() for key, value in result.tensors.items()}
        atomic_write_bytes(weights, save(tensors) if tensors else b"", durable=False)
        kept: dict[str, Any] = {
            "updates": result.updates,
            "practice_episodes": result.practice_episodes,
            "distinct_screens": result.distinct_screens,
            "seconds": result.seconds,
            "events": [event.to_json() for event in result.events if isinstance(event, KEPT_EVENTS)],
            "versions": result.versions,
            "calibration": result.calibration,
        }
        atomic_write_json(record, kept, durable=False)
        found = self.get(name)
        assert found is not None, "it was just written"
        return found

    def get_or(self, name: str, teach: Callable[[], TeachResult]) -> TeachResult:
        """Return the result kept under a name; where there is none, teach and keep it."""
        return self.get(name) or self.put(name, teach())

    def _paths(self, name: str) -> tuple[Path, Path]:
        stem = re.sub(r"[^A-Za-z0-9._@=-]+", "-", name)
        return self.folder / f"{stem}.json", self.folder / f"{stem}.safetensors"


def counted(events: Iterable[Event]) -> Counter[str]:
    """Return the number of events by their kind."""
    return Counter(event.kind for event in events)
