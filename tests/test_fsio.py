from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.errors import DiskError
from showonce.fsio import (
    LineWriter,
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    make_folder,
    plain,
    read_lines,
)

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full to stand for a full disk")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB that is really full when it is full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_write_text(path, "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()
    atomic_write_bytes(path, b"\x00\xff", durable=False)
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "atomic", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_keeps_the_old_file_and_says_what_to_do(tiny_disk: Path) -> None:
    path = tiny_disk / "state.bin"
    atomic_write_bytes(path, b"old" * 100)
    with pytest.raises(DiskError, match=r"state\.bin: the disk is full: free some space"):
        atomic_write_bytes(path, os.urandom(1 << 20))
    assert path.read_bytes() == b"old" * 100
    assert os.listdir(tiny_disk) == ["state.bin"]


def test_a_read_only_disk_says_so(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(DiskError, match="read-only"):
        atomic_write_text(tiny_disk / "a", "x")
    with pytest.raises(DiskError, match="read-only"):
        make_folder(tiny_disk / "logs" / "run")


def test_a_file_in_the_way_of_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    for path in (tmp_path / "logs", tmp_path / "logs" / "run"):
        with pytest.raises(DiskError, match="choose another folder"):
            make_folder(path)
    with pytest.raises(DiskError, match="a part of this path is a file"):
        atomic_write_text(tmp_path / "logs" / "a", "x")


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DiskError, match="this is a folder"):
        atomic_write_text(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ["a"]


def test_readers_never_see_half_a_file_while_it_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    contents = [bytes([65 + i]) * 200_000 for i in range(2)]
    atomic_write_bytes(path, contents[0])
    over = threading.Event()

    def rewrite() -> None:
        for i in range(60):
            atomic_write_bytes(path, contents[i % 2], durable=False)
        over.set()

    thread = threading.Thread(target=rewrite)
    thread.start()
    seen: Counter[bool] = Counter()
    while not over.is_set():
        seen[path.read_bytes() in contents] += 1
    thread.join()
    assert seen[True] > 0
    assert seen[False] == 0


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: float
    where: tuple[int, ...]


def test_records_become_plain_json(tmp_path: Path) -> None:
    record = {
        "point": Point(float("nan"), (1, 2)),
        "colour": Colour.RED,
        "array": np.arange(3),
        "numbers": [np.float32(0.5), np.int64(7), np.bool_(True), float("inf")],
        "path": Path("a/b"),
        3: {"set": {1}},
    }
    atomic_write_json(tmp_path / "a.json", record)
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "point": {"x": None, "where": [1, 2]},
        "colour": "red",
        "array": [0, 1, 2],
        "numbers": [0.5, 7, True, None],
        "path": "a/b",
        "3": {"set": [1]},
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_is_plain_already_stays_as_it_is(value: object) -> None:
    assert plain(value) == value


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_can_be_written(text: str) -> None:
    json.dumps(plain(text), ensure_ascii=False).encode("utf-8")


@given(records=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6))
def test_lines_are_read_back_from_any_offset(tmp_path_factory: pytest.TempPathFactory, records: list[dict]) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    writer = LineWriter(path)
    offset, seen = 0, []
    for record in records:
        writer.write(record)
        new, offset = read_lines(path, offset)
        seen += new
    writer.close()
    assert seen == records
    assert read_lines(path)[0] == records


def test_a_half_written_last_line_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2')
    records, offset = read_lines(path)
    assert records == [{"n": 1}]
    with open(path, "ab") as file:
        file.write(b"3}\n")
    assert read_lines(path, offset)[0] == [{"n": 23}]


def test_a_writer_closes_the_torn_line_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2')
    writer = LineWriter(path)
    writer.write({"n": 3})
    writer.close()
    assert read_lines(path)[0] == [{"n": 1}, {"n": 3}]


def test_no_file_is_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none", 7) == ([], 7)


@needs_full
def test_a_line_that_does_not_fit_is_an_error() -> None:
    writer = LineWriter(FULL)
    with pytest.raises(DiskError, match="the disk is full"):
        writer.write({"n": 1})
    writer.close()
    writer.close()
    with pytest.raises(DiskError, match="closed"):
        writer.write({"n": 1})


def test_a_line_torn_by_a_full_disk_does_not_spoil_the_next(tiny_disk: Path) -> None:
    path = tiny_disk / "a.jsonl"
    ballast = tiny_disk / "ballast"
    writer = LineWriter(path)
    writer.write({"n": 1})
    ballast.write_bytes(b"x" * 56 * 1024)
    with pytest.raises(DiskError, match="full"):
        writer.write({"text": "y" * 50_000})
    ballast.unlink()
    writer.write({"n": 3})
    writer.close()
    assert read_lines(path)[0] == [{"n": 1}, {"n": 3}]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "a.jsonl")
    threads = [
        threading.Thread(target=lambda t=t: [writer.write({"t": t, "text": "x" * 3000}) for _ in range(50)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert Counter(r["t"] for r in read_lines(tmp_path / "a.jsonl")[0]) == dict.fromkeys(range(4), 50)


def test_it_starts_without_anything_heavy() -> None:
    code = "import showonce.fsio, sys; print([m for m in ('torch', 'PIL', 'yaml', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
