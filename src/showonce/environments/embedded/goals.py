"""Draws a screen for a free goal of the goal language (``fill name sun``)."""

from __future__ import annotations

import random
from collections.abc import Callable

from showonce.environments.embedded.families import FAMILIES, Problem, build_program
from showonce.environments.embedded.language import COLOURS, LABELS, apps, program_phrases
from showonce.errors import TaskError, nearest

_BY_WORD = {
    "context": "context_menu", "fill": "fill_field", "form": "form", "check": "checkboxes", "drag": "drag",
    "set": "slider", "find": "scroll", "pick": "menu", "wait": "wait", "colour": "answer", "count": "count",
    "open": "open", "ask": "ask",
}  # fmt: skip
_TRIES = 20_000


def problem_for_goal(goal: str, rng: random.Random) -> Problem:
    """Return a problem whose goal text is `goal`: an app's word, a program phrase, or a skill's goal.

    Raises:
        TaskError: the goal is not in the goal language; the nearest beginning is named.
    """
    words = tuple(goal.split())
    for app in apps().values():
        if words == (app.word,):
            return build_program(rng, goal, app.program)
    family = _family(words)
    if family is None:
        known = (*_BY_WORD, "click", "double_click", "right_click", "move", "type", "press")
        first = words[0] if words else ""
        raise TaskError(f"the embedded world does not understand the goal {goal!r}.{nearest(first, known)}")
    if family == "":
        return build_program(rng, goal, (words,))
    return _search(FAMILIES[family], goal, rng)


def _family(words: tuple[str, ...]) -> str | None:
    """Return the family whose goals begin so, "" for a one-phrase program, None for neither."""
    if words in program_phrases():
        return ""
    if words[:1] == ("click",) and len(words) == 2:
        return "click_colour" if words[1] in COLOURS else ("click_label" if words[1] in LABELS else None)
    return _BY_WORD.get(words[0]) if words else None


def _search(build: Callable[[random.Random], Problem], goal: str, rng: random.Random) -> Problem:
    """Draw problems of a family until one has the wanted goal; builders draw the goal first, so this is quick."""
    for _ in range(_TRIES):
        state = rng.getrandbits(64)
        problem = build(random.Random(state))
        if problem.goal == goal:
            return problem
    raise TaskError(f"no screen was found for the goal {goal!r}; check its words (see showonce run --help).")
