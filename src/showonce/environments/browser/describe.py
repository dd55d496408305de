"""What an element of a page is, as a person would tell it from others: one script for all that names elements.

Described is not always the element that was hit. An icon or a text inside of a button, a link or a field's label stands
for that. A plain block (div, span, row of a table ...) counts as one thing where a click on it does something: it has
an `onclick`, a listener for clicks of its own, or sets `cursor: pointer`. A block that listens for its children (two or
more of the same tag with text: a menu of divs) is not one thing: each child is. A block that only listens, and holds
fields, buttons or links or much text, listens for what is in it: it is none.

Names follow the W3C's accessible name computation as far as people see it: aria-labelledby, aria-label, label, alt,
placeholder, text, title; for a field without any of them the text before it. What a field holds (value, chosen option,
text of an editable element) is part of nothing that is told.
"""

from __future__ import annotations

from typing import Final

# Event by which a script of another JavaScript world asks `settle.WATCH` whether the page listens for clicks on the
# element at which it is dispatched: "prevented" means yes.
ASK: Final = "showonce-hears"

# (shadow, heard) -> the functions below. shadow: returns an element's shadow root if it is known, also a closed one;
# heard: whether the page listens for clicks on an element.
DESCRIBE: Final = """((shadow, heard) => {
  const squash = text => text.replace(/\\s+/g, ' ').trim();
  const clip = (text, most = 80) => squash(text).slice(0, most).toWellFormed().trim();
  // Not `e.parentElement`: a form has its fields as properties, and one may be called so.
  const parent = Object.getOwnPropertyDescriptor(Node.prototype, 'parentElement').get;
  const up = e => e.assignedSlot || parent.call(e) || e.getRootNode().host || null;
  // What is found out of an element is kept until the next question: nothing changes while one is answered.
  const kept = [];
  const once = f => {
    kept.push(new Map());
    const known = kept[kept.length - 1];
    return e => {
      if (!known.has(e)) known.set(e, f(e));
      return known.get(e);
    };
  };
  const anew = f => (...given) => {
    for (const known of kept) known.clear();
    return f(...given);
  };
  // Of what can have a shadow root, all but the most frequent tags without one.
  const HOSTS = ':not(a,b,button,dd,dt,em,i,img,input,label,li,link,meta,option,path,script,small,strong,style,svg,'
    + 'table,tbody,td,th,tr,ul)';
  const roots = once(() => {
    const found = [document];
    for (let n = 0; n < found.length; n++)
      for (const e of found[n].querySelectorAll(HOSTS)) { const root = shadow(e); if (root) found.push(root); }
    return found;
  });
  const around = (e, selector) => {
    if (roots().length === 1) return e.closest(selector);
    for (let at = e; at; at = up(at)) if (at.matches(selector)) return at;
    return null;
  };
  const holds = (outer, e) => {
    if (outer.contains(e) || roots().length === 1) return outer.contains(e);
    for (let at = e; at; at = up(at)) if (at === outer) return true;
    return false;
  };
  const ground = e => e === document.documentElement || e === document.body;
  const editing = e => e.isContentEditable && !(e.parentElement && e.parentElement.isContentEditable);
  const twin = (e, one) => one && one.tagName === e.tagName && one.getAttribute('class') === e.getAttribute('class');
  const attribute = (e, name) => squash(e.getAttribute(name) || '');

  const byType = {checkbox: 'checkbox', radio: 'radio', range: 'slider', submit: 'button', button: 'button',
    reset: 'button', image: 'button', file: 'button', color: 'button', number: 'spinbutton', search: 'searchbox',
    hidden: ''};
  const byTag = {A: 'link', BUTTON: 'button', TEXTAREA: 'textbox', SUMMARY: 'button', OPTION: 'option'};
  const role = once(e => {
    const given = attribute(e, 'role').split(' ')[0].toLowerCase();
    if (given && given !== 'none' && given !== 'presentation') return given;
    if (e.tagName === 'INPUT') return byType[e.type] ?? (e.hasAttribute('list') ? 'combobox' : 'textbox');
    if (e.tagName === 'SELECT') return e.multiple || e.size > 1 ? 'listbox' : 'combobox';
    return byTag[e.tagName] || (editing(e) ? 'textbox' : '');
  });
  const widgets = new Set(['button', 'link', 'checkbox', 'radio', 'switch', 'slider', 'spinbutton', 'textbox', 'option',
    'searchbox', 'combobox', 'listbox', 'menuitem', 'menuitemcheckbox', 'menuitemradio', 'tab', 'treeitem']);
  const widget = e => widgets.has(role(e));
  const wide = new Set(['listbox', 'combobox', 'treeitem', 'textbox']);  // other things may lie in one
  const field = e => /^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName) || e.isContentEditable
    || ['textbox', 'searchbox', 'combobox', 'spinbutton', 'slider', 'listbox'].includes(role(e));
  const presses = e => e.tagName === 'INPUT' && ['submit', 'button', 'reset'].includes(e.type);

  // The text of an element as it is seen, without what its fields hold. all: with parts that are aria-hidden.
  const silent = /^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE|INPUT|TEXTAREA|SELECT|DATALIST|IFRAME|OBJECT|VIDEO|AUDIO|CANVAS)$/i;
  const wording = (e, most, all) => {
    let out = '', left = 300;
    const walk = n => {
      if (out.length > most * 2 + 40 || left-- < 0) return;
      if (n.nodeType === 3) { out += n.data; return; }
      if (n.nodeType === 1) {
        if (silent.test(n.tagName) || n.isContentEditable || n.getAttribute('role') === 'textbox') return;
        let space = '';
        if (n !== e) {
          if (!all && n.getAttribute('aria-hidden') === 'true') return;
          const style = getComputedStyle(n);
          if (style.display === 'none' || style.visibility !== 'visible' && n.childElementCount === 0) return;
          const given = n.tagName === 'IMG' ? n.alt : n.getAttribute('aria-label');
          if (style.display !== 'inline' && style.display !== 'contents') space = ' ';
          if (given) { out += ` ${given} `; return; }
        }
        if (n.tagName === 'svg') {
          const title = n.querySelector('title');
          out += n.getAttribute('aria-label') || (title ? title.textContent : n.textContent);
          return;
        }
        if (n.tagName === 'BR') out += ' ';
        out += space;
        const slotted = n.tagName === 'SLOT' ? n.assignedNodes() : [];
        if (slotted.length) slotted.forEach(walk);
        else for (let c = (shadow(n) || n).firstChild; c; c = c.nextSibling) walk(c);
        out += space;
      }
    };
    walk(e);
    return clip(out, most);
  };
  const short = once(e => wording(e, 80, false));
  const words = (e, most = 80, all = false) => most === 80 && !all ? short(e) : wording(e, most, all);
  const named = (e, attribute) => {
    const root = e.getRootNode(), ids = (e.getAttribute(attribute) || '').split(/\\s+/).filter(Boolean);
    const found = root.getElementById ? ids.map(id => root.getElementById(id)).filter(Boolean) : [];
    return clip(found.map(one => one.getAttribute('aria-label') || words(one) || words(one, 80, true)).join(' '));
  };
  // The label of a field: without the text of the fields in it.
  const labels = e => clip([...(e.labels || [])].map(one => words(one)).join(' '));
  // The text beside a field that has no label: after a box to tick, before any other. close: in the same parent.
  const beside = (e, close = false) => {
    const fields = 'input:not([type=hidden]),textarea,select,button,[contenteditable],[role=textbox]';
    const text = n => n.nodeType === 3 ? n.data : n.nodeType === 1 && !n.matches(fields + ',script,style')
      && !n.querySelector(fields) ? words(n) : null;
    const look = (from, next) => {
      for (let n = from[next]; n; n = n[next]) {
        if (n.nodeType === 8) continue;
        const found = text(n);
        if (found === null || squash(found)) return clip(found || '');
      }
      return null;
    };
    if (/^(checkbox|radio)$/.test(e.type)) return look(e, 'nextSibling') || '';
    const found = close && twin(e, e.previousElementSibling) ? null : look(e, 'previousSibling');
    if (found !== null || close || !e.parentElement) return found || '';
    const before = e.parentElement.previousElementSibling;
    return before ? clip(text(before) || '') : '';
  };
  const told = e => named(e, 'aria-labelledby') || attribute(e, 'aria-label');
  const name = e => {
    const given = told(e);
    if (given) return clip(given);
    if (presses(e))
      return clip(e.getAttribute('value') || labels(e) || {submit: 'Submit', reset: 'Reset'}[e.type] || '');
    if (/^(IMG|AREA)$/.test(e.tagName) || e.type === 'image')
      return clip(attribute(e, 'alt') || attribute(e, 'title'));
    const rest = attribute(e, 'placeholder') || attribute(e, 'aria-placeholder') || attribute(e, 'data-placeholder');
    if (field(e)) return clip(labels(e) || rest || attribute(e, 'title') || beside(e));
    if (e.tagName === 'BUTTON' && e.labels && e.labels.length && labels(e)) return labels(e);
    return words(e) || clip(attribute(e, 'alt') || attribute(e, 'title')) || words(e, 80, true);
  };
  // A name for people, of something that may have none.
  const label = e => ground(e) ? ''
    : name(e) || clip(attribute(e, 'name') || attribute(e, 'id') || e.tagName.toLowerCase());

  // -- which element stands for the one that was hit
  const cursor = once(e => getComputedStyle(e).cursor);
  const points = e => cursor(e) === 'pointer' && !(up(e) && cursor(up(e)) === 'pointer');
  const usable = 'a[href],button,input:not([type=hidden]),select,textarea,[role=button],[role=link],[onclick]';
  const listens = e => {
    if (!e.hasAttribute('onclick') && !heard(e)) return false;
    if (/^(TR|LI)$/.test(e.tagName)) return true;
    return !e.querySelector(usable) && e.textContent.length < 1000 && words(e, 201).length <= 200;
  };
  // Whether an element has several children of one tag with text: each is then a thing of its own.
  const several = once(e => {
    if (e.tagName === 'TR') return false;
    const tags = new Set();
    for (let c = e.firstElementChild; c; c = c.nextElementSibling) {
      if (!c.textContent.trim() || silent.test(c.tagName)) continue;
      if (tags.has(c.tagName)) return true;
      tags.add(c.tagName);
    }
    return false;
  });
  const drawing = e => e.ownerSVGElement;  // part of an <svg>
  const large = e => {
    const r = e.getBoundingClientRect();
    return r.width * r.height > innerWidth * innerHeight * 0.6;
  };
  // 'points' or 'listens' for a block on which a click does something, '' for any other element.
  const block = once(e => {
    if (ground(e) || e.nodeType !== 1 || /^(IFRAME|FRAME|OBJECT|EMBED|LABEL|OPTGROUP)$/.test(e.tagName)) return '';
    const how = points(e) ? 'points' : listens(e) ? 'listens' : '';
    return how && large(e) && e.childElementCount ? '' : how;
  });
  const owner = hit => {
    let found = null, how = '', below = null;
    for (let at = hit; at && !ground(at); below = at, at = up(at)) {
      if (at.tagName === 'LABEL' && at.control) return found && how === 'listens' ? found : at.control;
      if (widget(at)) return found && (how === 'listens' || wide.has(role(at))) ? found : at;
      if (found || (drawing(at) && !at.hasAttribute('onclick'))) continue;
      how = block(at);
      if (how) found = below && several(at) && !drawing(below) ? below : at;
    }
    if (found) return found;
    while (hit && drawing(hit)) hit = drawing(hit);
    return hit && !ground(hit) ? hit : null;
  };
  const item = e => { const outer = up(e); return Boolean(outer && block(outer) && several(outer)); };
  const acts = e => Boolean(block(e)) && !several(e) || item(e);
  // The role of what can be used; a block on which a click does something is a button, or a row of a table.
  const kind = e => widget(e) ? role(e) : acts(e) ? role(e) || (e.tagName === 'TR' ? 'row' : 'button') : '';

  // -- where it is
  const enabled = e => !e.matches(':disabled') && e.getAttribute('aria-disabled') !== 'true';
  const drawn = e => e.checkVisibility({checkOpacity: e.tagName !== 'INPUT', checkVisibilityCSS: true});
  const rect = e => {
    const all = e.getClientRects();
    let r = all.length === 1 ? all[0] : e.getBoundingClientRect();
    if (all.length > 1 && all.length < 50)  // over several lines: the middle of all may lie beside it
      r = [...all].reduce((a, b) => b.width * b.height > a.width * a.height ? b : a);
    return [r.left, r.top, r.right, r.bottom];
  };
  const scrolled = once(() => [scrollX, scrollY]);
  const sized = r => r[2] - r[0] >= 2 && r[3] - r[1] >= 2 && r[2] + scrolled()[0] > 0 && r[3] + scrolled()[1] > 0;
  // Where to press: a control that is hidden behind its label is pressed there. Null: nowhere.
  const box = e => {
    const own = rect(e);
    const labelled = e.labels && e.labels.length;
    if (sized(own) && drawn(e) && !(labelled && getComputedStyle(e).clipPath !== 'none')) return own;
    for (const one of e.labels || []) if (drawn(one) && sized(rect(one))) return rect(one);
    return null;
  };

  // -- what is around it
  const HEADS = 'h1,h2,h3,h4,h5,h6,[role=heading]';
  const seen = once(e => drawn(e) ? words(e) : '');
  const heads = once(e => e.tagName === 'SLOT' ? [] : [...e.querySelectorAll(HEADS)]);
  const heading = (e, within) => {
    for (let at = up(e); at; at = up(at)) {
      const found = heads(at).filter(one => !one.contains(e));
      if (found.length === 1 && seen(found[0])) return found[0];
      for (const one of found.reverse())
        if (one.compareDocumentPosition(e) & 4 && seen(one)) return one;
      if (at === within) break;
    }
    return null;
  };
  const level = h => Number(/^H\\d$/.test(h.tagName) ? h.tagName[1] : h.getAttribute('aria-level') || 2);
  // The headings that an element is under: the nearest, then those of higher rank before it, up to the page's own.
  const headings = (e, within) => {
    const found = [];
    for (let h = heading(e, within); h && found.length < 3;) {
      found.push(seen(h));
      const below = h;
      h = heads(h.getRootNode()).findLast(one => level(one) < level(below) && one.compareDocumentPosition(below) & 4
        && seen(one) && (!within || within.contains(one)));
    }
    return found;
  };
  const columns = (e, row, own) => {
    if (!own) return '';
    const table = row.closest('table');
    if (table && own.cellIndex >= 0) {
      const at = cell => { let n = 0; while ((cell = cell.previousElementSibling)) n += cell.colSpan || 1; return n; };
      const head = table.tHead ? table.tHead.rows[table.tHead.rows.length - 1] : table.rows[0];
      if (!head || head === row || !table.tHead && head.querySelector('td')) return '';
      const cell = [...head.cells].find(c => at(c) <= at(own) && at(own) < at(c) + c.colSpan);
      return cell ? words(cell) : '';
    }
    const grid = around(row, '[role=grid],[role=table],[role=treegrid]');
    const heads = grid ? [...grid.querySelectorAll('[role=columnheader]')] : [];
    const index = [...row.querySelectorAll('[role=cell],[role=gridcell],[role=rowheader]')].indexOf(own);
    return index >= 0 && heads[index] ? words(heads[index]) : '';
  };
  // An entry of a list: its first text that is not the element's.
  const entry = e => {
    for (let at = e, n = 0; at && !ground(at) && n < 6; at = up(at), n++) {
      if (at === e || !twin(at, at.previousElementSibling) && !twin(at, at.nextElementSibling)) continue;
      for (let c = at.firstElementChild; c; c = c.nextElementSibling)
        if (!holds(c, e) && seen(c)) return seen(c);
      if (/^(LI|ARTICLE)$/.test(at.tagName)) break;
    }
    return '';
  };
  // The text before a block that is the first of its kind in its place: the label of a list made of blocks.
  const before = e => {
    if (!block(e) || twin(e, e.previousElementSibling) || twin(e, e.nextElementSibling)) return '';
    for (let at = parent.call(e), n = 0; at && !ground(at) && n < 3; at = parent.call(at), n++) {
      const last = at.previousElementSibling;
      if (last) return /^(LABEL|SPAN|B|STRONG|DT|TH|TD|DIV|P)$/.test(last.tagName) ? beside(at, true) : '';
    }
    return '';
  };
  const says = text => (text.match(/\\p{L}/gu) || []).length > (text.match(/\\d/g) || []).length;
  const near = (e, own) => {
    const found = [], add = text => { if (text && text !== own && !found.includes(text)) found.push(text); };
    const row = around(up(e) || e, 'tr,[role=row]');
    if (!row && !field(e)) add(entry(e));  // what a card begins with names it; the text before its button need not
    add(labels(e) || beside(e, !field(e)) || (widget(e) ? '' : before(e)));
    const list = around(up(e) || e, 'select,optgroup,[role=listbox],[role=menu],[role=tablist],[role=tree]');
    if (list && ['option', 'menuitem', 'tab', 'treeitem'].includes(role(e)))
      add(told(list) || (list.tagName === 'SELECT' ? name(list) : ''));
    if (row) {
      const cells = [...row.querySelectorAll('td,th,[role=cell],[role=gridcell],[role=rowheader]')];
      const mine = cells.find(one => holds(one, e)), rest = cells.filter(one => one !== mine && one !== e && seen(one));
      const first = rest.find(one => says(words(one))) || rest[0];  // a number of an order names no other order's row
      if (first) add(words(first));
      for (const one of cells)  // which row it is, where the first cell is a number that another record has otherwise
        if (one !== first && one !== mine && one !== e && found.length < 4) add(words(one));
      add(columns(e, row, mine));
    } else add(entry(e));
    for (let at = around(e, 'fieldset,[role=group],[role=radiogroup]'); at;
      at = up(at) && around(up(at), 'fieldset,[role=group],[role=radiogroup]')) {
      const legend = at.tagName === 'FIELDSET' && at.querySelector('legend');
      add(told(at) || (legend ? words(legend) : ''));
    }
    const dialog = around(e, 'dialog,[role=dialog],[role=alertdialog],[aria-modal=true]');
    headings(e, dialog).forEach(add);
    if (dialog && dialog !== e) {
      const head = dialog.querySelector(HEADS);
      add(clip(told(dialog)) || (head ? words(head) : ''));
    }
    return found.slice(0, 6);
  };
  const attributes = e => {
    const found = {};
    for (const one of ['id', 'name', 'placeholder', 'data-testid', 'data-test', 'data-cy', 'data-qa'])
      if (e.getAttribute(one)) found[one] = clip(e.getAttribute(one), 120);
    if (['INPUT', 'BUTTON'].includes(e.tagName)) found.type = e.type;
    if (found.type === 'submit' && e.form && [...e.form.elements].filter(x => x.type === 'submit').length === 1)
      found.submits = clip(e.form.getAttribute('action') || '', 120);  // the only one that sends this form
    if (e.maxLength > 0) found.maxlength = String(e.maxLength);
    const href = e.tagName === 'A' && e.getAttribute('href');
    if (href && /^#[\\w/.-]+/.test(href)) found.href = clip(href.split('?')[0], 200);
    else if (href) {
      try {
        const to = new URL(href, document.baseURI);
        if (/^(https?|file):$/.test(to.protocol)) found.href = clip(to.pathname, 200);
      } catch (e) {}
    }
    return found;
  };
  const page = () => {
    const at = document.location;
    if (/^https?:$/.test(at.protocol)) return at.origin + at.pathname;
    return /^(file|about):$/.test(at.protocol) ? at.href.split(/[?#]/)[0] : at.protocol;
  };

  // -- all of them
  // All elements in the order in which they are written, those of a shadow root after its host.
  const every = function* (root = document) {
    for (const e of root.querySelectorAll('*')) {
      yield e;
      const inner = shadow(e);
      if (inner) yield* every(inner);
    }
  };
  const native = {
    button: 'button,summary,input,[onclick]', link: 'a', option: 'option', combobox: 'select,input[list]',
    textbox: 'input,textarea,[contenteditable]', listbox: 'select',
  };
  const place = e => {  // of what a shadow root holds: of its host
    let at = e;
    while (at.getRootNode() !== document && at.getRootNode().host) at = at.getRootNode().host;
    return at;
  };
  // Which one it is, [index, count], of all that are drawn and have its role and name.
  const which = (e, of, own) => {
    const found = new Set(), bare = text => text.replace(/\\s+/g, ''), wanted = bare(own).slice(0, 40);
    const may = x => {
      if (field(x) || !wanted) return true;
      const text = x.textContent;
      return !text.trim() || x.hasAttribute('aria-label') || x.hasAttribute('aria-labelledby')
        || text.length < 5000 && bare(text).includes(wanted);
    };
    for (const root of roots()) {
      if (of) {
        const written = native[of] || (/box|radio|slider|button/.test(of) ? 'input' : of === 'row' ? 'tr' : '');
        for (const x of root.querySelectorAll(`[role="${CSS.escape(of)}"]${written && ',' + written}`))
          if (may(x)) found.add(x);
      }
      if (!own || of && of !== 'button' && of !== 'row') continue;
      const texts = document.createTreeWalker(root, 4);
      for (let n = texts.nextNode(), most = 60; n && most; n = texts.nextNode()) {
        const text = n.data.length < 300 && squash(n.data);
        if (!text || !n.parentElement || !own.startsWith(text.slice(0, 80).trim())) continue;
        most--;
        const x = owner(n.parentElement);
        if (x) found.add(x);
      }
    }
    const plain = x => x.tagName === 'BUTTON' && !x.attributes.length && !x.childElementCount;
    const alike = x => plain(e) && plain(x) ? x.textContent === e.textContent : kind(x) === of && name(x) === own;
    found.add(e);
    const same = [...found].filter(x => x === e || alike(x) && enabled(x) && box(x));
    const before = (a, b) => a.getRootNode() === b.getRootNode() ? a.compareDocumentPosition(b) & 4
      : place(a).compareDocumentPosition(place(b)) & 4;
    if (same.some((x, n) => n && !before(same[n - 1], x))) same.sort((a, b) => a === b ? 0 : before(a, b) ? -1 : 1);
    return [same.indexOf(e), same.length];
  };
  const told_of = (e, of, own, number) => {
    const text = field(e) ? '' : words(e, 200);
    return {name: own, role: of, text: text === own ? '' : text, near: near(e, own), attributes: attributes(e),
      page: page(), box: box(e) || rect(e), index: number[0], count: number[1], label: own || label(e)};
  };
  const tell = e => {
    if (!e) return null;
    const of = kind(e), own = name(e);
    return told_of(e, of, own, which(e, of, own));
  };
  // [element, role, name, box] of everything that can be used.
  const all = (most = 5000) => {
    const found = [];
    for (const e of every()) {
      if (!widget(e) && (drawing(e) || !acts(e) || owner(e) !== e)) continue;
      const at = enabled(e) && box(e);
      if (at) found.push([e, kind(e), name(e), at]);
      if (found.length >= most) break;
    }
    return found;
  };
  const targets = () => {
    const found = all(), counts = new Map(), key = one => `${one[1]}\\n${one[2]}`;
    for (const one of found) counts.set(key(one), (counts.get(key(one)) || 0) + 1);
    const before = new Map();
    return found.map(one => {
      const index = before.get(key(one)) || 0;
      before.set(key(one), index + 1);
      return told_of(one[0], one[1], one[2], [index, counts.get(key(one))]);
    });
  };
  // The visible elements with a name for people, as [label, box, role].
  const listed = most => {
    const found = [], few = 'a,button,input,select,textarea,option,summary,label,[role],[onclick],h1,h2,h3,li,td,th,p,'
      + 'span,img';
    for (const e of document.querySelectorAll(few)) {
      const r = e.getBoundingClientRect();
      if (r.width < 1 || r.height < 1 || r.bottom < 0 || r.right < 0) continue;
      if (r.top > innerHeight || r.left > innerWidth) continue;
      if (!e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
      const of = role(e) || (e.hasAttribute('onclick') ? 'button' : '');
      found.push([label(e), [r.left, r.top, r.right, r.bottom], of]);
      if (found.length >= most) break;
    }
    return found;
  };

  // -- by a place, by the focus, by what was told
  const FRAMES = ['IFRAME', 'FRAME', 'OBJECT', 'EMBED'];
  const at = (x, y) => {
    let e = document.elementFromPoint(x, y);
    for (let root = e && shadow(e); root; root = shadow(e)) {
      const inner = root.elementsFromPoint(x, y)[0], own = root.elementsFromPoint(x, y).find(one => root.contains(one));
      if (!own || inner !== e && inner !== own) break;  // text of the host in a slot is of the host and of the slot
      e = own;
    }
    return e;
  };
  const active = () => {
    let e = document.activeElement;
    for (let root = e && shadow(e); root && root.activeElement; root = shadow(e)) e = root.activeElement;
    return e && !ground(e) ? e : null;
  };
  const framed = (e, of) => e && FRAMES.includes(e.tagName) ? 'frame' : tell(e && of(e));
  const found = (where, of, own, index) => where === page()
    && (all().filter(one => one[1] === of && one[2] === own)[index] || [])[0] || null;
  // Scroll to what was told of, by page, role, name and number; returns whether it is there.
  const reveal = (...what) => {
    const e = found(...what), shown = e && (drawn(e) && sized(rect(e)) ? e : [...(e.labels || [])].find(drawn) || e);
    if (e) shown.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
    return Boolean(e);
  };
  const place_of = (...what) => { const e = found(...what); return e && box(e); };
  const struck = e => tell(owner(e));
  const hit = ([x, y]) => framed(at(x, y), owner);
  const shifted = ([x, y]) => {  // of a place in the window, which may show a part of the page after a pinch
    const v = window.visualViewport || {offsetLeft: 0, offsetTop: 0};
    return [hit([x + v.offsetLeft, y + v.offsetTop]), [v.offsetLeft, v.offsetTop]];
  };
  const field_of = e => e.isContentEditable ? e.closest('[contenteditable]:not([contenteditable=false])') || e : e;
  const json = value => {  // some pages give lists a toJSON of their own
    const theirs = Array.prototype.toJSON;
    delete Array.prototype.toJSON;
    try { return JSON.stringify(value); } finally { if (theirs) Array.prototype.toJSON = theirs; }
  };
  const focused = () => framed(active(), field_of);
  const asked = {label, owner, tell, struck, targets, listed, reveal, place: place_of, hit, shifted, focused};
  for (const one in asked) asked[one] = anew(asked[one]);
  return {...asked, json, at, active, field: field_of};
})"""
