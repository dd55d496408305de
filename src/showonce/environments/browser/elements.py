"""What can be used on a page: links, buttons, fields and whatever else reacts, with the places where they are seen."""

from __future__ import annotations

from typing import Any, Final

from showonce.environments.browser.geometry import Offset, View
from showonce.types import Element

MOST: Final = 400  # of one document
MOST_WORDS: Final = 80  # characters of one element's text

# Interactive elements of a document that are seen in its own window and not covered, as [left, top, right, bottom,
# role, text].
# Roles follow WAI-ARIA, as far as the tag or the role attribute tells.
ELEMENTS: Final = """() => {
  const kinds = 'a[href],button,input:not([type=hidden]),select,textarea,summary,option,[role=button],[role=link],' +
    '[role=checkbox],[role=radio],[role=tab],[role=menuitem],[role=option],[role=switch],[role=slider],' +
    '[role=textbox],[contenteditable=""],[contenteditable=true],[onclick],[tabindex]:not([tabindex="-1"])';
  const byType = {checkbox: 'checkbox', radio: 'radio', range: 'slider', submit: 'button', button: 'button',
    reset: 'button', image: 'button', file: 'button', number: 'spinbutton', search: 'searchbox'};
  const byTag = {A: 'link', BUTTON: 'button', SELECT: 'combobox', TEXTAREA: 'textbox', SUMMARY: 'button',
    OPTION: 'option'};
  const found = [];
  const see = root => {
    for (const e of root.querySelectorAll('*')) {
      if (e.shadowRoot) see(e.shadowRoot);
      if (found.length >= MOST || !e.matches(kinds)) continue;
      const r = e.getBoundingClientRect();
      if (r.width < 2 || r.height < 2 || r.right <= 0 || r.bottom <= 0 ||
          r.left >= innerWidth || r.top >= innerHeight) continue;
      if (!e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
      const x = (Math.max(r.left, 0) + Math.min(r.right, innerWidth)) / 2;
      const y = (Math.max(r.top, 0) + Math.min(r.bottom, innerHeight)) / 2;
      const top = root.elementFromPoint ? root.elementFromPoint(x, y) : null;
      if (top && top !== e && !e.contains(top) && !top.contains(e)) continue;
      const kind = e.tagName === 'INPUT' ? byType[e.type] || 'textbox' : byTag[e.tagName];
      const role = e.getAttribute('role') || kind || '';
      const label = e.labels && e.labels[0] ? e.labels[0].innerText : '';
      const own = e.tagName === 'SELECT' ? (e.selectedOptions[0] || {}).text : e.tagName === 'INPUT' &&
        ['submit', 'button', 'reset'].includes(e.type) ? e.value : e.innerText;
      const words = e.getAttribute('aria-label') || label || own || e.placeholder || e.title || e.alt || '';
      found.push([r.left, r.top, r.right, r.bottom, role, words.replace(/\\s+/g, ' ').trim().slice(0, WORDS)]);
    }
  };
  see(document);
  return found;
}""".replace("MOST", str(MOST)).replace("WORDS", str(MOST_WORDS))


def placed(told: list[list[Any]], offset: Offset, view: View) -> list[Element]:
    """Return the elements of one document that are seen in the frame, cut to it. told: what `ELEMENTS` says."""
    found = []
    for left, top, right, bottom, role, words in told:
        x0, y0 = view.to_fraction(*offset.to_input(float(left), float(top)))
        x1, y1 = view.to_fraction(*offset.to_input(float(right), float(bottom)))
        x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)
        if x0 < x1 and y0 < y1:
            found.append(Element((x0, y0, x1, y1), str(role), str(words)))
    return found


def in_reading_order(elements: list[Element]) -> tuple[Element, ...]:
    """Sort by rows, then from left to right; what is about level stands in one row."""
    return tuple(sorted(elements, key=lambda e: (round((e.region[1] + e.region[3]) * 20), e.region[0])))
