"""An engine without torch that answers with given texts: for what stands above an engine that cannot train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from showonce.config import AdapterConfig, InferenceConfig
from showonce.errors import BadInput, Unavailable
from showonce.protocols import BASE, DecodeState, EngineCapabilities, Features, Rows
from showonce.types import Observation

CLICK = '{"action":"click","x":0.312,"y":0.688,"confidence":0.75}'


@dataclass(frozen=True)
class ScriptedFeatures:
    """Features that say nothing but which frame it is."""

    key: str
    seen: tuple[int, int]
    span: int = 1

    def __len__(self) -> int:
        return 1

    @property
    def pooled_d(self) -> NDArray[np.float32]:
        return np.ones(1, np.float32)


@dataclass(frozen=True)
class ScriptedState:
    """How far one reply is said. reply: its token ids; said: how many are; asked: the prompt was read."""

    version: str
    length: int
    reply: tuple[int, ...]
    said: int = 0
    asked: bool = False


class ScriptedEngine:
    """Each `start` takes the next reply, after the last the first again. It has no adapter.

    The first `extend` of a state reads the prompt; a beginning of the reply that the grammar forced may stand at its
    end.
    """

    name = "scripted"
    capabilities = EngineCapabilities()
    adapter = None
    fingerprint = "scripted"
    version = identity = BASE

    def __init__(self, replies: Sequence[str], tokenizer: Any) -> None:
        self.tokenizer, self.vocabulary = tokenizer, len(tokenizer)
        stop = tokenizer.eos_token_id
        self._replies = [(*tokenizer(text, add_special_tokens=False).input_ids, stop) for text in replies]
        self._next = 0

    def put(self, name: str, tensors: Mapping[str, Any], version: str) -> None:
        raise BadInput("a scripted engine has no adapter.")

    def use(self, name: str | None) -> None:
        if name is not None:
            raise BadInput("a scripted engine has no adapter.")

    @contextmanager
    def using(self, name: str | None) -> Iterator[None]:
        self.use(name)
        yield

    def image_wrap(self) -> tuple[list[int], list[int]]:
        return [3], [3]

    def encode(self, observation: Observation) -> ScriptedFeatures:
        return ScriptedFeatures(observation.hash, (observation.width, observation.height))

    def encode_many(self, observations: Sequence[Observation]) -> list[ScriptedFeatures]:
        return [self.encode(o) for o in observations]

    def start(self) -> ScriptedState:
        reply = self._replies[self._next % len(self._replies)]
        self._next += 1
        return ScriptedState(self.version, 0, reply)

    def extend(
        self, state: DecodeState, parts: Sequence[int | Features], all_logits: bool = False
    ) -> tuple[ScriptedState, NDArray[np.float32]]:
        assert isinstance(state, ScriptedState)
        said = state.said + len(parts) if state.asked else self._opening(state.reply, parts)
        logits_V = np.full(self.vocabulary, -1e4, np.float32)
        logits_V[state.reply[min(said, len(state.reply) - 1)]] = 0.0
        return replace(state, length=state.length + len(parts), said=said, asked=True), logits_V

    def rows(self, state: DecodeState, count: int) -> Rows:
        raise Unavailable("a scripted engine answers one prompt at a time.")

    def score(self, *args: Any, **more: Any) -> list[NDArray[np.float32]]:
        raise Unavailable("a scripted engine has no scores.")

    @staticmethod
    def _opening(reply: tuple[int, ...], parts: Sequence[int | Features]) -> int:
        """Return how many tokens at the end of a prompt already are the reply's beginning."""
        for n in range(min(len(reply), len(parts)), 0, -1):
            if tuple(parts[-n:]) == reply[:n]:
                return n
        return 0


def make(folder: Path, config: InferenceConfig, adapter: AdapterConfig | None, seed: int) -> ScriptedEngine:
    """What a config names as inference.backend=tests.scripted_engine:make."""
    from tests.tinyfactory import word_tokenizer

    return ScriptedEngine([CLICK], word_tokenizer())


def make_nothing(*_: Any) -> object:
    return object()
