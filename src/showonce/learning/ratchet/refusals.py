"""Refused candidates of one lesson, counted: when to stop learning it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

SECTION: Final = "trouble"  # of the store's ledger: it outlives a restart
MAX_REFUSED: Final = 2  # refusals after which the lesson learns nothing more


@dataclass(frozen=True)
class RefusedCandidates:
    """Refusals in one lesson of one run, and what the candidates were made from.

    They are not forgotten when a candidate passes in between: a slow poison passes in small doses. A healthy lesson
    that is known meets one refusal at most (docs/LOG.md).
    """

    run: str = ""
    task: str = ""
    refused: int = 0
    doubted: Sequence[str] = ()

    def plus(self, sources: Iterable[str]) -> RefusedCandidates:
        """Return it with one more refusal, of a candidate that was made from `sources`."""
        return replace(self, refused=self.refused + 1, doubted=sorted({*self.doubted, *sources}))

    @property
    def suspends(self) -> bool:
        """Whether nothing more may be learned: sources are put aside, the champion makes room for a proven version."""
        return self.refused >= MAX_REFUSED
