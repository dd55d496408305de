"""When is a page at rest? No DOM change and no request for a quiet window, and at most for so long.

What counts as a change: DOM mutations (shadow roots and iframes too), scrolling, finite animations that run. What is
pending: requests, navigations, windows that are about to open. A blinking caret, an endless spinner, a video and a
canvas that a timer draws on are none of these; nobody waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Runs in every document before the page's own scripts. `n` counts changes, `t` is the time of the last one.
WATCH: Final = """(() => {
  if (window.__showonce) return;
  const s = {n: 0, t: performance.now()};
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
    return root;
  };
  Object.defineProperty(window, '__showonce', {value: s});
})()"""

# What is drawn differently for a policy: see `style`.
STYLE: Final = """(css => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
})"""

# One look at a document and the iframes into which it may look:
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
    """How a page stands. changes: what two looks at it have to agree in for nothing to have happened in between.

    hidden: how many of its frames are of other origins. pinch: how far a person has zoomed into it with two fingers.
    """

    changes: tuple[float, ...]
    quiet_ms: float
    busy: bool
    hidden: int
    pinch: float

    @staticmethod
    def of(found: list[list[Any]]) -> PageState:
        """Put together what was seen in a page's document, and in those of its frames of other origins."""
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
