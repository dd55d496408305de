"""The tiny model's parts: vocabulary, tokenizer, image processor and an untrained Idefics3 of the chosen size."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

from page_words import page_vocabulary
from showonce.environments.embedded.language import app_words, vocabulary
from showonce.environments.embedded.scene import GRID, SIZE
from showonce.policy.families.tiny import EOS, FRAME_BEFORE, MARKS

SPECIAL = ("<pad>", "<bos>", EOS, "<unk>", "<image>", *FRAME_BEFORE, "<end_of_utterance>", *MARKS)
BINS = SIZE // GRID
BIN_TEXTS = tuple(f"{(GRID * i + GRID / 2) / SIZE:.3f}" for i in range(BINS))
SUFFIXES = (
    ',"y":',
    ',"confidence":',
    ',"to_x":',
    ',"to_y":',
    ',"dy":',
    "}",
)  # follow a coordinate in its token
COORDINATES = tuple(f"{b}{suffix}" for suffix in SUFFIXES for b in BIN_TEXTS)
CONFIDENCES = tuple(f"0.{c:02d}}}" for c in range(5, 100, 10))  # 0.05} .. 0.95}
VERB_PIECES = (
    *(f'{verb}","x":' for verb in ("click", "double_click", "right_click", "move", "drag", "scroll")),
    'type","text":"', 'key","keys":"', 'open","target":"', 'wait","seconds":', 'done","answer":"', 'ask","question":"',
)  # fmt: skip
PIECES = (
    '{"action":"', '","x":', ',"y":', ',"to_x":', ',"to_y":', ',"dy":', '","text":"', '","keys":"', '","target":"',
    '","seconds":', '","answer":"', '","question":"', '","confidence":', ',"confidence":', "}", '"}', "2", "3",
)  # fmt: skip
WORD_PIECES = 5  # number of tokens of an app's goal word; every tokenizer splits an unknown word into several
CHAT_TEMPLATE = (
    "{% for m in messages %}{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


@dataclass
class Shape:
    """The size of the model."""

    vision_width: int = 128
    vision_layers: int = 4
    vision_ff: int = 384
    patch: int = 16
    shuffle: int = 1
    width: int = 128
    layers: int = 6
    heads: int = 4
    ff: int = 416
    rope_theta: float = 10_000.0
    max_positions: int = 1024


def tokens() -> tuple[str, ...]:
    """Return the whole vocabulary in order; the index of a token is its id."""
    words = app_words()
    more = [piece for word in words for piece in word_pieces(word)[1:]]
    out = (*SPECIAL, *PIECES, *VERB_PIECES, *COORDINATES, *CONFIDENCES, *vocabulary(), *words, *more)
    out += tuple(w for w in page_vocabulary() if w not in set(out))  # at the end: a trained vocabulary may grow
    if len(set(out)) != len(out):
        raise ValueError("the vocabulary holds a token twice")
    return out


def word_pieces(word: str) -> tuple[str, ...]:
    """Return the tokens of an app's goal word; they belong to it alone, so that a lesson on them is specific."""
    return (word, *(f"{word}~{k}" for k in range(1, WORD_PIECES)))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer that splits text into vocabulary strings, longest first, and drops blanks."""
    vocab = {t: i for i, t in enumerate(tokens())}
    pattern = "|".join(
        "".join("\\" + c if not c.isalnum() and c != "_" else c for c in t)
        for t in sorted(vocab, key=len, reverse=True)
    )
    backend = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Replace(w, " ".join(word_pieces(w))) for w in app_words()])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(Regex(pattern), "isolated")]
    )
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token=EOS, pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=["<image>", *FRAME_BEFORE, "<end_of_utterance>"],
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def build_model(shape: Shape, seed: int) -> Idefics3ForConditionalGeneration:
    """Return a freshly initialised model; position embeddings of the vision tower start as 2-D sines."""
    torch.manual_seed(seed)
    vocab = {t: i for i, t in enumerate(tokens())}
    config = Idefics3Config(
        image_token_id=vocab["<image>"], tie_word_embeddings=False, scale_factor=shape.shuffle,
        pad_token_id=vocab["<pad>"],
        vision_config={
            "hidden_size": shape.vision_width, "intermediate_size": shape.vision_ff,
            "num_hidden_layers": shape.vision_layers,
            "num_attention_heads": shape.vision_width // 32, "image_size": SIZE, "patch_size": shape.patch,
        },
        text_config={
            "model_type": "llama", "vocab_size": len(vocab), "hidden_size": shape.width, "intermediate_size": shape.ff,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.heads,
            "max_position_embeddings": shape.max_positions, "rope_theta": shape.rope_theta,
            "tie_word_embeddings": False,
            "pad_token_id": vocab["<pad>"], "bos_token_id": vocab["<bos>"], "eos_token_id": vocab[EOS],
        },
        attn_implementation="eager",  # type: ignore[call-arg]
    )  # fmt: skip
    model = Idefics3ForConditionalGeneration(config)
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.5 / math.sqrt(parameter[0].numel()))
    torch.nn.init.normal_(model.model.text_model.embed_tokens.weight, std=0.05)
    first = vocab[COORDINATES[0]]
    for table in (model.model.text_model.embed_tokens.weight.data, model.lm_head.weight.data):
        for block in range(1, len(SUFFIXES)):  # tokens of the same coordinate start with the same embedding
            table[first + block * BINS : first + (block + 1) * BINS] = table[first : first + BINS]
    side = SIZE // shape.patch
    with torch.no_grad():
        model.model.vision_model.embeddings.position_embedding.weight.copy_(0.3 * _sines(side, shape.vision_width))
    model.generation_config.eos_token_id = vocab[EOS]
    model.generation_config.pad_token_id = vocab["<pad>"]
    return model


def _sines(side: int, width: int) -> torch.Tensor:
    quarter = width // 4
    rate = 1.0 / (50.0 ** (torch.arange(quarter) / quarter))
    angle = torch.arange(side)[:, None] * rate[None]
    one = torch.cat([angle.sin(), angle.cos()], 1)
    rows = one[:, None].expand(side, side, -1)
    columns = one[None].expand(side, side, -1)
    return torch.cat([rows, columns], 2).reshape(side * side, width)


def save(model: Idefics3ForConditionalGeneration, shape: Shape, folder: Path) -> None:
    """Write the standard Hugging Face files: config, safetensors in bfloat16, tokenizer, image processor, processor."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    images = Idefics3ImageProcessorPil(
        do_image_splitting=False, size={"longest_edge": SIZE}, max_image_size={"longest_edge": SIZE},
        image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=0,
    )  # fmt: skip
    per_frame = (SIZE // shape.patch // shape.shuffle) ** 2
    model.save_pretrained(folder)
    Idefics3Processor(images, tokenizer, image_seq_len=per_frame).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    side = {"family": "tiny", "image_seq_len": per_frame, "frame": [SIZE, SIZE]}
    (folder / "showonce.json").write_text(json.dumps(side, indent=1) + "\n")
