"""Settings of the embedded world."""

from __future__ import annotations

from dataclasses import dataclass

from showonce.environments.settings import EnvironmentSettings, setting


@dataclass(frozen=True, kw_only=True)
class EmbeddedSettings(EnvironmentSettings):
    """Settings of `embedded`. All but `mistakes` are drift: the same tasks on screens that look or behave otherwise."""

    mistakes: int = setting(0, "number of wrong actions after which the task can still succeed", 0, 10_000)
    theme: str = setting("any", "colours of the screen; any = drawn from the seed", choices=("any", "light", "dark"))
    moved: bool = setting(False, "move every widget to a new place after each right step")
    dialog: float = setting(0.0, "probability that a dialog stands in the way before a step", 0, 1)
    renamed: float = setting(0.0, "probability that a label that no goal needs is replaced by random letters", 0, 1)
    layout: int = setting(0, "number added to the seed of the layout: the same task on other screens", 0, 10**9)
