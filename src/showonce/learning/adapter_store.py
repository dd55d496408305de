"""The adapter store: versions of one adapter, with everything that is needed to go on training from each of them.

    adapters/NAME/versions/v0007/
      adapter.safetensors   the learned tensors
      extras.safetensors    tensors of optimiser and EMA, where there are any
      checkpoint.json       the rest of optimiser and EMA, the calibration map, the learner's counters (see `packing`)

Everything else (champion, evidence, quarantine, rollback, lock) is `versions.store.VersionStore`. torch is imported
only to read tensors that were saved as torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from showonce.learning import packing
from showonce.versions.checkpoints import Content
from showonce.versions.ledger import Counts
from showonce.versions.store import VersionStore

TENSORS: Final = "adapter.safetensors"
EXTRAS: Final = "extras.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """One loaded version: tensors by key, and what was saved with them. probes: see `Ledger.probes`."""

    version: str
    tensors: dict[str, Any]
    optimiser: dict[str, Any] | None = None
    ema: dict[str, Any] | None = None
    calibration: Any = None
    counters: dict[str, Any] = field(default_factory=dict)
    probes: Counts = field(default_factory=dict)


class AdapterStore(VersionStore):
    """See `VersionStore`. Identity: kind "adapter/tokens", "adapter/lora" ..., and the backbone's fingerprint."""

    noun: ClassVar[str] = "adapter store"
    base: ClassVar[str] = "backbone"
    scale: float | None = None
    """Alpha / rank of the LoRA layers that tensors come from and go to (set by who opens the store). A version is
    saved with it and loaded so that it acts the same under another; None: as saved."""

    def save(
        self,
        tensors: Mapping[str, Any],
        *,
        optimiser: Mapping[str, Any] | None = None,
        ema: Mapping[str, Any] | None = None,
        calibration: Any = None,
        counters: Mapping[str, Any] | None = None,
        probes: Mapping[str, tuple[int, int]] | None = None,
        sources: Iterable[str] = (),
    ) -> str:
        """Write a new version and return its name; see `VersionStore.save_files` for probes, sources and errors.

        tensors, ema, optimiser: torch tensors or numpy arrays by key. calibration, counters: plain data.

        Raises:
            StoreError: a value that cannot be stored.
        """
        state = {"optimiser": optimiser, "ema": None if ema is None else dict(ema), "calibration": calibration}
        skeleton, extras = packing.pack({**state, "counters": dict(counters or {})})
        files: dict[str, Content] = {TENSORS: lambda path: packing.write_tensors(path, tensors)}
        if extras:
            files[EXTRAS] = lambda path: packing.write_tensors(path, extras)
        return self.save_files(
            files, details={"extras": skeleton, "lora_scale": self.scale}, probes=probes, sources=sources
        )

    def load(self, version: str | None = None) -> Checkpoint:
        """Read a version (default: the champion), after its hashes were compared; errors as `load_files`."""
        found = self.load_files(version)
        extras = packing.read_tensors(found.files[EXTRAS]) if EXTRAS in found.files else {}
        state = packing.unpack(found.details["extras"], extras)
        loaded = Checkpoint(found.version, packing.read_tensors(found.files[TENSORS]), probes=found.probes, **state)
        return _rescaled(loaded, found.details.get("lora_scale"), self.scale)

    def command(self, option: str, version: str) -> str:
        """Return the command line by which a person applies `option` (--to, --readmit) to a version of this store."""
        place = "" if self.path.parent == Path("adapters") else f" output.adapters={self.path.parent}"
        return f"`showonce rollback {self.name} {option} {version}{place}`"


def _rescaled(found: Checkpoint, saved: float | None, now: float | None) -> Checkpoint:
    """Return a version saved under LoRA scale `saved` for layers with scale `now`: B, EMA and Adam's moments of B."""
    if saved is None or now is None or saved == now:
        return found
    from showonce.inference.torch.adapter_files import rescaled  # imports torch

    moments = dict(found.optimiser or {})
    for key in (k for k in moments if k.startswith("lora.")):
        if key.endswith(".B.exp_avg"):  # of the gradient of B, which changes by the inverse of B's factor
            moments[key] = moments[key] * (now / saved)
        elif key.endswith(".B.exp_avg_sq"):
            moments[key] = moments[key] * (now / saved) ** 2
    return replace(
        found,
        tensors=rescaled(found.tensors, saved, now),
        ema=None if found.ema is None else rescaled(found.ema, saved, now),
        optimiser=None if found.optimiser is None else moments,
    )
