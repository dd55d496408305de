"""From a config to the parts of a run: tasks, environments, the demonstration, the policy, the adapter store."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from showonce.about import shipped_root
from showonce.config import Config, LimitsConfig, SafetyConfig
from showonce.demonstrations import EpisodeStore, fit, latest_demonstration, load_demonstration, read_meta
from showonce.environments.registry import find_task, make_environment, oracle_for, settings_of
from showonce.environments.wrappers.fence import Fenced
from showonce.errors import BadInput, CheckpointCorrupt, ConfigError, DemonstrationError
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.methods.registry import find_method
from showonce.learning.session import identity_of
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import CANDIDATE, CHAMPION, Approver, Environment, EventSink, Oracle, ability
from showonce.runs.folder import adapter_store, find_store, started_in
from showonce.runs.layout import DEMONSTRATION, DOWNLOADS
from showonce.runs.metrics import read_metrics
from showonce.runtime.guards import Unproved
from showonce.runtime.loop import run_episode
from showonce.runtime.recorder import HandPolicy
from showonce.runtime.stop import Stop
from showonce.runtime.tasks import load_task
from showonce.seeds import Seeds
from showonce.types import Demonstration, Limits, StopReason, Success, Task
from showonce.versions.store import STORE

# ------------------------------------------------------------------------------------------ tasks and environments


def tasks_of(config: Config) -> list[Task]:
    """Return the tasks of a run: registered ids or YAML files.

    Raises:
        ConfigError: none is named, or environment.settings are wrong. TaskError: one cannot be used (nearest named).
    """
    settings_of(config.environment.name, config.environment.settings)
    names = [*config.tasks] or [config.task]
    if not any(names):
        raise ConfigError("task is empty: name one, e.g. task=app/dev/single/0, or a task file of your own.")
    return [replace(task, success=success_of(config, task.success)) for task in map(task_named, names)]


def success_of(config: Config, own: Success) -> Success:
    """Return the check that the config puts in the place of a task's own."""
    given = {name: value for name, value in dataclasses.asdict(config.success).items() if value}
    return next((Success(kind, value) for kind, value in given.items()), own)


def task_named(name: str) -> Task:
    """Return the task of a YAML file or a registered id. Raises TaskError as `find_task` and `load_task` do."""
    path = Path(name).expanduser()
    return load_task(path) if path.suffix in (".yaml", ".yml") or path.is_file() else find_task(name)


def limits_of(config: LimitsConfig) -> Callable[[Task], Limits]:
    """Return the limits of a task: its own, but for what the config sets to another value than its default."""
    default = LimitsConfig()
    changed = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    changed = {name: value for name, value in changed.items() if value != getattr(default, name)}
    return lambda task: replace(task.limits, **changed)


def environment_maker(config: Config, folder: Path | None = None) -> Callable[[Task], Environment]:
    """Return what makes the environment of a task; the task's own settings win over the config's.

    folder: of the run; a browser that is not told where to put downloads puts them there.
    """

    def make(task: Task) -> Environment:
        name = task.environment if task.split == "user" else config.environment.name
        ours = config.environment.settings if name == config.environment.name else {}
        settings = {**ours, **task.settings}
        if folder is not None and name == "browser":
            settings.setdefault("downloads", str(folder / DOWNLOADS))
        return fenced(make_environment(name, **settings), config.safety)

    return make


def fenced(environment: Environment, safety: SafetyConfig) -> Environment:
    """Return the environment within the allowed region, pages, windows and applications, whoever acts in it."""
    return Fenced(environment, safety) if safety.fenced else environment


def approver_for(safety: SafetyConfig, console: Approver | None, stop: Stop, needed: bool) -> Approver | None:
    """Return who is asked; None where nobody has to be, or nobody is there. needed: a task asks for a person anyway.

    Raises:
        Unavailable: safety.ask=window without a display.
    """
    asks = needed or "ask" in safety.recovery.measures or not (safety.unattended or safety.mode == "watch")
    if not asks or safety.ask == "nobody":
        return None
    if safety.ask == "window":
        from showonce.runtime.ask_window import WindowApprover

        return WindowApprover(stop)
    return console


def check_unattended(config: Config, what: str) -> None:
    """Refuse what acts and asks nobody (measuring, replaying) where a person wants to be asked.

    Raises:
        ConfigError: safety.mode is not free, or some words or places always ask.
    """
    if not config.safety.unattended:
        raise ConfigError(
            f"{what} acts without asking anybody, so it needs safety=free without safety.ask_words and "
            f"safety.ask_regions; here safety.mode={config.safety.mode}. `showonce run` with experiment=tasks asks."
        )


# ------------------------------------------------------------------------------------------ the demonstration


def demonstration_for(
    config: Config, task: Task, environment: Environment, folder: Path, events: EventSink, stop: Stop
) -> Demonstration | None:
    """Return the demonstration of a task as `config.demonstration` asks; None when there is none to be had.

    auto: what a resumed run was shown before, else found by its task under the log folder, else shipped, else shown now
    by the environment's own oracle, if it has one (labelled so) and nobody wants to be asked before something is done.
    A task whose goal is drawn anew with every seed is one task under many goals: what was recorded of it on a screen of
    this size is found, but no oracle shows it unasked.

    Raises:
        DemonstrationError: it is of another task or screen size, cannot be read, or its seed is practised or measured.
    """
    if config.demonstration == "none":
        return None
    seeds = Seeds.of(config)
    if config.demonstration != "auto":
        path: Path | None = Path(config.demonstration).expanduser()
    else:
        path = shown_before(folder, task) if config.resume else None
        path = path or recorded_of(config, task, environment)
    if path is None:
        if not task.goal or ability(environment, Oracle) is None or not config.safety.unattended:
            return None
        path = show(environment, task, seeds.first("demonstration"), folder / DEMONSTRATION, events, stop)
    found = load_demonstration(path)
    seeds.check_demonstration(read_meta(path).get("seed"), str(path))
    screen = environment.reset(task, seeds.first("demonstration"))
    fit(found, task, screen.width, screen.height)
    return found


def recorded_of(config: Config, task: Task, environment: Environment | None = None) -> Path | None:
    """Return the newest recording of a task under the log folder, else the shipped one; None without any.

    environment: where its goal is drawn by the seed, only what was recorded on a screen of this one's size counts,
    since nobody has named it.
    """
    size = None
    if environment is not None and not task.goal:
        screen = environment.reset(task, Seeds.of(config).first("demonstration"))
        size = screen.width, screen.height
    found = latest_demonstration(config.output.logs, task.id, size)
    return found or latest_demonstration(shipped_root("configs") / "demonstrations", task.id, size)


def check_demonstration(config: Config, tasks: Sequence[Task]) -> None:
    """Check the demonstration that a config names, as far as that goes without the environment.

    Raises:
        DemonstrationError: it cannot be read, is of another task or goal, or its seed is practised or measured.
    """
    if config.demonstration in ("auto", "none"):
        return
    path = Path(config.demonstration).expanduser()
    found = load_demonstration(path)
    Seeds.of(config).check_demonstration(read_meta(path).get("seed"), str(path))
    for task in tasks:
        for frame in found.frames[:1]:
            fit(found, task, frame.observation.width, frame.observation.height)


def shown_before(run: Path, task: Task) -> Path | None:
    """Return the demonstration of a task that a run names as its own, if it is still there."""
    told = read_metrics(run).get(DEMONSTRATION)
    path = run / str(told["path"]) if isinstance(told, dict) and told.get("path") else None
    if path is None or not path.is_dir() or read_meta(path)["task_id"] != task.id:
        return None
    return path


def show(environment: Environment, task: Task, seed: int, root: Path, events: EventSink, stop: Stop) -> Path:
    """Let the oracle show a task for this run and return the episode's folder.

    Other runs do not find it (its phase is not `record`): a run's result must not depend on which runs were before.

    Raises:
        DemonstrationError: the oracle did not reach the goal.
    """
    oracle = oracle_for(environment)
    episode = run_episode(
        environment, HandPolicy(lambda _: oracle()), task, seed=seed, phase=DEMONSTRATION, executor="oracle",
        guards=(Unproved(),), store=EpisodeStore(root), events=events, stop=stop,
    )  # fmt: skip
    if episode.stop_reason is StopReason.STOPPED:
        stop.check()
    if not episode.success or not episode.path:
        raise DemonstrationError(
            f"the oracle could not show {task.id!r} ({episode.stop_reason}: {episode.outcome.evidence}). Record it by "
            f"hand with `showonce record task={task.id}`, or set demonstration=none."
        )
    return Path(episode.path)


# ------------------------------------------------------------------------------------------ policy and adapter


def learns(config: Config) -> bool:
    """Say whether weights may change in this run.

    Raises:
        ConfigError: no such learner, or one that trains without an adapter to train.
    """
    if config.safety.mode == "watch":  # nothing is done, so nothing comes of it
        return False
    if not (config.learning.enabled and find_method(config.learning.learner).trains):
        return False
    if config.adapter == "none":
        raise ConfigError(
            f"adapter=none leaves learning.learner={config.learning.learner} nothing to train: set learning=frozen, or "
            "another adapter."
        )
    return True


def policy_for(config: Config) -> VLMPolicy:
    """Load the model; with `config.deterministic` on one thread and with deterministic kernels."""
    import torch

    torch.manual_seed(config.seed)
    if config.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        config = replace(config, inference=replace(config.inference, threads=1))
    return load_policy(config)


@dataclass(frozen=True)
class Place:
    """Where a run's adapter lives. outside: a PEFT folder outside of any store that it begins with."""

    root: Path
    name: str
    outside: Path | None = None


def place_of(config: Config, folder: Path) -> Place | None:
    """Return where the adapter of a run lives; None when it acts without one."""
    found = adapter_store(config, folder)
    if found is None:
        return None
    path = Path(config.adapter).expanduser()
    outside = config.adapter != "auto" and path.exists() and not (path / STORE).is_file()
    return Place(*found, path if outside else None)


def check_adapter(config: Config, policy: VLMPolicy, learning: bool) -> None:
    """Check that the adapter which a config names can be used, before anything is made or changed.

    Raises:
        BadInput: there is none at that path, or it does not fit the model.
        StoreError: a live process has it, it is of another model, or it is not there (and nothing is to be learned).
        CheckpointCorrupt: no version of it that may act is whole.
    """
    if policy.adapter is None or (config.adapter == "auto" and not config.resume):
        return
    path = Path(config.adapter).expanduser()
    if config.adapter != path.name and not path.exists():
        raise BadInput(
            f"adapter={config.adapter}: there is no such folder. Name an adapter of {config.output.adapters}/, a "
            "folder of an adapter, auto or none."
        )
    place = place_of(config, Path(config.resume))
    assert place is not None, "adapter=none leaves the policy without an adapter"
    if place.outside is not None:
        policy.adapter.load(place.outside, CANDIDATE)
    named = config.adapter != "auto" and place.outside is None
    if (named and not learning) or (place.root / place.name / STORE).is_file():
        with open_store(place, policy, readonly=True) as store:
            if learning:
                store.check_free()
            whole_version(store, learning)


def whole_version(store: AdapterStore, learning: bool) -> None:
    """Check that the champion of a store is whole, or (where something learns: it mends the store) another version.

    Raises:
        StoreError: the store is empty, and nothing learns. CheckpointCorrupt: none is whole.
    """
    champion = store.champion
    if champion is None and learning:
        return
    try:
        store.load()
    except CheckpointCorrupt:
        for version in store.candidates(exclude=(champion or "",)) if learning else ():
            with contextlib.suppress(CheckpointCorrupt):
                store.verify(version)
                return
        raise


def place_of_run(config: Config, run: Path) -> Place:
    """Return where the adapter of a finished run is.

    Raises:
        BadInput: it had none, or it is not there any more.
    """
    found = find_store(config, run)
    if found is None:
        place = adapter_store(config, run)
        if place is None:
            raise BadInput(f"{run.name} acted without an adapter.")
        raise BadInput(f"the adapter of {run.name} is not in {place[0] / place[1]} any more.")
    return Place(*found)


def demonstration_of_run(run: Path) -> Demonstration:
    """Return the demonstration that a finished run learned from, as its metrics.json names it.

    Raises:
        BadInput: it names none. DemonstrationError: it is not there any more.
    """
    told = read_metrics(run).get(DEMONSTRATION)
    if not isinstance(told, dict) or not told.get("path"):
        raise BadInput(f"{run.name} was shown nothing: there is no demonstration to prove anything about.")
    path = Path(str(told["path"]))
    there = [root / path for root in (run, started_in(run), Path.cwd()) if root is not None]
    return load_demonstration(next((folder for folder in there if folder.is_dir()), path))


def open_store(place: Place, policy: VLMPolicy, readonly: bool = False) -> AdapterStore:
    """Open an adapter store for a policy, a new one where there is none.

    Raises:
        StoreLocked: a live process has it. StoreError: it belongs to another model.
    """
    return AdapterStore(place.root, place.name, identity_of(policy), readonly=readonly)


def act_with(policy: VLMPolicy, store: AdapterStore, version: str | None = None) -> str:
    """Let a checkpoint of a store (default: its champion) act, and return its version.

    Raises:
        StoreError: the store is empty. CheckpointCorrupt: the checkpoint is not whole.
    """
    from showonce.learning.gate.calibration import Calibration

    assert policy.adapter is not None
    found = store.load(version)
    policy.adapter.set_tensors(found.tensors, CHAMPION, found.version)
    policy.calibration = Calibration.from_state(found.calibration) if found.calibration else None
    policy.use(CHAMPION)
    return found.version
