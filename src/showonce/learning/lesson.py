"""One lesson: a demonstrated task is practised, learned and probed until nothing is left to gain or to spend.

`teaching` gives the same to evaluation as a function, so that controls learn exactly as a run does.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from showonce.config import Config
from showonce.errors import Unavailable
from showonce.events import CheckpointSaved, Event, UpdateMade
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.gate import GateReason
from showonce.learning.methods.prompts import teacher_of
from showonce.learning.practice.episodes import practise
from showonce.learning.session import SUSPENSION, Session, identity_of
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CANDIDATE, CHAMPION, Environment
from showonce.runtime.player import Player
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import Teach, TeachRequest, TeachResult
from showonce.seeds import STRIDE, Seeds
from showonce.types import Episode, Task

SPENT: Final = frozenset({GateReason.BUDGET_RUN.value, GateReason.BUDGET_TASK.value, SUSPENSION})
ENOUGH: Final = 3  # refusals for headroom in a row after which a lesson ends
IDLE: Final = 10  # episodes in a row without an update after which it ends, too; but for
WAITS: Final = frozenset({GateReason.COOLDOWN.value, "no_screens"})  # what may pass by itself
CLOSING: Final = 3  # times the probes of one version that are spent at most at the end of a lesson


@dataclass
class Lesson:
    """A task at hand and how far its practice has come. practised, probed: episodes so far (of a resumed run, too)."""

    session: Session
    task: Task
    practised: int = 0
    probed: int = 0
    _full: int = 0  # refusals for headroom in a row
    _idle: int = 0  # episodes in a row without an update

    def learn(self) -> None:
        """Practise until the budget is spent, the practice episodes are over or nothing is left to gain."""
        if not self.session.trainer.method.trains:
            return
        practice = self.session.config.practice
        if practice.source in ("head", "mixed"):
            self.session.imagine(self.task, practice.head_views)
        if practice.source == "head":
            self._drain()
        else:
            self._practise()
        self.session.consider(force=True)
        if practice.source != "head":
            self._close()

    def _practise(self) -> None:
        seeds, ratchet = self.session.seeds, self.session.config.ratchet
        practice = replace(self.session.config.practice, seed_offset=seeds.first("practice"))
        for episode in practise(practice, self._episode, self.practised):
            self.practised += 1
            self.session.observe(episode)
            updates = self.session.trainer.updates
            refused = self.session.between(self.task)
            waits = refused in WAITS and not self._put_aside
            self._idle = self._idle + 1 if self.session.trainer.updates == updates and not waits else 0
            if self.practised % ratchet.probe_every == 0:
                self.probe(ratchet.probe_batch)
            if self._over(refused):
                break

    @property
    def _put_aside(self) -> bool:
        """Whether the task was shown and what was shown may not be learned from any more."""
        context = self.session.context
        return self.task.id in context.demonstrations and context.demonstration(self.task.id) is None

    def _episode(self, seed: int, beta: float) -> Episode:
        session = self.session
        shown = session.context.demonstration(self.task.id)
        ordinary = session.config.practice.source == "episodes"
        teacher = teacher_of(session.context, self.task.id) if shown is not None and not ordinary and beta > 0 else None
        return session.stage.play(
            self.task, seed, "run" if ordinary else "practice", [session.trainer], teacher=teacher,
            teacher_beta=beta if teacher is not None else 0.0,
        )  # fmt: skip

    def _drain(self) -> None:
        """Update until the gate says no; nothing is executed, so there are no probes and no episodes."""
        while not self.session.update(self.task):
            self.session.stage.stop.check()
            self.session.consider()

    def _over(self, refused: str) -> bool:
        self._full = self._full + 1 if refused == GateReason.HEADROOM.value else 0
        return refused in SPENT or self._full >= ENOUGH or self._idle >= IDLE

    def _close(self) -> None:
        """Probe the final champion until it has enough probes to be called best."""
        wanted = self.session.config.ratchet.min_probes_best
        for _ in range(CLOSING * wanted):
            champion = self.session.store.champion or ""
            if self.session.store.ledger.probes(champion).get(self.task.id, (0, 0))[1] >= wanted:
                return
            self.probe(1)

    def probe(self, n: int) -> None:
        """Play `n` probes."""
        for _ in range(n):
            seed = self.session.seeds.take("probe", 1, self.probed)[0]
            self.probed += 1
            self.session.probe(self.task, seed)


# ------------------------------------------------------------------------------------------ teaching as a function


@dataclass
class EventList:
    """An event sink in memory. updated: called with the number of every update, 1, 2 ..., when it was made."""

    events: list[Event] = field(default_factory=list)
    updated: Callable[[int], None] = lambda _: None

    def emit(self, event: Event) -> None:
        self.events.append(replace(event, t=time.time()))
        if isinstance(event, UpdateMade):
            self.updated(self.updates)

    @property
    def updates(self) -> int:
        """How many updates were made so far."""
        return sum(isinstance(event, UpdateMade) for event in self.events)


def teaching(
    config: Config, policy: VLMPolicy, make_environment: Callable[[Task], Environment], stop: Stop | None = None,
    updated: Callable[[int], None] = lambda _: None,
) -> Teach:  # fmt: skip
    """Return a function that teaches `policy` one lesson in a store of its own and leaves it as fresh as it is now.

    updated: told the number of every update, 1, 2 ..., as soon as it is done; the candidate is the set CANDIDATE.

    Raises:
        Unavailable: the policy has no adapter to teach.
    """
    adapter = policy.adapter
    if adapter is None:
        raise Unavailable("this policy was loaded without an adapter, so nothing can be taught: set adapter=auto.")
    fresh = adapter.tensors(CANDIDATE)

    def reset() -> None:
        for name in adapter.names:
            adapter.set_tensors(fresh, name)
        policy.calibration = None

    def teach(request: TeachRequest) -> TeachResult:
        events, begun = EventList(updated=updated), time.monotonic()
        stage = Player(policy, make_environment, events, stop or Stop())
        with tempfile.TemporaryDirectory(prefix="showonce-lesson-") as root, contextlib.ExitStack() as stack:
            stack.callback(reset)
            stack.callback(stage.close)
            reset()
            store = stack.enter_context(AdapterStore(Path(root), "lesson", identity_of(policy)))
            start = {} if request.start is None else {store.save(request.start): content_hash(request.start)}
            session, lesson = _teach(config, request, stage, store)
            return TeachResult(
                tensors=adapter.tensors(CHAMPION if request.keep == "champion" else CANDIDATE),
                updates=events.updates,
                practice_episodes=lesson.practised,
                distinct_screens=len(session.context.buffer),
                seconds=time.monotonic() - begun,
                events=tuple(events.events),
                versions=start | {e.version: e.hash for e in events.events if isinstance(e, CheckpointSaved)},
                calibration=session.calibration.state if len(session.calibration) else None,
            )

    return teach


def _teach(config: Config, request: TeachRequest, stage: Player, store: AdapterStore) -> tuple[Session, Lesson]:
    offset = request.learning.practice.seed_offset
    seeds = Seeds(0, offset, max(config.experiment.eval_seed_offset, offset + 4 * STRIDE))
    session = Session(request.learning, stage, store, seeds, seed=request.seed)
    for task, demonstration in request.lessons:
        session.remember(task, demonstration)
    session.begin(request.task, request.demonstration)
    lesson = Lesson(session, request.task)
    lesson.learn()
    return session, lesson
