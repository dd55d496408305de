"""What happens between the episodes of a run: observe, update, ask the canaries, promote, probe, roll back.

The candidate trains, the champion acts. Whatever becomes champion was saved, verified on disk and loaded
from there, so that what acts is what can be brought back.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from showonce.config import LearningConfig
from showonce.demonstrations import load_demonstration
from showonce.errors import CheckpointCorrupt, DemonstrationError
from showonce.events import (
    CanariesGathered,
    CheckpointSaved,
    ErrorRaised,
    GateDecided,
    LockTakenOver,
    ProbePlayed,
    PromotionDecided,
    Quarantined,
)
from showonce.inference.torch.adapter import Adapter
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.calibration import Calibration
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.faults import Fault, corrupt_checkpoint
from showonce.learning.practice.buffer import ScreenBuffer
from showonce.learning.practice.episodes import demonstrated, in_the_head
from showonce.learning.practice.outcomes import Outcomes
from showonce.learning.ratchet.canary_screens import load_canaries, save_canaries
from showonce.learning.ratchet.canary_watch import (
    NO_SKILLS,
    CanaryWatch,
    LessonCanaries,
    largest_move,
    other_goals,
    skill_canaries,
    skill_prompts,
    skill_world,
    thinned,
)
from showonce.learning.ratchet.promotion import ProbeVerdict, PromotionDecision, PromotionReason, Ratchet
from showonce.learning.ratchet.refusals import SECTION as TROUBLE
from showonce.learning.ratchet.refusals import RefusedCandidates
from showonce.learning.trainer import Trainer, make_learner
from showonce.learning.updates import UpdateReport
from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import CANDIDATE, CHAMPION
from showonce.runtime.player import Player
from showonce.seeds import Seeds
from showonce.stats import lower_bound
from showonce.types import Demonstration, Episode, StopReason, Task
from showonce.versions.store import ChampionMove, Identity

CANARIES, SCREENS = "canaries", "screens"  # folders of the adapter store
LESSONS: Final = "lessons"  # section of its ledger: task id -> where its demonstration is
ANCHORS: Final = 16  # old prompts on which the student is compared with the base
HEALTHY: Final = 0.9  # share of the last `RECENT` probes, or of canaries, from which on a lesson is known
RECENT: Final = 10
SUSPENSION: Final = "suspended"  # why there is no update then
WAITING: Final = (PromotionReason.DROP_SUSPECTED, PromotionReason.PROBATION)  # the candidate is kept, not refused
UNCOUNTED: Final = (StopReason.STOPPED, StopReason.ENVIRONMENT_ERROR)  # a probe that ends so says nothing


class Session:
    """The learning of one run on one adapter store.

    seed: of batches, draws and faults. run: the name under which updates are booked. tasks: how many tasks are watched
    by drop tests.

    Raises:
        StoreError: the store's state is damaged. CheckpointCorrupt: no version in it is whole.
    """

    def __init__(
        self,
        config: LearningConfig,
        stage: Player,
        store: AdapterStore,
        seeds: Seeds,
        *,
        seed: int = 0,
        run: str = "run",
        tasks: int = 1,
    ) -> None:
        self.config, self.stage, self.store, self.seeds = config, stage, store, seeds
        self.calibration = Calibration()
        self._seed = seed
        self.context = LearnerContext(
            stage.policy,
            config,
            np.random.default_rng(seed),
            adapter=CANDIDATE,
            champion=CHAMPION,
            buffer=ScreenBuffer.load(store.path / SCREENS, config.practice.buffer),
            outcomes=Outcomes(config.sdft.confidence_smoothing),
            fault=Fault(config.fault, stage.events, seed=seed),
            quarantined=store.ledger.quarantined_sources,
        )
        self.trainer: Trainer = make_learner(config.learner, self.context, stage.events, store.ledger, run)
        self.ratchet = Ratchet(config.ratchet, store, tasks)
        self.canaries = CanaryWatch(stage.policy)
        self.tally = {"probes": 0, "promotions": 0, "refused": 0, "rollbacks": 0}
        self._recent: dict[str, deque[bool]] = {}
        self._lesson: LessonCanaries | None = None
        self._trouble = RefusedCandidates(run)
        self._open_store()

    @property
    def adapter(self) -> Adapter:
        """The policy's adapter."""
        adapter = self.stage.policy.adapter
        assert adapter is not None, "a session is made with an adapter"
        return adapter

    # ---- beginning and end

    def begin(self, task: Task, demonstration: Demonstration | None = None) -> None:
        """Make a task the lesson at hand, with its canaries. A demonstration is kept for it from now on."""
        self.trainer.begin(task, demonstration)
        kept = RefusedCandidates(**self.store.ledger.read_section(TROUBLE))
        same = (kept.run, kept.task) == (self._trouble.run, task.id)
        self.ratchet.begin_lesson(new=kept.task != task.id)
        self._note_trouble(kept if same else RefusedCandidates(self._trouble.run, task.id))
        if demonstration is not None:
            lessons = self.store.ledger.read_section(LESSONS)
            self.store.ledger.write_section(LESSONS, {**lessons, task.id: demonstration.ref})
        self._gather_canaries(task, demonstration)
        self._gather_anchors(task)

    def remember(self, task: Task, demonstration: Demonstration) -> None:
        """Take an earlier lesson in: its demonstration teaches where old screens are replayed, its canaries watch."""
        self.context.demonstrations[task.id] = demonstration
        self._gather_canaries(task, demonstration)

    def _remember_earlier(self) -> None:
        """Take in what this store was taught in earlier runs, as far as it is still there."""
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
            if self.canaries.canaries:
                save_canaries(self.store.path / CANARIES, self.canaries.canaries)
        finally:
            self.store.close()

    def _open_store(self) -> None:
        """Say what was found, mend what can be mended, and go on from the champion."""
        if self.store.taken_over_from is not None:
            owner = str(self.store.taken_over_from)
            self.stage.events.emit(LockTakenOver(owner=owner, path=str(self.store.path)))
        if self.store.champion is None:
            self._save()
        elif (move := self.store.recover()) is not None:
            self._tell_move(move, "", None)
        self._load(self.store.champion)
        self._remember_earlier()
        self.ratchet.note_update(-self.ratchet.candidate_updates)  # what was not saved is not there any more
        self.stage.policy.use(CHAMPION)

    def _gather_canaries(self, task: Task, demonstration: Demonstration | None) -> None:
        """Watch old skills, a few screens of every earlier lesson, and this one: imagined screens to begin with."""
        if not (n := self.config.ratchet.canary_screens):
            return
        world = skill_world(self.stage.environment(task), self.stage.policy)
        known = self.canaries.canaries or load_canaries(self.store.path / CANARIES)
        skills = [c for c in known if c.group == "skill"]
        if not skills and world is not None:
            skills = skill_canaries(world, self.seeds.take("canary", n // 2))
        earlier = [c for c in known if c.group != "skill" and c.task_id != task.id]
        lessons = thinned([replace(c, group="lesson") if c.group == "present" else c for c in earlier])
        views = []
        if demonstration is not None and demonstration.frames:
            views = in_the_head(demonstration, [], n // 4, np.random.default_rng(self._seed))
        if self._lesson is None:
            self.stage.events.emit(CanariesGathered(skills=len(skills), reason="" if skills else NO_SKILLS))
        self._lesson = LessonCanaries(task, [*skills, *lessons], views, n // 4, self._seed)
        self.canaries.watch(self._lesson.canaries([]))

    def _gather_anchors(self, task: Task) -> None:
        """Collect what the student shall go on doing as the base does: old skills, and goals that nobody taught."""
        if not self.context.anchors and (world := skill_world(self.stage.environment(task), self.stage.policy)):
            self.context.anchors = skill_prompts(world, self.seeds.take("anchor", ANCHORS))
        taught = {task.goal, *(shown.goal for shown in self.context.demonstrations.values())}
        self.context.others = other_goals(taught, random.Random(self._seed))[1]

    def _refresh_canaries(self) -> None:
        """Put practised screens on which the right action was verified in the place of imagined ones."""
        if self._lesson is not None and not self._lesson.full:
            task_id = self._lesson.task.id
            verified = self.context.buffer.select(lambda s: s.task_id == task_id and s.origin != "head" and s.worked)
            self.canaries.watch(self._lesson.canaries(verified))
            self.ratchet.begin_lesson(new=False)

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
        """Do at most one update. Returns why there was none, or the empty text."""
        if self._trouble.suspends:
            return SUSPENSION
        self._inject(task)
        result = self.trainer.maybe_update()
        if not isinstance(result, UpdateReport):
            return result.reason
        self.ratchet.note_update()
        return ""

    def between(self, task: Task) -> str:
        """Do what may be done between two episodes. Returns why the last update was refused, or the empty text."""
        refused = ""
        for _ in range(self.config.gate.updates_per_episode):
            if refused := self.update(task):
                break
        self.consider()
        return refused

    def _inject(self, task: Task) -> None:
        self.context.fault.begin(self.trainer.updates, self._healthy(task.id))

    # ---- promotion

    def consider(self, force: bool = False) -> PromotionDecision | None:
        """Ask the canaries about the candidate, if it is time (or `force`), and promote it or take it back."""
        if not (self.ratchet.due or (force and self.ratchet.candidate_updates)):
            return None
        self._refresh_canaries()
        old = self.store.champion
        moved = largest_move(self.adapter, CHAMPION, CANDIDATE, self.config.sdft, self.ratchet.candidate_updates)
        report = replace(self.canaries.report(CHAMPION, CANDIDATE), moved=moved)
        decision = self.ratchet.decide_promotion(report)
        accepted, broken, reason, new = decision.accepted, False, _reason(decision), self.adapter.version(CANDIDATE)
        if accepted:
            try:
                new = self._promote()
            except CheckpointCorrupt as error:
                accepted, broken, reason = False, True, f"the saved candidate is not whole: {error}"
                self.stage.events.emit(ErrorRaised(where="store", message=str(error)))
        self.stage.events.emit(
            PromotionDecided(accepted=accepted, old=old, new=new, reason=reason, canaries=decision.numbers)
        )
        if accepted:
            self.tally["promotions"] += 1
        elif decision.reason not in WAITING:
            self._refuse(decision, reason, counts=not broken and self._knows(decision))
        return decision

    def _knows(self, decision: PromotionDecision) -> bool:
        """Whether a champion could do the lesson at hand: its probes say so, or the canaries."""
        present = decision.numbers.get("groups", {}).get("present", {})
        known = self.ratchet.guards_lesson or present.get("champion", 0.0) >= HEALTHY
        return known or self._healthy(self._trouble.task)

    def _healthy(self, task_id: str) -> bool:
        recent = self._recent.get(task_id, ())
        return len(recent) >= RECENT and sum(recent) >= HEALTHY * len(recent)

    def _refuse(self, decision: PromotionDecision, reason: str, counts: bool) -> None:
        """Take the candidate back. The second refusal ends the learning of a lesson that is known.

        What such candidates were made from is put aside, else the same poison would be tried until, once, it passes.
        A dose of it may have passed already: the champion makes room for a proven version. Before a lesson is known,
        refusals are the unrest of learning. For what was lost elsewhere nothing is put aside: the lesson is not to
        blame.
        """
        self.tally["refused"] += 1
        sources = set(self.trainer.take_sources())
        self._take_back()
        if not counts:
            return
        blamed = decision.numbers.get("group") in ("present", None)
        self._note_trouble(self._trouble.plus(sources if blamed else ()))
        if not self._trouble.suspends:
            return
        reason = f"{self._trouble.refused} candidates of one lesson were refused: {reason}"
        before = self.store.ledger.quarantined_sources
        self.store.quarantine([], reason, self._trouble.doubted)
        self.context.quarantined = self.store.ledger.quarantined_sources
        aside = sorted(set(self.context.quarantined) - set(before))
        if aside:
            self.stage.events.emit(Quarantined(versions=tuple(aside), reason=reason))
        self.stage.events.emit(GateDecided(accepted=False, route=None, reason=SUSPENSION, updates=self.trainer.updates))
        self._retreat(reason)

    def _note_trouble(self, trouble: RefusedCandidates) -> None:
        self._trouble = trouble
        self.store.ledger.write_section(TROUBLE, asdict(trouble))

    def _retreat(self, reason: str) -> None:
        """Move back to the best proven other version that knows the task, unless the champion is proven to be better.

        What candidates were refused for may be in the champion already, in a dose that passed.
        """
        champion, task_id = self.store.champion or "", self._trouble.task
        other = self.store.best(task_id, self.config.ratchet.min_probes_best, {champion})
        successes, n = self.store.ledger.probes(champion).get(task_id, (0, 0))
        if other is None or other.successes < HEALTHY * other.n:
            return
        if lower_bound(successes, n) <= other.successes / other.n:
            self._roll_back(task_id, "", reason, to=other.version)

    def _promote(self) -> str:
        version = self._save()
        if self.context.fault.active and self.context.fault.kind == "corrupt_checkpoint":
            corrupt_checkpoint(self.store.folder(version), np.random.default_rng(self._seed))
        try:
            found = self.store.load(version)
            self.ratchet.promote(version)
        except CheckpointCorrupt:
            self.store.quarantine([version], "its files do not match their hashes", blame=False)
            raise
        self.adapter.set_tensors(found.tensors, CHAMPION, version)
        self.store.prune(self.config.ratchet.keep_last)
        return version

    def _save(self) -> str:
        """Write the candidate with all that belongs to it as a new version."""
        version = self.store.save(
            self.adapter.tensors(CANDIDATE),
            calibration=self.calibration.state,
            sources=self.trainer.take_sources(),
            **self.trainer.snapshot(),
        )
        path, none = str(self.store.folder(version)), {"n": 0, "successes": 0, "lower": 0.0}
        made = self.adapter.hash(CANDIDATE)
        self.stage.events.emit(CheckpointSaved(version=version, path=path, probes=none, hash=made))
        return version

    def _take_back(self) -> None:
        """Make the candidate equal to the champion again. Counters and chance go on: the same draws would only fail."""
        found = self.store.load()
        counters = {key: value for key, value in self.trainer.state.items() if key != "rng"}
        self.trainer.restore(found.tensors, optimiser=found.optimiser, ema=found.ema, counters=counters)

    def _load(self, version: str | None) -> None:
        """Go on from a version: candidate, champion, optimiser, EMA, calibration map and counters (but for chance)."""
        found = self.store.load(version)
        counters = {key: value for key, value in found.counters.items() if key != "rng"}
        self.trainer.restore(found.tensors, optimiser=found.optimiser, ema=found.ema, counters=counters)
        self.adapter.set_tensors(found.tensors, CHAMPION, found.version)
        self.calibration = Calibration.from_state(found.calibration) if found.calibration else Calibration()
        policy = self.stage.policy
        policy.calibration = self.calibration
        policy.calibration_source = "stated" if self.config.gate.confidence == "stated" else "token"

    # ---- probes

    def probe(self, task: Task, seed: int) -> ProbeVerdict | None:
        """Play one probe: the champion alone, greedy, without a demonstration, and nothing is learned from it.

        None when nobody could say whether it succeeded. A drop is answered at once by a rollback.
        """
        episode = self.stage.play(task, seed, "probe")
        if episode.stop_reason in UNCOUNTED or episode.outcome.success is None or episode.source != "policy":
            return None  # nobody can say, or a person had a hand in it
        champion = self.store.champion or ""
        self._calibrate(episode)
        self.trainer.note_probe(task.id, episode.success)
        self._recent.setdefault(task.id, deque(maxlen=RECENT)).append(episode.success)
        verdict = self.ratchet.note_probe(task.id, episode.success, champion)
        self.tally["probes"] += 1
        drop = verdict.drop
        self.stage.events.emit(
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
            self._roll_back(task.id, episode.id)
        return verdict

    def _calibrate(self, episode: Episode) -> None:
        for step in episode.steps:
            if step.proposal is not None:
                right = step.outcome.step_correct if step.outcome is not None else None
                reading = step.proposal.confidence.read("stated" if self.stated else "token")
                self.calibration.add(reading, episode.success if right is None else right)

    @property
    def stated(self) -> bool:
        """Whether the calibration map is made for the stated confidence rather than the token one."""
        return self.stage.policy.calibration_source == "stated"

    def _roll_back(self, task_id: str, episode: str, reason: str = "", to: str | None = None) -> None:
        decision = self.ratchet.rollback(task_id, self.trainer.take_sources(), reason, to)
        if decision.new is None:
            self.stage.events.emit(ErrorRaised(where="store", message=f"cannot roll back: {decision.reason}"))
            return
        self.tally["rollbacks"] += 1
        self._recent.clear()
        if not reason:  # what was refused under the damaged champion says nothing about the restored one
            self._note_trouble(RefusedCandidates(self._trouble.run, self._trouble.task))
        self._load(decision.new)
        move = ChampionMove(decision.old, decision.new, decision.reason, decision.quarantined)
        self._tell_move(move, episode, None if reason else decision.statistic)

    def _tell_move(self, move: ChampionMove, episode: str, statistic: float | None) -> None:
        self.context.quarantined = self.store.ledger.quarantined_sources
        for event in move.events(episode, statistic, self.context.quarantined):
            self.stage.events.emit(event)

    # ---- looking

    @property
    def state(self) -> Mapping[str, Any]:
        """What a report wants to know."""
        return {
            "champion": self.store.champion,
            "updates": self.trainer.updates,
            "screens": len(self.context.buffer),
            "outcomes": len(self.context.outcomes),
            **self.tally,
        }


def _reason(decision: PromotionDecision) -> str:
    if decision.reason is not PromotionReason.CANARIES or decision.canary is None:
        return decision.reason.value
    group = decision.numbers.get("group")
    return f"{decision.canary.value} ({group})" if group else decision.canary.value


def identity_of(policy: VLMPolicy) -> Identity:
    """Return which adapter store fits a policy."""
    assert policy.adapter is not None
    return Identity(f"adapter/{policy.adapter.config.kind}", policy.backbone.fingerprint)
