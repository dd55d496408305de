"""Run folders: beginning one, finding it again, the index of all runs, comparing them. Imports no torch.

logs/index.jsonl                 two lines a run: started, finished
logs/<time>-<name>/config.yaml   every setting, resolved
                   versions.json packages, platform, git revision, working folder
                   events.jsonl, episodes/, metrics.json, summary.md ... (written by the run itself)
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from showonce.about import snapshot
from showonce.config import Config, EnvironmentConfig
from showonce.errors import BadInput, ConfigError, nearest
from showonce.fsio import LineWriter, atomic_write_json, atomic_write_text, explained, make_folder, read_lines
from showonce.settings import load_config, to_yaml

INDEX: Final = "index.jsonl"
CONFIG: Final = "config.yaml"
VERSIONS: Final = "versions.json"
METRICS: Final = "metrics.json"
LATEST: Final = "latest"
SHOWN: Final = "demonstration"  # folder of a run, and phase of its episode: recorded for this run by the oracle
FAILED: Final = "failed"  # the status of a run that an error ended
OWN: Final = ("task", "tasks", "demonstration", "environment", "adapter")  # what makes a run the run that it is
STORE: Final = "store.json"  # `learning.store.STORE`, which cannot be had without torch


@dataclass(frozen=True)
class RunRecord:
    """One run as the index knows it. Success values are fractions, None where the phase did not run."""

    name: str
    path: Path
    started: float  # unix seconds
    status: str  # one word: started (still running, or killed), completed, stopped or failed
    began: bool = True  # False when it ended before it did anything
    task: str = ""
    learner: str = ""
    seed: int | None = None
    before: float | None = None
    teacher: float | None = None
    after: float | None = None
    updates: int | None = None
    rollbacks: int | None = None


def start_run(config: Config) -> Path:
    """Return the folder of the run that `config` describes: a new one, `run_dir`, or the one to `resume`.

    A new folder holds the resolved config and the versions, and the run is in the index.

    Raises:
        BadInput: `run_dir` holds a run already, or the run to resume is not there.
        DiskError: the folder cannot be written.
    """
    if config.resume:
        folder = resolve_run(config.resume, config.output.logs)
    else:
        folder = _given_folder(Path(config.run_dir)) if config.run_dir else _new_folder(config.output.logs, config.name)
        atomic_write_text(folder / CONFIG, to_yaml(config))
        atomic_write_json(folder / VERSIONS, {**snapshot(), "folder": str(Path.cwd())})
    task = config.task or ", ".join(config.tasks)
    learner = config.learning.learner if config.learning.enabled else "frozen"
    begun = {"status": "started", "began": True, "task": task, "learner": learner, "seed": config.seed}
    _append(config.output.logs, folder, begun)
    return folder


def resumed_config(resume: str, logs: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Return the config with which a run goes on: its own config.yaml, and on top the overrides of this command.

    Raises:
        BadInput: there is no such run. ConfigError: an override is wrong, or would make it another run.
    """
    folder = resolve_run(resume, logs)
    config = load_config(folder / CONFIG, overrides)
    config = dataclasses.replace(config, resume=str(folder), run_dir="")
    check_resumed(config)
    place = find_store(config, folder)
    if place is None or config.output.adapters != load_config(folder / CONFIG).output.adapters:
        return config
    return dataclasses.replace(config, output=dataclasses.replace(config.output, adapters=str(place[0])))


def check_resumed(config: Config) -> None:
    """Refuse to go on with a run as another one: its task, demonstration, environment and adapter stay what they are.

    Raises:
        ConfigError: one of them differs from the run's own.
        BadInput: there is no run to resume.
    """
    folder = resolve_run(config.resume, config.output.logs)
    own = load_config(folder / CONFIG)
    for key in OWN:
        theirs, wanted = (_told(getattr(one, key)) for one in (own, config))
        if theirs != wanted:
            raise ConfigError(
                f"resume={config.resume} goes on with {key}={theirs}, not {key}={wanted}: leave {key} out to go on, or "
                f"leave resume out to begin a new run."
            )


def _told(value: Any) -> str:
    """Return a setting as a person writes it."""
    if isinstance(value, EnvironmentConfig):
        return f"{value.name} with settings {value.settings}" if value.settings else value.name
    return f"[{','.join(value)}]" if isinstance(value, tuple) else str(value) or "''"


def adapter_store(config: Config, folder: Path) -> tuple[Path, str] | None:
    """Return root and name of the adapter store of a run in `folder`; None when it acts without an adapter.

    ``auto`` is a fresh store named after the run, and so is the path of an adapter that is not in a store (it is the
    store's first version then).
    """
    if config.adapter == "none":
        return None
    path = Path(config.adapter).expanduser()
    if (path / STORE).is_file():
        return path.parent, path.name
    named = config.adapter != "auto" and path.name == config.adapter and not path.exists()
    return Path(config.output.adapters), config.adapter if named else folder.name


def find_store(config: Config, run: Path) -> tuple[Path, str] | None:
    """Return root and name of the adapter store that a finished run used, or None when there is none any more.

    A relative `output.adapters` is looked for where the run was started, then here.
    """
    place = adapter_store(config, run)
    if place is None:
        return None
    root, name = place
    roots = [folder / root for folder in (started_in(run), Path.cwd()) if folder is not None]
    return next(((folder, name) for folder in roots if (folder / name / STORE).is_file()), None)


def started_in(folder: Path) -> Path | None:
    """Return the working folder in which a run was started, if it is known."""
    try:
        return Path(json.loads((folder / VERSIONS).read_text(encoding="utf-8"))["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finish_run(folder: Path, logs: str | Path, reason: str, began: bool = True) -> None:
    """Tell the index that a run ended, how (in one word), and what its metrics.json says (if it wrote one).

    reason: completed, stopped, or an error's message, which is left to the run's own files. began: whether it did
    anything before it ended.

    Raises:
        DiskError: the index cannot be written.
    """
    _append(logs, folder, {"status": status_word(reason), "began": began, **_headline(read_metrics(folder))})


def status_word(reason: str) -> str:
    """Return how a run ended in one word; an error's message is `failed`."""
    return reason if re.fullmatch(r"\w+", reason) else FAILED


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


def _append(logs: str | Path, folder: Path, record: Mapping[str, Any]) -> None:
    root = make_folder(logs).resolve()
    place = folder.resolve()
    where = place.relative_to(root) if place.is_relative_to(root) else place
    writer = LineWriter(root / INDEX)
    try:
        writer.write({"t": time.time(), "run": place.name, "path": where.as_posix(), **record})
    finally:
        writer.close()


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return a run's metrics.json; empty when there is none or it cannot be read."""
    try:
        found = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few numbers of metrics.json that the index repeats."""
    updates, rollbacks = metrics.get("updates"), metrics.get("rollbacks")
    return {
        **{phase: _success(metrics.get(phase)) for phase in ("before", "teacher", "after")},
        "updates": updates.get("accepted") if isinstance(updates, Mapping) else None,
        "rollbacks": len(rollbacks) if isinstance(rollbacks, list) else None,
    }


def _success(phase: Any) -> float | None:
    value = phase.get("success") if isinstance(phase, Mapping) else None
    return float(value) if isinstance(value, (int, float)) else None


# ------------------------------------------------------------------------------------------ finding


def read_index(logs: str | Path) -> list[RunRecord]:
    """Return the runs of a log folder, oldest first; folders that were deleted are left out."""
    root = Path(logs)
    merged: dict[str, dict[str, Any]] = {}
    for line in read_lines(root / INDEX)[0]:
        path = str(line.get("path", ""))
        began = merged.get(path, line).get("t")
        merged[path] = {**merged.get(path, {}), **line, "t": began}
    known = set(RunRecord.__dataclass_fields__) - {"name", "path", "started", "status"}
    records = [
        RunRecord(
            name=str(entry.get("run", path)),
            path=root / path,
            started=float(entry.get("t") or 0.0),
            status=status_word(str(entry.get("status", "started"))),
            **{key: value for key, value in entry.items() if key in known},
        )
        for path, entry in merged.items()
        if (root / path / CONFIG).is_file()
    ]
    return sorted(records, key=lambda record: record.started)


def resolve_run(run: str, logs: str | Path) -> Path:
    """Return the folder of a run given as ``latest``, a name (or its unambiguous part), or a path.

    ``latest`` is the newest one that did anything.

    Raises:
        BadInput: there is no such run, or several (they are named).
    """
    folder = Path(run).expanduser()
    if (folder / CONFIG).is_file():
        return folder
    records = read_index(logs)
    if not records:
        raise BadInput(f"no run {run!r}: there are no runs in {logs}/. Begin one with `showonce run`.")
    if run == LATEST:
        return next((record for record in reversed(records) if record.began), records[-1]).path
    exact = [record for record in records if record.name == run]
    found = exact or [record for record in records if run in record.name]
    if len(found) > 1:
        raise BadInput(f"{run!r} could be any of {', '.join(record.name for record in found)}. Name one of them.")
    if not found:
        raise BadInput(
            f"no run {run!r} in {logs}/.{nearest(run, [LATEST, *(record.name for record in records[-10:])])}"
        )
    return found[0].path


# ---------------------------------------------------------------------------------------- comparing


def list_runs(names: Sequence[str], logs: str | Path, console: Console | None = None) -> int:
    """Print the table of all runs, or the comparison of the named ones. Returns the exit code.

    Raises:
        BadInput: a named run is not there.
    """
    out = console or Console()
    if names:
        out.print(comparison([resolve_run(name, logs) for name in names]))
        return 0
    records = read_index(logs)
    out.print(table(records) if records else f"No runs in {logs}/ yet. Begin one with `showonce run`.")
    return 0


def table(records: Iterable[RunRecord]) -> Table:
    """Return one row a run, newest last, its task below its name; fits into 80 columns."""
    caption = "success: before / teacher / after"
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for name in ("run", "success", "updates", "rollbacks", "status"):
        drawn.add_column(name, overflow="fold")
    for one in records:
        rates = " / ".join(_percent(rate) for rate in (one.before, one.teacher, one.after))
        counts = ["-" if n is None else str(n) for n in (one.updates, one.rollbacks)]
        if one.learner == "frozen":
            counts[0] = "off"
        drawn.add_row(Text.assemble(one.name, "\n", (one.task, "dim")), rates, *counts, one.status)
    return drawn


def comparison(folders: Sequence[Path]) -> Table:
    """Return the runs side by side: every number of metrics.json, then every setting in which they differ."""
    drawn = Table("", *(folder.name for folder in folders))
    for source, same_too in ((read_metrics, True), (_read_config, False)):
        columns = [dict(_leaves(source(folder))) for folder in folders]
        for key in dict.fromkeys(key for column in columns for key in column):
            cells = [_cell(column.get(key)) for column in columns]
            if same_too or len(set(cells)) > 1:
                drawn.add_row(key, *map(Text, cells))
        drawn.add_section()
    return drawn


def _read_config(folder: Path) -> dict[str, Any]:
    found = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _leaves(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
