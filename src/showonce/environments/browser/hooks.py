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

from showonce.environments.browser.describe import ASK, DESCRIBE
from showonce.environments.browser.hover import HOVER
from showonce.environments.browser.secret_fields import secret_field
from showonce.secrets import NOWHERE, Places

# KeyboardEvent.key -> our name, where lower case alone does not do (UI Events KeyboardEvent key values, W3C).
_KEYS: Final = {
    " ": "space", "ArrowUp": "up", "ArrowDown": "down", "ArrowLeft": "left", "ArrowRight": "right", "Control": "ctrl",
    "AltGraph": "altgr", "OS": "meta", "Esc": "escape", "Del": "delete", "Return": "enter",
}  # fmt: skip

_SCRIPT: Final = """((name, keys, own, hide) => {
  // A document that is opened again (document.open), or takes the place of the empty one, loses its listeners.
  if (window[name + '_on']) { window[name + '_on'](); return; }
  const heard = [];
  const listenTo = (from, ...one) => { heard.push([from, one]); from.addEventListener(...one); };
  const addEventListener = (...one) => listenTo(window, ...one);
  const listen = () => {
    for (const [from, one] of heard) from.addEventListener(...one);  // changes nothing where it is there already
    rewritten.observe(document, {childList: true});
  };
  const rewritten = new MutationObserver(listen);
  const give = (what, value) => Object.defineProperty(window, name + what, {value, configurable: true});
  give('_on', listen);
  give('_beats', () => {
    listen();
    send();
    if (waiting && performance.now() / 1e3 - waiting.time > 0.4) flush();  // a frame without scripts has no timers
    return [performance.now(), typeof window[name], way()];
  });
  give('_ends', () => {
    finish();
    flush();
    hover.ends();
    rewritten.disconnect();
    for (const [from, one] of heard.splice(0)) from.removeEventListener(...one);
  });
  give('_asks', text => {
    const field = document.createElement('input');
    field.setAttribute('aria-label', text);
    return maySecret(field);
  });
  const once = new WeakSet(), fields = new Set(), marked = new WeakSet(), values = new Set();
  const closed = new WeakMap(), roots = new Set(), rootless = new WeakSet(), asked = new Map();
  let asks = 0;
  const unsent = [];  // messages that the recorder has not got: they wait for the next heartbeat
  const send = () => { while (unsent.length && typeof window[name] === 'function') window[name](unsent.shift()); };
  const tell = event => {
    unsent.push(JSON.stringify({...event, now: performance.now() / 1e3}));
    send();
  };
  const mark = e => { if (!marked.has(e)) { marked.add(e); fields.add(new WeakRef(e)); } };
  const hosts = /-|^(ARTICLE|ASIDE|BLOCKQUOTE|DIV|FOOTER|H[1-6]|HEADER|MAIN|NAV|P|SECTION|SPAN)$/;
  const editable = e => ['INPUT', 'TEXTAREA', 'SELECT'].includes(e.tagName) || e.isContentEditable;
  // Whether focus may lie in a closed shadow root of `e` that is not known.
  const opaque = e => hosts.test(e.tagName) && !e.shadowRoot && !closed.has(e) && !rootless.has(e) && !editable(e);
  const maySecret = __SECRET_FIELD__;
  const content = e => e.value === undefined ? e.textContent : e.value;
  let hiding = false;  // the person says that what has the focus is a secret
  const secret = e => {
    if (!e || e.nodeType !== 1) return false;
    if (hiding && e === active() && e !== document.body) once.add(e);
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
  const describe = __DESCRIBE__(e => e.shadowRoot || closed.get(e) || null,
    e => !e.dispatchEvent(new Event(__ASK__, {cancelable: true})));
  const tells = text => [...values].some(v => v.length > 3 && text.includes(v.trim().slice(0, 80)));
  // What is known of an element, without what fields for secrets hold: {target: a name for people, element}.
  const told = one => {
    if (!one) return {target: ''};
    const text = t => tells(t) ? '' : t;
    one.attributes = Object.fromEntries(Object.entries(one.attributes).filter(pair => !tells(pair[1])));
    const element = {...one, name: text(one.name), text: text(one.text), near: one.near.filter(t => !tells(t))};
    return {target: text(one.label) || one.role, element};
  };
  const squash = text => text.trim().replace(/\\s+/g, ' ').slice(0, 200);
  const options_of = list => list.multiple ? []
    : [...list.options].slice(0, 200).map(o => squash(o.text)).filter(o => o && !tells(o));
  const struck = e => {
    const one = told(e && e.nodeType === 1 ? describe.struck(e) : null), list = e && e.closest && e.closest('select');
    return list && one.element ? {...one, element: {...one.element, options: options_of(list)}} : one;
  };
  // The same of what keys go to: asked for once while it keeps the focus.
  let typing = {field: null};
  const typed_in = (field, at) => {
    if (typing.field !== field || at - typing.at > 2000) {
      const ground = !field || field === document.body || field === document.documentElement;
      typing = {field, at, told: told(ground ? null : describe.tell(describe.field(field)))};
    }
    return typing.told;
  };
  // Keys choose in a native list, and fill a date field part by part: what it holds after them is kept with them.
  const native = e => e && (e.tagName === 'SELECT' || e.tagName === 'INPUT' && e.type === 'date');
  const filled_in = ({holds, ...message}) => {
    if (!holds || !message.element) return message;
    const list = holds.tagName === 'SELECT';
    const value = list ? [...holds.selectedOptions].map(o => squash(o.text)).join() : holds.value;
    const options = list ? options_of(holds) : [];
    return {...message, element: {...message.element, value: tells(value) ? '' : value, options}};
  };
  const on = (kind, f) => addEventListener(kind, e => { if (e.isTrusted) f(e); }, {capture: true, passive: false});
  const first = e => (e.composedPath && e.composedPath()[0]) || e.target;
  // A message that waits until what it did is known: how often a button was pressed, what a key deleted or inserted.
  let waiting = null;
  const taken = () => { const message = waiting; waiting = null; return message; };
  const flush = () => {
    const message = taken();
    if (message && !(message.idle && message.idle())) tell(filled_in(message));
  };
  const hold = (message, ms = 0) => {
    flush();
    waiting = message;
    setTimeout(() => { if (waiting === message) flush(); }, ms);
  };
  const say = message => { flush(); tell(message); };
  const lost = (e, text) => say({kind: 'lost', ...base(e), text});
  const hover = __HOVER__(() => [...roots].map(ref => ref.deref()).filter(Boolean));
  let motion = 0, keyed = -1e9, used = -1e9, alone = '';
  on('pointermove', e => {
    hover.moved(e.timeStamp / 1e3, e.clientX, e.clientY, first(e));
    if (e.timeStamp - motion > 100) { motion = e.timeStamp; tell({kind: 'moved', time: e.timeStamp / 1e3}); }
  });
  const buttons = ['left', 'middle', 'right', 'back', 'forward'];
  // What a pointer hit: events name the host of a closed shadow root.
  const inmost = e => closed.has(first(e)) && describe.at(e.clientX, e.clientY) || first(e);
  // A release is told of where it ends a drag.
  let from = null;
  const far = (e, kind) => kind === 'press' || !from || Math.hypot(e.clientX - from.x, e.clientY - from.y) > 3;
  const pointer = (kind, e) => ({kind, ...base(e), x: e.clientX, y: e.clientY, modifiers: held(e),
    button: buttons[e.button] || 'pen', ...(far(e, kind) ? struck(inmost(e)) : {target: ''})});
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
  let pressed = false, dropped = false, dragged = false, finger = null, list = null;
  on('pointerdown', e => {
    finish();
    alone = '';
    dropped = dragged = false;
    const press = pointer('press', e);
    from = {x: e.clientX, y: e.clientY};
    typing = {field: null};
    list = first(e);
    if (e.pointerType === 'touch') {
      if (!e.isPrimary) lost(e, 'a gesture of several fingers is not kept');
      finger = e.isPrimary ? press : null;
      return;
    }
    pressed = true;
    for (const at of hover.opened(first(e), e.clientX, e.clientY))
      say({kind: 'move', ...base(e), time: at.time, x: at.x, y: at.y, ...struck(at.e)});
    hold(press);
  });
  on('change', e => {  // of a list that the browser draws outside of the page: no press on an entry came before
    const one = first(e);
    if (one.tagName === 'SELECT' && one === list && one.size < 2 && !one.multiple)
      lost(e, 'what was chosen with the mouse in a list of the system is not kept: choose with the keys');
  });
  on('mousedown', e => {  // only here stands which press of a multiple click it is
    if (waiting && waiting.kind === 'press') tell({...taken(), count: e.detail});
    else if (pressed && e.buttons & e.buttons - 1) lost(e, 'two buttons of the mouse pressed together are not kept');
  });
  const released = e => { say(pointer('release', e)); pressed = false; used = e.timeStamp; hover.acted(); };
  on('pointerup', e => {
    if (finger && e.pointerType === 'touch') say(finger);
    if (pressed || finger) released(e);
    finger = null;
  });
  on('pointercancel', e => {
    if (finger && e.pointerType === 'touch') lost(e, 'a swipe of a finger is not kept: turn the wheel of a mouse');
    finger = null;
  });
  on('dragstart', () => { dragged = true; });
  on('drop', e => {
    if (dragged || pressed) { dropped = true; released(e); }
    else lost(e, 'something was dropped here from outside of this page: it is not kept');
  });
  on('dragend', e => { if (!dropped) released(e); pressed = false; });
  on('wheel', e => {
    alone = '';
    say({kind: 'wheel', ...base(e), x: e.clientX, y: e.clientY, dx: e.deltaX, dy: e.deltaY, modifiers: held(e),
      turned: [-e.wheelDeltaX, -e.wheelDeltaY]});
    hover.acted();
  });

  // What an editable element holds: its text and the ends of the selection, null where they cannot be read.
  const textless = /^(button|checkbox|color|file|hidden|image|radio|range|reset|submit)$/;
  const plain = e => /^(INPUT|TEXTAREA)$/.test(e.tagName);
  const contents = (field = active()) => {
    if (!field || !editable(field) || field.tagName === 'SELECT' || textless.test(field.type || '')) return null;
    let start = null, end = null;
    if (plain(field)) {
      try { start = field.selectionStart; end = field.selectionEnd; } catch (e) {}
      return {field, text: field.value, start, end};
    }
    const text = field.textContent, selection = getSelection();
    if (text.length < 20000 && selection.rangeCount && field.contains(selection.anchorNode)) {
      const range = selection.getRangeAt(0), before = document.createRange();
      before.selectNodeContents(field);
      before.setEnd(range.startContainer, range.startOffset);
      start = before.toString().length;
      end = start + range.toString().length;
    }
    return {field, text, start, end};
  };
  const selects = was => Boolean(was && was.start !== null && was.end > was.start);
  // What a field lost and got between two looks: [removed, inserted]; what was selected is not counted as removed.
  const change = (was, now) => {
    if (!now) return ['', ''];
    const a = was.text, b = now.text, least = Math.min(a.length, b.length);
    let from = 0, rest = 0;
    if (selects(was)) { from = was.start; rest = a.length - was.end; }
    else {
      const ends = [least, was.start, now.start].filter(n => n !== null), most = Math.min(...ends);
      while (from < most && a[from] === b[from]) from++;
      while (rest < least - from && a[a.length - 1 - rest] === b[b.length - 1 - rest]) rest++;
    }
    return [selects(was) ? '' : a.slice(from, a.length - rest), b.slice(from, b.length - rest)];
  };
  const dots = text => '•'.repeat([...text].length);
  const characters = text => [...new Intl.Segmenter().segment(text)].length;
  // Whether the document's history of undo differs in a replay: something is stored in another way than it was done.
  let retold = false, undoing = null;
  const press = (e, field, key, modifiers = [], more = {}) => say({kind: 'key', ...base(e), key, text: '', modifiers,
    secret: hides(field), ...typed_in(field, e.timeStamp), field: place(field), ...more});
  const insert = (e, text, source, field = active(), replaces = false) => {
    const at = e.target && first(e);
    if (at && at.nodeType === 1 && !editable(at) && !document.designMode.match(/on/i)) rootless.delete(at);
    const hidden = hides(field);
    retold = true;
    if (text) say({kind: 'text', ...base(e), text: hidden ? dots(text) : text, secret: hidden,
      typed: hidden ? text : '', source, ...typed_in(field, e.timeStamp), field: place(field), replaces});
    hover.acted();
  };
  // The text of a field typed once more, for a change that no key made.
  const rewrite = (e, field) => {
    const now = contents(field), after = now && now.end !== null ? characters(now.text.slice(now.end)) : 0;
    if (!now || !plain(field) || field !== active() || after > 99) {
      lost(e, 'text was changed without a key or a paste (by a menu, a suggestion or undo): it is not kept');
      return;
    }
    retold = true;
    tail = null;
    press(e, field, 'a', [/Mac/.test(navigator.platform) ? 'meta' : 'ctrl']);
    if (now.text) insert(e, now.text, '', field, true); else press(e, field, 'backspace', [], {removed: ''});
    for (let n = 0; n < after; n++) press(e, field, 'left');
  };

  // Where the text that was typed last ends, and how much of it came without anything in between:
  // {field, text: all that the field holds, at: the caret, run}. Only of this may backspace take something back.
  let tail = null, before_key = null;
  const follows = was => tail && was && was.field === tail.field && was.text === tail.text && !selects(was)
    && was.start === tail.at;
  const typed_on = (was, now, text) => {
    if (!tail) tail = before_key;
    before_key = null;
    tail = now && {field: now.field, text: now.text, at: now.start, run: (follows(was) ? tail.run : '') + text};
  };
  const deleted = (e, was) => {
    const now = was && contents(was.field);
    let removed = now && follows(was) && /Backward$/.test(e.inputType) ? change(was, now)[0] : '';
    if (now && now.start === null && !was.text.startsWith(now.text) || removed && !tail.run.endsWith(removed))
      removed = '';
    tail = removed ? {field: now.field, text: now.text, at: now.start, run: tail.run.slice(0, -removed.length)} : null;
    if (removed) retold = true;
    return removed;
  };

  // Text of an input method or a dead key: what the field held before it is compared with what it holds at the end.
  let composing = null;
  const finish = () => {
    const done = composing;
    composing = null;
    if (!done) return;
    const now = done.was && contents(done.was.field);
    const [removed, inserted] = now ? change(done.was, now) : ['', done.data];
    const field = done.was ? done.was.field : active();
    for (let n = characters(removed); n > 0; n--) press(done.event, field, 'backspace', [], {removed: ''});
    insert(done.event, inserted, 'composed', field, selects(done.was));
    typed_on(removed ? null : done.was, now, inserted);
  };
  const soon = (mine = composing) => setTimeout(() => { if (composing === mine) finish(); }, 0);
  on('compositionstart', e => {
    finish();
    flush();
    composing = {event: e, was: contents(), data: ''};
  });
  on('compositionend', e => {
    if (!composing) return;
    composing.data = e.data;
    soon();
  });
  on('focusout', () => soon());

  let expected = '', dead = false, was = null, pasting = null;
  const history = (e, key) => (e.ctrlKey || e.metaKey) && !e.altKey && (key === 'z' || key === 'y');
  on('keydown', e => {
    if (e.isComposing || e.key === 'Process' || e.keyCode === 229) return;
    finish();
    flush();
    list = null;
    if (e.key === 'Dead') { dead = Boolean(contents()); return; }
    let key = keys[e.key] || (e.key.length === 1 ? e.key : e.key.toLowerCase());
    const modifiers = held(e), graph = e.getModifierState('AltGraph');
    const chord = !graph && (e.ctrlKey || e.altKey || e.metaKey);
    const text = [...e.key].length === 1 && e.key >= ' ' && !chord ? e.key : '';
    if (!text && e.key < ' ') return;  // a key of no layout: its text comes by itself
    const field = active(), hidden = hides(field), now = contents(field), about = typed_in(field, e.timeStamp);
    keyed = e.timeStamp;
    alone = key === 'alt' || key === 'meta' ? key : '';
    if (text && dead && now) { dead = false; expected = ''; return; }  // what the dead key made of it comes as text
    dead = false;
    if (chord && e.key.length === 1) {
      const code = /^(?:Digit|Key)(.)$/.exec(e.code);
      key = code && (/^D/.test(e.code) || e.key > '~') ? code[1].toLowerCase() : key.toLowerCase();
    }
    const mine = [...modifiers, key.toLowerCase()].join('+');
    if (own.includes(mine)) { e.preventDefault(); e.stopImmediatePropagation(); }
    if (mine === hide) { hiding = !hiding; secret(active()); }
    expected = text;
    if (text) { before_key = tail; tail = null; }
    const typed = text || (chord && e.altKey && !e.ctrlKey && !e.metaKey && [...e.key].length === 1 ? e.key : '');
    const message = hidden && typed
      ? {kind: 'key', ...base(e), key: '•', text: '•', modifiers: [], secret: true, typed, ...about}
      : {kind: 'key', ...base(e), key, text, modifiers: graph ? [] : modifiers, secret: hidden, field: place(field),
        ...about};
    if (text && selects(now)) message.replaces = true;
    const pastes = (e.ctrlKey || e.metaKey) && key === 'v' || e.shiftKey && key === 'insert';
    if (own.includes(mine)) tell({...message, ...under()});
    else if (pastes) hold({...message, pastes}, 250);
    else if (now && ['backspace', 'delete'].includes(key)) hold({...message, removed: ''}, 50);
    else if (now && history(e, key)) {  // idle: there was nothing to undo, while there may be something in a replay
      undoing = field;
      hold({...message, idle: () => retold && !e.defaultPrevented}, 50);
    } else if (now && typed && chord) hold(message, 50);
    else if (native(field) && !hidden) hold({...message, holds: field}, 50);
    else tell(message);
    if (!['ctrl', 'alt', 'shift', 'meta', 'altgr'].includes(key)) hover.acted();
  });
  on('keyup', e => {
    if (alone && (keys[e.key] || e.key.toLowerCase()) === alone)
      lost(e, `${alone} pressed alone, which may open a menu, is not kept`);
    alone = '';
  });
  addEventListener('blur', e => { if (e.target === window) alone = ''; }, {capture: true});
  addEventListener('pagehide', () => { finish(); flush(); }, {capture: true});

  on('beforeinput', () => { if (!composing) was = contents(); });
  // An event as if it had come when a key was pressed.
  const at_time = (key, e) => key ? {timeStamp: key.time * 1e3, target: e.target, composedPath: () => [first(e)]} : e;
  const filled = () => {  // what all fields of the document hold
    const found = [...document.querySelectorAll('input,textarea')].slice(0, 500).map(e => e.value);
    return JSON.stringify([found, (contents() || {}).text]);
  };
  on('paste', e => {
    const key = waiting && waiting.pastes ? taken() : null, text = e.clipboardData.getData('text/plain');
    const time = at_time(key, e), parts = document.querySelectorAll('*').length;
    const mine = pasting = {time, field: active(), all: filled(), now: contents(), parts};
    if (key) delete key.pastes;
    setTimeout(() => {
      if (pasting !== mine) return;  // it came into a field, with an event
      pasting = null;
      if (mine.now && text && mine.all !== filled()) {  // the page has put it there itself
        insert(time, text, 'pasted', mine.field, selects(mine.now));
        tail = null;
        return;
      }
      if (key) say(key);
      lost(e, 'what was pasted here is not kept: a replay would paste what is copied then');
    }, 0);
  });
  const pasted = (e, before) => {
    const {time, parts} = pasting || {time: e, parts: Infinity}, field = before ? before.field : active();
    pasting = null;
    const given = e.data || (e.dataTransfer && e.dataTransfer.getData('text/plain')) || '', now = contents(field);
    let text = before && before.start !== null && (plain(field) || !given) ? change(before, now)[1] : given;
    if (field && field.tagName === 'INPUT') text = text.replace(/[\\r\\n]+/g, '');
    text = text.replace(/\\r\\n?/g, '\\n');
    if (!text && (!now || now.text === before.text)) return;
    if (/\\t/.test(text) || !text) lost(e, 'what was pasted is not kept whole: pictures and tabs cannot be typed');
    else if (!plain(field) && (/\\n/.test(text) || document.querySelectorAll('*').length > parts + 1))
      lost(e, 'of what was pasted only the text is kept, without its form');
    insert(time, text.replace(/\\t/g, ' '), 'pasted', field, selects(before));
    if (plain(field) && field.selectionStart !== null) typed_on(before, now, text); else tail = null;
  };
  let filling = -1e9;
  addEventListener('input', e => {
    if (!e.isTrusted || composing) return;
    const field = first(e), kind = e.inputType || '', before = was, now = before && contents(before.field);
    const recent = pressed || dragged || e.timeStamp - keyed < 300 || e.timeStamp - used < 300;
    was = null;
    if (!kind) {
      if (recent || textless.test(field.type) || !plain(field)) return;
      if (/^(date|month|time|datetime-local|week)$/.test(field.type)) insert(e, field.value, '', field);
      else if (e.timeStamp - filling > 1000) {
        filling = e.timeStamp;
        lost(e, 'the browser filled in fields by itself: it is not kept');
      }
    } else if (/^history/.test(kind)) {
      tail = null;
      const key = waiting && waiting.idle ? waiting : null;
      if (key) key.idle = null;
      if (key && !retold) flush();
      else if (field === active() && (!key || field === undoing)) { taken(); rewrite(e, field); }
      else lost(e, 'undo changed another field than the one in use: it is not kept');
    } else if (!before && !pasting) {
      tail = null;  // done by the page itself: nothing asked for it
    } else if (/^delete/.test(kind)) {
      const removed = deleted(e, before);
      if (waiting && 'removed' in waiting) { waiting.removed = hides(active()) ? dots(removed) : removed; flush(); }
      else if (!recent) rewrite(e, active());
    } else if (kind === 'insertText') {
      const option = waiting && waiting.kind === 'key' ? taken() : null;  // a character that a modifier made
      const number = before.field.type === 'number' && !expected && recent;  // by an arrow
      const [removed, inserted] = before.start !== null ? change(before, now) : ['', e.data];
      const time = at_time(option, e);
      if (e.data !== expected && !number) {
        for (let n = characters(removed); n > 0; n--) press(time, before.field, 'backspace', [], {removed: ''});
        insert(time, expected ? e.data : inserted, '', before.field, selects(before));
      }
      expected = '';
      if (number) tail = null;
      else typed_on(removed ? null : before, now, before.start === null ? e.data || '' : inserted);
    } else if (kind === 'insertFromPaste') pasted(e, before);
    else {
      tail = null;
      if (kind === 'insertReplacementText' && before.field.type !== 'number' || !recent) rewrite(e, active());
    }
  }, {capture: true, passive: true});
  const unseen = text => lost({timeStamp: performance.now()}, text);
  on('beforeprint', () => unseen("the page's print dialog opened: what is done in it is not recorded"));
  if (window === window.top && navigator.permissions) {
    for (const asked of ['geolocation', 'notifications', 'camera', 'microphone', 'clipboard-read'])
      navigator.permissions.query({name: asked}).then(status => listenTo(status, 'change', () =>
        unseen(`the browser's permission "${asked}" was ${status.state}: replay cannot answer the browser's question`)),
        () => {});
  }
  for (const kind of ['focusin', 'scroll', 'input', 'resize'])
    addEventListener(kind, e => {
      for (const at of kind === 'focusin' ? e.composedPath() : [])
        if (at instanceof ShadowRoot && at.mode === 'open' && ![...roots].some(r => r.deref() === at))
          roots.add(new WeakRef(at));
      if (kind === 'focusin' && hides(active()) || secret(first(e)) || fields.size)
        tell({kind: 'masks', ...base(e)});
    }, {capture: true, passive: true});
  const look = () => { tell({kind: 'look', ask: 0}); hover.acted(); };
  hover.acted();
  if (document.readyState === 'complete') look();
  else addEventListener('load', look);
  listen();
})"""


def script(name: str, own: Sequence[str], secrets: Places = NOWHERE) -> str:
    """Return the script. name: of the binding that it calls, and what the names of its functions begin with; own:
    chords that it hides from the page. secrets: further fields for secrets; regions of the frame are not its business.
    """
    arguments = ", ".join(json.dumps(value) for value in (name, _KEYS, list(own), secrets.chord))
    made = (
        _SCRIPT.replace("__DESCRIBE__", DESCRIBE)
        .replace("__ASK__", json.dumps(ASK))
        .replace("__SECRET_FIELD__", secret_field(secrets.selectors))
        .replace("__HOVER__", HOVER)
    )
    return f"{made}({arguments})"
