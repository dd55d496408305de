"""What the controls and the table are given: a policy, environments, and somebody who teaches.

Evaluation never trains. Whoever wires the parts together passes `teach` in as a function; what is asked of it and
what it gives back are the two dataclasses here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor

from showonce.config import Config, LearningConfig
from showonce.environments.registry import oracle_for
from showonce.errors import DemonstrationError, Unavailable
from showonce.policy.adapter import Adapter
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Context, Environment
from showonce.runtime.loop import run_episode
from showonce.runtime.recorder import HandPolicy
from showonce.types import Demonstration, Frame, Observation, Step, StopReason, Task

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class TeachRequest:
    """One lesson to be taught.

    demonstration: None = there is none; one without frames is an empty one. learning: every setting of the lesson
    (learner, practice, gate, ratchet, fault). practice.seed_offset is where its practice seeds start; they must stay
    apart from those of evaluation. start: tensors of the adapter to go on from, None = a fresh one. lessons: what
    `start` was taught before, oldest first (their demonstrations serve replay and canaries).
    keep: what the result holds, the champion that the ratchet let through, or the candidate as training left it.
    """

    task: Task
    demonstration: Demonstration | None
    learning: LearningConfig
    seed: int = 0
    start: Tensors | None = None
    lessons: Sequence[tuple[Task, Demonstration]] = ()
    keep: Literal["champion", "candidate"] = "champion"


@dataclass(frozen=True, eq=False)
class TeachResult:
    """What came of a lesson.

    tensors: of the adapter that `keep` asks for. updates: accepted ones. seconds: wall time of the lesson. events: of
    the lesson, as its event file has them (fault, probe, promotion, checkpoint, rollback, error ...). versions: content
    hash of every version that was saved, by name. calibration: state of the map of confidences, None without one.
    """

    tensors: Tensors
    updates: int
    practice_episodes: int
    distinct_screens: int
    seconds: float
    events: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None


Teach = Callable[[TeachRequest], TeachResult]


@dataclass(frozen=True, eq=False)
class Lesson:
    """A task, what was shown of it, how it was taught and what came of it."""

    task: Task
    demonstration: Demonstration
    learning: LearningConfig
    result: TeachResult
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Bench:
    """A place to measure at.

    policy: loaded with an adapter; between measurements its champion set is the base. make_environment: a fresh one at
    every call. teach: see `TeachRequest`; None = nothing can be taught here. calibrate: rebuilds a map of confidences
    from `TeachResult.calibration`.
    """

    config: Config
    policy: VLMPolicy
    make_environment: Callable[[], Environment]
    teach: Teach | None = None
    calibrate: Callable[[Mapping[str, Any]], Callable[[float], float]] | None = None

    @property
    def adapter(self) -> Adapter:
        """The policy's adapter.

        Raises:
            Unavailable: the policy was loaded without one.
        """
        if self.policy.adapter is None:
            raise Unavailable("this measurement needs a policy with an adapter: set adapter=auto, not none.")
        return self.policy.adapter

    def lesson(self, request: TeachRequest) -> TeachResult:
        """Teach.

        Raises:
            Unavailable: nobody here can.
        """
        if self.teach is None:
            raise Unavailable("this measurement needs learning, and no teach function was given to the bench.")
        return self.teach(request)

    @contextmanager
    def acting(self, tensors: Tensors | None, calibration: Mapping[str, Any] | None = None) -> Iterator[VLMPolicy]:
        """Let an adapter act within a block; None = adapter off. Afterwards the champion set is the base again."""
        policy = self.policy
        before = policy.acting, policy.calibration
        try:
            if tensors is None:
                policy.use(None)
            else:
                self.adapter.set_tensors(tensors, "champion")
                policy.use("champion")
            policy.calibration = self.calibrate(calibration) if calibration and self.calibrate else None
            yield policy
        finally:
            if self.policy.adapter is not None:
                self.policy.adapter.copy(None, "champion")
            policy.use(before[0])
            policy.calibration = before[1]

    def show(self, task: Task, seed: int) -> Demonstration:
        """Return a demonstration by the environment's own oracle, from an environment of its own."""
        environment = self.make_environment()
        try:
            return shown_by_oracle(environment, task, seed)
        finally:
            environment.close()


class _Frames:
    """An observer that keeps every executed step as a frame of a demonstration."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        if step.executed is not None:
            self.frames.append(Frame(observation, step.executed))


def shown_by_oracle(environment: Environment, task: Task, seed: int) -> Demonstration:
    """Return a demonstration in memory, made by the environment's own oracle in the one loop.

    Raises:
        TaskError: the environment has no oracle.
        DemonstrationError: the oracle did not reach the goal.
    """
    oracle, seen = oracle_for(environment), _Frames()
    limits = replace(task.limits, max_seconds=max(task.limits.max_seconds, 600.0))
    episode = run_episode(
        environment, HandPolicy(lambda _: oracle()), task, seed=seed, phase="record", executor="oracle", limits=limits,
        observers=(seen,),
    )  # fmt: skip
    if episode.stop_reason is not StopReason.COMPLETED:
        raise DemonstrationError(
            f"the oracle did not reach the goal of {task.id!r} from seed {seed}: {episode.stop_reason}, "
            f"{episode.outcome.evidence}."
        )
    return Demonstration(task.id, episode.goal, tuple(seen.frames), "oracle", f"oracle:{task.id}:{seed}")
