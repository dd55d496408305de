"""The adapter store: tensors and training state go in as files and come back; stores of older versions open."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.refusals import refused

from showonce.config import RatchetConfig
from showonce.errors import DiskError
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.gate.calibration import Calibration
from showonce.learning.practice.buffer import ScreenBuffer
from showonce.learning.ratchet.canary_screens import load_canaries
from showonce.learning.ratchet.promotion import Ratchet
from showonce.versions.store import Identity

IDENTITY = Identity("adapter/tokens", "backbone-1")
TASK = "app/dev/single/0"
OLD = Path(__file__).parents[1] / "data" / "store_2026_11"  # made by the code of November 2026, before versions/


def tensors(value: float) -> dict[str, np.ndarray]:
    return {"delta": np.full((2, 3), value, dtype=np.float32)}


def test_everything_saved_comes_back_after_reopening(tmp_path: Path) -> None:
    calibration = Calibration()
    calibration.add(0.7, True)
    optimiser = {"delta.step": np.array(3.0), "delta.exp_avg": np.ones(4)}
    with AdapterStore(tmp_path, "chores", IDENTITY) as store:
        assert store.champion is None
        version = store.save(
            tensors(1), optimiser=optimiser, ema=tensors(2), calibration=calibration.state,
            counters={"updates": 7, "big": 2**100}, probes={TASK: (19, 20)}, sources=["demo-1"],
        )  # fmt: skip
    with AdapterStore(tmp_path, "chores", IDENTITY) as store:
        found = store.load()
    assert found.version == version == "v0000" == store.champion
    assert np.array_equal(found.tensors["delta"], tensors(1)["delta"])
    assert found.ema is not None
    assert np.array_equal(found.ema["delta"], tensors(2)["delta"])
    assert np.array_equal(found.optimiser["delta.exp_avg"], np.ones(4))
    assert Calibration.from_state(found.calibration).state == calibration.state
    assert found.counters == {"updates": 7, "big": 2**100}
    assert found.probes == {TASK: (19, 20)}


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = AdapterStore(tmp_path, "chores", IDENTITY)
    store.save(tensors(0))
    before = (store.path / "state.json").read_bytes()

    class Full(dict):  # type: ignore[type-arg]
        def items(self):  # type: ignore[no-untyped-def]
            raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match="disk is full"):
        store.save(Full({"delta": np.ones(2)}))
    assert store.versions() == ["v0000"]
    assert (store.path / "state.json").read_bytes() == before
    assert sorted(p.name for p in (store.path / "versions").iterdir()) == ["v0000"]
    store.close()


def test_errors_name_the_command_that_helps(tmp_path: Path) -> None:
    with AdapterStore(tmp_path, "chores", IDENTITY) as store:
        for value in range(2):
            store.save(tensors(value))
        store.quarantine(["v0001"], "bad")
        with refused("store.quarantined", "`showonce rollback chores --readmit v0001"):
            store.promote("v0001")
        (store.folder("v0001") / "adapter.safetensors").write_bytes(b"")
        with refused("store.corrupt", "`showonce rollback chores --to v0000 output.adapters="):
            store.load("v0001")


# ------------------------------------------------------------------------------------------ a store of the old code


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a copy of the committed store, with the lock file that a killed owner of that time left."""
    shutil.copytree(OLD / "chores", tmp_path / "chores")
    owner = {"pid": 2**22 + 7, "started": 1.0, "host": socket.gethostname(), "command": "showonce run", "since": 2.0}
    (tmp_path / "chores" / "lock.json").write_text(json.dumps(owner))
    return tmp_path


EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text())


def test_a_store_of_november_2026_opens_and_nothing_is_lost(old: Path) -> None:
    with AdapterStore(old, "chores", Identity(**EXPECTED["identity"])) as store:
        assert store.taken_over_from is not None and store.taken_over_from.command == "showonce run"
        assert store.champion == EXPECTED["champion"]
        assert {one.version for one in store.list_versions()} == set(EXPECTED["versions"])
        for one in store.list_versions():
            wanted, found = EXPECTED["versions"][one.version], store.load(one.version)
            assert content_hash(found.tensors) == wanted["hash"]
            assert found.counters["updates"] == wanted["updates"]
            assert found.probes == {task: tuple(counts) for task, counts in wanted["probes"].items()}
            assert (one.champion, one.pinned, one.quarantined) == (
                wanted["champion"], wanted["pinned"], wanted["quarantined"],
            )  # fmt: skip
        assert sorted(store.ledger.quarantined_sources) == EXPECTED["quarantined_sources"]
        assert store.ledger.updates_run("a-run") == EXPECTED["updates_run"]
        assert Ratchet(RatchetConfig(), store).standing("board/light-red") is not None
        assert len(ScreenBuffer.load(store.path / "screens")) == EXPECTED["screens"]
        assert load_canaries(store.path / "canaries")


def test_a_store_of_november_2026_goes_on(old: Path) -> None:
    with AdapterStore(old, "chores") as store:
        with refused("store.quarantined"):
            store.promote("v0003")
        store.readmit(["v0003"])
        assert "episode-9b12bc47" not in store.ledger.quarantined_sources
        assert store.save(store.load().tensors, sources=["demo"]) == "v0004"
        store.promote("v0004")
        move = store.rollback_to("v0000", "by hand")
        assert (move.new, move.quarantined) == ("v0000", ("v0002", "v0003", "v0004"))
        assert store.load().version == "v0000"
    assert not (old / "chores" / "lock.json").exists()


def test_a_version_acts_the_same_under_another_lora_scale(tmp_path: Path) -> None:
    """B takes up the ratio of both scales, Adam's moments of B its inverse; A and token rows stay as they are."""
    saved = {"lora.m.A": torch.ones(2, 3), "lora.m.B": torch.ones(3, 2), "tokens.7": torch.ones(3)}
    moments = {f"{key}.{name}": torch.ones(2) for key in saved for name in ("exp_avg", "exp_avg_sq", "step")}
    with AdapterStore(tmp_path, "chores", IDENTITY) as store:
        store.scale = 2.0
        store.save(saved, optimiser=moments, ema=saved)
        same = store.load("v0000")
        assert content_hash(same.tensors) == content_hash(saved) and same.optimiser is not None
        assert content_hash(same.optimiser) == content_hash(moments)
        store.scale = 4.0
        other = store.load("v0000")
        assert other.optimiser is not None and other.ema is not None
        for found in (other.tensors, other.ema):
            assert {key: float(t.max()) for key, t in found.items()} == {
                "lora.m.A": 1.0, "lora.m.B": 0.5, "tokens.7": 1.0,
            }  # fmt: skip
        changed = {key: float(t.max()) for key, t in other.optimiser.items() if t.max() != 1}
        assert changed == {"lora.m.B.exp_avg": 2.0, "lora.m.B.exp_avg_sq": 4.0}
        store.scale = None
        assert content_hash(store.load("v0000").tensors) == content_hash(saved)
