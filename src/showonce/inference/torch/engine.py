"""The reference engine: the frozen model in torch, with one adapter of several sets. The only one that trains."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import DynamicCache

from showonce.config import AdapterConfig, InferenceConfig
from showonce.errors import BadInput, ShowonceError
from showonce.inference.prefixes import Prefixes
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.batching import advance, fork, width
from showonce.inference.torch.features import TorchFeatures, to_numpy
from showonce.protocols import BASE, DecodeState, EngineCapabilities, Features
from showonce.types import Observation


def load_engine(folder: Path, config: InferenceConfig, adapter: AdapterConfig | None, seed: int) -> TorchEngine:
    """Load a checkpoint folder. adapter: None = without one; seed: of LoRA's first values.

    Raises:
        ConfigError: the checkpoint cannot be loaded. Unavailable: this machine lacks the device or the dtype.
    """
    backbone = Backbone.load(folder, config.device, config.dtype)
    sets = None if adapter is None else Adapter(backbone, adapter, seed)
    return TorchEngine(backbone, sets, config.feature_cache)


@dataclass(frozen=True, eq=False)
class TorchState:
    """One row's past. length: slots in the cache; position: where the next part stands (they differ for frames).

    identity: content hash of the adapter under which it was made, the one that `version` names.
    """

    version: str
    identity: str
    length: int
    position: int
    cache: DynamicCache


class TorchEngine:
    """Frozen backbone + the sets of one adapter (None = base only). feature_cache: frames whose features are kept."""

    name = "torch"
    capabilities = EngineCapabilities(rows=True, scores=True, trains=True)

    def __init__(self, backbone: Backbone, adapter: Adapter | None = None, feature_cache: int = 512) -> None:
        self.backbone = backbone
        self.adapter = adapter
        self.tokenizer = backbone.tokenizer
        self.vocabulary = backbone.vocabulary
        self._name: str | None = None
        self._kept: OrderedDict[str, TorchFeatures] = OrderedDict()
        self._keep = feature_cache

    @property
    def fingerprint(self) -> str:
        """Hex digest of the frozen model's files."""
        return self.backbone.fingerprint

    def image_wrap(self) -> tuple[list[int], list[int]]:
        """Return the token ids that this model wants before and after the features of one frame."""
        return self.backbone.image_wrap()

    @property
    def version(self) -> str:
        """The version of the adapter in use; "base" when it is off."""
        return self.adapter.version(self._name) if self.adapter else BASE

    @property
    def identity(self) -> str:
        """Content hash of the adapter in use; equal exactly when it computes the same."""
        return self.adapter.identity(self._name) if self.adapter else BASE

    def put(self, name: str, tensors: Mapping[str, Any], version: str) -> None:
        """Replace the adapter `name` by these tensors under this version.

        Raises:
            BadInput: this engine has no adapter, or the tensors do not fit it.
        """
        if self.adapter is None:
            raise BadInput(
                "this engine was made without an adapter, so it cannot take one: load the policy with an adapter."
            )
        self.adapter.set_tensors(tensors, name, version)

    def use(self, name: str | None) -> None:
        """Choose the adapter that answers from now on; None = off.

        Raises:
            BadInput: no adapter of that name.
        """
        if name is not None and self.adapter is None:
            raise BadInput(f"this engine was made without an adapter, so {name!r} cannot be used: use None.")
        if self.adapter:
            self.adapter.version(name)
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

    def encode(self, observation: Observation) -> TorchFeatures:
        """Return the frame's features; computed once per frame."""
        return self.encode_many([observation])[0]

    def encode_many(self, observations: Sequence[Observation]) -> list[TorchFeatures]:
        """Return the features of several frames; those not known yet go through the vision tower together."""
        found = {o.hash: self._kept[o.hash] for o in observations if o.hash in self._kept}
        missing = {o.hash: o for o in observations if o.hash not in found}
        if missing:
            with torch.no_grad():
                found |= {f.key: f for f in self.backbone.encode_many(list(missing.values()))}
        for key in found:
            self._kept[key] = found[key]
            self._kept.move_to_end(key)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return [found[o.hash] for o in observations]

    def start(self) -> TorchState:
        """Return the empty state under the adapter in use."""
        return TorchState(self.version, self.identity, 0, 0, self.backbone.new_cache())

    def extend(
        self, state: DecodeState, parts: Sequence[int | Features], all_logits: bool = False
    ) -> tuple[TorchState, NDArray[np.float32]]:
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
            inputs, _ = self.backbone.assemble([parts], [state.position])
            hidden_BTd = self.backbone.forward(inputs, cache)
            logits = self.backbone.head(hidden_BTd[0] if all_logits else hidden_BTd[0, -1])
        length = state.length + inputs.embeds_BTd.shape[1]
        return TorchState(state.version, state.identity, length, state.position + advance(parts), cache), to_numpy(
            logits
        )

    def rows(self, state: DecodeState, count: int) -> TorchRows:
        """Return `count` rows that all go on from `state` and advance together.

        Raises:
            ShowonceError: the state was made under another adapter version.
        """
        return TorchRows(self, self._checked(state), count)

    def answer_logits(
        self,
        prompts: Sequence[Sequence[int | Features]],
        answers: Sequence[Sequence[int]],
        adapter: str | None,
        *,
        grad: bool = False,
        prefixes: Prefixes | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return teacher-forced logits_BTV (float32) of every answer token under the set `adapter`, and mask_BT (bool).

        logits_BTV[b, t] predicts token t of answer b from its prompt and the tokens before; right padded to the longest
        answer. grad: they can be differentiated by the adapter's trainable tensors, and LoRA's dropout is on. Without,
        and with `prefixes`, prompts that begin with the same demonstration share its keys and values.
        """
        with self.using(adapter):
            if grad or prefixes is None:
                return self._forced(prompts, answers, grad, None)
            rows: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
            for state, members, rests in prefixes.grouped(prompts):
                logits_BTV, mask_BT = self._forced(rests, [answers[i] for i in members], False, state)
                for row, i in enumerate(members):
                    rows[i] = logits_BTV[row, : int(mask_BT[row].sum())]
        logits_BTV = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths_B1 = torch.tensor([[len(a)] for a in answers], device=logits_BTV.device)
        return logits_BTV, torch.arange(logits_BTV.shape[1], device=logits_BTV.device) < lengths_B1

    def score(
        self,
        prompts: Sequence[Sequence[int | Features]],
        answers: Sequence[Sequence[int]],
        prefix: DecodeState | None = None,
    ) -> list[NDArray[np.float32]]:
        """Return logits_TV of each answer under the adapter in use. See `protocols.Engine`.

        Raises:
            ShowonceError: the prefix was made under another adapter version.
        """
        logits_BTV, _ = self._forced(prompts, answers, False, prefix)
        return [to_numpy(logits_BTV[b, : len(answer)]) for b, answer in enumerate(answers)]

    def _forced(
        self,
        prompts: Sequence[Sequence[int | Features]],
        answers: Sequence[Sequence[int]],
        grad: bool,
        prefix: DecodeState | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits_BTV (float32) of the answers under the adapter in use, and mask_BT; see `answer_logits`."""
        state = self._checked(prefix or self.start())
        rows = [[*p, *a[:-1]] for p, a in zip(prompts, answers, strict=True)]
        longest = max(len(a) for a in answers)
        with torch.set_grad_enabled(grad), self._active(training=grad):
            inputs, widths = self.backbone.assemble(rows, [state.position] * len(rows))
            if inputs.mask_BS is not None and state.length:
                past_BS = torch.ones(len(rows), state.length, dtype=torch.long, device=inputs.mask_BS.device)
                inputs = replace(inputs, mask_BS=torch.cat([past_BS, inputs.mask_BS], 1))
            cache = fork(state.cache, len(rows)) if state.length else None
            hidden_BTd = self.backbone.forward(inputs, cache)
            device = hidden_BTd.device
            steps_T = torch.arange(longest, device=device)
            first_B1 = torch.tensor([[width(p) - 1] for p in prompts], device=device)
            ends_B1 = torch.tensor(widths, device=device).unsqueeze(1) - 1
            where_BT = torch.minimum(first_B1 + steps_T, ends_B1)
            picked_BTd = hidden_BTd[torch.arange(len(rows), device=device).unsqueeze(1), where_BT]
            logits_BTV = self.backbone.head(picked_BTd).float()
        mask_BT = steps_T < torch.tensor([[len(a)] for a in answers], device=device)
        return logits_BTV, mask_BT

    def _active(self, training: bool = False) -> AbstractContextManager[None]:
        return self.adapter.using(self._name, training) if self.adapter else nullcontext()

    def _checked(self, state: DecodeState) -> TorchState:
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
    """Several rows over one cache (see `protocols.Rows`). Shorter chunks leave masked holes in the cache."""

    def __init__(self, engine: TorchEngine, state: TorchState, count: int) -> None:
        self._engine = engine
        self._state = state
        self._cache = fork(state.cache, count)
        self._positions = [state.position] * count
        self._mask_BS = torch.ones(count, state.length, dtype=torch.long, device=engine.backbone.device)

    def extend(self, chunks: Sequence[Sequence[int | Features]]) -> NDArray[np.float32]:
        """Push one chunk a row; returns logits_BV after each row's last part.

        Raises:
            ShowonceError: the adapter was changed since the rows were made.
        """
        engine, tower = self._engine, self._engine.backbone
        engine._checked(self._state)
        filled = [chunk or [0] for chunk in chunks]  # a resting row reads one token that its mask hides
        with torch.no_grad(), engine._active():
            inputs, widths = tower.assemble(filled, self._positions)
            new_BT = inputs.mask_BS if inputs.mask_BS is not None else torch.ones_like(inputs.positions_pBT[0])
            rests = torch.tensor([not chunk for chunk in chunks], device=new_BT.device)
            self._mask_BS = torch.cat([self._mask_BS, new_BT.masked_fill(rests.unsqueeze(1), 0)], 1)
            hidden_BTd = tower.forward(replace(inputs, mask_BS=self._mask_BS), self._cache)
            last = torch.tensor(widths, device=hidden_BTd.device) - 1
            logits_BV = tower.head(hidden_BTd[torch.arange(len(chunks), device=last.device), last])
        self._positions = [at + advance(chunk) for at, chunk in zip(self._positions, chunks, strict=True)]
        return to_numpy(logits_BV)
