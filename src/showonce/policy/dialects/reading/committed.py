"""Among the actions that an answer names, find the one that it commits to.

Every action stands in one of two ways: on lines of its own (nothing but fences, tags, list marks or other actions
beside it), or in a sentence. The rule:

1. Actions that follow one another without a word between them, or with a word that orders them (``then``, ``2.``), are
   a plan. The first of a plan is the one to do now: the screen is looked at again after it.
2. Of several plans the last counts, since what came before it was reconsidered. Plans on lines of their own go before
   those in sentences, which may talk of an action that was rejected.
3. An action on a line of its own followed by another one in the sentence that ends the answer is ambiguous: it may be
   corrected or only be explained there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_MARKUP: Final = re.compile(r"<[^<>\n]{1,60}>|```\w*|^[ \t]*+(?:[-*]|\(?[0-9]{1,2}[.)])[ \t]", re.MULTILINE)
_WORD: Final = re.compile(r"\w")
_ORDERED: Final = re.compile(
    r"[\s,.;`)\]*]*+(?:and[ ,]+)?"
    r"(?:(?:then|after (?:that|this)|afterwards|followed by|step [0-9])\b|[-(]?[0-9]{1,2}[.):])",
    re.IGNORECASE,
)
_CORRECTED: Final = re.compile(
    r"\b(?:no|not|wrong|instead|actually|wait|but|correct(?:ed|ion)?|rather|better|hmm|however|oops|sorry)\b|n't",
    re.IGNORECASE,
)


@dataclass
class _Plan:
    """acts: indices of actions, in order. alone: they stand on lines of their own."""

    acts: list[int]
    alone: bool


@dataclass(frozen=True)
class Choice:
    """plan: indices of the actions that are committed to, first to be done first. rival: one that may correct them."""

    plan: Sequence[int]
    rival: int | None = None


def choose(text: str, spans: Sequence[tuple[int, int]], start: int, end: int, musing: bool = False) -> Choice:
    """Choose among actions by their places (start, end), in order, within text[start:end].

    Args:
        musing: the text reasons; an action in a sentence counts only where it ends the text.

    Returns:
        The choice; an empty plan where every action is only talked about.
    """
    edges = [(0, start), *spans, (end, end)]
    gaps = [_MARKUP.sub(" ", text[a:b]) if a < b else "" for (_, a), (b, _) in pairwise(edges)]
    ends_text = not _WORD.search(gaps[-1])
    alone = _alone(gaps)
    plans = [_Plan([0], alone[0])]
    for i in range(1, len(spans)):
        if alone[i] == alone[i - 1] and _follows(gaps[i], text[max(spans[i - 1][1], 0) : spans[i][0]]):
            plans[-1].acts.append(i)
        else:
            plans.append(_Plan([i], alone[i]))
    committed = [plan for plan in plans if plan.alone]
    if committed:
        rival = plans[-1].acts[0] if ends_text and not plans[-1].alone else None
        return Choice(committed[-1].acts, rival)
    return Choice(plans[-1].acts if ends_text or not musing else ())


def _follows(gap: str, raw: str) -> bool:
    return not _WORD.search(gap) or (bool(_ORDERED.match(raw)) and not _CORRECTED.search(raw))


def _alone(gaps: Sequence[str]) -> list[bool]:
    """Return for each action, given the texts before, between and after, whether no word shares its lines."""
    count = len(gaps) - 1
    before, after = [False] * count, [False] * count
    for i in range(count):
        line, broken = gaps[i].rpartition("\n")[2], "\n" in gaps[i]
        before[i] = bool(_WORD.search(line)) or (not broken and i > 0 and before[i - 1])
    for i in reversed(range(count)):
        line, broken = gaps[i + 1].partition("\n")[0], "\n" in gaps[i + 1]
        after[i] = bool(_WORD.search(line)) or (not broken and i + 1 < count and after[i + 1])
    return [not (b or a) for b, a in zip(before, after, strict=True)]
