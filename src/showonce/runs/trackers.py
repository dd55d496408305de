"""A run's numbers to TensorBoard or Weights & Biases (extra: showonce[track]).

A thread follows the run's event file, as the dashboard does, so a tracker that is slow, fails or loses its network
neither slows nor ends the run, and a finished run can be sent later.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from showonce import events as ev
from showonce.errors import ConfigError, ShowonceError, Unavailable, nearest
from showonce.runs.event_file import EventTail
from showonce.runs.layout import EVENTS, TENSORBOARD

EXTRA: Final = "showonce[track]"
JOIN_S: Final = 30.0  # how long the end of a run waits for the last numbers to be sent
UPDATE: Final = ("loss", "kl", "grad_norm", "ms")
PROBE: Final = ("success", "statistic", "threshold", "p0")
EPISODE: Final = ("success", "steps", "seconds")
RESULT: Final = ("success", "low", "high")


class Point(NamedTuple):
    """One number. axis: what `step` counts (steps, episodes or updates)."""

    name: str
    value: float
    axis: str
    step: int


class Tracker(Protocol):
    """Where numbers are sent. `write` may be slow; it runs in a thread of its own."""

    def write(self, points: Sequence[Point]) -> None: ...
    def close(self) -> None: ...


class Scalars:
    """Turns events into points; keeps the counts that are their axes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def of(self, event: ev.Event) -> list[Point]:
        """Return the numbers of one event; none for an event that has none."""
        counts = self.counts
        match event:
            case ev.StepTaken():
                counts["steps"] += 1
                readings = vars(event.confidence) if event.confidence is not None else {}
                return [
                    *self._points("confidence", readings, "steps"),
                    *self._points("ms", dict(sorted(event.timings.items())), "steps"),
                ]
            case ev.EpisodeFinished():
                counts["episodes"] += 1
                return self._points(f"episode/{event.phase or 'run'}", _some(event, EPISODE), "episodes")
            case ev.UpdateMade():
                counts["updates"] += 1
                parts = self._points("part", event.parts or {}, "updates")  # what the learner's `Loss.parts` holds
                return [*self._points("update", _some(event, UPDATE), "updates"), *parts]
            case ev.ProbePlayed():
                return self._points(f"probe/{event.task or 'task'}", _some(event, PROBE), "episodes")
            case ev.GateDecided():
                return self._points("gate", {"accepted": event.accepted}, "episodes")
            case ev.PhaseMeasured():
                return self._points(f"result/{event.name}", _some(event, RESULT), "episodes")
            case ev.RolledBack() | ev.PromotionDecided() | ev.GuardFired() | ev.ErrorRaised():
                name = f"error/{event.where}" if isinstance(event, ev.ErrorRaised) else event.kind
                counts[name] += 1
                return [Point(name, float(counts[name]), "episodes", counts["episodes"])]
        return []

    def _points(self, group: str, values: Mapping[str, Any], axis: str) -> list[Point]:
        """Return a point for every value that is a number or a truth value (1 or 0)."""
        numbers = ((name, ev.as_float(int(v) if isinstance(v, bool) else v)) for name, v in values.items())
        return [
            Point(f"{group}/{name}", number, axis, self.counts[axis]) for name, number in numbers if number is not None
        ]


def _some(event: ev.Event, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(event, name) for name in names}


class TensorBoard:
    """Writes `tensorboard/` in the run folder; look at it with ``tensorboard --logdir logs``.

    Raises:
        Unavailable: the extra is not installed.
    """

    def __init__(self, run_dir: Path) -> None:
        try:
            package: Any = import_module("torch.utils.tensorboard")
        except ImportError as error:
            raise _missing("tensorboard") from error
        self._writer = package.SummaryWriter(log_dir=str(run_dir / TENSORBOARD))

    def write(self, points: Sequence[Point]) -> None:
        for point in points:
            self._writer.add_scalar(point.name, point.value, global_step=point.step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Sends to the project ``showonce``; WANDB_MODE=offline keeps it in the run folder.

    Raises:
        Unavailable: the extra is not installed, or W&B cannot start (not logged in, no network).
    """

    def __init__(self, run_dir: Path, settings: Mapping[str, Any]) -> None:
        try:
            wandb: Any = import_module("wandb")
        except ImportError as error:
            raise _missing("wandb") from error
        try:
            self._run = wandb.init(project="showonce", name=run_dir.name, dir=str(run_dir), config=dict(settings))
        except Exception as error:
            raise Unavailable(
                f"output.trackers: wandb cannot start ({error}). Run `wandb login`, or set WANDB_MODE=offline."
            ) from error
        self._known: set[str] = set()  # names whose axis W&B knows

    def write(self, points: Sequence[Point]) -> None:
        for (axis, step), group in groupby(points, key=lambda point: (point.axis, point.step)):
            values = {point.name: point.value for point in group}
            for name in values.keys() - self._known:
                self._run.define_metric(name, step_metric=axis)
            self._known |= values.keys()
            self._run.log({**values, axis: step})

    def close(self) -> None:
        self._run.finish()


def _missing(package: str) -> Unavailable:
    return Unavailable(
        f"output.trackers: the package {package} is not installed. Install the extra: pip install '{EXTRA}', "
        f"or leave {package} out of output.trackers."
    )


TRACKERS: Final = ("tensorboard", "wandb")


def open_tracker(name: str, run_dir: Path, settings: Mapping[str, Any]) -> Tracker:
    """Start one tracker. settings: the resolved config of the run, shown beside its numbers where that is possible.

    Raises:
        ConfigError: an unknown name (nearest named).
        Unavailable: its package is missing, or it cannot start.
    """
    if name == "tensorboard":
        return TensorBoard(run_dir)
    if name == "wandb":
        return WeightsAndBiases(run_dir, settings)
    raise ConfigError(f"output.trackers={name!r} is not a tracker.{nearest(name, TRACKERS)}")


class Following:
    """Follows a run's event file in a thread of its own and hands its numbers to trackers.

        with Following(run_folder, ("tensorboard",), settings):
            ...the run...

    Events that are in the file already are sent too. A tracker that fails while the run goes on ends the following;
    `failure` and a RuntimeWarning at the end give the reason, and the run is not affected.

    Raises:
        ConfigError, Unavailable: when it is made, before the run begins (see `open_tracker`).
    """

    def __init__(
        self,
        run_dir: str | Path,
        names: Sequence[str],
        settings: Mapping[str, Any] | None = None,
        every_s: float = 2.0,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        self.failure = ""
        folder = Path(run_dir)
        self._tail, self._scalars = EventTail(folder / EVENTS), Scalars()
        self._every_s, self._stop = every_s, threading.Event()
        self._trackers: list[Tracker] = list(trackers)
        try:
            for name in names:
                self._trackers.append(open_tracker(name, folder, settings or {}))
        except ShowonceError:
            self._close()
            raise
        self._thread = threading.Thread(target=self._follow, name="trackers", daemon=True)

    def __enter__(self) -> Following:
        if self._trackers:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not self._trackers:
            return
        self._stop.set()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            self.failure = f"the last numbers were not sent within {JOIN_S:g} s"
        if self.failure:
            with contextlib.suppress(Warning):  # a warning turned into an error must not raise into the run
                warnings.warn(f"Tracking stopped: {self.failure}", RuntimeWarning, stacklevel=2)

    def _follow(self) -> None:
        try:
            stopped = False
            while not stopped:
                stopped = self._stop.wait(self._every_s)  # read once more after the stop: nothing is left out
                self._send()
        except Exception as error:  # no error of a tracker may reach the run
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._close()

    def _send(self) -> None:
        points = [point for event in self._tail.poll() for point in self._scalars.of(event)]
        if points:
            for tracker in self._trackers:
                tracker.write(points)

    def _close(self) -> None:
        for tracker in self._trackers:
            try:
                tracker.close()
            except Exception as error:
                self.failure = self.failure or f"{type(error).__name__}: {error}"
