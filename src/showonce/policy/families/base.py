"""What a prompt family is: how one kind of model is told the goal, shown demonstrations and asked for an action."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from showonce.protocols import Context
from showonce.types import Frame, Observation


class Family(Protocol):
    """One way to speak to a model.

    A prompt is a list: strings are tokenised without added special tokens, an Observation becomes its features
    between the tokens of `image_wrap`. It ends where the answer begins. `dialect` names the dialect that these models
    speak unless the configuration says otherwise.
    """

    @property
    def name(self) -> str: ...
    @property
    def dialect(self) -> str: ...
    @property
    def words_apart(self) -> bool:
        """Whether every token of a narration is a word of its own, to be set apart by blanks."""

    def spelt(self, goal: str) -> str:
        """Return a goal as it stands in a prompt."""

    def prompt(
        self, observation: Observation, context: Context, narrations: Sequence[str], form: str
    ) -> list[str | Observation]:
        """Return the prompt for one screen. context.demonstration None = the student's view, else the teacher's.

        narrations: one text per demonstrated frame, "" where there is none. form: narrated (no demonstrated frames) |
        frames (no narrations) | frames_narrated.
        """

    def image_wrap(self, tokenizer: Any) -> tuple[list[int], list[int]] | None:
        """Return the token ids before and after the features of a frame; None = as the architecture has it."""

    def describe(self, frame: Frame) -> list[str | Observation] | None:
        """Return the prompt by which the frozen model narrates a demonstrated step; None = it cannot."""

    def stop_ids(self, tokenizer: Any) -> AbstractSet[int]:
        """Return the tokens that end an answer."""
