"""How long a step in a browser takes at 1280 x 720, and whether its frame ever shows the page as it was before.

    python -m benchmarks.browser_step                # about two minutes; exit code 0 when the goals hold
    python -m benchmarks.browser_step --n 100

A step is click + settle + frame, with a quiet window of one frame. A change that begins within that window has to be in
the frame: at once, in a promise, in the next animation frame. Changes that a timer makes later and answers to a fetch
are counted apart: the first may come too late for any rule that does not know of them; a fetch is waited for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from showonce.actions import Click
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.runtime.stop import Stop
from showonce.types import Task

GOAL_MS, SIZE = 60.0, (1280, 720)
PAGE = """<!doctype html><body style="margin:0;font:16px sans-serif">
<div id=lamp style="position:absolute;left:0;top:0;width:200px;height:200px;background:rgb(0,0,0)"></div>
<div style="margin-left:220px">TEXT</div>
<script>
let n = 0;
const light = k => lamp.style.background = `rgb(${k & 255},${k >> 8},128)`;
const how = new URLSearchParams(location.search).get('how');
addEventListener('click', () => {
  const k = ++n;
  if (how === 'at once') light(k);
  if (how === 'promise') Promise.resolve().then(() => light(k));
  if (how === 'frame') requestAnimationFrame(() => light(k));
  if (how === 'timer 5 ms') setTimeout(() => light(k), 5);
  if (how === 'timer 50 ms') setTimeout(() => light(k), 50);
  if (how === 'fetch') fetch('http://site.showonce/goods.json').then(r => r.text()).then(() => light(k));
});
</script>""".replace("TEXT", "The quick brown fox jumps over the lazy dog. " * 120)
SOON = ("at once", "promise", "frame")
APART = ("timer 5 ms", "timer 50 ms", "fetch")


def steps(world: BrowserEnvironment, page: Path, how: str, n: int) -> tuple[list[float], int]:
    """Return the milliseconds of every step, and how many frames did not show its change."""
    world.reset(Task("user/lamp", "light it", "browser", start=f"{page.as_uri()}?how={how}"), 0)
    stop, took, stale = Stop(), [], 0
    for k in range(1, n + 1):
        begun = time.perf_counter()
        world.execute(Click(0.05, 0.1), stop)
        seen = world.observe()
        took.append((time.perf_counter() - begun) * 1e3)
        red, green, _ = (int(value) for value in seen.image[50, 50])
        stale += red + (green << 8) != k
    return took, stale


def main() -> int:
    """Print a line a kind of change and the verdict; return 0 when steps are quick and no frame is stale."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=500, help="changes that begin within the quiet window")
    given = parser.parse_args()
    world = BrowserEnvironment(BrowserSettings(width=SIZE[0], height=SIZE[1]))
    times: list[float] = []
    late = 0
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "lamp.html"
        page.write_text(PAGE, "utf-8")
        for how in (*SOON, *APART):
            n = -(-given.n // len(SOON)) if how in SOON else max(given.n // 10, 10)
            took, stale = steps(world, page, how, n)
            told = f"median {np.median(took):.1f} ms, 90 % within {np.quantile(took, 0.9):.1f} ms"
            print(f"{how:12s} {told}, stale {stale} of {n}", flush=True)
            if how in SOON:
                times, late = times + took, late + stale
    world.close()
    median = float(np.median(times))
    good = median <= GOAL_MS and late == 0
    verdict, told = "PASS" if good else "FAIL", f"{late} stale frames of {len(times)} (goal 0)"
    print(f"{verdict}: a step takes {median:.1f} ms at the median (goal {GOAL_MS:g}), {told}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
