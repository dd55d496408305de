from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.fakes import AlwaysAllow, AlwaysDeny, board_task

from showonce.actions import EXAMPLES, Action, Click, Done, Drag, Key, Open, Scroll, Type, Wait, fields_of, to_json
from showonce.errors import BadInput, Stopped
from showonce.protocols import ApprovalRequest, Approver
from showonce.runtime.approvals import ConsoleApprover, Person, parse_action
from showonce.runtime.stop import Stop
from showonce.types import Observation, Proposal

SCREEN = Observation(np.zeros((2, 2, 3), np.uint8))
PROPOSAL = Proposal("", Click(0.5, 0.25), None)


def request(action: Action | None = PROPOSAL.action, reason: str = "") -> ApprovalRequest:
    return ApprovalRequest(board_task(), SCREEN, PROPOSAL, action, reason)


def ask(approver: Approver) -> tuple[object, str]:
    return approver.ask(request())


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_always() -> None:
    assert ask(AlwaysAllow())[0] == Click(0.5, 0.25)
    assert ask(AlwaysDeny())[0] is None
    assert all(isinstance(p, Person) for p in (AlwaysAllow(), AlwaysDeny(), ConsoleApprover()))


@pytest.mark.parametrize(
    ("line", "action"), [("y", Click(0.5, 0.25)), ("YES", Click(0.5, 0.25)), ("n", None), ("No ", None)]
)
def test_yes_and_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, action: object
) -> None:
    type_in(monkeypatch, line)
    assert ask(ConsoleApprover())[0] == action
    assert '\'light red green\': do {"action": "click", "x": 0.5, "y": 0.25}?' in capsys.readouterr().err


def test_anything_else_is_asked_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    type_in(monkeypatch, "maybe", "", "y")
    assert ask(ConsoleApprover())[0] == Click(0.5, 0.25)
    assert capsys.readouterr().err.count("[y]es / [n]o / [q]uit") == 3


def test_quit_is_a_stop_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    type_in(monkeypatch, "q")
    with pytest.raises(Stopped):
        ask(ConsoleApprover(stop))
    assert stop.pressed


def test_nobody_there_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch)
    assert ask(ConsoleApprover())[0] is None
    assert ConsoleApprover().confirm("?") is None


def test_no_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    type_in(monkeypatch, "clik 0.4 0.2", "click 0.4 7", "click 0.4 0.2")
    assert ask(ConsoleApprover()) == (Click(0.4, 0.2), "corrected at the console")
    err = capsys.readouterr().err
    assert "Did you mean 'click'?" in err and "click.y must lie in [0, 1]" in err
    assert err.count("the right action, e.g. click 0.4 0.2") == 3


def test_a_question_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    type_in(monkeypatch, "n")
    asked = request(Type("pay"), "safety.ask_words: 'pay' in the typed text")
    assert ConsoleApprover().ask(asked)[0] is None
    assert '"text": "pay"}? (safety.ask_words: \'pay\' in the typed text)' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("click 0.4 0.2", Click(0.4, 0.2)),
        ("click .4, .2", Click(0.4, 0.2)),
        ("  drag 0 0 1 1\n", Drag(0, 0, 1, 1)),
        ("scroll 0.5 0.5 -3", Scroll(0.5, 0.5, -3)),
        ("scroll 0.5 0.5 3 1", Scroll(0.5, 0.5, 3, 1)),
        ("click .5 .25 shift+ctrl", Click(0.5, 0.25, "ctrl+shift")),
        ("scroll 0.5 0.5 3 ctrl", Scroll(0.5, 0.5, 3, 0, "ctrl")),
        ("drag 0, 0, 1, 1, Control", Drag(0, 0, 1, 1, "ctrl")),
        ("type hello,  world", Type("hello,  world")),
        ("type 42", Type("42")),
        ("key Control+S", Key("ctrl+s")),
        ("open notes and more", Open("notes and more")),
        ("wait", Wait()),
        ("wait 2", Wait(2.0)),
        ("done", Done()),
        ('{"action": "click", "x": 0.4, "y": 0.2}', Click(0.4, 0.2)),
    ],
)
def test_typed_actions(text: str, action: Action) -> None:
    assert parse_action(text) == action


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: action.verb)
def test_every_verb_can_be_typed_in_short_and_as_json(action: Action) -> None:
    words = [str(getattr(action, name)) for name in fields_of(type(action))]
    assert parse_action(" ".join([action.verb, *words])) == action
    assert parse_action(json.dumps(to_json(action))) == action


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clik 1 1", "Did you mean 'click'"),
        ("click 0.5", "click takes x, y; write e.g. click 0.4 0.4"),
        ("click 0.1 0.2 0.3", "click takes x, y"),
        ("click a b", "click.x must be a finite number"),
        ("click 0.5 1.5", r"click.y must lie in \[0, 1\]"),
        ("click 0.5 NaN", "click.y must be a finite number"),
        ("click 0.5 0.5 crtl", "unknown modifier 'crtl' in 'crtl'. Did you mean 'ctrl'"),
        ("move 0.5 0.5 ctrl", "move takes x, y"),
        ("type", "type takes text"),
        ("key ctrl+", "needs exactly one key|unknown key"),
        ('{"action": "click"', "not JSON"),
        ('{"action": "click", "x": 0.5}', "lacks its argument 'y'"),
        ("", "unknown action"),
    ],
)
def test_typed_text_that_is_no_action(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_action(text)


PROMPT = """
from showonce.errors import Stopped
from showonce.runtime.approvals import ConsoleApprover
from showonce.runtime.stop import Stop, stop_on_interrupt

stop = Stop()
with stop_on_interrupt(stop):
    try:
        ConsoleApprover(stop).confirm("go on?")
    except Stopped as error:
        print(error, stop.pressed)
"""


def test_one_ctrl_c_is_enough_at_the_prompt() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PROMPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    assert os.read(child.stderr.fileno(), 100).startswith(b"go on?")
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert out == "stopped: Ctrl-C at the prompt. True\n"
