from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import AlwaysAllow, AlwaysDeny, Board, board_task

from showonce.actions import Action, Click, Done
from showonce.errors import TaskError
from showonce.protocols import Capabilities
from showonce.runtime.completion import KINDS, Checker, make_checker, normal
from showonce.types import Observation, Success

CLICK = Click(0.5, 0.5)


def seen(text: str | None) -> Observation:
    return Observation(np.zeros((2, 2, 3), np.uint8), text=text)


class Paged(Board):
    """A board that says where it is and what is visible, as a browser does."""

    url = ""
    visible = ""
    folder = Path()

    def shows(self, selector: str) -> bool:
        return selector == self.visible


def checker(kind: str, value: str = "", person: object = None, board: Board | None = None) -> Checker:
    return make_checker(board_task(kind=kind, value=value), board or Board(), person)  # type: ignore[arg-type]


def test_the_world_decides_and_an_open_end_is_a_failure() -> None:
    board = Board()
    board.reset(board_task("light red"), 1)
    world = make_checker(board_task("light red"), board)
    assert world.check(seen(None), CLICK).success is None
    assert world.check(seen(None), None, last=True).success is False
    board.execute(board.oracle(), type("Go", (), {"check": lambda self: None})())
    assert world.check(seen(None), CLICK).success is True
    assert world.check(seen(None), None, last=True).success is True


@pytest.mark.parametrize(
    ("text", "value", "success"),
    [
        ("Saved.\n  All   files are\tsafe", "all files", True),
        ("GRÜSSE", "grüße", True),
        ("nothing here", "all files", None),
        (None, "x", None),
    ],
)
def test_text_on_the_screen(text: str | None, value: str, success: bool | None) -> None:
    outcome = checker("text", value).check(seen(text), CLICK)
    assert outcome.success is success
    assert outcome.checker == "text"
    assert outcome.evidence
    assert checker("text", value).check(seen(text), None, last=True).success is bool(success)


@pytest.mark.parametrize(
    ("action", "success"),
    [(Done("  Three "), True), (Done("three."), True), (Done("THREE"), True), (Done("four"), False), (CLICK, None)],
)
def test_the_answer(action: Action, success: bool | None) -> None:
    assert checker("answer", "three").check(seen(None), action).success is success


def test_no_answer_at_all_is_a_failure() -> None:
    assert checker("answer", "three").check(seen(None), None, last=True).success is False


def test_a_person_is_asked_on_done_and_at_the_end_only() -> None:
    questions = []

    class Person:
        def confirm(self, question: str) -> bool:
            questions.append(question)
            return True

    check = checker("ask_person", person=Person())
    assert check.check(seen(None), CLICK).success is None
    assert questions == []
    assert check.check(seen(None), Done()).success is True
    assert check.check(seen(None), None, last=True).success is True
    assert questions == ["Was this done: 'light red green'?"] * 2
    assert checker("ask_person", person=AlwaysDeny()).check(seen(None), Done()).success is False
    assert checker("ask_person", person=AlwaysAllow()).check(seen(None), Done()).success is True


def test_nobody_there_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    outcome = checker("ask_person").check(seen(None), None, last=True)
    assert outcome.success is None
    assert outcome.evidence == "nobody answered"


def test_without_a_check_it_stays_open() -> None:
    for last in (False, True):
        assert checker("none").check(seen("x"), Done(), last=last).success is None


def test_every_kind_names_itself() -> None:
    assert KINDS == ("world", "text", "url", "selector", "file", "answer", "ask_person", "none")
    assert [checker(kind, "x", board=Paged()).name for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize(
    ("value", "success"),
    [
        ("thanks", True),
        ("SHOP.example/thanks?", True),
        ("*/thanks*", True),
        ("*/thanks", None),
        ("https://shop.example/*n=1", True),
        ("thonks", None),
    ],
)
def test_the_address_of_the_page(value: str, success: bool | None) -> None:
    board = Paged()
    board.url = "https://shop.example/thanks?n=1"
    check = checker("url", value, board=board)
    assert check.check(seen(None), CLICK).success is success
    assert check.check(seen(None), None, last=True).success is bool(success)


def test_an_element_of_the_page() -> None:
    board = Paged()
    check = checker("selector", "#ok", board=board)
    assert check.check(seen(None), CLICK).success is None
    assert check.check(seen(None), None, last=True).success is False
    board.visible = "#ok"
    assert check.check(seen(None), CLICK).success is True


def test_a_file_counts_when_it_is_new_or_has_changed(tmp_path: Path, elsewhere: Path) -> None:
    board = Paged()
    board.folder = tmp_path
    (tmp_path / "old.txt").write_text("x")
    check = checker("file", "*.txt", board=board)
    assert check.check(seen(None), CLICK).success is None
    (tmp_path / "new.txt").write_text("x")
    assert check.check(seen(None), CLICK).success is True
    changed = checker("file", str(tmp_path / "old.txt"), board=board)
    assert changed.check(seen(None), None, last=True).success is False
    (tmp_path / "old.txt").write_text("longer")
    assert changed.check(seen(None), CLICK).success is True
    here = checker("file", "made.txt")  # an environment without downloads: the working folder
    assert here.check(seen(None), CLICK).success is None
    (elsewhere / "made.txt").touch()
    assert here.check(seen(None), CLICK).success is True


def test_pages_are_needed_for_some_kinds() -> None:
    for kind in ("url", "selector"):
        with pytest.raises(TaskError, match="'board' has no pages"):
            checker(kind, "x")


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(TaskError, match=r"'anser'.*Did you mean 'answer'"):
        checker("anser")
    for kind in ("text", "answer", "url", "selector", "file"):
        with pytest.raises(TaskError, match=r"needs a success\.value"):
            checker(kind, " . " if kind in ("text", "answer") else " ")
    blind = Board()
    blind.capabilities = Capabilities(resettable=True, seeded=True, verifiable=False, side_effects=False)
    with pytest.raises(TaskError, match="cannot verify success by itself"):
        make_checker(replace(board_task(), success=Success("world")), blind)


@given(st.text())
def test_normal_is_idempotent_for_words(text: str) -> None:
    once = normal(text)
    assert normal(f"  {once}\n") == normal(once)
