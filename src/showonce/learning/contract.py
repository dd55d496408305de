"""What every learner has to do, as tests that ship with the package. A new one is tested by four lines:

    class TestMine(LearnerContract):
        def make(self, config): return make_learner("my.package:Mine", context_of(config))
        def lesson(self): return task, demonstration
        def screens(self): return samples

Plain asserts, no test framework: any runner that calls the `test_` methods will do. Not covered: whether it learns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from showonce.config import GateConfig, LearningConfig
from showonce.events import UpdateMade
from showonce.learning.methods.logits import training_engine
from showonce.learning.practice.buffer import Sample
from showonce.learning.trainer import Trainer
from showonce.learning.updates import Refusal
from showonce.protocols import CHAMPION, Learner
from showonce.types import Demonstration, Episode, Outcome, StopReason, Task

OPEN_GATE = GateConfig(enabled=False, headroom=0.0, budget_run=3, budget_task=3)


class LearnerContract:
    """Inherit, and define `make`, `lesson` and `screens`."""

    def make(self, config: LearningConfig) -> Trainer:
        """Return a fresh learner, the same every time, whose adapter was never trained."""
        raise NotImplementedError("return a fresh learner")

    def lesson(self) -> tuple[Task, Demonstration]:
        """Return a task and a demonstration of it."""
        raise NotImplementedError("return a task and its demonstration")

    def screens(self) -> Sequence[Sample]:
        """Return screens of that task from which the learner can learn."""
        raise NotImplementedError("return screens")

    def started(self, **gate: Any) -> Trainer:
        """Return a learner in the middle of its lesson."""
        learner = self.make(LearningConfig(gate=replace(OPEN_GATE, **gate)))
        learner.begin(*self.lesson())
        learner.add(self.screens())
        return learner

    def test_it_is_a_learner_with_a_name(self) -> None:
        learner = self.started()
        assert isinstance(learner, Learner)
        assert learner.name

    def test_it_updates_once_or_says_why_not(self) -> None:
        learner = self.started()
        before, result = _hash(learner), learner.maybe_update()
        if learner.method.trains:
            assert isinstance(result, UpdateMade), f"it refused with an open gate: {result}"
            assert result.n == learner.updates == 1
            assert result.screens and result.tokens and result.ms, f"an update without content: {result}"
            assert _hash(learner) != before, "it reports an update, and its adapter is as it was"
            assert result.candidate == _version(learner), "the report names another version than the adapter has"
        else:
            assert isinstance(result, Refusal) and result.reason, "it has no weights, and did not say so"
            assert _hash(learner) == before, "it has no weights to train, and changed some"

    def test_nothing_but_its_own_adapter_changes(self) -> None:
        learner = self.started()
        policy, others = learner.context.policy, (CHAMPION,)
        adapter = policy.adapter
        assert adapter is not None
        model = training_engine(policy).backbone.model
        frozen = {n: p.detach().clone() for n, p in model.named_parameters() if "lora_" not in n}
        before = [adapter.hash(name) for name in others]
        learner.maybe_update()
        assert [adapter.hash(name) for name in others] == before, "the champion was changed"
        for name, parameter in model.named_parameters():
            assert name not in frozen or bool((parameter == frozen[name]).all()), f"the backbone's {name} was changed"

    def test_a_closed_gate_changes_nothing(self) -> None:
        learner = self.started(enabled=True, teacher_threshold=1.0, student_threshold=1.0)
        before, result = _hash(learner), learner.maybe_update()
        assert isinstance(result, Refusal) and result.reason
        assert _hash(learner) == before, "a refused update changed the adapter"
        assert learner.updates == 0, "a refused update was counted"

    def test_the_budget_is_a_hard_cap(self) -> None:
        learner = self.started()
        done = 0
        for _ in range(5):
            learner.add(self.screens())
            done += isinstance(learner.maybe_update(), UpdateMade)
        assert done == (3 if learner.method.trains else 0), f"{done} updates were made of 3 allowed"

    def test_without_a_lesson_or_screens_it_refuses(self) -> None:
        learner = self.make(LearningConfig(gate=OPEN_GATE))
        assert isinstance(learner.maybe_update(), Refusal)
        learner.begin(*self.lesson())
        assert isinstance(learner.maybe_update(), Refusal) or not len(learner.context.buffer)

    def test_probes_leave_no_trace(self) -> None:
        learner = self.started()
        task, _ = self.lesson()
        before, screens = json.dumps(learner.state), len(learner.context.buffer)
        for phase in ("probe", "eval", "baseline", "shadow"):
            learner.observe(_episode(task, phase))
        assert json.dumps(learner.state) == before and len(learner.context.buffer) == screens

    def test_the_same_start_gives_the_same_updates(self) -> None:
        hashes = []
        for _ in range(2):
            learner = self.started()
            for _ in range(2):
                learner.maybe_update()
            hashes.append(_hash(learner))
        assert hashes[0] == hashes[1], "two runs with the same seed ended with other tensors"

    def test_restored_it_goes_on_as_if_nothing_had_happened(self) -> None:
        straight = self.started()
        straight.maybe_update()
        kept, tensors = straight.snapshot(), _tensors(straight)
        json.dumps(kept["counters"])
        straight.maybe_update()
        resumed = self.started()
        resumed.restore(tensors, **kept)
        resumed.maybe_update()
        assert resumed.updates == straight.updates
        assert _hash(resumed) == _hash(straight), "a restored learner goes another way"


def _hash(learner: Trainer) -> str:
    adapter = learner.context.policy.adapter
    return adapter.hash(learner.context.adapter) if adapter else ""


def _version(learner: Trainer) -> str:
    adapter = learner.context.policy.adapter
    return adapter.version(learner.context.adapter) if adapter else ""


def _tensors(learner: Trainer) -> dict[str, Any]:
    adapter = learner.context.policy.adapter
    return dict(adapter.tensors(learner.context.adapter)) if adapter else {}


def _episode(task: Task, phase: str) -> Episode:
    outcome = Outcome(True, "world")
    return Episode("probe", task.id, task.goal, 0, phase, (), StopReason.COMPLETED, outcome, 0.0)
