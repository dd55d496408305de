"""Decides whether one update happens, and by which evidence. Pure: a function of evidence and settings.

Two routes:

* shown: a demonstration covers the step (the screen is similar to a demonstrated frame at this step or later), the
  *teacher's* answer parses and its confidence is over the threshold, and teacher and student differ on the decision
  tokens. The student's confidence does not matter: it is rightly low before anything was learned.
* earned: the episode was verified as a success and the *student's* confidence is over its threshold.

Budget (per run, task and episode), cool-down, headroom and the KL limit bind both. A gate that is switched off is still
bound by the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from showonce.config import GateConfig

Route = Literal["shown", "earned"]
HEADROOM_PROBES: Final = 10  # least number of recent probes by which HEADROOM may refuse


class GateReason(StrEnum):
    """Why an update happens or not."""

    SHOWN = "shown"  # accepted by the shown route
    EARNED = "earned"  # accepted by the earned route
    DISABLED = "disabled"  # accepted: the gate is switched off
    BUDGET_RUN = "budget_run"  # this run has used its updates
    BUDGET_TASK = "budget_task"  # this task has used its updates, over all runs
    BUDGET_EPISODE = "budget_episode"  # this episode has had its updates
    COOLDOWN = "cooldown"  # too few episodes since the last update
    HEADROOM = "headroom"  # recent probes succeed at a rate of 1 - headroom or more
    KL_LIMIT = "kl_limit"  # KL to the champion is over the limit, or not a number
    NO_EVIDENCE = "no_evidence"  # no demonstration covers the step, and no verified success
    NOT_ALIGNED = "not_aligned"  # shown: similarity to the demonstrated frames is under its threshold
    TEACHER_UNPARSED = "teacher_unparsed"  # shown: the teacher's answer is not an action
    TEACHER_UNSURE = "teacher_unsure"  # shown: the teacher's confidence is missing or not over its threshold
    NO_DIFFERENCE = "no_difference"  # shown: divergence of teacher and student is not over its least value
    NOT_VERIFIED = "not_verified"  # earned: the episode was not verified as a success
    STUDENT_UNPARSED = "student_unparsed"  # earned: the student's answer is not an action
    STUDENT_UNSURE = "student_unsure"  # earned: the student's confidence is missing or not over its threshold


@dataclass(frozen=True)
class GateEvidence:
    """What is known when an update is asked for. None = not measured, which never counts as good enough.

    demonstration_covers: a demonstration of this task has a frame at this step or later. alignment: cosine similarity
    in [-1, 1] of the screen and the best of those frames (earlier frames never count: the order of steps holds).
    *_confidence: in [0, 1], the reading that the setting `confidence` names. divergence: KL(teacher || student) in
    nats per decision token. updates_*: used so far. episodes_since_update: None = no update yet. probe_success: mean
    of the last probe_n probes. kl_to_champion: nats per decision token; None = the candidate was not measured yet.
    """

    demonstration_covers: bool = False
    alignment: float | None = None
    teacher_parsed: bool = False
    teacher_confidence: float | None = None
    divergence: float | None = None
    episode_verified_success: bool = False
    student_parsed: bool = False
    student_confidence: float | None = None
    updates_run: int = 0
    updates_task: int = 0
    updates_episode: int = 0
    episodes_since_update: int | None = None
    probe_success: float | None = None
    probe_n: int = 0
    kl_to_champion: float | None = None


@dataclass(frozen=True)
class GateDecision:
    """accepted, by which route, and the reason; `numbers`: the readings it was made on, for the event."""

    accepted: bool
    route: Route | None
    reason: GateReason
    numbers: dict[str, float | int | str | None] = field(default_factory=dict)


class Gate:
    """Decides by one set of settings."""

    def __init__(self, config: GateConfig) -> None:
        self.config = config

    def decide(self, evidence: GateEvidence) -> GateDecision:
        """Return whether the update may happen, with the reason."""
        shown, earned = self._shown(evidence), self._earned(evidence)
        numbers = self._numbers(evidence, shown, earned)
        spent = self._budget(evidence)
        if spent is not None:
            return GateDecision(False, None, spent, numbers)
        if not self.config.enabled:
            return GateDecision(True, None, GateReason.DISABLED, numbers)
        bound = self._bounds(evidence)
        if bound is not None:
            return GateDecision(False, None, bound, numbers)
        if shown is GateReason.SHOWN:
            return GateDecision(True, "shown", shown, numbers)
        if earned is GateReason.EARNED:
            return GateDecision(True, "earned", earned, numbers)
        if shown is not GateReason.NO_EVIDENCE:
            return GateDecision(False, None, shown, numbers)
        return GateDecision(
            False, None, GateReason.NO_EVIDENCE if earned is GateReason.NOT_VERIFIED else earned, numbers
        )

    def _budget(self, e: GateEvidence) -> GateReason | None:
        if e.updates_run >= self.config.budget_run:
            return GateReason.BUDGET_RUN
        if e.updates_task >= self.config.budget_task:
            return GateReason.BUDGET_TASK
        return GateReason.BUDGET_EPISODE if e.updates_episode >= self.config.updates_per_episode else None

    def _bounds(self, e: GateEvidence) -> GateReason | None:
        if e.episodes_since_update is not None and e.episodes_since_update < self.config.cooldown:
            return GateReason.COOLDOWN
        enough = self.config.headroom > 0 and e.probe_n >= HEADROOM_PROBES
        if enough and e.probe_success is not None and e.probe_success >= 1 - self.config.headroom:
            return GateReason.HEADROOM
        if e.kl_to_champion is not None and not e.kl_to_champion <= self.config.kl_limit:
            return GateReason.KL_LIMIT
        return None

    def _shown(self, e: GateEvidence) -> GateReason:
        if not e.demonstration_covers:
            return GateReason.NO_EVIDENCE
        if e.alignment is None or not e.alignment >= self.config.alignment:
            return GateReason.NOT_ALIGNED
        if not e.teacher_parsed:
            return GateReason.TEACHER_UNPARSED
        if not _over(e.teacher_confidence, self.config.teacher_threshold):
            return GateReason.TEACHER_UNSURE
        return GateReason.SHOWN if _over(e.divergence, self.config.min_difference) else GateReason.NO_DIFFERENCE

    def _earned(self, e: GateEvidence) -> GateReason:
        if not e.episode_verified_success:
            return GateReason.NOT_VERIFIED
        if not e.student_parsed:
            return GateReason.STUDENT_UNPARSED
        sure = _over(e.student_confidence, self.config.student_threshold)
        return GateReason.EARNED if sure else GateReason.STUDENT_UNSURE

    def _numbers(self, e: GateEvidence, shown: GateReason, earned: GateReason) -> dict[str, float | int | str | None]:
        return {
            "shown": shown.value,
            "earned": earned.value,
            "alignment": e.alignment,
            "teacher_confidence": e.teacher_confidence,
            "teacher_threshold": self.config.teacher_threshold,
            "student_confidence": e.student_confidence,
            "student_threshold": self.config.student_threshold,
            "student_entropy": None if e.student_confidence is None else 1 - e.student_confidence,
            "divergence": e.divergence,
            "kl_to_champion": e.kl_to_champion,
            "probe_success": e.probe_success,
            "probe_n": e.probe_n,
            "budget_run_left": max(self.config.budget_run - e.updates_run, 0),
            "budget_task_left": max(self.config.budget_task - e.updates_task, 0),
        }


def _over(value: float | None, threshold: float) -> bool:
    """Whether a reading is there, a number, and over its threshold."""
    return value is not None and math.isfinite(value) and value > threshold
