"""Where the adapter of a run is: beside the others, in a store of its own, or where the run was started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from showonce.config import Config
from showonce.learning.adapter_store import AdapterStore
from showonce.runs.adapter_place import AdapterPlace, adapter_place, find_adapter
from showonce.runs.folder import start_run
from showonce.versions.store import Identity


@pytest.fixture
def run(elsewhere: Path) -> Path:
    return start_run(Config(name="demo"))


def saved(place: AdapterPlace | None) -> AdapterPlace:
    assert place is not None
    with AdapterStore(place.root, place.name, Identity("adapter/tokens", "abc")) as store:
        store.promote(store.save({"rows": np.zeros((2, 2), np.float32)}))
    return place


def test_which_store_a_run_uses(run: Path) -> None:
    place = saved(adapter_place(Config(), run))
    assert place.exists
    assert adapter_place(Config(adapter="none"), run) is None
    assert adapter_place(Config(adapter="auto"), run) == AdapterPlace(Path("adapters"), run.name)
    assert adapter_place(Config(adapter="kept"), run) == AdapterPlace(Path("adapters"), "kept")
    assert adapter_place(Config(adapter=str(place.folder)), run) == place


def test_a_peft_folder_begins_a_store_named_after_the_run(run: Path) -> None:
    Path("brought").mkdir()
    assert adapter_place(Config(adapter="brought"), run) == AdapterPlace(Path("adapters"), run.name, Path("brought"))


def test_the_store_is_found_from_another_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, absolute = saved(adapter_place(Config(), run)).name, run.resolve()
    monkeypatch.chdir(tmp_path)
    found = find_adapter(Config(), absolute)
    assert found is not None and found.exists and found.name == name
    assert find_adapter(Config(adapter="none"), absolute) is None
