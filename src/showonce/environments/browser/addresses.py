"""The address of what is to be opened: a URL, a file of this machine, or a page of the demo site in the package."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from showonce.environments.browser.site import server
from showonce.errors import BadInput, nearest

if TYPE_CHECKING:
    from playwright.async_api import Frame

SITE: Final = "http://site.showonce"  # a Playwright route answers it from the package: no server, no network
FOLDER: Final = Path(str(resources.files("showonce.environments.browser") / "site"))
_SCHEMES: Final = ("http://", "https://", "file://", "data:", "about:")
_HOST: Final = re.compile(r"(localhost|[\w-]+(\.[\w-]+)*\.[a-z]{2,})(:\d+)?(/.*)?", re.IGNORECASE)


def site_pages() -> tuple[str, ...]:
    """Return the names of the demo site's pages that are files; `site.server` answers others."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.html")))


def address_of(target: str, seed: int | None = None) -> str:
    """Return the address of a task's start or of an `open` action; ``{seed}`` in it becomes the seed.

    Raises:
        BadInput: neither an address nor a file nor a page of the demo site.
    """
    text = target.strip().replace("{seed}", str(seed or 0))
    if text.startswith("site:"):
        page, mark, query = text.removeprefix("site:").partition("?")
        name, known = page.removesuffix(".html") or "index", (*site_pages(), *server.SERVED)
        if name not in known:
            raise BadInput(f"the demo site has no page {name!r}.{nearest(name, known)}")
        if name in server.SERVED:
            return f"{server.address()}/{name}{mark}{query}"
        return f"{SITE}/{name}.html{mark}{query}"
    if text.lower().startswith(_SCHEMES):
        return text
    path = Path(text).expanduser()
    if text and path.is_file():
        return path.resolve().as_uri()
    if _HOST.fullmatch(text):
        return f"{'http' if text.startswith('localhost') else 'https'}://{text}"
    raise BadInput(
        f"{target!r} cannot be opened in a browser: it is neither an address (https://...), nor a file that is there, "
        f"nor a page of the demo site (site:{', site:'.join((*site_pages(), *server.SERVED))})."
    )


OPAQUE: Final = "null"  # the origin of a document without one, as browsers spell it


def origin_at(address: str) -> str | None:
    """Return scheme, host and port of an address, or ``file://``; None of a blank document, whose origin is inherited.

    Example:
        >>> origin_at("https://anna@bank.example:8443/in?x"), origin_at("about:srcdoc"), origin_at("data:text/html,x")
        ('https://bank.example:8443', None, 'null')
    """
    parts = urlsplit(address.removeprefix("blob:"))
    if parts.scheme == "file":
        return "file://"
    if parts.scheme in ("about", ""):
        return None
    if not parts.hostname:
        return OPAQUE
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")


def origin_of(frame: Frame) -> str:
    """Return whose document a frame shows; of a blank one, that of the frame around it."""
    found = origin_at(frame.url)
    if found is None:
        return OPAQUE if frame.parent_frame is None else origin_of(frame.parent_frame)
    return found
