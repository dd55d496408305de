"""The command line: one verb each; words are parsed first and heavy imports stand inside the verbs.

The exit codes are those of `cli/codes.py`; the help of each verb names its own.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from showonce.about import __version__
from showonce.cli.codes import BAD_INPUT, BROKEN, CRASHED, DIFFERS, IN_DOUBT, NOT_REACHED, STOPPED, codes_line
from showonce.cli.pipe import Pipe
from showonce.errors import ShowonceError
from showonce.secrets import KNOWN

if TYPE_CHECKING:
    from showonce.app.parameters import Parameters
    from showonce.config import Config

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, message="showonce %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Show it once. It practises, it learns, and what it learns can be undone.

    A frozen vision-language model with a small adapter acts on a screen. Shown a task once, it learns it while it
    runs; every update is gated, budgeted and can be taken back.

    \b
    First steps:
      showonce doctor                               what this machine can do
      showonce run --config configs/demo.yaml       fail, learn from one demonstration, succeed
      showonce watch latest                         look at that run again

    \b
    Every verb takes --config (a YAML file, or the name of a shipped one) and then any key=value:
      showonce run --config demo seed=3 learning.gate.budget_run=20 learning=sft_demo

    Exit codes: 0 done, 1 `replay --check`: it differs, 2 bad input, 3 something is not here or broke, 4 the goal was
    not reached, 5 it stopped in doubt, 70 a defect of showonce, 130 stopped. The help of each verb says what they
    mean there.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def configured(
    usage: str = "[KEY=VALUE]...",
    done: str = "it ran to its end",
    codes: dict[int, str] | None = None,
    config: bool = True,
) -> Callable[[F], F]:
    """Add --config and the trailing words: key=value, and the runs or the episode that the verb is about.

    done, codes: what exit code 0 means, and the codes that the verb alone has; both end its help. config: it reads one.
    """

    def add(function: F) -> F:
        function.__doc__ = f"{inspect.getdoc(function)}\n\n{codes_line(done, codes or {})}"
        text = "A YAML file, or the name of a shipped config."
        function = click.argument("words", nargs=-1, metavar=usage)(function)
        if not config:
            return function
        return click.option("--config", "config_name", metavar="FILE|NAME", help=text)(function)

    return add


def _load(config_name: str | None, default: str, overrides: Sequence[str], verb: str = "") -> Config:
    """Return the config of a verb, checked. verb: as in `app.effects.USED`, where it is not the default's name."""
    from showonce.app.effects import check_config
    from showonce.settings import load_config

    def check(config: Config, given: tuple[str, ...]) -> None:
        if not (config.resume and (verb or default) == "run"):  # of a resumed run, its own config is checked instead
            check_config(verb or default, config, given)

    return load_config(config_name or default, overrides, check)


def _resumed(config: Config, config_name: str | None, overrides: Sequence[str]) -> Config:
    """Return the config of the run that is to go on; `config` is only asked which one that is."""
    from functools import partial

    from showonce.app.effects import check_config
    from showonce.errors import ConfigError
    from showonce.runs.folder import resumed_config

    if config_name is not None:
        raise ConfigError(
            f"resume={config.resume} goes on with the run's own config.yaml: leave --config {config_name} out. "
            "Overrides (key=value) are taken on top of it."
        )
    return resumed_config(config.resume, config.output.logs, overrides, partial(check_config, "run"))


def _split(words: Sequence[str], most: int | None = 0) -> tuple[list[str], list[str]]:
    """Part names from overrides: a word with ``=`` that is not an existing path is an override."""
    names = [word for word in words if "=" not in word or Path(word).exists()]
    if most is not None and len(names) > most:
        hint = f" Did you mean --config {names[-1]}?" if names[-1].endswith(".yaml") else ""
        raise click.UsageError(f"{names[-1]!r} is not of the form key=value.{hint}")
    return names, [word for word in words if word not in names]


def _one(words: Sequence[str], what: str) -> tuple[str, list[str]]:
    names, overrides = _split(words, most=1)
    if not names:
        raise click.UsageError(f"{what} is missing.")
    return names[0], overrides


@cli.command()
@click.option("-m", "--multirun", is_flag=True, help="A run of each combination of keys with several values: key=a,b.")
@click.option("--yes", is_flag=True, help="Begin a multirun of very many runs without asking.")
@click.option("--success-url", metavar="TEXT", help="Done when the page's address holds this (* stands for anything).")
@click.option("--success-text", metavar="TEXT", help="Done when this text is on the page.")
@click.option("--success-selector", metavar="CSS", help="Done when an element that this selects is visible.")
@click.option("--success-file", metavar="PATH", help="Done when this file is new, or has changed.")
@configured(
    done="every task succeeded in at least one attempt (experiment=one_demo, safety=watch: it ran to its end)",
    codes={NOT_REACHED: "a task never succeeded"},
)
def run(
    config_name: str | None,
    words: tuple[str, ...],
    multirun: bool,
    yes: bool,
    **success: str | None,
) -> int:
    """Do tasks, with learning on or off.

    \b
    Examples:
      showonce run --config configs/demo.yaml
      showonce run task=app/dev/single/3 learning=frozen adapter=none
      showonce run --config configs/browser.yaml task=my.yaml --success-url '*/thanks*'
      showonce run resume=20260101-120000-demo
      showonce run -m --config demo learning.sdft.lr=.01,.03 seed=0,1

    \b
    With -m: a run of each combination, one after another, each in a folder of its own, and a table of all of them at
      the end. Values are hydra's: key=a,b, key=range(0,3), key=choice(a,b). All are checked before the first begins.
      With run_dir=PATH they are PATH/0, PATH/1 ..., and the same command goes on: a run that ended is not done again.
      The exit code is the highest of theirs. For learners side by side, with intervals: showonce compare.

    \b
    Useful keys: task, seed, learning, experiment=one_demo (before, teacher, learn, after),
      adapter=none|NAME|PATH, demonstration=none|PATH, run_dir=PATH, dashboard.mode=plain,
      safety=watch|step|confident|free (who is asked before something is done; a task of your own in a browser or on
      a desktop has one attempt, safety=confident, and words such as delete and pay ask, unless you set these keys),
      environment=embedded|browser|miniwob|desktop, or module:Class; environment.settings.KEY
      (`showonce doctor --settings browser` lists the keys, with type, default and meaning),
      resume=RUN (go on with a run, by its own config.yaml; further keys are taken on top)

    \b
    While it runs: Ctrl-C stops, Ctrl-\\ pauses and resumes; so do files named STOP and PAUSE in the run's folder.

    Outputs: logs/<time>-<name>/ (config, events, episodes, metrics.json, summary.md, learning_curve.png) and the
    adapter with its checkpoints in adapters/.
    """
    overrides = _split(words)[1]
    if multirun:
        return _multirun(config_name, overrides, success, yes)
    return _run(_config_of_run(config_name, overrides, success))


def _config_of_run(config_name: str | None, overrides: Sequence[str], success: dict[str, str | None]) -> Config:
    """Return the config of one run, checked. success: of the options --success-..., by their names."""
    config = _load(config_name, "run", overrides)
    if config.resume:
        config = _resumed(config, config_name, overrides)
    if any(success.values()):
        from dataclasses import replace

        from showonce.config import SuccessConfig

        given = {name.removeprefix("success_"): value for name, value in success.items() if value}
        keys = tuple(f"success.{name}" for name in given)
        other = next((k for k in config.given if k.startswith("success.") and k not in keys), "")
        if other and not config.resume:
            from showonce.errors import ConfigError

            flag = keys[0].replace(".", "-").replace("_", "-")
            raise ConfigError(f"--{flag} and {other} are both given, and one check decides: leave one out.")
        config = replace(config, success=SuccessConfig(**given), given=(*config.given, *keys))
    return config


def _multirun(config_name: str | None, overrides: Sequence[str], success: dict[str, str | None], yes: bool) -> int:
    """Do a run of each combination, and show them beside each other. Returns the highest exit code."""
    from rich.console import Console

    from showonce.cli.terminal import say
    from showonce.runs.comparison import ranked
    from showonce.runs.multirun import done_with, placed
    from showonce.settings import combinations

    asked = combinations(overrides)
    agreed(len(asked), "runs", yes)
    keys = [word.partition("=")[0] for word in asked[0]]
    kept = [word for word in overrides if word.partition("=")[0] not in keys]
    configs = placed([_config_of_run(config_name, [*kept, *words], success) for words in asked])
    codes: list[int] = []
    folders: list[Path] = []
    for at, (words, config) in enumerate(zip(asked, configs, strict=True), 1):
        say(f"run {at} of {len(asked)}: {' '.join(words)}")
        folder = done_with(config)
        if folder is None:
            codes.append(_run(config, folders.append))
        else:
            say(f"{folder} came to its end before.")
            folders.append(folder)
        if codes[-1:] == [STOPPED]:
            break
    Console().print(ranked(folders, configs[0].output.logs))
    return max(codes, default=0)


def agreed(count: int, what: str, yes: bool) -> None:
    """Ask a person before very many runs or lessons begin. Raises BadInput: nobody says yes."""
    from showonce.app.study import ASK_FROM
    from showonce.errors import BadInput

    if count < ASK_FROM or yes:
        return
    question = f"These are {count} {what}. Begin?"
    if not sys.stdin.isatty() or not click.confirm(question, err=True):
        raise BadInput(f"{count} {what} were asked for, and nobody said yes: give --yes, or name fewer.")


def _run(config: Config, began: Callable[[Path], None] = lambda folder: None) -> int:
    """Do a run and return its exit code. began: called with its folder at its end."""
    from showonce.app.run import run as run_tasks
    from showonce.cli.reports import results_text, stop_text
    from showonce.cli.terminal import Terminal, say
    from showonce.dashboard import LiveDashboard
    from showonce.inference.process import set_process
    from showonce.runs.layout import PICTURE, SUMMARY

    set_process(config.inference, config.deterministic, config.seed)
    look = config.dashboard
    terminal = Terminal(lambda folder: LiveDashboard(folder, look.mode, look.refresh_per_second))
    result = run_tasks(config, terminal)
    if result.stopped:
        terminal.tell(stop_text(result, config.output.logs))
    if result.tasks:
        say(results_text(result.tasks))
    folder = result.folder
    began(folder)
    say(f"What happened, on a page and as a picture: {folder / SUMMARY}, {folder / PICTURE}")
    if result.stopped:
        return STOPPED
    return 0 if result.reached else BROKEN if result.broke else NOT_REACHED


@cli.command()
@click.option("--oracle", is_flag=True, help="Let the scripted oracle show it; stored as scripted, not as a person's.")
@click.option("--yes", is_flag=True, help="Keep what was recorded without asking.")
@click.option(
    "--import", "import_file", metavar="FILE", help="Import demonstrations from FILE instead: all or nothing."
)
@click.option("--export", "export_folder", metavar="FOLDER", help="Write the named EPISODEs to FOLDER.")
@click.option("--format", "form", metavar="NAME", help="Of an import or export: agentnet, openadapt or lerobot.")
@configured(
    "[EPISODE]... [KEY=VALUE]...", done="recorded, imported or exported",
    codes={NOT_REACHED: "the recording did not reach its goal; it is kept"},
)  # fmt: skip
def record(
    config_name: str | None, words: tuple[str, ...], oracle: bool, yes: bool, import_file: str | None,
    export_folder: str | None, form: str | None,
) -> int:  # fmt: skip
    """Show a task once, by hand or by the scripted oracle.

    On a real screen (browser, desktop) you simply do it and are watched; the embedded world opens a window. Keys of
    the recorder: record.end (ctrl+f10), record.pause (ctrl+f8), record.redo (ctrl+f9: discard, do it again),
    record.check (ctrl+f7: the text under the pointer must be there), record.secret (ctrl+f6: what is typed is secret).

    \b
    Examples:
      showonce record task=my.yaml
      showonce record task=app/dev/single/3
      showonce record --oracle task=app/dev/multi/0 seed=7
      showonce record --import agentnet_ubuntu_5k.jsonl --format agentnet
      showonce record --export out --format lerobot logs/RUN/episodes/EPISODE

    Outputs: logs/<time>-<name>/episodes/, found by its task when `showonce run` needs a demonstration, with a picture
    of all steps (contact_sheet.png); imports: logs/imported/.
    """
    moves = import_file is not None or export_folder is not None
    if moves and (form is None or oracle or (import_file is not None and export_folder is not None)):
        raise click.UsageError("give --import FILE or --export FOLDER, with --format NAME.")
    names, overrides = _split(words, most=0 if export_folder is None else None)
    way = "--import" if import_file is not None else "--export" if export_folder is not None else "--oracle"
    config = _load(config_name, "record", overrides, f"record {way}" if moves or oracle else "record")
    if import_file is not None:
        return _import(config, Path(import_file), form or "")
    if export_folder is not None:
        from showonce.cli.terminal import say
        from showonce.demonstrations.formats import export_episodes

        say(f"Written: {export_episodes(names, form or '', Path(export_folder))}")
        return 0
    return _record(config, oracle, keep=yes)


def _import(config: Config, file: Path, form: str) -> int:
    from showonce.cli.terminal import say
    from showonce.demonstrations import read_meta
    from showonce.demonstrations.formats import import_file
    from showonce.runs.layout import IMPORTED

    found = import_file(file, form, Path(config.output.logs) / IMPORTED)
    for path in found.paths:
        meta = read_meta(path)
        say(f"{path}: {meta['steps']} steps of {meta['task_id']}, {meta['goal']!r}")
    for left in found.left_out:
        say(f"left out, {left.where}: {left.reason}")
    if found.ignored:
        say(f"Not used, since an episode has no place for it: {', '.join(found.ignored)}.")
    say(f"{len(found.paths)} imported, {len(found.left_out)} left out.")
    return 0


def _record(config: Config, oracle: bool, keep: bool) -> int:
    from showonce.app.record import record as record_task
    from showonce.cli.terminal import LiveLine, Terminal, say
    from showonce.runtime.approvals import ConsoleApprover

    made = record_task(config, oracle, Terminal(), LiveLine())
    if made.path is not None:
        say(f"Recorded {made.task_id} in {made.path}.")
    if made.lost:
        count = "1 thing that you did is" if len(made.lost) == 1 else f"{len(made.lost)} things that you did are"
        say("\n  ".join([f"{count} not in the recording:", *made.lost]))
    if made.sheet is not None:
        say(f"Its steps at a glance: {made.sheet}")
        if not keep and ConsoleApprover().confirm("Keep it?") is False:  # without an answer it stays
            made.discard()
            say("Deleted.")
            return STOPPED if made.stopped else 0
    named = None if made.path is None or made.sheet is None else _name_values(made.path, ask=not keep)
    if made.checks:
        value = json.dumps(made.checks[-1], ensure_ascii=False)
        say(f"For the task file, if the last check is to decide: success: {{kind: text, value: {value}}}")
    if made.path is not None:
        accept = " experiment.incomplete=true" if made.lost else ""
        again = shlex.join(["showonce", "replay", str(made.path), *(_secrets(named) if named is not None else [])])
        say(f"Do it again: `{again}`. Learn from it: `showonce run task={made.task}{accept}`.")
    if named is not None:
        say(f"Do it with other data: `{next_command(named)}`.")
    return STOPPED if made.stopped else 0


def _name_values(path: Path, ask: bool) -> Parameters | None:
    """Show what was typed and chosen in a recording, and ask once at a terminal what of it changes from time to time.

    Returns the values; None where nothing was typed or chosen.
    """
    from rich.console import Console

    from showonce.app.parameters import parameters
    from showonce.cli.reports import values_table
    from showonce.cli.terminal import say
    from showonce.errors import BadInput

    made = parameters(path)
    free = [value.name for value in made.values if value.kind != "secret"]
    if not free:
        return None
    say("These values were typed or chosen:")
    Console().print(values_table(made))
    while ask and sys.stdin.isatty():
        answer = click.prompt(
            "Which of them change from time to time? [names/all/none]", default="none", show_default=False, err=True
        ).replace(",", " ")
        words = {"all": free, "none": [], "n": [], "no": []}.get(answer.strip().lower(), answer.split())
        try:
            made = parameters(path, [word if set("=:") & set(word) else f"{word}=parameter" for word in words])
        except BadInput as error:
            say(str(error))
            continue
        if words:
            Console().print(values_table(made))
        break
    say(f"To change that: `showonce parameters {path} {free[0]}=parameter`.")
    return made


@cli.command("parameters")
@click.option("--json", "as_json", is_flag=True, help="Print the values as a list of JSON objects.")
@configured("EPISODE [NAME=KIND]...", done="listed, or changed as asked", config=False)
def list_parameters(words: tuple[str, ...], as_json: bool) -> int:
    """Say which values of an EPISODE change.

    What was typed or chosen in it is listed by name. Each value is a constant, a parameter (given anew each time), a
    secret, or computed when it is needed. Goal, success check and what later steps show follow it. Without words
    nothing is changed.

    \b
    Words:
      NAME=constant              always as recorded
      NAME=parameter             given anew; of a date with its format: due=parameter:%d.%m.%Y
      NAME=optional              the same, and it may be left empty
      NAME=any                   the same, without the largest length and the list of choices that were recorded
      'NAME=computed:EXPR'       today, today+3d, next monday, month end, with a format: 'today+5b:%d.%m.%Y',
                                 or a text of other values: 'Call for {customer}'
      NAME:NEWNAME               another name
      stepN in place of NAME     what step N types or chooses, by its number on contact_sheet.png

    \b
    Examples:
      showonce parameters logs/RUN/episodes/EPISODE
      showonce parameters logs/RUN/episodes/EPISODE customer=parameter 'due=computed:next monday' priority:urgency
      showonce parameters --json logs/RUN/episodes/EPISODE

    Outputs: a table; with words, parameters.json and contact_sheet.png in the folder of the EPISODE.
    """
    from showonce.app.parameters import parameters
    from showonce.cli.reports import values_table
    from showonce.cli.terminal import say, wide_console

    if not words:
        raise click.UsageError("EPISODE is missing.")
    made = parameters(Path(words[0]), words[1:])
    if as_json:
        say(json.dumps(made.to_json(), ensure_ascii=False, indent=2))
        return 0
    wide_console().print(values_table(made))
    if made.values:
        say(f"Do it with other data: `{next_command(made)}`.")
    return 0


def next_command(made: Parameters) -> str:
    """Return the command that does a recording again, with its parameters as they were recorded."""
    given = [f"{value.name}={value.recorded}" for value in made.values if value.kind == "parameter"]
    return shlex.join(["showonce", "do", str(made.path), *given, *_secrets(made)])


def _secrets(made: Parameters) -> list[str]:
    """Return the words that say where the secrets of a recording come from, with variables of their names."""
    return [f"secret.{value.name}=env:{value.name.upper()}" for value in made.values if value.kind == "secret"]


@cli.command()
@click.option(
    "--mode",
    type=click.Choice(["target", "template", "coordinates"]),
    help="target: find what the recording acted on by role, name and surroundings, and stop in doubt. template: by its "
    "picture. coordinates: at the same place. Default: target where the recording knows its targets, else coordinates.",
)
@click.option("--check", is_flag=True, help="Exit code 1 when the goal was reached otherwise than recorded.")
@configured(
    "EPISODE [KEY=VALUE]...",
    done="the goal was reached (of a task without a success check: all actions were done)",
    codes={
        DIFFERS: "with --check: the goal was reached and it differs",
        NOT_REACHED: "the goal was not reached",
        IN_DOUBT: "it stopped in doubt",
    },
)
def replay(config_name: str | None, words: tuple[str, ...], mode: str | None, check: bool) -> int:
    """Re-execute a recorded EPISODE and report the first difference.

    \b
    Examples:
      showonce replay logs/20260101-120000-record/episodes/00000-record-app-dev-single-3
      showonce replay --mode template logs/20260101-120000-record/episodes/00000-record-app-dev-single-3 seed=9

    Outputs: the report on the terminal, and logs/<time>-replay/ with the new episode and summary.md. What was blanked
    in the recording (password fields, `redact`) is not compared.
    """
    episode, overrides = _one(words, "EPISODE")
    config = _load(config_name, "replay", overrides)
    from showonce.app.replay import replay as replay_again
    from showonce.cli.reports import replay_text
    from showonce.cli.terminal import Terminal, say

    terminal = Terminal()
    found = replay_again(Path(episode), mode, config, terminal)
    if found.report is not None:
        say(replay_text(found.report))
    if found.stopped or found.report is None:
        terminal.tell(f"stopped ({found.stopped}).")
        return STOPPED
    if not found.report.reached:
        if found.report.stop_reason == "doubt":
            return IN_DOUBT
        return BROKEN if found.report.stop_reason == "environment_error" else NOT_REACHED
    return DIFFERS if check and found.report.differs else 0


@cli.command("do")
@click.option("--rows", metavar="FILE", help="A table (CSV or XLSX): one attempt a row; the result is written into it.")
@click.option("--again", is_flag=True, help="Do it once more although it was done (with --rows: do.batch=NAME).")
@click.option("--nobody", is_flag=True, help="Ask no person anything: where one would be asked, it stops in doubt.")
@click.option("--settle", metavar="[ROW=]done|not-done", help="Say what came of a row in doubt; nothing is done.")
@click.option("--quiet", is_flag=True, help="Print nothing but what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row on stdout, and one at the end.")
@configured(
    "TASK|EPISODE [NAME=TEXT]... [KEY=VALUE]...", done="success was verified (of a table: in every row)",
    codes={NOT_REACHED: "it was not done, or nothing verified it", IN_DOUBT: "it stopped in doubt"},
)  # fmt: skip
def do_task(config_name: str | None, words: tuple[str, ...], **options: Any) -> int:
    """Do a recorded task once, with other data.

    The newest recording of a TASK (a task file or a registered task), or an EPISODE's folder, is done again: each
    target is found by what it is, compared before each click, and where that is not sure nothing is clicked. There is
    one attempt a row. What was sent is never sent twice: a row that was done is left out the next time, and one that
    may have been sent before the command was killed waits until you say what came of it (--settle). Without --rows each
    command is one attempt, also with data that were done before.

    \b
    Examples:
      showonce do ticket.yaml customer="Alan Turing" due=2026-12-24
      showonce do ticket.yaml --rows customers.csv
      showonce do logs/RUN/episodes/EPISODE customer="Alan Turing" secret.password=env:CRM_PASSWORD
      showonce do ticket.yaml --rows customers.csv --settle 7=not-done

    \b
    NAME=TEXT gives a value of the recording (`showonce parameters EPISODE` lists them; set.NAME= where a key of the
    config has that name). Useful keys: do.batch=NAME (a month, a day: the same data under another name is
    other work, done once), do.keep_days, do.pictures, do.wait_seconds, replay.longer, output.logs.

    \b
    Every weekday at 7, by cron (its lines know no folder, no display and no PATH of yours):
      0 7 * * 1-5  cd /home/me/chores && /home/me/.venv/bin/showonce do ticket.yaml --rows today.csv --quiet
    Once a day, however often it is started; in a crontab % is written \\%:
      0 7 * * 1-5  cd /home/me/chores && /home/me/.venv/bin/showonce do hours.yaml --quiet do.batch=$(date +\\%F)
    systemd: a service of Type=oneshot with WorkingDirectory=/home/me/chores and
      ExecStart=/home/me/.venv/bin/showonce do hours.yaml --quiet; its timer has OnCalendar=Mon..Fri 07:00
    Windows: schtasks /create /tn hours /sc weekly /d MON,TUE,WED,THU,FRI /st 07:00 /tr
      "cmd /c cd /d C:/chores && C:/venv/Scripts/showonce.exe do hours.yaml --quiet"

    A table ends with the code of its worst row: 130, 3, 2, 5, 4, 0, in this order.

    Outputs: logs/<time>-do/receipts/ (receipt.json, receipt.md, pictures before and after what was sent), and
    logs/receipts/TASK/receipts.jsonl.
    """
    from showonce.cli.do import run_do

    what, assigned = _one(words, "TASK or EPISODE")
    return run_do(what, assigned, config_name, **options)


@cli.command("eval")
@configured()
def evaluate(config_name: str | None, words: tuple[str, ...]) -> int:
    """Score on a task set with fixed seeds. Nothing learns.

    \b
    Examples:
      showonce eval evaluation.set=skills evaluation.per_family=40
      showonce eval evaluation.set=single evaluation.split=dev evaluation.apps=2 adapter=NAME

    Outputs: a table on the terminal, and everything that was measured in logs/<time>-<name>/. With run_dir=PATH the
    same command goes on where it was stopped.
    """
    config = _load(config_name, "eval", _split(words)[1])
    from showonce.app.evaluate import evaluate as evaluate_set
    from showonce.cli.reports import score_table
    from showonce.cli.terminal import Terminal, progress_bar, wide_console
    from showonce.inference.process import set_process

    set_process(config.inference, config.deterministic, config.seed)
    found = evaluate_set(config, Terminal(), progress_bar)
    if found.score is not None:
        wide_console().print(score_table(found.score))
    return STOPPED if found.stopped else 0


@cli.command()
@click.option("-m", "--multirun", is_flag=True, help="Any key=a,b is a dimension of the study, as set='key=[a,b]' is.")
@click.option("--yes", is_flag=True, help="Begin a very large study without asking.")
@configured(
    "learners=[A,B] [tasks=...] [seeds=...] [set=KEY=[...]] [KEY=VALUE]...",
    done="all lessons were taught and measured", codes={BROKEN: "a lesson failed; the same command tries it again"},
)  # fmt: skip
def compare(config_name: str | None, words: tuple[str, ...], multirun: bool, yes: bool) -> int:
    """Teach learners the same tasks and set them side by side.

    Every learner is taught every task under every seed and every combination of settings: one demonstration, practice,
    updates. Each lesson is measured on experiment.eval_screens screens that were not practised on.

    \b
    Words:
      learners=[sdft,rft]     names, or your own: file.py:Class, module:Class. frozen is "before", in_context "teacher"
      tasks=app/dev/single/0-4   ids, task files, or a set: single, multi, hard (with evaluation.split, evaluation.apps)
      seeds=0-2               of demonstration, practice, measured screens and the adapter's first values
      set=KEY=[a,b]           a line of the table for each value; several of them: for each combination. A learner that
                              does not read a key has one line for all of its values
      workers=N               processes of one thread each (default: one a core), 0 = this one, ray = a Ray cluster

    \b
    Examples:
      showonce compare learners=[sdft,sft_teacher,rft] tasks=app/dev/single/0-4 seeds=0-2
      showonce compare learners=[sdft,mine.py:Renyi] set='learning.sdft.lr=[.01,.03]'
      showonce compare -m learning.learner=sdft,rft seed=0,1 learning.sdft.lr=.01,.03
      showonce compare run_dir=logs/20260101-120000-compare

    The table: success over tasks, its 95 % interval (a bootstrap over tasks, seeds nested), the difference from the
    first learner lesson by lesson, and what a lesson cost: updates, prompts that the model read, seconds.

    Ctrl-C stops; the same command, or run_dir=PATH alone, goes on. A study may grow in its folder: name more learners,
    tasks, seeds or values. A lesson by a learner's file that was edited since is taught again.

    Outputs: the table on the terminal, and logs/<time>-compare/ with comparison.csv, .json, .md, .png and lessons.csv.
    """
    from showonce.app.study import count_of, split_words, study_of, with_study
    from showonce.runs.layout import CONFIG
    from showonce.settings import load_config

    given, overrides = split_words(_split(words)[1], multirun)
    place = next((word.partition("=")[2] for word in overrides if word.startswith("run_dir=")), "")
    begun = Path(place) / CONFIG if place and config_name is None else None
    name = str(begun) if begun is not None and begun.is_file() else config_name or "compare"
    config = with_study(load_config(name, overrides), given)
    agreed(count_of(config), "lessons", yes)
    study = study_of(config, [word.partition("=")[0].replace("/", ".") for word in overrides])
    from showonce.app.compare import compare as compare_learners
    from showonce.app.compare import unfinished
    from showonce.cli.reports import study_table
    from showonce.cli.terminal import progress_bar, say, wide_console
    from showonce.inference.process import set_process

    set_process(config.inference, config.deterministic, config.seed)
    begun = None if config.run_dir else unfinished(config)
    say(f"{study.summary}." + (f" Going on with {begun}." if begun else ""))
    found = compare_learners(study, progress_bar, begun, say)
    wide_console().print(study_table(found.lines))
    for one in found.errors[:3]:
        say(f"not taught: {one.line}, {one.task}, seed {one.seed}: {one.error}")
    if found.stopped:
        say(f"stopped; the same command goes on, and so does `showonce compare run_dir={found.folder}`.")
    say(f"The table, the picture and every lesson are in {found.folder}.")
    return STOPPED if found.stopped else BROKEN if found.errors else 0


@cli.command()
@configured(
    "RUN [KEY=VALUE]...", done="it was learned", codes={NOT_REACHED: "not shown to be learned: card.md says why"}
)
def prove(config_name: str | None, words: tuple[str, ...]) -> int:
    """Check that a run's skill was learned from its demonstration.

    Runs the controls on the adapter of a finished RUN: a new process, the adapter off, other goals, a swapped
    demonstration, replays and supervised baselines.

    \b
    Examples:
      showonce prove latest
      showonce prove 20260101-120000-demo experiment.eval_screens=200

    RUN is `latest`, a name under logs/ or a folder. Outputs: proof.json and the one-page card.md (with card.png) in
    the run's folder.
    """
    name, overrides = _one(words, "RUN")
    config = _load(config_name, "prove", overrides)
    from showonce.runs import index as runs

    folder = runs.resolve_run(name, config.output.logs, ("run",))
    from showonce.app.prove import prove as prove_run
    from showonce.cli.terminal import Terminal, counted, say
    from showonce.evaluation.controls import CONTROLS
    from showonce.evaluation.proof_page import PHASES, summary_of
    from showonce.inference.process import set_process

    set_process(config.inference, config.deterministic, config.seed)
    proof = prove_run(folder, config, Terminal(), counted(len(PHASES) + len(CONTROLS)))
    say(f"{summary_of(proof)}\nThe proof is in {folder}.")
    return 0 if proof.learned else NOT_REACHED


@cli.command()
@configured("[RUN] [KEY=VALUE]...", done="it was shown")
def watch(config_name: str | None, words: tuple[str, ...]) -> int:
    """Open the dashboard on a RUN, live or finished. It only reads the run's files.

    \b
    Examples:
      showonce watch
      showonce watch 20260101-120000-demo dashboard.mode=plain

    RUN is `latest` (the default), a name under logs/ or a folder. Outputs: none.
    """
    names, overrides = _split(words, most=1)
    config = _load(config_name, "run", overrides, "watch")
    from showonce import dashboard
    from showonce.runs import index as runs

    folder = runs.resolve_run(names[0] if names else "latest", config.output.logs)
    dashboard.watch(folder, config.dashboard.mode, config.dashboard.refresh_per_second)
    return 0


@cli.command("runs")
@click.option("--csv", "form", flag_value="csv", help="One line a run, with every number where runs are named.")
@click.option("--json", "form", flag_value="json", help="The same as a list of JSON objects.")
@configured("[RUN]... [KEY=VALUE]...", done="listed")
def list_runs(config_name: str | None, words: tuple[str, ...], form: str | None) -> int:
    """List all runs, or compare the ones that are named.

    \b
    Examples:
      showonce runs
      showonce runs latest 20260101-120000-demo
      showonce runs --csv > runs.csv

    Reads logs/index.jsonl (output.logs=PATH for another place). Outputs: a table on the terminal.
    """
    names, overrides = _split(words, most=None)
    config = _load(config_name, "run", overrides, "runs")
    from rich.console import Console

    from showonce.cli.terminal import say
    from showonce.runs.comparison import overview, written

    if form is not None:
        say(written(names, config.output.logs, form))
        return 0
    Console().print(overview(names, config.output.logs))
    return 0


@cli.command()
@click.option("--list", "list_only", is_flag=True, help="List the checkpoints and what is put aside; change nothing.")
@click.option("--to", metavar="CHECKPOINT", help="Make this checkpoint the one that acts.")
@click.option(
    "--readmit", multiple=True, metavar="NAME", help="Use a version or a source again that was put aside. Repeatable."
)
@configured("RUN [KEY=VALUE]...", done="listed, or changed as asked")
def rollback(
    config_name: str | None, words: tuple[str, ...], list_only: bool, to: str | None, readmit: tuple[str, ...]
) -> int:
    """Move the adapter of a RUN back, or re-admit a version.

    No model is loaded. Versions that are newer than CHECKPOINT are put aside (quarantined), with the demonstrations
    and episodes that were first used for them. --to a version that was put aside re-admits it with its sources, and
    says so.

    \b
    Examples:
      showonce rollback latest --list
      showonce rollback 20260101-120000-demo --to 3
      showonce rollback 20260101-120000-demo --readmit v0004 --readmit 00017-practice-app-dev-single-0

    RUN is `latest`, a name under logs/, a folder, an adapter's name, or the folder of a recorded episode: then what
    replays found although it had changed goes back to v0000, the recording, or another version. Changes: which
    checkpoint is the champion in adapters/NAME (of an episode: in targets/ of its run), and what is put aside there.
    """
    name, overrides = _one(words, "RUN")
    chosen = [list_only, to is not None, bool(readmit)]
    if sum(chosen) != 1:
        hint = "not several of them" if any(chosen) else "one of them is needed"
        raise click.UsageError(f"give either --list, --to CHECKPOINT or --readmit NAME, {hint}.")
    config = _load(config_name, "run", overrides, "rollback")
    from rich.console import Console

    from showonce.app import rollback as back
    from showonce.cli.reports import checkpoint_table, move_text
    from showonce.cli.terminal import say

    folder = back.run_or_adapter(name, config.output)
    if readmit:
        done = back.readmit(folder, readmit)
        say(f"adapter {done.adapter}: re-admitted {', '.join(done.names)}. {done.champion} acts as before.")
    elif to is not None:
        Console().print(move_text(back.roll_back(folder, to)))
    elif (found := back.list_checkpoints(folder)).versions:
        Console().print(checkpoint_table(found))
        for source, reason in sorted((found.sources or {}).items()):
            say(f"source put aside: {source} ({reason})")
    else:
        say(f"{found.owner} has no checkpoints: it acted without an adapter, or nothing was learned yet.")
    return 0


@cli.command()
@click.option(
    "--tasks", "prefix", is_flag=False, flag_value="", metavar="[PREFIX]",
    help="List the registered tasks instead (those that begin with PREFIX).",
)  # fmt: skip
@click.option(
    "--settings", "environment", metavar="NAME", help="List the settings of this environment (environment.settings)."
)
@configured(done="everything that the config needs is here", codes={BROKEN: "something that it needs is missing"})
def doctor(config_name: str | None, words: tuple[str, ...], prefix: str | None, environment: str | None) -> int:
    """Say what this machine can do; list tasks or settings.

    Devices, backends, checkpoint, fonts, display, extras and disk; nothing is changed or downloaded.

    \b
    Examples:
      showonce doctor
      showonce doctor policy.checkpoint=/models/mine
      showonce doctor --tasks app/dev
      showonce doctor --settings browser

    Outputs: a table on the terminal.
    """
    config = _load(config_name, "run", _split(words)[1], "doctor")
    from rich.console import Console

    from showonce.app.doctor import examine, registered_tasks
    from showonce.cli.reports import doctor_table, settings_table
    from showonce.cli.terminal import say

    if environment is not None:
        Console().print(settings_table(environment))
        return 0
    if prefix is not None:
        say("\n".join(registered_tasks(prefix)))
        return 0
    checks = list(examine(config))
    Console().print(doctor_table(checks))
    missing = [check.name for check in checks if check.verdict == "needed"]
    if missing:
        Console().print(f"Missing for this config: {', '.join(missing)}.")
    return BROKEN if missing else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; every deliberate error becomes one clear line on stderr.

    A reader of stdout that goes away (`| head`) ends nothing: the verb goes on and its exit code stays its own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with contextlib.redirect_stdout(cast("TextIO", Pipe(sys.stdout))):
            code = cli.main(args=words, prog_name="showonce", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("showonce: stopped.", err=True)
        return STOPPED
    except ShowonceError as error:
        click.echo(f"showonce: {KNOWN.hide(str(error))}", err=True)
        return error.exit_code
    except Exception:
        traceback.print_exc()
        click.echo("showonce: this is a defect of showonce itself; please report it with the lines above.", err=True)
        return CRASHED
    return code if isinstance(code, int) else 0
