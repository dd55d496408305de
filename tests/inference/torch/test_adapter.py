"""Adapters: exactly the base until trained, only they are trained, PEFT reads what is saved, and nothing is lost."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tests.tinyfactory import frame, save_checkpoint
from transformers import AutoModelForImageTextToText

from showonce.config import AdapterConfig
from showonce.errors import BadInput, CheckpointCorrupt, StoreError
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine
from showonce.protocols import Parts

ARCHITECTURES = ("tiny", "idefics3", "smolvlm", "qwen2_5_vl", "qwen3_vl")
TOKENS = (7, 11, 13)
IDS = [5, 7, 9, 11, 12]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def adapter_of(folder: Path, kind: str, tokens: Sequence[int] = TOKENS, **more: int) -> Adapter:
    adapter = Adapter(Backbone.load(folder), AdapterConfig(kind=kind, **more))
    adapter.add_tokens(tokens)
    return adapter


def logits(adapter: Adapter, name: str | None, ids: Sequence[int] = IDS) -> torch.Tensor:
    """Logits (T, V) of some text and a frame under one set."""
    engine = TorchEngine(adapter.backbone, adapter)
    parts: Parts = [*ids, adapter.backbone.encode(frame(0)), *ids]
    with engine.using(name):
        return torch.from_numpy(engine.extend(engine.start(), parts, all_logits=True)[1])


def train(adapter: Adapter, name: str = "candidate", steps: int = 1, token_ids: Sequence[int] | None = None) -> None:
    """A few optimiser steps on one set towards token 3."""
    parameters = adapter.parameters(name, token_ids)
    optimiser = torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.0)
    engine = TorchEngine(adapter.backbone, adapter)
    prompt: Parts = [*IDS, adapter.backbone.encode(frame(0)), *IDS]
    for _ in range(steps):
        out_BTV, mask_BT = engine.answer_logits([prompt, prompt[1:]], [[3, 3], [3]], name, grad=True)
        loss = torch.nn.functional.cross_entropy(out_BTV[mask_BT], torch.full((3,), 3))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@pytest.mark.parametrize("kind", ["tokens", "lora", "lora_tokens"])
class TestOnEveryKind:
    def test_a_fresh_one_is_the_base_bit_for_bit(self, folder: Path, kind: str) -> None:
        bare = TorchEngine(Backbone.load(folder))
        adapter = adapter_of(folder, kind)
        parts: Parts = [*IDS, bare.backbone.encode_many([frame(0)])[0], *IDS]
        expected = torch.from_numpy(bare.extend(bare.start(), parts, all_logits=True)[1])
        assert torch.equal(logits(adapter, "candidate"), expected)
        assert torch.equal(logits(adapter, None), expected)

    def test_off_is_the_base_after_training(self, folder: Path, kind: str) -> None:
        adapter = adapter_of(folder, kind)
        before = logits(adapter, None)
        train(adapter, steps=2)
        assert not torch.equal(logits(adapter, "candidate"), before)
        assert torch.equal(logits(adapter, None), before)
        assert torch.equal(logits(adapter, "champion"), before)

    def test_saved_and_loaded_is_bit_exact(self, folder: Path, kind: str, tmp_path: Path) -> None:
        adapter = adapter_of(folder, kind)
        train(adapter)
        adapter.save(tmp_path / "saved")
        other = adapter_of(folder, kind, tokens=())
        other.load(tmp_path / "saved", "champion")
        assert other.hash("champion") == adapter.hash("candidate")
        assert torch.equal(logits(other, "champion"), logits(adapter, "candidate"))
        assert other.version("champion") == adapter.version("candidate")

    def test_peft_reads_it(self, folder: Path, kind: str, tmp_path: Path) -> None:
        adapter = adapter_of(folder, kind)
        train(adapter)
        adapter.save(tmp_path / "saved")
        expected = logits(adapter, "candidate")
        assert (_with_peft(folder, tmp_path / "saved", adapter) - expected).abs().max() < 1e-5

    def test_a_set_restored_has_the_same_hash_and_answers(self, folder: Path, kind: str) -> None:
        adapter = adapter_of(folder, kind)
        train(adapter)
        kept, digest, answers = adapter.tensors(), adapter.hash(), logits(adapter, "candidate")
        adapter.add_tokens([17])  # the next lesson
        train(adapter, steps=3)
        assert adapter.hash() != digest
        adapter.set_tensors(kept, "candidate")
        assert adapter.hash() == digest
        assert torch.equal(logits(adapter, "candidate"), answers)

    def test_versions(self, folder: Path, kind: str) -> None:
        adapter = adapter_of(folder, kind)
        assert adapter.version(None) == "base"
        fresh = adapter.version("candidate")
        train(adapter)
        trained = adapter.version("candidate")
        assert trained != fresh
        adapter.set_tensors(adapter.tensors(), "champion", "v0007")
        assert adapter.version("champion") == "v0007"
        assert adapter.identity("champion") == adapter.identity("candidate")
        train(adapter, "champion")
        assert adapter.version("champion") not in ("v0007", trained)


def _with_peft(folder: Path, saved: Path, adapter: Adapter) -> torch.Tensor:
    base = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own about names that transformers will drop, and about tied weights
        model = PeftModel.from_pretrained(base, saved)
    features = adapter.backbone.encode(frame(0)).embeds_nd
    embed = model.get_input_embeddings()
    words = embed(torch.tensor(IDS))
    with torch.no_grad():
        hidden = model.base_model.model.model.text_model(
            inputs_embeds=torch.cat([words, features, words])[None]
        ).last_hidden_state
        out: torch.Tensor = model.base_model.model.lm_head(hidden)[0]
    return out


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_changes_the_adapter_and_nothing_else(architecture: str, tmp_path: Path) -> None:
    adapter = adapter_of(save_checkpoint(tmp_path, architecture), "lora_tokens")
    frozen = {k: p.clone() for k, p in adapter.backbone.model.named_parameters() if "lora_" not in k}
    others = adapter.hash("champion"), adapter.hash("ema")
    before = adapter.tensors()
    train(adapter, steps=2)
    now = dict(adapter.backbone.model.named_parameters())
    assert all(torch.equal(now[key], value) for key, value in frozen.items())
    assert (adapter.hash("champion"), adapter.hash("ema")) == others
    after = adapter.tensors()
    changed = {key for key in after if key not in before or not torch.equal(after[key], before[key])}
    assert {f"tokens.{t}" for t in (7, 11)} <= changed  # token 13 is in no prompt
    assert "tokens.13" not in after
    lora = {key for key in after if key.startswith("lora.")}
    assert lora <= changed
    assert all(".text_model." in key or ".language_model." in key for key in lora)


@pytest.mark.parametrize("kind", ["tokens", "lora_tokens"])
def test_peft_reads_it_when_the_head_is_tied(kind: str, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "base", tied=True)
    adapter = adapter_of(folder, kind)
    assert adapter.backbone.tied
    train(adapter)
    adapter.save(tmp_path / "saved")
    assert (_with_peft(folder, tmp_path / "saved", adapter) - logits(adapter, "candidate")).abs().max() < 1e-5


class TestTokenRows:
    def test_a_row_only_moves_prompts_that_contain_it(self, folder: Path) -> None:
        adapter = adapter_of(folder, "tokens", [7])
        train(adapter)
        without = [5, 9, 11, 12]
        assert torch.equal(logits(adapter, "candidate", without), logits(adapter, None, without))
        assert not torch.equal(logits(adapter, "candidate"), logits(adapter, None))

    def test_further_lessons_leave_the_earlier_rows_alone(self, folder: Path) -> None:
        adapter = adapter_of(folder, "tokens", [7])
        train(adapter, token_ids=[7])
        first = adapter.tensors()["tokens.7"]
        assert adapter.add_tokens([7, 11, 11]) == (11,)
        train(adapter, token_ids=[11], steps=3)
        assert torch.equal(adapter.tensors()["tokens.7"], first)
        assert set(adapter.tensors()) == {"tokens.7", "tokens.11"}
        assert adapter.token_ids == (7, 11)

    def test_a_row_that_was_not_trained_is_no_content(self, folder: Path) -> None:
        adapter = adapter_of(folder, "tokens")
        assert adapter.tensors() == {}
        assert adapter.version("candidate") == adapter.identity("candidate") == "base"

    def test_a_foreign_token_is_refused(self, folder: Path) -> None:
        with pytest.raises(BadInput, match="token 99999"):
            adapter_of(folder, "tokens", [99999])


class TestSets:
    def test_copy_and_ema(self, folder: Path) -> None:
        adapter = adapter_of(folder, "lora_tokens")
        train(adapter)
        adapter.copy("candidate", "ema")
        assert adapter.hash("ema") == adapter.hash("candidate")
        start = adapter.tensors("ema")
        train(adapter)
        adapter.lerp("ema", "candidate", 0.25)
        student, ema = adapter.tensors("candidate"), adapter.tensors("ema")
        for key in ema:
            assert torch.allclose(ema[key], 0.75 * start[key] + 0.25 * student[key], atol=1e-6)

    def test_copy_of_nothing_is_the_base(self, folder: Path) -> None:
        adapter = adapter_of(folder, "lora_tokens")
        train(adapter)
        adapter.copy(None, "candidate")
        assert torch.equal(logits(adapter, "candidate"), logits(adapter, None))

    def test_a_label_travels_with_a_copy(self, folder: Path) -> None:
        adapter = adapter_of(folder, "tokens")
        train(adapter)
        adapter.set_tensors(adapter.tensors(), "candidate", "v1")
        adapter.copy("candidate", "champion")
        assert adapter.version("champion") == "v1"

    def test_using_keeps_what_can_be_trained(self, folder: Path) -> None:
        adapter = adapter_of(folder, "lora_tokens")
        trainable = adapter.parameters("candidate", [7])
        with adapter.using("candidate"), adapter.using(None), adapter.using("champion"):
            pass
        model = [p for p in adapter.backbone.model.parameters() if p.requires_grad]
        assert len(trainable) == len(model) + 1  # the row stands beside the model
        assert all(p.requires_grad for p in trainable)

    def test_gradients_survive_a_look_at_the_base(self, folder: Path) -> None:
        adapter = adapter_of(folder, "lora_tokens")
        parameters = adapter.parameters("candidate")
        engine = TorchEngine(adapter.backbone, adapter)
        prompt: Parts = [*IDS]
        out, _ = engine.answer_logits([prompt], [[3]], "candidate", grad=True)
        engine.score([prompt], [[3]])
        out.sum().backward()  # type: ignore[no-untyped-call]
        assert sum(p.grad is not None and bool(p.grad.any()) for p in parameters) > len(parameters) // 3

    def test_an_unknown_set_names_the_nearest(self, folder: Path) -> None:
        adapter = adapter_of(folder, "tokens")
        with pytest.raises(BadInput, match="Did you mean 'candidate'"), adapter.using("candidat"):
            pass

    def test_the_seed_decides_the_first_values(self, folder: Path) -> None:
        config = AdapterConfig(kind="lora")
        one, same, other = (Adapter(Backbone.load(folder), config, seed) for seed in (1, 1, 2))
        assert one.hash() == same.hash() != other.hash()
        assert one.hash("candidate") == one.hash("ema")


def test_dropout_is_for_training_alone(folder: Path) -> None:
    adapter = Adapter(Backbone.load(folder), AdapterConfig(kind="lora", dropout=0.5))
    train(adapter)
    assert torch.equal(logits(adapter, "candidate"), logits(adapter, "candidate"))
    engine = TorchEngine(adapter.backbone, adapter)
    quiet, noisy = (
        [engine.answer_logits([IDS], [[3]], "candidate", grad=grad)[0] for _ in range(2)] for grad in (False, True)
    )
    assert torch.equal(*quiet)
    assert not torch.equal(*noisy)


class TestBadFiles:
    @pytest.fixture
    def saved(self, folder: Path, tmp_path: Path) -> Path:
        adapter = adapter_of(folder, "lora_tokens")
        train(adapter)
        adapter.save(tmp_path / "saved")
        return tmp_path / "saved"

    def check_refused(self, folder: Path, saved: Path, error: type[Exception], match: str) -> None:
        adapter = adapter_of(folder, "lora_tokens", [21])
        train(adapter)
        before = adapter.hash()
        with pytest.raises(error, match=match):
            adapter.load(saved)
        assert adapter.hash() == before  # the previous one is kept

    def test_truncated(self, folder: Path, saved: Path) -> None:
        weights = saved / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        self.check_refused(folder, saved, CheckpointCorrupt, "damaged")

    def test_tampered(self, folder: Path, saved: Path) -> None:
        weights = saved / "adapter_model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-2] ^= 1
        weights.write_bytes(data)
        self.check_refused(folder, saved, CheckpointCorrupt, "changed since it was saved")

    def test_of_another_base(self, saved: Path, tmp_path: Path) -> None:
        other = save_checkpoint(tmp_path / "other", seed=5)
        self.check_refused(other, saved, StoreError, "another base model")

    def test_of_a_newer_schema(self, folder: Path, saved: Path) -> None:
        side = json.loads((saved / "showonce_adapter.json").read_text())
        (saved / "showonce_adapter.json").write_text(json.dumps(side | {"schema_version": 99}))
        self.check_refused(folder, saved, StoreError, "schema 99")

    def test_a_side_file_that_is_not_json(self, folder: Path, saved: Path) -> None:
        (saved / "showonce_adapter.json").write_text('{"schema_ver')
        self.check_refused(folder, saved, CheckpointCorrupt, "not JSON")

    def test_not_an_adapter(self, folder: Path, tmp_path: Path) -> None:
        self.check_refused(folder, tmp_path, BadInput, "adapter_config.json")

    def test_of_a_larger_rank(self, folder: Path, tmp_path: Path) -> None:
        wide = adapter_of(folder, "lora_tokens", rank=16)
        wide.save(tmp_path / "wide")
        self.check_refused(folder, tmp_path / "wide", BadInput, r"set policy\.adapter\.rank=16")

    def test_of_another_kind(self, folder: Path, saved: Path) -> None:
        for kind, word in (("tokens", "kind=lora or lora_tokens"), ("lora", "kind=lora_tokens")):
            with pytest.raises(BadInput, match=word):
                adapter_of(folder, kind).load(saved)
