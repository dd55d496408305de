"""Maps the clocks of documents, the browser and X servers to Python's monotonic clock, on which all recordings are.

A document has a clock of its own: seconds since its start, which the page cannot change where the recorder's hook runs.
An X server has one, too: milliseconds since its own start, mostly.
The wall clock may be set, and its jumps must not move anything: it is only used for the age, below `MOST_AGE`, of a
frame that has just arrived.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

MOST_AGE: Final = 2.0  # seconds from a frame's time stamp until it arrives, at most; stamps outside are not believed
TOLERANCE: Final = 0.05  # seconds by which a stamp may lie in the future
STEP: Final = 1.0  # seconds; a smaller step of the wall clock, or a shorter sleep, is not told
STALL: Final = 5.0  # seconds between two looks at the clocks, after which the time between counts as no waiting


def since_boot() -> float | None:
    """Return the seconds since the start of the system with those that it slept; None where there is no such clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime(clock)


class OtherClock:
    """The clock of a document or an X server: `offset`, added to its time, gives Python's, within `error` seconds.

    Python's time of an answer's content lies between question and answer; each answer narrows the interval. An interval
    that does not meet the known one replaces it: the clock has jumped.
    """

    def __init__(self) -> None:
        self._low, self._high = -math.inf, math.inf

    def measure(self, asked: float, other: float, answered: float) -> None:
        """Take that the other clock showed `other` between the Python times `asked` and `answered`."""
        low, high = asked - other, answered - other
        if low > self._high or high < self._low:
            self._low, self._high = low, high
        else:
            self._low, self._high = max(low, self._low), min(high, self._high)

    def arrived(self, other: float, now: float) -> None:
        """Take that a message which was sent at `other` has arrived at the Python time `now`.

        It was under way for less than STALL seconds; otherwise Python's clock has jumped.
        """
        if now - other > self._high + STALL:
            self._low, self._high = -math.inf, now - other
        else:
            self.measure(-math.inf, other, now)

    @property
    def error(self) -> float:
        return (self._high - self._low) / 2

    @property
    def offset(self) -> float:
        return (self._low + self._high) / 2 if self._low > -math.inf else self._high

    def to_python(self, other: float) -> float:
        return other + self.offset


class MachineClock:
    """Python's clocks, and what happens to them. The arguments are the only place where they are read.

    boot: monotonic seconds that go on while the machine sleeps, None where the system does not tell them.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], float | None] = since_boot,
    ) -> None:
        self.now, self._wall, self._boot = monotonic, wall, boot
        self._seen = self._look()
        self._before = self._seen[1]  # the wall clock minus the monotonic one before its last step

    def _look(self) -> tuple[float, float, float | None]:
        """Return the monotonic time, and how far the wall clock and the one that never sleeps are ahead of it."""
        now, boot = self.now(), self._boot()
        return now, self._wall() - now, None if boot is None else boot - now

    def of_wall(self, stamp: float) -> float:
        """Return the monotonic time of a wall-clock stamp of a moment ago; now, when it cannot be that."""
        now = self.now()
        for ahead in (self._wall() - now, self._before):
            age = now + ahead - stamp
            if -TOLERANCE <= age <= MOST_AGE:
                return now - max(age, 0.0)
        return now

    def changes(self) -> tuple[str, bool]:
        """Return what happened since the last call, as a sentence or "", and whether the monotonic clock jumped."""
        (then, ahead, awake), (now, further, woken) = self._seen, self._look()
        self._seen = now, further, woken
        asleep = 0.0 if awake is None or woken is None else woken - awake
        stepped = further - ahead - asleep
        said = []
        if asleep > STEP:
            said.append(f"the computer slept for {_span(asleep)}")
        if abs(stepped) > STEP:
            self._before = ahead
            way = "forward" if stepped > 0 else "back"
            slept = ", or the computer slept" if awake is None and stepped > 0 else ""
            said.append(f"the computer's clock was set {way} by {_span(abs(stepped))}{slept}")
        text = " and ".join(said)
        return (f"{text}; this changes nothing in the recording" if text else ""), now - then > STALL


def _span(seconds: float) -> str:
    for size, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 0.995 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"
