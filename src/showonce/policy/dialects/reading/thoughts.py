"""Find the part of a model's text that is its answer; everything that only reasons is its thought. Never raises.

Thoughts are marked in two ways. Tags (``<think>``, ``<thinking>``, ``[THINK]``, ...) nest; a closing tag without an
opening one makes a thought of all text before it, an opening tag without a closing one leaves no answer. A tag inside
a proper JSON object of the answer is a text that somebody wants typed, and marks nothing. Labels (``Thought:``,
``Action:``) begin a line outside of every object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from showonce.policy.dialects.reading.reader import Found, read_objects

_NAMES: Final = "think|thinking|thoughts?|reasoning|reason|reflection|analysis|scratchpad"
_TAG: Final = re.compile(
    rf"(?:<|\[|◁)\s*+(?P<close>/)?+\s*+(?:\w++:)?+(?:{_NAMES})(?:\s[^<>\]▷]{{0,80}}+)?(?<!/)(?:>|\]|▷)"
    r"|<\|channel\|>(?:analysis|(?P<channel>final|commentary))\b|<\|(?:(?P<end>end)|begin)_of_thought\|>",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(
    r"^[ \t]*+(?:[*_#>-]++[ \t]*+)*+(?:(?:my|the|next|final|correct|corrected)[ \t]++)*+(?:"
    r"(?P<answer>actions?(?:[ \t]input)?|answer|output|response|decision|command|final|(?:tool|function)[ _]?call)|"
    r"(?P<seen>observations?)|"
    r"thoughts?|thinking|reasoning|reason|rationale|analysis|reflection|plan|explanation|considered|critique)"
    r"[ \t]*+(?:[*_]++[ \t]*+)?+[:\uff1a](?:[ \t]*+[*_]++)?+",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Answer:
    """The span [start, end) of a text that may be acted on, and the rest of it that is marked as thought.

    open: the text ends inside a thought, so that it holds no answer. musing: the span stands under a label for
    thoughts and nothing is labelled as the answer; an action within a sentence of it is only talked about.
    """

    start: int
    end: int
    thought: str = ""
    open: bool = False
    musing: bool = False


def find_answer(text: str) -> Answer:
    """Return the last part of `text` that is not blank and no thought."""
    answer = _outside_tags(text) if _TAG.search(text) else Answer(0, len(text))
    return answer if answer.open else _under_label(text, answer)


def _outside_tags(text: str) -> Answer:
    strict = [(item.start, item.end) for item in read_objects(text) if isinstance(item, Found) and item.strict]
    spans: list[tuple[int, int]] = []  # of what is no thought
    start = depth = at = 0
    for tag in _TAG.finditer(text):
        while at < len(strict) and strict[at][1] <= tag.start():
            at += 1
        if not depth and at < len(strict) and start <= strict[at][0] < tag.start():
            continue
        if not any(tag.group("close", "channel", "end")):
            if not depth:
                spans.append((start, tag.start()))
            depth += 1
            continue
        if not depth:
            spans.clear()
        depth = max(depth - 1, 0)
        start = tag.end()
    if depth:
        return Answer(len(text), len(text), _plain(text), open=True)
    spans.append((start, len(text)))
    start, end = next((span for span in reversed(spans) if text[slice(*span)].strip()), spans[-1])
    return Answer(start, end, _joined(text[:start], text[end:]))


def _under_label(text: str, answer: Answer) -> Answer:
    """Narrow an answer to what stands under its last label for answers.

    From a label for observations on, after an answer, a model invents what it will see; that is ignored.
    """
    labels = list(_LABEL.finditer(text, answer.start, answer.end))
    if not labels:
        return answer
    objects = [(i.start, i.end) for i in read_objects(text[: answer.end], answer.start) if isinstance(i, Found)]
    start, end, at, first = -1, answer.end, 0, -1
    for label in labels:
        while at < len(objects) and objects[at][1] <= label.start():
            at += 1
        if at < len(objects) and objects[at][0] < label.start():
            continue
        if label["answer"]:
            start, end = label.end(), answer.end
        elif start >= 0:
            end = min(end, label.start())
            if label["seen"] and text[start:end].strip():
                break
        elif first < 0:
            first = label.start()
    if start >= 0:
        return Answer(start, end, _joined(answer.thought, text[answer.start : start], text[end : answer.end]))
    if first < 0:
        return answer
    if "{" in text[answer.start : first]:
        return Answer(answer.start, first, _joined(answer.thought, text[first : answer.end]))
    return Answer(answer.start, answer.end, answer.thought, musing=True)


def _joined(*parts: str) -> str:
    return "\n".join(plain for part in parts if (plain := _plain(part)))


def _plain(part: str) -> str:
    """Return a thought without its tags and labels."""
    return _LABEL.sub("", _TAG.sub("", part)).strip() if part.strip() else ""
