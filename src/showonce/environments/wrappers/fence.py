"""A fence: refuses actions outside of the allowed region, pages, windows and applications.

The safety rules of a run's episodes refuse them earlier. The fence also holds where no safety rules run: measuring,
showing, recording and replaying.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from showonce.actions import Action, Ask, Done, Open, Wait, points
from showonce.config import SafetyConfig
from showonce.environments.wrappers.addresses import allowed
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import BadInput
from showonce.protocols import Environment, Facts, Interrupt, ability
from showonce.types import Executed, Region, ScreenFacts


class Fenced(Wrapper):
    """An environment whose `execute` refuses what `rules` forbid.

    Raises:
        BadInput: by `execute`; nothing was done.
    """

    def __init__(self, inner: Environment, rules: SafetyConfig) -> None:
        super().__init__(inner)
        self._rules, self._facts = rules, ability(inner, Facts)

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        facts = None if self._facts is None else self._facts.facts(points(action))
        if why := forbidden(action, facts, self._rules):
            raise BadInput(why)
        return self.inner.execute(action, interrupt)


TOUCHES_NOTHING: Final = (Wait, Done, Ask)  # actions that send no input to the screen


def forbidden(action: Action, facts: ScreenFacts | None, rules: SafetyConfig) -> str:
    """Return why an action may not go where it goes (region, page, window, application), or ""."""
    if isinstance(action, TOUCHES_NOTHING):
        return ""
    for place in points(action):
        if not inside(place, rules.region):
            return f"safety.region: {place} lies outside of {rules.region}"
    if isinstance(action, Open):
        return _forbidden_target(action.target, rules)
    known = facts or ScreenFacts()
    if rules.urls and (known.url is None or not allowed(known.url, rules.urls)):
        return _not_allowed("urls", "the address of the page", known.url)
    for key, what, value in (
        ("titles", "the title of the window", known.title),
        ("applications", "the application", known.application),
    ):
        patterns: tuple[str, ...] = getattr(rules, key)
        if patterns and (value is None or not _any_glob(value, patterns)):
            return _not_allowed(key, what, value)
    return ""


def _forbidden_target(target: str, rules: SafetyConfig) -> str:
    """Say why something may not be opened: it has to be an allowed page or an allowed application."""
    if not (rules.urls or rules.applications):
        return ""
    page = any(allowed(url, rules.urls) for url in (target, f"https://{target}", f"http://{target}"))
    if page or _any_glob(target, rules.applications):
        return ""
    return f"{target!r} is neither in safety.urls nor in safety.applications"


def _not_allowed(key: str, what: str, value: str | None) -> str:
    if value is None:
        return f"safety.{key}: {what} is not known here; leave safety.{key} empty, or use an environment that tells it"
    return f"safety.{key}: {what}, {value!r}, is not an allowed one"


def inside(place: tuple[float, float], region: Region) -> bool:
    """Whether a place (x, y) lies within a region; both are fractions of the frame, borders count as inside."""
    left, top, right, bottom = region
    return left <= place[0] <= right and top <= place[1] <= bottom


def _any_glob(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text.casefold(), pattern.casefold()) for pattern in patterns)
