"""Settings of the smallest table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from showonce.config import Config, EvaluationConfig, InferenceConfig

SMALL = EvaluationConfig(split="dev", apps=2, seeds=(0,), screens=2, per_family=2)


@pytest.fixture
def small(config: Config) -> Config:
    return replace(config, evaluation=SMALL, inference=InferenceConfig(max_new_tokens=12))
