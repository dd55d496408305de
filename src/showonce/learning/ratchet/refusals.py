"""Counts the refused candidates of one lesson, to end its learning after `MAX_REFUSED` of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

SECTION: Final = "trouble"  # section of the store's ledger, so that the count outlives a restart
MAX_REFUSED: Final = 2  # refusals after which the lesson learns nothing more


@dataclass(frozen=True)
class RefusedCandidates:
    """How many candidates were refused in one lesson of one run. doubted: refs of what they were made from.

    A promotion in between does not reset the count, since a slow poison passes in small doses. A healthy lesson that
    the champion knows has one refusal at most (measured, docs/LOG.md).
    """

    run: str = ""
    task: str = ""
    refused: int = 0
    doubted: Sequence[str] = ()

    def plus(self, sources: Iterable[str]) -> RefusedCandidates:
        """Return the count after one more refused candidate, which was made from `sources`."""
        return replace(self, refused=self.refused + 1, doubted=sorted({*self.doubted, *sources}))

    @property
    def suspends(self) -> bool:
        """Whether nothing more may be learned in this lesson."""
        return self.refused >= MAX_REFUSED
