"""Refused candidates of one lesson, counted: when to doubt what they were made from, and when to stop learning it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

SECTION: Final = "trouble"  # of the store's ledger: it outlives a restart
DOUBTED: Final = 2  # refusals after which their sources are put aside and the champion is in doubt
SUSPENDED: Final = 3  # and after which nothing more is learned in this run


@dataclass(frozen=True)
class Trouble:
    """Refusals in one lesson of one run, what the candidates were made from, and the version gone back to since.

    They are not forgotten when a candidate passes in between: a slow poison passes in small doses. A healthy lesson
    that is known meets one refusal at most (docs/LOG.md).
    """

    run: str = ""
    task: str = ""
    refused: int = 0
    doubted: Sequence[str] = ()
    proven: str = ""

    def plus(self, sources: Iterable[str]) -> Trouble:
        """Return it with one more refusal, of a candidate that was made from `sources`."""
        return replace(self, refused=self.refused + 1, doubted=sorted({*self.doubted, *sources}))

    @property
    def doubts(self) -> bool:
        """Whether the sources are to be put aside, and the champion to make room for a proven version."""
        return self.refused >= DOUBTED

    @property
    def suspends(self) -> bool:
        """Whether nothing more may be learned."""
        return self.refused >= SUSPENDED
