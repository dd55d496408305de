"""The context of every learner: policy, settings, screens, demonstrations, and what is quarantined."""

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
    """See the module's text.

    adapter: name of the tensors that are trained (the candidate). champion: name of those that act; None = the base.
    demonstrations: by task id. anchors: prompts of old skills on which training holds the student near the base.
    others: goals that were never taught; with them it is held near the base on the screens of the lesson, too.
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
        """Return the demonstration in the teacher's prompt: None if quarantined, a wrong one under that fault."""
        shown = self.demonstrations.get(task_id)
        if shown is None or shown.ref in self.quarantined:
            return None
        shown = self.fault.demonstration(shown)
        return None if shown.ref in self.quarantined else shown
