"""Pages of our own, rendered by Chromium: the second source of pre-training.

    python scripts/pages.py out=logs/pages screens=48000      # about 300 a second on one core
    python scripts/pages.py sheet=logs/pages.png              # one screenshot, to look at

A *group* is a set of things (buttons, links, boxes ...) and a program over them; its four screens lay the same things
out anew, at some step of the program. Sixty cells of 160 x 160 on one large page are one screenshot; each cell is
scaled to the model's 112 x 112 as MiniWoB++ frames are. What stands where is asked of the browser, and what is covered
is left out. `screens.jsonl` says it for the frames of `frames.npy`.
"""

from __future__ import annotations

import io
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from omegaconf import OmegaConf
from PIL import Image
from rich.progress import track

from page_html import SCREENS, Group, namings, random_group, screen_html
from showonce.environments.browser.executable import find_browser

CELL, SIZE = 160, 112
COLUMNS, ROWS = 10, 6


_PAGE = (
    "<!doctype html><meta charset=utf-8><style>body{{margin:0}}p{{margin:0}}"
    ".cell{{position:absolute;width:160px;height:160px;overflow:hidden;contain:strict}}"
    ".in{{position:absolute;inset:0;padding:2px;box-sizing:border-box;overflow:hidden}}</style><body>{cells}"
)
_WHERE = """() => [...document.querySelectorAll('.cell')].map(cell => {
  const at = cell.getBoundingClientRect();
  return [...cell.querySelectorAll('[data-i]')].flatMap(e => {
    const r = e.getClientRects()[0] || e.getBoundingClientRect();
    const l = Math.max(r.left, at.left), t = Math.max(r.top, at.top);
    const w = Math.min(r.right, at.right) - l, h = Math.min(r.bottom, at.bottom) - t;
    if (w < 3 || h < 3 || w * h < .6 * r.width * r.height) return [];
    const top = document.elementFromPoint(l + w / 2, t + h / 2);
    if (!top || !(top === e || e.contains(top) || top.contains(e) && top.tagName === 'LABEL')) return [];
    return [[+e.dataset.i, (l - at.left) / 160, (t - at.top) / 160, w / 160, h / 160]];
  });
})"""


@dataclass
class PagesConfig:
    """out: folder of the frames; screens: how many; sheet: a picture to look at instead."""

    out: str = "logs/pages"
    screens: int = 48_000
    seed: int = 0
    sheet: str = ""
    browser: str = ""


def main(config: PagesConfig) -> None:
    """Render, and write the frames and the records of their things."""
    from playwright.sync_api import sync_playwright

    rng = random.Random(f"pages-{config.seed}")
    per = COLUMNS * ROWS
    sheets = 1 if config.sheet else -(-config.screens // per)
    folder = Path(config.out)
    with sync_playwright() as p:
        path = find_browser(config.browser, headless=True)
        browser = p.chromium.launch(executable_path=str(path), args=["--hide-scrollbars", "--no-sandbox"])
        page = browser.new_page(viewport={"width": COLUMNS * CELL, "height": ROWS * CELL})
        if not config.sheet:
            folder.mkdir(parents=True, exist_ok=True)
            frames = np.lib.format.open_memmap(folder / "frames.npy.tmp", "w+", np.uint8, (sheets * per, SIZE, SIZE, 3))
            told = (folder / "screens.jsonl").open("w")
        for number in track(range(sheets), "pages", disable=bool(config.sheet)):
            drawn, cells = [], []
            for g in range(per // SCREENS):
                group = random_group(rng)
                steps = [rng.randrange(len(group.program)) for _ in range(SCREENS // 2)] * 2
                for k, at in enumerate(steps):
                    cell = g * SCREENS + k
                    x, y = cell % COLUMNS * CELL, cell // COLUMNS * CELL
                    inner = screen_html(rng, group, at)
                    cells.append(f"<div class=cell style='left:{x}px;top:{y}px'>{inner}</div>")
                    drawn.append((group, at))
            page.set_content(_PAGE.format(cells="".join(cells)))
            where = page.evaluate(_WHERE)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            if config.sheet:
                picture.save(config.sheet)
                break
            for cell, ((group, at), found) in enumerate(zip(drawn, where, strict=True)):
                x, y = cell % COLUMNS * CELL, cell // COLUMNS * CELL
                small = picture.crop((x, y, x + CELL, y + CELL)).resize((SIZE, SIZE), Image.Resampling.BOX)
                frames[number * per + cell] = np.asarray(small)
                told.write(json.dumps(_record(group, at, found)) + "\n")
        browser.close()
    if not config.sheet:
        told.close()
        frames.flush()
        (folder / "frames.npy.tmp").rename(folder / "frames.npy")


def _record(group: Group, at: int, found: list[list[float]]) -> dict[str, Any]:
    """Return the record of a screen: its program, its step, and every visible thing with its rectangle."""
    things = []
    for i, *rect in found:
        t = group.things[int(i)]
        names = namings(group.things, int(i))
        row = [int(i), t.kind, t.label, t.colour, t.shape, [round(v, 4) for v in rect], names]
        things.append(row)
    program = [[s.kind, s.naming, s.thing, s.other] for s in group.program]
    told = [[t.label, t.colour, t.shape] for t in group.things]
    return {"at": at, "things": things, "program": program, "names": told}


if __name__ == "__main__":
    from hydra import compose, initialize
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="pages", node=PagesConfig)
    with initialize(version_base=None, config_path=None):
        main(OmegaConf.to_object(compose("pages", overrides=sys.argv[1:])))  # type: ignore[arg-type]
