"""Jobs as tasks of a Ray cluster: workers=ray.

The driver (the process that a person started) alone writes into the run's folder: a task returns the rows it measured.
Lessons go through a folder that all nodes reach: the run's own, or `ray.storage`, any place that fsspec knows; of the
latter the driver keeps a copy in the run's folder and removes the original at the end. A task whose node died is
submitted again, without end; one whose own process died three times is a job that failed.

What a node must have: Ray, showonce and torch in the driver's versions (checked by each worker process). Python files
of the working folder that a config or a job names are sent along.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import re
import socket
import sys
import tempfile
import time
import typing
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from showonce.about import __version__
from showonce.app.executors import LESSONS, ROWS, Job, Order, Record, Work, attempt
from showonce.config import RayConfig
from showonce.errors import BadInput, ShowonceError, Unavailable
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results, Row
from showonce.fsio import atomic_write_bytes, make_folder
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import TeachResult

TRIES: Final = 3  # times that the process of one job may die while its node lives
GRACE_S: Final = 60.0  # seconds in which a stopped job must end before its process is killed
REACH_S: Final = 5.0  # seconds in which an address must answer
MOST_CODE: Final = 20_000_000  # bytes of Python files that are sent along
PLUGIN: Final = re.compile(r"([\w./-]+\.py|[\w.]+):[A-Za-z_][\w.]*")  # file.py:Name or module:Name
QUIET: Final = {  # no telemetry; of CUDA devices Ray hides those that a task did not ask for, without a warning
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}  # fmt: skip


@dataclass(frozen=True)
class Letter:
    """What each worker process is told once. work: pickled (run, make_bench, config), opened last.

    token: of this call; a file of this name lies in the run's folder, and a node that sees it shares the folder. here:
    the driver's working folder. lessons: their URL, "" = in the run's folder. code: a zip of Python files.
    """

    token: str
    versions: dict[str, str]
    folder: str
    here: str
    lessons: str
    code: bytes
    rows: tuple[Row, ...]
    work: bytes


@dataclass(frozen=True)
class Done:
    """What a task returns. record: None when the job was stopped. rows: those that it measured."""

    record: Record | None
    rows: tuple[Row, ...]


# ------------------------------------------------------------------------------------------ the driver


class RayCluster:
    """Does the jobs on the nodes of a cluster, one core each, and one GPU each where inference.device is cuda.

    Raises:
        Unavailable: Ray is not installed, or the cluster cannot be reached. BadInput: ray.storage cannot be used.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._stack = contextlib.ExitStack()
        self._running: dict[Any, Job] = {}
        self._died: Counter[Job] = Counter()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._ray = stack.enter_context(connected(self._order.config.ray))
            self._rows = Results(self._order.folder / ROWS)
            stack.callback(self._rows.close)
            token = f".ray-{uuid.uuid4().hex}"
            (self._order.folder / token).touch()
            stack.callback((self._order.folder / token).unlink, missing_ok=True)
            place = self._order.config.ray.storage
            self._stored = (
                FarLessons(self._order.folder / LESSONS, f"{place.rstrip('/')}/showonce{token}") if place else None
            )
            if self._stored is not None:
                self._stored.upload()
                stack.callback(self._stored.remove)
            letter = self._ray.put(self._letter(token))
            gpus = int(self._order.config.inference.device == "cuda")
            remote = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(do_job)
            self._task = partial(remote.remote, letter)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        finally:
            self._stack.close()

    def _elsewhere(self, token: str) -> FarLessons | None:
        """Return the lessons at ray.storage, in a folder of this call; None where they are in the run's folder."""
        place = self._order.config.ray.storage
        if not place:
            return None
        root = place.rstrip("/") if "://" in place else str(Path(place).expanduser().resolve())
        return FarLessons(self._order.folder / LESSONS, f"{root}/showonce{token}")

    def _letter(self, token: str) -> Letter:
        from ray import cloudpickle

        order, stored, dumps = self._order, self._stored, typing.cast("Callable[[Any], bytes]", cloudpickle.dumps)
        work = dumps((order.run, order.make_bench, order.config))
        code = python_files(Path.cwd(), named_modules(order))
        return Letter(
            token, versions(), str(order.folder.resolve()), str(Path.cwd()), stored.url if stored else "", code,
            tuple(self._rows.rows()), work,
        )  # fmt: skip

    def submit(self, job: Job) -> None:
        self._running[self._task(job)] = job

    def finished(self, seconds: float) -> list[Record | None]:
        found = [self._ended(reference, again=True) for reference in self._ready(seconds)]
        if self._stored is not None and found:
            self._stored.download()
        return [record for ended in found for record in ended]

    def _ready(self, seconds: float) -> list[Any]:
        first, rest = self._ray.wait(list(self._running), timeout=seconds)
        return [*first, *(self._ray.wait(rest, num_returns=len(rest), timeout=0)[0] if first and rest else ())]

    def _ended(self, reference: Any, again: bool) -> list[Record | None]:
        """Return the record of a job that ended; nothing where it was submitted again. Keeps its rows."""
        from ray import exceptions

        job = self._running.pop(reference)
        try:
            done: Done = self._ray.get(reference)
        except exceptions.TaskCancelledError:
            return [None]
        except (exceptions.NodeDiedError, exceptions.ObjectLostError, exceptions.LocalRayletDiedError):
            return self._once_more(job, "its node died") if again else [None]
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError):
            self._died[job] += 1
            if again and self._died[job] >= TRIES:
                return [Record(job.key, 0.0, error=f"its process died {TRIES} times (out of memory?)")]
            return self._once_more(job, "its process died") if again else [None]
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, ShowonceError):
                raise cause from None
            raise ShowonceError(
                f"a node cannot do jobs: {type(cause).__name__}: {cause} Every node needs showonce {__version__}."
            ) from error
        except exceptions.RayError as error:
            raise ShowonceError(f"Ray failed: {type(error).__name__}: {_first_line(error)}") from error
        for row in done.rows:
            self._rows.add(row)
        return [done.record]

    def _once_more(self, job: Job, why: str) -> list[Record | None]:
        self._order.tell(f"{job.key}: {why}; it begins again.")
        self.submit(job)
        return []

    def stop(self) -> None:
        for force in (False, True):
            for reference in self._running:
                self._ray.cancel(reference, force=force)
            until = time.monotonic() + GRACE_S
            while self._running and time.monotonic() < until:
                for reference in self._ready(0.5):
                    with contextlib.suppress(ShowonceError):
                        self._ended(reference, again=False)
        self._running.clear()


@contextlib.contextmanager
def connected(config: RayConfig) -> Iterator[Any]:
    """Connect to the cluster for the length of a block, where this process is not connected already; gives `ray`.

    Raises:
        Unavailable: Ray is not installed, nothing answers at the address, or this machine is no node of that cluster.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise Unavailable(f"workers=ray needs Ray ({error}): pip install 'showonce[scale]'.") from None
    with _silent():
        if ray.is_initialized():
            yield ray
            return
        address = config.address or os.environ.get("RAY_ADDRESS", "")
        key = "ray.address" if config.address else "RAY_ADDRESS"
        if ":" in address:
            _check_answers(key, address)
        new: dict[str, Any] = {} if address else {"include_dashboard": False}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **new)
        except Exception as error:
            raise Unavailable(
                f"{key}={address}: {_first_line(error)} A cluster is begun with `ray start --head` and joined, by this "
                "machine too, with `ray start --address=HOST:6379`."
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


def _check_answers(key: str, address: str) -> None:
    """Raise Unavailable where nothing answers at HOST:PORT: Ray itself would try for a minute."""
    parts = urlsplit(f"//{address}")
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), REACH_S).close()
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{key}={address}: nothing answers there ({error}). Begin a cluster on that machine with `ray start "
            "--head --port=6379`, or leave the address away to use the cores of this machine."
        ) from None


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray reports of dead nodes off stdout for the length of a block; the executor says it in one line.

    Ray has no setting for it: its listening thread calls this function of a private module.
    """
    from ray._private import worker

    said = getattr(worker, "print_to_stdstream", None)
    if said is None:
        yield
        return
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = said


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# ------------------------------------------------------------------------------------------ code


def versions() -> dict[str, str]:
    """Return the versions on which numbers depend. Python's and Ray's are compared by Ray itself."""
    return {
        "showonce": __version__,
        "torch": metadata.version("torch"),
        "transformers": metadata.version("transformers"),
    }


def named_modules(order: Order) -> set[str]:
    """Return the files and modules that the jobs and the plugins of all configs are in, as they are named there."""
    found = {match[1] for text in _texts([order.config, order.run]) if (match := PLUGIN.fullmatch(text))}
    return found | {(f.func if isinstance(f, partial) else f).__module__ for f in (order.run, order.make_bench)}


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in values, as deep as dataclasses, mappings, lists and the arguments of a `partial` go."""
    if isinstance(value, str):
        yield value
        return
    if isinstance(value, partial):
        value = [*value.args, *value.keywords.values()]
    elif dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    for item in value if isinstance(value, (list, tuple)) else ():
        yield from _texts(item)


def python_files(here: Path, names: set[str]) -> bytes:
    """Return a zip of the Python files that lie in `here`, and in its folders that a module or file in `names` is in.

    Empty where none of them is of `here`.

    Raises:
        BadInput: they are more than `MOST_CODE` bytes.
    """
    tops = {name.split("/")[0] if name.endswith(".py") else name.split(".")[0] for name in names}
    folders = [here / top for top in sorted(tops) if (here / top).is_dir() and any((here / top).rglob("*.py"))]
    if not folders and not any((here / (top.removesuffix(".py") + ".py")).is_file() for top in tops):
        return b""
    files = [*here.glob("*.py"), *(file for folder in folders for file in folder.rglob("*.py"))]
    size = sum(file.stat().st_size for file in files)
    if size > MOST_CODE:
        raise BadInput(f"the Python files of {here} have {size // 1_000_000} MB; a folder of its own is sent faster.")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            archive.write(file, file.relative_to(here))
    return out.getvalue()


# ------------------------------------------------------------------------------------------ a node


@dataclass(eq=False)
class _Node:
    """What this worker process of a node keeps between two jobs of one call."""

    token: str
    run: Any
    work: Work
    rows: NewRows


_node: _Node | None = None


def do_job(letter: Letter, job: Job) -> Done:
    """Do a job in a worker process of a node; KeyboardInterrupt is how Ray stops it.

    Raises:
        Unavailable: this node cannot do jobs, and why.
    """
    global _node
    try:
        if _node is None or _node.token != letter.token:
            _node = _begin(letter)
        record = attempt(job, _node.run, _node.work)
    except KeyboardInterrupt:
        record = None
    return Done(record, _node.rows.taken() if _node is not None and _node.token == letter.token else ())


def _begin(letter: Letter) -> _Node:
    from ray import cloudpickle

    name = socket.gethostname()
    other = {key: value for key, value in versions().items() if value != letter.versions[key]}
    if other:
        wanted = " ".join(f"{key}=={letter.versions[key]}" for key in other)
        has = " ".join(f"{key}=={value}" for key, value in other.items())
        raise Unavailable(f"node {name} has {has}, the driver {wanted}: install the same versions on all nodes.")
    shared = (Path(letter.folder) / letter.token).is_file()
    if not shared and not letter.lessons:
        raise Unavailable(
            f"node {name} does not see the run's folder {letter.folder}: mount it there under the same path, or set "
            "ray.storage to a folder or URL that all nodes reach."
        )
    _go_to(letter, shared)
    try:
        run, make_bench, config = cloudpickle.loads(letter.work)
    except ImportError as error:
        raise Unavailable(f"node {name}: {error}. It is neither installed there nor in the driver's folder.") from None
    import torch

    torch.set_num_threads(1)
    stop, rows = Stop(), NewRows(letter.rows)
    near = Path(letter.folder) / LESSONS if not letter.lessons else Path(tempfile.mkdtemp(prefix="showonce-lessons-"))
    lessons = FarLessons(near, letter.lessons) if letter.lessons else LessonStore(near)
    return _Node(letter.token, run, Work(make_bench(config, stop), rows, lessons, stop), rows)


def _go_to(letter: Letter, shared: bool) -> None:
    """Stand in the driver's working folder; where it is not here, in a new one with the files that were sent."""
    if shared and Path(letter.here).is_dir():
        os.chdir(letter.here)
    else:
        os.chdir(tempfile.mkdtemp(prefix="showonce-code-"))
        if letter.code:
            with zipfile.ZipFile(io.BytesIO(letter.code)) as archive:
                archive.extractall()
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


class NewRows(Results):
    """Rows in memory that remembers which were added since they were last taken."""

    def __init__(self, known: tuple[Row, ...]) -> None:
        super().__init__()
        for row in known:
            super().add(row)
        self._new: list[Row] = []

    def add(self, row: Row) -> None:
        super().add(row)
        self._new.append(row)

    def taken(self) -> tuple[Row, ...]:
        """Return the new rows and forget that they are new."""
        new, self._new = self._new, []
        return tuple(new)


# ------------------------------------------------------------------------------------------ lessons elsewhere


class FarLessons(LessonStore):
    """A lesson store with a copy at a URL: what is not in the folder is looked for there, what is put goes there too.

    Raises:
        Unavailable: the URL needs a package that is not installed. BadInput: it cannot be read or written.
    """

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url
        import fsspec

        with self._explained():
            try:
                self._files, self._root = fsspec.core.url_to_fs(url)
                self._files.makedirs(self._root, exist_ok=True)
            except ImportError as error:
                raise Unavailable(f"ray.storage={url} needs a package: {error}.") from None

    def get(self, name: str) -> TeachResult | None:
        if not self._paths(name)[0].is_file():
            for path in reversed(self._paths(name)):  # the record last: the lesson is there once it is
                self._fetch(path)
        return super().get(name)

    def put(self, name: str, result: TeachResult) -> TeachResult:
        found = super().put(name, result)
        for path in reversed(self._paths(name)):
            self._send(path)
        return found

    def upload(self) -> None:
        """Send all lessons of the folder."""
        for path in sorted(self.folder.glob("*"), key=lambda path: path.suffix == ".json"):
            if path.suffix in (".json", ".safetensors"):
                self._send(path)

    def download(self) -> None:
        """Fetch all lessons that the folder does not have."""
        with self._explained():
            self._files.invalidate_cache()
            names = [Path(path).name for path in self._files.ls(self._root, detail=False)]
        for name in names:
            if name.endswith(".json") and not (self.folder / name).is_file():
                self._fetch(self.folder / name.replace(".json", ".safetensors"))
                self._fetch(self.folder / name)

    def remove(self) -> None:
        """Fetch what is missing, and remove the copy."""
        self.download()
        with self._explained():
            self._files.rm(self._root, recursive=True)

    def _send(self, path: Path) -> None:
        with self._explained(), self._files.transaction:
            self._files.pipe_file(f"{self._root}/{path.name}", path.read_bytes())

    def _fetch(self, path: Path) -> None:
        with self._explained(), contextlib.suppress(FileNotFoundError):
            make_folder(self.folder)
            atomic_write_bytes(path, self._files.cat_file(f"{self._root}/{path.name}"), durable=False)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise BadInput(f"ray.storage={self.url}: {type(error).__name__}: {error}") from error
