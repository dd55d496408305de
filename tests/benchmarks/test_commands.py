"""Every benchmark is on docs/benchmarks.md, and every command of the pages that runs one exists, with its flags."""

from __future__ import annotations

import importlib
import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from benchmarks.__main__ import benchmarks

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(p for p in (ROOT / "docs").glob("*.md") if p.name != "LOG.md")]
COMMANDS = sorted(
    {found[0].strip() for page in PAGES for found in re.finditer(r"python -m benchmarks\b[^`#\n;]*", page.read_text())}
)


@cache
def help_of(name: str) -> str:
    """Return what a benchmark prints for --help."""
    module = importlib.import_module(f"{name}.__main__" if (ROOT / Path(*name.split("."))).is_dir() else name)
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", [name, "--help"])
        module.main()
    assert ended.value.code == 0
    return out.getvalue()


@pytest.mark.parametrize("name", benchmarks())
def test_a_benchmark_teaches_and_has_a_quick_mode(name: str) -> None:
    text = help_of(name)
    assert benchmarks()[name] in text
    assert f"python -m {name}" in text and "--quick" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_runs_a_benchmark_exists(command: str) -> None:
    module, *words = shlex.split(command)[2:]
    assert module == "benchmarks" or module in benchmarks()
    missing = [word for word in words if word.startswith("--") and word.partition("=")[0] not in help_of(module)]
    assert not missing


def test_every_benchmark_is_on_the_page() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [name for name in benchmarks() if f"`python -m {name}`" not in page] == []


def test_no_page_runs_a_benchmark_by_its_path() -> None:
    assert [page.name for page in PAGES if re.search(r"python benchmarks/", page.read_text(encoding="utf-8"))] == []
