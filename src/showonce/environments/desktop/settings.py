"""Settings of the desktop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from showonce.environments.settings import EnvironmentSettings, setting
from showonce.errors import ConfigError

EXTRA: Final = "pip install 'showonce[desktop]'"


@dataclass(frozen=True, kw_only=True)
class DesktopSettings(EnvironmentSettings):
    """Settings of `desktop`, the screen of this machine."""

    display: str = setting("", "X display such as :1; empty = $DISPLAY")
    monitor: int = setting(1, "1, 2, ...; 0 = all monitors as one screen", 0, 64)
    window: str = setting("", "title of the window to see and act in, in place of a monitor (X11 only)")
    region: tuple[int, ...] = setting(
        (),
        "left, top, width, height in pixels of the virtual screen, in place of a monitor; empty = none",
        -100_000,
        100_000,
    )
    stop_chord: str = setting(
        "escape", "key or chord by which a person stops everything, heard in every window; never pressed by the agent"
    )
    quiet: float = setting(0.025, "seconds without a change after which the screen counts as at rest", 0.001, 60)
    first: float = setting(0.15, "seconds in which the first change after an action is waited for", 0.001, 60)
    cap: float = setting(1.0, "seconds after which a screen that goes on changing is looked at all the same", 0.001, 60)
    open_seconds: float = setting(10.0, "seconds that a started program gets to show a window", 0.001, 60)
    verifier: str = setting(
        "",
        "shell command that exits with 0 when the task is done, with 10 when it is lost for good, else with another "
        "code; its last line is the evidence",
    )
    keep_open: bool = setting(False, "leave the programs that were started running at the end")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window and self.region:
            raise ConfigError("environment.settings: name a window or a region, not both.")
