"""A learner: one method with what all methods share (choice of screens, gate, budget, optimiser, events, state).

`maybe_update` does at most one update:

    1. ask the gate for the limits that need no evidence: budget, cool-down, headroom, KL to the champion
    2. draw a batch of screens whose own evidence passes the gate
    3. compute the method's loss, and how much teacher and student differ
    4. ask the gate with the weakest evidence of the batch; its decision is an event
    5. one optimiser step on the adapter, then the method's `after_step`
    6. measure the distance to the champion; the update is an event
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from torch import Tensor

from showonce.errors import BadInput
from showonce.events import GateDecided, UpdateMade
from showonce.learning.gate.champion_distance import ChampionDistance
from showonce.learning.gate.evidence import EvidenceBook, ScreenEvidence, difference, weakest
from showonce.learning.gate.gate import Gate, GateDecision, GateEvidence, GateReason
from showonce.learning.methods.base import Loss, Method
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.corrections import shown_on
from showonce.learning.methods.logits import training_engine
from showonce.learning.methods.registry import find_method
from showonce.learning.optimiser import AdapterOptimiser
from showonce.learning.practice.buffer import Sample, sample_of_step
from showonce.learning.practice.episodes import demonstrated
from showonce.learning.updates import Budget, Refusal, UpdateCounts
from showonce.plugins import blamed
from showonce.protocols import EMA, Context, EventSink
from showonce.types import Demonstration, Episode, Observation, Step, Task

LEARNS_FROM: Final = ("run", "practice")  # phases whose episodes are learned from; never probes or evaluations
DRAWS: Final = 4  # most times that a batch is drawn to get one whose screens all pass the gate
PROBES: Final = 20  # recent probes of a task from which the gate's headroom is computed
BINDING: Final = frozenset(
    {
        GateReason.BUDGET_RUN,
        GateReason.BUDGET_TASK,
        GateReason.BUDGET_EPISODE,
        GateReason.COOLDOWN,
        GateReason.HEADROOM,
        GateReason.KL_LIMIT,
    }
)


class Trainer:
    """A learner: see the module's text. It is also an observer of the loop.

    budget: see `Budget`. run: the name under which this run's updates are counted; it may be set between lessons.
    """

    def __init__(
        self,
        method: Method,
        gate: Gate,
        events: EventSink | None = None,
        budget: Budget | None = None,
        run: str = "run",
    ) -> None:
        self.method = method
        self.context = method.context
        self.name = method.name
        self.gate = gate
        self.updates = 0
        self._events = events
        self._budget = budget or UpdateCounts()
        self.run = run
        self._evidence = EvidenceBook(self.context, gate.config.confidence)
        self._distance = ChampionDistance(self.context)
        self._task_id: str | None = None
        self._pending: list[Sample] = []
        self._probes: dict[str, deque[bool]] = {}
        self._updates_episode: int | None = None  # None: the newest screens are of no episode (no limit per episode)
        self._episodes_since_update: int | None = None
        self._sources: set[str] = set()
        self._shown: set[str] = set()  # refs of demonstrations whose steps were counted as outcomes
        self._fresh = True
        self._optimiser: AdapterOptimiser | None = None
        if method.trains:
            adapter = training_engine(self.context.policy).adapter
            if adapter is None:
                raise BadInput(f"learner {self.name!r} trains an adapter, and this policy has none: load it with one.")
            settings = self.context.config.sdft
            self._optimiser = AdapterOptimiser(adapter, self.context.adapter, settings)

    @property
    def trains(self) -> bool:
        """Whether there are weights to train; if not, no update is ever made."""
        return self.method.trains

    # ---- what comes in

    def begin(self, task: Task, demonstration: Demonstration | None = None) -> None:
        """Make a task the lesson at hand. A demonstration (or a correction) is kept for it from now on.

        A demonstration counts as one verified outcome at each of its steps, once. Raises BadInput: as `maybe_update`.
        """
        if demonstration is not None:
            self.context.demonstrations[task.id] = demonstration
        shown = self.context.demonstrations.get(task.id)
        if shown is not None and shown.ref not in self._shown:
            self._shown.add(shown.ref)
            for sample in demonstrated(shown):
                self.context.outcomes.add_sample(sample)
        if self._optimiser is not None:
            # a task without a goal has its demonstration's
            goal = task.goal or (shown.goal if shown is not None else "")
            self._optimiser.begin(self.context.policy.goal_ids(goal))
            with blamed("learner", type(self.method)):
                self.method.begin(self._fresh)
            self._fresh = False
        self._task_id = task.id

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        """Collect a screen while an episode runs (see `runtime.loop`); it counts once the episode is observed."""
        sample = sample_of_step(task, observation, step, context)
        self._pending.append(sample)
        if step.executor == "student" and step.proposal is not None and step.proposal.action is not None:
            self._evidence.acted(sample, step.proposal.confidence)

    def observe(self, episode: Episode) -> None:
        """Add the screens and the verified outcome of an episode; probes and evaluations are ignored."""
        pending, self._pending = self._pending, []
        if episode.phase not in LEARNS_FROM:
            return
        alone = all(step.executor == "student" for step in episode.steps)
        self.context.outcomes.add_episode(episode)
        self.add(
            [
                replace(
                    sample,
                    origin="practice" if (sample.origin, episode.phase) == ("episode", "practice") else sample.origin,
                    episode=episode.id,
                    success=episode.outcome.success if alone else None,
                )
                for sample in pending
                if sample.task_id == episode.task_id
            ]
        )
        self._updates_episode = 0
        if self._episodes_since_update is not None:
            self._episodes_since_update += 1

    def add(self, samples: Iterable[Sample]) -> None:
        """Add screens to the buffer: of an episode, or views for practice in the head."""
        for sample in samples:
            if sample.origin != "head":
                self.context.outcomes.add_sample(sample)
            self.context.buffer.add(sample)
        self._updates_episode = None
        self._evidence.forget_all_but([*self.context.buffer, *self._pending])

    def note_probe(self, task_id: str, success: bool) -> None:
        """Note the result of a verified probe, for the gate's headroom."""
        self._probes.setdefault(task_id, deque(maxlen=PROBES)).append(success)

    # ---- one update

    def maybe_update(self) -> UpdateMade | Refusal:
        """Do at most one optimiser step on the lesson at hand, else return the reason.

        Raises:
            BadInput: the code of a method of one's own raised something; its file and line are given.
        """
        with blamed("learner", type(self.method)):
            return self._maybe_update()

    def _maybe_update(self) -> UpdateMade | Refusal:
        begun = time.perf_counter()
        if self._optimiser is None:
            return Refusal("no_weights")
        if self._task_id is None:
            return Refusal("no_lesson")
        bound = self.gate.decide(self._account(GateEvidence()))
        if bound.reason in BINDING:
            return self._refuse(bound)
        batch, evidence = self._batch(self._task_id)
        if not batch:
            decision = self.gate.decide(self._account(evidence or GateEvidence()))
            return self._refuse(decision, "" if evidence and not decision.accepted else "no_screens")
        assert evidence is not None
        loss = self.method.loss(batch)
        differ = difference(self.context, batch) if loss.difference is None else loss.difference
        decision = self.gate.decide(self._account(replace(evidence, divergence=differ)))
        if not decision.accepted:
            return self._refuse(decision)
        fault = self.context.fault
        norm = self._optimiser.step(fault.loss_sign * loss.value, fault.lr_factor)
        if not math.isfinite(norm):
            return self._refuse(replace(decision, accepted=False, route=None), "not_finite")
        self.method.after_step()
        self._book(batch)
        self._tell(decision)
        return self._report(batch, loss, decision, differ, norm, begun)

    def _batch(self, task_id: str) -> tuple[list[Sample], GateEvidence | None]:
        """Return the screens of one update and the weakest evidence among them; without any, that of the newest screen.

        Every screen's own evidence passes the gate, except for the divergence of teacher and student, which is
        measured on the whole batch later. Evidence is measured when a screen is first drawn, and cached.
        """
        batch: list[tuple[Sample, ScreenEvidence, GateDecision]] = []
        for _ in range(DRAWS):
            drawn = self.method.batch(task_id, self._admitted)
            weighed = [(s, e, self._weigh(e)) for s, e in zip(drawn, self._evidence.of(drawn), strict=True)]
            batch = [entry for entry in weighed if entry[2].accepted]
            if len(batch) == len(drawn):
                break
        if batch:
            shown = [e for _, e, decision in batch if decision.route != "earned"]
            earned = [e for _, e, decision in batch if decision.route != "shown"]
            return [s for s, _, _ in batch], weakest(shown, earned).for_gate(None)
        newest = self.context.buffer.select(lambda s: s.task_id == task_id and self.method.usable(s))[-1:]
        return [], next((e.for_gate(self._enough) for e in self._evidence.of(newest)), None)

    def _admitted(self, sample: Sample) -> bool:
        """Return whether a screen may be drawn: not quarantined, and its evidence unknown or good enough."""
        if sample.episode in self.context.quarantined:
            return False
        return not self._evidence.knows(sample) or self._weigh(self._evidence.of([sample])[0]).accepted

    def _weigh(self, evidence: ScreenEvidence) -> GateDecision:
        """Ask the gate about one screen alone, as if nothing was spent."""
        return self.gate.decide(evidence.for_gate(self._enough))

    @property
    def _enough(self) -> float:
        """A divergence that passes the gate, for evidence that is weighed before the divergence is measured."""
        return self.gate.config.min_difference + 1.0

    def _account(self, evidence: GateEvidence) -> GateEvidence:
        """Return the evidence with spent updates, recent probes and the distance to the champion filled in."""
        assert self._task_id is not None
        probes = self._probes.get(self._task_id, ())
        return replace(
            evidence,
            updates_run=self._budget.updates_run(self.run),
            updates_task=self._budget.updates_task(self._task_id),
            updates_episode=self._updates_episode or 0,
            episodes_since_update=self._episodes_since_update,
            probe_success=sum(probes) / len(probes) if probes else None,
            probe_n=len(probes),
            kl_to_champion=self._distance.known,
        )

    def _refuse(self, decision: GateDecision, reason: str = "") -> Refusal:
        refusal = Refusal(reason or decision.reason.value, replace(decision, accepted=False, route=None))
        self._tell(refusal.decision, refusal.reason)
        return refusal

    def _tell(self, decision: GateDecision | None, reason: str = "") -> None:
        """Emit the decision as an event."""
        if self._events is None or decision is None or self._task_id is None:
            return
        config = self.gate.config
        self._events.emit(
            GateDecided(
                accepted=decision.accepted,
                route=decision.route,
                reason=reason or decision.reason.value,
                updates=self.updates,
                budget_run_left=max(config.budget_run - self._budget.updates_run(self.run), 0),
                budget_task_left=max(config.budget_task - self._budget.updates_task(self._task_id), 0),
                numbers=decision.numbers,
            )
        )

    def _book(self, batch: Sequence[Sample]) -> None:
        """Count an update, and note the refs of demonstrations and episodes that it was made from."""
        assert self._task_id is not None
        self.updates += 1
        self._budget.count_update(self.run, self._task_id)
        self._episodes_since_update = 0
        if self._updates_episode is not None:
            self._updates_episode += 1
        for sample in batch:
            demonstration = shown_on(self.context, sample)
            self._sources |= {sample.episode, demonstration.ref if demonstration else ""} - {""}

    def _report(
        self, batch: Sequence[Sample], loss: Loss, decision: GateDecision, kl: float | None, norm: float, begun: float
    ) -> UpdateMade:
        adapter = self.context.policy.adapter
        assert adapter is not None
        report = UpdateMade(
            n=self.updates,
            loss=float(loss.value.detach()),
            kl=self._distance.measure(batch),
            grad_norm=norm,
            ms=(time.perf_counter() - begun) * 1e3,
            route=decision.route,
            candidate=adapter.version(self.context.adapter),
            kl_teacher_student=kl,
            screens=len(batch),
            tokens=loss.n_tokens,
            parts={name: float(value) for name, value in loss.parts.items()},
        )
        if self._events is not None:
            self._events.emit(report)
        return report

    # ---- what is kept

    def take_sources(self) -> list[str]:
        """Return the refs of demonstrations and episodes that were learned from since the last call."""
        sources, self._sources = sorted(self._sources), set()
        return sources

    @property
    def state(self) -> dict[str, Any]:
        """Return the counters of a checkpoint: plain data."""
        return {
            "learner": self.name,
            "updates": self.updates,
            "task": self._task_id,
            "outcomes": self.context.outcomes.state,
            "shown": sorted(self._shown),
            "probes": {task_id: [int(x) for x in queue] for task_id, queue in self._probes.items()},
            "rng": self.context.rng.bit_generator.state,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the parts of a checkpoint beside the adapter's tensors: optimiser, ema and counters."""
        adapter = self.context.policy.adapter
        ema = self.context.config.sdft.teacher == "ema" and adapter is not None
        return {
            "optimiser": self._optimiser.tensors() if self._optimiser else None,
            "ema": adapter.tensors(EMA) if ema and adapter else None,
            "counters": self.state,
        }

    def restore(
        self,
        tensors: Mapping[str, Tensor],
        *,
        optimiser: Mapping[str, Tensor] | None = None,
        ema: Mapping[str, Tensor] | None = None,
        counters: Mapping[str, Any] | None = None,
    ) -> None:
        """Set candidate, optimiser, EMA and counters to those of a checkpoint; spent budgets stay spent."""
        adapter = self.context.policy.adapter
        if adapter is not None:
            adapter.set_tensors(tensors, self.context.adapter)
            if ema is not None:
                adapter.set_tensors(ema, EMA)
            else:
                adapter.copy(self.context.adapter, EMA)
            self._fresh = False
        if self._optimiser is not None:
            self._optimiser.restore(optimiser or {})
        counters = counters or {}
        self.updates = int(counters.get("updates", 0))
        self.context.outcomes.restore(counters.get("outcomes", {}))
        self._shown = set(counters.get("shown", ()))
        self._probes = {
            task_id: deque((bool(x) for x in values), maxlen=PROBES)
            for task_id, values in counters.get("probes", {}).items()
        }
        if "rng" in counters:
            self.context.rng.bit_generator.state = counters["rng"]


def make_learner(
    name: str,
    context: LearnerContext,
    events: EventSink | None = None,
    budget: Budget | None = None,
    run: str = "run",
) -> Trainer:
    """Return a learner with the named method. budget: counts updates (the ledger of a store does, over restarts).

    run: the name under which updates are counted.

    Raises:
        ConfigError: no such method.
        BadInput: the method trains an adapter and the policy has none, or its own code failed.
    """
    method = find_method(name)
    with blamed("learner", method):
        made = method(context)
    return Trainer(made, Gate(context.config.gate), events, budget, run)
