"""The customer database of the demo site as a client without a browser sees it: what it answers, and its store."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from showonce.environments.browser.site.crm import CUSTOMERS, SERVICE, SLOW_SECONDS, Crm
from showonce.environments.browser.site.server import Server


class Client:
    """Keeps its cookies; `get` and `post` return the page and fail as a browser would show it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self.page = self.get("login")

    def get(self, path: str) -> str:
        with self.opener.open(f"{self.server.address}/crm/{path}", timeout=10) as answer:
            self.address, self.page = answer.url, answer.read().decode()
        return self.page

    def post(self, path: str, token: str | None = None, **fields: str) -> str:
        found = re.search(r'name="token" value="(\w+)"', self.page)
        assert found
        data = urlencode({"token": found[1] if token is None else token, **fields}).encode()
        with self.opener.open(f"{self.server.address}/crm/{path}", data, timeout=10) as answer:
            self.address, self.page = answer.url, answer.read().decode()
        return self.page

    def sign_in(self) -> str:
        return self.post("login", user="Clerk ", **{"pass": "moon"})


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def client(server: Server) -> Client:
    made = Client(server)
    made.sign_in()
    return made


def truth(client: Client) -> Any:
    return json.loads(client.get("truth"))


def test_the_sign_in_is_asked_for_and_checked(server: Server) -> None:
    client = Client(server)
    assert "Sign in" in client.get("customers") and client.address.endswith("/crm/login")
    assert "Wrong user name" in client.post("login", user="clerk", **{"pass": "sun"})
    with pytest.raises(HTTPError, match="403"):
        client.post("login", token="other", user="clerk", **{"pass": "moon"})
    assert "64 customers" in client.sign_in()
    assert "Sign in" in client.post("logout") and "Sign in" in client.get("customers")


def test_a_search_is_the_servers_and_has_pages(client: Client) -> None:
    assert len({one.name for one in CUSTOMERS}) == len(CUSTOMERS) >= 60
    page = client.get("customers?q=ada+lovelace")
    assert page.index(">Ada Lovelace</a></td>") < page.index(">Ada Lovelock</a></td>") and "Page 1 of 2" in page
    assert "page=2" in page and "Page 2 of 2" in client.get("customers?q=ada+lovelace&page=2")
    assert json.loads(client.get("suggest?q=Ada+Lo")) == ["Ada Lovelace", "Ada Lovelock"]
    assert SERVICE not in client.get("customer/1003")
    assert SERVICE in client.get("customer/1003?page=2")
    with pytest.raises(HTTPError, match="404"):
        client.get("customer/9")


def test_a_ticket_is_stored_once_with_all_of_its_fields(client: Client) -> None:
    client.get("customer/1003?page=2")
    fields = {"customer": "1003", "order": "1003-14", "subject": "a <b>", "due": "2026-12-01", "category": "Repair"}
    page = client.post("ticket", **fields)
    assert client.address.endswith("/crm/ticket/T-2001?new=1")
    assert "Ticket T-2001 for Grace Hopper" in page and "a &lt;b&gt;" in page and "Ticket saved" in page
    assert "Ticket saved" not in client.get("ticket/T-2001") and "T-2001" in client.get("tickets")
    [ticket] = truth(client)["tickets"]
    assert fields.items() <= ticket.items() and ticket["notify"] == "" and truth(client)["clicks"] == []
    client.get("customer/1003")
    with pytest.raises(HTTPError, match="400"):
        client.post("ticket", customer="1003")
    assert len(truth(client)["tickets"]) == 1


def test_pages_look_as_the_address_or_the_server_says(client: Client) -> None:
    assert "is-moved" not in client.get("customers") and "<th>Name</th><th>Company" in client.page
    assert "is-moved" in client.get("customers?drift=moved,nonsense") and "<th>City</th>" in client.page
    assert "is-moved" in client.get("customer/1003")  # for the rest of the visit
    client.server.crm.drift = frozenset({"renamed", "banner"})
    page = client.get("customer/1003")
    assert "Save ticket" in page and "is-moved" in page and 'class="banner"' in page
    client.server.crm.drift = frozenset({"slow"})
    before = time.monotonic()
    client.get("tickets")
    assert time.monotonic() - before >= SLOW_SECONDS


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("expired", "session has expired"), ("maintenance", "503"), ("error", "500"), ("other", "<h1>Grace Hooper</h1>")],
)
def test_a_wrong_page_comes_in_place_of_a_right_one(client: Client, kind: str, shown: str) -> None:
    client.server.crm.wrong = (kind, "orders")
    assert "<h1>Grace Hopper</h1>" in client.get("customer/1003")
    if shown.isdecimal():
        with pytest.raises(HTTPError, match=shown):
            client.get("customer/1003?page=2")
    else:
        assert shown in client.get("customer/1003?page=2")


def test_each_server_has_a_store_of_its_own(client: Client) -> None:
    client.server.crm.pressed({"page": "login", "key": "user"})
    assert truth(client)["clicks"] == [{"page": "login", "key": "user"}]
    other = Server(crm=Crm(frozenset({"dark"})))
    assert other.crm.clicks == [] and "is-dark" in Client(other).page
    other.shutdown()
    other.server_close()
    client.server.crm.forget()
    assert truth(client) == {"tickets": [], "clicks": []}
