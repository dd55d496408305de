"""What controls and benchmarks measure with: a policy, a factory of environments, and a function that teaches.

Evaluation never trains: `app` passes the teaching function in (see `runtime.teaching`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from showonce.config import Config, LearningConfig
from showonce.errors import Unavailable
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CHAMPION, AdapterSets, Environment
from showonce.runtime.recorder import shown_by_oracle
from showonce.runtime.teaching import Teach, TeachRequest, TeachResult, Tensors
from showonce.types import Demonstration, Task


@dataclass(frozen=True, eq=False)
class TaughtLesson:
    """A task, its demonstration, the settings of its lesson and the lesson's result."""

    task: Task
    demonstration: Demonstration
    learning: LearningConfig
    result: TeachResult
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Bench:
    """What a measurement needs.

    policy: loaded with an adapter; between measurements its champion tensors are those of the base. make_environment:
    makes a new one at every call. teach: None = nothing can be taught here. calibrate: makes the map from token
    confidence to calibrated confidence out of `TeachResult.calibration`.
    """

    config: Config
    policy: VLMPolicy
    make_environment: Callable[[], Environment]
    teach: Teach | None = None
    calibrate: Callable[[Mapping[str, Any]], Callable[[float], float]] | None = None

    @property
    def adapter(self) -> AdapterSets:
        """The policy's adapter.

        Raises:
            Unavailable: the policy was loaded without one.
        """
        if self.policy.adapter is None:
            raise Unavailable("this measurement needs a policy with an adapter: set adapter=auto, not none.")
        return self.policy.adapter

    def lesson(self, request: TeachRequest) -> TeachResult:
        """Teach a lesson with the bench's `teach` and return its result.

        Raises:
            Unavailable: the bench has no `teach`.
        """
        if self.teach is None:
            raise Unavailable("this measurement needs learning, and no teach function was given to the bench.")
        return self.teach(request)

    @contextmanager
    def acting(self, tensors: Tensors | None, calibration: Mapping[str, Any] | None = None) -> Iterator[VLMPolicy]:
        """Let an adapter act within a block; None = adapter off. After it the champion tensors are the base's again."""
        policy = self.policy
        before = policy.acting, policy.calibration
        try:
            if tensors is None:
                policy.use(None)
            else:
                self.adapter.set_tensors(tensors, CHAMPION)
                policy.use(CHAMPION)
            policy.calibration = self.calibrate(calibration) if calibration and self.calibrate else None
            yield policy
        finally:
            if self.policy.adapter is not None:
                self.policy.adapter.copy(None, CHAMPION)
            policy.use(before[0])
            policy.calibration = before[1]

    def show(self, task: Task, seed: int) -> Demonstration:
        """Return a demonstration by the environment's own oracle, from an environment of its own."""
        environment = self.make_environment()
        try:
            return shown_by_oracle(environment, task, seed)
        finally:
            environment.close()
