"""What every learner is given: the policy, the settings, the screens, and what was shown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from showonce.config import FaultConfig, LearningConfig
from showonce.learning.methods.faults import Fault
from showonce.learning.practice.buffer import ScreenBuffer
from showonce.learning.practice.outcomes import Outcomes
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CANDIDATE, CHAMPION, Context, Parts
from showonce.types import Demonstration, Observation

Anchor = tuple[Observation, Context]  # an old prompt, with or without a demonstration in it
Prompt = Parts


@dataclass
class LearnerContext:
    """What every learner is given.

    adapter: the set of tensors that is trained (the candidate). champion: the set that acts; None = the base acts.
    demonstrations: by task id. anchors: old prompts on which the student shall stay as the base is. others: goals that
    were never taught, for which it shall do so, too, on the very screens that it learns from.
    """

    policy: VLMPolicy
    config: LearningConfig
    rng: np.random.Generator
    adapter: str = CANDIDATE
    champion: str | None = CHAMPION
    demonstrations: dict[str, Demonstration] = field(default_factory=dict)
    anchors: Sequence[Anchor] = ()
    others: Sequence[str] = ()
    buffer: ScreenBuffer = field(default_factory=ScreenBuffer)
    outcomes: Outcomes = field(default_factory=Outcomes)
    fault: Fault = field(default_factory=lambda: Fault(FaultConfig()))
    quarantined: Collection[str] = ()  # refs of demonstrations and episodes that must not be learned from

    def demonstration(self, task_id: str) -> Demonstration | None:
        """Return what a teacher is shown for a task: none if it is quarantined, a wrong one while that fault is on."""
        shown = self.demonstrations.get(task_id)
        if shown is None or shown.ref in self.quarantined:
            return None
        shown = self.fault.demonstration(shown)
        return None if shown.ref in self.quarantined else shown
