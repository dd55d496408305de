"""A small run on the toy model and the embedded world, in an empty working folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.benchfactory import checkpoint, config
from tests.toys import lesson_config

from showonce.config import AdapterConfig, Config, DashboardConfig, ExperimentConfig, PolicyConfig

TASK = "app/dev/single/0"
__all__ = ["checkpoint", "config"]
MakeConfig = Callable[..., Config]


@pytest.fixture
def make(toy_checkpoint: Path, elsewhere: Path) -> MakeConfig:
    """Return a function that makes the config of a small run in an empty folder; keywords are fields of `Config`."""

    def build(**changes: Any) -> Config:
        base = Config(
            name="t",
            task=TASK,
            policy=PolicyConfig(checkpoint=str(toy_checkpoint), adapter=AdapterConfig("lora", rank=4)),
            learning=lesson_config(sdft={"batch_size": 2}, ratchet={"probe_every": 3, "probe_batch": 1}),
            experiment=ExperimentConfig(episodes=3, eval_screens=2, retention_per_family=0),
            dashboard=DashboardConfig("off"),
        )
        return replace(base, **changes)

    return build
