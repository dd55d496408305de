"""Which version acts: promotes a candidate that the canaries accept, takes a refused one back, rolls back after a drop.

`promotion.Ratchet` decides; here the decision is carried out on the tensors, the store and the events of the run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from typing import Final

import numpy as np

from showonce.errors import CheckpointCorrupt
from showonce.events import ErrorRaised, GateDecided, LockTakenOver, PromotionDecided, Quarantined
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.methods.faults import corrupt_checkpoint
from showonce.learning.ratchet.canaries import CanaryReport
from showonce.learning.ratchet.candidate import Candidate
from showonce.learning.ratchet.promotion import ProbeVerdict, PromotionDecision, PromotionReason, Ratchet
from showonce.learning.ratchet.refusals import SECTION as REFUSALS
from showonce.learning.ratchet.refusals import RefusedCandidates
from showonce.learning.trainer import Trainer
from showonce.protocols import EventSink
from showonce.stats import lower_bound
from showonce.versions.store import ChampionMove

KNOWN: Final = 0.9  # least share of the last RECENT probes, or of canaries, with which the champion knows a lesson
RECENT: Final = 10  # probes
SUSPENDED: Final = "suspended"  # reason of the gate: learning of this lesson has ended (see `RefusedCandidates`)
WAITING: Final = (PromotionReason.DROP_SUSPECTED, PromotionReason.PROBATION)  # the candidate is kept, not refused


class ChampionKeeper:
    """Carries out what the ratchet decides, in one store.

    run: name of the run, by which refusals of a resumed run are recognised. seed: of the corrupt_checkpoint fault.
    """

    def __init__(
        self,
        ratchet: Ratchet,
        candidate: Candidate,
        trainer: Trainer,
        store: AdapterStore,
        events: EventSink,
        run: str,
        seed: int,
    ) -> None:
        self.ratchet, self.candidate = ratchet, candidate
        self._trainer, self._context, self._store, self._events = trainer, trainer.context, store, events
        self._seed = seed
        self._recent: dict[str, deque[bool]] = {}  # results of the last probes, by task
        self._refusals = RefusedCandidates(run)

    def open(self) -> None:
        """Save a first version or repair a damaged champion, then go on from the champion.

        Raises:
            CheckpointCorrupt: no version is whole.
        """
        store = self._store
        if store.taken_over_from is not None:
            self._events.emit(LockTakenOver(owner=str(store.taken_over_from), path=str(store.path)))
        if store.champion is None:
            self.candidate.save()
        elif (move := store.recover()) is not None:
            self._emit_move(move, "", None)
        self.candidate.restore(store.champion)
        self.ratchet.note_update(-self.ratchet.candidate_updates)  # updates that were not saved are lost

    def begin_lesson(self, task_id: str) -> None:
        """Make a task the lesson at hand. Its refusals go on counting in the same run, else they begin at 0."""
        kept = RefusedCandidates(**self._store.ledger.read_section(REFUSALS))
        self.ratchet.begin_lesson(new=kept.task != task_id)
        run = self._refusals.run
        self._set_refusals(kept if (kept.run, kept.task) == (run, task_id) else RefusedCandidates(run, task_id))

    @property
    def suspended(self) -> bool:
        """Whether nothing more may be learned in this lesson."""
        return self._refusals.suspends

    def succeeds(self, task_id: str) -> bool:
        """Whether the champion has had `RECENT` probes of a task and at least the share `KNOWN` of them succeeded."""
        recent = self._recent.get(task_id, ())
        return len(recent) >= RECENT and sum(recent) >= KNOWN * len(recent)

    # ---- promotion

    def decide(self, report: CanaryReport) -> PromotionDecision:
        """Promote the candidate, keep it waiting, or take it back, by the canaries' report on it."""
        old, candidate = self._store.champion, self.candidate
        decision = self.ratchet.decide_promotion(report)
        accepted, damaged, reason, new = decision.accepted, False, decision.text, candidate.version
        if accepted:
            try:
                new = self._promote()
            except CheckpointCorrupt as error:
                accepted, damaged, reason = False, True, f"the saved candidate is not whole: {error}"
                self._events.emit(ErrorRaised(where="store", message=str(error)))
        canaries = decision.numbers
        self._events.emit(PromotionDecided(accepted=accepted, old=old, new=new, reason=reason, canaries=canaries))
        if not accepted and decision.reason not in WAITING:
            self._refuse(decision, reason, counts=not damaged and self._knows_lesson(decision))
        return decision

    def _promote(self) -> str:
        """Save the candidate, load it from the disk and let it act; return its version.

        Raises:
            CheckpointCorrupt: the saved files do not match their hashes; the version is quarantined.
        """
        version, fault = self.candidate.save(), self._context.fault
        if fault.active and fault.kind == "corrupt_checkpoint":
            corrupt_checkpoint(self._store.folder(version), np.random.default_rng(self._seed))
        try:
            self.ratchet.promote(version)
        except CheckpointCorrupt:
            self._store.quarantine([version], "its files do not match their hashes", blame=False)
            raise
        self.candidate.act(version)
        self._store.prune(self.ratchet.config.keep_last)
        return version

    def _knows_lesson(self, decision: PromotionDecision) -> bool:
        """Whether some champion could do the lesson at hand, by its canaries or its probes."""
        present = decision.numbers.get("groups", {}).get("present", {})
        by_canaries = self.ratchet.guards_lesson or present.get("champion", 0.0) >= KNOWN
        return by_canaries or self.succeeds(self._refusals.task)

    def _refuse(self, decision: PromotionDecision, reason: str, counts: bool) -> None:
        """Make the candidate equal to the champion; end the lesson if that was the second refusal that counts.

        counts: False while no champion knows the lesson, since refusals are normal then. At the end of a lesson the
        sources of its refused candidates are quarantined, else a poisoned one would be tried until it passes; but not
        sources of a candidate that was refused for what it lost in another lesson or in skills. Part of the poison may
        have passed before, so the champion gives way to a proven version.
        """
        sources = set(self._trainer.take_sources())
        self.candidate.reset()
        if not counts:
            return
        blamed = decision.numbers.get("group") in ("present", None)
        self._set_refusals(self._refusals.plus(sources if blamed else ()))
        if not self.suspended:
            return
        reason = f"{self._refusals.refused} candidates of one lesson were refused: {reason}"
        before = self._store.ledger.quarantined_sources
        self._store.quarantine([], reason, self._refusals.doubted)
        self._context.quarantined = self._store.ledger.quarantined_sources
        if aside := sorted(set(self._context.quarantined) - set(before)):
            self._events.emit(Quarantined(versions=tuple(aside), reason=reason))
        self._events.emit(GateDecided(accepted=False, route=None, reason=SUSPENDED, updates=self._trainer.updates))
        self._retreat(reason)

    def _set_refusals(self, refusals: RefusedCandidates) -> None:
        self._refusals = refusals
        self._store.ledger.write_section(REFUSALS, asdict(refusals))

    # ---- rollback

    def note_probe(self, task_id: str, success: bool) -> ProbeVerdict:
        """Count one verified probe of the champion; call `roll_back` if the verdict has fired."""
        self._recent.setdefault(task_id, deque(maxlen=RECENT)).append(success)
        return self.ratchet.note_probe(task_id, success, self._store.champion or "")

    def roll_back(self, task_id: str, episode: str, reason: str = "", to: str | None = None) -> None:
        """Move back to `to` (None: the most trusted older version) and go on from there.

        episode: id of the probe that decided, "" without one. reason: "" = the drop test's.
        """
        decision = self.ratchet.rollback(task_id, self._trainer.take_sources(), reason, to)
        if decision.move is None:
            self._events.emit(ErrorRaised(where="store", message=f"cannot roll back: {decision.reason}"))
            return
        self._recent.clear()
        if not reason:  # refusals under the damaged champion say nothing about the restored one
            self._set_refusals(RefusedCandidates(self._refusals.run, self._refusals.task))
        self.candidate.restore(decision.move.new)
        self._emit_move(decision.move, episode, None if reason else decision.statistic)

    def _retreat(self, reason: str) -> None:
        """Move back to the best proven other version that knows the lesson, unless the champion is proven to be better.

        Proven to be better: the lower bound of the champion's probes is above the other's success rate.
        """
        champion, task_id = self._store.champion or "", self._refusals.task
        other = self._store.best(task_id, self.ratchet.config.min_probes_best, {champion})
        successes, n = self._store.ledger.probes(champion).get(task_id, (0, 0))
        if other is None or other.successes < KNOWN * other.n:
            return
        if lower_bound(successes, n) <= other.successes / other.n:
            self.roll_back(task_id, "", reason, to=other.version)

    def _emit_move(self, move: ChampionMove, episode: str, statistic: float | None) -> None:
        before, self._context.quarantined = set(self._context.quarantined), self._store.ledger.quarantined_sources
        for event in move.events(episode, statistic, sorted(set(self._context.quarantined) - before)):
            self._events.emit(event)
