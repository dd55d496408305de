"""Gymnasium: its own checker passes, rewards are verified successes, and every form of an action is taken."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="the extra showonce[gym] is not installed")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from tests.browsers import needs_miniwob  # noqa: E402
from tests.xscreen import x_screen  # noqa: E402

from showonce.actions import Click, Move, TripleClick, to_json  # noqa: E402
from showonce.environments.embedded.world import EmbeddedWorld  # noqa: E402
from showonce.environments.registry import oracle_for  # noqa: E402
from showonce.errors import BadInput, EnvironmentBroken, ShowonceError, TaskError  # noqa: E402
from showonce.runtime.gym import NAMES, Screen, action_of  # noqa: E402
from showonce.types import Success, Task  # noqa: E402


def test_the_checker_of_gymnasium_passes() -> None:
    made = gymnasium.make("showonce/Embedded-v0")
    check_env(made.unwrapped)
    made.close()


def test_gymnasium_can_import_it_by_name() -> None:
    named = "showonce.runtime.gym:showonce/Embedded-v0"
    code = f"import gymnasium; print(gymnasium.make({named!r}, task='skill/drag').reset(seed=1)[0]['goal'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_the_oracle_earns_the_reward_in_every_form_of_an_action() -> None:
    screen = Screen("embedded", "skill/click_icon", render_mode="rgb_array")
    for seed, form in enumerate((lambda a: a, to_json, spelt)):
        first, info = screen.reset(seed=seed)
        assert info["seed"] == seed and first["goal"]
        action = oracle_for(screen._environment)()
        _, reward, terminated, truncated, told = screen.step(form(action))
        assert (reward, terminated, truncated, told["error"]) == (1.0, True, False, "")
    assert np.array_equal(screen.render(), screen.observation.image)


def spelt(action: Click) -> dict[str, object]:
    return {"verb": NAMES.index(action.verb), "point": (action.x, action.y)}


def test_a_wrong_action_ends_it_without_a_reward_and_an_impossible_one_costs_a_step() -> None:
    screen = Screen("embedded", "skill/click_icon", max_steps=2)
    screen.reset(seed=3)
    _, reward, terminated, truncated, info = screen.step({"action": "key", "keys": "nonsense"})
    assert (reward, terminated, truncated) == (0.0, False, False) and "unknown key" in info["error"]
    _, reward, terminated, truncated, info = screen.step({"verb": NAMES.index("key"), "text": "f9"})
    assert (reward, terminated) == (0.0, True) and info["outcome"].success is False
    with pytest.raises(EnvironmentBroken, match="reset"):
        screen.step(Click(0.5, 0.5))


def test_an_episode_is_cut_off_after_its_steps() -> None:
    screen = Screen("embedded", "skill/click_icon", max_steps=1)
    screen.reset(seed=3)
    assert screen.step({"action": "key", "keys": "nonsense"})[2:4] == (False, True)


@pytest.mark.parametrize("given", [7, {}, {"verb": 99}, {"verb": 0, "point": (float("nan"), 0.0)}, {"action": "tap"}])
def test_what_is_no_action_is_said(given: object) -> None:
    with pytest.raises(BadInput):
        action_of(given)


def test_the_number_of_a_verb_stays_and_modifiers_are_told_by_bits() -> None:
    assert (
        *("click", "double_click", "right_click", "move", "drag", "scroll", "type", "key", "open", "wait", "done"),
        *("ask", "triple_click"),
    ) == NAMES
    assert action_of({"verb": 0, "point": (0.5, 0.25), "held": np.array([1, 0, 1, 0])}) == Click(
        0.5, 0.25, "ctrl+shift"
    )
    assert action_of({"verb": 12, "point": (0.5, 0.25)}) == TripleClick(0.5, 0.25)
    assert action_of({"verb": 3, "point": (0.5, 0.25), "held": (1, 1, 1, 1)}) == Move(0.5, 0.25)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(TaskError, match="click_icon"):
        gymnasium.make("showonce/Embedded-v0", task="skill/click_icn")


@pytest.mark.parametrize("task", [Task("x", "g", start="nowhere"), Task("x", "g", success=Success("url", "a"))])
def test_an_environment_that_cannot_begin_is_closed(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[EmbeddedWorld] = []
    monkeypatch.setattr(EmbeddedWorld, "close", lambda self: closed.append(self))
    with pytest.raises(ShowonceError):
        Screen("embedded", task)
    assert len(closed) == 1


@needs_miniwob
@pytest.mark.parametrize("name", ["Browser", "MiniWoB"])
def test_pages_pass_the_checker(name: str) -> None:
    made = gymnasium.make(f"showonce/{name}-v0")
    check_env(made.unwrapped)
    made.close()


@needs_miniwob
def test_the_oracle_earns_the_reward_of_miniwob() -> None:
    screen = gymnasium.make("showonce/MiniWoB-v0", task="click-button").unwrapped
    assert isinstance(screen, Screen)
    screen.reset(seed=5)
    _, reward, terminated, _, _ = screen.step(oracle_for(screen._environment)())
    assert (reward, terminated) == (1.0, True)
    screen.close()


def test_the_desktop_passes_the_checker() -> None:
    with x_screen() as display:
        made = gymnasium.make("showonce/Desktop-v0", settings={"display": display.name})
        check_env(made.unwrapped)
        made.close()
