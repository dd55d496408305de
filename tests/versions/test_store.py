"""A store of versions: what is put in comes back, evidence decides what is best, and nothing bad is reached twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.refusals import refused

from showonce.stats import lower_bound
from showonce.versions.ledger import Ledger
from showonce.versions.store import Identity, Requirements, VersionStore

IDENTITY = Identity("adapter/tokens", "backbone-1")
CONTENT = "value.txt"
TASK = "app/dev/single/0"


def put(store: VersionStore, value: int, **more: Any) -> str:
    return store.save_files({CONTENT: str(value).encode()}, **more)


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    with VersionStore(tmp_path, "chores", IDENTITY) as opened:
        yield opened


def fill(store: VersionStore, *evidence: tuple[int, int]) -> list[str]:
    """Save one version per (successes, probes) of TASK; version i holds the value i."""
    return [put(store, i, probes={TASK: e} if e[1] else None) for i, e in enumerate(evidence)]


def damage(store: VersionStore, version: str) -> None:
    path = store.folder(version) / CONTENT
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_first_version_acts_and_later_ones_wait(store: VersionStore) -> None:
    first, second = fill(store, (0, 0), (0, 0))
    assert store.champion == first
    move = store.promote(second)
    assert (move.old, move.new, store.champion) == (first, second, second)
    assert [i.version for i in store.list_versions() if i.champion] == [second]


def test_wrong_names_and_wrong_models_are_refused(tmp_path: Path) -> None:
    VersionStore(tmp_path, "chores", IDENTITY).close()
    with refused("store.missing", "Did you mean 'chores'"):
        VersionStore(tmp_path, "chore")
    assert not (tmp_path / "chore").exists()
    with refused("store.identity", "base (backbone-1)", "(backbone-2)"):
        VersionStore(tmp_path, "chores", Identity("adapter/tokens", "backbone-2"))
    with refused("store.identity", "kind (adapter/tokens)"):
        VersionStore(tmp_path, "chores", Identity("adapter/lora", "backbone-1"))
    for name in ("", "../x", ".hidden", "a/b"):
        with refused("store.name"):
            VersionStore(tmp_path, name, IDENTITY)
    VersionStore(tmp_path, "chores").close()  # a refusal left no lock behind


def test_one_writer_and_any_number_of_readers(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "chores", IDENTITY) as store:
        fill(store, (5, 5))
        with refused("store.locked", str(os.getpid())):
            VersionStore(tmp_path, "chores")
        reader = VersionStore(tmp_path, "chores", readonly=True)
        assert reader.load_files().version == "v0000"
        for change in (
            lambda: put(reader, 1), lambda: reader.promote("v0000"), lambda: reader.prune(1),
            lambda: reader.rollback_to("v0000", "no"), lambda: reader.ledger.count_update("r", TASK),
        ):  # fmt: skip
            with refused("store.readonly"):
                change()


def test_a_newer_or_damaged_file_is_named(tmp_path: Path) -> None:
    VersionStore(tmp_path, "chores", IDENTITY).close()
    path = tmp_path / "chores" / "store.json"
    path.write_text(json.dumps({"schema": 99}))
    with refused("store.schema", "store.json", "99"):
        VersionStore(tmp_path, "chores")
    path.write_text("{")
    with refused("store.damaged", "store.json"):
        VersionStore(tmp_path, "chores")


def test_best_is_the_highest_lower_bound_and_needs_twenty(store: VersionStore) -> None:
    few, many, _good = fill(store, (19, 19), (95, 100), (18, 20))
    best = store.best(TASK)
    assert best is not None
    assert (best.version, best.successes, best.n) == (many, 95, 100)
    assert best.lower == pytest.approx(lower_bound(95, 100, 0.9))
    assert store.best(TASK, minimum=101) is None
    assert store.best("another task") is None
    for _ in range(3):
        store.ledger.record_probe(few, TASK, True)
    assert store.best(TASK) == store.best()
    assert store.best(TASK).version == many  # type: ignore[union-attr]
    for _ in range(40):
        store.ledger.record_probe(few, TASK, True)
    assert store.best(TASK).version == few  # type: ignore[union-attr]


def test_going_back_for_one_task_keeps_what_was_proved_on_another(store: VersionStore) -> None:
    put(store, 0, probes={"a": (20, 20)})
    both = put(store, 1, probes={"a": (19, 20), "b": (20, 20)})
    assert store.best("a").version == both  # type: ignore[union-attr]


def test_equal_evidence_prefers_the_later_version(store: VersionStore) -> None:
    _, second = fill(store, (20, 20), (20, 20))
    assert store.best(TASK).version == second  # type: ignore[union-attr]


def test_order_of_candidates_without_and_with_evidence(store: VersionStore) -> None:
    fill(store, (0, 0), (0, 0), (5, 5), (0, 0), (20, 20), (0, 2))
    assert store.candidates(TASK) == ["v0004", "v0002", "v0000", "v0005", "v0003", "v0001"]
    store.quarantine(["v0005"], "bad")
    assert store.candidates(TASK, exclude=["v0004"]) == ["v0002", "v0000", "v0003", "v0001"]


def test_a_changed_byte_is_refused_and_the_way_out_is_named(store: VersionStore) -> None:
    fill(store, (20, 20), (0, 0))
    damage(store, "v0001")
    with refused("store.corrupt", "value.txt", "v0000"):
        store.load_files("v0001")
    with refused("store.corrupt", "v0001"):
        store.promote("v0001")
    assert store.champion == "v0000"
    with refused("store.version", "v0009"):
        store.load_files("v0009")


def test_recover_skips_what_is_damaged_too(store: VersionStore) -> None:
    fill(store, (15, 20), (20, 20), (0, 0))
    store.promote("v0002")
    assert store.recover() is None
    damage(store, "v0002")
    damage(store, "v0001")
    move = store.recover()
    assert move is not None
    assert (move.old, move.new, store.champion) == ("v0002", "v0000", "v0000")
    assert CONTENT in store.ledger.quarantine["v0002"]
    damage(store, "v0000")
    with refused("store.corrupt"):
        store.recover()


def test_rollback_puts_aside_what_came_after_and_only_that(store: VersionStore) -> None:
    put(store, 0, sources=["demo-good"])
    put(store, 1, sources=["demo-good", "episode-1"])
    put(store, 2, sources=["demo-good", "demo-poison"])
    store.promote("v0002")
    move = store.rollback_to("v0000", "success fell", sources=["episode-9"])
    assert (move.old, move.new, move.quarantined) == ("v0002", "v0000", ("v0001", "v0002"))
    assert store.champion == "v0000"
    assert set(store.ledger.quarantine) == {"v0001", "v0002"}
    assert set(store.ledger.quarantined_sources) == {"episode-1", "demo-poison", "episode-9"}
    with refused("store.quarantined", "success fell"):
        store.promote("v0001")
    store.readmit(["v0001", "episode-9"])
    assert set(store.ledger.quarantined_sources) == {"demo-poison"}
    assert store.promote("v0001").new == "v0001"
    with refused("store.acting"):
        store.quarantine(["v0001"], "no")


def test_a_version_saved_after_a_rollback_gets_a_new_number(store: VersionStore) -> None:
    fill(store, (20, 20), (0, 0), (0, 0))
    store.promote("v0002")
    store.rollback_to("v0000", "fell")
    assert put(store, 9) == "v0003"
    assert "v0003" not in store.ledger.quarantine


def test_rollback_loads_no_model(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "chores", IDENTITY) as store:
        fill(store, (20, 20), (0, 0))
        store.promote("v0001")
    code = (
        "import sys; from showonce.versions.store import VersionStore; s = VersionStore(sys.argv[1], 'chores');"
        "print(s.rollback_to('v0000', 'by hand').new); s.close(); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["v0000", "False"]


def test_prune_keeps_champion_first_best_pinned_and_last(store: VersionStore) -> None:
    fill(store, (0, 20), (20, 20), (1, 20), (1, 20), (1, 20), (1, 20), (1, 20), (1, 20))
    store.promote("v0003")
    store.pin("v0002")
    assert store.prune(keep_last=2) == ["v0004", "v0005"]
    assert store.versions() == ["v0000", "v0001", "v0002", "v0003", "v0006", "v0007"]
    assert store.ledger.probes("v0004") == {}
    store.pin("v0002", False)
    assert store.prune(keep_last=0) == ["v0002", "v0006", "v0007"]
    assert put(store, 0) == "v0008"  # numbers are never used again


def test_pruned_good_versions_still_vouch_for_their_sources(store: VersionStore) -> None:
    for sources in (["a"], ["b"], ["c"], ["b", "d"]):
        put(store, 0, sources=sources)
    store.promote("v0002")
    assert store.prune(keep_last=1) == ["v0001"]
    store.promote("v0003")
    store.rollback_to("v0002", "fell")
    assert set(store.ledger.quarantined_sources) == {"d"}


def test_budget_survives_restarts_and_rollbacks(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "chores", IDENTITY) as store:
        fill(store, (20, 20), (0, 0))
        store.ledger.count_update("run-1", TASK)
        store.ledger.count_update("run-1", "other", n=4)
        store.promote("v0001")
        store.rollback_to("v0000", "fell")
    with VersionStore(tmp_path, "chores", IDENTITY) as store:
        store.ledger.count_update("run-2", TASK)
        assert (store.ledger.updates_run("run-1"), store.ledger.updates_run("run-2")) == (5, 1)
        assert (store.ledger.updates_task(TASK), store.ledger.updates_task("other")) == (2, 4)


def test_sections_and_history(store: VersionStore) -> None:
    assert store.ledger.read_section("ratchet") == {}
    store.ledger.write_section("ratchet", {"a": [1, None]})
    fill(store, (0, 0), (0, 0))
    store.promote("v0001", "better")
    again = Ledger(store.path / "state.json")
    assert again.read_section("ratchet") == {"a": [1, None]}
    assert [e["event"] for e in again.history] == ["saved", "promoted", "saved", "promoted"]
    assert again.history[-1]["reason"] == "better"


def test_a_move_that_was_cut_short_is_finished_on_opening(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "chores", IDENTITY) as store:
        fill(store, (20, 20), (0, 0))
        store.ledger.moving_to = "v0001"
        store.ledger.write()
        assert store.champion == "v0000"
    with VersionStore(tmp_path, "chores") as store:
        assert store.champion == "v0001"
        assert store.ledger.moving_to is None


def test_a_save_that_was_cut_short_after_the_checkpoint_is_entered_on_opening(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "chores", IDENTITY) as store:
        fill(store, (20, 20))
        before = (store.path / "state.json").read_bytes()
        put(store, 1, probes={TASK: (7, 9)}, sources=["demo"])
        (store.path / "state.json").write_bytes(before)
    with VersionStore(tmp_path, "chores") as store:
        assert store.ledger.probes("v0001") == {TASK: (7, 9)}
        store.quarantine(["v0001"], "bad")
        assert set(store.ledger.quarantined_sources) == {"demo"}
        assert put(store, 2) == "v0002"


WRITER = """
import sys
from showonce.versions.store import Identity, Requirements, VersionStore
store = VersionStore(sys.argv[1], "chores", Identity("adapter/tokens", "b"))
while True:
    print("turn", flush=True)
    number = store.ledger.last_number + 1
    files, probes = {"value.txt": b"%d" % number * 20_000}, {"t": (number, number)}
    version = store.save_files(files, details={"number": number}, probes=probes)
    store.promote(version)
    store.ledger.record_probe(version, "t", True)
    if number % 5 == 4:
        store.rollback_to(store.versions()[-2], "test")
    store.prune(keep_last=2)
"""


def test_kill_9_at_any_moment_opens_on_a_whole_version(tmp_path: Path) -> None:
    rng = random.Random(1)
    highest = -1
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(rng.randint(1, 4)):
            assert process.stdout.readline() == "turn\n"
        time.sleep(rng.uniform(0.0, 0.04))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with VersionStore(tmp_path, "chores") as store:
            assert store.taken_over_from is not None
            if store.champion is None:
                assert store.versions() == []
                continue
            found = store.load_files()
            number = found.details["number"]
            assert found.files[CONTENT].read_bytes() == b"%d" % number * 20_000
            assert found.version == f"v{number:04d}"
            assert found.version not in store.ledger.quarantine
            assert store.ledger.last_number >= highest
            highest = store.ledger.last_number
    assert highest > 12


# ------------------------------------------------------------------------------------------ any kind of content

NEEDS = Requirements(checks=("schema", "tests"), person=True)


def skill(text: str) -> dict[str, Any]:
    return {"SKILL.md": f"name: {text}".encode(), "scripts/run.py": b"print(1)"}


@pytest.fixture
def skills(tmp_path: Path) -> Iterator[VersionStore]:
    with VersionStore(tmp_path, "export-invoices", Identity("skill"), requirements=NEEDS) as opened:
        yield opened


def admitted(store: VersionStore, text: str) -> str:
    """Save a skill, let it pass its checks and be approved."""
    version = store.save_files(skill(text), sources=[f"task-{text}"])
    for check in NEEDS.checks:
        store.ledger.add_evidence(version, check, True)
    store.approve(version, "ada")
    return version


def test_a_skill_acts_only_with_evidence_and_approval(skills: VersionStore) -> None:
    version = skills.save_files(skill("one"))
    assert skills.champion is None
    with refused("store.lacks", "'schema'", "'tests'", "person"):
        skills.promote(version)
    for passed in (True, False):
        for check in NEEDS.checks:
            skills.ledger.add_evidence(version, check, passed, "3 cases")
    skills.approve(version, "ada", reason="read it")
    with refused("store.lacks", "'tests'"):
        skills.promote(version)
    for check in NEEDS.checks:
        skills.ledger.add_evidence(version, check, True)
    assert skills.promote(version).new == version == skills.champion
    assert skills.load_files().files["scripts/run.py"].read_bytes() == b"print(1)"
    assert [(row.who, row.verdict) for row in skills.ledger.approvals(version)] == [("ada", "approved")]


def test_a_declined_skill_is_never_reached_and_the_last_verdict_counts(skills: VersionStore) -> None:
    first, second = admitted(skills, "one"), admitted(skills, "two")
    skills.promote(first)
    skills.approve(second, "eve", "declined", "deletes files")
    with refused("store.lacks", "eve", "deletes files"):
        skills.promote(second)
    assert skills.candidates() == [first]
    with refused("store.acting"):
        skills.approve(first, "eve", "declined")
    skills.approve(second, "ada")
    assert skills.promote(second).new == second


def test_a_skill_is_rolled_back_with_its_sources_and_everything_outlives_reopening(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "export", Identity("skill"), requirements=NEEDS) as store:
        first, second = admitted(store, "one"), admitted(store, "two")
        store.promote(first)
        store.promote(second)
        move = store.rollback_to(first, "a use failed")
        assert [event.kind for event in move.events()] == ["rollback", "quarantine"]
    with VersionStore(tmp_path, "export", Identity("skill"), requirements=Requirements()) as store:
        assert store.requirements == NEEDS, "a store keeps its own"
        assert store.champion == first and second in store.ledger.quarantine
        assert set(store.ledger.quarantined_sources) == {"task-two"}
        assert [row.check for row in store.ledger.evidence(second)] == ["schema", "tests"]
        with refused("store.quarantined"):
            store.promote(second)
        store.readmit([second])
        assert store.promote(second).new == second


@pytest.mark.parametrize("name", ["../x", "/x", "manifest.json", "checkpoint.json", ""])
def test_files_stay_in_their_checkpoint(skills: VersionStore, name: str) -> None:
    with refused("store.file"):
        skills.save_files({name: b""})
    assert skills.versions() == []


SAVER = """
import os, signal, sys
from showonce.versions.store import Identity, VersionStore
def die(path):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
VersionStore(sys.argv[1], "export", Identity("skill")).save_files({"a.yaml": b"a: 1", "b.yaml": die})
"""


def test_kill_9_in_the_middle_of_a_save_leaves_the_old_skill(tmp_path: Path) -> None:
    with VersionStore(tmp_path, "export", Identity("skill"), requirements=NEEDS) as store:
        first = admitted(store, "one")
        store.promote(first)
    killed = subprocess.run([sys.executable, "-c", SAVER, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    with VersionStore(tmp_path, "export", Identity("skill")) as store:
        assert store.taken_over_from is not None and store.leftovers
        assert store.versions() == [first] and store.load_files().version == first
        assert admitted(store, "two") == "v0001"
