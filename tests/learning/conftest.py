"""What the learning tests share: a random toy checkpoint, and a lesson on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tinyfactory import frame, save_checkpoint

from showonce.actions import Click
from showonce.config import AdapterConfig, Config, InferenceConfig, LearningConfig, PolicyConfig
from showonce.learning.methods.context import LearnerContext
from showonce.learning.practice.buffer import Sample
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.types import Demonstration, Frame

TASK, GOAL = "toy", "zoka"
SHOWN = Demonstration(TASK, GOAL, (Frame(frame(1), Click(0.438, 0.562), "click red circle"),), "oracle", "demo")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "toy", tied=True)


@pytest.fixture
def make_policy(checkpoint: Path) -> Callable[..., VLMPolicy]:
    """Return a policy on the toy checkpoint. kind: of the adapter; tokens: longest answer; more: of PolicyConfig."""

    def make(kind: str = "lora", tokens: int = 24, **more: Any) -> VLMPolicy:
        policy = PolicyConfig(checkpoint=str(checkpoint), adapter=AdapterConfig(kind=kind, rank=4), **more)
        short = InferenceConfig(max_new_tokens=tokens)  # a random model talks much
        return load_policy(replace(Config(), policy=policy, inference=short))

    return make


@pytest.fixture
def make_context(make_policy: Callable[..., VLMPolicy]) -> Callable[..., LearnerContext]:
    """Return the context of a lesson with one demonstration and 12 screens. sdft: fields of SDFTConfig."""

    def make(kind: str = "lora", seed: int = 0, policy: dict[str, Any] | None = None, **sdft: Any) -> LearnerContext:
        config = LearningConfig()
        config = replace(config, sdft=replace(config.sdft, **{"batch_size": 8, "lora_lr": 0.01, **sdft}))
        made = make_policy(kind, **(policy or {}))
        context = LearnerContext(made, config, np.random.default_rng(seed), demonstrations={TASK: SHOWN})
        for shade in range(12):
            context.buffer.add(Sample(frame(100 + shade), TASK, GOAL, episode=f"e{shade}"))
        return context

    return make
