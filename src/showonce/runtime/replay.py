"""Re-executing a stored episode, by its coordinates or by finding its targets again, and comparing with what was.

`ReplayPolicy` is the same thing as a policy: the baseline that a learned policy has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from showonce.actions import Action, Ask, Done, from_json, from_pixel, points, to_json, to_pixel
from showonce.demonstrations import EpisodeStore, load_demonstration, load_episode, read_meta, redact
from showonce.demonstrations.format import encode_png
from showonce.demonstrations.redact import check_regions
from showonce.demonstrations.sheet import MARK, marked
from showonce.errors import BadInput, DemonstrationError, nearest
from showonce.fsio import atomic_write_bytes, make_folder
from showonce.protocols import Context, Environment, EventSink, Interrupt, Sampling
from showonce.runtime.guards import Unproved
from showonce.runtime.loop import run_episode
from showonce.types import (
    Confidence,
    Demonstration,
    Episode,
    Frame,
    Image,
    Observation,
    Proposal,
    Region,
    Step,
    StopReason,
    Task,
)

Mode = Literal["coordinates", "template"]
MODES: Final = ("coordinates", "template")
PATCH: Final = 24  # pixels: side of the square around a demonstrated point that is looked for
GAP: Final = 4
LEAST_SCORE: Final = 0.5  # a replay by template asks instead of acting below this correlation


class ReplayPolicy:
    """Does what was shown, step by step, whatever the goal says; afterwards it claims `done`.

    coordinates: at the same place. template: where the square of `patch` pixels around the demonstrated point is
    found again; below `least_score` (correlation in [-1, 1]) it asks instead of acting.

    Raises:
        BadInput: an unknown mode or a patch without pixels.
    """

    def __init__(
        self, demonstration: Demonstration, mode: Mode = "coordinates", patch: int = PATCH, least_score: float = -1.0
    ) -> None:
        if mode not in MODES:
            raise BadInput(f"replay mode {mode!r} is not a valid choice.{nearest(mode, MODES)}")
        if patch < 2:
            raise BadInput(f"replay patch={patch!r} must be at least 2 pixels.")
        self._frames = demonstration.frames
        self._mode = mode
        self._patch = patch
        self._least = least_score
        self.adapter_version = f"replay-{mode}"

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        index = len(context.history)
        if index >= len(self._frames):
            return Proposal("", Done(), None, adapter_version=self.adapter_version)
        action, score = self._aim(self._frames[index], observation)
        text = f"step {index + 1} of the demonstration"
        if score < self._least:
            action = Ask(f"The target of step {index + 1} is not on the screen (best match {score:.2f}).")
        confidence = Confidence(token=min(max(score, 0.0), 1.0))
        return Proposal(text, action, None, confidence, adapter_version=self.adapter_version)

    def _aim(self, frame: Frame, observation: Observation) -> tuple[Action, float]:
        """Return the demonstrated action on this screen, and the worst correlation of its points."""
        found = points(frame.action)
        if self._mode == "coordinates" or not found:
            return frame.action, 1.0
        moved = [find_point(frame.observation.image, point, observation.image, self._patch) for point in found]
        data = to_json(frame.action)
        for (place, _), (x, y) in zip(moved, (("x", "y"), ("to_x", "to_y")), strict=False):
            data |= {x: place[0], y: place[1]}
        return from_json(data), min(score for _, score in moved)


def find_point(
    shown: Image, point: tuple[float, float], screen: Image, patch: int = PATCH
) -> tuple[tuple[float, float], float]:
    """Find the surroundings of a demonstrated point on another screen.

    The square of `patch` pixels around the point (cut at the border) is matched by normalised cross-correlation
    (Lewis 1995), zero mean per colour channel. Of equal matches the nearest to the old place counts. A square without
    any contrast matches nowhere: the old place is returned with score 0.

    Returns:
        The point on `screen` in [0, 1] and its correlation in [-1, 1].
    """
    height, width = shown.shape[:2]
    column, row = to_pixel(point[0], width), to_pixel(point[1], height)
    half = patch // 2
    top, left = max(0, row - half), max(0, column - half)
    square = shown[top : row + half, left : column + half]
    score = correlation(square, screen)
    if score is None:
        return point, 0.0
    offset_row, offset_column = row - top, column - left
    new_height, new_width = screen.shape[:2]
    rows, columns = np.ogrid[: score.shape[0], : score.shape[1]]
    away_rows = (rows + offset_row + 0.5) / new_height - (row + 0.5) / height
    away_columns = (columns + offset_column + 0.5) / new_width - (column + 0.5) / width
    best_row, best_column = np.unravel_index(np.argmax(score - 1e-6 * np.hypot(away_rows, away_columns)), score.shape)
    place = (
        from_pixel(int(best_column) + offset_column, new_width),
        from_pixel(int(best_row) + offset_row, new_height),
    )
    return place, float(score[best_row, best_column])


def correlation(square: Image, screen: Image) -> NDArray[np.float64] | None:
    """Return the correlation of an (h, w, 3) square with every place of an (H, W, 3) screen: (H-h+1, W-w+1).

    None when the square has no contrast or does not fit.
    """
    from scipy.signal import fftconvolve

    height, width = square.shape[:2]
    if height > screen.shape[0] or width > screen.shape[1]:
        return None
    kernel = square.astype(np.float64)
    kernel -= kernel.mean(axis=(0, 1))
    norm = float(np.sqrt((kernel**2).sum()))
    if norm < 1e-6:
        return None
    pixels = screen.astype(np.float64)
    product = fftconvolve(pixels, kernel[::-1, ::-1], mode="valid", axes=(0, 1)).sum(axis=2)
    count = height * width
    spread = (_window_sums(pixels**2, height, width) - _window_sums(pixels, height, width) ** 2 / count).sum(axis=2)
    score: NDArray[np.float64] = product / (norm * np.sqrt(np.maximum(spread, 1e-3)))
    score[spread <= 1e-3] = 0.0
    return np.clip(score, -1.0, 1.0, out=score)


def _window_sums(values: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return the sums over all height x width windows of an (H, W, C) array, by a summed-area table."""
    padded = np.pad(values, ((1, 0), (1, 0), (0, 0)))
    table: NDArray[np.float64] = padded.cumsum(axis=0).cumsum(axis=1)
    return table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]


@dataclass(frozen=True)
class Difference:
    """Where a replay left its recording. kind: screen | frame | step | target | ending."""

    step: int
    kind: str
    detail: str
    picture: str = ""  # both frames side by side, when a folder was given


@dataclass(frozen=True)
class ReplayReport:
    """What came of a replay. `success` is verified in this run, not copied from the recording."""

    mode: str
    steps: int
    recorded_steps: int
    success: bool | None
    stop_reason: StopReason
    first_difference: Difference | None
    episode: Episode


def replay_episode(
    path: str | Path,
    environment: Environment,
    task: Task,
    *,
    mode: Mode = "coordinates",
    seed: int | None = None,
    patch: int = PATCH,
    folder: str | Path | None = None,
    store: EpisodeStore | None = None,
    events: EventSink | None = None,
    stop: Interrupt | None = None,
) -> ReplayReport:
    """Re-execute a stored episode and report the first difference from it.

    seed: of the environment; the recorded one by default. With another seed the frames are other frames, so they are
    not compared. folder: where the picture of a difference goes.

    Raises:
        DemonstrationError: not a usable episode folder, or of another task.
    """
    recorded = load_episode(path)
    if recorded.task_id != task.id:
        raise DemonstrationError(f"{path} is an episode of task {recorded.task_id!r}, not of {task.id!r}.")
    shown = load_demonstration(path)
    regions = check_regions(read_meta(path).get("redacted") or [])
    same_start = seed is None or seed == recorded.seed
    watch = _Watch(shown, regions, same_start, None if folder is None else Path(folder))
    episode = run_episode(
        environment,
        ReplayPolicy(shown, mode, patch, LEAST_SCORE if mode == "template" else -1.0),
        task,
        seed=recorded.seed if seed is None else seed,
        phase="replay",
        executor="replay",
        limits=replace(task.limits, max_steps=max(task.limits.max_steps, len(shown.frames) + 1)),
        guards=(Unproved(),),
        observers=(watch,),
        store=store,
        events=events,
        stop=stop,
    )
    done = sum(step.executed is not None for step in episode.steps)
    first = watch.first or _ending(recorded, episode, done, len(shown.frames))
    return ReplayReport(mode, done, len(shown.frames), episode.outcome.success, episode.stop_reason, first, episode)


class _Watch:
    """Compares every step of a replay with the recording; keeps the first difference."""

    def __init__(self, shown: Demonstration, regions: Sequence[Region], frames: bool, folder: Path | None) -> None:
        self.first: Difference | None = None
        self._shown = shown
        self._regions = regions
        self._frames = frames
        self._folder = folder

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        index = len(context.history)
        if self.first is not None or index >= len(self._shown.frames):
            return
        then, now = self._shown.frames[index].observation, redact(observation, self._regions)
        found = self._difference(then, now, step)
        if found is not None:
            kind, detail = found
            self.first = Difference(index, kind, detail, self._picture(self._shown.frames[index], now, step))

    def _difference(self, then: Observation, now: Observation, step: Step) -> tuple[str, str] | None:
        if (then.width, then.height) != (now.width, now.height):
            return "screen", f"recorded on {then.width}x{then.height}, this screen is {now.width}x{now.height}"
        if self._frames and not np.array_equal(then.image, now.image):
            pixels = int((then.image != now.image).any(axis=2).sum())
            return "frame", f"{pixels} of {then.width * then.height} pixels differ before the action"
        if isinstance(step.proposed, Ask):
            return "target", step.proposed.question
        if step.outcome is not None and step.outcome.step_correct is False:
            return "step", step.outcome.evidence or "the world says that this step is wrong"
        return None

    def _picture(self, frame: Frame, now: Observation, step: Step) -> str:
        if self._folder is None:
            return ""
        path = make_folder(self._folder) / "first_difference.png"
        right = marked(now.image, step.executed)
        atomic_write_bytes(path, encode_png(_beside(marked(frame.observation.image, frame.action), right)))
        return str(path)


def _ending(recorded: Episode, episode: Episode, done: int, expected: int) -> Difference | None:
    if recorded.outcome.success is not None and recorded.success != episode.success:
        was, now = ("a success" if e.success else "no success" for e in (recorded, episode))
        evidence = f" ({episode.outcome.evidence})" if episode.outcome.evidence else ""
        return Difference(done, "ending", f"recorded as {was}, now {now}: {episode.stop_reason}{evidence}")
    if done < expected:
        return Difference(done, "ending", f"ended after {done} of {expected} actions: {episode.stop_reason}")
    return None


def _beside(left: Image, right: Image) -> Image:
    """Return two pictures side by side, a line between them, on black where one is smaller."""
    canvas = np.zeros((max(len(left), len(right)), left.shape[1] + GAP + right.shape[1], 3), np.uint8)
    canvas[: len(left), : left.shape[1]] = left
    canvas[:, left.shape[1] : left.shape[1] + GAP] = MARK
    canvas[: len(right), left.shape[1] + GAP :] = right
    return canvas
