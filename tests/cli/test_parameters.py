"""The verb `parameters`, and the question that ends `record`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.chores import stored

from showonce.app.parameters import SHEET
from showonce.cli import _name_values, main
from showonce.demonstrations import read_png
from showonce.demonstrations.sheet import VALUE
from showonce.demonstrations.values import VALUES, load_values


class Typed(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self) -> bool:
        return True


def kinds(folder: Path) -> dict[str, str]:
    return {value.name: value.kind for value in load_values(folder)}


def test_values_are_listed_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored(tmp_path)
    assert main(["parameters", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "find_a_customer" in out and "goal, check, step 7" in out and f"showonce do {folder}" in out
    assert not (folder / VALUES).exists()
    assert main(["parameters", str(folder), "find_a_customer:customer", "customer=parameter"]) == 0
    assert f"showonce do {folder} 'customer=Grace Hopper'" in capsys.readouterr().out
    assert kinds(folder)["customer"] == "parameter" and kinds(folder)["subject"] == "computed"
    assert (np.asarray(read_png(folder / SHEET)) == VALUE).all(axis=2).sum() > 100, "the sheet marks its steps"
    assert main(["parameters", str(folder), "--json"]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert told["customer"]["steps"] == [5, 6] and "subject" in told["customer"]["follows"]


def test_bad_words_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored(tmp_path)
    assert main(["parameters", str(folder), "amount=parameter", "usr=parameter"]) == 2
    assert "Did you mean 'user'?" in capsys.readouterr().err
    assert main(["parameters", str(tmp_path)]) == 2 and main(["parameters"]) == 2
    assert not (folder / VALUES).exists()


@pytest.mark.parametrize(
    ("answer", "changing"),
    [
        ("find_a_customer, amount\n", {"find_a_customer", "amount"}),
        ("all\n", {"user", "find_a_customer", "subject", "due_date", "category", "priority", "amount"}),
        ("\n", set()),
        ("none\n", set()),
        ("custmer\namount\n", {"amount"}),  # asked again
    ],
)
def test_a_recording_asks_once_what_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str, changing: set[str]
) -> None:
    folder = stored(tmp_path)
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    _name_values(folder, ask=True)
    assert {name for name, kind in kinds(folder).items() if kind == "parameter"} == changing
    assert (folder / VALUES).exists() == bool(changing)
    assert "Which of them change" in capsys.readouterr().err


@pytest.mark.parametrize("stdin", [Typed("all\n"), io.StringIO("all\n")])
def test_nobody_is_asked_without_a_terminal_or_with_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO
) -> None:
    folder = stored(tmp_path)
    monkeypatch.setattr(sys, "stdin", stdin)
    _name_values(folder, ask=not stdin.isatty())
    assert not (folder / VALUES).exists()
