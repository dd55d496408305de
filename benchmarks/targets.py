"""Things found again on pages that have changed: found right, taken for another, left in doubt; MARGIN and POSSIBLE.

    python -m benchmarks.targets                    # under two minutes on two cores
    python -m benchmarks.targets --quick            # four pages, four changes, no curves
    python -m benchmarks.targets --show             # also each thing that was not found right, with the reason

A headless browser opens pages, and `BrowserEnvironment.targets` describes all that can be used on each: the customer
database of the demo site (nine screens), its five plain pages, and six pages that stand below, with alike rows,
fields, links and cards. Then each page comes again in another form: as it was, with a banner, dark, narrow, with its
parts in another order, with buttons and fields of other names, with other ids and names in the document, with other
rows, and with four of these together. In that form `runtime.targets.find` looks for each thing of the first.

What is the same thing is told by `data-truth`, a mark that the describing script does not read; it is set before a page
is changed. Each thing of a page is also looked for on all other pages, and on another customer's record with the
customer's name as data of the run: there it must not be found. Two things marked ``twin`` are alike in all that a page
says of them; a look for one of them may end in doubt and must not take the other.

The curves say what `find` would do with other values of MARGIN and POSSIBLE on the same descriptions.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal
from unittest.mock import patch

from benchmarks.verdict import Row, finish, parser
from showonce.environments.browser.addresses import SITE
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.site.crm import USER
from showonce.environments.browser.site.server import Server
from showonce.environments.browser.world import BrowserEnvironment
from showonce.evaluation.goals import Goal
from showonce.runtime import targets
from showonce.runtime.safety import RISKY, find_word
from showonce.types import Element, Task

NONE: Final = Goal("=", 0.0, "g")
FOUND: Final = Goal(">=", 0.95)
WIDTH: Final = 1280
HEIGHT: Final = 720
MARGINS: Final = (0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2)
POSSIBLES: Final = (0.35, 0.45, 0.5, 0.55, 0.6, 0.65, 0.75)
DRIFTS: Final = ("same", "banner", "dark", "narrow", "moved", "renamed", "rebuilt", "rows", "together")
QUICK: Final = ("same", "moved", "renamed", "rebuilt")
TOGETHER: Final = ("banner", "dark", "narrow", "moved")
_SERVED: Final = ("banner", "dark", "narrow", "moved", "renamed")  # by the customer database itself
Outcome = Literal["right", "wrong", "doubt", "absent"]

# Changes of a page by a script. rebuilt: every id, name and test id gets another value. rows: `data-early` goes and
# `data-late` stays; on every other page it is the other way round.
_CHANGES: Final = {
    "banner": """document.body.insertAdjacentHTML('afterbegin', `<div style="height:72px;background:#f2c14e">
      <b>News</b> The office is closed on Friday. <button data-truth="banner dismiss">Dismiss</button>
      <a href="/news" data-truth="banner more">More</a></div>`)""",
    "dark": "document.documentElement.style.cssText += ';background:#111;color:#eee;font-family:serif'",
    "narrow": "document.body.style.maxWidth = '560px'",
    "moved": """for (const list of document.querySelectorAll('[data-shuffle]'))
      list.append(...[...list.children].reverse())""",
    "renamed": """for (const e of document.querySelectorAll('[data-renamed]')) e.textContent = e.dataset.renamed""",
    "rebuilt": """for (const key of ['id', 'name', 'data-testid'])
      for (const e of document.body.querySelectorAll(`[${key}]`))
        e.setAttribute(key, 'v' + [...e.getAttribute(key)].reverse().join(''))""",
}
_ROWS: Final = (
    "kept => { for (const e of document.querySelectorAll(kept ? '[data-early]' : '[data-late]')) e.remove(); }"
)

# The marks. Of the customer database: what its log calls the element, and the part of the page.
_MARK_CRM: Final = """for (const e of document.querySelectorAll(
    'a,button,input:not([type=hidden]),select,textarea,.value,.choices,.choices div')) {
  const part = e.closest('header') ? 'nav' : e.closest('aside') ? 'aside' : e.closest('.banner') ? 'banner'
    : PAGE.replace('results', 'customers');
  e.dataset.truth = part + ': ' + (e.matches('.choices') ? 'choices' : keyOf(e) || e.getAttribute('href'));
}"""
_MARK_SITE: Final = """for (const e of document.querySelectorAll('a,button,input,select')) {
  const row = e.closest('[data-name]');
  e.dataset.truth = document.title + ': ' + (e.id || e.name || (row ? row.dataset.name + ' ' : '') + e.textContent);
}"""
_TRUTHS: Final = """[...document.querySelectorAll('[data-truth]')].map(e => {
  const r = e.getBoundingClientRect();
  return [e.dataset.truth, [r.left, r.top, r.right, r.bottom]];
})"""


# ----------------------------------------------------------------------------------------------------------- the pages


def _button(truth: str, name: str, more: str = "") -> str:
    return f'<button data-truth="{truth}" {more}>{name}</button>'


def _staff() -> str:
    """Rows with the same buttons; names that differ in a letter; rows that come and go."""
    people = ("Ada Lovelace", "Ada Lovelock", "Grace Hopper", "Grace Hooper", "Alan Turing", "Alan Turning")
    rows = ""
    for at, name in enumerate((*people, "Jean Bartik", "Jean Bartick")):
        when = {1: "data-early", 4: "data-early", 3: "data-late", 5: "data-late"}.get(at, "")
        buttons = "".join(_button(f"{what} {name}", what) for what in ("Edit", "Delete"))
        link = f'<a href="/staff/{at}" data-truth="open {name}">{name}</a>'
        rows += f"<tr {when}><td>{link}</td><td>Desk {at % 3}</td><td>{buttons}</td></tr>"
    head = "<thead><tr><th>Name</th><th>Place</th><th>Actions</th></tr></thead>"
    add = _button("add", "Add person", 'id="add" data-renamed="New person"')
    return f"<h1>Staff</h1>{add}<table>{head}<tbody data-shuffle>{rows}</tbody></table>"


def _addresses() -> str:
    """Two groups with the same labels, one whose fields have names and one whose fields have none."""
    body = "<h1>Addresses</h1><form action='/addresses'><div data-shuffle>"
    for group in ("Billing address", "Delivery address", "Former address"):
        fields = ""
        for label in ("Street", "City", "Zip", "Country"):
            name = f'name="{group.split()[0].lower()}_{label.lower()}"' if group != "Former address" else ""
            other = {"Zip": 'data-renamed="Postcode"'}.get(label, "")
            fields += f'<p><label><span {other}>{label}</span> <input {name} data-truth="{group} {label}"></label></p>'
        button = _button(f"clear {group}", "Clear", 'type="button"')
        body += f"<fieldset><legend>{group}</legend><div data-shuffle>{fields}</div>{button}</fieldset>"
    save = _button("save", "Save", 'data-renamed="Store addresses"')
    return f"{body}</div>{save}</form>"


def _links() -> str:
    """The same links at the top, in a part that goes, and at the foot."""
    places = ("Home", "Products", "Prices", "Contact")

    def of(part: str) -> str:
        links = "".join(f'<li><a href="/{one.lower()}" data-truth="{part} {one}">{one}</a></li>' for one in places)
        return f"<ul data-shuffle>{links}</ul>"

    side = "".join(f'<li><a href="#{n}" data-truth="side {n}">Chapter {n}</a></li>' for n in range(1, 6))
    return (
        f"<nav>{of('top')}</nav><h1>Handbook</h1><h2>Contents</h2><ul data-shuffle>{side}</ul>"
        f"<section data-early><h2>Our shop</h2>{of('shop')}</section><footer><h2>About us</h2>{of('foot')}</footer>"
    )


def _cards() -> str:
    """Cards with the same buttons and the same test ids; two cards that nothing tells apart."""
    body = ""
    titles = ("Broken lamp", "Broken lamps", "Leaking tap", "No heating", "Window stuck", "Same words", "Same words")
    for at, title in enumerate(titles):
        who = f"twin {at}" if title == "Same words" else title
        when = {0: "data-early", 1: "data-late"}.get(at, "")
        buttons = "".join(
            _button(f"{who} {what}", what, f'data-testid="{what.lower()}"') for what in ("Assign", "Close", "Reopen")
        )
        body += f"<article {when}><h3>{title}</h3><p>Floor {min(at, 5) % 3}</p>{buttons}</article>"
    new = _button("new", "New request", 'id="new-request" data-renamed="Report a fault"')
    purge = _button("purge", "Refresh", 'id="refresh" data-renamed="Delete all"')
    return f"<h1>Requests</h1>{new}{purge}<div data-shuffle>{body}</div>"


def _week() -> str:
    """Boxes without names in rows and columns."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri")
    head = "<thead><tr><th>Who</th>" + "".join(f"<th>{day}</th>" for day in days) + "</tr></thead>"
    body = ""
    for at, who in enumerate(("Anna Berger", "Anna Bergen", "Bert Conrad", "Carla Dorn", "Dana Ebert")):
        when = {0: "data-early", 1: "data-late"}.get(at, "")
        cells = "".join(f'<td><input type="checkbox" data-truth="{who} {day}"></td>' for day in days)
        body += f"<tr {when}><td>{who}</td>{cells}</tr>"
    send = _button("send", "Send plan", 'id="send" data-renamed="Hand in plan"')
    return f"<h1>Shifts</h1><table>{head}<tbody data-shuffle>{body}</tbody></table>{send}"


def _tools() -> str:
    """Buttons of one name in different parts, icons, lists, a menu of blocks, radio buttons; two buttons alike."""
    icons = "".join(
        f'<button aria-label="{name}" data-truth="icon {name}">{sign}</button>'
        for name, sign in (("Bold", "B"), ("Italic", "I"), ("Undo", "&larr;"), ("Redo", "&rarr;"))
    )
    parts = ""
    for part in ("Profile", "Notifications", "Security"):
        mark = f'id="{part.lower()}-save"'
        parts += (
            f"<section><h2>{part}</h2><p><label>Language <select data-truth='{part} language'><option>en<option>de"
            f"</select></label></p><p><label>Note <textarea data-truth='{part} note'></textarea></label></p>"
            f'<label><input type="radio" name="{part}" data-truth="{part} daily"> Daily</label>'
            f'<label><input type="radio" name="{part}" data-truth="{part} weekly"> Weekly</label>'
            f"{_button(f'{part} save', 'Save', mark + ' data-renamed=Apply')}"
            f"{_button(f'{part} reset', 'Reset', 'data-renamed=Restore')}</section>"
        )
    menu = "".join(
        f'<div onclick="1" style="cursor:pointer" data-truth="menu {name}">{name}</div>'
        for name in ("Rename", "Duplicate", "Archive")
    )
    twins = _button("twin one", "Add") + _button("twin two", "Add")
    body = f"<h1>Tools</h1><div data-shuffle>{icons}</div><div data-shuffle>{parts}</div>"
    return f"{body}<h2>File</h2>{menu}<h2>Lists</h2>{twins}"


OWN: Final = {
    "staff": _staff, "addresses": _addresses, "links": _links, "cards": _cards, "week": _week, "tools": _tools,
}  # fmt: skip
CRM: Final = {
    "login": "login", "customers": "customers", "page 2": "customers?page=2", "results": "customers?q=Ada+Lovelace",
    "record": "customer/1003", "orders": "customer/1003?page=2", "form": "customer/1003?page=2",
    "ticket": "ticket/T-2001", "tickets": "tickets",
}  # fmt: skip
SHOWN: Final = "Grace Hopper"  # customer 1003
OTHERS: Final = {"record of another": "customer/1004", "form of another": "customer/1004?page=2"}
PLAIN: Final = ("login", "form", "table", "cart", "search")


# --------------------------------------------------------------------------------------------------------- the browser


@dataclass(frozen=True)
class Screen:
    """A page in one form. things: what can be used there, each with the mark that tells which thing it is."""

    page: str
    drift: str
    things: tuple[tuple[Element, str], ...]

    @cached_property
    def marks(self) -> dict[str, Element]:
        return {mark: one for one, mark in self.things}


class Pages:
    """Opens pages in a browser and describes them."""

    def __init__(self, environment: BrowserEnvironment, server: Server, folder: Path) -> None:
        self.environment, self.server, self.folder = environment, server, folder
        for name, page in OWN.items():
            (folder / f"{name}.html").write_text(
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><body>{page()}', "utf-8"
            )
        environment.reset(Task("user/targets", "look", "browser", start=f"{server.address}/crm/login"), 0)
        session = environment.session
        assert session is not None
        self.page = session.tab.page

    def ask(self, script: str, given: Any = None) -> Any:
        return self.environment.on_owner(lambda: self.page.evaluate(script, given), 10, "a script of the benchmark")

    def open(self, address: str) -> None:
        self.environment.on_owner(lambda: self.page.goto(address), 20, f"opening {address}")

    def send(self, script: str) -> None:
        """Run a script that sends a form, and wait for the page that answers it."""

        async def sent() -> None:
            async with self.page.expect_navigation():
                await self.page.evaluate(script)

        self.environment.on_owner(sent, 20, "sending a form")

    def sign_in(self) -> None:
        """Sign in at the customer database and write one ticket."""
        self.open(f"{self.server.address}/crm/login")
        fill = f"document.querySelector('[name=user]').value = '{USER[0]}';"
        self.send(
            f"{fill} document.querySelector('[name=pass]').value = '{USER[1]}'; document.forms[0].requestSubmit()"
        )
        self.open(f"{self.server.address}/crm/customer/1003")
        self.send("document.querySelector('[name=subject]').value = 'Lamp'; document.querySelector('.modal').submit()")

    def crm(self, name: str, drift: str) -> Screen:
        changes = TOGETHER if drift == "together" else (drift,)
        self.server.crm.drift = frozenset(changes) & frozenset(_SERVED)
        self.open(f"{self.server.address}/crm/{(CRM | OTHERS)[name]}")
        if name.startswith("form"):
            self.ask("document.querySelector('.new').click(); document.querySelector('.pick .value').click()")
        self.ask(f"() => {{ {_MARK_CRM} }}")
        if drift == "rebuilt":
            self.ask(f"() => {{ {_CHANGES[drift]} }}")
        return self.described(f"crm {name}", drift)

    def plain(self, name: str, drift: str) -> Screen:
        moved = drift in ("moved", "together")
        self.open(f"{SITE}/{name}.html?seed={3 if moved else 0}")
        if name == "search":
            self.ask("() => { const form = document.forms[0]; form.words.value = 'a'; form.requestSubmit(); }")
            self.environment.observe()
        self.ask(f"() => {{ {_MARK_SITE} }}")
        return self.changed(f"site {name}", drift, without=("moved",))

    def own(self, name: str, drift: str) -> Screen:
        self.open((self.folder / f"{name}.html").as_uri())
        self.ask(_ROWS, drift == "rows")
        return self.changed(name, drift)

    def changed(self, page: str, drift: str, without: Sequence[str] = ()) -> Screen:
        for change in TOGETHER if drift == "together" else (drift,):
            if change in _CHANGES and change not in without:
                self.ask(f"() => {{ {_CHANGES[change]} }}")
        return self.described(page, drift)

    def described(self, page: str, drift: str) -> Screen:
        """Describe all that can be used, and find the mark of each by its place.

        Raises RuntimeError: a thing has no mark of its own, so that what is right there is not known.
        """
        self.environment.observe()
        found, marks = self.environment.targets(), self.ask(_TRUTHS)
        things = []
        for one in found:
            place = [one.box[side] * (HEIGHT if side % 2 else WIDTH) for side in range(4)]
            fit = [t for t, box in marks if all(abs(a - b) < 1 for a, b in zip(box, place, strict=True))]
            if len(fit) != 1:
                raise RuntimeError(f"{page}, {drift}: {targets.called(one)} has the marks {fit}")
            things.append((one, fit[0]))
        twice = [mark for mark, count in Counter(mark for _, mark in things).items() if count > 1]
        if twice or not things:
            raise RuntimeError(f"{page}, {drift}: the marks {twice} are of several things")
        return Screen(page, drift, tuple(things))


# ---------------------------------------------------------------------------------------------------------- the trials


@dataclass(frozen=True)
class Trial:
    """A thing of one page that is looked for on a screen. kind: the change, ``other page`` or ``other record``."""

    recorded: Element
    truth: str
    kind: str
    screen: Screen

    @property
    def there(self) -> Element | None:
        """The same thing on that screen."""
        return self.screen.marks.get(self.truth)

    @property
    def renamed(self) -> bool:
        there = self.there
        return there is not None and targets.plain(there.name) != targets.plain(self.recorded.name)

    @property
    def told(self) -> bool:
        """Of a renamed thing: whether its document still tells which it is, and the new name says no more."""
        there = self.there
        assert there is not None
        kept = [key for key in targets.STRONG if key != "href" and self.recorded.attributes.get(key)]
        same = any(self.recorded.attributes[key] == there.attributes.get(key) for key in kept)
        return same and not (find_word(there.name, RISKY) and not find_word(self.recorded.name, RISKY))

    def run(self) -> tuple[Outcome, targets.Found]:
        found = targets.find(self.recorded, [one for one, _ in self.screen.things])
        if found.verdict != "sure":
            return ("doubt" if found.verdict == "unsure" else "absent"), found
        return ("right" if found.element is self.there else "wrong"), found


def trials_of(before: Sequence[Screen], after: Sequence[Screen], others: Sequence[Screen]) -> list[Trial]:
    """Return all trials: each thing on each later form of its page, on every other page, and on another's record."""
    found = [
        Trial(one, truth, screen.drift, screen)
        for first in before for screen in after if screen.page == first.page for one, truth in first.things
    ]  # fmt: skip
    for first in before:
        for screen in (one for one in before if one.page != first.page):
            found += [
                Trial(one, truth, "other page", screen) for one, truth in first.things if truth not in screen.marks
            ]
        for screen in (one for one in others if one.page.startswith(first.page)):
            found += [
                Trial(replace(one, bound=(SHOWN,)), truth, "other record", screen)
                for one, truth in first.things
                if truth not in screen.marks and any(SHOWN in text for text in (one.name, *one.near))
            ]
    return found


class Kept:
    """`targets.score`, which keeps what it returned for two descriptions: the curves ask again and again."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], targets.Score] = {}
        self.score = targets.score

    def __call__(self, recorded: Element, candidate: Element) -> targets.Score:
        key = id(recorded), id(candidate)
        if key not in self.known:
            self.known[key] = self.score(recorded, candidate)
        return self.known[key]


# ------------------------------------------------------------------------------------------------------------ the rows


def _share(name: str, trials: Sequence[Trial], outcomes: Sequence[Outcome], goal: Goal | None = None) -> Row:
    """Return the row of the share that was found right, with the other outcomes as counts."""
    if not trials:
        return Row(name, None, goal, why="no such thing on these pages")
    count = Counter(outcomes)
    note = f"wrong {count['wrong']}, in doubt {count['doubt']}, called absent {count['absent']}"
    return Row(name, count["right"] / len(trials), goal, n=len(trials), note=note)


def rows_of(trials: Sequence[Trial], outcomes: Sequence[Outcome]) -> list[Row]:
    """Return the rows of the verdict."""
    pairs = list(zip(trials, outcomes, strict=True))

    def share(name: str, chosen: Iterable[tuple[Trial, Outcome]], goal: Goal | None = None) -> Row:
        kept = list(chosen)
        return _share(name, [one for one, _ in kept], [what for _, what in kept], goal)

    there = [pair for pair in pairs if pair[0].there is not None]
    plain = [pair for pair in there if not pair[0].renamed and "twin" not in pair[0].truth]
    renamed = [pair for pair in there if pair[0].renamed]
    rows = [share(f"found right, {drift}", [pair for pair in plain if pair[0].kind == drift]) for drift in DRIFTS]
    rows = [row for row in rows if row.value is not None]
    rows.append(share("twins found right", [pair for pair in there if "twin" in pair[0].truth]))
    rows.append(share("renamed, which nothing else tells", [pair for pair in renamed if not pair[0].told]))
    for kind in ("rows", "other page", "other record"):
        gone = [what for one, what in pairs if one.there is None and one.kind == kind]
        if gone:
            count = Counter(gone)
            note = f"in doubt {count['doubt']}, called absent {count['absent']}"
            rows.append(Row(f"not there ({kind}), taken for another", count["wrong"], n=len(gone), note=note))
    rows.append(share("found right where it is", plain, FOUND))
    rows.append(share("renamed, found by what its document says", [p for p in renamed if p[0].told], FOUND))
    rows.append(Row("sure and wrong", sum(what == "wrong" for what in outcomes), NONE, n=len(pairs)))
    return rows


def curves(trials: Sequence[Trial]) -> Iterator[Row]:
    """Yield what comes of other values of the two thresholds."""
    there = [one for one in trials if one.there is not None]
    for value in MARGINS:
        with patch.object(targets, "MARGIN", value):
            count = Counter(one.run()[0] for one in trials)
        note = f"wrong {count['wrong']} of {len(trials)}"
        yield Row(f"MARGIN {value:g}: found right where it is", count["right"] / len(there), n=len(there), note=note)
    for value in POSSIBLES:
        with patch.object(targets, "POSSIBLE", value):
            found = [(one.there is not None, one.run()[0]) for one in trials]
        lost = sum(is_there and what == "absent" for is_there, what in found)
        named = sum(not is_there and what == "doubt" for is_there, what in found)
        note = f"of {len(trials) - len(there)} that are not there {named} named as what may be meant"
        yield Row(f"POSSIBLE {value:g}: called absent though there", lost, n=len(there), note=note)


def screens(pages: Pages, quick: bool) -> tuple[list[Screen], list[Screen], list[Screen]]:
    """Open all pages: as they are first, as they are later, and the records of another customer."""
    drifts = QUICK if quick else DRIFTS
    before, after = [], []
    opened: list[tuple[Any, str, tuple[str, ...]]] = [(pages.own, name, DRIFTS) for name in OWN]
    opened += [(pages.plain, name, tuple({*DRIFTS} - {"renamed", "rows"})) for name in PLAIN]
    opened += [(pages.crm, name, tuple({*DRIFTS} - {"rows"})) for name in CRM if name != "login"]
    if quick:
        opened = [one for one in opened if one[1] in ("staff", "tools", "orders", "form") and one[0] != pages.plain]
    else:
        pages.open(f"{pages.server.address}/crm/login")
        login = [pages.crm("login", drift) for drift in ("", *(one for one in DRIFTS if one != "rows"))]
        before, after = login[:1], login[1:]
    pages.server.crm.drift = frozenset()
    pages.sign_in()
    for how, name, of in opened:
        before.append(how(name, ""))
        after += [how(name, drift) for drift in drifts if drift in of]
    return before, after, [pages.crm(name, "") for name in OTHERS]


def main() -> int:
    """Open the pages, look for everything, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="four pages, four changes, no curves")
    arguments.add_argument("--show", action="store_true", help="print each thing that was not found right, and why")
    given = arguments.parse_args()
    environment, server = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT)), Server()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            before, after, others = screens(Pages(environment, server, Path(folder)), given.quick)
    finally:
        environment.close()
        server.shutdown()
        server.server_close()
    trials = trials_of(before, after, others)
    print(f"{len(before)} pages, {len(after)} changed ones, {time.monotonic() - began:.0f} s to open and describe them")
    with patch.object(targets, "score", Kept()):
        results = [one.run() for one in trials]
        for one, (what, found) in zip(trials, results, strict=True):
            if what == "wrong" or (given.show and one.there is not None and what != "right"):
                where = f"{one.screen.page}, {one.kind}: {targets.called(one.recorded)} [{one.truth}]"
                print(f"{what}: {where} -> {targets.called(found.element)}: {found.why}")
        rows = [] if given.quick else list(curves(trials))
    return finish([*rows, *rows_of(trials, [what for what, _ in results])], given)


if __name__ == "__main__":
    sys.exit(main())
