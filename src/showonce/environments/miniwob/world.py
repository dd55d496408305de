"""MiniWoB++ as an environment: its pages straight from the wheel, in a context of the shared browser.

Success is judged by the raw reward, without its decay over time, and the page's own timer is off: a slow policy is not
punished. As in BrowserGym an episode succeeds when the page ends it with a reward above 0. The page's clock starts at
a fixed time, so that nothing depends on the date.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Final

from showonce.actions import Action, from_json
from showonce.environments.browser.geometry import Box, View
from showonce.environments.browser.session import BrowserSession, ModalOpened
from showonce.environments.browser.settings import BrowserSettings, PageSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.miniwob.oracles import SOLVED, oracle_script
from showonce.environments.miniwob.settings import MiniWoBSettings
from showonce.environments.miniwob.tasks import PREFIX, task_for
from showonce.environments.settings import EnvironmentSettings
from showonce.errors import EnvironmentBroken, TaskError, Unavailable
from showonce.protocols import Capabilities
from showonce.types import Image as Pixels
from showonce.types import Outcome, Task

# The task is 160 x 210. A window of that size scrolls sideways and breaks tasks, because the score board stands beside
# it; the wheel's own environment opens 332 x 214. The rest is cut off.
WINDOW: Final = (332, 214)
PAGE: Final[Box] = (0.0, 0.0, 160.0, 210.0)
TASK: Final[Box] = (0.0, 50.0, 160.0, 210.0)  # without the instruction above it: a square
AREAS: Final = {"page": PAGE, "task": TASK}
OUTSIDE: Final = (WINDOW[0] - 1, WINDOW[1] - 1)
# Pages that are loaded anew for every episode even with reload=false: without a fresh load, the same seed and actions
# gave other frames (scrolled lists and styles left by an earlier episode, or things that move by themselves).
_CARRIES: Final = """
bisect-angle book-flight book-flight-nodelay button-delay chase-circle choose-date-nodelay circle-center
click-collapsible-2 click-dialog click-dialog-2 click-pie click-scroll-list click-tab click-tab-2 click-tab-2-easy
click-tab-2-hard click-tab-2-medium copy-paste-2 find-midpoint form-sequence form-sequence-3 moving-items
multi-layouts right-angle scroll-text scroll-text-2 simon-says stock-market terminal text-editor tic-tac-toe
use-colorwheel use-colorwheel-2 use-slider use-slider-2 use-spinner
"""
CARRIES: Final = frozenset(_CARRIES.split())
YELLOW: Final = (255, 255, 0)  # of the instruction's box
NEVER_MS: Final = 1_000_000_000  # the page's own timer; more than 2**31 would fire at once
# A clock that starts at noon of a Thursday, and goes on from there.
CLOCK: Final = """(() => {
  const Real = Date, start = Real.UTC(2026, 0, 15, 12), now = () => start + Math.floor(performance.now());
  window.Date = class Date extends Real {
    constructor(...given) { given.length ? super(...given) : super(now()); }
    static now() { return now(); }
  };
})()"""
# startEpisode is replaced: the page would cover an ended episode, and a click on the cover would start another.
START: Final = """([seed, never]) => {
  core.clearTimer();
  delete window.__showonceOracle;
  if (document.activeElement) document.activeElement.blur();
  Math.seedrandom(String(seed));
  core.EPISODE_MAX_TIME = never;
  core.startEpisodeReal();
  core.startEpisode = () => {};
  const told = core.getUtterance(), box = document.getElementById('query').getBoundingClientRect();
  return [typeof told === 'object' ? told.utterance : told, [box.left, box.top, box.right, box.bottom]];
}"""
ENDED: Final = "[WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON]"


class MiniWoB(BrowserEnvironment):
    """One MiniWoB++ page, which the task's id names; see `MiniWoBSettings`."""

    Settings: ClassVar[type[EnvironmentSettings]] = MiniWoBSettings
    name = "miniwob"

    def __init__(self, settings: MiniWoBSettings | None = None) -> None:
        own = settings or MiniWoBSettings()
        shared = {field.name: getattr(own, field.name) for field in fields(PageSettings)}
        super().__init__(BrowserSettings(width=WINDOW[0], height=WINDOW[1], scale=own.scale, seeded=True, **shared))
        self.capabilities = Capabilities(resettable=True, seeded=True, verifiable=True, side_effects=False)
        self._crop = AREAS[own.area]
        self._shows_instruction = own.show_instruction
        self._reload = own.reload
        self._instruction: Box = (0.0, 0.0, 160.0, 50.0)
        self._goal = ""
        self._page = ""
        self._ended: Outcome | None = None
        self._success = own.success

    def verify(self) -> Outcome:
        """Return the page's verdict: open until it has ended the episode, then by its raw reward."""
        self._ready()
        if self._ended is None:
            outcome = self.on_owner(self._told, 2 * self.settings.timeout, "the reward")
            if outcome.success is None:
                return outcome
            self._ended = outcome
        return self._ended

    @property
    def goal(self) -> str:
        """The instruction of this episode."""
        self._ready()
        return self._goal

    def oracle(self) -> Action:
        """Return the right next action, found in the page's DOM; it uses only verbs that a person could use.

        Raises:
            TaskError: no oracle was written for this page. EnvironmentBroken: nothing is left to do.
        """
        self._ready()
        if self._page not in SOLVED:
            raise TaskError(f"no oracle was written for {PREFIX}{self._page}; there is one for: {', '.join(SOLVED)}.")
        if self.verify().success is not None:
            raise EnvironmentBroken("the task is done; there is no next action.")
        found = self.on_owner(self._next, 2 * self.settings.timeout, "the oracle")
        return self._placed(found)

    # ------------------------------------------------------------------------------------------------ on its thread

    async def _begin(self, task: Task, seed: int | None) -> None:
        name = page_of(task)
        folder = pages()
        session, address = self.session, (folder / f"{name}.html").as_uri()
        if session is None or self._broken_before or session.modal is not None or len(session.tabs) != 1:
            session = await self._fresh()
        self._ended = None
        page = session.tab.page
        moved = session.watched(page.mouse.move(*OUTSIDE))  # nothing is hovered over when it begins
        if self._reload or name in CARRIES or page.url != address:
            await self._go(address)
        else:
            await session.ask(session.tab, _done(moved))
        started = await session.ask(session.tab, page.evaluate(START, [seed or 0, NEVER_MS]))
        self._page, self._goal, self._instruction = name, started[0], tuple(started[1])

    async def _prepared(self, session: BrowserSession) -> None:
        await session.context.add_init_script(CLOCK)

    async def _told(self) -> Outcome:
        assert self.session is not None
        try:
            done, raw, why = await self.session.ask(self.session.tab, self.session.tab.page.evaluate(ENDED))
        except ModalOpened:
            return Outcome(None, "world", "a dialog is open")
        if not done:
            return Outcome(None, "world", "the episode goes on")
        evidence = f"raw reward {raw:.3g}" + (f", {why}" if why else "")
        won = raw >= 1 if self._success == "full" else raw > 0
        return Outcome(won, "world", evidence, hopeless=not won)

    async def _next(self) -> dict[str, Any]:
        assert self.session is not None
        script = f"{oracle_script()}({json.dumps(self._page)})"
        found = await self.session.ask(self.session.tab, self.session.tab.page.evaluate(script))
        if not isinstance(found, dict):
            raise EnvironmentBroken(f"the oracle of {PREFIX}{self._page} does not know what to do next.")
        return found

    def _placed(self, found: dict[str, Any]) -> Action:
        """Map an oracle's action from the page's CSS pixels to the frame."""
        if self.view is None:
            raise EnvironmentBroken("nothing was seen yet; call observe first.")
        data = dict(found)
        for across, down in (("x", "y"), ("to_x", "to_y")):
            if across in data:
                x, y = self.view.to_fraction(data[across], data[down])
                data[across], data[down] = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        return from_json(data)

    def _finish(self, frame: Pixels, view: View) -> Pixels:
        """Paint over the instruction."""
        if not self._shows_instruction:
            left, top = view.to_fraction(self._instruction[0], self._instruction[1])
            right, bottom = view.to_fraction(self._instruction[2], self._instruction[3])
            rows = slice(max(round(top * view.height), 0), max(round(bottom * view.height), 0))
            columns = slice(max(round(left * view.width), 0), max(round(right * view.width), 0))
            frame[rows, columns] = YELLOW
        return frame


async def _done(work: asyncio.Future[None]) -> None:
    await work


def page_of(task: Task) -> str:
    """Return the page of a task: its id's, or for a task file its start's.

    Raises:
        TaskError: no such page; the nearest is named.
    """
    return task_for(task.start or task.id).id.removeprefix(PREFIX)


def pages() -> Path:
    """Return the folder of the wheel's pages.

    Raises:
        Unavailable: the wheel is not installed.
    """
    found = importlib.util.find_spec("miniwob")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("MiniWoB++ is not installed: pip install 'showonce[miniwob]'.")
    return Path(found.submodule_search_locations[0]) / "html" / "miniwob"
