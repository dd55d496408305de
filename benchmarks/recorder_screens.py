"""The two programs that benchmarks/recorder.py records: pages for a browser, and a Tk window."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

BITS: Final = 12
CELL: Final = 16  # pixels: side of a cell of the bar code, at the lower left

SCREEN: Final = """<!doctype html><meta charset=utf-8><body style='margin:0;background:#ddd;overflow:hidden'>
<div id=code style='position:fixed;left:0;bottom:0;height:CELLpx;font-size:0'></div><script>
let n = 0, last = null;
const cells = [...Array(BITS)].map(() => {
  const c = document.createElement('span');
  c.style = 'display:inline-block;width:CELLpx;height:CELLpx;background:#fff';
  code.append(c);
  return c;
});
const count = () => { n++; cells.forEach((c, i) => c.style.background = n >> i & 1 ? '#000' : '#fff'); };
for (const kind of ['pointerdown', 'keydown', 'wheel']) addEventListener(kind, count);
addEventListener('contextmenu', e => e.preventDefault());
</script>""".replace("CELL", str(CELL)).replace("BITS", str(BITS))

BENCH: Final = """<!doctype html><meta charset=utf-8><style>
body{margin:0;background:#f4f4f4;font:15px sans-serif}
.w{position:absolute;width:150px;height:40px;box-sizing:border-box}
</style><body>WIDGETS<script>
const state = {clicks: 0, doubles: 0, menus: 0};
addEventListener('contextmenu', e => e.preventDefault());
count.onclick = () => count.textContent = 'clicked ' + ++state.clicks;
twice.ondblclick = () => twice.textContent = 'doubled ' + ++state.doubles;
menu.oncontextmenu = () => menu.textContent = 'menu ' + ++state.menus;
let at = null;
box.onpointerdown = e => {
  at = [e.clientX - box.offsetLeft, e.clientY - box.offsetTop];
  box.setPointerCapture(e.pointerId);
};
box.onpointermove = e => {
  if (at) box.style.cssText += `;left:${e.clientX - at[0]}px;top:${e.clientY - at[1]}px`;
};
box.onpointerup = () => at = null;
window.told = () => JSON.stringify({...state, name: name_.value, tick: tick.checked, list: list.scrollTop,
  box: [box.style.left, box.style.top], slide: slide.value});
</script>"""
WIDGETS: Final = {
    "count": "<button id=count class=w style='{}'>click</button>",
    "twice": "<button id=twice class=w style='{}'>double</button>",
    "menu": "<div id=menu class=w style='{};background:#cde'>right</div>",
    "name": "<input id=name_ class=w style='{}'>",
    "tick": "<input id=tick type=checkbox class=w style='{}'>",
    "slide": "<input id=slide type=range step=10 class=w style='{}'>",
    "list": "<div id=list class=w style='{};overflow:auto;background:#fff'><div style='height:900px'>list</div></div>",
    "box": "<div id=box class=w style='{};background:#a44'></div>",
}


def bench(rng: random.Random) -> tuple[str, dict[str, tuple[int, int]]]:
    """Return a page with widgets in random places, and the middle of each."""
    cells = rng.sample([(60 + 300 * c, 40 + 100 * r) for c in range(4) for r in range(4)], len(WIDGETS))
    html = "".join(w.format(f"left:{x}px;top:{y}px") for w, (x, y) in zip(WIDGETS.values(), cells, strict=True))
    return BENCH.replace("WIDGETS", html), {n: (x + 75, y + 20) for n, (x, y) in zip(WIDGETS, cells, strict=True)}


def panel(file: str, seed: str) -> None:
    """Run the Tk program: with a seed the widgets of a flow, else the bar code; its state is written to a file."""
    import tkinter as tk

    root = tk.Tk()
    root.title("panel")
    root.geometry("1000x600+100+40")
    canvas = tk.Canvas(root, background="#ddd", highlightthickness=0)
    canvas.pack(fill="both", expand=True)
    told: dict[str, Any] = {"count": 0}

    def write() -> None:
        aside = Path(file + ".new")
        aside.write_text(json.dumps(told))
        aside.replace(file)

    if seed:
        _widgets(tk, root, canvas, random.Random(seed), told, write)
    else:
        top = 600 - CELL
        cells = [canvas.create_rectangle(i * CELL, top, (i + 1) * CELL, 600, fill="#fff", width=0) for i in range(BITS)]

        def count(_: Any) -> None:
            told["count"] += 1
            for bit, cell in enumerate(cells):
                canvas.itemconfigure(cell, fill="#000" if told["count"] >> bit & 1 else "#fff")
            write()

        for kind in ("<ButtonPress>", "<Key>"):
            root.bind_all(kind, count)
    root.focus_force()
    root.after(50, write)
    root.mainloop()


def _widgets(
    tk: Any, root: Any, canvas: Any, rng: random.Random, told: dict[str, Any], write: Callable[[], None]
) -> None:
    places = panel_places(rng)
    text, tick = tk.StringVar(), tk.IntVar()

    def say(name: str, value: Any) -> None:
        told[name] = value
        write()

    entry = tk.Entry(root, textvariable=text, insertofftime=0)
    button = tk.Button(root, text="click", command=lambda: say("clicks", told.get("clicks", 0) + 1))
    box = tk.Checkbutton(root, text="tick", variable=tick, command=lambda: say("tick", tick.get()))
    scale = tk.Scale(root, orient="horizontal", to=100, command=lambda value: say("slide", value))
    text.trace_add("write", lambda *_: say("text", text.get()))
    for name, widget in (("entry", entry), ("button", button), ("tick", box), ("scale", scale)):
        x, y = places[name]
        widget.place(x=x - 60, y=y - 20, width=120, height=40)
    x, y = places["spot"]
    spot = canvas.create_rectangle(x - 30, y - 20, x + 30, y + 20, fill="#a44", width=0)

    def drag(event: Any) -> None:
        canvas.coords(spot, event.x - 30, event.y - 20, event.x + 30, event.y + 20)
        say("spot", [event.x, event.y])

    canvas.tag_bind(spot, "<B1-Motion>", drag)
    canvas.tag_bind(spot, "<Double-Button-1>", lambda _: say("doubles", told.get("doubles", 0) + 1))
    canvas.tag_bind(spot, "<Button-3>", lambda _: say("menus", told.get("menus", 0) + 1))


def panel_places(rng: random.Random) -> dict[str, tuple[int, int]]:
    """Return the middle of each widget of the panel, in its window."""
    cells = rng.sample([(100 + 200 * c, 60 + 110 * r) for c in range(4) for r in range(4)], 5)
    return dict(zip(("entry", "button", "tick", "scale", "spot"), cells, strict=True))
