"""A local engine as a policy uses it: the engine protocol, frames in batches, and whether it can train."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from showonce.inference.torch.features import Features
from showonce.protocols import Engine
from showonce.types import Observation


class LocalEngine(Engine, Protocol):
    """An engine in this process. `identity` is equal exactly when the adapter in use computes the same."""

    trains: bool

    @property
    def identity(self) -> str: ...
    def encode_many(self, observations: Sequence[Observation]) -> list[Features]: ...
    def using(self, name: str | None) -> AbstractContextManager[None]: ...
