"""The general family: chat models with a chat template (Idefics3, SmolVLM, Qwen-VL), spoken to in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from showonce.errors import ConfigError
from showonce.policy.dialects.base import Dialect
from showonce.policy.prompt import draw_action
from showonce.protocols import Context
from showonce.types import Demonstration, Frame, Observation

_ROLE: Final = "You operate a computer. You see one screenshot and answer with the one next action towards the goal."
_LEARN: Final = (
    "The screen below may look different: find the same things where they are now, do not copy coordinates. "
    "Give the next action for it."
)
_DESCRIBE: Final = (
    "The mark on the screenshot shows where a person acted. In at most ten words, say what was done and to which "
    "element, without coordinates."
)
_HISTORY: Final = 5  # earlier actions that are listed
_IMAGE: Final = re.compile(r"(?:<\|vision_start\|>)?(?:<image>|<\|image_pad\|>)(?:<\|vision_end\|>)?")
_ENDINGS: Final = ("<|im_end|>", "<end_of_utterance>", "<|endoftext|>", "<|eot_id|>")

Content = list[str | Observation]


class ChatFamily:
    """Builds messages, lets the tokenizer's chat template write them, and puts the frames where it left placeholders.

    Raises:
        ConfigError: the tokenizer has no chat template.
    """

    name: Final = "chat"
    dialect: Final = "native"
    words_apart: Final = False

    def __init__(self, tokenizer: Any, dialect: Dialect) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                "the checkpoint's tokenizer has no chat template, which policy.family=chat needs: add "
                "chat_template.jinja to the checkpoint folder, or choose an instruction-tuned checkpoint."
            )
        self._tokenizer = tokenizer
        self._dialect = dialect

    def spelt(self, goal: str) -> str:
        """Return a goal as it stands in a prompt: as it was given."""
        return goal

    def prompt(self, observation: Observation, context: Context, narrations: Sequence[str], form: str) -> Content:
        """Return the prompt; a demonstration stands before the screen, with its actions drawn on its frames."""
        asked: Content = []
        if context.demonstration is not None:
            asked += self._shown(context.demonstration, narrations, form)
        asked += [
            "The screen:",
            observation,
            f"Goal: {context.goal}\nActions that changed the screen so far: {context.progress}",
        ]
        if context.history:
            done = "\n".join(self._dialect.write(action, 1.0) for action in context.history[-_HISTORY:])
            asked.append(f"Last actions:\n{done}")
        asked.append(_LEARN if context.demonstration is not None else "Give the next action.")
        return self._written(asked, system=f"{_ROLE}\n\n{self._dialect.describe()}")

    def describe(self, frame: Frame) -> Content:
        """Return the prompt that asks what was done on a demonstrated frame."""
        told = f"The action was: {type(frame.action).__name__}. {_DESCRIBE}"
        return self._written([draw_action(frame.observation, frame.action), told], system=None)

    def image_wrap(self, tokenizer: Any) -> None:
        """The architecture knows."""
        return None

    def stop_ids(self, tokenizer: Any) -> frozenset[int]:
        """Return the end token and the ends of a turn that this vocabulary has."""
        vocabulary = tokenizer.get_vocab()
        known = {vocabulary[token] for token in _ENDINGS if token in vocabulary}
        return frozenset(known | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()))

    def _shown(self, demonstration: Demonstration, narrations: Sequence[str], form: str) -> Content:
        out: Content = [f"A person showed how to do this: {demonstration.goal}"]
        for number, (frame, narration) in enumerate(zip(demonstration.frames, narrations, strict=True), 1):
            out.append(f"Step {demonstration.first + number}:")
            if form != "narrated":
                out += [draw_action(frame.observation, frame.action), self._dialect.write(frame.action, 1.0)]
            if form != "frames" and narration:
                out.append(narration)
        return out

    def _written(self, content: Content, system: str | None) -> Content:
        """Write system and user turn through the chat template, split at the image placeholders.

        Placeholders inside a text (a goal may contain anything) are taken out before, so only frames make them.
        """
        parts = [
            {"type": "image"}
            if isinstance(part, Observation)
            else {"type": "text", "text": _IMAGE.sub("", part) + "\n"}
            for part in content
        ]
        messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
        if system:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        frames = [part for part in content if isinstance(part, Observation)]
        texts = _IMAGE.split(text)
        if len(texts) != len(frames) + 1:
            raise ConfigError(
                f"the checkpoint's chat template wrote {len(texts) - 1} image placeholders for {len(frames)} frames: "
                "it is not a template for images. Choose a vision-language checkpoint."
            )
        out: Content = []
        for between, frame in zip(texts, [*frames, None], strict=True):
            out += [between] * bool(between)
            if frame is not None:
                out.append(frame)
        return out
