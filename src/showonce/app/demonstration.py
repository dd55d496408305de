"""Finds the demonstration that a run learns from, or has the environment's oracle show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from showonce.about import shipped_root
from showonce.app.plan import Plan
from showonce.config import Config
from showonce.demonstrations import (
    EpisodeStore,
    check_complete,
    check_fit,
    latest_demonstration,
    load_demonstration,
    load_episode,
    read_meta,
)
from showonce.environments.registry import oracle_for
from showonce.environments.wrappers.secret import needs_of
from showonce.errors import BadInput, DemonstrationError
from showonce.protocols import Environment, EventSink, Oracle, ability
from showonce.runs.adapter_place import started_in
from showonce.runs.layout import DEMONSTRATION
from showonce.runs.metrics import read_metrics
from showonce.runtime.guards import Unproved
from showonce.runtime.loop import run_episode
from showonce.runtime.recorder import HandPolicy, shown_by_oracle
from showonce.runtime.stop import Stop
from showonce.seeds import Seeds
from showonce.types import Demonstration, StopReason, Task


def demonstration_for(
    plan: Plan,
    task: Task,
    environment: Environment,
    events: EventSink,
    stop: Stop,
    tell: Callable[[str], None] = lambda text: None,
) -> Demonstration | None:
    """Return the demonstration of a task as `config.demonstration` asks; None when there is none to be had.

    auto: the first that exists of: the one that a resumed run names; the newest recording of the task under the log
    folder; the shipped one; one that the environment's oracle shows now, labelled so, if safety asks no person.
    A task whose goal is drawn by the seed is one task under many goals: recordings on a screen of the same size are
    found, but the oracle does not show one. tell: given one sentence when newer recordings were passed over.

    Raises:
        DemonstrationError: it is of another task or screen size, incomplete, cannot be read, or its seed is practised
            or measured.
    """
    config, first = plan.config, plan.seeds.first("demonstration")
    assert plan.folder is not None
    if config.demonstration == "none":
        return None
    path: Path | None
    if config.demonstration != "auto":
        path = Path(config.demonstration).expanduser()
    else:
        path = _shown_before(plan.folder, task) if config.resume else None
        path = path or recorded_of(plan, task, environment, tell)
    if path is None:
        if not task.goal or ability(environment, Oracle) is None or not config.safety.unattended:
            return None
        path = _show(environment, task, first, plan.folder / DEMONSTRATION, events, stop)
    found = _checked(path, plan.seeds, config.experiment.incomplete)
    plan.environment.provide(task, needs_of(load_episode(path).steps), str(path))
    screen = environment.reset(task, first)
    check_fit(found, task, screen.width, screen.height)
    return found


def demonstration_in_memory(plan: Plan, task: Task) -> Demonstration | None:
    """Return the demonstration of a task as `demonstration_for` finds it, without a run's folder: what the oracle shows
    is written nowhere. Raises as that.
    """
    config, first = plan.config, plan.seeds.first("demonstration")
    if config.demonstration == "none":
        return None
    environment = plan.environment(task)
    try:
        path = Path(config.demonstration).expanduser() if config.demonstration != "auto" else None
        path = path or recorded_of(plan, task, environment)
        if path is not None:
            found = _checked(path, plan.seeds, config.experiment.incomplete)
        elif not task.goal or ability(environment, Oracle) is None:
            return None
        else:
            found = shown_by_oracle(environment, task, first)
        screen = environment.reset(task, first)
        check_fit(found, task, screen.width, screen.height)
        return found
    finally:
        environment.close()


def recorded_of(
    plan: Plan,
    task: Task,
    environment: Environment | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Path | None:
    """Return the newest recording of a task under the log folder, else the shipped one; None without any.

    environment: of a task whose goal is drawn by the seed, only recordings on a screen of this environment's size
    count. None = of any size. tell: as of `latest_demonstration`.
    """
    size = None
    if environment is not None and not task.goal:
        screen = environment.reset(task, plan.seeds.first("demonstration"))
        size = screen.width, screen.height
    found = latest_demonstration(plan.config.output.logs, task.id, size, tell)
    return found or latest_demonstration(shipped_root("configs") / "demonstrations", task.id, size)


def check_demonstration(config: Config, tasks: Sequence[Task], seeds: Seeds) -> None:
    """Check a demonstration that a config names, as far as that goes without the environment.

    Raises:
        DemonstrationError: it cannot be read, is incomplete, is of another task or goal, or its seed is practised or
            measured.
    """
    if config.demonstration in ("auto", "none"):
        return
    found = _checked(Path(config.demonstration).expanduser(), seeds, config.experiment.incomplete)
    for task in tasks:
        for frame in found.frames[:1]:
            check_fit(found, task, frame.observation.width, frame.observation.height)


def demonstration_of_run(run: Path) -> Demonstration:
    """Return the demonstration that a finished run learned from, as its metrics.json names it.

    Raises:
        BadInput: it names none. DemonstrationError: it is not there any more.
    """
    path = _named_by(run)
    if path is None:
        raise BadInput(f"{run.name} was shown nothing: there is no demonstration to prove anything about.")
    there = [root / path for root in (run, started_in(run), Path.cwd()) if root is not None]
    return load_demonstration(next((folder for folder in there if folder.is_dir()), path))


def _named_by(run: Path) -> Path | None:
    """Return the path of the demonstration in a run's metrics.json, relative to the run where it lies in there."""
    shown = read_metrics(run).get(DEMONSTRATION)
    return Path(str(shown["path"])) if isinstance(shown, dict) and shown.get("path") else None


def _shown_before(run: Path, task: Task) -> Path | None:
    """Return the demonstration of a task that a run names as its own, if it is still there."""
    path = _named_by(run)
    if path is None or not (run / path).is_dir() or read_meta(run / path)["task_id"] != task.id:
        return None
    return run / path


def _checked(path: Path, seeds: Seeds, incomplete: bool) -> Demonstration:
    found = load_demonstration(path)
    check_complete(found, incomplete)
    seeds.check_demonstration(read_meta(path).get("seed"), str(path))
    return found


def _show(environment: Environment, task: Task, seed: int, root: Path, events: EventSink, stop: Stop) -> Path:
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
