"""One lesson: a task is practised, learned and probed until the gate's budget is spent or nothing is left to gain.

`teaching` returns the same as a function for evaluation, so that controls learn exactly as a run does.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from showonce.errors import Unavailable
from showonce.events import CheckpointSaved, Event, UpdateMade
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.gate import GateReason
from showonce.learning.methods.prompts import teacher_of
from showonce.learning.practice.episodes import schedule
from showonce.learning.ratchet.champion import SUSPENDED
from showonce.learning.session import Session, identity_of
from showonce.policy.vlm_policy import local_policy
from showonce.protocols import CANDIDATE, CHAMPION, Environment, Policy
from showonce.runtime.player import Player
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import Teach, TeachRequest, TeachResult
from showonce.seeds import Seeds
from showonce.types import Episode, Task

SPENT: Final = frozenset({GateReason.BUDGET_RUN.value, GateReason.BUDGET_TASK.value, SUSPENDED})  # end a lesson
MAX_FULL: Final = 3  # end the lesson after so many refusals for headroom in a row
MAX_IDLE: Final = 10  # end the lesson after so many episodes in a row without an update
TRANSIENT: Final = frozenset({GateReason.COOLDOWN.value, "no_screens"})  # refusals by which an episode is not idle
CLOSING: Final = 3  # at the end of a lesson at most this many times `min_probes_best` probes are spent


@dataclass
class Lesson:
    """One task that is learned. practised, probed: episodes so far (of a resumed run: those before it, too)."""

    session: Session
    task: Task
    practised: int = 0
    probed: int = 0
    _full: int = 0  # refusals for headroom in a row
    _idle: int = 0  # episodes in a row without an update

    def learn(self) -> None:
        """Practise until the budget is spent, the practice episodes are over or nothing is left to gain."""
        session = self.session
        practice, player = session.config.practice, session.player
        if not session.trains:
            return
        if practice.source in ("head", "mixed"):
            session.imagine(self.task, practice.head_views)
        if practice.source == "head":
            self._drain()
            session.consider(force=True)
            return
        phase = "run" if practice.source == "episodes" else "practice"
        for seed, beta in schedule(practice, session.seeds.first("practice"), self.practised):
            episode = player.play(self.task, seed, phase, [session.trainer], **self._teacher(beta))
            if self._learn_from(episode):
                break
        session.consider(force=True)
        self._close()

    def _teacher(self, beta: float) -> dict[str, Any]:
        """Return the keywords of `run_episode` by which the teacher executes each step with probability `beta`."""
        context = self.session.context
        taught = self.session.config.practice.source != "episodes" and context.demonstration(self.task.id) is not None
        return {"teacher": teacher_of(context, self.task.id), "teacher_beta": beta} if taught and beta > 0 else {}

    def _learn_from(self, episode: Episode) -> bool:
        """Observe a practice episode, update, probe if it is time; return whether the lesson is over."""
        session, ratchet = self.session, self.session.config.ratchet
        self.practised += 1
        session.observe(episode)
        updates = session.updates
        refused = session.between(self.task)
        waits = refused in TRANSIENT and not session.lost_its_demonstration(self.task.id)
        self._idle = self._idle + 1 if session.updates == updates and not waits else 0
        if self.practised % ratchet.probe_every == 0:
            self.probe(ratchet.probe_batch)
        self._full = self._full + 1 if refused == GateReason.HEADROOM.value else 0
        return refused in SPENT or self._full >= MAX_FULL or self._idle >= MAX_IDLE

    def _drain(self) -> None:
        """Update until the gate refuses; nothing is executed, so there are no probes and no episodes."""
        stop = self.session.player.stop
        while not self.session.update(self.task):
            stop.check()
            self.session.consider()

    def _close(self) -> None:
        """Probe the final champion until it has enough probes to be called best."""
        wanted = self.session.config.ratchet.min_probes_best
        for _ in range(CLOSING * wanted):
            if self.session.champion_probes(self.task.id) >= wanted:
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
    seeds: Seeds, policy: Policy, make_environment: Callable[[Task], Environment], stop: Stop | None = None,
    updated: Callable[[int], None] = lambda _: None,
) -> Teach:  # fmt: skip
    """Return a function that teaches `policy` one lesson in a store of its own and leaves it as fresh as it is now.

    seeds: of practice and probes. updated: called after every update with its number, 1, 2 ...; the candidate's tensors
    are the set CANDIDATE.

    Raises:
        Unavailable: the policy has no adapter to teach.
    """
    local = local_policy(policy, "learning=frozen")
    adapter = local.adapter
    if adapter is None:
        raise Unavailable("this policy was loaded without an adapter, so nothing can be taught: set adapter=auto.")
    fresh = adapter.tensors(CANDIDATE)

    def reset() -> None:
        for name in adapter.names:
            adapter.set_tensors(fresh, name)
        local.calibration = None

    def teach(request: TeachRequest) -> TeachResult:
        events, begun = EventList(updated=updated), time.monotonic()
        stage = Player(policy, make_environment, events, stop or Stop())
        with tempfile.TemporaryDirectory(prefix="showonce-lesson-") as root, contextlib.ExitStack() as stack:
            stack.callback(reset)
            stack.callback(stage.close)
            reset()
            store = stack.enter_context(AdapterStore(Path(root), "lesson", identity_of(policy)))
            start = {} if request.start is None else {store.save(request.start): content_hash(request.start)}
            session, lesson = _teach(seeds, request, stage, store)
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


def _teach(seeds: Seeds, request: TeachRequest, stage: Player, store: AdapterStore) -> tuple[Session, Lesson]:
    own = seeds.lesson(request.learning.practice.seed_offset)
    session = Session(request.learning, stage, store, own, seed=request.seed)
    for task, demonstration in request.lessons:
        session.remember(task, demonstration)
    session.begin(request.task, request.demonstration)
    lesson = Lesson(session, request.task)
    lesson.learn()
    return session, lesson
