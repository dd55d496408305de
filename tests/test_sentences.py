"""What showonce says when it refuses: every sentence of an error in one file, to be read when it changes.

`sentences.txt` has one line for each `raise` of an error of ours: module, kind of error and text, with {} for what is
filled in. Other tests look at an error's key. After a change of wording:
    python tests/test_sentences.py > tests/sentences.txt
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from showonce import errors

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = Path(__file__).with_name("sentences.txt")
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def template(node: ast.expr) -> str:
    """Return a text with {} for every part that is computed."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return "{}"


def sentences() -> Iterator[str]:
    """Yield every text given to an error, or to a function that is declared to return one."""
    source = ROOT / "src" / "showonce"
    for path in sorted(source.rglob("*.py")):
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        makers = {n.name: ast.unparse(n.returns) for n in nodes if isinstance(n, ast.FunctionDef) and n.returns}
        kinds = {kind: kind for kind in KINDS} | {name: kind for name, kind in makers.items() if kind in KINDS}
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds and node.args:
                text = max(map(template, node.args), key=len)
                yield f"{module}: {kinds[node.func.id]}: {text}".replace("\n", "\\n")


def test_the_sentences_are_those_that_were_read() -> None:
    now, read = sorted(set(sentences())), SNAPSHOT.read_text("utf-8").splitlines()
    assert len(now) > 200
    new, gone = sorted(set(now) - set(read)), sorted(set(read) - set(now))
    assert not (new or gone), "\n".join(["wording changed; read it, then write the file anew:", *new, "gone:", *gone])


if __name__ == "__main__":
    print("\n".join(sorted(set(sentences()))))
