"""Whether an address is one of the allowed ones. Part by part, so that no trick in one part passes for another.

A pattern is ``[scheme://]host[:port][/path]``, each part a shell pattern. Without a scheme it means http and https,
without a port the usual one of the scheme, without a path every path: ``*.example.com``, ``localhost:8000/demo/*``,
``file:///home/me/site/*``, ``about:blank``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote, urlsplit

WEB: Final = ("http", "https", "ws", "wss")
PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


@dataclass(frozen=True)
class Address:
    """The parts that a pattern is compared with. path: unquoted, without `..`, with its query."""

    scheme: str
    host: str
    port: str
    path: str


def parse(url: str) -> Address | None:
    """Return the parts of an address as a browser would read it; None when it has no scheme or cannot be read.

    Browsers drop tabs and line ends, and read a backslash as a slash in web addresses; what stands before an @ is a
    user's name and not the host.
    """
    text = re.sub(r"[\t\r\n]", "", url).strip()
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        return None
    if scheme in (*WEB, "file"):
        rest = rest.replace("\\", "/")
    elif not rest.startswith("//"):
        return Address(scheme, "", "", rest)
    try:
        parts = urlsplit(f"{scheme}:{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if scheme in WEB and not host:
        return None
    path = _plain_path(parts.path) + (f"?{parts.query}" if parts.query else "")
    return Address(scheme, host.rstrip("."), str(port) if port else PORTS.get(scheme, ""), path)


def _plain_path(path: str) -> str:
    """Return a path unquoted and without `.` and `..`, so that it means what it says."""
    plain = unquote(path) or "/"
    while plain != unquote(plain):
        plain = unquote(plain)
    plain = plain.replace("\\", "/")
    clean = posixpath.normpath("/" + plain.lstrip("/"))
    return clean if clean == "/" or not plain.endswith("/") else clean + "/"


def allowed(url: str, patterns: Iterable[str]) -> bool:
    """Say whether an address matches one of the patterns; one that cannot be read matches none."""
    address = parse(url)
    return address is not None and any(_matches(address, pattern) for pattern in patterns)


def _matches(address: Address, pattern: str) -> bool:
    scheme, separator, rest = pattern.strip().partition("://")
    if not separator:
        scheme, rest = "", pattern.strip()
        if address.scheme not in ("http", "https"):  # about:blank, data:...
            whole = f"{address.scheme}:{address.path}"
            return not address.host and ":" in rest and fnmatchcase(whole, rest)
    host, slash, path = rest.partition("/")
    parts = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", host)
    name, port = (parts[1], parts[2]) if parts else (host, None)
    return (
        fnmatchcase(address.scheme, scheme.lower() or "*")
        and fnmatchcase(address.host, name.lower().strip("[]"))
        and fnmatchcase(address.port, PORTS.get(address.scheme, "") if port is None else port)
        and fnmatchcase(address.path, f"/{path}" if slash else "*")
    )
