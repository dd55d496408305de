"""Address, title and words of a page, for the safety rules, which ask right before an action.

Whatever cannot be read (an element that does not answer, a closed document) is None.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from showonce.environments.browser.geometry import View, offset_of
from showonce.environments.browser.session import BrowserSession
from showonce.types import ScreenFacts

if TYPE_CHECKING:
    from playwright.async_api import Frame

FACTS_SECONDS: Final = 5.0
APPLICATION: Final = "chromium"
# The words of an element that is pressed: its own names, those of the link, button or label that contains it, and its
# text if it is at most 80 characters long.
_WORDS: Final = """const words = e => {
  const bits = [];
  const take = n => { if (!n) return;
    for (const a of ['aria-label', 'title', 'alt', 'placeholder', 'value', 'name']) {
      if (a !== 'value' || ['submit', 'button', 'reset', 'image'].includes(n.type)) bits.push(n.getAttribute(a) || '');
    }
    if (n.labels) for (const l of n.labels) bits.push(l.innerText || '');
    const text = n.innerText || '';
    const ground = n === document.body || n === document.documentElement;
    const own = [...n.childNodes].filter(c => c.nodeType === 3).map(c => c.data).join(' ');
    bits.push(text.length <= 80 && !ground ? text : own);
  };
  take(e);
  const part = e.closest && e.closest('a,button,label,summary,option,select,[role],[onclick]');
  if (part !== e) take(part);
  return bits.join(' ').replace(/\\s+/g, ' ').trim().slice(0, 400);
};"""
# The innermost element at a place, through open shadow roots; null for an iframe, whose document is asked instead.
_AT: Final = f"""([x, y]) => {{ {_WORDS}
  let e = document.elementFromPoint(x, y);
  while (e && e.shadowRoot && e.shadowRoot.elementFromPoint(x, y) && e.shadowRoot.elementFromPoint(x, y) !== e)
    e = e.shadowRoot.elementFromPoint(x, y);
  if (!e) return '';
  return ['IFRAME', 'FRAME', 'OBJECT', 'EMBED'].includes(e.tagName) ? null : words(e);
}}"""
_IS_AT: Final = "(e, [x, y]) => e.ownerDocument.elementFromPoint(x, y) === e"
# The words of what Enter and Space press: the element with the focus, and the button that submits its form.
_FOCUSED: Final = f"""() => {{ {_WORDS}
  let e = document.activeElement;
  while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
  if (!e || e === document.body || e === document.documentElement) return '';
  if (['IFRAME', 'FRAME', 'OBJECT', 'EMBED'].includes(e.tagName)) return null;
  const sends = e.form ? [...e.form.querySelectorAll('button:not([type=button]):not([type=reset]),[type=submit]')] : [];
  return [e, ...sends].map(words).join(' ').trim();
}}"""
_STATUS: Final = "() => String((performance.getEntriesByType('navigation')[0] || {}).responseStatus || '')"
_HAS_FOCUS: Final = "e => e.ownerDocument.activeElement === e"


async def facts_of(session: BrowserSession, view: View, at: Sequence[tuple[float, float]]) -> ScreenFacts:
    """Return address, title and the words under places of the frame (fractions of it) and of what has the focus.

    Runs on the owner's thread; `FACTS_SECONDS` is enough. What does not answer is None.
    """
    page, content = session.tab.page, (0.0, 0.0, 1.0, 1.0)
    if session.modal is not None:
        said = session.modal.words
        return ScreenFacts(page.url, None, APPLICATION, (said,) * len(at), said, content)
    top = page.main_frame
    near = [await _known(_words_at(top, view.to_input(x, y))) for x, y in at]
    status = await _known(top.evaluate(_STATUS)) or ""
    return ScreenFacts(
        page.url, await _known(page.title()), APPLICATION, tuple(near), await _known(_focused(top)), content,
        int(status) if status.isdigit() else None,
    )  # fmt: skip


async def _known(asked: Any) -> str | None:
    """Return a text that was asked for; None when there is no answer in time, or no text."""
    from playwright.async_api import Error

    with contextlib.suppress(Error, asyncio.TimeoutError):
        told = await asyncio.wait_for(asked, FACTS_SECONDS / 2)
        return told if isinstance(told, str) else None
    return None


async def _words_at(frame: Frame, place: tuple[float, float]) -> str | None:
    offset = await offset_of(frame)
    here = [(place[0] - offset.x) / offset.factor_x, (place[1] - offset.y) / offset.factor_y]
    told = await frame.evaluate(_AT, here)
    if told is None:
        for child in frame.child_frames:
            if await (await child.frame_element()).evaluate(_IS_AT, here):
                return await _words_at(child, place)
    return told if isinstance(told, str) else None


async def _focused(frame: Frame) -> str | None:
    told = await frame.evaluate(_FOCUSED)
    if told is None:
        for child in frame.child_frames:
            if await (await child.frame_element()).evaluate(_HAS_FOCUS):
                return await _focused(child)
    return told if isinstance(told, str) else None
