"""Which moves of the pointer opened what is pressed: a JavaScript function for the recorder's hook.

It keeps, for every element, at which place of the pointer the element was first seen visible since the last press, key
or turn of the wheel. What is pressed and was not visible then, but first at a later place, was opened by the pointer
at that place; the element under that place may have been opened in turn (a menu in a menu). Elements are looked at 60,
350 and 900 ms after the pointer entered another element, because a script may open its menu late.
"""

from __future__ import annotations

from typing import Final

HOVER: Final = """(roots => {
  const few = 'a,button,input,select,textarea,label,summary,option,li,td,[role],[onclick],[tabindex]', LIMIT = 3000;
  let seen = new WeakMap(), places = [{time: 0, x: -1, y: -1, e: null}], timers = [], based = false;
  const shown = e => {
    const r = e.getBoundingClientRect();
    return r.width > 0 && r.height > 0 && r.right > 0 && r.bottom > 0 && r.left < innerWidth && r.top < innerHeight
      && e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  };
  const scan = at => {
    const number = at === undefined ? places.length - 1 : at;
    based = true;
    for (const root of [document, ...roots()]) {
      let found = root.querySelectorAll('*');
      if (found.length > LIMIT) found = root.querySelectorAll(few);
      for (const e of found) if (!seen.has(e) && shown(e)) seen.set(e, number);
    }
  };
  const later = () => {
    timers.forEach(clearTimeout);
    timers = [60, 350, 900].map(ms => setTimeout(scan, ms));
  };
  const up = e => e.parentElement || (e.getRootNode() && e.getRootNode().host) || null;
  const place = e => {  // where the pointer was when `e`, or what it lies in, was first seen
    for (let at = e; at && at.nodeType === 1; at = up(at)) if (seen.has(at)) return seen.get(at);
    return 0;
  };
  // What is added to the page while the pointer rests was not opened by it.
  let entered = 0;
  const added = new MutationObserver(records => {
    if (performance.now() - entered < 1200) return;
    for (const record of records) for (const e of record.addedNodes) {
      if (e.nodeType !== 1 || e.querySelectorAll('*').length > LIMIT) continue;
      for (const one of [e, ...e.querySelectorAll('*')]) if (!seen.has(one)) seen.set(one, 0);
    }
  });
  added.observe(document, {childList: true, subtree: true});
  return {
    // The pointer is at a place; e: the element there.
    moved(time, x, y, e) {
      const last = places[places.length - 1];
      if (last.e === e) { last.x = x; last.y = y; return; }
      if (!based || !seen.has(e)) scan();  // what is entered now has appeared before
      places.push({time, x, y, e});
      entered = performance.now();
      later();
    },
    ends() { added.disconnect(); timers.forEach(clearTimeout); },
    // The moves that opened `e`, oldest first.
    opened(e, x, y) {
      const before = places.length > 1 && places[places.length - 1].e === e ? places.length - 2 : places.length - 1;
      scan(before);
      const found = [];
      for (let n = place(e); n > 0 && found.length < 8; ) {
        const at = places[n];
        if (Math.abs(at.x - x) > 3 || Math.abs(at.y - y) > 3) found.unshift(at);
        const next = at.e ? place(at.e) : 0;
        n = next < n ? next : 0;
      }
      return found;
    },
    // An act was done: what is visible now was not opened by the pointer.
    acted() {
      const last = places[places.length - 1];
      seen = new WeakMap();
      places = [last];
      based = false;
      timers.forEach(clearTimeout);
      timers = [30, 350, 900, 2000].map(ms => setTimeout(scan, ms));
    },
  };
})"""
