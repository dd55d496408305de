"""Learners are found by name: a file in the folder is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from showonce.learning import methods
from showonce.learning.methods.registry import METHODS, built_in, find_method

MINE = """
from showonce.learning.methods.base import Method

class Mine(Method):
    name = "mine"

class Helper(Method):  # has no name of its own: not registered
    pass
"""


def test_the_built_in_learners() -> None:
    assert sorted(METHODS) == ["frozen", "in_context", "rft", "sdft", "sft_demo", "sft_teacher"]
    assert all(find_method(name) is method for name, method in METHODS.items())


def test_a_new_file_in_the_folder_is_a_learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_a_test.py").write_text(MINE)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    assert set(built_in()) - set(METHODS) == {"mine"}
