"""The candidate, saved and loaded: what training has made, as versions of the adapter store.

A version holds the adapter's tensors, the optimiser, the EMA, the calibration map and the learner's counters. What acts
was always loaded from the disk, its hashes compared, so that it is exactly what a rollback brings back. The state of
the random generator is never restored: the same draws would lead to the same refused candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from showonce.events import CheckpointSaved
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.calibration import Calibration
from showonce.learning.trainer import Trainer
from showonce.protocols import CANDIDATE, CHAMPION, EventSink

NO_PROBES = {"n": 0, "successes": 0, "lower": 0.0}


class Candidate:
    """The set of tensors CANDIDATE with its training state; CHAMPION is the set that acts.

    calibration: the map of confidences that belongs to the champion. confidence: which reading the map is of, "stated"
    or "token".
    """

    def __init__(self, trainer: Trainer, store: AdapterStore, events: EventSink, confidence: str) -> None:
        self.calibration = Calibration()
        self.confidence: Literal["stated", "token"] = "stated" if confidence == "stated" else "token"
        self._trainer, self._store, self._events = trainer, store, events
        self._policy = trainer.context.policy
        assert self._policy.adapter is not None, "the policy of a session has an adapter"
        self._adapter = self._policy.adapter

    @property
    def hash(self) -> str:
        """The content hash of the candidate's tensors."""
        return self._adapter.hash(CANDIDATE)

    @property
    def version(self) -> str:
        """The label of the candidate's tensors: the version that they were loaded from, else their hash."""
        return self._adapter.version(CANDIDATE)

    def save(self) -> str:
        """Write the candidate as a new version and return its name.

        Raises:
            DiskError: it cannot be written; the store is as before.
        """
        version = self._store.save(
            self._adapter.tensors(CANDIDATE),
            calibration=self.calibration.state,
            sources=self._trainer.take_sources(),
            **self._trainer.snapshot(),
        )
        path = str(self._store.folder(version))
        self._events.emit(CheckpointSaved(version=version, path=path, probes=NO_PROBES, hash=self.hash))
        return version

    def act(self, version: str) -> None:
        """Load a version from the disk and let its tensors act; the candidate goes on as it is.

        Raises:
            CheckpointCorrupt: it is not whole; the champion acts on.
        """
        self._adapter.set_tensors(self._store.load(version).tensors, CHAMPION, version)

    def reset(self) -> None:
        """Make tensors, optimiser and EMA equal to the champion's; the learner's counters go on."""
        found = self._store.load()
        self._restore(found.tensors, found.optimiser, found.ema, self._trainer.state)

    def restore(self, version: str | None) -> None:
        """Go on from a version (None: the champion): candidate, champion, calibration map and counters.

        Raises:
            CheckpointCorrupt: it is not whole; nothing was changed.
        """
        found = self._store.load(version)
        self._restore(found.tensors, found.optimiser, found.ema, found.counters)
        self._adapter.set_tensors(found.tensors, CHAMPION, found.version)
        self.calibration = Calibration.from_state(found.calibration) if found.calibration else Calibration()
        self._policy.calibration = self.calibration
        self._policy.calibration_source = self.confidence

    def _restore(self, tensors: Mapping[str, Any], optimiser: Any, ema: Any, counters: Mapping[str, Any]) -> None:
        kept = {key: value for key, value in counters.items() if key != "rng"}
        self._trainer.restore(tensors, optimiser=optimiser, ema=ema, counters=kept)
