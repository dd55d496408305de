"""What `open` finds, and what it says when it finds nothing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.xscreen import until

from showonce.environments.desktop.launch import Program, command_for
from showonce.errors import BadInput


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """An environment with one program on PATH, one menu entry, and xdg-open."""
    for name in ("tool", "xdg-open"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    menu = tmp_path / "share/applications"
    menu.mkdir(parents=True)
    (menu / "org.notes.desktop").write_text(
        "[Desktop Entry]\nName=Text Notes\nExec=notes --new %U\n[Desktop Action new]\nName=Other\nExec=other\n"
    )
    (menu / "broken.desktop").write_bytes(b"[Desktop Entry]\nName=\xff\xfe\n")
    return {"PATH": str(tmp_path), "XDG_DATA_DIRS": str(tmp_path / "share"), "XDG_DATA_HOME": str(tmp_path)}


def test_a_program_an_application_a_file_and_an_address(here: dict[str, str], tmp_path: Path) -> None:
    opener = str(tmp_path / "xdg-open")
    assert command_for("tool", here) == [str(tmp_path / "tool")]
    assert command_for("text notes", here) == ["notes", "--new"]
    assert command_for("org.notes", here) == ["notes", "--new"]
    assert command_for(str(tmp_path), here) == [opener, str(tmp_path)]
    assert command_for("https://example.org/?a=1&b", here) == [opener, "https://example.org/?a=1&b"]


def test_arguments_are_for_task_files_alone(here: dict[str, str], tmp_path: Path) -> None:
    assert command_for("tool 'a b' c", here, arguments=True) == [str(tmp_path / "tool"), "a b", "c"]
    assert command_for("python -m mine", here, arguments=True) == [sys.executable, "-m", "mine"]
    with pytest.raises(BadInput, match="nothing called"):
        command_for("tool -rf", here)


def test_what_is_not_there_is_named_with_all_that_was_looked_for(here: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=r"'Text Nots'.*a file 'Text Nots'.*'Text' on PATH.*Did you mean 'Text Notes'"):
        command_for("Text Nots", here)
    with pytest.raises(BadInput, match="nothing called"):
        command_for("an 'open quote", here)
    with pytest.raises(BadInput, match="needs the name"):
        command_for("  ", here)


def test_without_an_opener_its_package_is_named(here: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "xdg-open").unlink()
    with pytest.raises(BadInput, match="package xdg-utils"):
        command_for("https://example.org", here)


def test_a_program_is_ended_with_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "child"
    script = f"trap '' TERM; sleep 100 & echo $! > {file}; wait; sleep 100"
    sh = shutil.which("sh")
    assert sh is not None
    program = Program([sh, "-c", script], os.environ)
    until(lambda: file.exists() and file.read_text().strip())
    child = int(file.read_text())
    assert program.ended is None
    program.end()
    assert program.ended is not None
    until(lambda: not _alive(child))


def test_a_program_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        Program([str(tmp_path / "gone")], os.environ)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
