"""Builds small random checkpoints with `save_pretrained`: the code path is real, the weights are not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils import logging as hf_logging

from showonce.policy.dialects import get_dialect
from showonce.policy.families import family_of, make_family
from showonce.policy.families.base import Checkpoint, Family
from showonce.policy.families.tiny import EOS, FRAME_AFTER, FRAME_BEFORE, MARKS
from showonce.types import Image, Observation

SIDE = 56  # pixels of the tiny world's frames here
GRID = 8
COORDINATES = tuple(f"{(i + 0.5) / GRID:.3f}" for i in range(GRID))
CONFIDENCES = tuple(f"0.{c:02d}}}" for c in range(5, 100, 10))
WORDS = (
    "click",
    "type",
    "red",
    "green",
    "circle",
    "square",
    "zoka",
    "miru",
    "sun",
    "moon",
    "ctrl+s",
    "enter",
    "red",
    "2",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VERBS = ("double_click", "right_click", "move", "drag", "scroll", "key", "open", "wait", "done", "ask")
PIECES = (
    *('{"action":"', '","x":', ',"y":', ',"to_x":', ',"to_y":', ',"dy":', '","text":"', '","keys":"', '","target":"'),
    *('","seconds":', '","answer":"', '","question":"', '","confidence":', ',"confidence":', "}", '"}'),
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for p in m['content'] %}{% if p['type'] == 'image' %}IMAGE"
    "{% else %}{{ p['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def frame(seed: int, width: int = SIDE, height: int = SIDE) -> Observation:
    """Return a random frame of coarse blocks."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    image: Image = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]
    return Observation(np.ascontiguousarray(image))


def family_for(model_type: str, tokenizer: Any, images: dict[str, Any] | None = None, unit: str = "auto") -> Family:
    """Return the family of a model type ("tiny" for the embedded model's) without a checkpoint folder."""
    config = {"model_type": model_type}
    kind = family_of(Checkpoint(config), "tiny" if model_type == "tiny" else "auto")
    return make_family(kind, Checkpoint(config, images or {}), tokenizer, unit=unit)[0]


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer that splits into vocabulary strings, longest first."""
    special = ("<pad>", "<bos>", EOS, "<unk>", "<image>", *dict.fromkeys((*FRAME_BEFORE, *FRAME_AFTER)))
    tokens = dict.fromkeys((*special, *MARKS, *PIECES, *COORDINATES, *CONFIDENCES, *WORDS, *NUMBERS, *VERBS))
    vocabulary = {token: i for i, token in enumerate(tokens)}
    longest_first = sorted(vocabulary, key=len, reverse=True)
    pattern = "|".join("".join(c if c.isalnum() or c == "_" else "\\" + c for c in t) for t in longest_first)
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(Regex(pattern), "isolated")]
    )
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token=EOS,
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", *dict.fromkeys((*FRAME_BEFORE, *FRAME_AFTER))],
        clean_up_tokenization_spaces=False,
    )


def bpe_tokenizer(qwen: bool) -> PreTrainedTokenizerFast:
    """Return a small byte-level BPE tokenizer with the special tokens and the chat template of its family."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    text = [get_dialect("native").describe(), "Goal: open the notes and type a line of text"]
    backend.train_from_iterator(
        text,
        trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    if qwen:
        special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
        image = "<|vision_start|><|image_pad|><|vision_end|>"
    else:
        rows = [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]
        special = ["<image>", *dict.fromkeys((*FRAME_BEFORE, *FRAME_AFTER)), *rows]
        image = "<image>"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *special],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT.replace("IMAGE", image)
    return tokenizer


def save_checkpoint(folder: Path, kind: str = "tiny", seed: int = 0, tied: bool = False) -> Path:
    """Write a random checkpoint. kind: tiny (word-level) | idefics3 | smolvlm | qwen2_5_vl | qwen3_vl (BPE)."""
    torch.manual_seed(seed)
    tokenizer = word_tokenizer() if kind == "tiny" else bpe_tokenizer(kind.startswith("qwen"))
    build = _idefics if kind in ("tiny", "idefics3", "smolvlm") else _qwen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, images = build(kind, tokenizer, tied)
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:  # the usual 0.02 makes every logit the same; tests want answers that differ
                torch.nn.init.normal_(parameter, std=(0.5 if "embed" in name else 1.5) / parameter.shape[-1] ** 0.5)
        folder.mkdir(parents=True, exist_ok=True)
        hf_logging.disable_progress_bar()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        images.save_pretrained(folder)
    return folder


def _text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **more,
    }


def _idefics(kind: str, tokenizer: Any, tied: bool) -> tuple[Any, Any]:
    smol = kind == "smolvlm"
    config = (SmolVLMConfig if smol else Idefics3Config)(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=1 if kind == "tiny" else 2,
        tie_word_embeddings=tied,
        pad_token_id=tokenizer.pad_token_id,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
        },
        text_config=_text(tokenizer, model_type="llama", tie_word_embeddings=tied),
    )
    split = kind == "idefics3"
    images = Idefics3ImageProcessorPil(
        do_image_splitting=split,
        size={"longest_edge": 2 * SIDE if split else SIDE},
        max_image_size={"longest_edge": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return (SmolVLMForConditionalGeneration if smol else Idefics3ForConditionalGeneration)(config), images


def _qwen(kind: str, tokenizer: Any, tied: bool) -> tuple[Any, Any]:
    ids = {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    if kind == "qwen3_vl":
        vision = {
            "hidden_size": 32, "intermediate_size": 48, "depth": 3, "num_heads": 2, "patch_size": 8,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32,
            "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
        }  # fmt: skip
        text = _text(tokenizer, head_dim=8, rope_parameters=rope, tie_word_embeddings=tied)
        config = Qwen3VLConfig(vision_config=vision, text_config=text, tie_word_embeddings=tied, **ids)
        model: Any = Qwen3VLForConditionalGeneration(config)
        images = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=1024, max_pixels=16384)
        return model, images
    vision = {
        "hidden_size": 32, "intermediate_size": 48, "depth": 2, "num_heads": 2, "patch_size": 8,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32,
        "window_size": 32, "fullatt_block_indexes": [1],
    }  # fmt: skip
    text = _text(tokenizer, rope_parameters=rope, tie_word_embeddings=tied)
    config2 = Qwen2_5_VLConfig(vision_config=vision, text_config=text, tie_word_embeddings=tied, **ids)
    return Qwen2_5_VLForConditionalGeneration(config2), Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, min_pixels=1024, max_pixels=16384
    )
