"""The ratchet: decides on promotion by the canaries, and on rollback by a drop test of the champion's probes.

    updates train the candidate -> `decide_promotion` (canaries) -> the caller saves it -> `promote`
    probes of the champion      -> `note_probe` (drop test)      -> `rollback` to the best version

It works on a `VersionStore` of any kind and imports no torch. Its state is a section of the store's ledger and survives
restarts.

The reference p0 of a drop test. After every promotion the first `p0_window` probes of the new champion are its window.
A full window becomes the reference if there is none against which a drop could be seen, if the old reference's horizon
is over, or if success has risen (Fisher's exact test, p <= `RISEN`); never because it is the best so far. Otherwise the
test against the older champion's reference goes on, so that a promotion cannot hide a drop. If the next promotion comes
before a window is full, `PART` probes are enough where there is no reference yet. While the running test is more than
half-way to its alarm, no reference is changed and nothing is promoted. After a rollback the restored version collects a
new window, and nothing is promoted until it has `SOME` probes.

The configured false-alarm rate is for the whole run: it is split evenly over the watched tasks, and a task's reference
gets `SHARE` of its part; the rest is for references that are renewed within a horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from scipy.stats import fisher_exact

from showonce.config import RatchetConfig
from showonce.errors import CheckpointCorrupt, StoreError
from showonce.learning.ratchet.canaries import CanaryReason, CanaryReport, Drift, is_guarded, judge
from showonce.learning.ratchet.drop_test import DropTest, DropVerdict
from showonce.learning.ratchet.thresholds import Reference
from showonce.versions.checkpoints import version_number
from showonce.versions.ledger import SOME
from showonce.versions.store import ChampionMove, VersionStore

SECTION: Final = "ratchet"
SUSPECT: Final = 0.5  # share of the alarm's threshold from which on nothing is promoted and no reference changed
PART: Final = 10  # least number of probes for a window that is cut short by a promotion to become the reference
RISEN: Final = 0.02  # largest one-sided p-value of "success has risen" for an early new reference
SHARE: Final = 0.8  # share of a task's false-alarm rate that one reference gets


class PromotionReason(StrEnum):
    """Why a candidate becomes champion or not."""

    PASSED = "passed"  # accepted: every loss on the canaries is within its limit
    CANARIES_OFF = "canaries_off"  # accepted: canary_screens is 0
    NO_UPDATES = "no_updates"  # the candidate is the champion
    DROP_SUSPECTED = "drop_suspected"  # the champion's drop test is more than half-way to its alarm
    PROBATION = "probation"  # after a rollback: the restored version has too few probes yet
    CANARIES = "canaries"  # refused by the canaries; `numbers` has their reason and the group


@dataclass(frozen=True)
class PromotionDecision:
    """accepted, and the reason. canary: the canaries' own reason, None if not compared. numbers: the report."""

    accepted: bool
    reason: PromotionReason
    canary: CanaryReason | None
    numbers: dict[str, Any]

    @property
    def text(self) -> str:
        """The reason for an event: the canaries' own, with the group of canaries, where they were it."""
        if self.reason is not PromotionReason.CANARIES or self.canary is None:
            return self.reason.value
        group = self.numbers.get("group")
        return f"{self.canary.value} ({group})" if group else self.canary.value


@dataclass(frozen=True)
class ProbeVerdict:
    """The result of one probe. successes, n: of this version on this task. drop: None while there is no reference.

    fired: the success rate has dropped; call `Ratchet.rollback`.
    """

    task: str
    version: str
    success: bool
    successes: int
    n: int
    drop: DropVerdict | None

    @property
    def fired(self) -> bool:
        return self.drop is not None and self.drop.fired


@dataclass(frozen=True)
class RollbackDecision:
    """move: of the champion, None if there is no other whole version. statistic: of the task's drop test.

    skipped: versions that would have come first and were not whole.
    """

    move: ChampionMove | None
    statistic: float
    reason: str
    skipped: tuple[str, ...] = ()


@dataclass
class Watch:
    """The drop test of one task. successes, n: of the champion's window. adopted: whether it is the reference now."""

    successes: int = 0
    n: int = 0
    adopted: bool = False
    test: DropTest | None = None

    @property
    def suspected(self) -> bool:
        """Whether the running test is more than `SUSPECT` of the way to its alarm."""
        if self.test is None:
            return False
        verdict = self.test.verdict
        return verdict.threshold is not None and verdict.statistic > SUSPECT * verdict.threshold

    @property
    def vacant(self) -> bool:
        """Whether there is no valid reference: none, one too low for a drop to be seen, or one past its horizon."""
        test = self.test
        return test is None or test.verdict.threshold is None or test.n >= test.horizon

    @property
    def risen(self) -> bool:
        """Whether the window's success rate is above the reference's (one-sided Fisher test, p <= `RISEN`)."""
        if self.test is None:
            return False
        old = self.test.reference
        table = [[self.successes, self.n - self.successes], [old.successes, old.n - old.successes]]
        return float(fisher_exact(table, alternative="greater").pvalue) <= RISEN

    @property
    def state(self) -> dict[str, Any]:
        test = None if self.test is None else self.test.state
        return {"successes": self.successes, "n": self.n, "adopted": self.adopted, "test": test}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Watch:
        """Build it back from `state`.

        Raises:
            StoreError: the state is not one of a watch.
        """
        try:
            test = None if state["test"] is None else DropTest.from_state(state["test"])
            return cls(int(state["successes"]), int(state["n"]), bool(state["adopted"]), test)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the ratchet's state cannot be read ({error!r}): choose another adapter name.") from error


class Ratchet:
    """Decides about one store. tasks: how many tasks this run watches; the stated rate is split over them.

    Raises:
        StoreError: the state in the store is damaged.
    """

    def __init__(self, config: RatchetConfig, store: VersionStore, tasks: int = 1) -> None:
        self.config, self.store = config, store
        self._rate = SHARE * config.false_alarm_rate / max(tasks, 1)
        state = store.ledger.read_section(SECTION)
        self.candidate_updates = int(state.get("candidate_updates", 0))
        self._probation = bool(state.get("probation", False))
        self._drift = {group: Drift(**d) for group, d in state.get("drift", {}).items()}
        self._watches = {task: Watch.from_state(w) for task, w in state.get("tasks", {}).items()}
        self._report: CanaryReport | None = None  # of the candidate that was accepted last

    # ---- the candidate

    def begin_lesson(self, new: bool) -> None:
        """Reset the summed losses of the lesson, whose canaries are new; of `untaught` as well if the lesson is `new`.

        A lesson that goes on stays guarded if it was.
        """
        if new:
            self._drift.pop("untaught", None)
        known = self._drift.pop("present", None) is not None
        if known and not new:
            self._drift["present"] = Drift()
        self._write()

    @property
    def guards_lesson(self) -> bool:
        """Whether some champion could do the lesson at hand, so that losing it counts."""
        return "present" in self._drift

    def note_update(self, n: int = 1) -> None:
        """Add to the number of optimiser steps that the candidate is away from the champion."""
        self.candidate_updates += n
        self._write()

    @property
    def due(self) -> bool:
        """Whether the candidate has had enough updates for a decision."""
        return self.candidate_updates >= self.config.promote_every

    def decide_promotion(self, report: CanaryReport) -> PromotionDecision:
        """Decide whether the candidate may become champion. Resets the count of its updates, unless it is to wait.

        If accepted, save the candidate and call `promote`; if refused, make the candidate equal to the champion.
        """
        decision = self._decide(report)
        if decision.reason not in (PromotionReason.DROP_SUSPECTED, PromotionReason.PROBATION):
            self.candidate_updates = 0  # else the candidate waits
        self._report = report if decision.accepted else None
        self._write()
        return decision

    def _decide(self, report: CanaryReport) -> PromotionDecision:
        def decision(accepted: bool, reason: PromotionReason, canary: CanaryReason | None = None) -> PromotionDecision:
            return PromotionDecision(accepted, reason, canary, numbers)

        numbers = {"updates": self.candidate_updates, **report.numbers}
        if not self.candidate_updates:
            return decision(False, PromotionReason.NO_UPDATES)
        if self.config.canary_screens:
            found, group = judge(report, self.config, self._drift)
            numbers |= {"canary_reason": found.value, "group": group}
            if found is not CanaryReason.PASSED:
                return decision(False, PromotionReason.CANARIES, found)
        if self._probation:
            return decision(False, PromotionReason.PROBATION)
        if any(watch.suspected for watch in self._watches.values()):
            return decision(False, PromotionReason.DROP_SUSPECTED)
        if not self.config.canary_screens:
            return decision(True, PromotionReason.CANARIES_OFF)
        return decision(True, PromotionReason.PASSED, CanaryReason.PASSED)

    def promote(self, version: str) -> ChampionMove:
        """Make a saved candidate the champion and start a new window of probes.

        Raises:
            StoreError, CheckpointCorrupt: see `VersionStore.promote`; nothing changed.
        """
        move = self.store.promote(version)
        for group, found in self._report.groups.items() if self._report is not None else ():
            if is_guarded(group, found, self._drift):
                self._drift[group] = self._drift.get(group, Drift()).plus(found)
        self._report = None
        for watch in self._watches.values():
            if watch.n >= PART and watch.vacant and not watch.adopted and not watch.suspected:
                self._adopt(watch)
            watch.successes, watch.n, watch.adopted = 0, 0, False
        self._write()
        return move

    # ---- the champion

    def note_probe(self, task: str, success: bool, version: str) -> ProbeVerdict:
        """Count one verified probe (greedy, no demonstration); only the champion's feed the drop test."""
        successes, n = self.store.ledger.record_probe(version, task, success, write=False)
        if version != self.store.champion:
            self._write()
            return ProbeVerdict(task, version, success, successes, n, None)
        watch = self._watches.setdefault(task, Watch())
        drop = None if watch.test is None else watch.test.update(success)
        verdict = ProbeVerdict(task, version, success, successes, n, drop)
        if watch.n < self.config.p0_window:
            watch.successes += success
            watch.n += 1
            self._probation = self._probation and watch.n < SOME
        full = watch.n >= self.config.p0_window and not watch.adopted
        if full and not watch.suspected and (watch.vacant or watch.risen):
            self._adopt(watch)
        self._write()
        return verdict

    def standing(self, task: str) -> DropVerdict | None:
        """Return where the drop test of a task stands, or None while it has no reference."""
        watch = self._watches.get(task)
        return None if watch is None or watch.test is None else watch.test.verdict

    def rollback(
        self, task: str, sources: Iterable[str] = (), reason: str = "", to: str | None = None
    ) -> RollbackDecision:
        """Move the champion back to the most trusted older version that is whole; no model is loaded.

        The caller then loads the new one with its training state into candidate and champion.

        sources: refs of what the candidate was trained on since the last save; they are quarantined too. reason: of a
        rollback for another cause than the drop test, "" for the drop test. to: consider this version alone.
        """
        old, standing = self.store.champion or "", self.standing(task)
        statistic = standing.statistic if standing is not None else 0.0
        if not reason:
            reason = f"success on {task} dropped" + (
                "" if standing is None or standing.threshold is None else
                f": statistic {standing.statistic:.2f} of {standing.threshold:.2f}, p0 {standing.p0:.2f}, "
                f"{standing.n} probes"
            )  # fmt: skip
        skipped: list[str] = []
        found: ChampionMove | None = None
        sources = list(sources)
        known = [to] if to is not None else self.store.candidates(task, (old,), self.config.min_probes_best)
        for version in known:
            if version_number(version) > version_number(old):
                continue
            try:
                found = self.store.rollback_to(version, reason, sources)
                break
            except CheckpointCorrupt:
                skipped.append(version)
        self.candidate_updates = 0
        self._watches = {name: Watch() for name in self._watches}
        self._probation = found is not None
        self._drift = {"present": Drift()} if self.guards_lesson else {}
        self._write()
        if found is None:
            reason = f"{reason}; no other whole version"
        return RollbackDecision(found, statistic, reason, tuple(skipped))

    # ---- inside

    def _adopt(self, watch: Watch) -> None:
        """Start a new test with the window collected so far as its reference."""
        watch.adopted = True
        watch.test = DropTest(
            self.config.drop_test,
            Reference(watch.successes, watch.n),
            rate=self._rate,
            horizon=self.config.horizon,
            drop=self.config.drop,
        )

    def _write(self) -> None:
        self.store.ledger.write_section(
            SECTION,
            {
                "candidate_updates": self.candidate_updates,
                "probation": self._probation,
                "drift": {group: asdict(d) for group, d in self._drift.items()},
                "tasks": {task: watch.state for task, watch in self._watches.items()},
            },
        )
