"""The policy of a run and its adapter: loading, checking before anything is changed, and letting a checkpoint act."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Final

from showonce.app.plan import Plan
from showonce.config import Config
from showonce.errors import BadInput, CheckpointCorrupt
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.calibration import Calibration
from showonce.learning.session import identity_of
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import CANDIDATE, CHAMPION, Policy, adaptable, adapter_of, choose
from showonce.runs.adapter_place import AdapterPlace, adapter_place, find_adapter

_LOADING: Final = threading.Lock()  # an adapter's first values are drawn from torch's one generator of the process


def policy_for(config: Config) -> VLMPolicy:
    """Load the model with a fresh adapter. Raises as `load_policy`. Safe on several threads."""
    with _LOADING:
        return load_policy(config)


def open_store(place: AdapterPlace, policy: Policy, readonly: bool = False) -> AdapterStore:
    """Open an adapter store for a policy, a new one where there is none.

    Raises:
        StoreLocked: a live process has it. StoreError: it belongs to another model.
    """
    store, adapter = AdapterStore(place.root, place.name, identity_of(policy), readonly=readonly), adapter_of(policy)
    store.scale = None if adapter is None else adapter.scale
    return store


def check_adapter(plan: Plan, policy: Policy) -> None:
    """Check that the adapter which a config names can be used, before anything is made or changed.

    Raises:
        BadInput: there is none at that path, or it does not fit the model.
        StoreError: a live process has it, it is of another model, or it is not there (and nothing is to be learned).
        CheckpointCorrupt: no version of it that may act is whole.
    """
    config = plan.config
    adapter = adapter_of(policy)
    if adapter is None or (config.adapter == "auto" and not config.resume):
        return
    path = Path(config.adapter).expanduser()
    if config.adapter != path.name and not path.exists():
        raise BadInput(
            f"adapter={config.adapter}: there is no such folder. Name an adapter of {config.output.adapters}/, a "
            "folder of an adapter, auto or none."
        )
    place = adapter_place(config, Path(config.resume))
    assert place is not None, "adapter=none leaves the policy without an adapter"
    if place.outside is not None:
        adapter.load(place.outside, CANDIDATE)
    named = config.adapter != "auto" and place.outside is None
    if (named and not plan.learning) or place.exists:
        with open_store(place, policy, readonly=True) as store:
            if plan.learning:
                store.check_free()
            _check_whole(store, plan.learning)


def _check_whole(store: AdapterStore, learning: bool) -> None:
    """Check that the champion of a store is whole, or (where something learns: it mends the store) another version.

    Raises:
        StoreError: the store is empty, and nothing learns. CheckpointCorrupt: none is whole.
    """
    champion = store.champion
    if champion is None and learning:
        return
    try:
        store.load()
    except CheckpointCorrupt:
        for version in store.candidates(exclude=(champion or "",)) if learning else ():
            with contextlib.suppress(CheckpointCorrupt):
                store.verify(version)
                return
        raise


def act_with_adapter(plan: Plan, policy: Policy) -> Path | None:
    """Let the adapter that a config names act without learning. Returns the folder it was read from; None = no file.

    Raises:
        StoreError: the store is empty. CheckpointCorrupt: its champion is not whole.
    """
    place, adapter = plan.adapter, adapter_of(policy)
    if place is None or adapter is None:
        return None
    begin_with(place, policy)
    if place.outside is not None or (plan.config.adapter == "auto" and not place.folder.exists()):
        return place.outside
    with open_store(place, policy, readonly=True) as store:
        found = store.load()
        adapter.set_tensors(found.tensors, CHAMPION, found.version)
        adaptable(policy, "adapter=none").calibration = (
            Calibration.from_state(found.calibration) if found.calibration else None
        )
        choose(policy, CHAMPION)
        return store.folder(found.version)


def begin_with(place: AdapterPlace, policy: Policy) -> None:
    """Load the PEFT folder that an adapter begins with, where there is one, as candidate and champion."""
    adapter = adapter_of(policy)
    if place.outside is not None and adapter is not None:
        adapter.load(place.outside, CANDIDATE)
        adapter.copy(CANDIDATE, CHAMPION)


def champion_of_run(config: Config, run: Path, policy: Policy) -> Path:
    """Return the folder of the checkpoint that a finished run left as its champion, checked to be whole.

    Raises:
        BadInput: the run had no adapter, or it is not there any more. CheckpointCorrupt: it is not whole.
    """
    place = find_adapter(config, run)
    if place is None:
        was = adapter_place(config, run)
        if was is None:
            raise BadInput(f"{run.name} acted without an adapter.")
        raise BadInput(f"the adapter of {run.name} is not in {was.folder} any more.")
    with open_store(place, policy, readonly=True) as store:
        store.verify(store.champion or "")
        return store.folder(store.champion or "")
