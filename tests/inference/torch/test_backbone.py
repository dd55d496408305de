"""The frozen model: its features and forward are what the model's own full forward computes, for every architecture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tinyfactory import SIDE, frame, save_checkpoint
from transformers import AutoModelForImageTextToText
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

from showonce.errors import ConfigError, Unavailable
from showonce.inference.torch.backbone import Backbone, torch_device
from showonce.inference.torch.engine import TorchEngine
from showonce.inference.torch.features import TorchFeatures
from showonce.protocols import Parts
from showonce.types import Observation

KINDS = ("tiny", "idefics3", "smolvlm", "qwen2_5_vl", "qwen3_vl")
WIDE = (88, 40)  # a frame whose sides differ, so that rows and columns cannot be mixed up


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backbone]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {kind: Backbone.load(save_checkpoint(root / kind, kind)) for kind in KINDS}


def prompt(backbone: Backbone, frames: list[Observation]) -> Parts:
    """Some text, the frames with their wrapping, some text."""
    before, after = backbone.image_wrap()
    words = [5, 9, 7, 11]
    parts: Parts = [*words]
    for features in backbone.encode_many(frames):
        parts += [*before, features, *after, *words]
    return parts


def reference(backbone: Backbone, frames: list[Observation], kind: str) -> torch.Tensor:
    """Logits (T, V) of the same prompt by the model's own forward from pixels and placeholder ids."""
    model, tokenizer, words = backbone.model, backbone.tokenizer, [5, 9, 7, 11]
    inputs: dict[str, Any]
    if kind.startswith("qwen"):
        seen = backbone.image_processor(images=[f.image for f in frames], return_tensors="pt")
        wrap = [tokenizer.convert_tokens_to_ids(f"<|vision_{end}|>") for end in ("start", "end")]
        ids, image = [*words], model.config.image_token_id
        for grid in seen["image_grid_thw"]:
            ids += [wrap[0], *[image] * (int(grid.prod()) // 4), wrap[1], *words]
        types = torch.tensor([[int(i == image) for i in ids]])
        inputs = {
            "pixel_values": seen["pixel_values"],
            "image_grid_thw": seen["image_grid_thw"],
            "mm_token_type_ids": types,
        }
    else:
        text = "".join(tokenizer.convert_ids_to_tokens(words))
        per_tile = model.model.image_seq_len
        processor = Idefics3Processor(backbone.image_processor, tokenizer, image_seq_len=per_tile)
        placed = text + "".join(f"<image>{text}" for _ in frames)
        seen = processor(
            text=[placed], images=[[f.image for f in frames]], return_tensors="pt", add_special_tokens=False
        )
        ids, inputs = seen["input_ids"][0].tolist(), {"pixel_values": seen["pixel_values"]}
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **inputs)
    logits: torch.Tensor = out.logits[0]
    return logits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2])
def test_stored_features_give_the_full_forward(loaded: dict[str, Backbone], kind: str, count: int) -> None:
    backbone = loaded[kind]
    frames = [frame(0), frame(1, *WIDE)][:count]
    engine = TorchEngine(backbone)
    _, logits_TV = engine.extend(engine.start(), prompt(backbone, frames), all_logits=True)
    logits = torch.from_numpy(logits_TV)
    expected = reference(backbone, frames, kind)
    assert logits.shape == expected.shape
    assert (logits - expected).abs().max() < 2e-5
    assert expected.std() > 0.1  # the comparison is not one of zeros


@pytest.mark.parametrize("kind", KINDS)
def test_features_carry_the_size_that_the_network_saw(loaded: dict[str, Backbone], kind: str) -> None:
    backbone = loaded[kind]
    screen = frame(0, *WIDE)
    seen = backbone.encode(screen).seen
    images: Any = backbone.image_processor
    if kind.startswith("qwen"):
        rows, cols = images(images=[screen.image], return_tensors="pt")["image_grid_thw"][0, 1:].tolist()
        patch = backbone.model.config.vision_config.patch_size
        assert seen == (cols * patch, rows * patch)
        assert seen[0] > seen[1]
    else:
        out = images(images=[[screen.image]], return_tensors="pt", return_row_col_info=True)
        tile = out["pixel_values"].shape[-1]
        assert seen == (max(out["cols"][0][0], 1) * tile, max(out["rows"][0][0], 1) * tile)


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl"])
def test_positions_are_those_of_the_model(loaded: dict[str, Backbone], kind: str) -> None:
    backbone = loaded[kind]
    parts = prompt(backbone, [frame(0), frame(1, *WIDE)])
    inputs, _ = backbone.assemble([parts], [0])
    image = backbone.model.config.image_token_id
    ids = [i for p in parts for i in ([image] * len(p) if isinstance(p, TorchFeatures) else [p])]
    seen = backbone.image_processor(images=[frame(0).image, frame(1, *WIDE).image], return_tensors="pt")
    types = torch.tensor([[int(i == image) for i in ids]])
    expected, _ = backbone.model.model.get_rope_index(
        torch.tensor([ids]), image_grid_thw=seen["image_grid_thw"], mm_token_type_ids=types
    )
    assert torch.equal(inputs.positions_pBT, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_again_is_the_same(loaded: dict[str, Backbone], kind: str, tmp_path: Path) -> None:
    original = loaded[kind]
    shutil.copytree(original.path, tmp_path / "again")
    AutoModelForImageTextToText.from_pretrained(original.path, dtype=torch.float32).save_pretrained(tmp_path / "again")
    again = Backbone.load(tmp_path / "again")
    state, other = original.model.state_dict(), again.model.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[key], other[key]) for key in state)
    assert torch.equal(original.encode(frame(3)).embeds_nd, again.encode(frame(3)).embeds_nd)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_together_are_frames_alone(loaded: dict[str, Backbone], kind: str) -> None:
    backbone = loaded[kind]
    frames = [frame(0), frame(1, *WIDE), frame(2)]
    for one, observation in zip(backbone.encode_many(frames), frames, strict=True):
        alone = backbone.encode(observation)
        assert one.key == observation.hash
        assert (one.embeds_nd - alone.embeds_nd).abs().max() < 1e-5
        assert torch.equal(one.positions_pn, alone.positions_pn)
        assert not one.embeds_nd.requires_grad


def test_a_black_and_a_grey_frame_have_features(loaded: dict[str, Backbone]) -> None:
    for level in (0, 127, 128):  # some models drop an image that is all zero after normalisation
        image = np.full((SIDE, SIDE, 3), level, np.uint8)
        assert len(loaded["tiny"].encode(Observation(image))) == 16


def test_a_split_frame_is_one_block_with_its_tags(loaded: dict[str, Backbone]) -> None:
    backbone = loaded["idefics3"]
    features = backbone.encode(frame(0))
    tiles = 4 + 1
    assert len(features) > tiles * backbone.model.model.image_seq_len
    assert features.span == len(features)


def test_nothing_of_the_backbone_can_be_trained(loaded: dict[str, Backbone]) -> None:
    assert not any(p.requires_grad for p in loaded["tiny"].model.parameters())
    assert not loaded["tiny"].model.training


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first = Backbone.load(save_checkpoint(tmp_path / "a"))
    same = Backbone.load(save_checkpoint(tmp_path / "b"))
    other = Backbone.load(save_checkpoint(tmp_path / "c", seed=1))
    assert first.fingerprint == same.fingerprint != other.fingerprint


class TestBadCheckpoints:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no folder .*nowhere"):
            Backbone.load(tmp_path / "nowhere")

    def test_not_a_model(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(ConfigError, match="model_type"):
            Backbone.load(tmp_path)

    def test_a_model_that_is_built_otherwise_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": {}}))
        with pytest.raises(ConfigError, match="llava"):
            Backbone.load(tmp_path)

    @pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"])
    def test_a_missing_file(self, tmp_path: Path, missing: str) -> None:
        folder = save_checkpoint(tmp_path / "a")
        (folder / missing).unlink()
        with pytest.raises(ConfigError, match="cannot be loaded"):
            Backbone.load(folder)

    def test_truncated_weights(self, tmp_path: Path) -> None:
        weights = save_checkpoint(tmp_path / "a") / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        with pytest.raises(ConfigError, match="cannot be loaded"):
            Backbone.load(weights.parent)


class TestDevices:
    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_an_absent_device_is_unavailable(self, loaded: dict[str, Backbone]) -> None:
        with pytest.raises(Unavailable, match="cuda"):
            Backbone.load(loaded["tiny"].path, device="cuda")

    def test_half_precision_on_a_cpu(self, loaded: dict[str, Backbone]) -> None:
        with pytest.raises(Unavailable, match="float16"):
            Backbone.load(loaded["tiny"].path, dtype="float16")

    def test_bfloat16_answers(self, loaded: dict[str, Backbone]) -> None:
        backbone = Backbone.load(loaded["tiny"].path, dtype="bfloat16")
        engine = TorchEngine(backbone)
        _, logits = engine.extend(engine.start(), prompt(backbone, [frame(0)]))
        assert logits.dtype == np.float32 and np.isfinite(logits).all()

    def test_auto_finds_one(self) -> None:
        assert torch_device("auto").type in ("cpu", "cuda", "mps")
