"""An engine that says what it was told to say: for tests of everything above an engine. It cannot train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from showonce.errors import BadInput, ShowonceError
from showonce.inference.torch.features import Features
from showonce.protocols import State
from showonce.types import Observation


@dataclass(frozen=True)
class ScriptedState:
    """How far one reply is said. reply: its token ids; said: how many are; asked: the prompt was read."""

    version: str
    length: int
    reply: tuple[int, ...]
    said: int = 0
    asked: bool = False


class ScriptedEngine:
    """Replies in turn, each `start` takes the next, after the last the first again.

    replies: texts, tokenised with `tokenizer` and ended with `stop_id`. The first `extend` of a state reads the
    prompt; a beginning of the reply that the grammar forced may stand at its end. Adapters have names and versions
    and change nothing.
    """

    name = "scripted"
    trains = False

    def __init__(self, replies: Sequence[str], tokenizer: Any, stop_id: int, vocabulary: int) -> None:
        if not replies:
            raise BadInput("a scripted engine needs at least one reply.")
        self._replies = [(*tokenizer(text, add_special_tokens=False).input_ids, stop_id) for text in replies]
        self._vocabulary = vocabulary
        self._next = 0
        self._versions: dict[str | None, str] = {None: "base"}
        self._name: str | None = None

    @property
    def version(self) -> str:
        """The version of the adapter in use."""
        return self._versions[self._name]

    @property
    def identity(self) -> str:
        """Equal exactly when the adapter in use computes the same."""
        return self.version

    def put(self, name: str, tensors: Mapping[str, Any], version: str) -> None:
        """Remember the version; the tensors are not looked at."""
        self._versions[name] = version

    def use(self, name: str | None) -> None:
        """Choose an adapter.

        Raises:
            BadInput: none of that name was put.
        """
        if name not in self._versions:
            raise BadInput(f"no adapter {name!r} was put into this engine.")
        self._name = name

    @contextmanager
    def using(self, name: str | None) -> Iterator[None]:
        """Use an adapter within a block."""
        before = self._name
        self.use(name)
        try:
            yield
        finally:
            self._name = before

    def encode(self, observation: Observation) -> Features:
        """Return features that say nothing but which frame it is."""
        return Features(observation.hash, torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.long), 1)

    def encode_many(self, observations: Sequence[Observation]) -> list[Features]:
        """Return the features of several frames."""
        return [self.encode(o) for o in observations]

    def start(self) -> ScriptedState:
        """Return a state that will say the next reply."""
        reply = self._replies[self._next % len(self._replies)]
        self._next += 1
        return ScriptedState(self.version, 0, reply)

    def extend(
        self, state: State, parts: Sequence[int | Features], all_logits: bool = False
    ) -> tuple[ScriptedState, torch.Tensor]:
        """Return the state after `parts` and logits_V (logits_TV) that put everything on the reply's next token.

        Raises:
            ShowonceError: a state of another adapter version.
            BadInput: no parts.
        """
        if not isinstance(state, ScriptedState) or state.version != self.version:
            raise ShowonceError(
                f"a state of version {state.version!r} cannot be used under {self.version!r}: start again."
            )
        if not parts:
            raise BadInput("extend needs at least one token or frame.")
        said = state.said + len(parts) if state.asked else self._opening(state.reply, parts)
        after = replace(state, length=state.length + len(parts), said=said, asked=True)
        steps = range(max(said - len(parts) + 1, 0), said + 1) if all_logits else [said]
        logits = torch.full((len(parts) if all_logits else 1, self._vocabulary), -1e4)
        for row, step in enumerate(reversed(steps)):
            logits[-1 - row, state.reply[min(step, len(state.reply) - 1)]] = 0.0
        return after, logits if all_logits else logits[0]

    @staticmethod
    def _opening(reply: tuple[int, ...], parts: Sequence[int | Features]) -> int:
        """Return how many tokens at the end of a prompt already are the reply's beginning."""
        for n in range(min(len(reply), len(parts)), 0, -1):
            if tuple(parts[-n:]) == reply[:n]:
                return n
        return 0
