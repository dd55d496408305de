"""Engines by name: built in, of one's own, later."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scripted_engine import ScriptedEngine
from tests.tinyfactory import frame, save_checkpoint

from showonce.config import AdapterConfig, Config, InferenceConfig, PolicyConfig
from showonce.errors import ConfigError, Unavailable
from showonce.inference import ENGINES, LATER, check_backend, load_engine
from showonce.policy.vlm_policy import load_policy
from showonce.protocols import CANDIDATE, CHAMPION, EMA, Context, Engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.mark.parametrize("name", LATER)
def test_a_later_one_says_what_there_is(folder: Path, name: str) -> None:
    with pytest.raises(Unavailable, match=r"not in this release.*torch"):
        load_engine(folder, InferenceConfig(backend=name))


def test_a_misspelt_one_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'torch'"):
        check_backend("troch")


def test_torch_is_made_with_and_without_an_adapter(folder: Path) -> None:
    assert "torch" in ENGINES.names()
    bare = load_engine(folder, InferenceConfig())
    assert isinstance(bare, Engine) and bare.capabilities.trains and bare.adapter is None
    learning = load_engine(folder, InferenceConfig(), AdapterConfig(kind="lora"), seed=3)
    assert learning.adapter is not None
    assert set(learning.adapter.names) == {CANDIDATE, CHAMPION, EMA}
    assert (learning.adapter.kind, learning.adapter.base) == ("lora", bare.fingerprint)


def test_an_engine_of_ones_own_answers(folder: Path) -> None:
    own = InferenceConfig(backend="tests.scripted_engine:make")
    policy = load_policy(Config(inference=own, policy=PolicyConfig(checkpoint=str(folder))))
    assert isinstance(policy.engine, ScriptedEngine)
    assert policy.propose(frame(0), Context("zoka")).confidence.stated == 0.75
    with pytest.raises(ConfigError, match="object, no engine: it lacks"):
        load_engine(folder, InferenceConfig(backend="tests.scripted_engine:make_nothing"))
