"""Which field of a page has the focus, whose document it stands in, and where fields for secrets lie.

Asked before a secret is typed and after each frame of a run that has secrets. The origin is read from the browser's own
addresses of documents, which a page cannot forge. Closed shadow roots are looked into through DevTools.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from showonce.environments.browser.addresses import OPAQUE, origin_of
from showonce.environments.browser.describe import DESCRIBE
from showonce.environments.browser.documents import shadow_roots
from showonce.environments.browser.geometry import Offset, View, offset_of
from showonce.environments.browser.secret_fields import secret_field
from showonce.environments.browser.session import BrowserSession
from showonce.secrets import NOWHERE, Places
from showonce.types import Field, Region

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Frame, Page

SECRETS_SECONDS: Final = 10.0
NOTHING: Final = Field("", "", False)

# A field that once could hold a secret goes on to do so, whatever its type becomes.
_HELPERS: Final = """const may = __SECRET_FIELD__;
  if (!window.__showonce_once) Object.defineProperty(window, '__showonce_once', {value: new WeakSet()});
  const once = window.__showonce_once;
  const fields = ['input,textarea,select,[contenteditable],[role=textbox]', ...may.marked].join();
  const whole = e => {
    while (e.isContentEditable && e.parentElement && e.parentElement.isContentEditable) e = e.parentElement;
    return e;
  };
  const secret = e => {
    e = whole(e);
    if (!once.has(e) && !may(e)) return false;
    once.add(e);
    return true;
  };
  const focused = root => {
    let e = root.activeElement;
    while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
    return e;
  };
  const hosts = /-|^(ARTICLE|ASIDE|BLOCKQUOTE|DIV|FOOTER|H[1-6]|HEADER|MAIN|NAV|P|SECTION|SPAN)$/;
  const editable = e => ['INPUT', 'TEXTAREA', 'SELECT'].includes(e.tagName) || e.isContentEditable;
  const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const held = root => {
    const found = [], walk = r => { for (const e of r.querySelectorAll('*')) {
      if (e.shadowRoot) walk(e.shadowRoot);
      if (e.matches(fields) && secret(e)) found.push(e);
    } };
    walk(root);
    return found;
  };"""
_TOLD: Final = f"""{_HELPERS}
  const label = {DESCRIBE}(e => e.shadowRoot, () => false).label;
  const named = e => e.isContentEditable ? e.getAttribute('aria-label') || e.getAttribute('title') || '' : label(e);
  const told = e => ({{secret: secret(e), name: named(e), box: box(e),
    opaque: hosts.test(e.tagName) && !e.shadowRoot && !editable(e)}});"""
# {secret, name, opaque} of the element with the focus; null for a frame, whose document is asked instead.
_FOCUSED: Final = f"""() => {{ {_TOLD}
  const e = focused(document);
  if (!e || e === document.documentElement) return {{secret: false, name: '', opaque: false}};
  if (['IFRAME', 'FRAME', 'OBJECT', 'EMBED'].includes(e.tagName)) return null;
  return told(e);
}}"""
# The same for a closed shadow root; null where the focus is not in it.
_FOCUSED_IN: Final = f"""function(url) {{ {_TOLD}
  if (this.ownerDocument.location.href !== url) return null;
  for (let root = this; root instanceof ShadowRoot; root = root.host.getRootNode())
    if (root.host.getRootNode().activeElement !== root.host) return null;
  const e = focused(this);
  return e && told(e);
}}"""
_HELD: Final = f"""() => {{ {_HELPERS}
  return held(document).map(box).filter(r => r[0] < r[2] && r[1] < r[3]);
}}"""
_HELD_IN: Final = f"function() {{ {_HELPERS}\n  return held(this); }}"
IS_SELECTOR: Final = """selector => {
  try { document.createDocumentFragment().querySelector(selector); return true; } catch (e) { return false; }
}"""
_HAS_FOCUS: Final = "e => e.ownerDocument.activeElement === e || e.getRootNode().activeElement === e"


def _script(text: str, secrets: Places) -> str:
    return text.replace("__SECRET_FIELD__", secret_field(secrets.selectors))


async def focused_field(session: BrowserSession, view: View, secrets: Places = NOWHERE) -> Field:
    """Return the field that has the focus. What does not answer, or cannot be looked into, counts as secret.

    Runs on the owner's thread; `SECRETS_SECONDS` is enough.
    """
    if session.modal is not None:
        return NOTHING
    return await _focused(session.tab.page.main_frame, view, secrets)


async def _focused(frame: Frame, view: View, secrets: Places) -> Field:
    from playwright.async_api import Error

    origin = origin_of(frame)
    try:
        told = await asyncio.wait_for(frame.evaluate(_script(_FOCUSED, secrets)), SECRETS_SECONDS / 4)
        if told is None:
            for child in frame.child_frames:
                element = await asyncio.wait_for(child.frame_element(), SECRETS_SECONDS / 4)
                if await asyncio.wait_for(element.evaluate(_HAS_FOCUS), SECRETS_SECONDS / 4):
                    return await _focused(child, view, secrets)
            return Field("", OPAQUE, True)
        if told["opaque"]:
            told = await _focused_in_closed(frame, secrets) or told
        place = region_of(told["box"], await offset_of(frame), view) if "box" in told else None
    except (Error, TimeoutError):
        return Field("", origin, True)
    return Field(str(told["name"]), origin, bool(told["secret"]) or _within(place, secrets))


def _within(place: Region | None, secrets: Places) -> bool:
    """Whether the middle of a place of the frame lies in one of the regions that hold secrets."""
    x, y = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2) if place is not None else (-1.0, -1.0)
    return any(a <= x <= c and b <= y <= d for a, b, c, d in secrets.regions)


async def _focused_in_closed(frame: Frame, secrets: Places) -> Mapping[str, Any] | None:
    """Return what has the focus in the innermost of a document's closed shadow roots; None when it is in none."""
    told: Mapping[str, Any] | None = None
    script = _script(_FOCUSED_IN, secrets)
    async with _devtools(frame) as cdp:
        async for root in _closed_roots(cdp):
            asked = {"functionDeclaration": script, "arguments": [{"value": frame.url}], "returnByValue": True}
            found = await cdp.send("Runtime.callFunctionOn", {"objectId": root, **asked})
            if value := found["result"].get("value"):
                told = value
                if not value["opaque"]:
                    break
    return told


async def secret_boxes(session: BrowserSession, view: View, secrets: Places = NOWHERE) -> list[Region]:
    """Return where fields for secrets lie, in fractions of the frame of `view`.

    Of a document that does not answer it is the place of its whole frame.
    """
    if session.modal is not None:
        return []
    page, found = session.tab.page, list(secrets.regions)
    held, held_in = _script(_HELD, secrets), _script(_HELD_IN, secrets)
    for frame in page.frames:
        with contextlib.suppress(Exception):  # the frame has gone meanwhile
            offset = await offset_of(frame)
            try:
                boxes = await asyncio.wait_for(frame.evaluate(held), SECRETS_SECONDS / 4)
            except Exception:
                offset, box = Offset(), await (await frame.frame_element()).bounding_box()
                boxes = [] if box is None else [[box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]]
            found += [region for box in boxes if (region := region_of(box, offset, view)) is not None]
    for frame in await _processes(page):
        with contextlib.suppress(Exception):
            offset = await offset_of(frame)
            async with _devtools(frame) as cdp:
                quads = [box async for root in _closed_roots(cdp) for box in await _boxes_in(cdp, root, held_in)]
            found += [region for box in quads if (region := region_of(box, offset, view)) is not None]
    return found


async def _boxes_in(cdp: CDPSession, root: str, script: str) -> list[list[float]]:
    """Return the boxes of the fields for secrets in a closed shadow root, from the corner of the process's document."""
    held = await cdp.send("Runtime.callFunctionOn", {"objectId": root, "functionDeclaration": script})
    listed = await cdp.send("Runtime.getProperties", {"objectId": held["result"]["objectId"], "ownProperties": True})
    boxes = []
    for item in listed["result"]:
        if item["name"].isdigit():
            with contextlib.suppress(Exception):  # it is not drawn
                model = await cdp.send("DOM.getBoxModel", {"objectId": item["value"]["objectId"]})
                x, y = model["model"]["border"][::2], model["model"]["border"][1::2]
                boxes.append([min(x), min(y), max(x), max(y)])
    return boxes


async def _closed_roots(cdp: CDPSession) -> AsyncIterator[str]:
    """Yield the DevTools objects of all closed shadow roots of the documents of one process."""
    document = await cdp.send("DOM.getDocument", {"depth": -1, "pierce": True})
    for _, node in shadow_roots(document["root"], "", ("closed",)):
        with contextlib.suppress(Exception):
            yield (await cdp.send("DOM.resolveNode", {"backendNodeId": node}))["object"]["objectId"]


async def _processes(page: Page) -> list[Frame]:
    """Return the main frame, and the frames whose documents run in processes of their own."""
    found = [page.main_frame]
    for frame in page.frames[1:]:
        with contextlib.suppress(Exception):
            await (await page.context.new_cdp_session(frame)).detach()
            found.append(frame)
    return found


@contextlib.asynccontextmanager
async def _devtools(frame: Frame) -> AsyncIterator[CDPSession]:
    """Give a DevTools session of the process that a frame's document runs in."""
    try:
        cdp = await frame.page.context.new_cdp_session(frame)
    except Exception:  # it shares that of its page
        cdp = await frame.page.context.new_cdp_session(frame.page)
    try:
        yield cdp
    finally:
        with contextlib.suppress(Exception):
            await cdp.detach()


def region_of(box: Sequence[float], offset: Offset, view: View) -> Region | None:
    """Return a box of a document as fractions of the frame; None when it is not shown."""
    left, top = view.to_fraction(*offset.to_input(box[0], box[1]))
    right, bottom = view.to_fraction(*offset.to_input(box[2], box[3]))
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in (left, top, right, bottom))
    return (left, top, right, bottom) if left < right and top < bottom else None
