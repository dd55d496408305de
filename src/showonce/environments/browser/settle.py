"""Decides when a page is at rest: no change and nothing pending during a quiet window.

Changes are DOM mutations (in shadow roots and iframes too), scrolling and running finite animations. Pending are
requests, navigations, and windows about to open. Not waited for: a blinking caret, an endless spinner, a video, a
canvas that a timer draws on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from showonce.environments.browser.describe import ASK

# Runs in every document before its own scripts. `n` counts changes, `t` is the time of the last one. `hears`: does
# the page listen for clicks on an element; `roots`: all shadow roots that scripts made, by their hosts (`describe`).
WATCH: Final = """(() => {
  if (window.__showonce) return;
  const s = {n: 0, t: performance.now(), roots: new WeakMap()};
  const heard = new WeakSet();
  const kinds = new Set(['click', 'dblclick', 'mousedown', 'mouseup', 'pointerdown', 'pointerup']);
  const listen = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (kind, listener) {
    if (this && this.nodeType === 1 && listener && kinds.has(kind)) heard.add(this);
    return listen.apply(this, arguments);
  };
  s.hears = e => heard.has(e) || [e.onclick, e.onmousedown, e.onpointerdown].some(f => typeof f === 'function');
  const answer = e => {
    if (s.hears(e.composedPath()[0])) e.preventDefault();
    e.stopImmediatePropagation();
  };
  listen.call(window, '__ASK__', answer, true);
  const bump = () => { s.n++; s.t = performance.now(); };
  const how = {subtree: true, childList: true, attributes: true, characterData: true};
  s.seen = new MutationObserver(bump);
  s.look = () => { if (s.seen.takeRecords().length) bump(); };
  s.seen.observe(document, how);
  addEventListener('scroll', bump, {capture: true, passive: true});
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options);
    s.seen.observe(root, how);
    s.roots.set(this, root);
    listen.call(root, '__ASK__', answer, true);
    return root;
  };
  Object.defineProperty(window, '__showonce', {value: s});
})()""".replace("__ASK__", ASK)

# Adds CSS to a document: see `style`.
STYLE: Final = """(css => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
})"""

# State of a document and of the iframes of its origin:
# [origin, changes, quiet ms, animating, ready, hidden, pinch].
STATE: Final = """(() => {
  let n = 0, quiet = Infinity, moving = false, ready = true, hidden = 0;
  const visit = w => {
    let s, d;
    try { s = w.__showonce; d = w.document; } catch (e) { hidden++; return; }
    if (s) { s.look(); n += s.n; quiet = Math.min(quiet, w.performance.now() - s.t); }
    if (d) {
      ready = ready && d.readyState === 'complete';
      moving = moving || d.getAnimations().some(a => a.playState === 'running' && a.effect
        && a.effect.getComputedTiming().endTime !== Infinity);
    }
    for (let i = 0; i < w.length; i++) visit(w[i]);
  };
  visit(window);
  return [performance.timeOrigin, n, quiet === Infinity ? 1e9 : quiet, moving, ready, hidden,
    window.visualViewport ? visualViewport.scale : 1];
})()"""


@dataclass(frozen=True)
class PageState:
    """State of a page. changes: equal in two states if nothing changed in between.

    hidden: number of its frames of other origins. pinch: factor by which a person has zoomed with two fingers.
    """

    changes: tuple[float, ...]
    quiet_ms: float
    busy: bool
    hidden: int
    pinch: float

    @staticmethod
    def of(found: list[list[Any]]) -> PageState:
        """Combine the states of a page's document and of its frames of other origins."""
        return PageState(
            tuple(float(value) for one in found for value in (*one[:2], one[6])),
            min(float(one[2]) for one in found),
            any(one[3] or not one[4] for one in found),
            int(found[0][5]),
            float(found[0][6]),
        )


def style(caret: bool, selects: bool) -> str:
    """Return the CSS that is laid over every page.

    selects: a native list opens outside of the page, where synthetic clicks do not reach it; `base-select` makes it
    part of the page. The same goes for the calendar of a date field, whose button is taken away: digits can be typed.
    """
    rules = [] if caret else ["* { caret-color: transparent !important; }"]
    if selects:
        rules.append(
            "select:not([multiple]):not([size]), ::picker(select) { appearance: base-select; }"
            "input::-webkit-calendar-picker-indicator { display: none !important; }"
        )
    return "\n".join(rules)
