"""Canaries: stored screens with known answers, on which a candidate is judged before it may act. Pure.

    skill     what the base could do before any lesson
    lesson    what was taught in earlier lessons
    present   the lesson at hand; counts only once the champion passes `GUARDED` of it, and as a whole, because steps
              of one lesson may give way to one another while they are learned
    untaught  other goals on screens that show a taught target; the answer must not go to that target. Several answers
              are nearly equally likely there, so the greedy one may change by a tiny change of the logits: a screen
              counts as lost only if the target's log-probability rose by more than `GUESSED` nats

Greedy answers stay right for many poisoned updates and then collapse. Two numbers show it earlier: the log-probability
that the known answers lost, and the KL to the champion on skills. Losses are also summed over promotions (`Drift`), so
that a poison in small doses is refused too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

import numpy as np

from showonce.actions import Action
from showonce.config import RatchetConfig
from showonce.protocols import Turn
from showonce.runtime.shadow import same_action
from showonce.types import Observation

Group = Literal["skill", "lesson", "present", "untaught"]
GROUPS: Final[tuple[Group, ...]] = ("skill", "lesson", "present", "untaught")
GUARDED: Final = 0.9  # least share of `present` canaries that the champion must pass for their loss to count
FEWEST_LOST: Final = 2  # least number of lost screens for a refusal
FEWEST_PASSED: Final = 3  # least number of known answers for a refusal by their log-probability
GUESSED: Final = 0.25  # nats; a changed answer whose log-probability moved less was a near-tie
MOST_MOVED: Final = 1.1  # largest `moved`; above 1 because the Adam bound holds for a constant gradient
SUM_LIMIT: Final = 2.0  # loss allowed over all promotions, as a multiple of the loss allowed in one


@dataclass(frozen=True, eq=False)
class Canary:
    """One stored screen. answer: the known right action; for `untaught` the taught target's action, to be avoided.

    tolerance: distance (fractions of the frame's sides) up to which a place counts as the answer's.
    """

    id: str
    group: Group
    observation: Observation
    goal: str
    answer: Action
    task_id: str = ""
    progress: int = 0
    history: tuple[Turn, ...] = ()
    tolerance: float = 0.07

    def passes(self, action: Action | None) -> bool:
        """Whether an answer is right; None (an answer that is no action) never is."""
        if action is None:
            return False
        return same_action(action, self.answer, self.tolerance) != (self.group == "untaught")


@dataclass(frozen=True)
class CanaryResult:
    """Champion and candidate on one canary. kl: KL(champion || candidate), nats per decision token.

    nats_lost: log-probability of the known answer under the champion less that under the candidate, nats per answer;
    for `untaught` the other way round (the answer is to be avoided). In `present` and `untaught` both are clipped from
    below (see `canary_watch.LEAST`). rose: the unclipped gain of the known answer's log-probability, nats.
    """

    group: Group
    champion_passes: bool
    candidate_passes: bool
    champion_parsed: bool = True
    candidate_parsed: bool = True
    kl: float = 0.0
    nats_lost: float = 0.0
    rose: float = 0.0

    @property
    def lost(self) -> int:
        """1: only the champion passes; -1: only the candidate passes; 0 otherwise, and for near-ties (`GUESSED`)."""
        parsed = self.champion_parsed and self.candidate_parsed
        if self.group == "untaught" and parsed and abs(self.rose) <= GUESSED:
            return 0
        return int(self.champion_passes) - int(self.candidate_passes)


@dataclass(frozen=True)
class GroupReport:
    """One group. champion, candidate: share passed. lost: screens lost less screens gained. kl_*: nats per token.

    nats_lost: mean over the `known` screens: those that the champion passes; for `present` and `untaught` all.
    """

    n: int
    champion: float
    candidate: float
    lost: int
    known: int
    kl_mean: float
    kl_max: float
    nats_lost: float

    @property
    def loss(self) -> float:
        """The share of screens lost; negative when more are passed than before."""
        return self.lost / self.n


@dataclass(frozen=True)
class CanaryReport:
    """All groups that had screens, and the share of parsed answers of champion and candidate."""

    groups: dict[Group, GroupReport] = field(default_factory=dict)
    parsed_champion: float = 1.0
    parsed_candidate: float = 1.0
    n: int = 0
    moved: float = 0.0  # largest change of a weight, as a share of the most that its updates can do (see `judge`)

    @classmethod
    def of(cls, results: Iterable[CanaryResult]) -> CanaryReport:
        """Sum results up."""
        results = list(results)
        groups = {
            group: _group([r for r in results if r.group == group])
            for group in GROUPS
            if any(r.group == group for r in results)
        }
        if not results:
            return cls()
        parsed = [
            sum(flags) / len(results)
            for flags in zip(*((r.champion_parsed, r.candidate_parsed) for r in results), strict=True)
        ]
        return cls(groups, parsed[0], parsed[1], len(results))

    @property
    def worst(self) -> Group | None:
        """The group that lost most."""
        return max(self.groups, key=lambda g: self.groups[g].loss, default=None)

    @property
    def numbers(self) -> dict[str, Any]:
        """Return the form for an event."""
        of_groups = {
            group: {
                "n": r.n, "champion": r.champion, "candidate": r.candidate, "lost": r.lost,
                "kl_mean": r.kl_mean, "kl_max": r.kl_max, "nats_lost": r.nats_lost,
            }
            for group, r in self.groups.items()
        }  # fmt: skip
        return {
            "n": self.n, "moved": self.moved, "worst": self.worst, "parsed_champion": self.parsed_champion,
            "parsed_candidate": self.parsed_candidate, "groups": of_groups,
        }  # fmt: skip


def _group(results: list[CanaryResult]) -> GroupReport:
    champion = sum(r.champion_passes for r in results)
    candidate = sum(r.candidate_passes for r in results)
    kl = np.array([r.kl for r in results])
    known = [r.nats_lost for r in results if r.champion_passes or r.group in ("present", "untaught")]
    return GroupReport(
        n=len(results),
        champion=champion / len(results),
        candidate=candidate / len(results),
        lost=sum(r.lost for r in results),
        known=len(known),
        kl_mean=float(kl.mean()),
        kl_max=float(kl.max()),
        nats_lost=float(np.mean(known)) if known else 0.0,
    )


class CanaryReason(StrEnum):
    """Why the canaries accept or refuse a candidate."""

    PASSED = "passed"  # accepted: every loss is within its limit
    NO_CANARIES = "no_canaries"  # no canaries to compare on
    NOT_FINITE = "not_finite"  # a KL or log-probability is not a number: broken weights
    MOVED = "moved"  # a weight changed by more than its updates can do at the stated learning rate
    PARSE = "parse"  # fewer answers parse than before, by more than allowed
    ANSWERS_LOST = "answers_lost"  # a group lost more screens than allowed
    SURENESS_LOST = "sureness_lost"  # known answers of a group lost more log-probability than allowed
    KL = "kl"  # KL to the champion on skills is over its limit
    DRIFT = "drift"  # losses summed over promotions are over their limit


@dataclass(frozen=True)
class Drift:
    """Losses of one group summed over promotions, never below 0. loss: share of screens. nats: per answer."""

    loss: float = 0.0
    nats: float = 0.0

    def plus(self, report: GroupReport) -> Drift:
        return Drift(max(self.loss + report.loss, 0.0), max(self.nats + report.nats_lost, 0.0))


def is_guarded(group: Group, report: GroupReport, drift: Mapping[str, Drift]) -> bool:
    """Whether losses of a group count: always, except of a lesson at hand that no champion so far could do."""
    return group != "present" or report.champion >= GUARDED or group in drift


def judge(report: CanaryReport, config: RatchetConfig, drift: Mapping[str, Drift]) -> tuple[CanaryReason, Group | None]:
    """Return the reason to accept or refuse a candidate, and the group it lies in. drift: losses so far, by group.

    An Adam step moves no weight by more than about the learning rate (Kingma and Ba 2015, section 2.1). A candidate
    that moved further (a wrong learning rate, say) is refused whatever it answers.
    """
    if not report.n:
        return CanaryReason.NO_CANARIES, None
    for group, r in report.groups.items():
        if not all(math.isfinite(x) for x in (r.kl_mean, r.kl_max, r.nats_lost)):
            return CanaryReason.NOT_FINITE, group
    if report.moved > MOST_MOVED:
        return CanaryReason.MOVED, None
    if report.parsed_champion - report.parsed_candidate > config.canary_max_drop:
        return CanaryReason.PARSE, None
    guarded = {group: r for group, r in report.groups.items() if is_guarded(group, r, drift)}
    for group, r in guarded.items():
        if r.lost >= FEWEST_LOST and r.loss > config.canary_max_drop:
            return CanaryReason.ANSWERS_LOST, group
        if group != "untaught" and r.known >= FEWEST_PASSED and r.nats_lost > config.canary_max_nats:
            return CanaryReason.SURENESS_LOST, group
        if group == "skill" and r.kl_mean > config.canary_max_kl:
            return CanaryReason.KL, group
    for group, r in guarded.items():
        total = drift.get(group, Drift()).plus(r)
        if r.lost > 0 and total.loss * r.n >= FEWEST_LOST and total.loss > SUM_LIMIT * config.canary_max_drop:
            return CanaryReason.DRIFT, group
        sums = r.known >= FEWEST_PASSED and r.nats_lost > 0
        if sums and total.nats > SUM_LIMIT * config.canary_max_nats:
            return CanaryReason.DRIFT, group
    return CanaryReason.PASSED, None
