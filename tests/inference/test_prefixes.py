"""What stands before many screens is read once, and again once the adapter has changed."""

from __future__ import annotations

import pytest
import torch
from tests.tinyfactory import frame, save_checkpoint

from showonce.config import AdapterConfig
from showonce.inference.prefixes import KEPT, Prefixes, PromptParts
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine
from showonce.protocols import Parts


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    backbone = Backbone.load(save_checkpoint(tmp_path_factory.mktemp("checkpoint")))
    return TorchEngine(backbone, Adapter(backbone, AdapterConfig(kind="tokens")))


def shown(engine: TorchEngine, first: int, last: int) -> PromptParts:
    """A prompt that begins with one demonstrated frame."""
    parts = PromptParts([5, engine.encode(frame(first)), 6, 7, engine.encode(frame(last)), 8])
    parts.constant = 4
    return parts


def test_prompts_are_grouped_by_what_they_share(engine: TorchEngine) -> None:
    prompts: list[Parts] = [
        shown(engine, 0, 1),
        [5, engine.encode(frame(1)), 6],
        shown(engine, 2, 1),
        shown(engine, 0, 3),
        [9],
    ]
    prefixes = Prefixes(engine)
    groups = list(prefixes.grouped(prompts))
    assert [members for _, members, _ in groups] == [[0, 3], [1, 4], [2]]
    assert [state.length > 0 for state, _, _ in groups] == [True, False, True]
    assert groups[0][2] == [prompts[0][4:], prompts[3][4:]]
    assert len(prefixes) == 2


def test_a_state_is_kept_while_the_adapter_stays_as_it_is(engine: TorchEngine) -> None:
    prefixes, parts = Prefixes(engine), shown(engine, 0, 1)[:4]
    assert engine.adapter is not None
    with engine.using("candidate"):
        first = prefixes.state(parts)
        assert prefixes.state(list(parts)) is first
        engine.adapter.set_tensors({"tokens.5": torch.ones(engine.backbone.width)})
        assert prefixes.state(parts) is not first
        for token in range(10, 10 + KEPT):
            prefixes.state([token])
    assert len(prefixes) == KEPT
