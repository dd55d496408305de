"""The reference engine: the frozen model in torch, with adapters. The only one that trains."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from transformers.cache_utils import DynamicCache

from showonce.errors import BadInput, ShowonceError
from showonce.inference.torch.batching import Tower, advance, assemble, fork, width
from showonce.inference.torch.features import Features
from showonce.protocols import BASE, State
from showonce.types import Observation


class Adapters(Protocol):
    """The adapters as an engine needs them; `policy.adapter.Adapter` is one."""

    def version(self, name: str | None) -> str: ...
    def identity(self, name: str | None) -> str: ...
    def using(self, name: str | None, training: bool = False) -> AbstractContextManager[None]: ...
    def set_tensors(self, tensors: Mapping[str, Any], name: str, version: str | None = None) -> None: ...


@dataclass(frozen=True, eq=False)
class TorchState:
    """One row's past. length: slots in the cache; position: where the next part stands (they differ for frames).

    identity: the content of the adapter under which it was made, which `version` names.
    """

    version: str
    identity: str
    length: int
    position: int
    cache: DynamicCache


class TorchEngine:
    """Frozen backbone + named adapters. feature_cache: frames whose features are kept.

    `using` chooses the adapter for a block; every state carries the version it was made under and is refused under
    another one.
    """

    name = "torch"
    trains = True

    def __init__(self, tower: Tower, adapters: Adapters | None = None, feature_cache: int = 512) -> None:
        self.tower = tower
        self.adapters = adapters
        self._name: str | None = None
        self._kept: OrderedDict[str, Features] = OrderedDict()
        self._keep = feature_cache

    @property
    def version(self) -> str:
        """The version of the adapter in use; "base" when it is off."""
        return self.adapters.version(self._name) if self.adapters else BASE

    @property
    def identity(self) -> str:
        """What the adapter in use contains; equal exactly when it computes the same."""
        return self.adapters.identity(self._name) if self.adapters else BASE

    def put(self, name: str, tensors: Mapping[str, Any], version: str) -> None:
        """Replace the adapter `name` by these tensors under this version.

        Raises:
            BadInput: this engine has no adapters.
        """
        if self.adapters is None:
            raise BadInput(
                "this engine was made without adapters, so it cannot take one: load the policy with an adapter."
            )
        self.adapters.set_tensors(tensors, name, version)

    def use(self, name: str | None) -> None:
        """Choose the adapter that answers from now on; None = off.

        Raises:
            BadInput: no adapter of that name.
        """
        if name is not None and self.adapters is None:
            raise BadInput(f"this engine was made without adapters, so {name!r} cannot be used: use None.")
        if self.adapters:
            self.adapters.version(name)
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
        """Return the frame's features; computed once per frame."""
        return self.encode_many([observation])[0]

    def encode_many(self, observations: Sequence[Observation]) -> list[Features]:
        """Return the features of several frames; those not known yet go through the vision tower together."""
        found = {o.hash: self._kept[o.hash] for o in observations if o.hash in self._kept}
        missing = {o.hash: o for o in observations if o.hash not in found}
        if missing:
            with torch.no_grad():
                found |= {f.key: f for f in self.tower.encode_many(list(missing.values()))}
        for key in found:
            self._kept[key] = found[key]
            self._kept.move_to_end(key)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return [found[o.hash] for o in observations]

    def start(self) -> TorchState:
        """Return the empty state under the adapter in use."""
        return TorchState(self.version, self.identity, 0, 0, self.tower.new_cache())

    def extend(
        self, state: State, parts: Sequence[int | Features], all_logits: bool = False
    ) -> tuple[TorchState, torch.Tensor]:
        """Read `parts` on top of `state`. Returns a new state and logits_V of the last position (logits_TV: of all).

        Raises:
            ShowonceError: the state was made under another adapter version.
            BadInput: no parts.
        """
        state = self._checked(state)
        if not parts:
            raise BadInput("extend needs at least one token or frame.")
        cache = fork(state.cache)
        with torch.no_grad(), self._active():
            inputs, _ = assemble(self.tower, [parts], [state.position])
            hidden_BTd = self.tower.forward(inputs, cache)
            logits = self.tower.head(hidden_BTd[0] if all_logits else hidden_BTd[0, -1])
        length = state.length + inputs.embeds_BTd.shape[1]
        return TorchState(state.version, state.identity, length, state.position + advance(parts), cache), logits

    def rows(self, state: State, count: int) -> TorchRows:
        """Return `count` rows that all go on from `state` and advance together.

        Raises:
            ShowonceError: the state was made under another adapter version.
        """
        return TorchRows(self, self._checked(state), count)

    def score(
        self,
        prompts: Sequence[Sequence[int | Features]],
        answers: Sequence[Sequence[int]],
        grad: bool = False,
        prefix: State | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits_BTV (float32) of every answer token given its prompt and the tokens before it, and mask_BT.

        Right padded to the longest answer; with `grad` they can be differentiated by the adapter's tensors. prefix: a
        state that all prompts go on from (it holds no gradient).

        Raises:
            ShowonceError: the prefix was made under another adapter version.
        """
        state = self._checked(prefix or self.start())
        rows = [[*p, *a[:-1]] for p, a in zip(prompts, answers, strict=True)]
        longest = max(len(a) for a in answers)
        with torch.set_grad_enabled(grad), self._active(training=grad):
            inputs, widths = assemble(self.tower, rows, [state.position] * len(rows))
            if inputs.mask_BS is not None and state.length:
                past_BS = torch.ones(len(rows), state.length, dtype=torch.long, device=inputs.mask_BS.device)
                inputs = replace(inputs, mask_BS=torch.cat([past_BS, inputs.mask_BS], 1))
            cache = fork(state.cache, len(rows)) if state.length else None
            hidden_BTd = self.tower.forward(inputs, cache)
            device = hidden_BTd.device
            steps_T = torch.arange(longest, device=device)
            first_B1 = torch.tensor([[width(p) - 1] for p in prompts], device=device)
            ends_B1 = torch.tensor(widths, device=device).unsqueeze(1) - 1
            where_BT = torch.minimum(first_B1 + steps_T, ends_B1)
            picked_BTd = hidden_BTd[torch.arange(len(rows), device=device).unsqueeze(1), where_BT]
            logits_BTV = self.tower.head(picked_BTd).float()
        mask_BT = steps_T < torch.tensor([[len(a)] for a in answers], device=device)
        return logits_BTV, mask_BT

    def _active(self, training: bool = False) -> AbstractContextManager[None]:
        return self.adapters.using(self._name, training) if self.adapters else nullcontext()

    def _checked(self, state: State) -> TorchState:
        if not isinstance(state, TorchState):
            raise ShowonceError(
                f"the torch engine cannot go on from a {type(state).__name__}: states stay with their engine."
            )
        if state.identity != self.identity:
            raise ShowonceError(
                f"a decoding state of adapter version {state.version!r} cannot be used under {self.version!r}: "
                "start a new one."
            )
        return state


class TorchRows:
    """Several rows over one cache (see `decode.Rows`). Shorter chunks leave masked holes in the cache."""

    def __init__(self, engine: TorchEngine, state: TorchState, count: int) -> None:
        self._engine = engine
        self._state = state
        self._cache = fork(state.cache, count)
        self._positions = [state.position] * count
        self._mask_BS = torch.ones(count, state.length, dtype=torch.long, device=engine.tower.device)

    def extend(self, chunks: Sequence[Sequence[int | Features]]) -> torch.Tensor:
        """Push one chunk a row; returns logits_BV after each row's last part.

        Raises:
            ShowonceError: the adapter was changed since the rows were made.
        """
        engine, tower = self._engine, self._engine.tower
        engine._checked(self._state)
        filled = [chunk or [0] for chunk in chunks]  # a resting row reads one token that its mask hides
        with torch.no_grad(), engine._active():
            inputs, widths = assemble(tower, filled, self._positions)
            new_BT = inputs.mask_BS if inputs.mask_BS is not None else torch.ones_like(inputs.positions_pBT[0])
            rests = torch.tensor([not chunk for chunk in chunks], device=new_BT.device)
            self._mask_BS = torch.cat([self._mask_BS, new_BT.masked_fill(rests.unsqueeze(1), 0)], 1)
            hidden_BTd = tower.forward(replace(inputs, mask_BS=self._mask_BS), self._cache)
            last = torch.tensor(widths, device=hidden_BTd.device) - 1
            logits_BV = tower.head(hidden_BTd[torch.arange(len(chunks), device=last.device), last])
        self._positions = [at + advance(chunk) for at, chunk in zip(self._positions, chunks, strict=True)]
        return logits_BV
