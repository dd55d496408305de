"""The part of the demo site that a real HTTP server answers: forms by GET and POST, a session, redirects, a slow page.

It listens on a free port of 127.0.0.1, on a thread of this process, from the first time that one of its pages is asked
for. Forms carry a token of the session (CSRF); a POST without it gets 403. The sessions and their orders are in memory.
`crm` is its larger part, a customer database. By itself, for a browser or a command of another process:

    python -m showonce.environments.browser.site.server --port 8123 [--drift banner,slow] [--wrong expired,customer]
"""

from __future__ import annotations

import argparse
import json
import secrets
import threading
import time
from contextlib import suppress
from functools import cache
from html import escape
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from showonce.environments.browser.site.crm import DRIFTS, VIEWS, WRONG, Answer, Crm

SERVED: Final = ("crm", "find", "orders", "popup", "signin", "slow")
_FILES: Final = ("crm.css", "crm.js", "site.css", "site.js")
SLOW_SECONDS: Final = 3.0  # until the slow page is answered; ?seconds= sets another time
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="stylesheet" href="site.css"><title>{0}</title>'
    '<h1>{0}</h1>{1}<script src="site.js"></script>'
)
_SIGNIN: Final = (
    '<form method="post" action="signin">{token}<div data-shuffle><label>name <input name="user" autocomplete="off">'
    '</label><label>pass <input name="pass" type="password"></label></div><button>Sign in</button></form><p>{wrong}</p>'
)
_FIND: Final = (
    '<form action="find"><input name="q"><button>Search</button></form><p>{found}</p>'
    '<form action="slow"><button>Slow</button></form>'
    '<p><a href="orders">Orders</a> <a href="popup" target="_blank">Window</a> <a href="receipt.txt">Receipt</a> '
    '<a href="#end">End</a></p><p id="end"></p>'
)
_ORDERS: Final = (
    "<p>{user}: {orders}</p>"
    '<form method="post" action="orders">{token}<input name="order"><button>Order</button></form>'
)
_POPUP: Final = '<form method="post" action="popup">{token}<button>Close</button></form>'


class _Handler(BaseHTTPRequestHandler):
    """Answers one request. Sessions: cookie -> user ("" before the sign-in) and orders; looks: -> `?drift=`."""

    sessions: Final[dict[str, tuple[str, list[str]]]] = {}
    looks: Final[dict[str, frozenset[str]]] = {}
    server: Server

    def do_GET(self) -> None:  # the method names are http.server's
        parts = urlsplit(self.path)
        page, query = parts.path.strip("/"), _fields(parts.query)
        if page in _FILES:
            kind = "text/css" if page.endswith(".css") else "text/javascript"
            self._answer(Path(__file__).with_name(page).read_text("utf-8"), kind=kind)
        elif page.partition("/")[0] == "crm":
            token, (user, _) = self._session()
            if "drift" in query:
                self.looks[token] = frozenset(query["drift"].split(",")) & frozenset(DRIFTS)
            look = self.looks.get(token, frozenset())
            self._crm(self.server.crm.get(page.partition("/")[2], query, user, token, look), token)
        elif page == "receipt.txt":
            self._answer("receipt", kind="text/plain", more={"Content-Disposition": "attachment"})
        elif page not in SERVED:
            self._answer("no such page", 404)
        else:
            self._page(page, query)

    def do_POST(self) -> None:
        page = urlsplit(self.path).path.strip("/")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("utf-8")
        if page == "crm/click":
            self.server.crm.pressed(json.loads(body))
            self._answer("", 204)
            return
        fields = _fields(body)
        token, (user, orders) = self._session()
        if fields.get("token") != token:
            self._answer("wrong token", 403)
        elif page.startswith("crm/"):
            look = self.looks.get(token, frozenset())
            self._crm(self.server.crm.post(page.partition("/")[2], fields, user, token, look), token)
        elif page == "signin" and (fields.get("user", "").strip().lower(), fields.get("pass")) == ("ada", "sun"):
            self.sessions[token] = ("ada", orders)
            self._answer("", 303, more={"Location": "orders"})
        elif page == "signin":
            self._page(page, {}, wrong="Wrong name or pass")
        elif page == "popup":
            self._answer("<script>close()</script>")
        elif user:
            orders.append(fields.get("order", ""))
            self._answer("", 303, more={"Location": "orders"})
        else:
            self._answer("", 303, more={"Location": "signin"})

    def _page(self, page: str, query: dict[str, str], wrong: str = "") -> None:
        token, (user, orders) = self._session()
        hidden = f'<input type="hidden" name="token" value="{token}">'
        cookie = {"Set-Cookie": f"session={token}; HttpOnly; SameSite=Lax; Path=/"}
        if page == "orders" and not user:
            self._answer("", 303, more={"Location": "signin", **cookie})
            return
        if page == "slow":
            time.sleep(min(float(query.get("seconds", SLOW_SECONDS)), 60.0))
        found = f"found {escape(query['q'])}" if "q" in query else ""
        bodies = {"find": _FIND, "orders": _ORDERS, "popup": _POPUP, "signin": _SIGNIN, "slow": "here at last"}
        body = bodies[page].format(
            token=hidden, wrong=wrong, user=user, orders=escape(", ".join(orders)) or "no orders", found=found
        )
        self._answer(_PAGE.format(page, body), more=cookie)

    def _crm(self, answer: Answer, token: str) -> None:
        """Send what the customer database answers, and note who is signed in."""
        if answer.user is not None:
            self.sessions[token] = (answer.user, self.sessions[token][1])
        more = {"Set-Cookie": f"session={token}; HttpOnly; SameSite=Lax; Path=/", "Cache-Control": "no-store"}
        if answer.location:
            more["Location"] = answer.location
        self._answer(answer.body, answer.status, answer.kind, more)

    def _session(self) -> tuple[str, tuple[str, list[str]]]:
        """Return the request's session; a request without one gets a new one."""
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        token = cookie.value if cookie is not None and cookie.value in self.sessions else secrets.token_hex(16)
        return token, self.sessions.setdefault(token, ("", []))

    def _answer(
        self, text: str, status: int = 200, kind: str = "text/html", more: dict[str, str] | None = None
    ) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # the browser went on to another page meanwhile
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing to the terminal."""


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a form as it is sent; the last value of each name."""
    return {key: values[-1] for key, values in parse_qs(text, keep_blank_values=True).items()}


class Server(ThreadingHTTPServer):
    """The server, on a port of 127.0.0.1 (0: any that is free). crm: its customer database and that one's store."""

    daemon_threads = True

    def __init__(self, port: int = 0, crm: Crm | None = None) -> None:
        self.crm = crm or Crm()
        super().__init__(("127.0.0.1", port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.1,), name="showonce-site", daemon=True).start()

    @property
    def address(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"


@cache
def address() -> str:
    """Start the server if it is not running yet; return its address, without a slash at the end."""
    return Server().address


def main() -> None:
    """Serve the pages until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--drift", default="", help=f"how pages look: some of {', '.join(DRIFTS)}")
    parser.add_argument(
        "--wrong", default="", help=f"KIND,PAGE: one of {', '.join(WRONG)} in place of one of {', '.join(VIEWS)}"
    )
    given = parser.parse_args()
    drift, wrong = frozenset(filter(None, given.drift.split(","))), tuple(filter(None, given.wrong.split(",")))
    if not drift <= {*DRIFTS} or (wrong and (len(wrong) != 2 or wrong[0] not in WRONG or wrong[1] not in VIEWS)):
        parser.error("unknown drift, or unknown wrong page")
    print(f"{Server(given.port, Crm(drift, wrong)).address}/crm", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
