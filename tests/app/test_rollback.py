"""Moving a run's adapter back by hand, on a real store."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import events_in

from showonce.app.rollback import list_checkpoints, readmit, roll_back
from showonce.cli import main
from showonce.cli.reports import move_text
from showonce.config import Config
from showonce.errors import BadInput, CheckpointCorrupt, StoreError, StoreLocked
from showonce.learning.adapter_store import AdapterStore
from showonce.runs.adapter_place import AdapterPlace, adapter_place
from showonce.runs.folder import start_run
from showonce.versions.store import Identity

IDENTITY = Identity("adapter/tokens", "abc")


def learned(run: Path, versions: int = 3) -> AdapterPlace:
    place = adapter_place(Config(), run)
    assert place is not None
    with AdapterStore(place.root, place.name, IDENTITY) as store:
        for number in range(versions):
            store.promote(store.save({"rows": np.full((2, 2), number, np.float32)}))
        store.ledger.record_probe("v0000", "app/dev/single/0", True)
    return place


@pytest.fixture
def run(elsewhere: Path) -> Path:
    return start_run(Config(name="demo"))


def test_a_run_without_checkpoints_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_checkpoints(run).store is None
    assert main(["rollback", str(run), "--list"]) == 0
    assert "has no checkpoints" in capsys.readouterr().out
    with pytest.raises(BadInput, match="no checkpoints to go back to"):
        roll_back(run, "v0000")
    bare = start_run(Config(name="bare", adapter="none"))
    assert list_checkpoints(bare).versions == ()


def test_the_list_shows_champion_and_probes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned(run)
    assert main(["rollback", str(run), "--list"]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "v000" in line}
    assert set(lines) == {"v0000", "v0001", "v0002"}
    assert "champion" in lines["v0002"] and "champion" not in lines["v0000"]
    assert "app/dev/single/0 1/1" in lines["v0000"]


@pytest.mark.parametrize("to", ["v0001", "1"])
def test_moving_back_changes_the_champion_and_leaves_an_event(run: Path, to: str) -> None:
    place = learned(run)
    assert move_text(roll_back(run, to)).endswith("v0002 -> v0001. Put aside until re-admitted: v0002.")
    with AdapterStore(place.root, place.name, readonly=True) as store:
        assert store.champion == "v0001"
    events = events_in(run)
    assert [(event["kind"], event.get("new")) for event in events] == [("rollback", "v0001"), ("quarantine", None)]
    assert [bool(one.quarantined) for one in list_checkpoints(run).versions] == [False, False, True]


def test_going_to_where_one_is_changes_nothing(run: Path) -> None:
    learned(run)
    assert "nothing was changed" in move_text(roll_back(run, "v0002"))


def test_an_unknown_checkpoint_is_refused(run: Path) -> None:
    place = learned(run)
    for wrong in ("v0009", "nine"):
        with pytest.raises(StoreError):
            roll_back(run, wrong)
    with AdapterStore(place.root, place.name, readonly=True) as store:
        assert store.champion == "v0002"


def test_a_store_in_use_is_refused(run: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    place = learned(run)
    with AdapterStore(place.root, place.name):
        done = python("-m", "showonce", "rollback", "latest", "--to", "1")
    assert done.returncode == StoreLocked.exit_code
    assert str(os.getpid()) in done.stderr


def test_the_command_needs_no_torch(run: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    learned(run)
    code = (
        "import sys; from showonce.cli import main\n"
        "assert main(['rollback', 'latest', '--list']) == 0 and main(['rollback', 'latest', '--to', '1']) == 0\n"
        "assert main(['runs']) == 0\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "v0002 -> v0001" in done.stdout


def test_moving_to_what_was_put_aside_says_that_it_is_re_admitted(run: Path) -> None:
    place = learned(run)
    roll_back(run, "v0000")
    text = move_text(roll_back(run, "v0002"))
    assert text.endswith("v0000 -> v0002. v0002 had been put aside and is re-admitted, with its sources.")
    with AdapterStore(place.root, place.name, readonly=True) as store:
        assert set(store.ledger.quarantine) == {"v0001"}


def test_versions_and_sources_are_re_admitted_by_name(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = learned(run)
    with AdapterStore(place.root, place.name) as store:
        store.promote(store.save({"rows": np.zeros((2, 2), np.float32)}, sources=["00007-practice-x"]))
        store.rollback_to("v0000", "test", ["00008-practice-x"])
    assert main(["rollback", str(run), "--list"]) == 0
    assert "source put aside: 00008-practice-x" in capsys.readouterr().out
    with pytest.raises(StoreError, match="Did you mean 'v0003'"):
        readmit(run, ["v0001", "v0033"])
    assert main(["rollback", str(run), "--readmit", "v0003", "--readmit", "00008-practice-x"]) == 0
    with AdapterStore(place.root, place.name, readonly=True) as store:
        assert set(store.ledger.quarantine) == {"v0001", "v0002"} and not store.ledger.quarantined_sources
        assert store.champion == "v0000"
    (event,) = [e for e in events_in(run) if e["kind"] == "readmit"]
    assert event["names"] == ["00007-practice-x", "00008-practice-x", "v0003"]


def test_one_of_the_three_is_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "latest", "--list", "--to", "v0001"]) == 2
    assert "not several of them" in capsys.readouterr().err
    assert main(["rollback", "latest"]) == 2
    assert "one of them is needed" in capsys.readouterr().err


def test_what_is_not_whole_names_the_command_that_mends_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with AdapterStore("adapters", "mine", IDENTITY) as store:
        for number in range(2):
            store.promote(store.save({"rows": np.full((2, 2), number, np.float32)}))
        (store.folder("v0001") / "adapter.safetensors").write_bytes(b"x")
        with pytest.raises(CheckpointCorrupt, match="showonce rollback mine --to v0000") as caught:
            store.load()
    command = str(caught.value).split("`")[1].split()[1:]
    assert main(command) == 0
    assert "v0001 -> v0000" in capsys.readouterr().out
    assert AdapterStore("adapters", "mine", readonly=True).champion == "v0000"
