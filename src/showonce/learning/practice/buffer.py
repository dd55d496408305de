"""The recent screens from which batches are drawn: at most `capacity`, no duplicates, kept on disk.

A `Sample` is a screen with the student's prompt (goal, progress, history) and the verdict on the action that was done
there, if any. It holds no demonstration: the method that learns adds that to the teacher's prompt.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from showonce.actions import Action, from_json, to_json
from showonce.demonstrations.format import encode_png, read_png
from showonce.errors import BadInput, ConfigError
from showonce.fsio import atomic_write_bytes, atomic_write_json, explained, make_folder
from showonce.protocols import Context, Turn
from showonce.types import Demonstration, Executor, Observation, Step, Task

Origin = Literal["episode", "practice", "head", "skill", "correction"]
Key = tuple[str, str, int]
INDEX: Final = "screens.json"
SCHEMA: Final = 1


@dataclass(frozen=True, eq=False)
class Sample:
    """One screen to learn from.

    origin: where it comes from (an ordinary or a practice episode, practice in the head, a skill of the base), or
    "correction": a person did `action` in place of what the policy proposed.
    action, executor: what was done (or demonstrated) on it, and by whom. correct: whether that action was verified as
    right here; None = nobody knows. success: the verified end of the episode that it is from, None = open or unknown.
    answer: token ids of the student's own answer when that is what was executed.
    """

    observation: Observation
    task_id: str
    goal: str
    progress: int = 0
    history: tuple[Turn, ...] = ()
    origin: Origin = "episode"
    episode: str = ""
    action: Action | None = None
    executor: Executor | None = None
    correct: bool | None = None
    success: bool | None = None
    answer: tuple[int, ...] = ()

    @property
    def worked(self) -> bool:
        """Whether `action` was verified as right: by its step or, if the step has no verdict, by the episode."""
        return self.success is True if self.correct is None else self.correct

    @property
    def key(self) -> Key:
        """Frame hash, goal and progress. The buffer keeps one sample per key."""
        return self.observation.hash, self.goal, self.progress

    def context(self, demonstration: Demonstration | None = None) -> Context:
        """Return the context of the student's prompt, or of the teacher's if a demonstration is given."""
        return Context(self.goal, self.progress, self.history, demonstration)


def sample_of_step(task: Task, observation: Observation, step: Step, context: Context) -> Sample:
    """Return the sample of one step of an episode, as an observer of the loop sees it; the episode is still open."""
    mine = step.executor == "student" and step.proposal is not None and step.executed == step.proposed
    corrected = step.corrected
    right = step.outcome.step_correct if step.outcome else None
    return Sample(
        observation=observation,
        task_id=task.id,
        goal=context.goal,
        progress=context.progress,
        history=context.history,
        origin="correction" if corrected and right is not False else "episode",
        action=step.executed,
        executor=step.executor,
        correct=True if corrected and right is None else right,  # a person's word, where the world has none
        answer=step.proposal.token_ids if mine and step.proposal else (),
    )


class ScreenBuffer:
    """At most `capacity` samples in order of arrival. Beyond that, the task with most samples loses its oldest."""

    def __init__(self, capacity: int = 512) -> None:
        if capacity < 1:
            raise ConfigError(f"learning.practice.buffer={capacity!r} must be at least 1.")
        self.capacity = capacity
        self._samples: dict[Key, Sample] = {}
        self._corrections: dict[Key, Sample] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(tuple(self._samples.values()))

    def add(self, sample: Sample) -> None:
        """Add a sample as the newest, in place of an older one with the same key.

        The older one is kept instead (as the newest) if it has a verdict and the new one has none. A correction is
        replaced only by a correction, and removed for lack of room only after all other samples of its task.
        """
        old = self._samples.pop(sample.key, None)
        if old is not None and sample.origin != "correction":
            knew_more = sample.correct is None and old.correct is not None
            sample = old if old.origin == "correction" or knew_more else sample
        self._samples[sample.key] = sample
        if sample.origin == "correction":
            self._corrections[sample.key] = sample
        if len(self._samples) > self.capacity:
            counts: dict[str, int] = {}
            for kept in self._samples.values():
                counts[kept.task_id] = counts.get(kept.task_id, 0) + 1
            crowded = max(counts, key=lambda task_id: counts[task_id])
            mine = [key for key, kept in self._samples.items() if kept.task_id == crowded]
            oldest = next((key for key in mine if key not in self._corrections), mine[0])
            del self._samples[oldest]
            self._corrections.pop(oldest, None)

    def corrections(self, task_id: str) -> list[Sample]:
        """Return the samples of a task that persons corrected, oldest first."""
        return [sample for sample in self._corrections.values() if sample.task_id == task_id]

    def select(self, where: Callable[[Sample], bool]) -> list[Sample]:
        """Return the samples for which `where` holds, oldest first."""
        return [sample for sample in self._samples.values() if where(sample)]

    def draw(
        self,
        n: int,
        rng: np.random.Generator,
        *,
        task_id: str | None = None,
        replay: float = 0.0,
        where: Callable[[Sample], bool] = lambda _: True,
    ) -> list[Sample]:
        """Return `n` samples for which `where` holds, [] if there are none; steps (task, progress) come equally often.

        task_id: the lesson of now; None = all alike. replay: share of the batch, in [0, 1], that is taken from the
        other tasks where there are any.
        """
        fitting = self.select(where)
        if task_id is None:
            return _spread(fitting, n, rng)
        now = [s for s in fitting if s.task_id == task_id]
        earlier = [s for s in fitting if s.task_id != task_id] if replay > 0 else []
        n_earlier = round(n * replay) if now else n
        n_earlier = n_earlier if earlier else 0
        return _spread(now, n - n_earlier, rng) + _spread(earlier, n_earlier, rng)

    def save(self, folder: str | Path) -> None:
        """Write the samples to a folder: one PNG per frame, then the index; then remove frames without a sample.

        Raises:
            DiskError: it cannot be written; the old index is untouched.
        """
        root = make_folder(folder)
        for sample in self._samples.values():
            target = root / _frame_name(sample)
            if not target.exists():
                atomic_write_bytes(target, encode_png(sample.observation.image), durable=False)
        atomic_write_json(root / INDEX, {"schema": SCHEMA, "samples": [_record(s) for s in self._samples.values()]})
        needed = {_frame_name(sample) for sample in self._samples.values()}
        for frame in root.glob("*.png"):
            if frame.name not in needed:
                frame.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path, capacity: int = 512) -> ScreenBuffer:
        """Read a saved buffer. Without an index it is empty; samples whose frame is missing are left out.

        Raises:
            BadInput: the index is not one, or of a newer schema.
            DiskError: the index is there and cannot be read.
        """
        buffer = cls(capacity)
        index = Path(folder) / INDEX
        if not index.exists():
            return buffer
        with explained(index, "read"):
            text = index.read_text(encoding="utf-8")
        try:
            data = json.loads(text)
            if data["schema"] > SCHEMA:
                raise BadInput(f"{index} has schema {data['schema']}, newer than {SCHEMA}: update showonce.")
            for record in data["samples"]:
                frame = Path(folder) / record["frame"]
                if frame.exists():
                    buffer.add(_sample(record, frame))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{index} is no index of screens ({error!r}); remove the folder to begin anew.") from error
        return buffer


def _spread(samples: Sequence[Sample], n: int, rng: np.random.Generator) -> list[Sample]:
    """Draw steps in turn and, within a step, its samples in turn; else early steps, seen more often, would prevail."""
    steps: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        steps.setdefault((sample.task_id, sample.progress), []).append(sample)
    queues = {at: itertools.cycle([own[i] for i in rng.permutation(len(own))]) for at, own in steps.items()}
    turns = itertools.cycle([list(steps)[i] for i in rng.permutation(len(steps))])
    return [next(queues[at]) for at in itertools.islice(turns, n)]


def _frame_name(sample: Sample) -> str:
    return f"{sample.observation.hash}.png"


def _record(sample: Sample) -> dict[str, Any]:
    return {
        "frame": _frame_name(sample),
        "scale": sample.observation.scale,
        "text": sample.observation.text,
        "task_id": sample.task_id,
        "goal": sample.goal,
        "progress": sample.progress,
        "history": [turn_to_json(turn) for turn in sample.history],
        "origin": sample.origin,
        "episode": sample.episode,
        "action": to_json(sample.action) if sample.action else None,
        "executor": sample.executor,
        "correct": sample.correct,
        "success": sample.success,
        "answer": list(sample.answer),
    }


def turn_to_json(turn: Turn) -> dict[str, Any]:
    """Return the plain form of a turn; its frame is not kept. One of which the action alone is known is its action."""
    action = to_json(turn.action) if turn.action else None
    if action is not None and not turn.text and not turn.thought:
        return action
    return {"turn": action, "text": turn.text, "thought": turn.thought}


def turn_from_json(data: dict[str, Any]) -> Turn:
    """Return a turn from its plain form.

    Raises:
        BadInput: its action is none.
    """
    if "turn" not in data:
        return Turn(action=from_json(data))
    action = data["turn"]
    return Turn(None, str(data["text"]), str(data["thought"]), from_json(action) if action else None)


def _sample(record: Mapping[str, Any], frame: Path) -> Sample:
    return Sample(
        observation=Observation(read_png(frame), record["scale"], record["text"]),
        task_id=record["task_id"],
        goal=record["goal"],
        progress=record["progress"],
        history=tuple(turn_from_json(turn) for turn in record["history"]),
        origin=record["origin"],
        episode=record["episode"],
        action=from_json(record["action"]) if record["action"] else None,
        executor=record["executor"],
        correct=record["correct"],
        success=record["success"],
        answer=tuple(record["answer"]),
    )
