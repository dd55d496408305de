"""Find a recorded thing among those that are on the screen now, and say whether that is sure. Pure.

What is compared, in this order of weight: the name; what stands around it (`Element.near`) and what its document calls
it (`Element.attributes`); the role; its text; its page. The place on the screen is not compared, for a banner or
another width moves everything. The value of a comparison is a mean over the parts that both sides have, in [0, 1]. The
value only ranks. Whether a candidate may be taken at all is decided by rules, since a sum lets many small agreements
outweigh the one difference that matters (another customer's row):

- it shows every text of `Element.bound` that the recorded one showed;
- its role is of the same kind;
- the same name, and what stood nearest to the recorded one stands near it, too, or an attribute that one thing has
  alone agrees. On another page all that stood around it has to; where several have the name, one with nothing near it
  is not one with something near it;
- or another name, and the role, what stands around it and a strong attribute agree, and nothing else on the screen has
  the recorded name (a renamed button). The new name must not say more than the old one: `RISKY`.

A strong attribute is an id, a name, a test id, where a link leads or the form that a button alone sends, without those
that a program numbered. Of two that may be taken the better one has to be better by `MARGIN`; else nothing is sure,
however much both are alike.

`MARGIN` and `POSSIBLE` were read from curves of `benchmarks/targets.py`: 20 pages (a customer database, plain forms and
lists, pages made of alike rows, cards, fields and links), each described before and after eight changes (theme, width,
banner, order, names, ids, rows, four at once); every thing was looked for on each later form of its page and, where it
is not, on all other pages, 7086 searches. MARGIN from 0.01 to 0.06: none sure and wrong; of those that are there 96 %
found right, the rest in doubt. 0: 44 wrong, all between things alike in everything. From 0.08 on boxes of neighbouring
cells of a table come in doubt (93 %, at 0.1 88 %). POSSIBLE up to 0.6: nothing there is called absent; from 0.65
on 2 are; the lower it is, the more of the 4812 that are not there are told as what may be meant: 262 at 0.55, 1833 at
0.35. The changes of one page are not independent pages; the rules were mended on these pages, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final, Literal
from urllib.parse import urlsplit

from showonce.runtime.safety import RISKY, find_word
from showonce.types import Element

WEIGHTS: Final = {"name": 0.35, "near": 0.2, "attributes": 0.2, "role": 0.15, "text": 0.05, "page": 0.05}
MARGIN: Final = 0.04  # by which the best of those that may be taken has to be better than the second
POSSIBLE: Final = 0.55  # value from which on a thing that must not be taken is named as what may be meant
SIMILAR: Final = 0.6  # share of common parts from which on two texts may be meant for one
NUMBERS: Final = 0.5  # likeness of two texts that differ in numbers only
ALIKE: Final = 0.9  # likeness of two texts from which on they say the same
STRONG: Final = ("id", "name", "data-testid", "data-test", "data-cy", "data-qa", "href", "submits")
NUMBERED: Final = re.compile(r"\d{2,}|^:r|[0-9a-f]{6,}", re.IGNORECASE)  # an id that a program made
_KINDS: Final = (
    ("button", "link", "menuitem", "tab", "treeitem", "option", "row", "img", "summary"),
    ("textbox", "searchbox", "combobox", "spinbutton", "listbox"),
    ("checkbox", "switch", "radio", "menuitemcheckbox", "menuitemradio"),
)
Verdict = Literal["sure", "unsure", "absent"]


@dataclass(frozen=True)
class Score:
    """How alike a recorded thing and a candidate are.

    value: in [0, 1]. parts: the same of each part that both have. against: why it must not be taken for the recorded
    one, clauses; empty = it may. strong: attributes that agree and that a program did not number. renamed: it may be
    taken although it has another name.
    """

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    against: tuple[str, ...] = ()
    strong: tuple[str, ...] = ()
    renamed: bool = False


@dataclass(frozen=True)
class Found:
    """What stands for a recorded thing on this screen.

    element: the best candidate; None where nothing is like it. margin: by how much its score is above that of the
    second best (1 where it is alone). why: one clause, why it is not sure; "" where it is. rivals: those between which
    nothing decides.
    """

    element: Element | None
    verdict: Verdict
    score: Score = Score(0.0)
    margin: float = 1.0
    why: str = ""
    rivals: tuple[Element, ...] = ()


def plain(text: str) -> str:
    """Return a text as it is compared: case, blanks, marks at its ends and counters in brackets do not count."""
    text = re.sub(r"[(\[]\d+\+?[)\]]", " ", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.split()).strip(" :*.…!?>‹›«»→")


def ratio(one: str, other: str) -> float:
    """Return the share of common parts of two texts, in [0, 1] (Ratcliff and Obershelp)."""
    return SequenceMatcher(None, plain(one), plain(other), autojunk=False).ratio()


def likeness(one: str, other: str) -> float:
    """Return how alike two texts are: 1 the same, 0.5 the same but for numbers, below that by their common parts.

    Two numbers without words are the same or they are not.
    """
    a, b = plain(one), plain(other)
    if a == b:
        return 1.0
    bare = re.sub(r"\d+", "#", a)
    if bare == re.sub(r"\d+", "#", b):
        return NUMBERS if re.search(r"[^\W\d_]", bare) else 0.0
    common = ratio(a, b)
    return NUMBERS * common if common >= SIMILAR else 0.0


def score(recorded: Element, candidate: Element) -> Score:
    """Compare a recorded thing with one that is on the screen. Pure; see the module's text."""
    strong, attributes = _attributes(recorded, candidate)
    nearest, near = _near(recorded, candidate)
    if near is None and bool(recorded.near) != bool(candidate.near) and (recorded.role or recorded.page):
        near = 0.0  # of one of two menus with the same links: only the other one has a heading
    named = likeness(recorded.name, candidate.name) if recorded.name and candidate.name else None
    parts = {
        "name": named if recorded.name or candidate.name else None,
        "near": near,
        "attributes": attributes,
        "role": _same_kind(recorded.role, candidate.role) if recorded.role or recorded.page else None,
        "text": likeness(recorded.text, candidate.text) if recorded.text and candidate.text else None,
        "page": _same_page(recorded.page, candidate.page),
    }
    if named is None and recorded.name:
        parts["name"] = 0.0
    known = {part: value for part, value in parts.items() if value is not None}
    value = sum(WEIGHTS[part] * known[part] for part in known) / sum(WEIGHTS[part] for part in known) if known else 0.0
    renamed = bool(recorded.name) and plain(recorded.name) != plain(candidate.name)
    against = _against(recorded, candidate, known, nearest, strong, renamed)
    return Score(value, known, tuple(against), strong, renamed and not against)


def find(recorded: Element, candidates: Sequence[Element]) -> Found:
    """Find a recorded thing among what is on the screen now; nothing is sure that two carry alike."""
    scored = sorted(((score(recorded, one), one) for one in candidates), key=lambda pair: -pair[0].value)
    may = [pair for pair in scored if not pair[0].against]
    same = [pair for pair in may if not pair[0].renamed]
    twins = [one for _, one in scored if recorded.name and plain(one.name) == plain(recorded.name)]
    if not same and may and twins:
        return Found(may[0][1], "unsure", may[0][0], 1.0, f"another thing is called {recorded.name!r}", tuple(twins))
    may = _nearer(recorded, same or may) if value_named(recorded) else same or may
    if not may:
        best, one = scored[0] if scored else (Score(0.0), None)
        why = "; ".join(best.against)
        if twins and plain(one.name if one else "") != plain(recorded.name):
            best, one = next(pair for pair in scored if plain(pair[1].name) == plain(recorded.name))
            why = "; ".join(best.against)
        if one is None or (best.value < POSSIBLE and not twins):
            return Found(None, "absent", best, 1.0, "nothing on the screen is like it")
        return Found(one, "unsure", best, 1.0, why)
    best, one = may[0]
    margin = best.value - may[1][0].value if len(may) > 1 else 1.0
    if margin >= MARGIN:
        return Found(one, "sure", best, margin)
    rivals = tuple(other for other_score, other in may if best.value - other_score.value < MARGIN)
    why = f"{len(rivals)} things are called {one.name!r}, and nothing around them tells which is meant"
    return Found(one, "unsure", best, margin, why, rivals)


def value_named(recorded: Element) -> bool:
    """Return whether the name of a recorded thing is, or holds, data that was put in (`Element.bound`)."""
    return any(plain(text) in plain(recorded.name) for text in recorded.bound)


def _nearer(recorded: Element, may: list[tuple[Score, Element]]) -> list[tuple[Score, Element]]:
    """Return those that share no less with what stood around a thing named by data than another one, which shares all
    of that and more: the entry under the same column head, not the one of another list on the page."""
    shared = [
        {text for text in recorded.near if any(likeness(text, other) >= ALIKE for other in one.near)} for _, one in may
    ]
    return [pair for pair, mine in zip(may, shared, strict=True) if not any(mine < other for other in shared)]


def same_thing(one: Element, other: Element) -> bool:
    """Return whether two descriptions made at nearly the same time are of one thing: its role and name, its place."""
    if (one.role, plain(one.name), one.page) != (other.role, plain(other.name), other.page):
        return False
    (left, top, right, bottom), (a, b, c, d) = one.box, other.box
    shared = max(0.0, min(right, c) - max(left, a)) * max(0.0, min(bottom, d) - max(top, b))
    smaller = min((right - left) * (bottom - top), (c - a) * (d - b))
    return shared >= 0.5 * smaller if smaller > 0 else one.box == other.box


def changes(recorded: Element, found: Element) -> tuple[str, ...]:
    """Return how a thing that was found differs from what was recorded, for a person; its place does not count."""
    told = []
    if plain(recorded.name) != plain(found.name):
        told.append(f"name {recorded.name!r} -> {found.name!r}")
    if recorded.role != found.role:
        told.append(f"role {recorded.role!r} -> {found.role!r}")
    for key in STRONG:
        was, now = recorded.attributes.get(key, ""), found.attributes.get(key, "")
        if was != now:
            told.append(f"{key} {was!r} -> {now!r}")
    if recorded.near[:1] and found.near[:1] and likeness(recorded.near[0], found.near[0]) < ALIKE:
        told.append(f"beside {recorded.near[0]!r} -> {found.near[0]!r}")
    return tuple(told)


def called(element: Element | None) -> str:
    """Return a thing in words: ``button 'Save' (New ticket)``."""
    if element is None:
        return "nothing that is known"
    where = f" ({', '.join(element.near[:2])})" if element.near else ""
    what = " ".join(filter(None, (element.role, repr(element.name) if element.name else "without a name")))
    return f"{what}{where}"


# ------------------------------------------------------------------------------------------ the parts


def _against(
    recorded: Element, candidate: Element, parts: Mapping[str, float], nearest: float | None,
    strong: Sequence[str], renamed: bool,
) -> list[str]:  # fmt: skip
    """Return why a candidate must not be taken for the recorded thing."""
    shown = " ".join(plain(text) for text in (candidate.name, candidate.text, candidate.value, *candidate.near))
    told = " ".join(plain(text) for text in (recorded.name, recorded.text, *recorded.near))
    bound = [text for text in recorded.bound if plain(text) in told]  # of what was chosen in it, not yet
    against = [f"{text!r} stands nowhere at it" for text in bound if plain(text) not in shown]
    if value_named(recorded) and recorded.role != candidate.role:  # a suggestion and a row's link may bear one name
        against.append(f"it is a {candidate.role or 'text'}, not a {recorded.role or 'text'}")
    elif parts.get("role") == 0.0:
        against.append(f"it is a {candidate.role or 'thing that nobody can use'}, not a {recorded.role}")
    if renamed:
        against += _renamed(recorded, candidate, parts, nearest, strong)
    elif not (recorded.count == candidate.count == 1 and _identity(recorded, strong)):
        against += _elsewhere(recorded, candidate, parts, nearest)
    return against


def _identity(recorded: Element, strong: Sequence[str]) -> bool:
    """Whether attributes that agree are of one thing alone; rows repeat names and test ids, fields do not."""
    field_ = any(recorded.role in kind for kind in _KINDS[1:])
    return any(key in ("id", "href") or field_ for key in strong)


def _renamed(
    recorded: Element, candidate: Element, parts: Mapping[str, float], nearest: float | None, strong: Sequence[str]
) -> list[str]:
    """Return why something of another name must not be taken."""
    told = f"it is called {candidate.name!r}" if candidate.name else "it has no name"
    names = [key for key in strong if key != "href"]
    if not names or recorded.role != candidate.role or parts.get("attributes", 0.0) < ALIKE:
        return [told]
    if nearest is not None and nearest < NUMBERS:
        return [f"{told}, and it stands beside {candidate.near[0]!r}"]
    if (word := find_word(candidate.name, RISKY)) and not find_word(recorded.name, RISKY):
        return [f"{told}, and {word!r} may do more than {recorded.name!r}"]
    return []


def _elsewhere(recorded: Element, candidate: Element, parts: Mapping[str, float], nearest: float | None) -> list[str]:
    """Return why something of the same name, which no attribute tells apart, must not be taken."""
    alone = recorded.count == candidate.count == 1
    if nearest is not None and nearest < (NUMBERS if alone else ALIKE):
        return [f"it stands beside {candidate.near[0]!r}, not beside {recorded.near[0]!r}"]
    if parts.get("page") == 0.0 and parts.get("near", 0.0) < ALIKE:
        return [f"it is on another page ({candidate.page})"]
    if not alone and parts.get("near") == 0.0:
        beside = next(iter((*recorded.near, *candidate.near)))
        return [f"one of the two stands beside {beside!r}, the other beside nothing"]
    if not recorded.name and nearest is None and not alone:
        return ["it has no name, and nothing else tells what it is"]
    return []


def _same_kind(recorded: str, candidate: str) -> float:
    if recorded == candidate:
        return 1.0
    if any(recorded in kind and candidate in kind for kind in _KINDS):
        return 0.8
    return 0.0


def _near(recorded: Element, candidate: Element) -> tuple[float | None, float | None]:
    """Return how alike the text nearest to the recorded thing is to one near the candidate, and the same of all texts.

    Each text counts half as much as the one before it. None where one of the two has nothing near.
    """
    if not recorded.near or not candidate.near:
        return None, None
    best = [max(likeness(text, other) for other in candidate.near) for text in recorded.near]
    weights = [0.5**n for n in range(len(best))]
    # Beside a thing whose name is data may stand other data of its record: the column or the heading has to agree then.
    return max(best) if value_named(recorded) else best[0], sum(
        w * b for w, b in zip(weights, best, strict=True)
    ) / sum(weights)


def _attributes(recorded: Element, candidate: Element) -> tuple[tuple[str, ...], float | None]:
    """Return which strong attributes agree, and the share of those that both have and that agree; None: none in common.

    What a program numbered agrees where it is equal and says nothing where it is not.
    """
    strong, total, equal = [], 0.0, 0.0
    for key in recorded.attributes.keys() & candidate.attributes.keys():
        was, now = recorded.attributes[key], candidate.attributes[key]
        firm = key in STRONG and not (key != "href" and NUMBERED.search(was))
        if was != now and not firm and key in STRONG:
            continue
        weight = 1.0 if key in STRONG else 0.3
        total += weight
        if was == now:
            equal += weight
            strong += [key] if firm else []
    return tuple(sorted(strong)), equal / total if total else None


def _same_page(recorded: str, candidate: str) -> float | None:
    """Return 1 for the same address, 0.8 where only numbers in it differ, 0 for another one. Hosts are not compared."""
    if not recorded or not candidate:
        return None
    one, other = (
        re.sub(r"/(index\.\w+)?$", "", urlsplit(page).path) or page.split(":")[0] for page in (recorded, candidate)
    )
    if one == other:
        return 1.0
    return 0.8 if re.sub(r"[0-9a-f-]*\d[0-9a-f-]*", "#", one) == re.sub(r"[0-9a-f-]*\d[0-9a-f-]*", "#", other) else 0.0
