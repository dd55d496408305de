"""The request for one lesson and its result: the types by which evaluation asks learning to teach.

Evaluation never trains and learning never evaluates. `app` passes a `Teach` function from one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from showonce.config import LearningConfig
from showonce.events import Event
from showonce.types import Demonstration, Task

Tensors = Mapping[str, Any]  # an adapter's tensors by key, as the engine that trains holds them


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
    events: tuple[Event, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None


Teach = Callable[[TeachRequest], TeachResult]
