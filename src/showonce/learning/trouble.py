"""Refused candidates of one lesson, counted: when to doubt what they were made from, and when to stop learning it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

SECTION: Final = "trouble"  # of the store's ledger: it outlives a restart
DOUBTED: Final = 2  # refusals after which their sources are put aside
SUSPENDED: Final = 3  # and after which nothing more is learned in this run


@dataclass(frozen=True)
class Trouble:
    """Refusals in one lesson of one run, what the candidates were made from, and who acted when the first was refused.

    They are not forgotten when a candidate passes in between: a slow poison passes in small doses. A healthy lesson
    that is known meets one refusal at most (docs/LOG.md).
    """

    run: str = ""
    task: str = ""
    refused: int = 0
    doubted: Sequence[str] = ()
    champion: str = ""

    def plus(self, champion: str, sources: Iterable[str]) -> Trouble:
        """Return it with one more refusal, under this champion, of a candidate that was made from `sources`."""
        doubted = sorted({*self.doubted, *sources})
        return replace(self, refused=self.refused + 1, doubted=doubted, champion=self.champion or champion)

    @property
    def doubts(self) -> bool:
        """Whether the sources are to be put aside."""
        return self.refused >= DOUBTED

    @property
    def suspends(self) -> bool:
        """Whether nothing more may be learned."""
        return self.refused >= SUSPENDED

    def involves(self, champion: str) -> bool:
        """Whether the champion itself is in doubt: it came between two refusals, or learning is suspended."""
        return self.suspends or (self.doubts and champion != self.champion)
