"""showonce's screens as Gymnasium environments; importing this module makes their ids known.

    import gymnasium, showonce.runtime.gym
    gymnasium.make("showonce/Embedded-v0", task="skill/click_icon")

Needs the extra ``showonce[gym]``.

Observation: Dict(goal: Text, screenshot: Box uint8 (H, W, 3)). Action: Dict(verb, point, to, scroll, text, seconds,
held) as `action_space` describes it; what a verb does not need is ignored. point and to are (x, y) in [0, 1] of the
frame; scroll is (right, down) as shares of 50 notches; held says which of ctrl, alt, shift and meta are down. A
`showonce.actions.Action` or its JSON form (``{"action": "click", "x": 0.5, "y": 0.2}``) is taken, too.
Reward: 1.0 with the step after which the task's success check says yes, else 0.0 (an environment with rewards of its
own puts them in its evidence). Terminated: success, or success can no longer be reached. Truncated:
`max_steps` actions. An action that cannot be done costs its step and is told in ``info["error"]``.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from showonce.actions import MAX_NOTCHES, MAX_TEXT, MODIFIERS, VERBS, Action, Done, fields_of, from_json
from showonce.environments.registry import find_task, make_environment
from showonce.errors import BadInput, EnvironmentBroken, Unavailable
from showonce.protocols import Environment, SetsGoal, ability
from showonce.runtime.completion import Checker, make_checker
from showonce.runtime.tasks import load_task
from showonce.types import Observation, Task

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise Unavailable("Gymnasium is not installed: pip install 'showonce[gym]'.") from error

NAMES: Final = tuple(VERBS)
CHARACTERS: Final = string.printable  # of a sampled text; an action that is given as such may hold any
GOAL: Final = "".join(map(chr, range(32, 0x250)))  # of goals: Latin
LENGTH: Final = 64  # of a sampled text
SEEDS: Final = 2**31 - 1
DEFAULTS: Final = {  # id -> environment, task, its settings
    "Embedded": ("embedded", "skill/click_icon", {}),
    "Browser": ("browser", "site/table", {"width": 640, "height": 480}),
    "MiniWoB": ("miniwob", "miniwob/click-test", {}),
    "Desktop": ("desktop", "configs/tasks/desktop_example.yaml", {}),
}


class Screen(gymnasium.Env[dict[str, Any], Any]):
    """One task in one environment.

    Args:
        environment: its name (`make_environment`). task: a registered id, a task file or a `Task`. settings: of the
            environment.
        max_steps: actions after which an episode is cut off; default: as many as the task allows.
        render_mode: None or "rgb_array".

    Raises:
        ConfigError, TaskError: an unknown environment, setting or task (nearest named).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 (as in Gymnasium)

    def __init__(
        self,
        environment: str,
        task: str | Task,
        settings: Mapping[str, Any] | None = None,
        max_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.task = _task(task)
        self.max_steps = max_steps or self.task.limits.max_steps
        self._environment: Environment = make_environment(environment, **{**self.task.settings, **(settings or {})})
        self._taken = 0
        self._over = True
        self._world = ability(self._environment, SetsGoal)
        try:
            self._checker: Checker = make_checker(self.task, self._environment)
            self._screen = self._environment.reset(self.task, 0)
        except BaseException:
            self._environment.close()
            raise
        high, wide = self._screen.height, self._screen.width
        self.observation_space = spaces.Dict(
            {
                "goal": spaces.Text(MAX_TEXT, min_length=0, charset=GOAL),
                "screenshot": spaces.Box(0, 255, (high, wide, 3), np.uint8),
            }
        )
        self.action_space = spaces.Dict(
            {
                "verb": spaces.Discrete(len(NAMES)),
                "point": spaces.Box(0.0, 1.0, (2,), np.float64),
                "to": spaces.Box(0.0, 1.0, (2,), np.float64),
                "scroll": spaces.Box(-1.0, 1.0, (2,), np.float64),
                "text": spaces.Text(LENGTH, min_length=0, charset=CHARACTERS),
                "seconds": spaces.Box(0.0, 1.0, (1,), np.float64),
                "held": spaces.MultiBinary(len(MODIFIERS)),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode. The same seed gives the same screen where the environment is seeded.

        options: none are known.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(SEEDS)) if seed is None else seed
        self._screen = self._environment.reset(self.task, drawn)
        self._taken, self._over = 0, False
        self._checker = make_checker(self.task, self._environment)
        return self._observation(), {"task": self.task.id, "seed": drawn}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Do one action.

        Raises:
            EnvironmentBroken: the screen cannot be used any more, or has another size than the first one had.
        """
        if self._over:
            raise EnvironmentBroken("the episode is over or was never begun: call reset first.")
        self._taken += 1
        info: dict[str, Any] = {"task": self.task.id, "error": ""}
        done: Action | None = None
        try:
            info["executed"] = self._environment.execute(action_of(action), _Never())
            done = info["executed"].action
        except BadInput as error:
            info["error"] = str(error)
        self._screen = self._environment.observe()
        outcome = info["outcome"] = self._checker.check(self._screen, done)
        success = outcome.success is True
        terminated = success or outcome.success is False or outcome.hopeless or isinstance(done, Done)
        truncated = not terminated and self._taken >= self.max_steps
        self._over = terminated or truncated
        return self._observation(), float(success), terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return the screen, uint8 (H, W, 3), with render_mode="rgb_array"."""
        return self._screen.image.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Give the environment back; closing twice is fine."""
        self._environment.close()

    @property
    def observation(self) -> Observation:
        """The last screen as showonce's policies take it (with its scale and page text)."""
        return self._screen

    def _observation(self) -> dict[str, Any]:
        found, wanted = self._screen.image.shape, self.observation_space["screenshot"].shape  # type: ignore[index]
        if found != wanted:
            raise EnvironmentBroken(f"the screen changed its size from {wanted} to {found}: make a new environment.")
        goal = self.task.goal or ("" if self._world is None else self._world.goal)
        known = set(GOAL)
        return {
            "goal": "".join(c if c in known else "?" for c in goal)[:MAX_TEXT],
            "screenshot": self._screen.image.copy(),
        }


class _Never:
    """An interrupt that never fires: the caller of `step` decides when to act."""

    def check(self) -> None:
        return None


def action_of(given: Any) -> Action:
    """Return a showonce action from one, from its JSON form, or from a value of `Screen.action_space`.

    Raises:
        BadInput: it is none of these, or an argument is not valid.
    """
    if type(given) in VERBS.values():
        return given  # type: ignore[no-any-return]
    if not isinstance(given, Mapping) or not ("action" in given or "verb" in given):
        raise BadInput(f"an action is a showonce action, its JSON form, or a value of the action space, not {given!r}.")
    if "action" in given:
        return from_json(dict(given))
    at = int(given["verb"])
    if not 0 <= at < len(NAMES):
        raise BadInput(f"verb {at} is none of the {len(NAMES)}: {', '.join(NAMES)}.")
    return from_json({"action": NAMES[at], **_arguments(NAMES[at], given)})


def _arguments(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what a verb needs out of a value of the action space."""
    point, to = given.get("point", (0.5, 0.5)), given.get("to", (0.5, 0.5))
    text = str(given.get("text", ""))
    scroll = [float(share) for share in given.get("scroll", (0.0, 0.0))]
    seconds = float(np.ravel(given.get("seconds", 1.0))[0])
    values: dict[str, Any] = {
        "seconds": seconds,
        **dict.fromkeys(("text", "keys", "target", "answer", "question"), text),
    }
    values |= {"x": float(point[0]), "y": float(point[1]), "to_x": float(to[0]), "to_y": float(to[1])}
    values["held"] = "+".join(name for name, down in zip(MODIFIERS, given.get("held", ()), strict=False) if down)
    values |= {"dx": scroll[0] * MAX_NOTCHES, "dy": scroll[1] * MAX_NOTCHES}
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"{name} must be a finite number, not {value!r}.")
    specs = fields_of(VERBS[verb])
    return {name: round(values[name]) if spec.kind == "integer" else values[name] for name, (spec, _) in specs.items()}


def _task(named: str | Task) -> Task:
    if isinstance(named, Task):
        return named
    return load_task(named) if named.endswith((".yaml", ".yml")) else find_task(named)


def make(
    environment: str,
    default: str,
    usual: Mapping[str, Any],
    task: str | Task | None = None,
    settings: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Screen:
    """Make what `gymnasium.make` asks for. usual: settings of the environment where `settings` says nothing else."""
    return Screen(environment, task or default, {**usual, **(settings or {})}, **arguments)


def register() -> None:
    """Make the ids known to Gymnasium."""
    for name, (environment, task, settings) in DEFAULTS.items():
        known = f"showonce/{name}-v0"
        if known not in gymnasium.registry:
            gymnasium.register(
                known,
                entry_point="showonce.runtime.gym:make",
                kwargs={"environment": environment, "default": task, "usual": settings},
                order_enforce=False,
                disable_env_checker=True,
            )


register()
