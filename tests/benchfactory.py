"""Fixtures of tests that measure: a random policy of the tiny model's own vocabulary, and a bench around it.

A conftest makes them known by importing their names.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from showonce.config import AdapterConfig, Config, InferenceConfig, PolicyConfig
from showonce.environments.registry import make_environment
from showonce.evaluation.bench import Bench
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Environment
from showonce.runtime.teaching import Teach

SCRIPTS = str(Path(__file__).resolve().parents[1] / "scripts")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Idefics3 of the tiny model's own vocabulary, smaller than the shipped one."""
    if SCRIPTS not in sys.path:
        sys.path.insert(0, SCRIPTS)
    tiny_model = importlib.import_module("tiny_model")
    shape = tiny_model.Shape(vision_width=32, vision_layers=1, vision_ff=32, width=32, layers=2, heads=2, ff=48)
    folder = tmp_path_factory.mktemp("evaluation") / "random"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny_model.save(tiny_model.build_model(shape, seed=3), shape, folder)
    return folder


@pytest.fixture
def config(checkpoint: Path) -> Config:
    return Config(
        policy=PolicyConfig(checkpoint=str(checkpoint), adapter=AdapterConfig(kind="tokens")),
        inference=InferenceConfig(max_new_tokens=16),
    )


@pytest.fixture
def policy(config: Config) -> VLMPolicy:
    return load_policy(config)


def embedded() -> Environment:
    return make_environment("embedded")


@pytest.fixture
def make_bench(config: Config) -> Callable[..., Bench]:
    """Return a bench on the random model. teach: None = nothing can be taught; more: fields of the config."""

    def make(teach: Teach | None = None, **more: Any) -> Bench:
        changed = replace(config, **more)
        return Bench(changed, load_policy(changed), embedded, teach)

    return make
