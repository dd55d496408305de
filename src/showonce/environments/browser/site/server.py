"""The part of the demo site that a real HTTP server answers: forms by GET and POST, a session, redirects, a slow page.

It listens on a free port of 127.0.0.1, on a thread of this process, from the first time that one of its pages is asked
for. Forms carry a token of the session (CSRF); a POST without it gets 403. The sessions and their orders are in memory.
"""

from __future__ import annotations

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

SERVED: Final = ("find", "orders", "popup", "signin", "slow")
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
    """Answers one request. Sessions: cookie -> user ("" before the sign-in) and orders."""

    sessions: Final[dict[str, tuple[str, list[str]]]] = {}

    def do_GET(self) -> None:  # the method names are http.server's
        parts = urlsplit(self.path)
        page, query = parts.path.strip("/"), _fields(parts.query)
        if page in ("site.css", "site.js"):
            kind = "text/css" if page == "site.css" else "text/javascript"
            self._answer(Path(__file__).with_name(page).read_text("utf-8"), kind=kind)
        elif page == "receipt.txt":
            self._answer("receipt", kind="text/plain", more={"Content-Disposition": "attachment"})
        elif page not in SERVED:
            self._answer("no such page", 404)
        else:
            self._page(page, query)

    def do_POST(self) -> None:
        page = urlsplit(self.path).path.strip("/")
        fields = _fields(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("utf-8"))
        token, (user, orders) = self._session()
        if fields.get("token") != token:
            self._answer("wrong token", 403)
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


@cache
def address() -> str:
    """Start the server if it is not running yet; return its address, without a slash at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, name="showonce-site", daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
