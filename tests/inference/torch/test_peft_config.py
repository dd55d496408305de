"""Adapters that PEFT wrote: the same logits as PEFT's, or refused by the key of adapter_config.json."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, TrainableTokensConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from tests.tinyfactory import save_checkpoint
from transformers import AutoModelForImageTextToText

from showonce.config import AdapterConfig
from showonce.errors import BadInput, CheckpointCorrupt
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine
from showonce.inference.torch.peft_config import NO_EFFECT, PeftSettings

IDS = [5, 7, 9, 11, 12]
TARGETS = AdapterConfig().targets.split(",")
TOWER = rf".*text_model\..*\.({'|'.join(TARGETS)})"
REST = r".*(vision_model|connector).*"

SUPPORTED: dict[str, dict[str, Any]] = {
    "plain": {"lora_alpha": 16},
    "alpha": {"lora_alpha": 64},
    "alpha is PEFT's own 8": {},
    "alpha is no power of two": {"lora_alpha": 7},
    "rslora": {"lora_alpha": 16, "use_rslora": True},
    "rank_pattern": {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 3}},
    "rank_pattern of whole paths": {"rank_pattern": {"^model.text_model.layers.0.self_attn.k_proj": 4}},
    "alpha_pattern": {"lora_alpha": 16, "alpha_pattern": {"down_proj": 128, "layers.0.self_attn.q_proj": 1}},
    "all patterns with rslora": {
        "r": 4,
        "lora_alpha": 3,
        "use_rslora": True,
        "rank_pattern": {"q_proj": 2, "up_proj": 8},
        "alpha_pattern": {"q_proj": 5, "down_proj": 9},
    },
    "smaller rank": {"r": 3, "lora_alpha": 16},
    "dropout": {"lora_dropout": 0.3},
    "bias=lora_only, of layers without one": {"bias": "lora_only"},
    "list of targets": {"target_modules": ["q_proj", "v_proj"], "exclude_modules": REST},
    "list of targets, excluded by name": {
        "target_modules": ["gate_proj", "up_proj", "down_proj"],
        "exclude_modules": ["up_proj"],
    },
    "all-linear": {"target_modules": "all-linear", "exclude_modules": rf"{REST}|lm_head"},
    "layers_to_transform": {"target_modules": ["gate_proj"], "layers_to_transform": [1]},
    "layers_pattern": {"target_modules": ["gate_proj"], "layers_to_transform": 0, "layers_pattern": "layers"},
    "trainable tokens": {"trainable_token_indices": {"embed_tokens": [11, 7]}},
    "trainable tokens in a list": {"trainable_token_indices": [12, 5]},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "fan_in_fan_out": {"fan_in_fan_out": True},
    "ensure_weight_tying": {"ensure_weight_tying": True},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({"use_dora": True}, "use_dora=True"),
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]"),
    "bias=all": ({"bias": "all"}, "bias='all'"),
    "lora_bias": ({"lora_bias": True}, "lora_bias=True"),
    "pissa": ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
    "pissa_niter": ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4'"),
    "olora": ({"init_lora_weights": "olora"}, "init_lora_weights='olora'"),
    "larger rank": ({"rank_pattern": {"q_proj": 12}}, r"rank 12 \(r, rank_pattern\).*set policy.adapter.rank=12"),
    "the picture's layers too": ({"target_modules": ["q_proj", "v_proj"]}, "target_modules=.*exclude_modules"),
    "all-linear": ({"target_modules": "all-linear"}, "target_modules=.*vision_model"),
    "the output head": ({"target_modules": ["lm_head", "gate_proj"]}, "target_modules=.*lm_head"),
    "embeddings": ({"target_modules": ["embed_tokens"]}, "target_modules=.*trainable_token_indices"),
    "aLoRA": ({"alora_invocation_tokens": [5, 7]}, r"alora_invocation_tokens=\[5, 7\]"),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own, about tied weights, unused settings and names to be dropped
        yield


def model_of(base: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32).eval()


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(input_ids=torch.tensor([IDS])).logits[0]
    return out


def made_by_peft(base: Path, folder: Path, **settings: Any) -> torch.Tensor:
    """Write an adapter with random A, B and rows; return PEFT's logits after reading it back."""
    torch.manual_seed(3)
    model = get_peft_model(model_of(base), LoraConfig(**{"target_modules": TOWER, **settings}))
    randomise(model)
    model.save_pretrained(folder)
    return logits_of(PeftModel.from_pretrained(model_of(base), folder).eval())


def randomise(model: Any) -> None:
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)


def loaded(base: Path, folder: Path, kind: str = "lora_tokens", **config: Any) -> Adapter:
    adapter = Adapter(Backbone.load(base), AdapterConfig(kind=kind, **config))
    adapter.load(folder, "candidate")
    return adapter


def ours(adapter: Adapter, name: str | None = "candidate") -> torch.Tensor:
    engine = TorchEngine(adapter.backbone, adapter)
    with engine.using(name):
        return torch.from_numpy(engine.extend(engine.start(), IDS, all_logits=True)[1]).float()


@pytest.mark.parametrize("case", SUPPORTED)
def test_logits_are_pefts_and_what_is_saved_again_too(base: Path, tmp_path: Path, case: str) -> None:
    theirs = made_by_peft(base, tmp_path / "peft", **SUPPORTED[case])
    adapter = loaded(base, tmp_path / "peft")
    assert (theirs - ours(adapter, None)).abs().max() > 0.01, "the adapter does something"
    assert (theirs - ours(adapter)).abs().max() < 1e-4
    adapter.save(tmp_path / "own")
    assert (theirs - logits_of(PeftModel.from_pretrained(model_of(base), tmp_path / "own").eval())).abs().max() < 1e-4


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_refused_by_its_key(base: Path, tmp_path: Path, case: str) -> None:
    settings, match = REFUSED[case]
    model = get_peft_model(model_of(base), LoraConfig(**{"target_modules": TOWER, **settings}))
    randomise(model)
    model.save_pretrained(tmp_path)
    adapter = Adapter(Backbone.load(base), AdapterConfig(kind="lora_tokens"))
    before = adapter.hash()
    with pytest.raises(BadInput, match=match):
        adapter.load(tmp_path)
    assert adapter.hash() == before


def test_trained_tokens_alone(base: Path, tmp_path: Path) -> None:
    model = get_peft_model(
        model_of(base), TrainableTokensConfig(token_indices=[11, 5], target_modules=["embed_tokens"])
    )
    randomise(model)
    model.save_pretrained(tmp_path)
    for kind in ("tokens", "lora_tokens"):
        assert (logits_of(model.eval()) - ours(loaded(base, tmp_path, kind))).abs().max() < 1e-4
    with pytest.raises(BadInput, match=r"trainable_token_indices.*policy.adapter.kind=lora_tokens"):
        loaded(base, tmp_path, "lora")


@pytest.mark.parametrize("tying", [False, True])
def test_trained_tokens_of_a_tied_head(tmp_path: Path, tying: bool) -> None:
    base = save_checkpoint(tmp_path / "base", tied=True)
    settings = {"trainable_token_indices": {"embed_tokens": [5, 9]}, "ensure_weight_tying": tying}
    theirs = made_by_peft(base, tmp_path / "peft", **settings)
    assert (theirs - ours(loaded(base, tmp_path / "peft"))).abs().max() < 1e-4


@pytest.fixture
def plain(base: Path, tmp_path: Path) -> Path:
    made_by_peft(base, tmp_path / "plain", lora_alpha=16)
    return tmp_path / "plain"


def edit(folder: Path, **keys: Any) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    return folder


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a_key_of_next_year", {"on": True}),
        ("a_number_of_next_year", 0.5),
        ("megatron_config", {"x": 1}),
        ("use_qalora", True),
        ("velora_config", {"scale": 2.0}),
        ("monteclora_config", {"x": 1}),
        ("use_bdlora", {"nblocks": 2}),
        ("arrow_config", {"top_k": 2}),
        ("kasa_config", {"beta": 1.0}),
        ("target_parameters", ["experts.up"]),
        ("layer_replication", [[0, 2], [1, 2]]),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "loftq"),
        ("init_lora_weights", "lora_ga"),
        ("init_lora_weights", "mica"),
        ("init_lora_weights", 3),
        ("bias", "some"),
        ("lora_alpha", None),
        ("lora_alpha", float("nan")),
        ("r", "8"),
        ("r", True),
        ("rank_pattern", {"q_proj": 0}),
        ("alpha_pattern", ["q_proj"]),
        ("alpha_pattern", {"q_proj(": 2}),
        ("target_modules", None),
        ("target_modules", "q_proj("),
        ("target_modules", ["q_proj"]),
        ("layers_to_transform", [0]),
        ("trainable_token_indices", {"embed_tokens": [1], "lm_head": [1]}),
        ("trainable_token_indices", [1, 1]),
        ("peft_type", "IA3"),
        ("use_rslora", "yes"),
    ],
)
def test_a_value_without_support_is_refused(base: Path, plain: Path, key: str, value: Any) -> None:
    with pytest.raises(BadInput, match=key):
        loaded(base, edit(plain, **{key: value}))


def test_keys_without_effect_are_passed_over(base: Path, plain: Path) -> None:
    before = ours(loaded(base, plain))
    other = dict.fromkeys(NO_EFFECT - {"peft_type"}, "something")
    empty = {"a": None, "b": False, "c": [], "d": {}, "e": ""}
    assert torch.equal(ours(loaded(base, edit(plain, **other, **empty))), before)


def test_a_config_that_does_not_fit_its_tensors_is_refused(base: Path, plain: Path) -> None:
    with pytest.raises(CheckpointCorrupt, match="rank_pattern"):
        loaded(base, edit(plain, r=4))
    with pytest.raises(CheckpointCorrupt, match="no rows"):
        loaded(base, edit(plain, r=8, trainable_token_indices=[4]))


def test_a_missing_half_and_a_foreign_tensor_are_refused(base: Path, plain: Path) -> None:
    path = plain / "adapter_model.safetensors"
    tensors = load_file(path)
    half = next(key for key in tensors if "lora_B" in key)
    save_file({key: t for key, t in tensors.items() if key != half}, path)
    with pytest.raises(CheckpointCorrupt, match="lacks a matrix"):
        loaded(base, plain)
    save_file(tensors | {"base_model.model.lm_head.weight": torch.ones(2, 2)}, path)
    with pytest.raises(BadInput, match=r"lm_head.weight.*save_embedding_layers"):
        loaded(base, plain)


def test_alpha_0_and_missing_targets_name_the_setting(base: Path, plain: Path) -> None:
    with pytest.raises(BadInput, match=r"policy.adapter.alpha"):
        loaded(base, plain, alpha=0)
    with pytest.raises(BadInput, match=r"add down_proj,gate_proj,k_proj.*to policy.adapter.targets"):
        loaded(base, plain, targets="q_proj,v_proj")


class TestOwnFiles:
    def test_unchanged_bit_for_bit_under_an_equal_config(self, base: Path, plain: Path, tmp_path: Path) -> None:
        adapter = loaded(base, plain)
        adapter.save(tmp_path / "own")
        assert loaded(base, tmp_path / "own").hash() == adapter.hash()
        theirs, own = (load_file(folder / "adapter_model.safetensors") for folder in (plain, tmp_path / "own"))
        assert theirs.keys() == own.keys()
        assert all(torch.equal(theirs[key], own[key]) for key in own)

    @pytest.mark.parametrize("config", [{"alpha": 32}, {"alpha": 5}, {"rank": 16}, {"rank": 11, "alpha": 3}])
    def test_another_alpha_and_rank_act_the_same(
        self, base: Path, plain: Path, tmp_path: Path, config: dict[str, Any]
    ) -> None:
        adapter = loaded(base, plain)
        adapter.save(tmp_path / "own")
        other = loaded(base, tmp_path / "own", **config)
        assert (ours(other) - ours(adapter)).abs().max() < 1e-4
        assert other.version("candidate") == adapter.version("candidate")

    def test_what_is_filled_up_can_be_trained(self, base: Path, tmp_path: Path) -> None:
        made_by_peft(base, tmp_path, r=2, target_modules=["gate_proj"])
        adapter = loaded(base, tmp_path)
        assert loaded(base, tmp_path).hash() == adapter.hash(), "the same each time"
        parameters = adapter.parameters("candidate")
        engine = TorchEngine(adapter.backbone, adapter)
        engine.answer_logits([[*IDS]], [[3]], "candidate", grad=True)[0].sum().backward()  # type: ignore[no-untyped-call]
        for parameter, (key, _) in zip(parameters, adapter._lora("candidate"), strict=True):
            if key.endswith(".B"):
                assert parameter.grad is not None and parameter.grad.any(dim=0).all(), key

    def test_every_lora_layer_of_peft_has_the_scale_that_is_computed(self, base: Path, tmp_path: Path) -> None:
        settings = SUPPORTED["all patterns with rslora"]
        made_by_peft(base, tmp_path, **settings)
        model = PeftModel.from_pretrained(model_of(base), tmp_path)
        read = PeftSettings(json.loads((tmp_path / "adapter_config.json").read_text()), tmp_path)
        layers = {k: m for k, m in model.base_model.model.named_modules() if isinstance(m, LoraLayer)}
        assert {k: (m.r["default"], m.scaling["default"]) for k, m in layers.items()} == {
            k: (read.rank(k), read.scale(k)) for k in layers
        }
