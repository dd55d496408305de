"""Demonstrations from and for other projects' files: each format one module, imported when it is used.

A format reads a file into demonstrations and writes demonstrations into a folder. An import is all or nothing: it is
written aside and moved into place once the last line was read.
"""

from __future__ import annotations

import importlib
import os
import shutil
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

from showonce.demonstrations.format import load_demonstration
from showonce.demonstrations.store import EpisodeStore, save_demonstration
from showonce.errors import BadInput, DemonstrationError, nearest
from showonce.fsio import explained, make_folder
from showonce.types import Demonstration

FORMATS: Final = {
    "agentnet": "showonce.demonstrations.formats.agentnet",
    "openadapt": "showonce.demonstrations.formats.openadapt",
    "lerobot": "showonce.demonstrations.formats.lerobot",
}


_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})


@dataclass(frozen=True)
class LeftOut:
    """An episode that was not imported, since one of its steps is no action of ours. where: file, line and step."""

    where: str
    reason: str


class Format(Protocol):
    """The two functions of every format's module. ignored: takes the names of fields that hold something unused."""

    def read(self, path: Path, ignored: set[str]) -> Iterator[Demonstration | LeftOut]: ...
    def write(self, demonstrations: Iterable[Demonstration], folder: Path) -> Path: ...


@dataclass(frozen=True)
class Imported:
    """The result of an import: the new episode folders, the episodes that were left out, and the fields not used."""

    paths: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    ignored: tuple[str, ...] = ()


def unused(data: Mapping[str, Any], used: Container[str], prefix: str, ignored: set[str]) -> None:
    """Add the names of the members of an object that hold something and are not used."""
    ignored.update(f"{prefix}{name}" for name, value in data.items() if name not in used and value not in _NOTHING)


def find_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        BadInput: unknown; the nearest is named. Unavailable: its extra is not installed.
    """
    if name not in FORMATS:
        raise BadInput(f"unknown format {name!r}.{nearest(name, FORMATS)}")
    return cast("Format", importlib.import_module(FORMATS[name]))


def import_file(path: str | Path, form: str, root: str | Path) -> Imported:
    """Import every demonstration of a file (or folder) as an episode folder below `root`: all of them or nothing.

    Raises:
        DemonstrationError: a line cannot be used (file and line are named), or nothing in it can.
        BadInput: unknown format. DiskError: it cannot be written. Unavailable: the format's extra is missing.
    """
    file = Path(path)
    reader = find_format(form)
    if not file.exists():
        raise DemonstrationError(f"{file} is not there.")
    place = EpisodeStore(root)
    aside = make_folder(place.root / f".import-{uuid.uuid4().hex[:8]}")
    left_out: list[LeftOut] = []
    names: list[str] = []
    ignored: set[str] = set()
    try:
        for found in reader.read(file, ignored):
            if isinstance(found, LeftOut):
                left_out.append(found)
                continue
            name = place.name(len(names), "record", found.task_id)
            save_demonstration(found, aside / name)
            names.append(name)
        if not names:
            why = f" The first reason, {left_out[0].where}: {left_out[0].reason}" if left_out else ""
            raise DemonstrationError(f"{file} holds no demonstration that can be used here.{why}")
        for name in names:
            with explained(place.root / name, "move into place"):
                os.rename(aside / name, place.root / name)
    except BaseException:
        for name in names:
            shutil.rmtree(place.root / name, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Imported(tuple(place.root / name for name in names), tuple(left_out), tuple(sorted(ignored)))


def export_episodes(paths: Sequence[str | Path], form: str, folder: str | Path) -> Path:
    """Write episode folders in another format into a new folder and return what was written.

    Raises:
        DemonstrationError: one of them is no demonstration, or the folder is not empty.
        BadInput: unknown format, or something that it cannot hold. Unavailable: its extra is missing.
    """
    writer = find_format(form)
    target = Path(folder)
    if not paths:
        raise DemonstrationError("name at least one episode folder to export.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DemonstrationError(f"{target} is there already; choose a new or an empty folder.")
    make_folder(target.parent)
    aside = make_folder(target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}"))
    try:
        written = writer.write([load_demonstration(path) for path in paths], aside).relative_to(aside)
        with explained(target, "move into place"):
            if target.exists():
                target.rmdir()
            os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target / written
