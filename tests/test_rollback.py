"""Moving a run's adapter back by hand, on a real store."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from showonce.config import Config
from showonce.errors import BadInput, StoreError, StoreLocked
from showonce.learning.store import STORE, AdapterStore, Identity
from showonce.rollback import list_checkpoints, roll_back
from showonce.runs import CONFIG, adapter_store, find_store, start_run
from showonce.runs import STORE as STORE_OF_RUNS
from showonce.runtime.events import read_events
from showonce.settings import load_config

IDENTITY = Identity("adapter/tokens", "abc")


def console() -> Console:
    return Console(width=160, record=True, file=io.StringIO())


def learned(run: Path, versions: int = 3) -> tuple[Path, str]:
    place = adapter_store(Config(), run)
    assert place is not None
    with AdapterStore(*place, IDENTITY) as store:
        for number in range(versions):
            store.promote(store.save({"rows": np.full((2, 2), number, np.float32)}))
        store.ledger.record_probe("v0000", "app/dev/single/0", True)
    return place


@pytest.fixture
def run(elsewhere: Path) -> Path:
    return start_run(Config(name="demo"))


def test_a_run_without_checkpoints_says_so(run: Path, elsewhere: Path) -> None:
    out = console()
    assert list_checkpoints(run, out) == 0
    assert "has no checkpoints" in out.export_text()
    with pytest.raises(BadInput, match="no checkpoints to go back to"):
        roll_back(run, "v0000")
    bare = start_run(Config(name="bare", adapter="none"))
    assert list_checkpoints(bare, console()) == 0


def test_the_list_shows_champion_and_probes(run: Path) -> None:
    learned(run)
    out = console()
    assert list_checkpoints(run, out) == 0
    lines = {line.split()[1]: line for line in out.export_text().splitlines() if "v000" in line}
    assert set(lines) == {"v0000", "v0001", "v0002"}
    assert "champion" in lines["v0002"] and "champion" not in lines["v0000"]
    assert "app/dev/single/0 1/1" in lines["v0000"]


@pytest.mark.parametrize("to", ["v0001", "1"])
def test_moving_back_changes_the_champion_and_leaves_an_event(run: Path, to: str) -> None:
    place = learned(run)
    out = console()
    assert roll_back(run, to, out) == 0
    assert "v0002 -> v0001. Put aside until re-admitted: v0002." in out.export_text()
    with AdapterStore(*place, readonly=True) as store:
        assert store.champion == "v0001"
    events, _ = read_events(run / "events.jsonl")
    assert [(event["kind"], event.get("new")) for event in events] == [("rollback", "v0001"), ("quarantine", None)]
    assert list_checkpoints(run, out) == 0
    assert "quarantined" in out.export_text()


def test_going_to_where_one_is_changes_nothing(run: Path) -> None:
    learned(run)
    out = console()
    assert roll_back(run, "v0002", out) == 0
    assert "nothing was changed" in out.export_text()


def test_an_unknown_checkpoint_is_refused(run: Path) -> None:
    place = learned(run)
    for wrong in ("v0009", "nine"):
        with pytest.raises(StoreError):
            roll_back(run, wrong)
    with AdapterStore(*place, readonly=True) as store:
        assert store.champion == "v0002"


def test_a_store_in_use_is_refused(run: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    root, name = learned(run)
    with AdapterStore(root, name):
        done = python("-m", "showonce", "rollback", "latest", "--to", "1")
    assert done.returncode == StoreLocked.exit_code
    assert str(os.getpid()) in done.stderr


def test_the_store_is_found_from_another_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, name = learned(run)
    absolute = run.resolve()
    monkeypatch.chdir(tmp_path)
    found = find_store(load_config(absolute / CONFIG), absolute)
    assert found is not None and (found[0] / name / STORE).is_file() and STORE == STORE_OF_RUNS


def test_which_store_a_run_uses(run: Path) -> None:
    place = learned(run)
    assert adapter_store(Config(adapter="none"), run) is None
    assert adapter_store(Config(adapter="auto"), run) == (Path("adapters"), run.name)
    assert adapter_store(Config(adapter="kept"), run) == (Path("adapters"), "kept")
    assert adapter_store(Config(adapter=str(place[0] / place[1])), run) == place


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
