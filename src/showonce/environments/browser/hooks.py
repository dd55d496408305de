"""The script that runs in every document while a person is recorded: it reports each input before the page gets it.

It runs in a JavaScript world of its own (see `documents`): the page's scripts neither see nor change it. Times are
seconds of the document's own clock.

Secrets are masked here: of a field that may hold one (`secret_fields`), or once could, events carry a dot for each
character. The text itself stands apart in a message, in `typed` and `values`: the recorder keeps it in memory only, to
look for it in what was written. Input goes into a closed shadow root that the hook does not know: it counts as secret,
and its host's box is masked, until the recorder has handed the root over through DevTools (`NAME_root`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from showonce.environments.browser.secret_fields import secret_field

# KeyboardEvent.key -> our name, where lower case alone does not do (UI Events KeyboardEvent key values, W3C).
_KEYS: Final = {
    " ": "space", "ArrowUp": "up", "ArrowDown": "down", "ArrowLeft": "left", "ArrowRight": "right", "Control": "ctrl",
    "AltGraph": "altgr", "OS": "meta", "Esc": "escape", "Del": "delete", "Return": "enter",
}  # fmt: skip

# A name for an element: its label, else its text, else its attributes, else its tag.
LABEL: Final = """e => {
  const named = 'a,button,input,select,textarea,option,summary,label,[role],[onclick]';
  const hit = e && e.closest && (e.closest(named) || e);
  if (!hit || hit === document.documentElement || hit === document.body) return '';
  const button = ['submit', 'button', 'reset'].includes(hit.type) && hit.tagName === 'INPUT';
  const field = ['INPUT', 'TEXTAREA', 'SELECT'].includes(hit.tagName);
  const words = hit.getAttribute('aria-label') || (button && hit.value)
    || (field && hit.labels && hit.labels[0] && hit.labels[0].innerText) || (!field && hit.innerText)
    || hit.getAttribute('placeholder') || hit.getAttribute('title') || hit.getAttribute('name') || hit.id
    || hit.tagName.toLowerCase();
  return words.trim().replace(/\\s+/g, ' ').slice(0, 80);
}"""

_SCRIPT: Final = """((name, keys, own) => {
  // A document that is opened again (document.open), or takes the place of the empty one, loses its listeners.
  if (window[name + '_on']) { window[name + '_on'](); return; }
  const heard = [];
  const addEventListener = (...one) => { heard.push(one); window.addEventListener(...one); };
  const listen = () => {
    for (const one of heard) window.addEventListener(...one);  // changes nothing where it is there already
    rewritten.observe(document, {childList: true});
  };
  const rewritten = new MutationObserver(listen);
  const give = (what, value) => Object.defineProperty(window, name + what, {value, configurable: true});
  give('_on', listen);
  give('_beats', () => { listen(); return [performance.now(), typeof window[name], way()]; });
  give('_ends', () => {
    rewritten.disconnect();
    for (const one of heard.splice(0)) window.removeEventListener(...one);
  });
  give('_asks', text => {
    const field = document.createElement('input');
    field.setAttribute('aria-label', text);
    return maySecret(field);
  });
  const once = new WeakSet(), fields = new Set(), marked = new WeakSet(), values = new Set();
  const closed = new WeakMap(), roots = new Set(), rootless = new WeakSet(), asked = new Map();
  let asks = 0;
  const tell = event => {
    try { window[name](JSON.stringify({...event, now: performance.now() / 1e3})); } catch (e) {}
  };
  const mark = e => { if (!marked.has(e)) { marked.add(e); fields.add(new WeakRef(e)); } };
  const hosts = /-|^(ARTICLE|ASIDE|BLOCKQUOTE|DIV|FOOTER|H[1-6]|HEADER|MAIN|NAV|P|SECTION|SPAN)$/;
  const editable = e => ['INPUT', 'TEXTAREA', 'SELECT'].includes(e.tagName) || e.isContentEditable;
  // Whether focus may lie in a closed shadow root of `e` that is not known.
  const opaque = e => hosts.test(e.tagName) && !e.shadowRoot && !closed.has(e) && !rootless.has(e) && !editable(e);
  const maySecret = __SECRET_FIELD__;
  const content = e => e.value === undefined ? e.textContent : e.value;
  const secret = e => {
    if (!e || e.nodeType !== 1) return false;
    while (e.isContentEditable && e.parentElement && e.parentElement.isContentEditable) e = e.parentElement;
    if (!once.has(e) && !maySecret(e) && !(e.value && e.value.length > 3 && values.has(e.value))) return false;
    once.add(e);
    mark(e);
    return true;
  };
  // Like `secret`, of the element that has the focus: what cannot be looked into is secret.
  const hides = e => {
    if (!e || !opaque(e)) return secret(e);
    if (!asked.has(e)) { asked.set(e, ++asks); mark(e); tell({kind: 'look', ask: asks}); }
    return true;
  };
  const open = root => {
    if (closed.get(root.host) === root) return;
    closed.set(root.host, root);
    roots.add(new WeakRef(root));
    if (!once.has(root.host)) { marked.delete(root.host); asked.delete(root.host); }
  };
  give('_root', open);
  give('_looked', number => {
    for (const [e, ask] of asked) {
      if (ask > number) continue;
      asked.delete(e);
      if (!closed.has(e)) { rootless.add(e); if (!once.has(e)) marked.delete(e); }
    }
    tell({kind: 'masks', ...base({timeStamp: performance.now()})});
  });
  const active = () => {
    let e = document.activeElement, root;
    while (e && (root = e.shadowRoot || closed.get(e)) && root.activeElement) e = root.activeElement;
    return e;
  };
  // Where this document lies in the outermost one that it may reach, [x, y, factor x, factor y, iframes between them,
  // whether that one is the page].
  const way = () => {
    let x = 0, y = 0, fx = 1, fy = 1, w = window, n = 0;
    for (; w !== w.top; w = w.parent, n++) {
      const f = w.frameElement;
      if (!f) return [x, y, fx, fy, n, false];
      const r = f.getBoundingClientRect(), s = getComputedStyle(f), zoom = f.currentCSSZoom || 1;
      const sx = f.offsetWidth ? r.width / f.offsetWidth : 1, sy = f.offsetHeight ? r.height / f.offsetHeight : 1;
      x = r.left + (f.clientLeft + parseFloat(s.paddingLeft)) * sx + x * sx;
      y = r.top + (f.clientTop + parseFloat(s.paddingTop)) * sy + y * sy;
      fx *= sx * zoom; fy *= sy * zoom;
    }
    const v = w.visualViewport || {offsetLeft: 0, offsetTop: 0, scale: 1};
    return [(x - v.offsetLeft) * v.scale, (y - v.offsetTop) * v.scale, fx * v.scale, fy * v.scale, n, true];
  };
  const all = ['input,textarea,select,[contenteditable],[role=textbox]', ...maySecret.marked].join();
  const masks = () => {
    for (const e of document.querySelectorAll(all)) secret(e);
    for (const ref of roots) {
      const root = ref.deref();
      if (!root || !root.host.isConnected) roots.delete(ref);
      else for (const e of root.querySelectorAll(all)) secret(e);
    }
    const boxes = [];
    values.clear();
    for (const ref of fields) {
      const e = ref.deref();
      if (!e || !e.isConnected || !marked.has(e)) { fields.delete(ref); if (e) marked.delete(e); continue; }
      const r = e.getBoundingClientRect();
      if (r.width && r.height) boxes.push([r.left, r.top, r.right, r.bottom]);
      if (once.has(e) && content(e)) values.add(content(e));
    }
    return boxes;
  };
  const base = e => ({time: e.timeStamp / 1e3, way: way(), masks: masks(),
    values: [...values], size: [innerWidth, innerHeight], dpr: devicePixelRatio, scroll: [scrollX, scrollY]});
  const held = e => [['ctrl', e.ctrlKey], ['alt', e.altKey], ['shift', e.shiftKey], ['meta', e.metaKey]]
    .filter(m => m[1]).map(m => m[0]);
  const place = e => {
    const r = e && e.getBoundingClientRect();
    return r && [r.left, r.top, r.right, r.bottom];
  };
  const named = __LABEL__;
  // Its name without what it holds: the text of an editable element, or of one around it, is no name.
  const label = e => {
    const text = named(e), known = [...values].filter(v => v.length > 3 && text.includes(v.trim().slice(0, 80)));
    return known.length || e && e.closest && secret(e) && e.isContentEditable
      ? (e.getAttribute('aria-label') || e.getAttribute('title') || e.tagName.toLowerCase()).trim() : text;
  };
  const on = (kind, f) => addEventListener(kind, e => { if (e.isTrusted) f(e); }, {capture: true, passive: false});
  const first = e => (e.composedPath && e.composedPath()[0]) || e.target;
  const pointer = (kind, e) => tell({kind, ...base(e), x: e.clientX, y: e.clientY,
    button: ['left', 'middle', 'right'][e.button] || '', target: label(first(e))});
  // The text under the pointer, of the innermost element that holds it, and the box of that.
  let over = null;
  on('pointermove', e => { over = {at: first(e), x: e.clientX, y: e.clientY}; });
  on('pointerout', e => { if (!e.relatedTarget) over = null; });
  const under = () => {
    const at = over && over.at, spot = over && document.caretRangeFromPoint(over.x, over.y);
    const node = spot && spot.startContainer.nodeType === 3 ? spot.startContainer.parentElement : null;
    const e = node && at && (at === node || at.contains(node)) ? node : at && at.nodeType === 1 ? at : null;
    if (!e || editable(e) || secret(e)) return {under: ''};
    const text = (e.innerText || '').trim().replace(/\\s+/g, ' '), r = e.getBoundingClientRect();
    return {under: text.length <= 200 ? text : '', box: [r.left, r.top, r.right, r.bottom]};
  };
  let pressed = false, dropped = false, expected = '', pasted = 0;
  on('pointerdown', e => { pressed = true; dropped = false; pointer('press', e); });
  on('pointerup', e => { if (pressed) pointer('release', e); pressed = false; });
  on('drop', e => { dropped = true; pressed = false; pointer('release', e); });
  on('dragend', e => { if (!dropped) pointer('release', e); pressed = false; });
  on('wheel', e => tell({kind: 'wheel', ...base(e), x: e.clientX, y: e.clientY, dx: e.deltaX, dy: e.deltaY,
    turned: [-e.wheelDeltaX, -e.wheelDeltaY]}));
  on('keydown', e => {
    if (e.isComposing || e.key === 'Process' || e.key === 'Dead') return;
    let key = keys[e.key] || (e.key.length === 1 ? e.key : e.key.toLowerCase());
    const modifiers = held(e), graph = e.getModifierState('AltGraph');
    const chord = !graph && (e.ctrlKey || e.altKey || e.metaKey);
    const text = [...e.key].length === 1 && e.key >= ' ' && !chord ? e.key : '';
    if (!text && e.key < ' ') return;  // a key of no layout: its text comes by itself
    if (chord && e.key.length === 1) {
      const digit = /^Digit(\\d)$/.exec(e.code);
      key = digit ? digit[1] : key.toLowerCase();
    }
    const mine = [...modifiers, key.toLowerCase()].join('+');
    let there = {};
    if (own.includes(mine)) { e.preventDefault(); e.stopImmediatePropagation(); there = under(); }
    if (chord && key === 'v' || e.shiftKey && key === 'insert') pasted = e.timeStamp;
    const field = active(), hidden = hides(field);
    expected = text;
    const typed = text || (chord && e.altKey && !e.ctrlKey && !e.metaKey && [...e.key].length === 1 ? e.key : '');
    if (hidden && typed) tell({kind: 'key', ...base(e), key: '•', text: '•', modifiers: [], secret: true, typed,
      target: label(field)});
    else tell({kind: 'key', ...base(e), key, text, modifiers: graph ? [] : modifiers, secret: hidden,
      target: label(field), field: place(field), ...there});
  });
  const insert = (e, text) => {
    const at = first(e);
    if (at && at.nodeType === 1 && !editable(at) && !document.designMode.match(/on/i)) rootless.delete(at);
    const field = active(), hidden = hides(field);
    if (text) tell({kind: 'text', ...base(e), text: hidden ? '•'.repeat([...text].length) : text, secret: hidden,
      typed: hidden ? text : '', target: label(field), field: place(field)});
  };
  on('compositionend', e => insert(e, e.data));
  on('beforeinput', e => {
    if (e.inputType === 'insertText') {
      if (e.data !== expected) insert(e, e.data);
      expected = '';
    } else if (e.inputType === 'insertFromPaste' && e.timeStamp - pasted > 300) {
      insert(e, e.data || (e.dataTransfer && e.dataTransfer.getData('text/plain')) || '');
    }
  });
  for (const kind of ['focusin', 'scroll', 'input', 'resize'])
    addEventListener(kind, e => {
      for (const at of kind === 'focusin' ? e.composedPath() : [])
        if (at instanceof ShadowRoot && at.mode === 'open' && ![...roots].some(r => r.deref() === at))
          roots.add(new WeakRef(at));
      if (kind === 'focusin' && hides(active()) || secret(first(e)) || fields.size)
        tell({kind: 'masks', ...base(e)});
    }, {capture: true, passive: true});
  const look = () => tell({kind: 'look', ask: 0});
  if (document.readyState === 'complete') look();
  else addEventListener('load', look);
  listen();
})"""


def script(name: str, own: Sequence[str], selectors: Sequence[str] = ()) -> str:
    """Return the script. name: of the binding that it calls, and what the names of its functions begin with; own:
    chords that it hides from the page. selectors: CSS, of elements that count as fields for secrets.
    """
    arguments = ", ".join(json.dumps(value) for value in (name, _KEYS, list(own)))
    return f"{_SCRIPT.replace('__LABEL__', LABEL).replace('__SECRET_FIELD__', secret_field(selectors))}({arguments})"
