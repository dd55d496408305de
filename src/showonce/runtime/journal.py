"""Writes an episode while it runs: its events and its folder. A full disk is reported once and does not end it."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

from showonce import events as ev
from showonce.actions import Action, to_json
from showonce.demonstrations import EpisodeStore, EpisodeWriter
from showonce.errors import DiskError
from showonce.protocols import EventSink
from showonce.types import Episode, Executor, Observation, Step, Task


class Journal:
    """Writes one episode to an event sink and an episode store; either may be missing.

    When the store fails, an `error` event and a warning say so once, and the episode goes on without a folder.
    """

    def __init__(self, events: EventSink | None, store: EpisodeStore | None) -> None:
        self.episode = f"episode-{uuid.uuid4().hex[:8]}"
        self._goal = ""
        self._events = events
        self._store = store
        self._writer: EpisodeWriter | None = None

    def start(self, task: Task, seed: int | None, phase: str, executor: Executor, adapter: str) -> None:
        """Make the folder, if there is a store, and announce the episode."""
        self._goal = task.goal
        if self._store is not None:
            with self._storing():
                source = "policy" if executor == "student" else executor
                self._writer = self._store.create(task, seed, phase, source, adapter)
                self.episode = self._writer.id
        self._emit(
            ev.EpisodeStarted(
                episode=self.episode, task=task.id, goal=task.goal, seed=seed, phase=phase, adapter_version=adapter,
                executor=executor,
            )
        )  # fmt: skip

    def step(self, step: Step, seen: Observation, after: Observation) -> Step:
        """Store and announce a step; return it with the name of its frame. `after` is the screen it led to."""
        if self._writer is not None:
            with self._storing():
                step = dataclasses.replace(step, frame=self._writer.frame(seen))
                self._writer.step(step)
                self._writer.frame(after)
        self._emit(self._step_event(step))
        return step

    def guard(self, step: int, name: str, detail: str) -> None:
        """Announce that a guard fired after a step."""
        self._emit(ev.GuardFired(episode=self.episode, step=step, name=name, detail=detail))

    def recovery(self, step: int, trouble: str, measure: str, detail: str, useful: bool) -> None:
        """Announce what was tried after a guard fired or an action was refused. See `RecoveryTried`."""
        self._emit(
            ev.RecoveryTried(
                episode=self.episode, step=step, trouble=trouble, measure=measure, detail=detail, useful=useful
            )
        )

    def error(self, where: str, message: str) -> None:
        """Announce a failure; where: model | parser | executor | environment | store."""
        self._emit(ev.ErrorRaised(where=where, message=message, episode=self.episode))

    def finish(self, episode: Episode) -> str:
        """Complete the folder and announce the end; return the folder, or the empty text where nothing is stored."""
        if self._writer is not None:
            with self._storing():
                self._writer.finish(episode)
        self._emit(
            ev.EpisodeFinished(
                episode=self.episode, task=episode.task_id, phase=episode.phase, stop_reason=episode.stop_reason,
                success=episode.outcome.success, steps=len(episode.steps), seconds=episode.seconds,
                adapter_version=episode.adapter_version, source=episode.source, evidence=episode.outcome.evidence,
                checker=episode.outcome.checker, why=episode.why,
            )
        )  # fmt: skip
        return str(self._writer.path) if self._writer is not None else ""

    def close(self) -> None:
        """Let go of the folder; without `finish` before, it stays an unfinished episode."""
        if self._writer is not None:
            with self._storing():
                self._writer.close()

    def _step_event(self, step: Step) -> ev.StepTaken:
        proposal = step.proposal
        failure = proposal.failure if proposal is not None else None
        sure = proposal.confidence if proposal is not None else None
        folder = self._writer.path if self._writer is not None else None
        return ev.StepTaken(
            episode=self.episode,
            index=step.index,
            frame=f"{folder.parent.name}/{folder.name}/{step.frame}" if folder is not None and step.frame else None,
            goal=self._goal,
            proposed=_json(step.proposed),
            executed=_json(step.executed),
            executor=step.executor,
            text=proposal.text if proposal is not None else "",
            parse_failure=None if failure is None else ev.NotParsed(failure.reason, failure.detail),
            confidence=None if sure is None else ev.Readings(sure.stated, sure.token, sure.calibrated),
            timings=step.timings,
            changed=step.changed,
            step_correct=step.outcome.step_correct if step.outcome is not None else None,
            note=step.note,
        )

    def _emit(self, event: ev.Event) -> None:
        if self._events is not None:
            self._events.emit(event)

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        """On a DiskError in the block: report it once, and store nothing more of this episode."""
        try:
            yield
        except DiskError as error:
            writer, self._writer = self._writer, None
            if writer is not None:
                with contextlib.suppress(DiskError):
                    writer.close()
            self.error("store", str(error))
            with contextlib.suppress(Warning):
                warnings.warn(f"This episode is not stored: {error}", RuntimeWarning, stacklevel=4)


def _json(action: Action | None) -> dict[str, Any] | None:
    return None if action is None else to_json(action)
