"""Prompts of the embedded model: the student's, the teacher's, and the one that describes a demonstrated step.

    student       FRAME <goal>click red circle<step>zero                 -> the action as JSON, then <eos>
    teacher       <demo><goal>zoka<step>zero [FRAME {action}] <is>click red circle ... </demo> student prompt
    description   FRAME <what>{action}<is>                               -> click red circle, then <eos>

A goal is in lower case and without punctuation, since the model was trained on no other. `<step>` counts the earlier
actions after which the screen changed, capped at nine. FRAME is the features of one screenshot between the wrapping
tokens of Idefics3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from showonce.actions import Action
from showonce.errors import ConfigError
from showonce.policy.dialects import Dialect, Geometry, Unit, get_dialect
from showonce.policy.dialects.base import Size
from showonce.policy.families.base import Checkpoint
from showonce.policy.families.idefics3 import seen_size
from showonce.protocols import Context
from showonce.types import Frame, Observation

GOAL: Final = "<goal>"
STEP: Final = "<step>"
DEMO: Final = "<demo>"
DEMO_END: Final = "</demo>"
WHAT: Final = "<what>"
IS: Final = "<is>"
EOS: Final = "<eos>"
MARKS: Final = (GOAL, STEP, DEMO, DEMO_END, WHAT, IS)
FRAME_BEFORE: Final = ("<fake_token_around_image>", "<global-img>")
FRAME_AFTER: Final = ("<fake_token_around_image>",)
NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_VOCABULARY: Final = 10_000  # tokens: fewer than any model has that was trained on ordinary text


def step_word(progress: int) -> str:
    """Return the number word of a progress count, capped at nine."""
    return NUMBERS[min(progress, len(NUMBERS) - 1)]


def bare(action: Action) -> str:
    """Return an action's JSON without its confidence field."""
    text = get_dialect("native").write(action, 0.5)
    return text[: text.rindex(',"confidence"')] + "}"


def plain_words(goal: str) -> str:
    """Return a goal in lower case and without punctuation."""
    return " ".join(re.sub(r"[^\w+ ]+", " ", goal.lower()).split())


class TinyFamily:
    """The embedded model. A coordinate is one token of its vocabulary, a fraction, so it has no other unit.

    Raises:
        ConfigError: another unit than fraction.
    """

    name: ClassVar[str] = "tiny"
    default_dialect: ClassVar[str] = "native"
    default_unit: ClassVar[Unit] = "fraction"
    history_frames: ClassVar[int] = 0
    words_apart: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, tokenizer: Any, dialect: Dialect, unit: Unit) -> None:
        if unit != "fraction":
            raise ConfigError(f"policy.unit={unit!r}: the embedded model writes fractions; set policy.unit=auto.")
        self._images = checkpoint.images

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Whether this is an Idefics3 with a small vocabulary that keeps every patch (published ones merge them)."""
        words = (checkpoint.config.get("text_config") or {}).get("vocab_size", _VOCABULARY)
        small = checkpoint.config.get("scale_factor") == 1 and words < _VOCABULARY
        return checkpoint.model_type == "idefics3" and small

    def geometry(self, frame: Size) -> Geometry:
        """Return how answers to a frame of this size count coordinates."""
        return Geometry("fraction", frame, seen_size(frame, self._images))

    def spelt(self, goal: str) -> str:
        """Return a goal as it stands in a prompt."""
        return plain_words(goal)

    def prompt(
        self, observation: Observation, context: Context, narrations: Sequence[str], form: str
    ) -> list[str | Observation]:
        """Return the student's prompt, or the teacher's when the context carries a demonstration."""
        parts: list[str | Observation] = []
        if context.demonstration is not None:
            parts.append(f"{DEMO}{GOAL}{self.spelt(context.demonstration.goal)}")
            for index, frame in enumerate(context.demonstration.frames):
                parts.append(f"{STEP}{step_word(context.demonstration.first + index)}")
                if form != "narrated":
                    parts += [frame.observation, bare(frame.action)]
                if form != "frames":
                    parts.append(f"{IS}{narrations[index]}")
            parts.append(DEMO_END)
        return [*parts, observation, f"{GOAL}{self.spelt(context.goal)}{STEP}{step_word(context.progress)}"]

    def describe(self, frame: Frame) -> list[str | Observation]:
        """Return the prompt that makes the frozen model describe a demonstrated step in words of goals."""
        return [frame.observation, f"{WHAT}{bare(frame.action)}{IS}"]

    def image_wrap(self, tokenizer: Any) -> tuple[list[int], list[int]]:
        """Return the token ids before and after the features of one frame."""
        return tokenizer.convert_tokens_to_ids(list(FRAME_BEFORE)), tokenizer.convert_tokens_to_ids(list(FRAME_AFTER))

    def stop_ids(self, tokenizer: Any) -> set[int]:
        """Return the ids that end an answer."""
        return {tokenizer.convert_tokens_to_ids(EOS)}
