"""Chooses the next measure when an action was refused or a guard fired, before the episode is given up.

reobserve   look again and let the policy answer anew
retry       wait, twice as long each time, then try again: the refused action itself, or the policy on a new look
undo        let the environment take back what came of its own last actions (a stray dialog, a half-written file)
ask         the next action has to be approved by a person, who may give the right one

An action is tried again only when the environment refused it, since then nothing was done. After a crash in the
middle of one nobody knows what was done: that ends the episode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from showonce.config import RecoveryConfig

Name = Literal["reobserve", "retry", "undo", "ask"]
NOTHING_LEFT: Final = "nothing is left to try"


@dataclass(frozen=True)
class Measure:
    """One thing to try. wait_s: seconds to wait before."""

    name: Name
    wait_s: float = 0.0


class Recovery:
    """Decides for one episode. able: whether a measure can be taken here (undo: the environment has the ability; ask:
    there is an approver). confirm: whether a person has to agree to an undo, which no safety rule judges.
    """

    def __init__(
        self,
        config: RecoveryConfig | None = None,
        able: Callable[[str], bool] = lambda name: True,
        confirm: bool = False,
    ) -> None:
        self.config = config or RecoveryConfig()
        self.confirm = confirm
        self._able = able
        self._tried: Counter[str] = Counter()
        self._taken = 0

    @property
    def on(self) -> bool:
        """Whether anything is tried at all."""
        return bool(self.config.measures)

    def next(self) -> Measure | None:
        """Return what to try now, in the order of the settings; None = give up."""
        for name in self.config.measures:
            most = self.config.retries if name == "retry" else 1
            if self._taken >= self.config.per_episode or self._tried[name] >= most or not self._able(name):
                continue
            self._tried[name] += 1
            self._taken += 1
            wait = self.config.backoff_seconds * 2 ** (self._tried[name] - 1) if name == "retry" else 0.0
            return Measure(name, wait)  # type: ignore[arg-type]
        return None

    def worked(self) -> None:
        """Begin anew: the screen changed and no guard fired, so the next trouble is another one."""
        self._tried.clear()
