"""An adapter on disk: a folder that PEFT reads too, with a side file that names its base model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
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

SIDE: Final = "showonce_adapter.json"
SCHEMA: Final = 1
_WEIGHTS: Final = "adapter_model.safetensors"
_CONFIG: Final = "adapter_config.json"
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
    atomic_write_json(folder / _CONFIG, peft.to_dict())
    atomic_write_bytes(folder / _WEIGHTS, save_safetensors(out, metadata={"format": "pt"}))
    side = {
        "schema_version": SCHEMA,
        "base_fingerprint": backbone.fingerprint,
        "kind": config.kind,
        "hash": content_hash(tensors),
        "version": version,
    }
    atomic_write_json(folder / SIDE, side)


def read_adapter(folder: Path, base: str) -> tuple[dict[str, torch.Tensor], str | None]:
    """Return the tensors of a PEFT adapter folder by this project's keys, and the version it was saved as.

    base: fingerprint of the model that they are wanted for. A folder without the side file (made elsewhere) is not
    compared with it; its version is None.

    Raises:
        BadInput: not an adapter folder, or of a kind that is not LoRA and not trained tokens.
        StoreError: made for another base model, or by a newer schema.
        CheckpointCorrupt: truncated or changed since it was saved.
    """
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise BadInput(f"{folder} is not an adapter: it has no {name}. Give the folder of a saved adapter.")
    config, side = _read_json(folder / _CONFIG), _read_json(folder / SIDE) if (folder / SIDE).is_file() else {}
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
        tensors = _own_keys(load_safetensors(data), config, folder)
    except SafetensorError as error:
        raise CheckpointCorrupt(
            f"{folder / _WEIGHTS} is damaged ({error}): restore it or go back to an earlier one."
        ) from error
    if side and content_hash(tensors) != side.get("hash"):
        raise CheckpointCorrupt(
            f"{folder / _WEIGHTS} was changed since it was saved: restore it or go back to an earlier one."
        )
    return tensors, side.get("version")


def _own_keys(saved: Mapping[str, torch.Tensor], config: Mapping[str, Any], folder: Path) -> dict[str, torch.Tensor]:
    kind = config.get("peft_type")
    if kind == "TRAINABLE_TOKENS":
        ids = config.get("token_indices") or []
    elif kind == "LORA":
        rows = config.get("trainable_token_indices") or {}
        ids = rows if isinstance(rows, list) else next(iter(rows.values()), [])
    else:
        raise BadInput(f"{folder} is a {kind} adapter; showonce takes LORA and TRAINABLE_TOKENS.")
    out: dict[str, torch.Tensor] = {}
    for key, tensor in saved.items():
        name = key.removeprefix(_PREFIX)
        if name.endswith("trainable_tokens_delta"):
            if len(ids) != len(tensor):
                raise CheckpointCorrupt(f"{folder} names {len(ids)} trained tokens and holds {len(tensor)} rows.")
            out |= {f"tokens.{int(i)}": row.float() for i, row in zip(ids, tensor, strict=True)}
        elif name.endswith((".lora_A.weight", ".lora_B.weight")):
            module, letter = name[: -len(".lora_A.weight")], name[-len("A.weight")]
            out[f"lora.{module}.{letter}"] = tensor.float()
        else:
            raise BadInput(f"{folder} holds {key!r}, which is neither a LoRA matrix nor a trained token row.")
    return out


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
