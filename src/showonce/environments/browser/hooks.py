"""The script that runs in every document while a person is recorded: it reports each input before the page gets it.

Passwords are masked here, before they leave the page: of a field that is, or once was, of type password only the number
of characters is reported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

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
  if (window[name + '_on']) return;
  Object.defineProperty(window, name + '_on', {value: true});
  const once = new WeakSet(), fields = new Set();
  const tell = event => { try { window[name](event); } catch (e) {} };
  const secret = e => {
    if (!e || e.tagName !== 'INPUT') return false;
    if (e.type === 'password' && !once.has(e)) { once.add(e); fields.add(new WeakRef(e)); }
    return once.has(e);
  };
  const active = () => {
    let e = document.activeElement;
    while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
    return e;
  };
  // Where this document lies in the window, [x, y, factor x, factor y]; null inside an iframe of another origin.
  const way = () => {
    let x = 0, y = 0, fx = 1, fy = 1;
    for (let w = window; w !== w.top; w = w.parent) {
      let f = null;
      try { f = w.frameElement; } catch (e) {}
      if (!f) return null;
      const r = f.getBoundingClientRect(), s = getComputedStyle(f), zoom = f.currentCSSZoom || 1;
      const sx = f.offsetWidth ? r.width / f.offsetWidth : 1, sy = f.offsetHeight ? r.height / f.offsetHeight : 1;
      x = r.left + (f.clientLeft + parseFloat(s.paddingLeft)) * sx + x * sx;
      y = r.top + (f.clientTop + parseFloat(s.paddingTop)) * sy + y * sy;
      fx *= sx * zoom; fy *= sy * zoom;
    }
    const v = window.top.visualViewport || {offsetLeft: 0, offsetTop: 0, scale: 1};
    return [(x - v.offsetLeft) * v.scale, (y - v.offsetTop) * v.scale, fx * v.scale, fy * v.scale];
  };
  const masks = () => {
    for (const e of document.querySelectorAll('input[type=password]')) secret(e);
    const boxes = [];
    for (const ref of fields) {
      const e = ref.deref();
      if (!e || !e.isConnected) { fields.delete(ref); continue; }
      const r = e.getBoundingClientRect();
      if (r.width && r.height) boxes.push([r.left, r.top, r.right, r.bottom]);
    }
    return boxes;
  };
  const base = e => ({time: (performance.timeOrigin + e.timeStamp) / 1e3, way: way(), masks: masks(),
    size: [innerWidth, innerHeight], dpr: devicePixelRatio, scroll: [scrollX, scrollY]});
  const held = e => [['ctrl', e.ctrlKey], ['alt', e.altKey], ['shift', e.shiftKey], ['meta', e.metaKey]]
    .filter(m => m[1]).map(m => m[0]);
  const label = __LABEL__;
  const on = (kind, f) => addEventListener(kind, e => { if (e.isTrusted) f(e); }, {capture: true, passive: false});
  const first = e => (e.composedPath && e.composedPath()[0]) || e.target;
  const pointer = (kind, e) => tell({kind, ...base(e), x: e.clientX, y: e.clientY,
    button: ['left', 'middle', 'right'][e.button] || '', target: label(first(e))});
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
    if (own.includes(mine)) { e.preventDefault(); e.stopImmediatePropagation(); }
    if (chord && key === 'v' || e.shiftKey && key === 'insert') pasted = e.timeStamp;
    const field = active(), hidden = secret(field);
    expected = text;
    if (hidden && text) tell({kind: 'key', ...base(e), key: '•', text: '•', modifiers: [], secret: true,
      target: label(field)});
    else tell({kind: 'key', ...base(e), key, text, modifiers: graph ? [] : modifiers, secret: hidden,
      target: label(field)});
  });
  const insert = (e, text) => {
    const field = active(), hidden = secret(field);
    if (text) tell({kind: 'text', ...base(e), text: hidden ? '•'.repeat([...text].length) : text, secret: hidden,
      target: label(field)});
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
    addEventListener(kind, e => { if (secret(e.target) || fields.size) tell({kind: 'masks', ...base(e)}); },
      {capture: true, passive: true});
})"""


def script(name: str, own: Sequence[str]) -> str:
    """Return the script. name: of the binding that it calls; own: chords that it hides from the page."""
    arguments = ", ".join(json.dumps(value) for value in (name, _KEYS, list(own)))
    return f"{_SCRIPT.replace('__LABEL__', LABEL)}({arguments})"
