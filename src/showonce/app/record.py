"""The verb `record`: a task is shown once, by a person or by the environment's scripted oracle."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from showonce.app.frontend import Frontend
from showonce.app.parameters import draw_sheet
from showonce.app.plan import Plan, check_unattended, make_plan
from showonce.app.run_writer import RunWriter
from showonce.config import Config, RecordConfig
from showonce.demonstrations import load_demonstration, load_episode
from showonce.demonstrations.format import in_sentences
from showonce.demonstrations.reduce import GestureLimits
from showonce.demonstrations.values import load_values
from showonce.environments.factory import OWN
from showonce.environments.registry import oracle_for, settings_type, source_for
from showonce.environments.wrappers.secret import needs_of
from showonce.errors import ConfigError, Unavailable
from showonce.protocols import Environment
from showonce.runs.folder import start_run
from showonce.runtime.approvals import person_of
from showonce.runtime.recorder import HandPolicy
from showonce.runtime.recorder import record as record_hand
from showonce.runtime.watch import Hotkeys, record_watched
from showonce.secrets import KNOWN, SOURCES, Secrets, places_of, word_for
from showonce.types import Executor, Task


@dataclass(frozen=True)
class Recording:
    """What was recorded. path: the episode's folder, None when it was stopped before. task: for `run task=...`.

    sheet: a picture of all steps, of a person's recording only. stopped: why it was stopped, "" if it was not. lost:
    what was done and is not in it, a sentence each. checks: the texts that must be there.
    """

    task: str
    task_id: str
    path: Path | None = None
    sheet: Path | None = None
    stopped: str = ""
    lost: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    def discard(self) -> None:
        """Delete the recorded episode."""
        if self.path is not None:
            shutil.rmtree(self.path)


def record(
    config: Config,
    oracle: bool = False,
    frontend: Frontend | None = None,
    tell: Callable[[str, bool], None] = lambda text, final: None,
) -> Recording:
    """Record one demonstration: a person on the screen itself or in a window, or the oracle (stored as such).

    tell: called with each action as it is understood, and whether that is its final form.

    Raises:
        TaskError: the environment has no oracle. Unavailable: there is no display, or it cannot be watched.
        ConfigError: a file asks for a browser that nobody sees.
        DemonstrationError: the goal was not reached; the episode is kept.
    """
    plan = make_plan(config)
    task, seed = plan.tasks[0], plan.seeds.first("demonstration")
    task = _whole(plan, task)
    if oracle:
        check_unattended(config.safety, "record --oracle")
    else:
        plan = in_sight(plan, task, tell)
    given = config.record
    keys = Hotkeys(given.end, given.pause, given.redo, given.check, given.secret)
    path, sheet, places = None, None, places_of(config.record.secrets)
    lost: list[str] = []
    checks: tuple[str, ...] = ()
    with ExitStack() as stack:
        environment = stack.enter_context(closing(plan.environment(task)))
        watch = None if oracle else source_for(environment, keys.chords, replace(places, chord=keys.secret))
        hand = None if watch is not None else _hand_for(environment, task, oracle, stack)
        secrets, folder = KNOWN, start_run(config, "record")  # what is typed is hidden by every writer at once
        stack.callback(_remove, secrets, folder, tell)
        writer = stack.enter_context(RunWriter(config, folder, frontend or Frontend(), report=False))
        writer.announce(plan)
        person = person_of(writer.frontend.approver(writer.stop))
        if watch is not None:
            path = record_watched(
                environment, watch, task, seed, writer.episodes(), stop=writer.stop, events=writer.events,
                hotkeys=keys, tell=tell, gestures=_gestures_of(config.record), secrets=secrets, person=person,
            )  # fmt: skip
        else:
            assert hand is not None
            path = record_hand(
                environment, task, seed, hand[0], writer.episodes(), hand[1], stop=writer.stop, events=writer.events,
                person=person,
            )  # fmt: skip
        if not oracle:
            sheet, shown = draw_sheet(path, load_values(path)), load_demonstration(path)
            lost, checks = in_sentences(shown.lost), tuple(check.text for check in shown.checks)
            for need in needs_of(load_episode(path).steps):
                key = f"secret.{need.name}={SOURCES}"
                tell(f"{word_for(need.name)} stands for what was typed into {need.field!r}: a replay needs {key}", True)
    return Recording(config.task or task.id, task.id, path, sheet, writer.stopped, tuple(lost), checks)


def _remove(secrets: Secrets, folder: Path, tell: Callable[[str, bool], None]) -> None:
    """Remove typed secrets from all files of a run, and report where there were any."""
    mended, left = secrets.scrub(folder)
    for found, what in ((mended, "it was replaced by <secret>"), (left, "IT IS STILL THERE; edit or delete the files")):
        if found:
            names = ", ".join(str(path.relative_to(folder)) for path in found)
            tell(f"what was typed into a secret field stood in {names}: {what}", True)


def _whole(plan: Plan, task: Task) -> Task:
    """Return a task of the user's own with all settings that its environment was opened with, to be stored.

    Whether the recording had a window, and where it put downloads, is not the task's.
    """
    if task.split != OWN:
        return task
    name, settings = plan.environment.resolve(task)
    kept = {
        key: value for key, value in settings.items() if key in task.settings or key not in ("headless", "downloads")
    }
    return replace(task, environment=name, settings=kept)


def in_sight(plan: Plan, task: Task, tell: Callable[[str, bool], None]) -> Plan:
    """Return the plan with a browser that has a window, unless it is attached to or the command line says otherwise.

    Raises:
        ConfigError: a file asks for a browser without a window. Unavailable: there is no display for one.
    """
    name, settings = plan.environment.resolve(task)
    if "headless" not in settings_type(name).__dataclass_fields__ or settings.get("cdp_url"):
        return plan
    hidden = settings.get("headless")
    if hidden and plan.environment.given.get("headless"):
        tell("The browser has no window (environment.settings.headless=true): reach it by remote debugging.", True)
        return plan
    if hidden:
        raise ConfigError(
            "a recording would begin in a browser that nobody sees: a file sets environment.settings.headless to true. "
            "Say environment.settings.headless=false on the command line, or =true to reach it by remote debugging."
        )
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise Unavailable(
            "a recording needs a browser window, which needs a display, and DISPLAY is not set. Use xvfb-run, or "
            "attach to a browser of your own: environment.settings.cdp_url=http://127.0.0.1:9222."
        )
    return replace(plan, environment=replace(plan.environment, given={**plan.environment.given, "headless": False}))


def _gestures_of(given: RecordConfig) -> GestureLimits:
    """Return how input events of a person are reduced to actions."""
    return GestureLimits(given.double_seconds, given.near, given.scroll_seconds, given.wait_seconds)


def _hand_for(environment: Environment, task: Task, oracle: bool, stack: ExitStack) -> tuple[HandPolicy, Executor]:
    """Return who shows a task, and as what the episode is stored. stack: closes the window of a person."""
    if oracle:
        script = oracle_for(environment)
        return HandPolicy(lambda _: script()), "oracle"
    from showonce.environments.embedded.window import ScreenWindow

    window = stack.enter_context(closing(ScreenWindow(f"showonce: {task.goal or task.id}")))
    return HandPolicy(window.next_action), "person"
