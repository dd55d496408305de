"""The time that counts in an episode and in a step: waiting on purpose is left out.

Not counted: a person is asked, the run is paused, the rate limit or a back-off makes it wait.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from showonce.errors import Stopped
from showonce.protocols import Interrupt
from showonce.runtime.pause import held_by
from showonce.runtime.stop import Stop

SLICE_SECONDS: Final = 0.05  # a long wait looks at the stop this often


class Clock:
    """Also the interrupt that an environment is given: it stops where the stop stops, and when the step is too late.

    step_seconds: limit of one step (0 = none). expired: whether a step ran out of time. watch: of the stop, where it
    has one, so that an environment that sees a stop chord can tie it to the run's own stop.
    """

    def __init__(self, stop: Interrupt, step_seconds: float = 0.0) -> None:
        self.expired = False
        self._stop = stop
        if isinstance(stop, Stop):
            self.watch = stop.watch
        self._limit = step_seconds
        self._uncounted = 0.0
        self._began = self._step = self.counted

    @property
    def now(self) -> float:
        """Seconds of the system's monotonic clock: the same for all episodes."""
        return time.monotonic()

    @property
    def waited(self) -> float:
        """Seconds so far in which the episode waited: for a person, a pause, the rate limit or a back-off."""
        return self._uncounted + held_by(self._stop)

    @property
    def counted(self) -> float:
        """Monotonic seconds minus the time spent waiting (`waited`)."""
        return self.now - self.waited

    @property
    def seconds(self) -> float:
        """Counted seconds since the episode began."""
        return self.counted - self._began

    def begin(self) -> None:
        """The episode begins."""
        self._began = self._step = self.counted

    def begin_step(self) -> None:
        """A step begins."""
        self._step = self.counted

    @contextlib.contextmanager
    def uncounted(self) -> Iterator[None]:
        """Leave the time of this block out."""
        since, held = self.now, held_by(self._stop)
        try:
            yield
        finally:
            self._uncounted += self.now - since - (held_by(self._stop) - held)

    def check(self) -> None:
        """Raise `Stopped` when stop was pressed or the step is too late; wait while the run is paused."""
        self._stop.check()
        if self._limit and self.counted - self._step > self._limit:
            self.expired = True
            raise Stopped(f"limits.step_seconds: the step took longer than {self._limit:g} s.")

    def hold_until(self, moment: float) -> None:
        """Wait until `now` is `moment`, uncounted. Raises `Stopped` when stop is pressed meanwhile."""
        with self.uncounted():
            while (left := moment - self.now) > 0:
                self._stop.check()
                time.sleep(min(left, SLICE_SECONDS))
