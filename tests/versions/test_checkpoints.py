"""Checkpoints: whole or not at all, whatever happens while they are written, and never believed unchecked."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from showonce.errors import CheckpointCorrupt, DiskError, StoreError
from showonce.versions import checkpoints as cp

FILES = {"a.bin": b"x" * 1000, "b.json": b"{}"}

WRITER = """
import sys
from pathlib import Path
from showonce.versions import checkpoints as cp
root = Path(sys.argv[1])
cp.remove_leftovers(root, root / "versions")
number = max([cp.version_number(v) for v in cp.complete_versions(root / "versions")], default=-1)
while True:
    print("turn", flush=True)
    number += 1
    name = cp.version_name(number)
    body = name.encode() * 30_000
    cp.write_checkpoint(root / "versions", name, {"adapter.bin": body, "ema.bin": body[::-1]})
    cp.write_pointer(root, name)
    for old in cp.complete_versions(root / "versions")[:-3]:
        cp.remove_checkpoint(root / "versions", old)
"""


def test_written_checkpoint_is_whole_and_never_changes(tmp_path: Path) -> None:
    folder = cp.write_checkpoint(tmp_path, "v0007", FILES)
    assert {name: path.read_bytes() for name, path in cp.verify_checkpoint(folder).items()} == FILES
    assert cp.complete_versions(tmp_path) == ["v0007"]
    with pytest.raises(StoreError, match="never change"):
        cp.write_checkpoint(tmp_path, "v0007", FILES)


def test_a_function_writes_its_file_and_a_failing_one_leaves_nothing(tmp_path: Path) -> None:
    folder = cp.write_checkpoint(tmp_path, "v0000", {"n.txt": lambda path: path.write_text("n") and None})
    assert (folder / "n.txt").read_text() == "n"

    def no_space(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match=r"v0001.*disk is full"):
        cp.write_checkpoint(tmp_path, "v0001", {"a.bin": b"1", "z.bin": no_space})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v0000"]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / "a.bin").write_bytes(b"x" * 999 + b"y"), "content of a.bin"),
        (lambda f: (f / "a.bin").write_bytes(b"x" * 999), "a.bin has 999 bytes instead of 1000"),
        (lambda f: (f / "a.bin").unlink(), "a.bin cannot be read"),
        (lambda f: (f / "COMPLETE").unlink(), "COMPLETE"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json"),
        (lambda f: (f / "manifest.json").write_text('{"files": {}}'), "manifest.json is not the one"),
    ],
)
def test_every_damage_is_refused_by_name(tmp_path: Path, damage, named: str) -> None:  # type: ignore[no-untyped-def]
    folder = cp.write_checkpoint(tmp_path, "v0001", FILES)
    damage(folder)
    with pytest.raises(CheckpointCorrupt, match=named) as caught:
        cp.verify_checkpoint(folder, "v0000 stays.")
    assert "not loaded" in str(caught.value)
    assert str(caught.value).endswith("v0000 stays.")


def test_leftovers_are_removed_and_whole_ones_stay(tmp_path: Path) -> None:
    cp.write_checkpoint(tmp_path, "v0000", FILES)
    (tmp_path / ".writing-v0001-abc").mkdir()
    (tmp_path / ".removing-v0002-abc").mkdir()
    (tmp_path / "v0003").mkdir()
    (tmp_path / ".state.json.0f.tmp").write_text("half")
    (tmp_path / "notes").mkdir()
    assert cp.complete_versions(tmp_path) == ["v0000"]
    assert len(cp.remove_leftovers(tmp_path, tmp_path / "none")) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes", "v0000"]


def test_versions_sort_by_number(tmp_path: Path) -> None:
    for number in (10000, 9999, 2):
        cp.write_checkpoint(tmp_path, cp.version_name(number), {})
    assert cp.complete_versions(tmp_path) == ["v0002", "v9999", "v10000"]
    assert cp.version_number("v10000") == 10000
    for name in ("7", "v7", "../v0001"):
        with pytest.raises(StoreError, match="v0007"):
            cp.version_number(name)


def test_pointer_is_none_then_what_was_written(tmp_path: Path) -> None:
    assert cp.read_pointer(tmp_path) is None
    cp.write_pointer(tmp_path, "v0003")
    cp.write_pointer(tmp_path, "v0004")
    assert cp.read_pointer(tmp_path) == "v0004"


def test_kill_9_at_any_moment_leaves_the_last_whole_one(tmp_path: Path) -> None:
    """A writer that does nothing else is killed at 15 random moments; each time the pointer names a whole version."""
    rng = random.Random(0)
    reached = -1
    for _ in range(15):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(rng.randint(1, 4)):
            assert process.stdout.readline() == "turn\n"
        time.sleep(rng.uniform(0.0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        current = cp.read_pointer(tmp_path)
        for version in cp.complete_versions(tmp_path / "versions"):
            files = cp.verify_checkpoint(tmp_path / "versions" / version)
            assert files["adapter.bin"].read_bytes() == version.encode() * 30_000
        if current is not None:
            assert current in cp.complete_versions(tmp_path / "versions")
            assert cp.version_number(current) >= reached
            reached = cp.version_number(current)
    assert reached > 15  # the writer was really at work when it was killed
