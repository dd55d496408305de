"""What differs between model architectures: where the language tower is and how a frame becomes features.

Everything else (prompts, caches, adapters, decoding, training) is the same for all of them. The vision side is called
directly, so no video processor and no torchvision is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import torch

from showonce.errors import ConfigError
from showonce.inference.torch.features import TorchFeatures
from showonce.types import Observation


class Architecture(Protocol):
    """One family of Hugging Face model classes."""

    axes: int  # rotary position axes
    tower: str  # module path of the language tower

    def fits(self, config: Mapping[str, Any]) -> bool:
        """Whether a model with this config.json is built in this way, whatever its name."""

    def encode(
        self, model: Any, processor: Any, tokenizer: Any, observations: Sequence[Observation]
    ) -> list[TorchFeatures]:
        """Run image processor, vision tower and connector once for all frames."""

    def wrap(self, processor: Any, tokenizer: Any) -> tuple[list[int], list[int]]:
        """Return the token ids before and after the features of one frame."""


class Idefics3:
    """Idefics3 and SmolVLM: square tiles, each the same number of features; tag tokens between the tiles.

    The tags of a split frame are part of its features (their frozen embeddings), so a frame is one block either way.
    """

    axes = 1
    tower = "model.text_model"

    def fits(self, config: Mapping[str, Any]) -> bool:
        return "scale_factor" in config and "text_config" in config

    def encode(
        self, model: Any, processor: Any, tokenizer: Any, observations: Sequence[Observation]
    ) -> list[TorchFeatures]:
        device, dtype = model.device, model.dtype
        tiles, grids = [], []
        for observation in observations:
            out = processor(images=[[observation.image]], return_tensors="pt", return_row_col_info=True)
            tiles.append(out["pixel_values"][0])
            grids.append((int(out["rows"][0][0]), int(out["cols"][0][0])))
        pixels = torch.cat(tiles).to(device, dtype)
        patch = model.config.vision_config.patch_size
        mask = torch.ones(
            len(pixels), pixels.shape[2] // patch, pixels.shape[3] // patch, dtype=torch.bool, device=device
        )
        hidden = model.model.vision_model(pixel_values=pixels, patch_attention_mask=mask).last_hidden_state
        features = model.model.connector(hidden)
        features = features.reshape(len(pixels), -1, features.shape[-1])
        split = bool(processor.do_image_splitting)
        out_features, at = [], 0
        for observation, tile, (rows, cols) in zip(observations, tiles, grids, strict=True):
            frame = features[at : at + len(tile)]
            at += len(tile)
            embeds = self._tagged(model, tokenizer, frame, rows, cols) if split else frame.flatten(0, 1)
            n = embeds.shape[0]
            height, width = (int(side) for side in pixels.shape[-2:])
            seen = (max(cols, 1) * width, max(rows, 1) * height)
            out_features.append(TorchFeatures(observation.hash, embeds, torch.arange(n).unsqueeze(0), n, seen))
        return out_features

    def _tagged(self, model: Any, tokenizer: Any, tiles: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
        """Put the tags between the tiles of a split frame, the whole frame last."""
        embed = model.get_input_embeddings()

        def tags(text: str) -> torch.Tensor:
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids[0]
            return embed(ids.to(tiles.device))  # type: ignore[no-any-return]

        fake, pieces, between = "<fake_token_around_image>", [], ""
        for r in range(rows):
            for c in range(cols):
                opening = fake if r or c else ""  # the very first one belongs to `wrap`
                pieces += [tags(f"{between}{opening}<row_{r + 1}_col_{c + 1}>"), tiles[r * cols + c]]
                between = ""
            between = "\n"
        whole = f"{between}\n{fake}<global-img>" if rows else "<global-img>"
        return torch.cat([*pieces, tags(whole), tiles[-1]])

    def wrap(self, processor: Any, tokenizer: Any) -> tuple[list[int], list[int]]:
        fake = tokenizer.convert_tokens_to_ids("<fake_token_around_image>")
        whole = tokenizer.convert_tokens_to_ids("<global-img>")
        return ([fake], [fake]) if processor.do_image_splitting else ([fake, whole], [fake])


class QwenVL:
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL: native resolution, three rotary axes, and deep features in Qwen3-VL."""

    axes = 3
    tower = "model.language_model"

    def fits(self, config: Mapping[str, Any]) -> bool:
        return "vision_start_token_id" in config and "spatial_merge_size" in config.get("vision_config", {})

    def encode(
        self, model: Any, processor: Any, tokenizer: Any, observations: Sequence[Observation]
    ) -> list[TorchFeatures]:
        out = processor(images=[o.image for o in observations], return_tensors="pt")
        grids = out["image_grid_thw"]
        pixels = out["pixel_values"].to(model.device, model.dtype)
        seen = model.model.get_image_features(pixels, grids.to(model.device), return_dict=True)
        deep = getattr(seen, "deepstack_features", None) or []
        merge = model.config.vision_config.spatial_merge_size
        patch = model.config.vision_config.patch_size
        features = []
        for i, observation in enumerate(observations):
            rows, cols = int(grids[i, 1]) // merge, int(grids[i, 2]) // merge
            # a frame stands at one time, its rows and columns count from there; text goes on after the longer side
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
            positions = torch.stack([torch.zeros(rows * cols, dtype=torch.long), y.flatten(), x.flatten()])
            layers = tuple(layer[i] for layer in deep)
            size = (int(grids[i, 2]) * patch, int(grids[i, 1]) * patch)
            embeds = seen.pooler_output[i]
            features.append(TorchFeatures(observation.hash, embeds, positions, max(rows, cols), size, layers))
        return features

    def wrap(self, processor: Any, tokenizer: Any) -> tuple[list[int], list[int]]:
        return (
            [tokenizer.convert_tokens_to_ids("<|vision_start|>")],
            [tokenizer.convert_tokens_to_ids("<|vision_end|>")],
        )


ARCHITECTURES: Final[tuple[Architecture, ...]] = (Idefics3(), QwenVL())


def architecture_of(config: Mapping[str, Any], where: str) -> Architecture:
    """Return the architecture that a checkpoint's config.json describes; families decide which models are supported.

    Raises:
        ConfigError: none of those known here.
    """
    for architecture in ARCHITECTURES:
        if architecture.fits(config):
            return architecture
    raise ConfigError(
        f"the checkpoint {where} is of type {config.get('model_type')!r}, whose vision and language towers showonce "
        "cannot drive: choose a checkpoint of the Idefics3 or Qwen-VL kind."
    )
