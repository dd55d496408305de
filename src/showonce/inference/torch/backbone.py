"""The frozen vision-language model: checkpoint folder in, features and logits out. Nothing here is ever trained."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
from transformers.cache_utils import DynamicCache
from transformers.utils import logging as _hf_logging

from showonce.errors import ConfigError, Unavailable
from showonce.inference.torch.batching import Inputs, assemble
from showonce.inference.torch.features import TorchFeatures
from showonce.inference.torch.token_rows import TokenRows
from showonce.inference.torch.towers import Architecture, architecture_of
from showonce.protocols import Features
from showonce.types import Observation

_BLOCK: Final = 1 << 20
_BLOCKS: Final = 64  # of a weight file larger than this many MiB, as many blocks of 1 MiB are hashed


class Backbone:
    """A frozen model with its tokenizer and image processor. Build it with `load`.

    axes: rotary position axes; width: size d of embeddings; vocabulary: size V of the logits; tied: the output head
    shares the input embeddings; overlay: the trained token rows of the adapter in use, None when it is off.
    """

    def __init__(
        self,
        path: Path,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        architecture: Architecture,
        device: torch.device,
    ) -> None:
        self.path = path
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.device = device
        self.architecture = architecture
        self.axes = architecture.axes
        self.tower: Any = model.get_submodule(architecture.tower)
        self.width = int(self.tower.config.hidden_size)
        self.embedding: torch.nn.Embedding = model.get_input_embeddings()
        self._head: Any = model.get_output_embeddings()
        self.vocabulary = int(self._head.weight.shape[0])
        self.tied = self._head.weight.data_ptr() == self.embedding.weight.data_ptr()
        self.overlay: TokenRows | None = None

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", dtype: str = "float32") -> Backbone:
        """Load a folder of Hugging Face files (config.json, *.safetensors, tokenizer, preprocessor_config.json).

        Raises:
            ConfigError: no such folder, a file of it is missing or cannot be read, or an unsupported architecture.
            Unavailable: this machine has no such device, or the device cannot do this dtype.
        """
        folder = Path(path)
        where = torch_device(device)
        architecture = architecture_of(read_config(folder), str(folder))
        kind = torch_dtype(dtype, where)
        processors: Any = AutoImageProcessor
        with _quiet():
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                processor = processors.from_pretrained(folder, local_files_only=True)
                model = AutoModelForImageTextToText.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, dtype=kind, attn_implementation="sdpa"
                )
            except Exception as error:
                raise ConfigError(
                    f"the checkpoint {folder} cannot be loaded: {_first_line(error)} It needs config.json, "
                    "model.safetensors, tokenizer.json, tokenizer_config.json and "
                    "preprocessor_config.json of one Hugging Face model."
                ) from error
        model.requires_grad_(False)
        model.train(False)
        torch.nn.Module.to(model, where)
        return cls(folder, model, tokenizer, processor, architecture, where)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of config and weight files: which base an adapter belongs to.

        Weight files over 64 MiB are sampled (size and 64 evenly spaced blocks), so that this takes seconds at most.
        """
        digest = hashlib.blake2b(digest_size=16)
        for file in [self.path / "config.json", *sorted(self.path.glob("*.safetensors"))]:
            size = file.stat().st_size
            digest.update(f"{file.name} {size}\n".encode())
            blocks = -(-size // _BLOCK)
            chosen = range(blocks) if blocks <= _BLOCKS else [i * (blocks - 1) // (_BLOCKS - 1) for i in range(_BLOCKS)]
            with open(file, "rb") as stream:
                for block in chosen:
                    stream.seek(block * _BLOCK)
                    digest.update(stream.read(_BLOCK))
        return digest.hexdigest()

    def encode(self, observation: Observation) -> TorchFeatures:
        """Return the features of one frame: image processor, vision tower and connector, without gradient."""
        return self.encode_many([observation])[0]

    def encode_many(self, observations: Sequence[Observation]) -> list[TorchFeatures]:
        """Return the features of several frames, computed together."""
        with torch.no_grad():
            return self.architecture.encode(self.model, self.image_processor, self.tokenizer, observations)

    def image_wrap(self) -> tuple[list[int], list[int]]:
        """Return the token ids that this model wants before and after the features of one frame."""
        return self.architecture.wrap(self.image_processor, self.tokenizer)

    def embed(self, ids_T: torch.Tensor) -> torch.Tensor:
        """Return the input embeddings (T, d) of token ids, with the trained rows of the adapter in use."""
        base = torch.nn.functional.embedding(ids_T, self.embedding.weight)
        return self.overlay.embed(ids_T, base) if self.overlay else base

    def assemble(self, rows: Sequence[Sequence[int | Features]], starts: Sequence[int]) -> tuple[Inputs, list[int]]:
        """Return rows of parts as one right-padded batch, and the rows' widths; see `batching.assemble`."""
        ids = [part for row in rows for part in row if isinstance(part, int)]
        embeds = self.embed(torch.tensor(ids, dtype=torch.long, device=self.device))
        return assemble(rows, starts, embeds, self.axes)

    def forward(self, inputs: Inputs, cache: DynamicCache | None) -> torch.Tensor:
        """Return hidden_BTd of the new positions; `cache` grows by T slots when it is given."""
        positions = inputs.positions_pBT[0] if self.axes == 1 else inputs.positions_pBT
        deep: dict[str, Any] = {}
        if inputs.deep:
            deep = {"visual_pos_masks": inputs.visual_BT, "deepstack_visual_embeds": list(inputs.deep)}
        out = self.tower(
            inputs_embeds=inputs.embeds_BTd,
            position_ids=positions,
            attention_mask=inputs.mask_BS,
            past_key_values=cache,
            use_cache=cache is not None,
            **deep,
        )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits (..., V) of hidden states (..., d)."""
        base: torch.Tensor = self._head(hidden)
        return self.overlay.head(hidden, base) if self.overlay and self.tied else base

    def new_cache(self) -> DynamicCache:
        """Return an empty key-value cache."""
        return DynamicCache(config=self.tower.config)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint folder's config.json.

    Raises:
        ConfigError: no folder, no config.json, or not a Hugging Face one.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"policy.checkpoint: there is no folder {folder}. Give a shipped name such as 'tiny', or the path of a "
            "folder of Hugging Face files, which must be there already: showonce downloads no weights by itself."
        )
    try:
        data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {**data, "model_type": str(data["model_type"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the checkpoint {folder} has no readable config.json with a model_type ({_first_line(error)}): "
            "download the model again, or choose another folder."
        ) from error


def torch_device(name: str) -> torch.device:
    """Return the device of a setting; auto = cuda, else mps, else cpu.

    Raises:
        Unavailable: this machine has none.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, present in here.items() if present)
    kind = name.split(":")[0]
    if not here.get(kind, False):
        present = ", ".join(k for k, ok in here.items() if ok)
        raise Unavailable(
            f"inference.device={name!r} is not on this machine; here: {present}. Set inference.device=auto."
        )
    return torch.device(name)


def torch_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of a setting.

    Raises:
        Unavailable: the device cannot compute in it.
    """
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type == "cpu" and kind is torch.float16:
        raise Unavailable("inference.dtype=float16 is too slow and inexact on a CPU: use float32 or bfloat16.")
    if device.type == "cuda" and kind is torch.bfloat16 and not torch.cuda.is_bf16_supported():
        raise Unavailable("this GPU cannot compute in bfloat16: use inference.dtype=float16 or float32.")
    return kind


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars off the terminal while a model is loaded."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    hf_logging: Any = _hf_logging
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}".rstrip(".") + "."
