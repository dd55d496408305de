"""A run's folder: making one, and going on in one."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from showonce.about import snapshot
from showonce.config import Config, EnvironmentConfig
from showonce.errors import BadInput, ConfigError
from showonce.fsio import atomic_write_json, atomic_write_text, explained, make_folder
from showonce.runs.adapter_place import find_adapter
from showonce.runs.index import COMPLETED, RunRecord, note_start, read_index, resolve_run
from showonce.runs.layout import CONFIG, VERSIONS
from showonce.settings import Check, load_config, to_yaml

FIXED_ON_RESUME: Final = (  # settings a resumed run keeps: with others its episodes could not be told together
    "task", "tasks", "demonstration", "environment", "adapter", "limits", "success",
)  # fmt: skip


def start_run(config: Config, kind: str = "run") -> Path:
    """Return the folder of the run that `config` describes: a new one, `run_dir`, or the one to `resume`.

    A new folder gets config.yaml and versions.json; the index gets a line. kind: the verb.

    Raises:
        BadInput: `run_dir` holds a run already, or there is no run to resume.
        DiskError: the folder cannot be written.
    """
    if config.resume:
        folder = resolve_run(config.resume, config.output.logs)
    else:
        folder = _given_folder(Path(config.run_dir)) if config.run_dir else _new_folder(config.output.logs, config.name)
        atomic_write_text(folder / CONFIG, to_yaml(config))
        atomic_write_json(folder / VERSIONS, {**snapshot(), "folder": str(Path.cwd())})
    note_start(folder, config, kind)
    return folder


def resumed_config(
    resume: str, logs: str | Path, overrides: Sequence[str] = (), check: Check = lambda config, given: None
) -> Config:
    """Return the config of a resumed run: its own config.yaml, changed by the overrides of this command.

    check: as for `load_config`.

    Raises:
        BadInput: there is no such run. ConfigError: an override is wrong, or changes a setting of `FIXED_ON_RESUME`.
    """
    folder = resolve_run(resume, logs, ("run",))
    config = load_config(folder / CONFIG, overrides, check)
    config = dataclasses.replace(config, resume=str(folder), run_dir="")
    check_resumed(config)
    place = find_adapter(config, folder)
    if place is None or config.output.adapters != load_config(folder / CONFIG).output.adapters:
        return config
    return dataclasses.replace(config, output=dataclasses.replace(config.output, adapters=str(place.root)))


def check_resumed(config: Config) -> None:
    """Check that a run can go on as `config` says.

    Raises:
        ConfigError: a setting of `FIXED_ON_RESUME` differs from the run's own config.yaml.
        BadInput: there is no such run, or it came to its end and nothing more is asked of it.
    """
    folder = resolve_run(config.resume, config.output.logs, ("run",))
    own = load_config(folder / CONFIG)
    for key in FIXED_ON_RESUME:
        for theirs, wanted in zip(_written(key, own), _written(key, config), strict=True):
            if theirs != wanted:
                raise ConfigError(
                    f"resume={config.resume} goes on with {theirs}, not {wanted}: leave {key} out to go on, or leave "
                    f"resume out to begin a new run."
                )
    ended = any(one.status == COMPLETED and one.path.resolve() == folder.resolve() for one in _records(config, folder))
    more = config.experiment.episodes > own.experiment.episodes
    more |= config.learning.practice.episodes > own.learning.practice.episodes
    if ended and not more:
        what = "learning.practice.episodes" if config.experiment.name == "one_demo" else "experiment.episodes"
        raise BadInput(
            f"resume={config.resume}: {folder.name} came to its end, so there is nothing to go on with. Ask for more "
            f"by a larger {what}, or leave resume out and begin a new run with adapter={folder.name}."
        )


def _records(config: Config, folder: Path) -> list[RunRecord]:
    """Return the runs of the log folder, and of the one that a run's own config names."""
    return [*read_index(config.output.logs), *read_index(folder.parent)]


def _written(key: str, config: Config) -> list[str]:
    """Return a setting as it is given on the command line; of limits and success, one line each."""
    value = getattr(config, key)
    if isinstance(value, EnvironmentConfig):
        parts = (("settings", value.settings), ("shipped", value.shipped))
        return [f"{key}={value.name}{''.join(f' with {name} {one}' for name, one in parts if one)}"]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [f"{key}.{name}={one or repr(one)}" for name, one in dataclasses.asdict(value).items()]
    return [f"{key}=[{','.join(value)}]" if isinstance(value, tuple) else f"{key}={str(value) or repr('')}"]


def _given_folder(folder: Path) -> Path:
    if (folder / CONFIG).exists():
        raise BadInput(f"run_dir={folder} holds a run already. Go on with it by resume={folder}, or choose another.")
    return make_folder(folder)


def _new_folder(logs: str | Path, name: str) -> Path:
    """Make ``<time>-<name>`` (``-2``, ``-3`` ... when two runs begin in one second) and return it."""
    root = make_folder(logs)
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'run'}"
    for number in itertools.count(1):
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        with explained(folder, "create the folder"), contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable: the count does not end")
