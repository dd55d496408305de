"""A customer database on the demo site: what an office types into every day, with a store that says what came of it.

Sign-in (clerk, moon), search by the server, suggestions by fetch (bare blocks with listeners), tables with pages, a
record, a form in a modal (text, native date and list, a list made of blocks, box), POST, redirect, a toast of 4 s.
``/crm/truth`` is the store as JSON: every ticket with its fields, and every press of a real pointer with the element
that it hit. `Crm.drift` changes how pages look (`DRIFTS`), `Crm.wrong` which page comes in place of one (`WRONG`);
`?drift=` in an address does the former for one browser.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

USER: Final = ("clerk", "moon")
DRIFTS: Final = ("banner", "dark", "narrow", "moved", "renamed", "slow")
WRONG: Final = ("expired", "maintenance", "other", "error")
VIEWS: Final = ("customers", "results", "customer", "orders", "ticket")  # pages in whose place a wrong one may come
ROWS: Final = 10  # of a table on one page
SLOW_SECONDS: Final = 2.5
CATEGORIES: Final = ("Billing", "Delivery", "Question", "Repair")
PRIORITIES: Final = ("Low", "Normal", "High", "Urgent")
SERVICE: Final = "Annual service plan"  # every customer has one, on the second page of the orders, in another row
_ALIKE: Final = (
    "Ada Lovelace", "Ada Lovelock", "Grace Hopper", "Grace Hooper", "Alan Turing", "Alan Turning", "Mary Jackson",
    "Mary Jacksen", "Jean Bartik", "Jean Bartick",
)  # fmt: skip
_FIRST: Final = ("Anna", "Bert", "Carla", "Dana", "Emil", "Fritz", "Greta", "Hans", "Ines")
_LAST: Final = ("Arendt", "Berger", "Conrad", "Dorn", "Ebert", "Fuchs")
_COMPANIES: Final = ("Northwind", "Blue Yonder", "Contoso", "Fabrikam", "Tailspin", "Litware", "Adatum")
_CITIES: Final = ("Aachen", "Bonn", "Cologne", "Dresden", "Essen", "Fulda", "Graz", "Halle")
_PRODUCTS: Final = (
    "Printer", "Scanner", "Toner set", "Paper tray", "Cable kit", "Monitor", "Keyboard", "Docking station", "Headset",
    "Camera", "Annual survey", "Spare parts", "Training day",
)  # fmt: skip


@dataclass(frozen=True)
class Customer:
    """One row. manager: of the account, a name that may be another customer's."""

    number: int
    name: str
    company: str
    city: str
    manager: str

    @property
    def orders(self) -> tuple[tuple[str, str, str, str], ...]:
        """Number, product, date and amount of each order."""
        products = list(_PRODUCTS)
        products.insert(ROWS + self.number % 4, SERVICE)
        first = date(2025, 1, 6) + timedelta(days=self.number - 1000)
        return tuple(
            (f"{self.number}-{at + 1:02d}", what, str(first + timedelta(days=19 * at)), f"{(at * 37 + 40) % 300}.00")
            for at, what in enumerate(products)
        )


def _customers() -> tuple[Customer, ...]:
    names = (*_ALIKE, *(f"{first} {last}" for first in _FIRST for last in _LAST))
    return tuple(
        Customer(1001 + at, name, _COMPANIES[at % 7], _CITIES[at * 3 % 8], names[(at + 1) % 10 if at < 10 else at % 10])
        for at, name in enumerate(names)
    )


CUSTOMERS: Final = _customers()


@dataclass(frozen=True)
class Answer:
    """What the server says. user: who is signed in from now on ("" = nobody), None where that stays as it is."""

    body: str = ""
    status: int = 200
    location: str = ""
    kind: str = "text/html"
    user: str | None = None


@dataclass
class Crm:
    """The store, and how its pages look. drift: some of `DRIFTS`. wrong: (one of `WRONG`, one of `VIEWS`), or ()."""

    drift: frozenset[str] = frozenset()
    wrong: tuple[str, ...] = ()
    tickets: list[dict[str, str]] = field(default_factory=list)
    clicks: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Empty the store and its log."""
        with self.lock:
            self.tickets.clear()
            self.clicks.clear()

    def get(self, path: str, query: dict[str, str], user: str, token: str, drift: frozenset[str]) -> Answer:
        """Answer a GET of ``/crm/PATH``; token: of the session, for forms."""
        if path == "truth":
            with self.lock:
                return Answer(json.dumps({"tickets": self.tickets, "clicks": self.clicks}), kind="application/json")
        if path == "suggest":
            return Answer(json.dumps([one.name for one in _alike(query.get("q", ""))]), kind="application/json")
        look = _Look(self.drift | drift, token, user)
        if "slow" in look.drift:
            time.sleep(SLOW_SECONDS)
        if path == "login" or not user:
            return Answer(look.login()) if path == "login" else Answer(status=303, location="/crm/login")
        view, _, number = path.partition("/")
        at = int(query["page"]) if query.get("page", "").isdecimal() else 1
        if view in ("", "customers"):
            return self._wrong("results" if "q" in query else "customers", look) or Answer(look.customers(query, at))
        if view == "customer" and (found := [one for one in CUSTOMERS if str(one.number) == number]):
            return self._wrong("orders" if "page" in query else "customer", look, found[0], at) or Answer(
                look.customer(found[0], at)
            )
        if view == "ticket" and (rows := [ticket for ticket in self.tickets if ticket["number"] == number]):
            return self._wrong("ticket", look) or Answer(look.ticket(rows[0], "new" in query))
        if view == "tickets":
            return Answer(look.tickets(self.tickets, at))
        return Answer(look.whole("No such page", "<h1>No such page</h1>", "missing"), 404)

    def post(self, path: str, fields: dict[str, str], user: str, token: str, drift: frozenset[str]) -> Answer:
        """Answer a POST of ``/crm/PATH`` whose token is the session's."""
        if path == "login":
            if (fields.get("user", "").strip().lower(), fields.get("pass")) == USER:
                return Answer(status=303, location="/crm/customers", user=USER[0])
            return Answer(_Look(self.drift | drift, token, "").login("Wrong user name or password"))
        if path == "logout" or not user:
            return Answer(status=303, location="/crm/login", user="")
        names = ("customer", "order", "subject", "due", "category", "priority", "details", "notify")
        ticket = {name: fields.get(name, "") for name in names}
        if not ticket["subject"].strip():
            return Answer("A ticket needs a subject", 400)
        with self.lock:
            number = f"T-{2001 + len(self.tickets)}"
            self.tickets.append({"number": number, **ticket})
        return Answer(status=303, location=f"/crm/ticket/{number}?new=1")

    def pressed(self, click: dict[str, Any]) -> None:
        """Note a press of a pointer that a page tells of."""
        with self.lock:
            self.clicks.append(click)

    def _wrong(self, view: str, look: _Look, shown: Customer | None = None, page: int = 1) -> Answer | None:
        """Return the page that comes in place of `view`; None: the right one does."""
        if self.wrong[1:] != (view,):
            return None
        kind = self.wrong[0]
        if kind == "expired":
            return Answer(look.login("Your session has expired. Please sign in again.", "wrong expired"))
        if kind == "other" and shown is not None:
            other = CUSTOMERS[(CUSTOMERS.index(shown) + 1) % len(CUSTOMERS)]
            return Answer(look.customer(other, page))
        if kind == "error":
            text = "<h1>Internal error</h1><p>Error 500: the database did not answer.</p>"
            return Answer(look.whole("Error", text, "wrong error"), 500)
        text = (
            "<h1>Down for maintenance</h1><p>We are back at 14:00.</p>"
            '<p><button data-k="again" onclick="location.reload()">Try again</button></p>'
        )
        return Answer(look.whole("Maintenance", text, "wrong maintenance"), 503)


def _alike(text: str) -> list[Customer]:
    """Return the customers whose name has a word that begins as one of the text does, best ones first."""
    words = [word[:3].lower() for word in text.split() if len(word) >= 2]
    score = {
        one: sum(part.lower().startswith(word) for word in words for part in one.name.split()) for one in CUSTOMERS
    }
    return sorted((one for one in CUSTOMERS if score[one] == max(len(words), 1)), key=lambda one: one.name)[:6]


def _found(text: str) -> list[Customer]:
    """Return the customers of a search: those with any of its words, those with all of them first."""
    words = text.lower().split()
    score = {one: sum(word in f"{one.name} {one.company} {one.city}".lower() for word in words) for one in CUSTOMERS}
    return sorted((one for one in CUSTOMERS if score[one] or not words), key=lambda one: (-score[one], one.name))


def _entry(key: str, name: str, field: str) -> str:
    """Return one labelled field of a form."""
    return f'<label class="entry" data-k="{key}"><span>{name}</span>{field}</label>'


@dataclass(frozen=True)
class _Look:
    """Draws pages. drift: how they differ; token: of the session; user: who is signed in."""

    drift: frozenset[str]
    token: str
    user: str

    def whole(self, title: str, body: str, name: str) -> str:
        """Return a page. name: of the page in the log."""
        classes = " ".join(f"is-{name}" for name in sorted(self.drift))
        banner = (
            '<div class="banner"><b>News</b> The office is closed on Friday. Tickets are answered on Monday.'
            '<button class="plain" data-k="dismiss" onclick="this.parentElement.remove()">Dismiss</button></div>'
        )
        bar = (
            '<header><b>Customers &amp; Co</b><a href="/crm/customers" data-k="nav customers">Customers</a>'
            '<a href="/crm/tickets" data-k="nav tickets">Tickets</a>'
            f'<form method="post" action="/crm/logout">{self.hidden}{self.user} '
            '<button class="plain" data-k="sign out">Sign out</button></form></header>'
        )
        recent = "".join(f"<p>{self.link(one)}</p>" for one in CUSTOMERS[:3])
        aside = (
            f"<aside><section><h2>Recently viewed</h2>{recent}</section><section><h2>Search</h2><p>Saved: none</p>"
            '<button class="plain" data-k="save search">Save</button></section></aside>'
        )
        return (
            f'<!doctype html><html lang="en" class="{classes}"><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<link rel="stylesheet" href="/crm.css"><body>{banner if "banner" in self.drift else ""}'
            f'{bar if self.user else ""}<div class="page"><main>{body}</main>{aside if self.user else ""}</div>'
            f'<script>const PAGE = {json.dumps(name)};</script><script src="/crm.js"></script>'
        )

    @property
    def hidden(self) -> str:
        return f'<input type="hidden" name="token" value="{self.token}">'

    def link(self, one: Customer) -> str:
        return f'<a href="/crm/customer/{one.number}" data-k="customer {one.number}">{one.name}</a>'

    def login(self, wrong: str = "", name: str = "login") -> str:
        fields = _entry("user", "User name", '<input name="user" autocomplete="off">')
        fields += _entry("pass", "Password", '<input name="pass" type="password">')
        body = (
            f'<form class="signin" method="post" action="/crm/login">{self.hidden}<h1>Sign in</h1>'
            f'<p class="error">{wrong}</p>{fields}'
            '<div class="buttons"><button data-k="sign in">Sign in</button></div></form>'
        )
        return _Look(self.drift, self.token, "").whole("Sign in", body, name)

    def table(self, heads: list[str], rows: list[list[str]], address: str, page: int, total: int) -> str:
        """Return a table and its pager. address: of the page, to which its number is added."""
        turn = 2 if "moved" in self.drift else 0
        cut = [row[turn:] + row[:turn] for row in [heads, *rows]]
        head = "".join(f"<th>{text}</th>" for text in cut[0])
        body = "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in row)}</tr>" for row in cut[1:])
        pages = max(1, -(-total // ROWS))
        turns = [f"Page {page} of {pages}"]
        if page > 1:
            turns.insert(0, f'<a href="{address}page={page - 1}" data-k="previous">Previous</a>')
        if page < pages:
            turns.append(f'<a href="{address}page={page + 1}" data-k="next">Next</a>')
        pager = f'<div class="pager">{" ".join(turns)}</div>'
        table = f"<table><tr>{head}</tr>{body}</table>"
        return pager + table if turn else table + pager

    def customers(self, query: dict[str, str], page: int) -> str:
        text = query.get("q", "")
        found = _found(text)
        rows = [[self.link(one), one.company, one.city, one.manager] for one in found[ROWS * (page - 1) : ROWS * page]]
        address = "/crm/customers?" + (urlencode({"q": text}) + "&amp;" if "q" in query else "")
        body = (
            '<form class="search" action="/crm/customers"><div class="lookup"><label data-k="find">Find a customer '
            f'<input name="q" autocomplete="off" value="{escape(text)}"></label><div class="suggestions"></div></div>'
            '<button data-k="search">Search</button></form>'
            f"<p>{len(found)} customers</p>"
        )
        body += self.table(["Name", "Company", "City", "Manager"], rows, address, page, len(found))
        return self.whole("Customers", f"<h1>Customers</h1>{body}", "results" if "q" in query else "customers")

    def customer(self, one: Customer, page: int) -> str:
        facts = {"Company": one.company, "City": one.city, "Manager": one.manager, "Number": str(one.number)}
        parts = "".join(f"<span>{name}</span><div>{value}</div>" for name, value in facts.items())
        rows = [
            [
                number,
                what,
                day,
                amount,
                f'<button class="new plain" value="{number}" data-k="new {number}">New ticket</button>',
            ]
            for number, what, day, amount in one.orders[ROWS * (page - 1) : ROWS * page]
        ]
        table = self.table(
            ["Order", "Product", "Date", "Amount", ""], rows, f"/crm/customer/{one.number}?", page, len(one.orders)
        )
        body = f'<h1>{one.name}</h1><div class="fields">{parts}</div><h2>Orders</h2>{table}{self.form(one)}'
        return self.whole(one.name, body, f"customer {one.number}")

    def form(self, one: Customer) -> str:
        """Return the modal in which a ticket is written."""
        options = "".join(f"<option>{name}</option>" for name in CATEGORIES)
        choices = "".join(f'<div data-k="priority {name}">{name}</div>' for name in PRIORITIES)
        pick = (
            '<div class="pick" data-k="priority"><input type="hidden" name="priority" value="Normal">'
            f'<div class="value">Normal</div><div class="choices">{choices}</div></div>'
        )
        entries = [
            _entry("subject", "Subject", '<input name="subject" autocomplete="off">'),
            _entry("due", "Due date", '<input name="due" type="date">'),
            _entry("category", "Category", f'<select name="category">{options}</select>'),
            f'<div class="entry"><span>Priority</span>{pick}</div>',
            _entry("details", "Details", '<textarea name="details" rows="3"></textarea>'),
            '<label data-k="notify"><input type="checkbox" name="notify" value="yes"> Notify the customer</label>',
        ]
        if "moved" in self.drift:
            entries = [entries[at] for at in (2, 0, 4, 3, 1, 5)]
        send = "Save ticket" if "renamed" in self.drift else "Create ticket"
        return (
            f'<div class="veil"><form class="modal" method="post" action="/crm/ticket">{self.hidden}'
            f'<input type="hidden" name="customer" value="{one.number}"><input type="hidden" name="order">'
            f'<h1>New ticket</h1><p class="about"></p>{"".join(entries)}<div class="buttons">'
            '<button type="button" class="cancel plain" data-k="cancel">Cancel</button>'
            f'<button data-k="create">{send}</button></div></form></div>'
        )

    def ticket(self, ticket: dict[str, str], new: bool) -> str:
        name = next((one.name for one in CUSTOMERS if str(one.number) == ticket["customer"]), "?")
        parts = "".join(f"<span>{key}</span><div>{escape(value)}</div>" for key, value in ticket.items())
        toast = '<div class="toast">Ticket saved</div>' if new else ""
        body = f'<h1>Ticket {ticket["number"]} for {name}</h1><div class="fields">{parts}</div>{toast}'
        return self.whole(f"Ticket {ticket['number']}", body, f"ticket {ticket['number']}")

    def tickets(self, tickets: list[dict[str, str]], page: int) -> str:
        rows = [
            [f'<a href="/crm/ticket/{one["number"]}">{one["number"]}</a>', one["customer"], escape(one["subject"])]
            for one in tickets[ROWS * (page - 1) : ROWS * page]
        ]
        table = self.table(["Ticket", "Customer", "Subject"], rows, "/crm/tickets?", page, len(tickets))
        return self.whole("Tickets", f"<h1>Tickets</h1>{table}", "tickets")
