"""The trainable part over one frozen backbone, in several named sets that share it.

LoRA matrices are PEFT's own layers. Trained token rows are showonce's own (`TokenRows`): PEFT's layer copies the whole
embedding matrix at every forward and fixes its tokens when it is made, while lessons come one after another. Both are
kept on disk in PEFT's format, so `peft.PeftModel.from_pretrained` reads what `Adapter.save` writes.

Tensor keys, everywhere: ``tokens.<id>`` (d,) one trained row; ``lora.<module path>.A`` (r, in) and ``.B`` (out, r).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer

from showonce.config import AdapterConfig
from showonce.errors import BadInput, nearest
from showonce.inference.torch.adapter_files import content_hash, lora_config, read_adapter, write_adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.token_rows import TokenRows
from showonce.protocols import BASE, CANDIDATE, CHAMPION, EMA

NAMES: Final = (CANDIDATE, CHAMPION, EMA)
_EMPTY: Final = content_hash({})


class Adapter:
    """Named sets of the same trainable tensors: "candidate", "champion", "ema". All begin equal to one another.

    token_ids: the tokens whose rows can be trained, in the order in which they were added. A new set acts exactly as
    the base does. Where the output head shares the embeddings, a trained row is the head's too, as in PEFT. Change
    tensors through this class or an optimiser (not through ``.data``), else `version` is stale.
    """

    def __init__(self, backbone: Backbone, config: AdapterConfig, seed: int = 0) -> None:
        self.backbone = backbone
        self.config = config
        self.names = NAMES
        self._rows = {name: TokenRows(backbone.embedding) for name in NAMES}
        self._layers: dict[str, LoraLayer] = {}
        self._active: str | None = None
        self._labels: dict[str, tuple[str, str]] = {}  # name -> (content hash, label)
        self._hashes: dict[str, tuple[tuple[int, int], str]] = {}  # name -> (change counters, content hash)
        if config.kind != "tokens":
            self._inject(seed)

    @property
    def kind(self) -> str:
        """tokens | lora | lora_tokens."""
        return self.config.kind

    @property
    def base(self) -> str:
        """The fingerprint of the frozen model that these tensors belong to."""
        return self.backbone.fingerprint

    @property
    def scale(self) -> float | None:
        """The factor of LoRA's B A x, alpha / rank; None where there is no LoRA."""
        return self.config.alpha / self.config.rank if self._layers else None

    @property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(self._rows[NAMES[0]].rows)

    def add_tokens(self, ids: Iterable[int]) -> tuple[int, ...]:
        """Make further embedding rows trainable in every set, equal to the base; return those that are new.

        With kind=lora there are no token rows and nothing is added.

        Raises:
            BadInput: not a token of this model.
        """
        if self.config.kind == "lora":
            return ()
        new = tuple(dict.fromkeys(i for i in ids if i not in self._rows[NAMES[0]].rows))
        for token in new:
            if not 0 <= token < self.backbone.embedding.num_embeddings:
                raise BadInput(
                    f"token {token} is not one of this model's {self.backbone.embedding.num_embeddings} tokens."
                )
            for rows in self._rows.values():
                rows.add(token)
        return new

    def parameters(self, name: str = CANDIDATE, token_ids: Sequence[int] | None = None) -> list[torch.nn.Parameter]:
        """Return the parameters for an optimiser, and make these alone trainable in the whole model.

        token_ids: only these of the rows (those of the lesson at hand), beside all LoRA matrices; None = all.
        """
        rows = self._set(name).rows
        chosen = [p for token, p in rows.items() if token_ids is None or token in token_ids]
        chosen += [p for _, p in self._lora(name)]
        for other in self.names:
            for parameter in self._tensors(other).values():
                parameter.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen

    def tensors(self, name: str = CANDIDATE) -> dict[str, torch.Tensor]:
        """Return copies (CPU, float32) by key; rows that still equal the base are left out: they are no content."""
        return {key: p.detach().float().cpu().clone() for key, p in self._content(name)}

    def set_tensors(
        self, tensors: Mapping[str, torch.Tensor], name: str = CANDIDATE, version: str | None = None
    ) -> None:
        """Replace the content in place: new rows are added, rows that are not named go back to the base.

        version: the label that `version` returns until the content changes.

        Raises:
            BadInput: keys or shapes that do not belong to this backbone and kind; nothing is changed then.
        """
        self._set(name)
        rows, lora = self._split(tensors)
        self.add_tokens(rows)
        with torch.no_grad():
            for token, parameter in self._rows[name].rows.items():
                parameter.copy_(rows.get(token, self._rows[name].base(token)))
            targets = dict(self._lora(name))
            if targets:
                sources = [lora[key].to(p.device, p.dtype) for key, p in targets.items()]
                torch._foreach_copy_(list(targets.values()), sources)
        self._labels.pop(name, None)
        if version is not None:
            self._labels[name] = (self.hash(name), version)

    def copy(self, source: str | None, target: str) -> None:
        """Make `target` bit-equal to `source`; None = to the base (LoRA's B matrices zero, rows untrained)."""
        self._set(target)
        with torch.no_grad():
            if source is None:
                for token, row in self._rows[target].rows.items():
                    row.copy_(self._rows[target].base(token))
                for key, matrix in self._lora(target):
                    if key.endswith(".B"):
                        matrix.zero_()
            elif tensors := self._tensors(target):
                torch._foreach_copy_(list(tensors.values()), list(self._tensors(source).values()))
        self._labels.pop(target, None)
        if source is not None and source in self._labels and self._labels[source][0] == self.hash(source):
            self._labels[target] = self._labels[source]

    def lerp(self, target: str, source: str, weight: float) -> None:
        """target += weight * (source - target): an EMA step of decay 1 - weight."""
        self._set(target)
        with torch.no_grad():
            if tensors := self._tensors(target):
                torch._foreach_lerp_(list(tensors.values()), list(self._tensors(source).values()), weight)

    def version(self, name: str | None) -> str:
        """Return a label given with `set_tensors`, else 12 digits of the hash; "base" for None or without content."""
        if name is None:
            return BASE
        label = self._labels.get(name)
        if label and label[0] == self.hash(name):
            return label[1]
        return self.identity(name)[:12]

    def hash(self, name: str = CANDIDATE) -> str:
        """Return the hex digest of the content, bit for bit; equal content has an equal hash whatever its history."""
        tensors = list(self._set(name).rows.values()) + [p for _, p in self._lora(name)]
        counters = (len(tensors), sum(p._version for p in tensors))
        known = self._hashes.get(name)
        if known is None or known[0] != counters:
            known = (counters, content_hash(dict(self._content(name))))
            self._hashes[name] = known
        return known[1]

    def identity(self, name: str | None) -> str:
        """Return the hash of the content ("base" for an empty set): equal exactly when two sets compute the same."""
        return BASE if name is None or self.hash(name) == _EMPTY else self.hash(name)

    @contextmanager
    def using(self, name: str | None, training: bool = False) -> Iterator[None]:
        """Use one set within a block; None = adapter off, bit-exactly the base. training: with LoRA's dropout."""
        before = self._active
        self._switch(name)
        if training and self.config.dropout > 0:
            self._drop(True)
        try:
            yield
        finally:
            self._switch(before)
            if training and self.config.dropout > 0:
                self._drop(False)

    def save(self, folder: str | Path, name: str = CANDIDATE) -> None:
        """Write a PEFT adapter folder; see `adapter_files.write_adapter`."""
        write_adapter(Path(folder), self.tensors(name), self.config, self.backbone, self.version(name))

    def load(self, folder: str | Path, name: str = CANDIDATE) -> None:
        """Read a PEFT adapter folder into one set; errors as `read`."""
        tensors, version = self.read(folder)
        self.set_tensors(tensors, name, version)

    def read(self, folder: str | Path) -> tuple[dict[str, torch.Tensor], str | None]:
        """Return the tensors of a PEFT adapter folder for these layers, and the version that it was saved as.

        Their effect is PEFT's, whatever rank and alpha the folder has; errors as `adapter_files.read_adapter` and
        `SavedAdapter.fitted`.
        """
        saved = read_adapter(Path(folder), self.base)
        layers = dict(self._lora(NAMES[0]))
        return saved.fitted(self.config, layers, self.backbone.architecture.tower), saved.version

    def _inject(self, seed: int) -> None:
        """Put LoRA layers on the language tower, once per set, all with the same first values (B = 0)."""
        config = lora_config(self.config, self.backbone)
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several sets are meant
            torch.manual_seed(seed)
            for name in NAMES:
                inject_adapter_in_model(config, self.backbone.model, name)
        for path, module in self.backbone.model.named_modules():
            if isinstance(module, LoraLayer):
                self._layers[path] = module
        if not self._layers:
            raise BadInput(f"policy.adapter.targets={self.config.targets!r} names no layer of the language tower.")
        for name in NAMES:
            for _, parameter in self._lora(name):
                parameter.data = parameter.data.float()
                parameter.requires_grad_(False)
        for name in NAMES[1:]:
            self.copy(NAMES[0], name)
        self._drop(False)
        self._switch(None)

    def _drop(self, training: bool) -> None:
        for layer in self._layers.values():
            layer.lora_dropout.train(training)

    def _switch(self, name: str | None) -> None:
        """Activate a set. PEFT's own `set_adapter` and `enable_adapters` also flip requires_grad, which a step in
        progress must keep, so its two switches are set directly."""
        self.backbone.overlay = self._set(name) if name is not None else None
        if name != self._active or name is None:
            for layer in self._layers.values():
                layer._disable_adapters = name is None
                if name is not None:
                    layer._active_adapter = [name]
        self._active = name

    def _set(self, name: str) -> TokenRows:
        if name not in self._rows:
            raise BadInput(f"no adapter {name!r}.{nearest(name, self.names)}")
        return self._rows[name]

    def _lora(self, name: str) -> Iterator[tuple[str, torch.nn.Parameter]]:
        for path, layer in self._layers.items():
            for letter, matrices in (("A", layer.lora_A), ("B", layer.lora_B)):
                weight: Any = matrices[name].weight
                yield f"lora.{path}.{letter}", weight

    def _tensors(self, name: str) -> dict[str, torch.nn.Parameter]:
        rows = {f"tokens.{token}": row for token, row in self._set(name).rows.items()}
        return rows | dict(self._lora(name))

    def _content(self, name: str) -> Iterator[tuple[str, torch.Tensor]]:
        rows = self._set(name)
        for token, row in sorted(rows.rows.items()):
            if not torch.equal(row, rows.base(token)):
                yield f"tokens.{token}", row
        yield from self._lora(name)

    def _split(self, tensors: Mapping[str, torch.Tensor]) -> tuple[dict[int, torch.Tensor], dict[str, torch.Tensor]]:
        """Check keys and shapes; return rows by token id and LoRA matrices by key."""
        rows = {int(k[7:]): t for k, t in tensors.items() if k.startswith("tokens.") and k[7:].isdigit()}
        lora = {k: t for k, t in tensors.items() if k.startswith("lora.")}
        known = dict(self._lora(NAMES[0]))
        for key in tensors:
            if not (key.startswith("tokens.") and key[7:].isdigit()) and key not in known:
                raise BadInput(
                    f"tensor {key!r} does not belong to an adapter of kind {self.config.kind!r} on this model."
                )
        if rows and self.config.kind == "lora":
            raise BadInput(
                "the adapter has token rows (trainable_token_indices): load it with policy.adapter.kind=lora_tokens."
            )
        for key, parameter in known.items():
            if key not in lora:
                raise BadInput(f"the adapter lacks {key!r}: set policy.adapter.kind and targets as when it was made.")
            if lora[key].shape != parameter.shape:
                raise BadInput(
                    f"{key!r} has shape {tuple(lora[key].shape)}, this model wants {tuple(parameter.shape)}: set "
                    "policy.adapter.rank as when it was made, or load the checkpoint that it belongs to."
                )
        for token, row in rows.items():
            if row.shape != (self.backbone.width,) or token >= self.backbone.embedding.num_embeddings:
                raise BadInput(f"token row {token} of shape {tuple(row.shape)} does not fit: it is another model's.")
        return rows, lora
