// The next right action on a MiniWoB++ page, in CSS pixels of the page. Asked again before every step: it looks how far
// things are. It reads the page to find its target, but what it returns is what a person could do with mouse and keys.
(name => {
'use strict';
const SHOWN = {left: 0, top: 50, right: 160, bottom: 210};  // what a policy sees below the instruction
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = selector => document.querySelector(selector);
const told = core.getUtterance();
const task = typeof told === 'object' ? told.utterance : told;
const find = pattern => (task.match(pattern) || []).slice(1);
// What was done in this episode and leaves no trace in the page; a page is loaded anew for every episode.
const memory = window.__showonceOracle || (window.__showonceOracle = {});

const words = element => element.textContent.replace(/\s+/g, ' ').trim();
const inside = (x, y) => x >= SHOWN.left + 1 && x < SHOWN.right - 1 && y >= SHOWN.top + 1 && y < SHOWN.bottom - 1;
const hits = (element, x, y) => {
  const top = document.elementFromPoint(x, y);
  return inside(x, y) && top && (top === element || element.contains(top) || top.contains(element) && top.tagName === 'LABEL');
};
// A place where the element is on top: its middle, else the one of a grid that is farthest from its edges.
const place = element => {
  let best = null, depth = -1;
  for (const r of element.getClientRects()) {
    for (let i = 1; i < 12; i++) for (let j = 1; j < 12; j++) {
      const x = r.left + r.width * i / 12, y = r.top + r.height * j / 12;
      const deep = Math.min(i, 12 - i, j, 12 - j);
      if (deep > depth && hits(element, x, y)) { best = [x, y]; depth = deep; }
    }
  }
  return best;
};
const at = (verb, x, y, more = {}) => ({action: verb, x, y, ...more});
const type = text => ({action: 'type', text});
const key = keys => ({action: 'key', keys});
const drag = (x, y, to_x, to_y) => at('drag', x, y, {to_x: Math.min(Math.max(to_x, 0.5), 159.5), to_y: Math.min(Math.max(to_y, 50.5), 209.5)});
// Click an element; scroll towards one that is not in sight.
const click = element => {
  const found = place(element);
  if (found) return at('click', ...found);
  const r = element.getBoundingClientRect();
  return at('scroll', 80, 130, {dy: r.top + r.height / 2 > 130 ? 1 : -1});
};
const submit = () => click(one('#subbtn') || one('#submit') || one('#area .secondary-action'));
const named = (selector, text) => all(selector).find(e => words(e) === text);
// Fill a field: focus it, empty it if something else is in it, type. Nothing when it is right.
const fill = (element, text) => {
  if (element.value === text) return null;
  if (document.activeElement !== element) return click(element);
  if (element.value && element.selectionStart !== undefined && element.selectionEnd - element.selectionStart < element.value.length) {
    return key('ctrl+a');
  }
  return type(text);
};
const form = (...pairs) => pairs.reduce((found, [element, text]) => found || fill(element, text), null) || submit();
const checks = (wanted, selector = '#area input') => {
  for (const box of all(selector)) {
    if (box.checked !== wanted.includes(words(box.closest('label')))) return click(box);
  }
  return submit();
};
const chosen = () => {
  const [list] = find(/^Select (.*) and click Submit/);
  return list === 'nothing' ? [] : list.split(', ');
};
const login = () => {
  const popup = one('#popup-cancel');
  if (popup) return click(popup);
  const [user, password] = find(/username "(.*?)" and the password "(.*?)"/);
  return form([one('#username'), user], [one('#password'), password]);
};
const moved = (element, dx, dy) => {
  if (memory.done) return submit();
  memory.done = true;
  const [x, y] = place(element);
  return drag(x, y, x + dx, y + dy);
};
const towards = element => {
  const way = {left: [-15, 0], right: [15, 0], up: [0, -15], down: [0, 15]}[find(/(left|right|up|down)/)[0]];
  return moved(element, ...way);
};
// Click on the track where the value lies, then arrow keys for what is missing.
const slide = (element, wanted) => {
  const slider = $(element), value = slider.slider('value');
  if (value === wanted) return null;
  const low = slider.slider('option', 'min'), high = slider.slider('option', 'max');
  const upright = slider.slider('option', 'orientation') === 'vertical';
  const handle = all('.ui-slider-handle', element)[0], r = element.getBoundingClientRect();
  const share = (wanted - low) / (high - low);
  if (document.activeElement !== handle) {
    if (Math.abs(value - wanted) < 3) return click(handle);
    const x = upright ? r.left + r.width / 2 : r.left + Math.min(Math.max(r.width * share, 1), r.width - 1);
    const y = upright ? r.bottom - Math.min(Math.max(r.height * share, 1), r.height - 1) : r.top + r.height / 2;
    return at('click', x, y);
  }
  return key(value < wanted ? 'right' : 'left');
};
const highlight = element => {
  if (words({textContent: String(getSelection())}) === words(element)) return submit();
  const range = document.createRange();
  range.selectNodeContents(element);
  const lines = [...range.getClientRects()].filter(r => r.width > 1);
  const first = lines[0], last = lines[lines.length - 1];
  return drag(first.left + 0.5, first.top + first.height / 2, last.right + 1, last.top + last.height / 2);
};
const email = icon => {
  const [who] = find(/email by (.*?) and click/);
  const row = all('.email-thread').find(e => words(e.querySelector('.email-sender')) === who);
  return click(row.querySelector(icon));
};
const number = (element, value) => form([element, String(value)]);
const ordinal = () => Number(find(/(\d+)(?:st|nd|rd|th)/)[0]);
const button = () => click(named('#area button', find(/"(.*)"/)[0]));
const expand = () => all('.ui-accordion-content').some(e => e.offsetHeight) ? submit() : click(one('.ui-accordion-header'));

const tasks = {
  'ascending-numbers': () => click(named('svg text', '1') || one('svg rect')),
  'choose-list': () => {
    const [wanted] = find(/^Select (.*) from the list/), list = one('#options');
    if (list.value === wanted) return submit();
    const option = all('option', list).find(e => e.value === wanted);
    if (!list.matches(':open')) return click(list);
    return place(option) ? click(option) : document.activeElement === option ? key('enter') : key('down');
  },
  'circle-center': () => {
    if (one('.blue')) return submit();
    const r = one('.black-circle').getBoundingClientRect();
    return at('click', r.left + r.width / 2, r.top + r.height / 2);
  },
  'click-button': button,
  'click-button-sequence': () => {
    const next = memory.done ? '#subbtn2' : '#subbtn';
    memory.done = true;
    return click(one(next));
  },
  'click-checkboxes': () => checks(chosen()),
  'click-checkboxes-large': () => checks(chosen()),
  'click-checkboxes-transfer': () => checks(chosen()),
  'click-collapsible': expand,
  'click-collapsible-nodelay': expand,
  'click-color': () => click(one(`#area [data-color="${find(/the (\w+) colored/)[0]}"]`)),
  'click-dialog': () => click(one('.ui-dialog-titlebar button')),
  'click-dialog-2': () => {
    const [label] = find(/labeled "(.*)"/);
    return click(label === 'x' ? one('.ui-dialog-titlebar button') : named('.ui-dialog-buttonset button', label));
  },
  'click-link': () => click(named('.alink', find(/"(.*)"/)[0])),
  'click-option': () => checks(chosen()),
  'click-tab': () => click(named('#area ul a', find(/(Tab #\d)/)[0])),
  'click-test': () => click(one('#subbtn')),
  'click-test-2': () => click(one('#subbtn')),
  'click-test-transfer': () => click(named('#area button', find(/button (\w+)/)[0])),
  'click-widget': () => click(one(`[data-type="${find(/"(.*)"/)[0]}"]`)),
  'copy-paste': () => form([one('#answer-input'), one('#to-copy').value]),
  'drag-box': () => {
    if (memory.done) return submit();
    const small = one('#draggableSmall'), large = one('#draggableLarge');
    const s = small.getBoundingClientRect(), l = large.getBoundingClientRect(), grip = place(small);
    if (!grip) return drag(l.left + 25, l.top + 25, l.left < 55 ? l.left + 80 : l.left - 30, l.top + 25);
    memory.done = true;
    return drag(...grip, grip[0] + l.left + 15 - s.left, grip[1] + l.top + 15 - s.top);
  },
  'drag-circle': () => towards(one('circle')),
  'drag-single-shape': () => towards(one('.black-shape')),
  'email-inbox-delete': () => email('.trash'),
  'email-inbox-important': () => email('.star'),
  'enter-date': () => {
    const [month, day, year] = find(/(\d+)\/(\d+)\/(\d+)/);
    return form([one('#tt'), `${year}-${month}-${day}`]);
  },
  'enter-password': () => {
    const [password] = find(/"(.*)"/);
    return form([one('#password'), password], [one('#verify'), password]);
  },
  'enter-text': () => form([one('#tt'), find(/"(.*)"/)[0]]),
  'enter-text-2': () => {
    const [text, how] = find(/"(.*)" in all (upper|lower)/);
    return form([one('#tt'), how === 'upper' ? text.toUpperCase() : text.toLowerCase()]);
  },
  'enter-text-dynamic': () => form([one('#tt'), find(/"(.*)"/)[0]]),
  'enter-time': () => {
    const [hour, minute, half] = find(/(\d+):(\d+)\s*([AP]M)/);
    return form([one('#tt'), `${String(hour % 12 + (half === 'PM' ? 12 : 0)).padStart(2, '0')}:${minute}`]);
  },
  'find-greatest': () => {
    const value = card => Number(words(card.querySelector('.card-value')));
    const best = all('#cardholder > div').reduce((a, b) => value(b) > value(a) ? b : a);
    return best.classList.contains('hidden') ? click(best) : submit();
  },
  'find-word': () => {
    const word = words(one('#area p')).split(' ')[ordinal() - 1].replace(/[^a-zA-Z]/g, '');
    return form([one('#answer-input'), word]);
  },
  'focus-text': () => click(one('#area input')),
  'focus-text-2': () => click(all('#area input')[ordinal() - 1]),
  'grid-coordinate': () => click(document.getElementById(find(/(\(.*\))/)[0])),
  'highlight-text': () => highlight(one('#randomText')),
  'highlight-text-2': () => highlight(all('#randomText p')[ordinal() - 1]),
  'identify-shape': () => {
    const shape = one('#area_svg').lastElementChild, tag = shape.tagName;
    const kind = {rect: 'rectangle', circle: 'circle', polygon: 'triangle'}[tag] || (/\d/.test(words(shape)) ? 'digit' : 'letter');
    return click(one(`button[data-type="${kind}"]`));
  },
  'login-user': login,
  'login-user-popup': login,
  'odd-or-even': () => {
    for (const row of all('.row')) {
      const wanted = Number(words(row.querySelector('.display-number'))) % 2 ? '.odd' : '.even';
      const choice = row.querySelector(wanted);
      if (!choice.classList.contains('selected')) return click(choice);
    }
    return submit();
  },
  'phone-book': () => {
    const [who, , what] = find(/Find (.*?) in the contact book and click on (their|his|her) (.*?)( number)?\.?$/);
    if (words(one('#contact .name')) !== who) return click(one('#pagination .next a') || named('#pagination a', '>'));
    return click(one(`#contact a.${what.replace(' number', '').replace('email address', 'email')}`));
  },
  'read-table': () => {
    const [label] = find(/value of (.*) into/);
    const row = all('tr').find(e => words(e.cells[0]) === label);
    return form([one('#tt'), words(row.cells[1])]);
  },
  'resize-textarea': () => {
    if (memory.done) return submit();
    memory.done = true;
    const [side, size] = find(/the (width|height) is (smaller|larger)/), by = size === 'larger' ? 12 : -12;
    const [x, y] = place(one('.ui-resizable-se'));
    return side === 'width' ? drag(x, y, x + by, y) : drag(x, y, x, y + by);
  },
  'simple-algebra': () => {
    const [a, sign, b, sum] = words(one('#math-problem')).match(/(\w+) ([-+]) (\w+) = (-?\d+)/).slice(1);
    const known = Number(a === 'x' ? b : a), result = Number(sum);
    return number(one('#math-answer'), sign === '+' ? result - known : a === 'x' ? result + known : known - result);
  },
  'simple-arithmetic': () => {
    const [a, sign, b] = words(one('#math-problem')).match(/(\d+) ([-+x]) (\d+)/).slice(1);
    return number(one('#math-answer'), {'+': +a + +b, '-': a - b, x: a * b}[sign]);
  },
  'text-transform': () => form([one('#tt'), words(one('#captcha'))]),
  'unicode-test': button,
  'use-slider': () => slide(one('#slider'), Number(find(/(-?\d+)/)[0])) || submit(),
  'use-slider-2': () => {
    const wanted = find(/\[(.*)\]/)[0].split(',').map(Number);
    return wanted.reduce((found, n, i) => found || slide(one(`#slider-${i + 1}`), n), null) || submit();
  },
  'use-spinner': () => {
    const wanted = Number(find(/(-?\d+)/)[0]), value = Number(one('#spinner').value);
    return value === wanted ? submit() : click(one(value < wanted ? '.ui-spinner-up' : '.ui-spinner-down'));
  },
  'visual-addition': () => number(one('#math-answer'), all('.addition-block').length),
};
return tasks[name]();
})
