"""The command line: words, help, exit codes. What the verbs do is tested with the layers that do it."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from showonce import __version__, errors
from showonce.app.frontend import Frontend
from showonce.app.run_writer import RunWriter
from showonce.app.study import split_words
from showonce.cli import cli, main
from showonce.cli.codes import ALWAYS, CODES, CRASHED, DIFFERS, NOT_REACHED, STOPPED
from showonce.config import Config
from showonce.events import ErrorRaised
from showonce.runs.folder import start_run
from showonce.runs.metrics import TaskResult
from showonce.settings import combinations, load_config

VERBS = {
    "run",
    "compare",
    "record",
    "parameters",
    "do",
    "replay",
    "eval",
    "prove",
    "watch",
    "runs",
    "rollback",
    "doctor",
}


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def overrides_of(verb: str, parameters: dict[str, Any]) -> list[str]:
    """Return the overrides among the words of a command; of a multirun, those of its first run."""
    words = [word for word in parameters["words"] if "=" in word]
    if verb == "do":  # its other words are values of a recording
        return [word for word in words if hasattr(Config(), word.partition("=")[0].split(".")[0])]
    if verb == "compare":
        words = split_words(words, parameters["multirun"])[1]
        return [word for word in words if not word.startswith("run_dir=")]
    if parameters.get("multirun"):
        swept = combinations(words)[0]
        keys = [word.partition("=")[0] for word in swept]
        return [*(word for word in words if word.partition("=")[0] not in keys), *swept]
    return words


def examples() -> Iterator[tuple[str, list[str]]]:
    """Every `showonce ...` line in the help of every verb."""
    for name, command in [("showonce", cli), *cli.commands.items()]:
        for line in re.findall(
            r"^\s+showonce (.+)$", inspect.cleandoc(command.help or "").replace("\b", ""), re.MULTILINE
        ):
            yield name, shlex.split(re.split(r"\s{3,}", line)[0])


def test_the_verbs_are_the_promised_ones() -> None:
    assert set(cli.commands) == VERBS


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "--version")[:2] == (0, f"showonce {__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, _ = outcome(capsys, *arguments)
    assert code == 0
    assert set(re.findall(r"^  ([a-z]+)  ", out, re.MULTILINE)) == VERBS
    assert "..." not in out.partition("Commands:")[2], "a verb's first sentence is too long for one line"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_a_verb_teaches(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = outcome(capsys, verb, "--help")
    assert code == 0
    assert out.count(f"showonce {verb}") >= 3, "usage and two examples"
    assert re.search(r"Output|Changes", out), "says where outputs go"
    assert "--config" in out or verb == "parameters", "which reads no configuration"


@pytest.mark.parametrize(("name", "words"), list(examples()))
def test_examples_of_the_help_parse(name: str, words: list[str]) -> None:
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    parameters = command.make_context(words[0], words[1:]).params
    if "config_name" not in parameters:  # a verb that reads no configuration
        return
    overrides = overrides_of(words[0], parameters)
    assert load_config(parameters["config_name"] or "run", overrides)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "rnu"),
        (["run", "--confg", "x"], "--confg"),
        (["run", "configs/demo.yaml"], "Did you mean --config configs/demo.yaml?"),
        (["run", "sead=3"], "Did you mean 'seed'?"),
        (["run", "--config", "dmo"], "Did you mean 'demo'?"),
        (["prove"], "RUN is missing"),
        (["prove", "a", "b"], "'b' is not of the form key=value"),
        (["prove", "latest"], "there are no runs"),
        (["replay", "--mode", "magic", "x"], "magic"),
        (["rollback", "latest"], "either --list, --to"),
        (["rollback", "latest", "--list", "--to", "1"], "not several of them"),
        (["rollback", "latest", "--list"], "there are no runs"),
        (["watch", "nothing"], "there are no runs"),
    ],
)
def test_bad_input_is_2_with_a_clear_line(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, out, err = outcome(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("wrong"), 2),
        (errors.CheckpointCorrupt("wrong"), 2),
        (errors.Unavailable("wrong"), 3),
        (errors.EnvironmentBroken("wrong"), 3),
        (errors.Stopped("wrong"), 130),
    ],
)
def test_every_error_has_its_code_and_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(cli.commands, "fail", click.Command("fail", callback=fail))
    assert outcome(capsys, "fail") == (code, "", "showonce: wrong\n")


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.commands, "stop", click.Command("stop", callback=stop))
    code, _, err = outcome(capsys, "stop")
    assert code == 130 and "stopped" in err


def test_the_console_script_is_this_main(elsewhere: Path) -> None:
    script = Path(sys.executable).with_name("showonce")
    done = subprocess.run([script, "runs", "sead=1"], capture_output=True, text=True, check=False, cwd=elsewhere)
    assert done.returncode == 2
    assert done.stderr.startswith("showonce: override 'sead=1'")
    assert subprocess.run([script, "runs"], capture_output=True, check=False, cwd=elsewhere).returncode == 0


def test_python_dash_m_works_too(elsewhere: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "showonce", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"showonce {__version__}\n")


def test_a_success_flag_takes_the_place_of_the_tasks_own_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import showonce.app.run
    from showonce.app.plan import make_plan
    from showonce.app.run import RunResult
    from showonce.types import Success

    got: list[Success] = []

    def run(config: Config, frontend: Frontend) -> RunResult:
        got.append(make_plan(config).tasks[0].success)
        return RunResult(Path("logs/x"))

    monkeypatch.setattr(showonce.app.run, "run", run)
    assert main(["run", "task=site/table", "--success-url", "*/a=b?*"]) == 0
    assert main(["run", "task=site/table", "success.file=x.txt"]) == 0
    assert main(["run", "task=site/table"]) == 0
    own = Success("selector", "tr[data-name=bob].paid")
    assert got == [Success("url", "*/a=b?*"), Success("file", "x.txt"), own]
    assert main(["run", "task=site/table", "--success-text", "x", "--success-selector", "y"]) == 2
    assert "success.text and success.selector" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ exit codes


def test_the_codes_are_told_in_every_help_and_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "exit_codes.md").read_text(encoding="utf-8")
    rows = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)}
    assert rows == CODES and len({*CODES}) == 8
    for verb in VERBS:
        help_ = " ".join(outcome(capsys, verb, "--help")[1].split())
        told = {int(code) for code in re.findall(r"(?:: |, )(\d+) ", help_.partition("Exit codes")[2])}
        assert {0, *ALWAYS} <= told <= {*CODES}, verb


def test_a_crash_has_a_code_of_its_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        raise RuntimeError("two and two is five")

    monkeypatch.setitem(cli.commands, "crash", click.Command("crash", callback=crash))
    code, _, err = outcome(capsys, "crash")
    assert code == CRASHED != DIFFERS
    assert "RuntimeError: two and two is five" in err and "please report it" in err


@pytest.mark.parametrize("words", ["--help", "doctor --tasks", "watch latest dashboard.mode=plain", "runs nothing"])
def test_a_reader_that_goes_away_changes_no_exit_code(elsewhere: Path, words: str) -> None:
    """The pipe is closed before anything is written into it."""
    expected = 2 if "nothing" in words else 0
    with RunWriter(Config(name="made"), start_run(Config(name="made")), report=False) as writer:
        writer.events.emit(ErrorRaised(where="model", message="a line for the dashboard"))
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "showonce", *words.split()]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=elsewhere)
    os.close(write)
    assert done.returncode == expected, done.stderr
    assert "Broken" not in done.stderr and "Exception" not in done.stderr


def _result(task: str, attempts: int, success: int, **more: Any) -> TaskResult:
    return TaskResult(task, attempts, success, **{"claimed": 0, "checker": "url", **more})


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        ([_result("a", 1, 1)], 0, "a: succeeded in 1 of 1 attempt, checked by url."),
        (
            [_result("a", 3, 1, stop_reason="max_steps")],
            0,
            "a: succeeded in 1 of 3 attempts, checked by url. The last failure ended",
        ),
        (
            [_result("a", 1, 0, stop_reason="refused", why="this button pays.")],
            NOT_REACHED,
            "a: succeeded in 0 of 1 attempt, checked by url. It ended with refused: this button pays.",
        ),
        (
            [_result("a", 1, 1), _result("b", 2, 0, stop_reason="asked", why="Which one?")],
            NOT_REACHED,
            "asked: Which one?",
        ),
        (
            [_result("a", 1, 0, claimed=1, checker="none", stop_reason="claimed")],
            0,
            "1 of 1 attempt ended as done, and",
        ),
        ([_result("a", 1, 0, checker="none", stop_reason="timeout")], NOT_REACHED, "0 of 1 attempt ended as done, and"),
        ([], 0, ""),
    ],
)
def test_run_is_0_only_when_every_task_was_done_and_says_why_not(
    result: list[TaskResult], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import showonce.app.run
    from showonce.app.run import RunResult

    monkeypatch.setattr(showonce.app.run, "run", lambda config, frontend: RunResult(Path("x"), tasks=tuple(result)))
    assert main(["run"]) == code
    assert said in capsys.readouterr().out
    monkeypatch.setattr(
        showonce.app.run, "run", lambda config, frontend: RunResult(Path("x"), "quit", tasks=tuple(result))
    )
    assert main(["run"]) == STOPPED
