"""A person at the window that asks: xdotool is the person, Xvfb the display."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from tests.fakes import Board, ScriptedPolicy, board_task

from showonce.actions import Action, Click, Drag, Type, to_pixel
from showonce.config import SafetyConfig
from showonce.errors import Stopped, Unavailable
from showonce.protocols import ApprovalRequest
from showonce.runtime.ask_window import AskWindow, WindowApprover, drawn
from showonce.runtime.loop import run_episode
from showonce.runtime.safety import safety_of
from showonce.runtime.stop import Stop
from showonce.types import Observation, Proposal, StopReason

needs_display = pytest.mark.skipif(
    not (os.environ.get("DISPLAY") and shutil.which("xdotool")), reason="needs a display (DISPLAY) and xdotool"
)
SCREEN = Observation(np.full((100, 160, 3), 90, np.uint8))
PROPOSED = Click(0.25, 0.75)


def asked(approver: WindowApprover, action: Action = PROPOSED) -> tuple[object, str]:
    return approver.ask(ApprovalRequest(board_task(), SCREEN, Proposal("", action, None), action, "mode=step"))


@pytest.fixture
def approver() -> Iterator[WindowApprover]:
    made = WindowApprover()
    yield made
    made.close()


def person(approver: WindowApprover, act: Callable[[AskWindow], None]) -> None:
    """Do something as soon as the window waits: Tk itself calls it, so nothing races."""
    window = approver._window
    window._root.after(100, lambda: act(window))


def press(name: str) -> Callable[[AskWindow], None]:
    return lambda window: window._buttons[name].invoke()


def xdotool(*words: object) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True, timeout=20)


@needs_display
@pytest.mark.parametrize(("button", "action"), [("yes", PROPOSED), ("no", None)])
def test_yes_and_no(approver: WindowApprover, button: str, action: Action | None) -> None:
    person(approver, press(button))
    assert asked(approver)[0] == action
    assert "do {'action': 'click', 'x': 0.25, 'y': 0.75}? (mode=step)" in approver._window._line.cget("text")


@needs_display
def test_what_goes_into_a_secret_field_is_shown_as_dots(approver: WindowApprover) -> None:
    said: list[str] = []

    def key(window: AskWindow, keysym: str, char: str) -> None:
        window._key(SimpleNamespace(state=0, keysym=keysym, char=char))
        said.append(window._line.cget("text"))

    def act(window: AskWindow) -> None:
        for letter in "hun":
            key(window, letter, letter)
        key(window, "BackSpace", "")
        key(window, "Return", "")

    for secret, shown in (("PIN", ["•", "••", "•••", "••"]), ("", ["h", "hu", "hun", "hu"])):
        said.clear()
        person(approver, act)
        request = ApprovalRequest(board_task(), SCREEN, Proposal("", PROPOSED, None), PROPOSED, secret=secret)
        assert approver.ask(request) == (Type("hu"), "corrected in the window")
        assert [text.split()[1] for text in said[:4]] == shown


@needs_display
def test_no_there_is_a_real_click_at_the_right_place(approver: WindowApprover) -> None:
    def click(window: AskWindow) -> None:
        x, y = window._canvas.winfo_rootx() + 5 * 80 + 2, window._canvas.winfo_rooty() + 5 * 20 + 2
        threading.Thread(target=xdotool, args=("mousemove", x, y, "click", 1), daemon=True).start()

    person(approver, click)
    action, reason = asked(approver)
    assert isinstance(action, Click) and reason == "corrected in the window"
    assert (to_pixel(action.x, 160), to_pixel(action.y, 100)) == (80, 20)


@needs_display
@pytest.mark.parametrize("act", [press("quit"), lambda window: window._finish()], ids=["quit", "closed"])
def test_quitting_and_closing_stop_everything(act: Callable[[AskWindow], None]) -> None:
    stop = Stop()
    approver = WindowApprover(stop)
    person(approver, act)
    with pytest.raises(Stopped):
        asked(approver)
    assert stop.pressed
    approver.close()


@needs_display
def test_a_stop_from_elsewhere_ends_the_question() -> None:
    stop = Stop()
    approver = WindowApprover(stop)
    threading.Timer(0.1, stop.press).start()
    begun = time.monotonic()
    with pytest.raises(Stopped):
        asked(approver)
    assert time.monotonic() - begun < 20
    approver.close()


@needs_display
def test_other_questions(approver: WindowApprover) -> None:
    for button, answer in (("yes", True), ("no", False)):
        person(approver, press(button))
        assert approver.confirm("Was it done?") is answer


@needs_display
def test_it_approves_an_episode(approver: WindowApprover) -> None:
    board = Board()
    rules = safety_of(SafetyConfig(mode="step"))
    person(approver, press("no"))
    episode = run_episode(board, ScriptedPolicy([Type("a")]), board_task(), seed=1, safety=rules, approver=approver)
    assert episode.stop_reason is StopReason.DENIED and board.done == []


def test_the_proposed_action_is_drawn_where_it_points() -> None:
    for action, places in ((PROPOSED, [(40, 75)]), (Drag(0.1, 0.1, 0.9, 0.9), [(16, 10), (144, 90)])):
        image = drawn(SCREEN, action).image
        changed = np.argwhere((image != SCREEN.image).any(axis=2))
        for column, row in places:
            assert np.abs(changed - (row, column)).max(axis=1).min() <= 1
        assert image.shape == SCREEN.image.shape
    assert drawn(SCREEN, Type("a")) is SCREEN and drawn(SCREEN, None) is SCREEN


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(Unavailable, match=r"no display|no Tk"):
        WindowApprover()
