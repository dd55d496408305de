"""BrowserGym: how actions are spelt; and the real thing, in the interpreter that SHOWONCE_BROWSERGYM_PYTHON names."""

from __future__ import annotations

import ast
import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from showonce.actions import (
    EXAMPLES,
    Action,
    Ask,
    Click,
    Done,
    Drag,
    Key,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
)
from showonce.environments.browsergym import BrowserGymEnvironment, spelt
from showonce.environments.registry import make_environment
from showonce.errors import BadInput, TaskError, Unavailable
from showonce.types import Task

PYTHON = os.environ.get("SHOWONCE_BROWSERGYM_PYTHON", "")


CTRL_SHIFT_CLICK = """keyboard_down('Control')
keyboard_down('Shift')
mouse_click(160, 60)
keyboard_up('Shift')
keyboard_up('Control')"""


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (Click(0.5, 0.25), "mouse_click(160, 60)"),
        (RightClick(1.0, 1.0), "mouse_click(319, 239, button='right')"),
        (Drag(0.0, 0.0, 0.5, 0.5), "mouse_drag_and_drop(0, 0, 160, 120)"),
        (Click(0.5, 0.25, "ctrl+shift"), CTRL_SHIFT_CLICK),
        (Scroll(0.5, 0.5, 2, -1), "mouse_move(160, 120)\nscroll(-120, 240)"),
        (Type('it\'s "so"'), "keyboard_type('it\\'s \"so\"')"),
        (Key("ctrl+shift+f5"), "keyboard_press('Control+Shift+F5')"),
        (Key("ctrl++"), "keyboard_press('Control++')"),
        (Key("f"), "keyboard_press('f')"),
        (Wait(1.5), "noop(1500)"),
        (Done(""), "send_msg_to_user('done')"),
        (Done("42"), "send_msg_to_user('42')"),
        (Ask("which?"), "send_msg_to_user('which?')"),
    ],
)
def test_how_an_action_is_spelt(action: Action, code: str) -> None:
    assert spelt(action, 320, 240) == code


def test_every_verb_is_spelt_as_python_calls() -> None:
    with pytest.raises(BadInput, match="no triple click"):
        spelt(TripleClick(0.5, 0.5), 332, 214)
    for action in EXAMPLES:
        if isinstance(action, TripleClick):
            continue
        calls = ast.parse(spelt(action, 332, 214)).body
        assert calls and all(isinstance(call, ast.Expr) and isinstance(call.value, ast.Call) for call in calls)


def test_without_an_id_or_without_browsergym_it_is_said() -> None:
    environment = make_environment("browsergym")
    assert isinstance(environment, BrowserGymEnvironment)
    with pytest.raises(TaskError, match=r"environment\.settings\.id"):
        environment.reset(Task("t", "", "browsergym"), 1)
    named = make_environment("browsergym", id="browsergym/nothing.task")
    with pytest.raises(Unavailable, match="pip install showonce"):
        named.reset(Task("t", "", "browsergym"), 1)


@pytest.mark.skipif(not PYTHON, reason="SHOWONCE_BROWSERGYM_PYTHON names no interpreter with BrowserGym")
def test_a_task_of_browsergym_is_done_by_an_agent_of_showonce() -> None:
    code = textwrap.dedent("""
        from showonce.actions import Click
        from showonce.environments.browsergym import BrowserGymAgent, BrowserGymEnvironment, seen_in
        from showonce.types import Proposal, Task
        import numpy as np, os

        class Middle:  # clicks the one grey button of click-test
            adapter_version = "none"
            def propose(self, screen, context, sampling="greedy"):
                area = screen.image[75:315, :240].astype(int)  # drawn half as large again
                grey = (abs(area - 240) < 8).all(-1) & (area.max(-1) < 250)
                rows, columns = np.nonzero(grey)
                y, x = (rows.mean() + 75) / screen.height, columns.mean() / screen.width
                return Proposal("", Click(float(x), float(y)), None)

        arguments = {"pre_observation_delay": 0.0, "headless": True}
        environment = BrowserGymEnvironment(BrowserGymSettings("browsergym/miniwob.click-test", arguments))
        agent, solved = BrowserGymAgent(Middle()), 0
        for seed in range(3):
            screen = environment.reset(Task("t", "", "browsergym"), seed)
            assert environment.goal and screen.image.ndim == 3
            obs = {"screenshot": screen.image, "goal": environment.goal}
            code, told = agent.get_action(agent.obs_preprocessor(obs))
            assert code.startswith("mouse_click(") and "failure" not in told
            class Never:
                def check(self): pass
            environment.execute(agent._history[-1], Never())
            solved += environment.verify().success is True
        environment.close()
        print("solved", solved)
    """)
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(source)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-2:] == ["solved", "3"]
