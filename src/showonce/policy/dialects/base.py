"""What a dialect is: how a model family spells actions in text, both directions."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from showonce.actions import Action
from showonce.types import ParseResult

FrameSize = tuple[int, int]  # (width, height) in pixels of the frame that the policy saw


@runtime_checkable
class Dialect(Protocol):
    """One spelling of all verbs. Everything in it is generated from `actions.VERBS`; a dialect holds no state."""

    @property
    def name(self) -> str:
        """The name under which configuration asks for it."""

    def write(self, action: Action, confidence: float) -> str:
        """Return the one canonical text of an action; `confidence` in [0, 1].

        Raises:
            BadInput: a confidence outside [0, 1] or not finite.
        """

    def parse(self, text: str, frame_size: FrameSize | None = None) -> ParseResult:
        """Read an action from whatever a model wrote. Never raises: a text that is no action is a ParseFailure."""

    def describe(self) -> str:
        """Return the part of a prompt that explains the form and every verb, with one example each."""

    def examples(self) -> list[str]:
        """Return `actions.EXAMPLES` as written; each parses back to its action."""

    def grammar(self) -> str:
        """Return a Lark grammar (the variant of the `llguidance` library) of exactly what `write` can produce.

        Text arguments are limited to `MAX_GENERATED_TEXT` characters, which only binds what a model generates.
        """

    def confidence_span(self, text: str) -> tuple[int, int] | None:
        """Return (start, end) of the stated confidence's number in `text`, None where none is stated."""


MAX_GENERATED_TEXT = 200
