"""The family protocol (one kind of model: recognition, geometry, prompts) and what a checkpoint folder states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from showonce.errors import ConfigError
from showonce.policy.dialects.base import Dialect, Geometry, Size, Unit
from showonce.protocols import Context
from showonce.types import Frame, Observation


@dataclass(frozen=True)
class Checkpoint:
    """What the files of a checkpoint folder state.

    config: config.json. images: settings of the image processor (preprocessor_config.json, or the part of
    processor_config.json), {} where the folder has none. notes: showonce.json, which few folders have; its `family`
    overrides what would be recognised.
    """

    config: Mapping[str, Any]
    images: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type", ""))

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read a folder of Hugging Face files.

        Raises:
            ConfigError: one of these files is no JSON object.
        """
        images = _object(folder / "preprocessor_config.json")
        images = images or _object(folder / "processor_config.json").get("image_processor", {})
        return cls(_object(folder / "config.json"), images, _object(folder / "showonce.json"))


def _object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; {} where there is no file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): download the model again.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no JSON object: download the model again.")
    return data


class Family(Protocol):
    """One kind of model, made for one checkpoint.

    A prompt is a list: strings are tokenised without added special tokens, an Observation becomes its features
    between the tokens of `image_wrap`. It ends where the answer begins.

    default_dialect, default_unit: used where the configuration says auto. history_frames: how many of the latest
    earlier frames of an episode `Context.history` has to carry. words_apart: every token of a narration is a word of
    its own, to be set apart by blanks.
    """

    name: ClassVar[str]
    default_dialect: ClassVar[str]
    default_unit: ClassVar[Unit]
    history_frames: ClassVar[int]
    words_apart: ClassVar[bool]

    def __init__(self, checkpoint: Checkpoint, tokenizer: Any, dialect: Dialect, unit: Unit) -> None: ...

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Whether this is the family of a checkpoint."""

    def geometry(self, frame: Size) -> Geometry:
        """Return how answers to a frame of this size (width, height in pixels) count coordinates."""

    def spelt(self, goal: str) -> str:
        """Return a goal as it stands in a prompt."""

    def prompt(
        self, observation: Observation, context: Context, narrations: Sequence[str], form: str
    ) -> list[str | Observation]:
        """Return the prompt for one screen. context.demonstration None = the student's view, else the teacher's.

        Demonstrated frames come first, then frames of `context.history`, then the screen. narrations: one text per
        demonstrated frame, "" where there is none. form: narrated (no demonstrated frames) | frames (no narrations) |
        frames_narrated.
        """

    def image_wrap(self, tokenizer: Any) -> tuple[list[int], list[int]] | None:
        """Return the token ids before and after the features of a frame; None = as the architecture has it."""

    def describe(self, frame: Frame) -> list[str | Observation] | None:
        """Return the prompt by which the frozen model narrates a demonstrated step; None = it cannot."""

    def stop_ids(self, tokenizer: Any) -> AbstractSet[int]:
        """Return the tokens that end an answer."""
