"""The store's lock: a live owner is named, a dead one is replaced, and two never hold it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from showonce.errors import DiskError, StoreLocked
from showonce.versions.lock import Owner, StoreLock

HOLD = """
import sys, time
from showonce.versions.lock import StoreLock
StoreLock(sys.argv[1]).acquire()
print("held", flush=True)
time.sleep(60)
"""
RACE = """
import sys, time
from showonce.errors import StoreLocked
from showonce.versions.lock import StoreLock
while time.time() < float(sys.argv[2]): pass
try:
    StoreLock(sys.argv[1]).acquire()
    print("won", flush=True)
    sys.stdin.read()
except StoreLocked:
    print("refused", flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def hold(folder: Path) -> subprocess.Popen[str]:
    process = start(HOLD, str(folder))
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    return process


def write_owner(folder: Path, owner: Owner) -> None:
    (folder / "lock.json").write_text(json.dumps(asdict(owner)))


def test_a_live_owner_is_named_and_refused(tmp_path: Path) -> None:
    with StoreLock(tmp_path) as first:
        assert first.held
        with pytest.raises(StoreLocked, match=rf"pid {os.getpid()} on .* since 20\d\d-"):
            StoreLock(tmp_path).acquire()
    second = StoreLock(tmp_path).acquire()
    assert second.taken_over_from is None
    second.release()
    second.release()
    assert not (tmp_path / "lock.json").exists()


def test_a_live_process_is_refused_and_a_killed_one_is_taken_over(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        with pytest.raises(StoreLocked, match=f"pid {process.pid}"):
            StoreLock(tmp_path).acquire()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with StoreLock(tmp_path) as lock:
        assert lock.taken_over_from is not None
        assert lock.taken_over_from.pid == process.pid


def test_an_ended_process_leaves_no_lock(tmp_path: Path) -> None:
    code = "import sys; from showonce.versions.lock import StoreLock; StoreLock(sys.argv[1]).acquire()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert not (tmp_path / "lock.json").exists()


def test_a_lock_file_without_a_system_lock_is_a_dead_owners_whatever_its_pid(tmp_path: Path) -> None:
    write_owner(tmp_path, Owner(os.getpid(), socket.gethostname(), "showonce run", time.time()))
    StoreLock(tmp_path).check()
    with StoreLock(tmp_path) as lock:
        assert lock.taken_over_from is not None


def test_a_lock_file_of_older_versions_names_its_owner(tmp_path: Path) -> None:
    old = {"pid": 7, "started": 1.5, "host": socket.gethostname(), "command": "showonce run", "since": 2.5}
    (tmp_path / "lock.json").write_text(json.dumps(old))
    with StoreLock(tmp_path) as lock:
        assert lock.taken_over_from == Owner(7, socket.gethostname(), "showonce run", 2.5)


def test_a_check_changes_nothing_and_needs_no_right_to_write(tmp_path: Path) -> None:
    StoreLock(tmp_path).check()
    assert not list(tmp_path.iterdir())
    with StoreLock(tmp_path) as held:
        with pytest.raises(StoreLocked, match=f"pid {os.getpid()}"):
            StoreLock(tmp_path).check()
        held.check()


def test_the_lock_is_given_back_by_another_thread_than_took_it(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path)
    for step in (lock.acquire, lock.release):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    StoreLock(tmp_path).acquire().release()


def test_an_owner_on_another_host_counts_as_alive(tmp_path: Path) -> None:
    write_owner(tmp_path, Owner(1, f"not-{socket.gethostname()}", "showonce run", time.time()))
    with pytest.raises(StoreLocked, match=r"remove .*lock\.json"):
        StoreLock(tmp_path).acquire()


def test_a_torn_lock_file_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text('{"pid": 1')
    with StoreLock(tmp_path) as lock:
        assert lock.taken_over_from is None
        owner = lock.owner()
        assert owner is not None and owner.pid == os.getpid()


def test_a_forked_child_neither_holds_nor_frees_the_lock(tmp_path: Path) -> None:
    with StoreLock(tmp_path) as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(1 if lock.held else 0)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(StoreLocked):
            StoreLock(tmp_path).acquire()


def test_of_many_that_find_a_dead_owner_exactly_one_wins(tmp_path: Path) -> None:
    write_owner(tmp_path, Owner(2**22 + 12345, socket.gethostname(), "dead", 0.0))
    begin = str(time.time() + 1.5)
    processes = [start(RACE, str(tmp_path), begin) for _ in range(4)]
    said = [process.stdout.readline().strip() for process in processes if process.stdout is not None]
    for process in processes:
        process.communicate()  # closes its input: the winner may go
    assert sorted(said) == ["refused", "refused", "refused", "won"]


def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(DiskError, match="store"):
        StoreLock(tmp_path / "store").acquire()
