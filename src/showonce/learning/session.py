"""What happens between the episodes of a run: observe, update, compare with the champion, promote, probe, roll back.

A session puts the parts together and calls them in turn: `trainer` makes updates on the candidate, `canary_watch`
compares it with the champion, `ratchet.champion` promotes it or takes it back. The order is

    update -> optimiser step -> consider -> canary report -> decide -> save, promote, act
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final

import numpy as np

from showonce.config import LearningConfig
from showonce.demonstrations import load_demonstration
from showonce.errors import DemonstrationError
from showonce.events import ProbePlayed, UpdateMade
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.calibration import Calibration
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.faults import Fault
from showonce.learning.practice.buffer import ScreenBuffer
from showonce.learning.practice.episodes import demonstrated, in_the_head
from showonce.learning.practice.outcomes import Outcomes
from showonce.learning.ratchet.canary_collection import CanaryCollection
from showonce.learning.ratchet.canary_watch import CanaryWatch, largest_move
from showonce.learning.ratchet.candidate import Candidate
from showonce.learning.ratchet.champion import SUSPENDED, ChampionKeeper
from showonce.learning.ratchet.promotion import ProbeVerdict, PromotionDecision, Ratchet
from showonce.learning.trainer import Trainer, make_learner
from showonce.policy.vlm_policy import local_policy
from showonce.protocols import CANDIDATE, CHAMPION, AdapterSets, Policy, adapter_of
from showonce.runtime.player import Player
from showonce.seeds import Seeds
from showonce.stats import lower_bound
from showonce.types import Demonstration, Episode, StopReason, Task
from showonce.versions.store import Identity

CANARIES, SCREENS = "canaries", "screens"  # folders of the adapter store
LESSONS: Final = "lessons"  # section of its ledger: task id -> ref of its demonstration
UNCOUNTED: Final = (StopReason.STOPPED, StopReason.ENVIRONMENT_ERROR)  # a probe that ends so says nothing


class Session:
    """The learning of one run on one adapter store.

    seed: of batches, draws and faults. run: the name under which updates are counted. tasks: how many tasks are watched
    by drop tests.

    Raises:
        StoreError: the store's state is damaged. CheckpointCorrupt: no version in it is whole.
    """

    def __init__(
        self,
        config: LearningConfig,
        player: Player,
        store: AdapterStore,
        seeds: Seeds,
        *,
        seed: int = 0,
        run: str = "run",
        tasks: int = 1,
    ) -> None:
        self.config, self.player, self.store, self.seeds = config, player, store, seeds
        self.policy, events = local_policy(player.policy, "learning=frozen"), player.events
        self.context = LearnerContext(
            self.policy,
            config,
            np.random.default_rng(seed),
            adapter=CANDIDATE,
            champion=CHAMPION,
            buffer=ScreenBuffer.load(store.path / SCREENS, config.practice.buffer),
            outcomes=Outcomes(config.sdft.confidence_smoothing),
            fault=Fault(config.fault, events, seed=seed),
            quarantined=store.ledger.quarantined_sources,
        )
        self.trainer: Trainer = make_learner(config.learner, self.context, events, store.ledger, run)
        self.ratchet = Ratchet(config.ratchet, store, tasks)
        self.canaries = CanaryWatch(self.policy)
        n, folder = config.ratchet.canary_screens, store.path / CANARIES
        self._collection = CanaryCollection(self.canaries, self.context, events, seeds, folder, n, seed)
        self._candidate = Candidate(self.trainer, store, events, config.gate.confidence)
        self._keeper = ChampionKeeper(self.ratchet, self._candidate, self.trainer, store, events, run, seed)
        self._keeper.open()
        self._remember_earlier()
        self.policy.use(CHAMPION)

    # ---- beginning and end

    def begin(self, task: Task, demonstration: Demonstration | None = None) -> None:
        """Make a task the lesson at hand, with its canaries. A demonstration is kept for it from now on."""
        self.trainer.begin(task, demonstration)
        self._keeper.begin_lesson(task.id)
        if demonstration is not None:
            lessons = self.store.ledger.read_section(LESSONS)
            self.store.ledger.write_section(LESSONS, {**lessons, task.id: demonstration.ref})
        environment = self.player.environment(task)
        self._collection.begin_lesson(task, demonstration, environment)
        self._collection.set_anchors(task, environment)

    def remember(self, task: Task, demonstration: Demonstration) -> None:
        """Add an earlier lesson: its demonstration teaches on replayed screens, and its screens become canaries."""
        self.context.demonstrations[task.id] = demonstration
        self._collection.begin_lesson(task, demonstration, self.player.environment(task))

    def _remember_earlier(self) -> None:
        """Load the demonstrations of lessons that this store was taught in earlier runs, where they still exist."""
        for task_id, ref in self.store.ledger.read_section(LESSONS).items():
            with contextlib.suppress(DemonstrationError):
                self.context.demonstrations[task_id] = load_demonstration(ref)

    def close(self) -> None:
        """Keep screens and canaries for later runs, and give the store back.

        Raises:
            DiskError: they cannot be written; the store is given back all the same.
        """
        try:
            if len(self.context.buffer):
                self.context.buffer.save(self.store.path / SCREENS)
            self._collection.save()
        finally:
            self.store.close()

    # ---- learning

    def observe(self, episode: Episode) -> None:
        """Take a finished episode in (its steps came by `trainer.on_step`)."""
        self.trainer.observe(episode)

    def imagine(self, task: Task, views: int) -> None:
        """Practise in the head: views of the demonstrated and of recorded frames, answered but never executed."""
        shown = self.context.demonstration(task.id)
        if shown is not None:
            recorded = self.context.buffer.select(lambda s: s.task_id == task.id and s.origin != "head")
            self.trainer.add([*demonstrated(shown), *in_the_head(shown, recorded, views, self.context.rng)])

    def update(self, task: Task) -> str:
        """Do at most one update. Returns why there was none (see `Refusal.reason`), or the empty text."""
        if self._keeper.suspended:
            return SUSPENDED
        self.context.fault.begin(self.trainer.updates, self._keeper.succeeds(task.id))
        result = self.trainer.maybe_update()
        if not isinstance(result, UpdateMade):
            return result.reason
        self.ratchet.note_update()
        return ""

    def between(self, task: Task) -> str:
        """Do what is due between two episodes. Returns why the last update was refused, or the empty text."""
        refused = ""
        for _ in range(self.config.gate.updates_per_episode):
            if refused := self.update(task):
                break
        self.consider()
        return refused

    def consider(self, force: bool = False) -> PromotionDecision | None:
        """Compare candidate and champion if it is time (or `force`), and promote the candidate or take it back."""
        updates = self.ratchet.candidate_updates
        if not (self.ratchet.due or (force and updates)):
            return None
        if self._collection.refresh():
            self.ratchet.begin_lesson(new=False)
        moved = largest_move(self.adapter, CHAMPION, CANDIDATE, self.config.sdft, updates)
        return self._keeper.decide(replace(self.canaries.report(CHAMPION, CANDIDATE), moved=moved))

    # ---- probes

    def probe(self, task: Task, seed: int) -> ProbeVerdict | None:
        """Play one probe: the champion alone, greedy, without a demonstration, and nothing is learned from it.

        None when its success was not verified, or a person acted in it. A drop is followed by a rollback at once.
        """
        episode = self.player.play(task, seed, "probe")
        if episode.stop_reason in UNCOUNTED or episode.outcome.success is None or episode.source != "policy":
            return None
        champion = self.store.champion or ""
        self._calibrate(episode)
        self.trainer.note_probe(task.id, episode.success)
        verdict = self._keeper.note_probe(task.id, episode.success)
        drop = verdict.drop
        self.player.events.emit(
            ProbePlayed(
                task=task.id,
                episode=episode.id,
                success=episode.success,
                n=verdict.n,
                successes=verdict.successes,
                lower=lower_bound(verdict.successes, verdict.n),
                statistic=None if drop is None else drop.statistic,
                threshold=None if drop is None else drop.threshold,
                p0=None if drop is None else drop.p0,
                champion=champion,
            )
        )
        if verdict.fired:
            self._keeper.roll_back(task.id, episode.id)
        return verdict

    def _calibrate(self, episode: Episode) -> None:
        """Add the confidence of each step of a probe to the calibration map, with the verdict on the step, if any."""
        for step in episode.steps:
            if step.proposal is not None:
                right = step.outcome.step_correct if step.outcome is not None else None
                reading = step.proposal.confidence.read(self._candidate.confidence)
                self.calibration.add(reading, episode.success if right is None else right)

    # ---- state

    @property
    def adapter(self) -> AdapterSets:
        """The policy's adapter."""
        adapter = self.policy.adapter
        assert adapter is not None, "a session is made with an adapter"
        return adapter

    @property
    def calibration(self) -> Calibration:
        """The map of confidences that belongs to the champion."""
        return self._candidate.calibration

    @property
    def trains(self) -> bool:
        """Whether the learner has weights to train."""
        return self.trainer.trains

    @property
    def updates(self) -> int:
        """How many updates the learner has made."""
        return self.trainer.updates

    def champion_probes(self, task_id: str) -> int:
        """Return how many verified probes of a task the champion has had."""
        return self.store.ledger.probes(self.store.champion or "").get(task_id, (0, 0))[1]

    def lost_its_demonstration(self, task_id: str) -> bool:
        """Whether a task was shown, and the demonstration is quarantined now."""
        return task_id in self.context.demonstrations and self.context.demonstration(task_id) is None


def identity_of(policy: Policy) -> Identity:
    """Return which adapter store fits a policy."""
    adapter = adapter_of(policy)
    assert adapter is not None, "whoever opens a store has checked that the policy has an adapter"
    return Identity(f"adapter/{adapter.kind}", adapter.base)
