"""Immutable checkpoint folders: written aside, hashed, marked complete last, then moved into place.

    versions/v0007/            manifest.json (size and sha256 of every other file) and COMPLETE (sha256 of the manifest)
    versions/.writing-.../     being written, or left by a kill: not a checkpoint, removed at the next start
    current                    the version that acts, one line, swapped in one step

A kill at any moment leaves either the old or the new state. Loading compares sizes and hashes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from showonce.errors import CheckpointCorrupt, StoreError
from showonce.fsio import atomic_write_text, explained, make_folder, sync_folder

MANIFEST: Final = "manifest.json"
MARKER: Final = "COMPLETE"
POINTER: Final = "current"
VERSION: Final = re.compile(r"v(\d{4,})")
ASIDE: Final = (".writing-", ".removing-")

Content = bytes | Callable[[Path], None]


def version_name(number: int) -> str:
    """Return the name of a version: v0007 for 7."""
    return f"v{number:04d}"


def version_number(version: str) -> int:
    """Return the number of a version's name.

    Raises:
        StoreError: not the name of a version.
    """
    match = VERSION.fullmatch(version)
    if match is None:
        raise StoreError(f"{version!r} is not the name of a version; they look like v0007.", key="store.version")
    return int(match[1])


def write_checkpoint(root: Path, version: str, files: Mapping[str, Content]) -> Path:
    """Write a checkpoint folder, all of it or nothing, and return it.

    files: name -> its bytes, or a function that writes the file at the path it is given. A name may have folders
    (``scripts/run.py``).

    Raises:
        StoreError: this version exists already (checkpoints never change), or a name leads out of the folder.
        DiskError: full disk, read-only folder and the like; nothing of it stays.
    """
    version_number(version)
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or name in ("", MANIFEST, MARKER):
            raise StoreError(f"{name!r} cannot be the name of a file in a checkpoint.", key="store.file")
    final = root / version
    if final.exists():
        raise StoreError(f"checkpoint {final} exists already, and checkpoints never change.")
    make_folder(root)
    aside = root / f"{ASIDE[0]}{version}-{uuid.uuid4().hex}"
    with explained(final):
        try:
            aside.mkdir()
            manifest = {name: _put(aside / name, content) for name, content in sorted(files.items())}
            text = json.dumps({"version": version, "files": manifest}, indent=2) + "\n"
            _put(aside / MANIFEST, text.encode())
            _put(aside / MARKER, hashlib.sha256(text.encode()).hexdigest().encode() + b"\n")
            for folder in (*(path for path in aside.rglob("*") if path.is_dir()), aside):
                sync_folder(folder)
            os.rename(aside, final)
            sync_folder(root)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return final


def _put(path: Path, content: Content) -> dict[str, Any]:
    """Write one file through to the disk and return its size and hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def verify_checkpoint(folder: Path, otherwise: str = "") -> dict[str, Path]:
    """Compare size and sha256 of every file with the manifest, and return the files by name.

    otherwise: added to the error's text: what a person can do next.

    Raises:
        CheckpointCorrupt: the marker is missing, or a file is missing, has another size or another hash.
    """

    def corrupt(what: str) -> CheckpointCorrupt:
        text = f"checkpoint {folder.name} is not whole: {what}. It was not loaded. {otherwise}"
        return CheckpointCorrupt(text.strip())

    try:
        text = (folder / MANIFEST).read_bytes()
        marked = (folder / MARKER).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise corrupt(f"{error.filename or folder} cannot be read ({error.strerror})") from error
    if hashlib.sha256(text).hexdigest() != marked:
        raise corrupt(f"{MANIFEST} is not the one that was marked complete")
    files = {}
    for name, record in json.loads(text)["files"].items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != record["bytes"]:
                raise corrupt(f"{name} has {size} bytes instead of {record['bytes']}")
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
                    raise corrupt(f"the content of {name} was changed (its sha256 differs)")
        except OSError as error:
            raise corrupt(f"{name} cannot be read ({error.strerror})") from error
        files[name] = path
    return files


def complete_versions(root: Path) -> list[str]:
    """Return the versions that were written to the end, oldest first; hashes are not compared here."""
    if not root.is_dir():
        return []
    found = [f.name for f in root.iterdir() if VERSION.fullmatch(f.name) and (f / MARKER).is_file()]
    return sorted(found, key=version_number)


def remove_checkpoint(root: Path, version: str) -> None:
    """Remove a checkpoint; a kill half-way leaves no folder that looks whole."""
    aside = root / f"{ASIDE[1]}{version}-{uuid.uuid4().hex}"
    with explained(root / version, "remove"):
        os.rename(root / version, aside)
        shutil.rmtree(aside)


def remove_leftovers(*folders: Path) -> list[str]:
    """Remove what a killed writer left in these folders, and return the names: half-written folders and files.

    Only the owner of the store may call it, else it removes what another process is just writing.
    """
    removed = []
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            half = path.name.startswith(ASIDE) or (VERSION.fullmatch(path.name) and not (path / MARKER).is_file())
            if path.is_dir() and half:
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file() and path.name.startswith(".") and path.suffix == ".tmp":
                with contextlib.suppress(OSError):
                    path.unlink()
            else:
                continue
            removed.append(path.name)
    return removed


def read_pointer(folder: Path) -> str | None:
    """Return the version that `current` names, or None before the first one."""
    try:
        return (folder / POINTER).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def write_pointer(folder: Path, version: str) -> None:
    """Let `current` name another version, in one step."""
    atomic_write_text(folder / POINTER, version + "\n")
