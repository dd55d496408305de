"""Every engine passes the shipped contract; engines that break it are caught."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.tinyfactory import frame, save_checkpoint

from showonce.config import AdapterConfig
from showonce.inference.contract import check_adapters, check_all_logits, check_chunks, check_engine, check_forks
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine, TorchState
from showonce.inference.torch.features import TorchFeatures
from showonce.protocols import DecodeState, Engine

IDS = [5, 7, 9, 11, 12, 14]


def torch_engine(folder: Path, kind: str, adapter_kind: str = "lora_tokens") -> tuple[TorchEngine, Adapter]:
    backbone = Backbone.load(save_checkpoint(folder, kind))
    adapter = Adapter(backbone, AdapterConfig(kind=adapter_kind))
    return TorchEngine(backbone, adapter), adapter


def other_tensors(adapter: Adapter) -> dict[str, torch.Tensor]:
    """Tensors of an adapter that changes the answer."""
    generator = torch.Generator().manual_seed(0)
    tensors = {key: 0.3 * torch.randn(t.shape, generator=generator) for key, t in adapter.tensors().items()}
    return tensors | {"tokens.7": torch.randn(adapter.backbone.width, generator=generator)}


@pytest.mark.parametrize("kind", ["tiny", "idefics3", "smolvlm", "qwen2_5_vl", "qwen3_vl"])
def test_torch(tmp_path: Path, kind: str) -> None:
    engine, adapter = torch_engine(tmp_path, kind)
    assert isinstance(engine, Engine)
    check_engine(engine, frame(0), IDS, other_tensors(adapter))


def test_torch_with_token_rows_alone(tmp_path: Path) -> None:
    engine, adapter = torch_engine(tmp_path, "tiny", "tokens")
    check_engine(engine, frame(0), IDS, other_tensors(adapter))


class Broken(TorchEngine):
    """A torch engine with one thing wrong."""

    fault = ""

    def extend(
        self, state: DecodeState, parts: Sequence[int | TorchFeatures], all_logits: bool = False
    ) -> tuple[TorchState, torch.Tensor]:
        assert isinstance(state, TorchState)
        if self.fault == "blind":
            parts = [p for p in parts if not isinstance(p, TorchFeatures)] or [5]
        after, logits = super().extend(state, parts, all_logits)
        if self.fault == "shared":
            state.cache.layers[:] = after.cache.layers
        if self.fault == "stale":
            return TorchState(after.version, after.identity, after.length, 0, after.cache), logits
        if self.fault == "short" and all_logits:
            return after, logits[:-1]
        return after, logits

    @property
    def identity(self) -> str:
        return "always" if self.fault == "forgetful" else super().identity


def broken(tmp_path: Path, fault: str) -> tuple[Broken, Adapter]:
    engine, adapter = torch_engine(tmp_path, "tiny")
    wrong = Broken(engine.backbone, adapter)
    wrong.fault = fault
    return wrong, adapter


def test_a_state_that_is_not_a_value_is_caught(tmp_path: Path) -> None:
    engine, _ = broken(tmp_path, "shared")
    with pytest.raises(AssertionError, match="differs"):
        check_forks(engine, IDS)


def test_wrong_positions_are_caught(tmp_path: Path) -> None:
    engine, _ = broken(tmp_path, "stale")
    with pytest.raises(AssertionError, match="differs from one chunk"):
        check_chunks(engine, IDS)


def test_missing_logits_are_caught(tmp_path: Path) -> None:
    engine, _ = broken(tmp_path, "short")
    with pytest.raises(AssertionError, match="rows"):
        check_all_logits(engine, IDS)


def test_a_blind_engine_is_caught(tmp_path: Path) -> None:
    engine, _ = broken(tmp_path, "blind")
    with pytest.raises(AssertionError):
        check_engine(engine, frame(0), IDS)


def test_states_that_outlive_their_adapter_are_caught(tmp_path: Path) -> None:
    engine, adapter = broken(tmp_path, "forgetful")
    with pytest.raises(AssertionError, match="was taken"):
        check_adapters(engine, IDS, other_tensors(adapter))


def test_an_adapter_that_does_nothing_is_caught(tmp_path: Path) -> None:
    engine, adapter = torch_engine(tmp_path, "tiny")
    with pytest.raises(AssertionError, match="changed nothing"):
        check_adapters(engine, IDS, adapter.tensors())
