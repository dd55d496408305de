// The behaviour of the customer database, and its log: each press of a real pointer is told to the server.
'use strict';
const keys = new WeakMap();  // element -> what it is in the log; taken off the page, so that nobody can aim by it
const note = (element, key) => keys.set(element, key);
for (const e of document.querySelectorAll('[data-k]')) { note(e, e.dataset.k); e.removeAttribute('data-k'); }
const keyOf = e => { for (; e; e = e.parentElement) if (keys.has(e)) return keys.get(e); return ''; };
addEventListener('pointerdown', event => {
  const hit = event.composedPath()[0];
  if (!event.isTrusted || !(hit instanceof Element)) return;
  navigator.sendBeacon('/crm/click', JSON.stringify({
    at: performance.timeOrigin + event.timeStamp, page: PAGE, key: keyOf(hit), tag: hit.tagName.toLowerCase(),
    text: (hit.innerText || '').slice(0, 60), x: event.clientX, y: event.clientY,
  }));
}, true);
const find = document.querySelector('.search input');
if (find) {
  const list = document.querySelector('.suggestions');
  let timer = 0;
  const suggest = async () => {
    const names = find.value.trim().length < 3 ? []
      : await (await fetch('/crm/suggest?q=' + encodeURIComponent(find.value))).json();
    list.replaceChildren(...names.map(name => {
      const row = document.createElement('div');
      row.textContent = name;
      note(row, 'suggestion:' + name);
      row.addEventListener('click', () => { find.value = name; list.replaceChildren(); });
      return row;
    }));
  };
  find.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(suggest, 150); });
}
const veil = document.querySelector('.veil');
for (const button of document.querySelectorAll('.new')) {
  button.addEventListener('click', () => {
    veil.querySelector('[name=order]').value = button.value;
    veil.querySelector('.about').textContent = `About order ${button.value}. We answer within two working days.`;
    veil.classList.add('open');
  });
}
for (const cancel of document.querySelectorAll('.cancel')) cancel.onclick = () => veil.classList.remove('open');
for (const pick of document.querySelectorAll('.pick')) {
  const choices = pick.querySelector('.choices'), value = pick.querySelector('.value');
  value.addEventListener('click', () => choices.classList.toggle('open'));
  for (const choice of choices.children) {
    choice.addEventListener('click', () => {
      value.textContent = pick.querySelector('input').value = choice.textContent;
      choices.classList.remove('open');
    });
  }
}
for (const toast of document.querySelectorAll('.toast')) setTimeout(() => toast.remove(), 4000);
