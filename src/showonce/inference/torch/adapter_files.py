"""An adapter on disk: a folder that PEFT reads too, with a side file that names its base model."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, PeftConfig, TrainableTokensConfig
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from showonce.config import AdapterConfig
from showonce.errors import BadInput, CheckpointCorrupt, StoreError
from showonce.fsio import atomic_write_bytes, atomic_write_json, explained, make_folder
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.peft_config import CONFIG, PeftSettings, named

SIDE: Final = "showonce_adapter.json"
SCHEMA: Final = 1
_WEIGHTS: Final = "adapter_model.safetensors"
_PREFIX: Final = "base_model.model."


def content_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the hex digest of named tensors: keys, shapes and float32 bits, in order of the keys."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(tensors):
        values = tensors[key].detach().float().cpu().contiguous()
        digest.update(f"{key} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def lora_config(config: AdapterConfig, backbone: Backbone, token_ids: Sequence[int] = ()) -> LoraConfig:
    """Return PEFT's description of LoRA on the language tower alone, and of trained rows if there are any."""
    targets = "|".join(re.escape(t.strip()) for t in config.targets.split(",") if t.strip())
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=rf"{re.escape(backbone.architecture.tower)}\..*\.({targets})",
        trainable_token_indices={"embed_tokens": list(token_ids)} if token_ids else None,
        base_model_name_or_path=str(backbone.path),
    )


def write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], config: AdapterConfig, backbone: Backbone, version: str
) -> None:
    """Write adapter_config.json and adapter_model.safetensors as PEFT names them, and the side file last.

    Raises:
        DiskError: the folder cannot be written.
    """
    ids = sorted(int(key[7:]) for key in tensors if key.startswith("tokens."))
    peft: PeftConfig
    if config.kind == "tokens":
        peft = TrainableTokensConfig(
            token_indices=ids, target_modules=["embed_tokens"], base_model_name_or_path=str(backbone.path)
        )
    else:
        peft = lora_config(config, backbone, ids)
    out = {_peft_key(key): t.contiguous() for key, t in tensors.items() if key.startswith("lora.")}
    if ids:
        out[_rows_key(backbone, config.kind)] = torch.stack([tensors[f"tokens.{i}"] for i in ids])
    make_folder(folder)
    atomic_write_json(folder / CONFIG, peft.to_dict())
    atomic_write_bytes(folder / _WEIGHTS, save_safetensors(out, metadata={"format": "pt"}))
    side = {
        "schema_version": SCHEMA,
        "base_fingerprint": backbone.fingerprint,
        "kind": config.kind,
        "hash": content_hash(tensors),
        "version": version,
    }
    atomic_write_json(folder / SIDE, side)


@dataclass(frozen=True)
class SavedAdapter:
    """A PEFT adapter folder that was read: tensors by this project's keys, as they stand in the file (float32).

    version: the label it was saved with; None where it was made elsewhere.
    """

    folder: Path
    tensors: dict[str, torch.Tensor]
    settings: PeftSettings
    version: str | None

    def fitted(self, config: AdapterConfig, wanted: Mapping[str, torch.Tensor], tower: str) -> dict[str, torch.Tensor]:
        """Return the tensors for LoRA layers of `config`, with exactly the effect that PEFT gives them.

        wanted: the LoRA matrices of the model by key, for their shapes. B takes up the ratio of both scales (it is
        left bit for bit where they are equal). A smaller rank is filled up, and a layer that the file lacks is made:
        A at random, B zero, which computes nothing and can be trained.

        Raises:
            BadInput: a layer that `config` has no LoRA on is changed, a rank is larger than `config.rank`, or the
                widths are another model's.
        """
        out = {key: row for key, row in self.tensors.items() if key.startswith("tokens.")}
        lora = {key: matrix for key, matrix in self.tensors.items() if key.startswith("lora.")}
        if not wanted and lora:
            raise BadInput(f"{self.folder} holds LoRA matrices: load it with policy.adapter.kind=lora or lora_tokens.")
        self._check_layers(
            [k[5:-2] for k, B in lora.items() if k.endswith(".B") and k not in wanted and B.any()], tower
        )
        for key, matrix in wanted.items():
            module, letter = key[5:-2], key[-1]
            out[key] = _first_values(key, matrix.shape) if letter == "A" else torch.zeros(matrix.shape)
            if (found := lora.get(key)) is None:
                continue
            self._check_shape(key, found, matrix.shape, config.rank)
            if letter == "B":
                found = _times(found, self.settings.scale(module), config.alpha / config.rank)
            out[key][: found.shape[0], : found.shape[1]] = found
        return out

    def _check_layers(self, foreign: list[str], tower: str) -> None:
        if outside := [module for module in foreign if not module.startswith(f"{tower}.")]:
            raise self.settings.refused(
                "target_modules",
                f"it changes {named(outside)}, and showonce adapts the layers of {tower} alone: train it with "
                "exclude_modules for the rest, or merge it into the base model and use that as policy.checkpoint",
            )
        if foreign:
            names = ",".join(sorted({module.rsplit(".", 1)[-1] for module in foreign}))
            raise self.settings.refused(
                "target_modules", f"it changes {named(foreign)}: add {names} to policy.adapter.targets"
            )

    def _check_shape(self, key: str, found: torch.Tensor, wanted: torch.Size, most: int) -> None:
        rank, width, place = found.shape[key[-1] == "B"], found.shape[key[-1] == "A"], key[-1] == "A"
        if width != wanted[place]:
            raise BadInput(
                f"{key!r} has shape {tuple(found.shape)}, this model wants width {wanted[place]}: load the checkpoint "
                "that the adapter belongs to as policy.checkpoint."
            )
        if rank > most:
            largest = max(t.shape[0] for k, t in self.tensors.items() if k.startswith("lora.") and k.endswith(".A"))
            raise BadInput(
                f"{self.folder / CONFIG}: rank {rank} (r, rank_pattern) of {key[5:-2]} is larger than "
                f"policy.adapter.rank={most}: set policy.adapter.rank={largest}."
            )


def read_adapter(folder: Path, base: str) -> SavedAdapter:
    """Read a PEFT adapter folder.

    base: fingerprint of the model that it is wanted for. A folder without the side file (made elsewhere) is not
    compared with it.

    Raises:
        BadInput: not an adapter folder, of a kind that is not LoRA and not trained tokens, or with a setting or
            tensor that is not supported (named in the error).
        StoreError: made for another base model, or by a newer schema.
        CheckpointCorrupt: truncated or changed since it was saved.
    """
    for name in (CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise BadInput(f"{folder} is not an adapter: it has no {name}. Give the folder of a saved adapter.")
    settings = PeftSettings(_read_json(folder / CONFIG), folder)
    side = _read_json(folder / SIDE) if (folder / SIDE).is_file() else {}
    if side and int(side.get("schema_version", 0)) > SCHEMA:
        raise StoreError(
            f"{folder / SIDE} has schema {side['schema_version']}, this release reads up to {SCHEMA}: update showonce."
        )
    if side and side.get("base_fingerprint") != base:
        raise StoreError(
            f"the adapter {folder} was made for another base model: set policy.checkpoint to the "
            "one it was trained on, or start a new adapter."
        )
    with explained(folder / _WEIGHTS, "read"):
        data = (folder / _WEIGHTS).read_bytes()
    try:
        tensors = _own_keys(load_safetensors(data), settings, folder)
    except SafetensorError as error:
        raise CheckpointCorrupt(
            f"{folder / _WEIGHTS} is damaged ({error}): restore it or go back to an earlier one."
        ) from error
    if side and content_hash(tensors) != side.get("hash"):
        raise CheckpointCorrupt(
            f"{folder / _WEIGHTS} was changed since it was saved: restore it or go back to an earlier one."
        )
    _check_pairs(tensors, settings, folder)
    return SavedAdapter(folder, tensors, settings, side.get("version"))


def rescaled(tensors: Mapping[str, torch.Tensor], saved: float | None, now: float | None) -> dict[str, torch.Tensor]:
    """Return tensors by key that do under LoRA scale `now` what they did under `saved`: B takes up the ratio.

    None = unknown, or no LoRA: the tensors as they are.
    """
    if saved is None or now is None:
        return dict(tensors)
    return {key: _times(t, saved, now) if key.endswith(".B") else t for key, t in tensors.items()}


def _times(matrix: torch.Tensor, saved: float, now: float) -> torch.Tensor:
    """Return a matrix B with scale `saved` for a layer with scale `now`."""
    if saved == now:
        return matrix
    if not now:
        raise BadInput("policy.adapter.alpha=0 takes the effect from every LoRA: set policy.adapter.alpha above 0.")
    return matrix * (saved / now)


def _first_values(key: str, shape: torch.Size) -> torch.Tensor:
    """Return a matrix A to begin from, as PEFT draws it (uniform up to 1 / sqrt(width)), the same for a key always."""
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest()))
    drawn = torch.rand(shape, generator=generator)
    return (2 * drawn - 1) / math.sqrt(shape[1])


def _own_keys(saved: Mapping[str, torch.Tensor], settings: PeftSettings, folder: Path) -> dict[str, torch.Tensor]:
    ids, out = settings.token_ids, dict[str, torch.Tensor]()
    for key, tensor in saved.items():
        name = key.removeprefix(_PREFIX)
        if name.endswith(("embed_tokens.trainable_tokens_delta", "embed_tokens.token_adapter.trainable_tokens_delta")):
            if len(ids) != len(tensor):
                raise CheckpointCorrupt(f"{folder} names {len(ids)} trained tokens and holds {len(tensor)} rows.")
            out |= {f"tokens.{int(i)}": row.float() for i, row in zip(ids, tensor, strict=True)}
        elif name.endswith((".lora_A.weight", ".lora_B.weight")):
            module, letter = name[: -len(".lora_A.weight")], name[-len("A.weight")]
            out[f"lora.{module}.{letter}"] = tensor.float()
        else:
            raise _not_read(key, settings, folder)
    if ids and f"tokens.{ids[0]}" not in out:
        raise CheckpointCorrupt(f"{folder} names {len(ids)} trained tokens and holds no rows of embed_tokens.")
    return out


def _not_read(key: str, settings: PeftSettings, folder: Path) -> BadInput:
    """Return the error for a tensor that is neither a LoRA matrix nor trained rows, by the setting it comes from."""
    if key.endswith(".lora_B.bias"):
        return settings.refused("lora_bias")
    if key.endswith(".bias"):
        return settings.refused("bias")
    if "lora_embedding_" in key or ".base_layer." in key:
        return settings.refused(
            "target_modules",
            f"{key} is of an embedding or of the output head: train it on the other layers, tokens with "
            "trainable_token_indices",
        )
    return BadInput(
        f"{folder / _WEIGHTS} holds {key!r}, which is neither a LoRA matrix nor a trained token row of embed_tokens: "
        "save the adapter with save_embedding_layers=False and without modules_to_save."
    )


def _check_pairs(tensors: Mapping[str, torch.Tensor], settings: PeftSettings, folder: Path) -> None:
    """Check that LoRA matrices come in pairs of the rank and on the layers that the settings give them."""
    for key in (k for k in tensors if k.startswith("lora.")):
        module, other = key[5:-2], tensors.get(key[:-1] + "BA"[key.endswith("B")])
        if other is None or tensors[key].ndim != 2 or other.ndim != 2:
            raise CheckpointCorrupt(f"{folder / _WEIGHTS} lacks a matrix of {module}: take a whole copy.")
        if tensors[key].shape[key.endswith("B")] != settings.rank(module):
            raise CheckpointCorrupt(
                f"{folder / CONFIG}: r and rank_pattern give {module} rank {settings.rank(module)}, and {key!r} has "
                f"shape {tuple(tensors[key].shape)}: the two files do not belong together."
            )
        if not settings.targets(module):
            raise settings.refused(
                "target_modules",
                f"the file holds {module}, which that leaves out: take both files from one place",
            )


def _peft_key(key: str) -> str:
    module, letter = key[len("lora.") :].rsplit(".", 1)
    return f"{_PREFIX}{module}.lora_{letter}.weight"


def _rows_key(backbone: Backbone, kind: str) -> str:
    wrapper = "" if kind == "tokens" else "token_adapter."
    return f"{_PREFIX}{backbone.architecture.tower}.embed_tokens.{wrapper}trainable_tokens_delta"


def _read_json(path: Path) -> dict[str, Any]:
    with explained(path, "read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise CheckpointCorrupt(
            f"{path} is not JSON ({error}): restore it or go back to an earlier adapter."
        ) from error
    if not isinstance(data, dict):
        raise CheckpointCorrupt(f"{path} does not hold an object: restore it or go back to an earlier adapter.")
    return data
