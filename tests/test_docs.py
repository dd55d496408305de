"""Every command in README and docs is one that exists, and those in a block marked ``run`` are run.

Conventions for fenced blocks, in README.md, CONTRIBUTING.md and docs/*.md:
    ```bash        commands that a reader may type: each `showonce ...` must parse, each `./script` must exist
    ```bash run    quick ones: run in an empty folder; each must exit with 0
    ```python run  a program: run in the same folder
    ```python file NAME.py   a file of less than 40 lines (empty ones not counted): written into that folder first
    ```yaml file NAME.yaml   a task of one's own: it must load

All blocks marked ``run`` of one section (between two headings of the second level) run in one folder, in order.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli.test_cli import overrides_of

from showonce.cli import cli
from showonce.runtime.tasks import load_task
from showonce.settings import load_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)( run)?[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str, run: bool) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if match[1] == language and bool(match[2]) >= run:
                line = page.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
                yield f"{page.name}:{line}", match[3]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every single command of the bash blocks, as words."""
    for place, text in blocks("bash", run=False):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||[|;]", line):
                words = shlex.split(part.removeprefix("$ "), comments=True)
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words = words[1:]  # VARIABLE=value before a command
                if words:
                    yield place, words


COMMANDS = list(commands())
OURS = [(place, words) for place, words in COMMANDS if words[0] in ("showonce", ".venv/bin/showonce")]
SCRIPTS = [(place, words) for place, words in COMMANDS if words[0].startswith(("./", "scripts/"))]


def test_the_pages_show_commands() -> None:
    assert {words[1] for place, words in OURS if place.startswith("README")} >= {"run", "prove", "runs", "rollback"}
    assert {words[0] for place, words in SCRIPTS if place.startswith("README")} >= {"./run_demo.sh", "./run_tests.sh"}


@pytest.mark.parametrize(("place", "words"), OURS)
def test_a_command_of_ours_parses(place: str, words: list[str]) -> None:
    assert cli.make_context("showonce", words[1:], resilient_parsing=False)
    verb = words[1] if len(words) > 1 else "--help"
    if verb.startswith("-"):
        return
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None, f"{place}: no verb {verb!r}"
    if {"-h", "--help"} & set(words):
        return
    parameters = command.make_context(verb, words[2:]).params
    if "config_name" not in parameters:  # a verb that reads no configuration
        return
    overrides = overrides_of(verb, parameters)
    name = parameters["config_name"] or "run"
    load_config(ROOT / name if (ROOT / name).is_file() else name, overrides)


@pytest.mark.parametrize(("place", "words"), SCRIPTS)
def test_a_script_exists_and_can_be_run(place: str, words: list[str]) -> None:
    script = ROOT / words[0]
    assert script.is_file() and os.access(script, os.X_OK), place
    if script.suffix == ".sh":
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


FILE = re.compile(r"^```python file (\S+)[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def runnable() -> Iterator[Any]:
    """Every section that has blocks to run: its files by name, and its commands in order."""
    for page in PAGES:
        for section in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            shells = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
            commands = [[*shells[match[1]], match[3]] for match in BLOCK.finditer(section) if match[2]]
            if commands:
                title = section.partition("\n")[0].strip("# ")
                learns = any(re.search("showonce (run|compare)", command[-1]) for command in commands)
                marks = [pytest.mark.slow] if learns else []
                yield pytest.param(dict(FILE.findall(section)), commands, id=f"{page.stem}: {title}", marks=marks)


@pytest.mark.parametrize(("files", "commands"), list(runnable()))
def test_the_blocks_marked_run_run(files: dict[str, str], commands: list[list[str]], elsewhere: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name, text in files.items():
        (elsewhere / name).write_text(text)
    for command in commands:
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


TASK = re.compile(r"^```yaml file (\S+)[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
TASKS = [(page.name, *found) for page in PAGES for found in TASK.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "name", "text"), TASKS, ids=lambda value: str(value)[:20])
def test_a_task_file_of_ones_own_loads(page: str, name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert load_task(tmp_path / name).start.startswith("https://"), page


def test_an_install_line_works_in_a_clone_and_from_an_index() -> None:
    """Each page that names an extra names both; the extra exists."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        here = re.findall(r"^pip install '\.\[(\w+)\]'", text, re.MULTILINE)
        index = re.findall(r"^pip install 'showonce\[(\w+)\]'", text, re.MULTILINE)
        assert here == index and {*here} <= {*extras}, page.name
    assert TASKS and {"browser.md", "desktop.md", "miniwob.md"} <= {page.name for page in PAGES}


def test_an_extension_needs_less_than_40_lines() -> None:
    files = FILE.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8"))
    assert files
    for name, text in files:
        assert len([line for line in text.splitlines() if line.strip()]) < 40, name
