"""Writes episode folders: steps are appended, pictures are encoded by a thread, and the folder is valid at any time."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from showonce.demonstrations.format import (
    META,
    SCHEMA_VERSION,
    STEPS,
    encode_png,
    read_meta,
    step_to_json,
    task_to_json,
    why_unfit,
)
from showonce.demonstrations.redact import redact
from showonce.errors import DemonstrationError, DiskError
from showonce.fsio import LineWriter, atomic_write_bytes, atomic_write_json, explained, make_folder, plain
from showonce.secrets import KNOWN
from showonce.types import (
    Demonstration,
    Episode,
    Executor,
    Observation,
    Outcome,
    Proposal,
    Region,
    Step,
    StopReason,
    Task,
)

QUEUE: Final = 8  # largest number of frames and steps that wait for the disk; then `frame` and `step` block
_EPISODE: Final = re.compile(r"(\d{5,})-(?P<phase>[a-z0-9]+)")


class EpisodeWriter:
    """Writes one episode folder. A thread writes in the order of the calls, so that a step's frame is there first.

    A failure of that thread (full disk) is raised by the next call. Killed at any moment, the folder holds the steps
    so far and a meta.json that says unfinished.

    Raises:
        DiskError: in every method, when the disk cannot be written.
    """

    def __init__(
        self, path: Path, meta: dict[str, Any], save_frames: bool = True, regions: Sequence[Region] = ()
    ) -> None:
        self.path = path
        self.id = path.name
        self._meta = {"schema_version": SCHEMA_VERSION, "id": self.id, **meta, "redacted": regions, "finished": False}
        self._durable = meta["phase"] == "record"  # fsync: what a person recorded must survive a power cut
        self._save_frames = save_frames
        self._regions = tuple(regions)
        self._names: dict[tuple[str, float, str | None], str] = {}
        self._stored: dict[str, Observation] = {}
        self._last: tuple[Observation, str, Observation] | None = None  # as seen, name, as stored
        self._failure: DiskError | None = None
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUE)
        atomic_write_json(path / META, KNOWN.hide_value(self._meta), durable=self._durable)
        self._lines = LineWriter(path / STEPS)
        self._thread = threading.Thread(target=self._work, name=f"writer-{self.id}", daemon=True)
        self._thread.start()

    def frame(self, observation: Observation) -> str:
        """Queue a frame for writing and return its file name; equal frames share one file.

        Regions to be redacted are blanked here. Returns "" when frames are not stored.
        """
        self._check()
        if self._last is None or self._last[0] is not observation:
            stored = redact(observation, self._regions)
            key = (stored.hash, stored.scale, stored.text)
            name = self._names.get(key, f"{len(self._names):04d}.png" if self._save_frames else "")
            if key not in self._names:
                self._names[key] = name
                if self._save_frames:
                    self._jobs.put(partial(self._write_png, name, stored))
            self._last = (observation, name, stored)
        return self._last[1]

    def step(self, step: Step) -> None:
        """Queue a step. Its frame is the last one given to `frame`, its hash that of the stored, redacted frame."""
        self._check()
        stored = self._last[2] if self._last is not None else None
        line = KNOWN.hide_value(
            step_to_json(replace(step, frame_hash=stored.hash) if stored is not None else step, stored)
        )
        self._jobs.put(partial(self._lines.write, line))

    def finish(self, episode: Episode) -> None:
        """Wait for the thread, then write stop reason and outcome; the last frame given to `frame` is the final one."""
        self.close()
        self._check()
        last = self._last
        self._meta |= {
            "finished": True,
            "stop_reason": episode.stop_reason,
            "outcome": plain(episode.outcome),
            "seconds": episode.seconds,
            "source": episode.source,
            "adapter_version": episode.adapter_version,
            "steps": len(episode.steps),
            "final_frame": last[1] if last else "",
            "screen": {"width": last[2].width, "height": last[2].height} if last else None,
            "lost": plain(episode.lost),
            **({} if episode.sends is None else {"sends": list(episode.sends)}),
            "checks": plain(episode.checks),
        }
        atomic_write_json(self.path / META, KNOWN.hide_value(self._meta), durable=self._durable)

    def close(self) -> None:
        """Wait for the thread and end it; without `finish` the episode stays marked unfinished."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        self._lines.close(durable=self._durable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _write_png(self, name: str, observation: Observation) -> None:
        atomic_write_bytes(self.path / name, encode_png(observation.image), durable=self._durable)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._failure is None:  # after a failure jobs are dropped: a full queue would block the caller
                try:
                    job()
                except DiskError as error:
                    self._failure = error
                except Exception as error:  # the thread must live on, or a full queue would block the caller
                    self._failure = DiskError(f"cannot store a step in {self.path}: {error!r}.")


class EpisodeStore:
    """A folder of episode folders, ``NNNNN-PHASE-TASK`` each; in a run it is the run folder's `episodes`."""

    def __init__(self, root: str | Path, save_frames: bool = True) -> None:
        self.root = Path(root)
        self.save_frames = save_frames
        self._next: int | None = None

    def create(
        self, task: Task, seed: int | None = None, phase: str = "run", source: str = "policy", adapter: str = "base"
    ) -> EpisodeWriter:
        """Begin an episode in a new folder. Several processes may write into one store.

        Raises:
            DiskError: the folder cannot be made.
        """
        make_folder(self.root)
        for later in itertools.count():
            path = self.root / self.name(later, phase, task.id)
            with explained(path, "create the folder"), contextlib.suppress(FileExistsError):
                path.mkdir()
                self._next = self._first() + later + 1
                break
        meta = _meta(task.id, task.goal, seed, phase, source, adapter) | {"task": task_to_json(task)}
        return EpisodeWriter(path, meta, self.save_frames, task.redact)

    def name(self, later: int, phase: str, task_id: str) -> str:
        """Return the name of the next episode folder, or of one `later` after it. Nothing is made."""
        return f"{self._first() + later:05d}-{_slug(phase)}-{_slug(task_id)}"

    def _first(self) -> int:
        if self._next is None:
            self._next = max((int(m[1]) for p in self.root.iterdir() if (m := _EPISODE.match(p.name))), default=-1) + 1
        return self._next


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "none"


def _meta(task_id: str, goal: str, seed: int | None, phase: str, source: str, adapter: str) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "goal": goal,
        "seed": seed,
        "phase": phase,
        "source": source,
        "adapter_version": adapter,
        "started": time.time(),
    }


def save_demonstration(demonstration: Demonstration, path: str | Path, seed: int | None = None) -> Path:
    """Write a demonstration as a finished episode folder and return its path.

    Raises:
        DemonstrationError: there is an episode in that folder already.
        DiskError: it cannot be written.
    """
    folder = make_folder(path)
    if (folder / META).exists():
        raise DemonstrationError(f"{folder} holds an episode already; episodes are never overwritten. Choose another.")
    meta = _meta(demonstration.task_id, demonstration.goal, seed, "record", demonstration.source, "base")
    executor: Executor = "oracle" if demonstration.source == "oracle" else "person"
    steps = []
    with EpisodeWriter(folder, meta) as writer:
        for index, frame in enumerate(demonstration.frames):
            action, seen = frame.action, frame.observation
            said = Proposal(frame.target, action, None, adapter_version="none") if frame.target else None
            steps.append(
                Step(
                    index, writer.frame(seen), seen.hash, action, action, action, executor, said, note=frame.note,
                    targets=frame.targets,
                )
            )  # fmt: skip
            writer.step(steps[-1])
        writer.finish(
            Episode(
                id=writer.id,
                task_id=demonstration.task_id,
                goal=demonstration.goal,
                seed=seed,
                phase="record",
                steps=tuple(steps),
                stop_reason=StopReason.COMPLETED,
                outcome=Outcome(None, "none", "saved from memory"),
                seconds=0.0,
                source=demonstration.source,
                lost=demonstration.lost,
                sends=demonstration.sends,
                checks=demonstration.checks,
            )
        )
    return folder


def latest_demonstration(
    root: str | Path,
    task_id: str,
    size: tuple[int, int] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Path | None:
    """Return the newest recording of a task below `root` that may serve as a demonstration, or None.

    One that was never finished, stopped, broke off, failed or is empty is passed over (`format.why_unfit`).

    size: width and height of its frames; None = any. tell: given one sentence when newer recordings were passed over.
    """
    found: list[tuple[float, Path]] = []
    for name, folders, files in os.walk(root):
        if META not in files:
            continue
        folders.clear()  # nothing lies below an episode
        path = Path(name)
        if (match := _EPISODE.match(path.name)) and match["phase"] != "record":
            continue  # an episode of a run, not a recording: its meta.json need not be read
        with contextlib.suppress(DemonstrationError):
            meta = read_meta(path)
            started, screen = meta.get("started"), meta.get("screen")
            shown = meta["phase"] == "record" and meta["task_id"] == task_id and isinstance(started, (int, float))
            if shown and (size is None or screen == {"width": size[0], "height": size[1]}):
                found.append((float(started or 0.0), path))
    passed: list[tuple[Path, str]] = []
    for _, path in sorted(found, reverse=True):
        with contextlib.suppress(DemonstrationError):
            why = why_unfit(path)
            if not why:
                _tell_passed(passed, f"the demonstration is {path}", tell)
                return path
            passed.append((path, why))
    _tell_passed(passed, f"there is no demonstration of {task_id}", tell)
    return None


def _tell_passed(passed: Sequence[tuple[Path, str]], what: str, tell: Callable[[str], None]) -> None:
    if passed:
        (path, why), more = passed[0], f" and {len(passed) - 1} more" if len(passed) > 1 else ""
        tell(f"{what}: {path} was passed over, since {why}{more}.")
