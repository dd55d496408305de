"""The common part of all chat models: messages in plain words, written by the tokenizer's chat template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from showonce.actions import Action
from showonce.errors import ConfigError
from showonce.policy.dialects.base import Dialect, Geometry, Size, Unit
from showonce.policy.families.base import Checkpoint
from showonce.policy.prompt import draw_action
from showonce.protocols import Context, Turn
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

    A subclass names its `model_types` (of config.json) and computes `seen`. images: the image processor's settings.

    Raises:
        ConfigError: the tokenizer has no chat template.
    """

    name: ClassVar[str]
    default_dialect: ClassVar[str] = "native"
    default_unit: ClassVar[Unit]
    history_frames: ClassVar[int] = 0
    words_apart: ClassVar[bool] = False
    model_types: ClassVar[tuple[str, ...]]

    def __init__(self, checkpoint: Checkpoint, tokenizer: Any, dialect: Dialect, unit: Unit) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                f"the checkpoint's tokenizer has no chat template, which the family {self.name} needs: add "
                "chat_template.jinja to the checkpoint folder, or choose an instruction-tuned checkpoint."
            )
        self.images = checkpoint.images
        self._tokenizer = tokenizer
        self._dialect = dialect
        self._unit = unit

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Whether config.json names one of the family's model types."""
        return checkpoint.model_type in cls.model_types

    def seen(self, frame: Size) -> Size:
        """Return (width, height) in pixels to which the image processor brings a frame."""
        raise NotImplementedError

    def geometry(self, frame: Size) -> Geometry:
        """Return how answers to a frame of this size count coordinates."""
        return Geometry(self._unit, frame, self.seen(frame))

    def spelt(self, goal: str) -> str:
        """Return a goal as it stands in a prompt: as it was given."""
        return goal

    def prompt(self, observation: Observation, context: Context, narrations: Sequence[str], form: str) -> Content:
        """Return the prompt: demonstrated frames with their actions drawn on them, earlier screens, the screen."""
        geometry = self.geometry((observation.width, observation.height))
        asked: Content = []
        if context.demonstration is not None:
            asked += self._shown(context.demonstration, narrations, form)
        for turn in context.history:
            if turn.frame is not None:
                asked += ["An earlier screen:", turn.frame, *self._answered(turn)]
        asked += [
            "The screen:",
            observation,
            f"Goal: {context.goal}\nActions that changed the screen so far: {context.progress}",
        ]
        if context.actions:
            done = "\n".join(self._dialect.write(action, 1.0, geometry) for action in context.actions[-_HISTORY:])
            asked.append(f"Last actions:\n{done}")
        asked.append(_LEARN if context.demonstration is not None else "Give the next action.")
        return self._written(asked, system=f"{_ROLE}\n\n{self._dialect.describe(geometry)}")

    def describe(self, frame: Frame) -> Content:
        """Return the prompt that asks what was done on a demonstrated frame."""
        told = f"The action was: {type(frame.action).__name__}. {_DESCRIBE}"
        return self._written([draw_action(frame.observation, frame.action), told], system=None)

    def image_wrap(self, tokenizer: Any) -> None:
        """Return None: the tower wraps a frame."""
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
                out += [draw_action(frame.observation, frame.action), self._spell(frame.action, frame.observation)]
            if form != "frames" and narration:
                out.append(narration)
        return out

    def _answered(self, turn: Turn) -> list[str]:
        """Return what was thought and done on an earlier screen."""
        done = self._spell(turn.action, turn.frame) if turn.action and turn.frame else turn.text
        return [text for text in (turn.thought, done) if text]

    def _spell(self, action: Action, screen: Observation) -> str:
        return self._dialect.write(action, 1.0, self.geometry((screen.width, screen.height)))

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
