"""The examples in docstrings are run, and the functions that people use most have one."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
MOST_USED = {
    "actions": ("from_json", "to_json"),
    "demonstrations.format": ("load_demonstration",),
    "environments.registry": ("find_task", "make_environment"),
    "errors": ("nearest",),
    "policy.dialects": ("parse_action",),
    "policy.vlm_policy": ("load_policy",),
    "runtime.loop": ("run_episode",),
    "settings": ("load_config",),
    "stats": ("wilson",),
}
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if ">>>" in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_say(name: str, elsewhere: Path) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed


@pytest.mark.parametrize("name", MOST_USED)
def test_what_is_used_most_has_an_example(name: str) -> None:
    text = (SOURCE / "showonce" / name.replace(".", "/")).with_suffix(".py")
    text = text if text.is_file() else text.with_suffix("") / "__init__.py"
    functions = {n.name: n for n in ast.parse(text.read_text("utf-8")).body if isinstance(n, ast.FunctionDef)}
    for function in MOST_USED[name]:
        assert ">>>" in (ast.get_docstring(functions[function]) or ""), function
