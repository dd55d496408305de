"""Splitting the wall time of a step into named parts; what belongs to none is the runtime's own overhead."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

PARTS: Final = ("observe", "model", "parse", "execute")


class Stopwatch:
    """Laps follow each other without gaps, so work done after a lap is the next lap's."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of this block as `name`, not as overhead."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - start) * 1e3)

    def add(self, name: str, ms: float) -> None:
        """Count `ms` as `name`; negative takes away again."""
        self._parts[name] = self._parts.get(name, 0.0) + ms

    def ms(self, name: str) -> float:
        """Return what was counted as `name` in this lap."""
        return self._parts.get(name, 0.0)

    def lap(self) -> dict[str, float]:
        """End the lap: ms by part, always with observe, model, parse, execute and overhead."""
        now = time.perf_counter()
        parts = {**dict.fromkeys(PARTS, 0.0), **self._parts}
        parts["overhead"] = max(0.0, (now - self._since) * 1e3 - sum(self._parts.values()))
        self._parts, self._since = {}, now
        return parts
