// What all pages share: a look and an order of things that depend on ?seed=N, and nothing else does.
'use strict';
const query = new URLSearchParams(location.search);
let state = (Number(query.get('seed') || 0) * 2654435761 + 12345) >>> 0;
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const hue = Math.floor(random() * 360), dark = random() < 0.3, look = document.documentElement.style;
look.setProperty('--accent', `hsl(${hue} 70% ${dark ? 45 : 35}%)`);
look.setProperty('--paper', dark ? `hsl(${hue} 15% 14%)` : `hsl(${hue} 30% ${94 + random() * 6}%)`);
look.setProperty('--ink', dark ? '#eee' : '#111');
look.setProperty('--field', dark ? '#222' : '#fff');
look.setProperty('--edge', dark ? '#888' : '#666');
document.body.style.paddingTop = `${6 + Math.floor(random() * 24)}px`;
document.body.style.paddingLeft = `${6 + Math.floor(random() * 20)}px`;
for (const list of document.querySelectorAll('[data-shuffle]')) {
  const items = [...list.children];
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
  list.append(...items);
}
const go = (page, more = {}) => {
  location.href = `${page}.html?${new URLSearchParams({seed: query.get('seed') || 0, ...more})}`;
};
for (const link of document.querySelectorAll('a[data-page]')) {
  link.href = `${link.dataset.page}.html?seed=${query.get('seed') || 0}`;
}
