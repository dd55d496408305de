"""The named elements of a page with their boxes. A replay looks for them when the picture has changed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from showonce.environments.browser.geometry import View, offset_of
from showonce.environments.browser.hooks import LABEL
from showonce.environments.browser.session import BrowserSession
from showonce.types import Element

MOST: Final = 2000  # elements of one document at most
ELEMENTS_SECONDS: Final = 5.0
# [name, left, top, right, bottom, role]; roles follow WAI-ARIA, from the role attribute, else the tag.
_FIND: Final = """(most) => {
  const label = __LABEL__;
  const named = 'a,button,input,select,textarea,option,summary,label,[role],[onclick],h1,h2,h3,li,td,th,p,span,img';
  const byType = {checkbox: 'checkbox', radio: 'radio', range: 'slider', submit: 'button', button: 'button',
    reset: 'button', image: 'button', file: 'button', number: 'spinbutton', search: 'searchbox'};
  const byTag = {A: 'link', BUTTON: 'button', SELECT: 'combobox', TEXTAREA: 'textbox', SUMMARY: 'button',
    OPTION: 'option'};
  const role = e => e.getAttribute('role') || (e.tagName === 'INPUT' ? byType[e.type] || 'textbox' : byTag[e.tagName])
    || (e.hasAttribute('onclick') ? 'button' : '');
  const found = [];
  for (const e of document.querySelectorAll(named)) {
    const r = e.getBoundingClientRect();
    if (r.width < 1 || r.height < 1 || r.bottom < 0 || r.right < 0) continue;
    if (r.top > innerHeight || r.left > innerWidth) continue;
    if (!e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
    found.push([label(e), r.left, r.top, r.right, r.bottom, role(e)]);
    if (found.length >= most) break;
  }
  return found;
}"""


async def elements_of(session: BrowserSession, view: View) -> list[Element]:
    """Return the visible named elements of the page and its iframes, boxes in fractions of the frame of `view`.

    Runs on the owner's thread; `ELEMENTS_SECONDS` is enough. A document that does not answer is left out.
    """
    frames = session.tab.page.frames
    script = _FIND.replace("__LABEL__", LABEL)
    asked: list[Any] = await asyncio.gather(*(f.evaluate(script, MOST) for f in frames), return_exceptions=True)
    found = []
    for frame, told in zip(frames, asked, strict=True):
        if isinstance(told, BaseException):
            continue
        try:
            offset = await offset_of(frame)
        except Exception:  # the iframe has gone meanwhile
            continue
        for name, left, top, right, bottom, role in told:
            start = view.to_fraction(*offset.to_input(left, top))
            end = view.to_fraction(*offset.to_input(right, bottom))
            box = tuple(min(max(value, 0.0), 1.0) for value in (*start, *end))
            if name and box[0] < box[2] and box[1] < box[3]:
                found.append(Element(str(name), (box[0], box[1], box[2], box[3]), str(role)))
    return found
