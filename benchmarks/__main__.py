"""List the benchmarks: the name and the first line of each module that has a command line."""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Return the first line of each benchmark's docstring by the name under which `python -m` runs it."""
    found = {}
    for path in sorted([*HERE.glob("*.py"), *HERE.glob("*/__main__.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        runs = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        if runs and path != Path(__file__):
            name = path.parent.name if path.stem == "__main__" else path.stem
            found[f"benchmarks.{name}"] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


if __name__ == "__main__":
    for name, line in benchmarks().items():
        print(f"python -m {name:28s} {line}")
    print("\nEach takes --help. Exit code: 0 PASS, 1 FAIL, 2 NOT MEASURED. See docs/benchmarks.md.")
