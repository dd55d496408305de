"""BrowserGym and showonce: a BrowserGym task as an environment, and a showonce policy as a BrowserGym agent.

    environment = make_environment("browsergym", id="browsergym/miniwob.click-test", arguments={...})
    agent = BrowserGymAgent(load_policy(config))     # get_action(obs), as BrowserGym's own agents have it

BrowserGym pins an old Playwright, so it lives in an interpreter of its own, beside showonce's extras but not with
``showonce[browser]``: ``pip install showonce browsergym-core``, and the package of the benchmark. Actions go by
coordinates only (its action subsets ``coord``, ``nav`` and ``chat``); coordinates are pixels of its screenshot.
Written against BrowserGym 0.14.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from showonce.actions import (
    NOTCH_PIXELS,
    Action,
    Ask,
    Click,
    Done,
    DoubleClick,
    Drag,
    Key,
    Move,
    Open,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
    held_in,
    to_pixel,
)
from showonce.environments.browser.keys import NAMES, playwright_keys
from showonce.environments.settings import EnvironmentSettings, setting
from showonce.errors import BadInput, EnvironmentBroken, TaskError, Unavailable
from showonce.protocols import Capabilities, Context, Interrupt, Policy, turns_of
from showonce.types import Executed, Observation, Outcome, Task

SUBSETS: Final = ("coord", "nav", "chat")


def spelt(action: Action, width: int, height: int) -> str:
    """Return an action as calls of BrowserGym's high-level action set, for a screenshot of this size in pixels.

    Raises:
        BadInput: a triple click, for which there is no call.
    """
    held = [NAMES[name] for name in held_in(action)]
    down, up = ([f"keyboard_{way}({name!r})" for name in held] for way in ("down", "up"))
    return "\n".join([*down, _call(action, width, height), *reversed(up)])


def _call(action: Action, width: int, height: int) -> str:
    def at(x: float, y: float) -> str:
        return f"{to_pixel(x, width)}, {to_pixel(y, height)}"

    match action:
        case Click(x, y):
            return f"mouse_click({at(x, y)})"
        case DoubleClick(x, y):
            return f"mouse_dblclick({at(x, y)})"
        case TripleClick():
            raise BadInput("BrowserGym has no triple click.")
        case RightClick(x, y):
            return f"mouse_click({at(x, y)}, button='right')"
        case Move(x, y):
            return f"mouse_move({at(x, y)})"
        case Drag(x, y, to_x, to_y):
            return f"mouse_drag_and_drop({at(x, y)}, {at(to_x, to_y)})"
        case Scroll(x, y, dy, dx):
            return f"mouse_move({at(x, y)})\nscroll({dx * NOTCH_PIXELS}, {dy * NOTCH_PIXELS})"
        case Type(text):
            return f"keyboard_type({text!r})"
        case Key(keys):
            return f"keyboard_press({'+'.join(playwright_keys(keys))!r})"
        case Open(target):
            return f"goto({target!r})"
        case Wait(seconds):
            return f"noop({round(seconds * 1000)})"
        case Done(answer):
            return f"send_msg_to_user({answer or 'done'!r})"
        case Ask(question):
            return f"send_msg_to_user({question!r})"


def seen_in(obs: Mapping[str, Any]) -> Observation:
    """Return the screen of a BrowserGym observation."""
    return Observation(np.ascontiguousarray(obs["screenshot"], dtype=np.uint8))


def _browsergym(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unavailable(
            f"{module} is not installed. BrowserGym needs an interpreter of its own: pip install showonce "
            "browsergym-core, and the package of the benchmark, such as browsergym-miniwob."
        ) from None


def action_set() -> Any:
    """Return BrowserGym's action set that understands what `spelt` gives. Raises Unavailable without BrowserGym."""
    core = _browsergym("browsergym.core.action.highlevel")
    return core.HighLevelActionSet(subsets=list(SUBSETS), multiaction=True, strict=False)


@dataclass(frozen=True, kw_only=True)
class BrowserGymSettings(EnvironmentSettings):
    """Settings of `browsergym`."""

    id: str = setting("", "Gymnasium id such as browsergym/miniwob.click-test; a task's `start` takes its place")
    arguments: dict[str, Any] = field(
        default_factory=dict, metadata={"meaning": "further keyword arguments of gymnasium.make"}
    )
    module: str = setting("", "module that registers the id; empty = the package that the id names")


class BrowserGymEnvironment:
    """A BrowserGym task as an environment. The task's goal is BrowserGym's, unless the task file has one of its own.

    Raises:
        Unavailable: BrowserGym is not installed.
    """

    Settings: ClassVar[type[EnvironmentSettings]] = BrowserGymSettings
    name = "browsergym"
    capabilities = Capabilities(resettable=True, seeded=True, verifiable=True, side_effects=True)

    def __init__(self, settings: BrowserGymSettings | None = None) -> None:
        self.settings = settings or BrowserGymSettings()
        self._env: Any = None
        self._made = ""
        self._obs: Mapping[str, Any] = {}
        self._outcome = Outcome(None, self.name)
        self._closed = False

    @property
    def goal(self) -> str:
        """What BrowserGym's task asks for."""
        return str(self._obs.get("goal", ""))

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        """Start the task.

        Raises:
            TaskError: no id was given, or Gymnasium does not know it.
            EnvironmentBroken: it was closed, or does not start.
        """
        if self._closed:
            raise EnvironmentBroken("the BrowserGym environment was closed; make a new one.")
        wanted = task.start or self.settings.id
        if not wanted:
            raise TaskError(f"task {task.id!r} needs start=browsergym/BENCHMARK.TASK, or environment.settings.id.")
        gymnasium = _browsergym("gymnasium")
        if self._made != wanted:
            self._shut()
            _browsergym(self.settings.module or f"browsergym.{wanted.partition('/')[2].partition('.')[0]}")
            try:
                mapping = action_set().to_python_code
                self._env = gymnasium.make(wanted, **{"action_mapping": mapping, **self.settings.arguments})
            except gymnasium.error.Error as error:
                raise TaskError(f"BrowserGym does not know {wanted!r}: {error}") from None
            self._made = wanted
        self._outcome = Outcome(None, self.name)
        try:
            self._obs, _ = self._env.reset(seed=seed)
        except Exception as error:
            raise EnvironmentBroken(f"{wanted} does not start: {error}") from error
        return self.observe()

    def observe(self) -> Observation:
        """Return the last screenshot; BrowserGym takes one after every action."""
        if self._closed or not self._obs:
            raise EnvironmentBroken("the BrowserGym environment has no task yet; call reset(task, seed) first.")
        return seen_in(self._obs)

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        """Do one action.

        Raises:
            BadInput: BrowserGym refused it. EnvironmentBroken: the browser failed.
        """
        screen = self.observe()
        interrupt.check()
        code = spelt(action, screen.width, screen.height)
        try:
            self._obs, reward, terminated, _, _ = self._env.step(code)
        except Exception as error:
            raise EnvironmentBroken(f"{self._made} broke: {error}") from error
        if problem := str(self._obs.get("last_action_error", "")):
            raise BadInput(f"BrowserGym: {problem.strip().splitlines()[-1]}")
        success = True if reward > 0 and terminated else False if terminated else None
        self._outcome = Outcome(success, self.name, f"reward {reward:g}", hopeless=success is False)
        return Executed(action)

    def verify(self) -> Outcome:
        """Return what BrowserGym's validation said after the last action; a positive reward at the end is success."""
        self.observe()
        return self._outcome

    def close(self) -> None:
        """End it; closing twice is fine."""
        self._closed = True
        self._shut()

    def _shut(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env, self._made = None, ""


class BrowserGymAgent:
    """A policy as BrowserGym's experiments use an agent: `action_set`, `obs_preprocessor`, `get_action`.

    Raises:
        Unavailable: BrowserGym is not installed.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.action_set = action_set()
        self._history: list[Action] = []
        self._before, self._progress, self._goal = "", 0, ""

    def obs_preprocessor(self, obs: dict[str, Any]) -> dict[str, Any]:
        """Return what the policy needs of an observation."""
        return {"screenshot": obs["screenshot"], "goal": obs.get("goal", "")}

    def get_action(self, obs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the next action as BrowserGym's code, with what the policy said about it. An answer that is no action,
        or one that BrowserGym cannot do, becomes a short wait and is told in ``info["failure"]``. Another goal begins a
        new episode.
        """
        screen, goal = seen_in(obs), str(obs.get("goal", ""))
        if goal != self._goal:
            self._history, self._before, self._progress, self._goal = [], "", 0, goal
        if self._before and self._before != screen.hash:
            self._progress += 1
        proposal = self.policy.propose(screen, Context(goal, self._progress, turns_of(self._history)))
        told = {"text": proposal.text, "confidence": proposal.confidence.stated, "timings": proposal.timings}
        if proposal.action is None:
            self._before = ""
            failure = proposal.failure
            return "noop(100)", {**told, "failure": "" if failure is None else f"{failure.reason}: {failure.detail}"}
        try:
            code = spelt(proposal.action, screen.width, screen.height)
        except BadInput as error:
            self._before = ""
            return "noop(100)", {**told, "failure": str(error)}
        self._history.append(proposal.action)
        self._before = screen.hash
        return code, told
