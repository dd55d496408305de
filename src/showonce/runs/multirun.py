"""The folders of a multirun: several runs of one command, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from showonce.config import Config
from showonce.errors import ConfigError
from showonce.runs.index import COMPLETED, read_index
from showonce.runs.layout import CONFIG


def placed(configs: Sequence[Config]) -> list[Config]:
    """Return the configs of a multirun, each with a place of its own: run_dir/0, run_dir/1 ..., else the log folder.

    One that was begun in its place goes on there.

    Raises:
        ConfigError: a run is to be resumed: that is one run.
    """
    found = []
    for at, config in enumerate(configs):
        if config.resume:
            raise ConfigError("resume=... goes on with one run: leave -m out.")
        place = Path(config.run_dir) / str(at) if config.run_dir else None
        begun = place is not None and (place / CONFIG).is_file()
        found.append(
            replace(config, run_dir="" if begun or place is None else str(place), resume=str(place) if begun else "")
        )
    return found


def done_with(config: Config) -> Path | None:
    """Return the folder of a run that is to be resumed and came to its end already, None for any other."""
    folder = Path(config.resume)
    ended = {one.path.resolve() for one in read_index(config.output.logs) if one.status == COMPLETED}
    return folder if config.resume and folder.resolve() in ended else None
