"""The verb `replay`: a stored episode is executed again and compared with its recording."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from showonce.app.frontend import Frontend
from showonce.app.plan import check_unattended, make_plan
from showonce.app.run_writer import RunWriter
from showonce.app.tasks import task_of_episode
from showonce.config import AS_RECORDED, Config
from showonce.demonstrations.format import in_sentences
from showonce.environments.wrappers.secret import needs_of
from showonce.errors import ConfigError, nearest
from showonce.runs.folder import start_run
from showonce.runtime.approvals import person_of
from showonce.runtime.replay import MODES, ReplayReport, check_recording, replay_episode


@dataclass(frozen=True)
class Replayed:
    """What came of a replay. report: None when it was stopped before its end, for the reason in `stopped`."""

    report: ReplayReport | None
    stopped: str = ""


def replay(path: Path, mode: str | None, config: Config, frontend: Frontend | None = None) -> Replayed:
    """Execute a stored episode again; its new episode is stored in a run folder of its own.

    mode: None = by target where the recording knows its targets, else by coordinates.

    Raises:
        DemonstrationError: not an episode, of a newer schema, or as `task_of_episode`.
        ConfigError: an unknown mode.
    """
    if mode is not None and mode not in MODES:
        raise ConfigError(f"replay mode {mode!r} is not a valid choice.{nearest(mode, MODES)}")
    check_unattended(config.safety, "replay")
    named = None if config.task else [task_of_episode(path)]
    plan = make_plan(replace(config, seed=max(config.seed, 0)), tasks=named)
    task = plan.tasks[0]
    recorded, shown = check_recording(path, task)
    mode = mode or ("target" if any(frame.targets for frame in shown.frames) else "coordinates")
    needs = needs_of(recorded.steps)
    for name in config.secret:
        if name not in (known := [need.name for need in needs]) and "" not in known:
            raise ConfigError(f"secret.{name}: {path} types no such secret.{nearest(name, known)}")
    plan.environment.provide(task, needs, str(path))
    frontend = frontend or Frontend()
    if shown.lost:
        frontend.tell(f"the recording is incomplete, what follows may fail: {'; '.join(in_sentences(shown.lost))}.")
    report = None
    with (
        closing(plan.environment(task)) as environment,
        RunWriter(config, start_run(config, "replay"), frontend) as writer,
    ):
        writer.found["replay"] = {"of": str(path), "mode": mode}
        writer.announce(plan)
        approver = frontend.approver(writer.stop)
        report = replay_episode(
            path,
            environment,
            task,
            mode=next(one for one in MODES if one == mode),
            seed=None if config.seed == AS_RECORDED else config.seed,
            folder=writer.folder,
            store=writer.episodes(),
            events=writer.events,
            stop=writer.stop,
            longer=config.replay.longer,
            stop_when_changed=config.replay.stop_when_changed,
            person=person_of(approver),
            approver=approver,
        )
        writer.found["replay"] |= _noted(report)
    return Replayed(report, writer.stopped)


def _noted(report: ReplayReport) -> dict[str, Any]:
    """Return what came of a replay as metrics.json and summary.md tell of it."""
    first = report.first_difference
    return {
        "steps": report.steps,
        "recorded_steps": report.recorded_steps,
        "reached": report.reached,
        "stop_reason": report.stop_reason,
        "why": report.episode.why,
        "repaired": [{"step": one.step + 1, "changed": one.changed} for one in report.repaired],
        "first_difference": None if first is None else asdict(first),
        "episode": report.episode.path,
    }
