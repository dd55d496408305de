from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.fakes import board_task

from showonce.actions import Click
from showonce.errors import Stopped
from showonce.protocols import Approver
from showonce.runtime.approvals import AlwaysAllow, AlwaysDeny, ConsoleApprover, Person
from showonce.runtime.stop import Stop
from showonce.types import Observation, Proposal

SCREEN = Observation(np.zeros((2, 2, 3), np.uint8))
PROPOSAL = Proposal("", Click(0.5, 0.25), None)


def ask(approver: Approver) -> tuple[object, str]:
    return approver.ask(board_task(), SCREEN, PROPOSAL)


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
