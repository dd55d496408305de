"""`adapter_config.json` of PEFT, read whole: every key is applied, named as without effect, or refused by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from showonce.errors import BadInput

CONFIG: Final = "adapter_config.json"
# Keys that are applied: the strength and rank of each layer, which layers there are, and which tokens were trained.
_LORA: Final = frozenset((
    "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "trainable_token_indices", "init_lora_weights", "bias",
))  # fmt: skip
_TOKENS: Final = frozenset(("token_indices", "target_modules"))
# Keys that change nothing in what a saved adapter computes: records of where it comes from; how it was trained
# (dropout); how it was begun (the settings of an initialisation count only with that `init_lora_weights`); how a layer
# stores its weight (PEFT ignores fan_in_fan_out on a Linear); tying of layers that are refused or tied here as well.
NO_EFFECT: Final = frozenset((
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "lora_dropout", "fan_in_fan_out", "megatron_core", "loftq_config", "eva_config",
    "corda_config", "lora_ga_config", "qalora_group_size", "init_weights", "ensure_weight_tying", "runtime_config",
))  # fmt: skip
# First values of A and B alone. The others (pissa, olora, loftq, corda, lora_ga) also change the frozen weights.
_PLAIN_STARTS: Final = (None, True, False, "gaussian", "orthogonal", "eva")
_REMEDIES: Final = {
    "use_dora": "train it without DoRA",
    "modules_to_save": "train it without whole modules, as LoRA or trainable tokens alone",
    "bias": "train it with bias='none'",
    "lora_bias": "train it with lora_bias=False",
    "init_lora_weights": (
        "it belongs to changed base weights: save it with PEFT's "
        "save_pretrained(folder, path_initial_model_for_weight_conversion=...), which makes a plain LoRA of it"
    ),
    "target_parameters": "train it on target_modules",
    "layer_replication": "train it on the model's own layers",
}
_REMEDY: Final = "merge it into the base model (PEFT's merge_and_unload) and use that as policy.checkpoint"


class PeftSettings:
    """The settings of one adapter folder that bear on what it computes.

    Raises:
        BadInput: a key that is not supported has a value with an effect, or a value is of the wrong form.
    """

    def __init__(self, raw: Mapping[str, Any], folder: Path) -> None:
        self._raw, self._folder = raw, folder
        self.kind = raw.get("peft_type")
        if self.kind not in ("LORA", "TRAINABLE_TOKENS"):
            raise BadInput(
                f"{folder / CONFIG}: peft_type={self.kind!r} is not supported; "
                "showonce takes LORA and TRAINABLE_TOKENS."
            )
        known = NO_EFFECT | (_LORA if self.kind == "LORA" else _TOKENS)
        for key, value in raw.items():
            if key not in known and not _empty(value):
                raise self.refused(key)
        if self.kind == "LORA":
            self._check_lora()

    @property
    def token_ids(self) -> list[int]:
        """The trained tokens, in the order of their rows in the file."""
        key = "token_indices" if self.kind == "TRAINABLE_TOKENS" else "trainable_token_indices"
        value = self._raw.get(key) or []
        if isinstance(value, dict):
            if len(value) != 1:
                raise self.refused(key, "train rows of the input embedding alone")
            value = next(iter(value.values()))
        if not isinstance(value, list) or not all(_whole(i, 0) for i in value) or len({*value}) != len(value):
            raise self.refused(key, "give a list of different token numbers")
        return value

    def rank(self, module: str) -> int:
        """Return the rank that PEFT gives a module (path from the model's root)."""
        pattern = self._raw.get("rank_pattern") or {}
        return int(pattern.get(get_pattern_key(list(pattern), module), self._raw.get("r", 8)))

    def scale(self, module: str) -> float:
        """Return the factor that PEFT applies to B A x of a module: alpha / rank, or alpha / sqrt(rank) with rslora."""
        pattern = self._raw.get("alpha_pattern") or {}
        alpha = float(pattern.get(get_pattern_key(list(pattern), module), self._raw.get("lora_alpha", 8)))
        rank = self.rank(module)
        return alpha / math.sqrt(rank) if self._raw.get("use_rslora") else alpha / rank

    def targets(self, module: str) -> bool:
        """Whether PEFT puts LoRA on a module, by target_modules, exclude_modules and the choice of layers."""
        return bool(check_target_module_exists(self._matcher, module))

    def refused(self, key: str, remedy: str = "") -> BadInput:
        """Return the error for a key: its value and the remedy."""
        value = repr(self._raw.get(key))
        shown = value if len(value) <= 80 else f"{value[:77]}..."
        remedy = remedy or _REMEDIES.get(key, _REMEDY)
        return BadInput(f"{self._folder / CONFIG}: {key}={shown} is not supported: {remedy}.")

    def _check_lora(self) -> None:
        raw = self._raw
        if raw.get("bias") not in (None, "none", "all", "lora_only"):
            raise self.refused("bias")
        start = raw.get("init_lora_weights")
        if not isinstance(start, (bool, str, type(None))) or start not in _PLAIN_STARTS:
            raise self.refused("init_lora_weights")
        if not isinstance(raw.get("use_rslora", False), (bool, type(None))):
            raise self.refused("use_rslora", "give true or false")
        self._check_numbers("r", "rank_pattern", lambda v: _whole(v, 1), "a whole number of at least 1")
        self._check_numbers("lora_alpha", "alpha_pattern", _finite, "a number")
        if isinstance(raw.get("target_modules"), str) and raw["target_modules"].lower() == "all-linear":
            form: Any = r".*(?<!lm_head)"  # PEFT: every linear layer but the output head
        else:
            form = raw.get("target_modules")
        if not form or not isinstance(form, (str, list)):
            raise self.refused("target_modules", "name the layers as PEFT does, in a list or as one regular expression")
        keys = ("exclude_modules", "layers_to_transform", "layers_pattern")
        chosen: dict[str, Any] = {key: raw.get(key) for key in keys}
        try:
            self._matcher = LoraConfig(target_modules=form, **chosen)
            self.targets("model.layers.0.self_attn.q_proj")
        except (ValueError, TypeError, re.error) as error:
            wrong = ", ".join(f"{key}={raw[key]!r}" for key in ("target_modules", *keys) if raw.get(key))
            raise BadInput(f"{self._folder / CONFIG}: {wrong} cannot be read ({error}): correct it.") from error

    def _check_numbers(self, key: str, pattern: str, right: Any, form: str) -> None:
        if key in self._raw and not right(self._raw[key]):
            raise self.refused(key, f"give {form}")
        values = self._raw.get(pattern) or {}
        if not isinstance(values, dict) or not all(right(v) for v in values.values()):
            raise self.refused(pattern, f"give {form} for each name")
        try:
            get_pattern_key(list(values), "")
        except re.error as error:
            raise self.refused(pattern, f"give names or regular expressions ({error})") from error


def _empty(value: object) -> bool:
    return value is None or value is False or value == "" or value == [] or value == {}


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def named(modules: Sequence[str]) -> str:
    """Return up to three module names for an error text."""
    return ", ".join(modules[:3]) + (f" and {len(modules) - 3} more" if len(modules) > 3 else "")
