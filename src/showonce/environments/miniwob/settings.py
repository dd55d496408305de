"""Settings of MiniWoB++."""

from __future__ import annotations

from dataclasses import dataclass

from showonce.environments.browser.settings import PageSettings
from showonce.environments.settings import setting


@dataclass(frozen=True, kw_only=True)
class MiniWoBSettings(PageSettings):
    """Settings of `miniwob`, one page of MiniWoB++."""

    scale: float = setting(1.0, "device pixels per CSS pixel; the page's text is 10 CSS pixels high", 1, 3)
    area: str = setting(
        "page", "page: 160 x 210 CSS pixels, instruction above; task: 160 x 160, without it", choices=("page", "task")
    )
    show_instruction: bool = setting(
        False, "leave the instruction in the picture; the policy gets it as text in any case"
    )
    success: str = setting(
        "any", "any: a raw reward above 0, as BrowserGym counts; full: 1, no partial credit", choices=("any", "full")
    )
    reload: bool = setting(
        True,
        "load the page anew for every episode; false = begin the next one on the same page, which takes less than half "
        "the time, except on pages that carry something over",
    )
