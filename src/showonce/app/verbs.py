"""The composition root: a config becomes the parts of a run, and every verb of the command line one short function."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from rich.console import Console

from showonce.app import experiment
from showonce.app.baselines import check_baselines
from showonce.app.compose import announce, assemble
from showonce.app.plan import (
    check_adapter,
    check_demonstration,
    check_unattended,
    demonstration_of_run,
    environment_maker,
    fenced,
    learns,
    open_store,
    place_of_run,
    policy_for,
    task_named,
    tasks_of,
)
from showonce.app.run_log import STOP_FILE, RunLog, Show, unwatched
from showonce.config import Config, FaultConfig
from showonce.demonstrations import load_demonstration, read_meta
from showonce.demonstrations.format import encode_png
from showonce.demonstrations.formats import export_episodes, import_file
from showonce.demonstrations.reduce import Grip
from showonce.demonstrations.sheet import contact_sheet
from showonce.environments.registry import elements_for, make_environment, oracle_for, source_for
from showonce.environments.wrappers.secret import SECRET_VARIABLE
from showonce.errors import ConfigError, DemonstrationError, TaskError, nearest
from showonce.evaluation.bench import Bench
from showonce.evaluation.controls import CONTROLS
from showonce.evaluation.proof_page import PHASES, summary_of
from showonce.evaluation.prove import lesson_of
from showonce.evaluation.prove import prove as proof_of
from showonce.evaluation.score import score, score_table
from showonce.fsio import atomic_write_bytes
from showonce.learning.gate.calibration import Calibration
from showonce.learning.lesson import teaching
from showonce.protocols import Environment
from showonce.runs.index import CONFIG, check_resumed, start_run
from showonce.runs.report import PICTURE, SUMMARY
from showonce.runtime.approvals import ConsoleApprover
from showonce.runtime.recorder import HandPolicy
from showonce.runtime.recorder import record as record_hand
from showonce.runtime.replay import MODES, ReplayReport, check_recording, replay_episode
from showonce.runtime.stop import Stop, stop_on_interrupt
from showonce.runtime.watch import Hotkeys, record_watched
from showonce.seeds import Seeds
from showonce.settings import load_config
from showonce.types import Executor, Task

SHEET: Final = "contact_sheet.png"
IMPORTED: Final = "imported"  # folder below the logs
CLEAR: Final = "\r\x1b[K"  # back to the beginning of an empty line
WIDE: Final = 200  # columns of a table in a file or a pipe
AS_RECORDED: Final = -1  # the seed that stands for the recorded one


def run(config: Config, show: Show = unwatched) -> int:
    """Do tasks, learning or not. Returns the exit code: 0 it ran, 130 a person stopped it.

    Raises:
        ShowonceError: what was asked for cannot be done; what was done until then is in the run's folder.
    """
    if config.resume:
        check_resumed(config)
    tasks, learning = tasks_of(config), learns(config)
    check_baselines(config)
    if config.experiment.name == "one_demo":
        check_unattended(config, "experiment=one_demo")
        experiment.check_one_demonstration(config, tasks)
    check_demonstration(config, tasks)
    policy = policy_for(config)
    check_adapter(config, policy, learning)
    with RunLog(config, start_run(config), show) as log:
        announce(log, tasks, learning)
        parts = assemble(config, log, tasks, learning, policy)
        try:
            experiment.perform(parts)
        finally:
            parts.stage.close()
            if parts.session is not None:
                parts.session.close()
    say(f"What happened, on a page and as a picture: {log.folder / SUMMARY}, {log.folder / PICTURE}")
    return log.exit_code


def record(config: Config, oracle: bool, keep: bool = False) -> int:
    """Show a task once: by hand, on the screen itself or in a window, or by the environment's oracle (stored so).

    keep: do not ask whether a person's recording is to be kept.

    Raises:
        TaskError: the environment has no oracle. Unavailable: there is no display, or it cannot be watched.
        DemonstrationError: the goal was not reached; the episode is kept.
    """
    task, seed = tasks_of(config)[0], Seeds.of(config).first("demonstration")
    if oracle:
        check_unattended(config, "record --oracle")
    environment = environment_maker(config)(task)
    keys = Hotkeys(config.record.end, config.record.pause, config.record.redo)
    watch = None if oracle else source_for(environment, (keys.end, keys.pause, keys.redo))
    hand = None if watch is not None else hand_for(environment, task, oracle)
    with RunLog(config, start_run(config), report=False) as log:
        announce(log, [task], learning=False)
        if watch is not None:
            path = record_watched(
                environment, watch, task, seed, log.episodes(), stop=log.stop, events=log.events, hotkeys=keys,
                tell=LiveLine(), grip=grip_of(config),
            )  # fmt: skip
        else:
            assert hand is not None
            path = record_hand(
                environment, task, seed, hand[0], log.episodes(), hand[1], stop=log.stop, events=log.events
            )
        say(f"Recorded {task.id} in {path}. Learn from it with `showonce run task={config.task or task.id}`.")
        if not oracle and not kept(path, keep or ConsoleApprover(log.stop).confirm):
            say("Deleted.")
    environment.close()
    return log.exit_code


def grip_of(config: Config) -> Grip:
    """Return how a hand is read."""
    given = config.record
    return Grip(given.double_seconds, given.near, given.scroll_seconds, given.wait_seconds)


def kept(path: Path, ask: Literal[True] | Callable[[str], bool | None]) -> bool:
    """Draw the contact sheet of a recording and ask whether to keep it; without an answer it stays."""
    sheet = path / SHEET
    atomic_write_bytes(sheet, encode_png(contact_sheet(load_demonstration(path))))
    say(f"Its steps at a glance: {sheet}")
    if ask is True or ask("Keep it?") is not False:
        return True
    shutil.rmtree(path)
    return False


class LiveLine:
    """Says on the terminal what was understood: a line that changes while an action goes on, then stays."""

    def __init__(self) -> None:
        self._alive = sys.stdout.isatty()

    def __call__(self, text: str, final: bool) -> None:
        if final:
            sys.stdout.write(f"{CLEAR if self._alive else ''}{text}\n")
        elif self._alive:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"{CLEAR}{text[:width]}")
        sys.stdout.flush()


def import_demonstrations(config: Config, file: Path, form: str) -> int:
    """Import every demonstration of a foreign file below the log folder, or nothing. Raises as `import_file`."""
    found = import_file(file, form, Path(config.output.logs) / IMPORTED)
    for path in found.paths:
        meta = read_meta(path)
        say(f"{path}: {meta['steps']} steps of {meta['task_id']}, {meta['goal']!r}")
    for left in found.left_out:
        say(f"left out, {left.where}: {left.reason}")
    say(f"{len(found.paths)} imported, {len(found.left_out)} left out.")
    return 0


def export_demonstrations(episodes: Sequence[str], folder: Path, form: str) -> int:
    """Write episode folders in a foreign format. Raises as `export_episodes`."""
    say(f"Written: {export_episodes(episodes, form, folder)}")
    return 0


def hand_for(environment: Environment, task: Task, oracle: bool) -> tuple[HandPolicy, Executor]:
    """Return who shows a task, and as what it is stored."""
    if oracle:
        script = oracle_for(environment)
        return HandPolicy(lambda _: script()), "oracle"
    from showonce.environments.embedded.window import ScreenWindow

    window = ScreenWindow(f"showonce: {task.goal or task.id}")
    return HandPolicy(window.next_action), "person"


def replay(path: Path, mode: str, config: Config, check: bool = False) -> int:
    """Re-execute a stored episode and say where it first differs from what was recorded.

    check: return 1 where it differs, or where its success was not verified.

    Raises:
        DemonstrationError: not an episode, of a newer schema, or of a task of the user's own whose file is not named.
        ConfigError: an unknown mode.
    """
    if mode not in MODES:
        raise ConfigError(f"replay mode {mode!r} is not a valid choice.{nearest(mode, MODES)}")
    check_unattended(config, "replay")
    task = tasks_of(config)[0] if config.task else recorded_task(path)
    check_recording(path, task)
    environment = environment_maker(config)(task)
    with RunLog(config, start_run(config), report=False) as log:
        announce(log, [task], learning=False)
        report = replay_episode(
            path,
            environment,
            task,
            mode="template" if mode == "template" else "coordinates",
            seed=None if config.seed == AS_RECORDED else config.seed,
            folder=log.folder,
            store=log.episodes(),
            events=log.events,
            stop=log.stop,
            elements=elements_for(environment),
            secret=os.environ.get(SECRET_VARIABLE, ""),
        )
        say(told(report))
        differs = report.first_difference is not None or report.success is not True
    environment.close()
    return log.exit_code or int(check and differs)


def recorded_task(path: Path) -> Task:
    """Return the task that an episode is of.

    Raises:
        DemonstrationError: it is none of the registered ones.
    """
    task_id = str(read_meta(path)["task_id"])
    try:
        return task_named(task_id)
    except TaskError as error:
        raise DemonstrationError(f"{path} is an episode of {task_id!r}: name its file by task=FILE.yaml.") from error


def told(report: ReplayReport) -> str:
    """Return what came of a replay, for a person: steps are counted from 1, as in what it says about them."""
    verdict = {True: "succeeded", False: "did not succeed", None: "ended, and nobody can say whether it succeeded"}
    first, of = report.first_difference, f"of {report.recorded_steps} recorded actions"
    text = (
        f"{report.steps} {of} were done, by {report.mode}: it {verdict[report.success]} ({report.stop_reason}). "
        f"The new episode is in {report.episode.path}."
    )
    if first is None:
        return f"{text}\nNo difference from the recording."
    where = f"its ending, after {first.step} {of}" if first.kind == "ending" else f"step {first.step + 1}, {first.kind}"
    picture = f" See {first.picture}." if first.picture else ""
    return f"{text}\nFirst difference at {where}: {first.detail.rstrip('.')}.{picture}"


def evaluate(config: Config) -> int:
    """Score on a task set with fixed seeds. The same command with `run_dir` goes on.

    Raises:
        ConfigError: no such set or split. Stopped: what was measured is kept.
    """
    if config.run_dir and (Path(config.run_dir) / CONFIG).is_file():
        config = replace(config, resume=config.run_dir)
    check_unattended(config, "eval")
    policy = policy_for(config)
    check_adapter(config, policy, learning=False)
    with RunLog(config, start_run(config), report=False) as log:
        announce(log, [], learning=False)
        parts = assemble(config, log, [], False, policy)
        make = bench_environment(config)
        made = score(config, parts.stage.policy, make, log.folder, log.stop)
        wide_console().print(score_table(made))
    return log.exit_code


def wide_console() -> Console:
    """Return a console for a table: what is no terminal has no width to keep to."""
    out = Console()
    return out if out.is_terminal else Console(width=WIDE)


def make_bench(config: Config, stop: Stop) -> Bench:
    """Return a place to measure at, where lessons are taught as a run teaches them."""
    policy = policy_for(config)
    teach = None if policy.adapter is None else teaching(config, policy, environment_maker(config), stop)
    return Bench(config, policy, bench_environment(config), teach, Calibration.from_state)


def bench_environment(config: Config) -> Callable[[], Environment]:
    """Return what makes the environment of the config."""
    return lambda: fenced(make_environment(config.environment.name, **config.environment.settings), config.safety)


def prove(run: Path, config: Config) -> int:
    """Run the controls on the adapter of a finished run, and write its proof.

    config: of the proof; only how many screens are measured, and on which device, is taken from it.

    Raises:
        BadInput: the run learned nothing, or its demonstration or adapter is not there any more.
    """
    stop = Stop(run / STOP_FILE)
    with stop_on_interrupt(stop):
        theirs = proof_config(run, config)
        check_unattended(theirs, "prove")
        task = tasks_of(theirs)[0]
        bench = make_bench(theirs, stop)
        place = place_of_run(theirs, run)
        with open_store(place, bench.policy, readonly=True) as store:
            champion = store.champion
            adapter = store.folder(champion or "")
            store.verify(champion or "")
        lesson = lesson_of(run, bench, task, demonstration_of_run(run), adapter)
        tell = progress(len(PHASES) + len(CONTROLS))
        proof = proof_of(run, bench, lesson, adapter=adapter, task=theirs.task, stop=stop, tell=tell)
    say(f"{summary_of(proof)}\nThe proof is in {run}.")
    return 0


def progress(total: int) -> Callable[[str], None]:
    """Return what says which part of how many begins, and how long it took so far."""
    counted, begun = itertools.count(1), time.monotonic()
    return lambda name: say(f"{next(counted):>2} of {total}, after {time.monotonic() - begun:.0f} s: {name}")


def proof_config(run: Path, config: Config) -> Config:
    """Return the config of a run, measured as `config` says."""
    theirs = load_config(run / CONFIG)
    experiment = replace(theirs.experiment, eval_screens=config.experiment.eval_screens)
    learning = replace(theirs.learning, fault=FaultConfig())
    return replace(theirs, experiment=experiment, learning=learning, inference=config.inference, resume="", run_dir="")


def say(text: str) -> None:
    """Print a line that may hold paths: neither wrapped nor marked up."""
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
