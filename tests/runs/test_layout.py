"""Every name in a run's folder stands once, and the docstring that shows the folder is complete."""

from __future__ import annotations

import ast
from pathlib import Path

from showonce.runs import layout

SOURCE = Path(layout.__file__).parents[1]
ROOT = SOURCE.parents[1]
NAMES = {name: value for name, value in vars(layout).items() if name.isupper()}


def test_the_picture_of_the_folder_shows_every_name() -> None:
    assert not [value for value in NAMES.values() if value not in (layout.__doc__ or "")]


def test_no_other_module_writes_such_a_name_again() -> None:
    files = {value for value in NAMES.values() if "." in value or value.isupper()}
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {node.value}"
        for path in SOURCE.rglob("*.py")
        if path != Path(layout.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in files
    ]
    assert found == []


def test_a_fresh_clone_has_a_folder_for_runs_that_says_what_they_leave() -> None:
    page = (ROOT / "logs" / "README.md").read_text(encoding="utf-8")
    assert not [
        value for value in NAMES.values() if value not in (layout.TENSORBOARD, *page.replace("/", "").split("`"))
    ]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ignored.index("/logs/*") < ignored.index("!/logs/README.md")
