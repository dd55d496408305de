"""Where the adapter of a run is: the only place that knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from showonce.config import Config
from showonce.runs.layout import VERSIONS
from showonce.versions.store import STORE


@dataclass(frozen=True)
class AdapterPlace:
    """An adapter store in `root/name`. outside: the PEFT folder, in no store, that its first version is made of."""

    root: Path
    name: str
    outside: Path | None = None

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def exists(self) -> bool:
        """Whether there is a store."""
        return (self.folder / STORE).is_file()


def adapter_place(config: Config, run: Path) -> AdapterPlace | None:
    """Return where the adapter of a run in folder `run` is, or will be; None when it acts without one.

    ``auto`` is a store named after the run, and so is the path of an adapter that is in no store.
    """
    if config.adapter == "none":
        return None
    path = Path(config.adapter).expanduser()
    if (path / STORE).is_file():
        return AdapterPlace(path.parent, path.name)
    outside = path if config.adapter != "auto" and path.exists() else None
    named = config.adapter != "auto" and outside is None and path.name == config.adapter
    return AdapterPlace(Path(config.output.adapters), config.adapter if named else run.name, outside)


def find_adapter(config: Config, run: Path) -> AdapterPlace | None:
    """Return the store that a finished run used, None when there is none any more.

    A relative `output.adapters` is looked for where the run was started, then here.
    """
    place = adapter_place(config, run)
    if place is None:
        return None
    roots = [start / place.root for start in (started_in(run), Path.cwd()) if start is not None]
    found = (AdapterPlace(root, place.name) for root in roots)
    return next((one for one in found if one.exists), None)


def started_in(run: Path) -> Path | None:
    """Return the working folder in which a run was started, if it is known."""
    try:
        return Path(json.loads((run / VERSIONS).read_text(encoding="utf-8"))["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
