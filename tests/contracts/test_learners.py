"""Every shipped learner passes the shipped contract; learners that break it are caught."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.tinyfactory import frame, save_checkpoint, word_tokenizer

from showonce.actions import Click
from showonce.config import AdapterConfig, Config, InferenceConfig, LearningConfig, PolicyConfig
from showonce.learning.contract import LearnerContract
from showonce.learning.gate.gate import Gate
from showonce.learning.methods.base import Loss, Method
from showonce.learning.methods.context import LearnerContext
from showonce.learning.methods.imitation import imitation
from showonce.learning.methods.prompts import student_prompts
from showonce.learning.methods.registry import METHODS
from showonce.learning.methods.sdft import SDFT
from showonce.learning.practice.buffer import Sample
from showonce.learning.trainer import Trainer, make_learner
from showonce.policy.vlm_policy import load_policy
from showonce.types import Demonstration, Frame, Task

TASK = Task("toy", "zoka")
OWN = '{"action":"click","x":0.438,"y":0.562,"confidence":0.85}'  # what the student said and did
SHOWN = Demonstration("toy", "zoka", (Frame(frame(1), Click(0.438, 0.562), "click red circle"),), "oracle", "demo")


class Toy(LearnerContract):
    """The lesson of all: a random toy model, one demonstration, four screens."""

    checkpoint: ClassVar[Path]
    learner: ClassVar[str] = "sdft"
    kind: ClassVar[str] = "lora_tokens"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _checkpoint(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.checkpoint = save_checkpoint(tmp_path_factory.mktemp("contract") / "toy", tied=True)

    def make(self, config: LearningConfig) -> Trainer:
        policy = PolicyConfig(checkpoint=str(self.checkpoint), adapter=AdapterConfig(kind=self.kind, rank=2))
        config = replace(config, sdft=replace(config.sdft, batch_size=3))
        short = InferenceConfig(max_new_tokens=16)  # a random model talks much
        made = load_policy(replace(Config(), policy=policy, inference=short))
        context = LearnerContext(made, config, np.random.default_rng(0))
        return make_learner(self.learner if self.learner != "imitate" else "sdft", context)

    def lesson(self) -> tuple[Task, Demonstration]:
        return TASK, SHOWN

    def screens(self) -> Sequence[Sample]:
        ids = word_tokenizer()(OWN, add_special_tokens=False).input_ids
        made = Sample(frame(0), "toy", "zoka", executor="student", action=Click(0.438, 0.562), correct=True)
        return [replace(made, observation=frame(100 + i), episode=f"e{i}", answer=tuple(ids)) for i in range(4)]


class TestSDFT(Toy):
    pass


class TestSDFTOnTokenRows(Toy):
    kind = "tokens"


class TestSFTDemonstration(Toy):
    learner = "sft_demo"


class TestSFTTeacher(Toy):
    learner = "sft_teacher"


class TestRFT(Toy):
    learner = "rft"


class TestInContext(Toy):
    learner = "in_context"


class TestFrozen(Toy):
    learner = "frozen"


class Imitate(Method):
    """A method of one's own, as short as the documentation promises."""

    name = "imitate"

    def usable(self, sample: Sample) -> bool:
        return sample.correct is True

    def loss(self, batch: Sequence[Sample]) -> Loss:
        policy = self.context.policy
        answers = [policy.label(policy.answer(s.action)) for s in batch if s.action]
        return imitation(self.context, batch, student_prompts(self.context, batch), answers)


class TestAMethodOfOnesOwn(Toy):
    learner = "imitate"

    def make(self, config: LearningConfig) -> Trainer:
        context = super().make(config).context
        return Trainer(Imitate(context), Gate(config.gate))


def test_every_learner_is_tested_here() -> None:
    tested = {cls.learner for cls in Toy.__subclasses__()}
    assert set(METHODS) <= tested


class ChangesTheChampion(SDFT):
    def after_step(self) -> None:
        adapter = self.context.policy.adapter
        assert adapter is not None
        adapter.copy("candidate", "champion")


class ForgetsItsSeed(SDFT):
    def loss(self, batch: Sequence[Sample]) -> Loss:
        self.context.rng = np.random.default_rng()
        return super().loss(batch)


class ChangesWeightsWithoutAGate(SDFT):
    def batch(self, task_id: str, admitted: Callable[[Sample], bool] = lambda _: True) -> list[Sample]:
        adapter = self.context.policy.adapter
        assert adapter is not None
        for parameter in adapter.parameters("candidate"):
            parameter.data.add_(0.1)
        adapter.lerp("candidate", "candidate", 0.0)  # tells the adapter that it was changed
        return super().batch(task_id, admitted)


class ChangesTheBackbone(SDFT):
    def after_step(self) -> None:
        self.context.policy.engine.backbone.embedding.weight.data.add_(0.01)


@pytest.mark.parametrize(
    ("method", "check", "complaint"),
    [
        (ChangesTheChampion, "test_nothing_but_its_own_adapter_changes", "champion"),
        (ChangesTheBackbone, "test_nothing_but_its_own_adapter_changes", "backbone"),
        (ForgetsItsSeed, "test_the_same_start_gives_the_same_updates", "same seed"),
        (ChangesWeightsWithoutAGate, "test_a_closed_gate_changes_nothing", "refused update"),
    ],
)
def test_broken_learners_are_caught(
    tmp_path_factory: pytest.TempPathFactory, method: Any, check: str, complaint: str
) -> None:
    contract = Toy()
    contract.__class__.checkpoint = save_checkpoint(tmp_path_factory.mktemp("broken") / "toy", tied=True)
    contract.__class__.learner, before = f"{__name__}:{method.__name__}", contract.__class__.learner
    try:
        with pytest.raises(AssertionError, match=complaint):
            getattr(contract, check)()
    finally:
        contract.__class__.learner = before
