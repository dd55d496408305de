"""What a stated confidence should be: the smoothed probability of verified success, from verified outcomes only.

Kept per task and progress step, over the last `WINDOW` outcomes of each, because the policy changes under them.

An answer that was sampled for training is never executed, so nobody verifies it. Its target confidence is:

* where steps are verified and an action on the same screen has a verdict: an answer that does the same gets its
  verdict c; one that does something clearly different from a right action gets c = 0; any other has no target. The
  target is (n c + s p) / (n + s), with n verified outcomes at this task and step, s = `smoothing` and p = 0.5, so that
  few outcomes move it little.
* where only whole episodes are verified: the smoothed share of successes among the student's own episodes that passed
  this step, whatever the answer.
* where nothing was verified: no target; the confidence tokens are not trained.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from showonce.actions import Action, points, to_json
from showonce.learning.practice.buffer import Sample
from showonce.types import Episode

WINDOW: Final = 32
PRIOR: Final = 0.5  # probability of success before any outcome
SAME_PLACE: Final = 0.04  # share of the frame's side: two places at most this far apart are the same target
OTHER_PLACE: Final = 0.12  # two places at least this far apart are different targets; between the two: unknown

Place = tuple[str, int]


class Outcomes:
    """Verified outcomes per (task, progress): of single steps, and of the student's own episodes from there on."""

    def __init__(self, smoothing: float = 2.0) -> None:
        self.smoothing = smoothing
        self._steps: dict[Place, deque[bool]] = {}
        self._episodes: dict[Place, deque[bool]] = {}

    def __len__(self) -> int:
        """Return the number of verified outcomes kept."""
        return sum(len(q) for table in (self._steps, self._episodes) for q in table.values())

    def add_sample(self, sample: Sample) -> None:
        """Count the verdict on the action that was done (or demonstrated) on a screen."""
        if sample.correct is not None:
            self._push(self._steps, (sample.task_id, sample.progress), sample.correct)

    def add_episode(self, episode: Episode) -> None:
        """Count the verified end of an episode at every step that it passed, if the student alone acted."""
        if episode.outcome.success is None or any(step.executor != "student" for step in episode.steps):
            return
        for progress in sorted(set(progress_of(step.changed for step in episode.steps))):
            self._push(self._episodes, (episode.task_id, progress), episode.success)

    def target(self, sample: Sample, answered: Action | None) -> float | None:
        """Return the confidence in [0, 1] that `answered` should state on this screen; None when nothing is known."""
        place = (sample.task_id, sample.progress)
        steps = self._steps.get(place)
        if steps:
            verdict = judge(answered, sample)
            return None if verdict is None else self._smooth(len(steps) * verdict, len(steps))
        episodes = self._episodes.get(place)
        return self._smooth(sum(episodes), len(episodes)) if episodes else None

    @property
    def state(self) -> dict[str, Any]:
        """Return a JSON form for a checkpoint."""
        return {
            name: [[task_id, progress, [int(x) for x in queue]] for (task_id, progress), queue in sorted(table.items())]
            for name, table in (("steps", self._steps), ("episodes", self._episodes))
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        for name, table in (("steps", self._steps), ("episodes", self._episodes)):
            table.clear()
            for task_id, progress, values in state.get(name, ()):
                table[(task_id, progress)] = deque((bool(x) for x in values), maxlen=WINDOW)

    def _smooth(self, successes: float, n: int) -> float:
        return (successes + self.smoothing * PRIOR) / (n + self.smoothing)

    @staticmethod
    def _push(table: dict[Place, deque[bool]], place: Place, value: bool) -> None:
        table.setdefault(place, deque(maxlen=WINDOW)).append(value)


def progress_of(changed: Iterable[bool | None]) -> list[int]:
    """Return the progress at each step: how many earlier actions were followed by another screen."""
    out, progress = [], 0
    for flag in changed:
        out.append(progress)
        progress += flag is True
    return out


def judge(answered: Action | None, sample: Sample) -> bool | None:
    """Return whether an answer is right on a screen, by the sample's action and its verdict; None = unknown."""
    if sample.correct is None or sample.action is None:
        return None
    if answered is None:
        return False
    same = agree(answered, sample.action)
    if same is None:
        return None
    if same:
        return sample.correct
    return False if sample.correct else None


def agree(a: Action, b: Action) -> bool | None:
    """Return whether two actions do the same: equal verb and arguments, places within `SAME_PLACE`; None = unknown
    (a place between `SAME_PLACE` and `OTHER_PLACE` away).
    """
    if type(a) is not type(b):
        return False
    coordinates = {"x", "y", "to_x", "to_y"}
    left, right = ({k: v for k, v in to_json(action).items() if k not in coordinates} for action in (a, b))
    if left != right:
        return False
    far = max((math.dist(p, q) for p, q in zip(points(a), points(b), strict=True)), default=0.0)
    if far <= SAME_PLACE:
        return True
    return False if far >= OTHER_PLACE else None
