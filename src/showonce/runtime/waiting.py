"""A recorded wait, done again: it ends when what it was for is there, not when the recorded seconds are over.

A text of which the person said that it must be on the screen is waited for in the same way.
What a wait was for is what changed on the screen while it lasted: between the frame on which it began and the frame on
which the next action was chosen. Where the surroundings of the next target changed, the wait was for the target.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from showonce.actions import Action, Wait, points, to_pixel
from showonce.demonstrations import redact
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import Unavailable
from showonce.protocols import Elements, Environment, Interrupt, Paged, ability
from showonce.runtime.completion import Selector, Text
from showonce.runtime.freshness import off
from showonce.runtime.matching import find_named, find_target, patch_for, stays
from showonce.runtime.stop import Stop
from showonce.types import Check, Executed, Frame, Image, Observation

POLL: Final = 0.1  # seconds between two looks at the screen
APPEARS: Final = 1.5  # seconds that what an action made appear gets to appear
MOST: Final = 0.7  # share of the pixels that changed while the person waited that must be as they were then
FEW: Final = 0.02  # share of the pixels around a target that must have changed, for the wait to have been for it
LIKELY: Final = 0.9  # correlation from which on a target counts as there
UNLIKE: Final = 0.5  # correlation below which it counts as absent
CAME: Final = 0.8  # correlation from which on a target that was absent before counts as there, at the end of a wait


class Waiting(Wrapper):
    """Executes each `Wait` of a demonstration by looking for what the person waited for, and gives what another action
    made appear (a menu, a frame) a moment to appear again.

    A wait lasts at most the recorded seconds and `longer` more. missing: what the last wait was for and did not come;
    "" where it came, or where the wait was not for the next target. moved: the targets are searched for, so they may
    stand elsewhere. names: of the target of each step. checks: texts that must be on the screen (see `unmet`). present:
    says whether the target of a step is there, on a screen that knows its targets; whoever asks then waits for them
    before each action, so that a wait is over when its target is there and nothing is missed. extra: the next action,
    where it is none of the recorded ones.
    """

    def __init__(
        self,
        inner: Environment,
        frames: Sequence[Frame],
        moved: bool,
        longer: float,
        names: Sequence[str] = (),
        checks: Sequence[Check] = (),
        stop: Interrupt | None = None,
        present: Callable[[int], bool] | None = None,
    ) -> None:
        super().__init__(inner)
        self.missing = ""
        self.extra: Action | None = None
        self.present = present
        self._checks, self._stop = checks, stop or Stop()
        self._frames, self._moved, self._longer, self._names = frames, moved, longer, names
        self._elements = ability(inner, Elements)
        self._done = 0  # actions so far

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        index, self.missing = self._done, ""
        if self.extra is not None and action == self.extra:
            self.extra = None
            return self.inner.execute(action, interrupt)
        if isinstance(action, Wait) and index < len(self._frames) and self._frames[index].action == action:
            done = self._wait(index, action, interrupt)
        else:
            done = self.inner.execute(action, interrupt)
            if index + 1 < len(self._frames) and self.present is None:
                self._appear(index, interrupt)
        self._done += 1
        return done

    def unmet(self, index: int, now: Observation) -> tuple[str, Observation]:
        """Return which text must be on the screen after `index` steps and is not, "" if none, and the screen as it is.

        Each is waited for `longer` seconds. Raises Stopped: the person wants to stop.
        """
        began = time.monotonic()
        for check in [check for check in self._checks if check.step == index]:
            while True:
                try:
                    if self._shows(check, now):
                        break
                except Unavailable as error:
                    return f"{check.text!r} must be on the screen now, and it cannot be read: {error}", now
                if time.monotonic() - began >= self._longer:
                    return f"{check.text!r} must be on the screen now, and it is not", now
                self._stop.check()
                time.sleep(POLL)
                now = self.inner.observe()
        return "", now

    def _shows(self, check: Check, now: Observation) -> bool:
        """Whether a text is on the screen: on the page, else in the observation's text, else in the pixels."""
        page, text = ability(self.inner, Paged), check.text
        if page is not None and now.text is None:
            selector = f"internal:text={json.dumps(text, ensure_ascii=False)}i"
            return Selector(selector, page).check(now, None).success is True
        if now.text is None:
            from showonce.environments.wrappers.perceive import read, read_around, tessdata

            tessdata()
            left, top, right, bottom = check.region
            lines = (*read_around(now, (left + right) / 2, (top + bottom) / 2), *read(now))
            now = replace(now, text="\n".join(line.name for line in lines))
        return Text(text).check(now, None).success is True

    def _appear(self, index: int, interrupt: Interrupt) -> None:
        """Wait at most APPEARS seconds until the next target is there, if step `index` made it appear when recorded."""
        sign = _Sign(self._frames[index].observation, self._frames[index + 1], self._moved)
        end = time.monotonic() + APPEARS
        while sign.appeared and time.monotonic() < end and not sign.there(self.inner.observe()):
            interrupt.check()
            time.sleep(POLL)

    def _wait(self, index: int, action: Wait, interrupt: Interrupt) -> Executed:
        later = range(index + 1, len(self._frames))
        after = next((at for at in later if not isinstance(self._frames[at].action, Wait)), None)
        if after is None:
            return self.inner.execute(action, interrupt)
        sign = _Sign(self._frames[index].observation, self._frames[after], self._moved)
        began, before = time.monotonic(), self.present is not None and self.present(after)
        longer = 0.0 if self.present is not None else self._longer
        while True:
            interrupt.check()
            now = self.inner.observe()
            if sign.seen(now) or (self.present is not None and not before and self.present(after)):
                break
            if time.monotonic() - began >= action.seconds + (longer if sign.tells(now) else 0.0):
                if self.present is not None:
                    break
                name = self._names[after] if after < len(self._names) else ""
                if sign.missing(now) and not self._named(name, self._frames[after], now):
                    self.missing = f"{name or 'the target'} of step {after + 1} did not appear"
                break
            time.sleep(POLL)
        return Executed(action, f"waited {time.monotonic() - began:.1f} s")

    def _named(self, name: str, frame: Frame, now: Observation) -> bool:
        """Whether an element of the recorded name is on the screen; where targets do not move, at the same place."""
        if not name or self._elements is None:
            return False
        places = points(frame.action)
        found = find_named(name, places[0], self._elements.elements())
        near = patch_for(now.image)
        return found is not None and (
            self._moved
            or max(abs(found[0] - places[0][0]) * now.width, abs(found[1] - places[0][1]) * now.height) <= 2 * near
        )


class _Sign:
    """By what one sees that a wait is over. before, after: the frames between which the person waited.

    Pixels that were or are blanked as secret do not count.
    """

    def __init__(self, before: Observation, after: Frame, moved: bool) -> None:
        self._before, self._after, self._moved = before, after, moved
        self._places = points(after.action)
        hidden = (*before.masked, *after.observation.masked)
        was, then = redact(before, hidden).image, redact(after.observation, hidden).image
        self._changed = off(was, then) if was.shape == then.shape else np.ones(then.shape[:2], bool)
        around = self._around()
        self._was = self._likeness(before)  # of the target, before the wait
        if moved:
            self._for_target = bool(self._places) and self._was < LIKELY
        else:
            self._for_target = bool(around.any()) and self._changed[around].mean() >= FEW
        self._where = self._changed & around if self._for_target and not moved else self._changed

    @property
    def appeared(self) -> bool:
        """Whether the next target was not there before; a highlight keeps its likeness, so it does not count."""
        return bool(self._places) and self._was < LIKELY

    def there(self, now: Observation) -> bool:
        """Whether the next target is on a screen."""
        return self._likeness(now) >= LIKELY

    def tells(self, now: Observation) -> bool:
        """Whether one can see on this screen that the wait is not over; else only the recorded seconds count."""
        by_likeness = self._for_target and (self._moved or self._was < UNLIKE)
        return by_likeness or (now.image.shape == self._after.observation.image.shape and bool(self._where.any()))

    def seen(self, now: Observation) -> bool:
        """Whether what the person waited for is on the screen."""
        if self._for_target and (self._moved or self._was < UNLIKE) and self._likeness(now) >= LIKELY:
            return True
        if self._moved and self._for_target:
            return False
        then, image = self._alike(now)
        if then.shape != image.shape:
            return False
        differs = off(then, image)
        if not self._where.any():  # nothing changed: the wait is over where the screen is as it was then
            return bool(differs.mean() <= FEW)
        return bool(1 - differs[self._where].mean() >= MOST)

    def missing(self, now: Observation) -> bool:
        """Whether the person waited for the next target, and it is not there."""
        if not self._for_target:
            return False
        likeness = self._likeness(now)
        if likeness >= CAME and self._was < UNLIKE:
            return False
        if self._moved or likeness < UNLIKE:
            return likeness < CAME
        before = redact(self._before, now.masked).image
        image = redact(now, self._before.masked).image
        return before.shape == image.shape and bool(1 - off(before, image)[self._where].mean() >= MOST)

    def _alike(self, now: Observation) -> tuple[Image, Image]:
        then = self._after.observation
        return redact(then, now.masked).image, redact(now, then.masked).image

    def _around(self) -> NDArray[np.bool_]:
        """Return the squares around the targets of the next action: (H, W)."""
        image = self._after.observation.image
        around = np.zeros(image.shape[:2], bool)
        half = patch_for(image)
        for x, y in self._places:
            row, column = to_pixel(y, image.shape[0]), to_pixel(x, image.shape[1])
            around[max(0, row - half) : row + half, max(0, column - half) : column + half] = True
        return around

    def _likeness(self, now: Observation) -> float:
        """Return how sure the next targets are on a screen, by correlation in [-1, 1]; 1 for an action without one."""
        shown, image = self._after.observation.image, now.image
        patch = patch_for(image)
        if self._moved:
            return min((find_target(shown, at, image, patch)[1] for at in self._places), default=1.0)
        return min((stays(shown, at, image) or 0.0 for at in self._places), default=1.0)
