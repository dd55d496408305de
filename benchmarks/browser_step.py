"""How long a step in a browser takes at 1280 x 720, as a multiple of raw DevTools, and whether a frame is stale.

    python -m benchmarks.browser_step                # about two minutes
    python -m benchmarks.browser_step --quick

A step is click + settle + frame, with a quiet window of one frame (16.7 ms). Floor, in turns with it on the same page
in the same browser: the same click sent over the DevTools protocol and one PNG screenshot, without waiting for the page
and without decoding the picture. Stale = the frame shows the page as it was before the click. A change that begins
within the quiet window (at once, in a promise, in the next animation frame) must be in the frame. Changes by a later
timer and answers to a fetch are reported apart: a timer may fire after any rule that does not know of it; a fetch is
waited for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.verdict import Row, finish, of_ratio, of_times, parser
from showonce.actions import Click
from showonce.environments.browser.owner import owner
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.evaluation.goals import Goal
from showonce.runtime.stop import Stop
from showonce.types import Task

GOAL: Final = Goal("<=", 2.5, ".1f", unit="x")
NONE_STALE: Final = Goal("=", 0, "g")
SIZE: Final = (1280, 720)
BLOCK: Final = 10  # steps before the other side has its turn
PLACE: Final = (64.0, 72.0)  # CSS pixels; `Click(0.05, 0.1)` of the frame
PAGE: Final = """<!doctype html><body style="margin:0;font:16px sans-serif">
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
SOON: Final = ("at once", "promise", "frame")
APART: Final = ("timer 5 ms", "timer 50 ms", "fetch")


def steps(world: BrowserEnvironment, n: int, first: int = 0) -> tuple[list[float], int]:
    """Return the milliseconds of n steps, and how many frames did not show the change of their click.

    first: clicks that the page had before; the lamp's colour is the number of the click.
    """
    stop, took, stale = Stop(), list[float](), 0
    for k in range(first + 1, first + n + 1):
        begun = time.perf_counter()
        world.execute(Click(0.05, 0.1), stop)
        seen = world.observe()
        took.append((time.perf_counter() - begun) * 1e3)
        red, green, _ = (int(value) for value in seen.image[50, 50])
        stale += red + (green << 8) != k
    return took, stale


def raw_steps(world: BrowserEnvironment, n: int) -> list[float]:
    """Return the milliseconds of n times a click and a screenshot over the DevTools protocol of the world's own tab."""
    session = world.session
    assert session is not None
    cdp, (x, y) = session.tab.cdp, PLACE

    async def step() -> Any:
        for kind, more in (
            ("mouseMoved", {}),
            ("mousePressed", {"button": "left", "clickCount": 1}),
            ("mouseReleased", {"button": "left", "clickCount": 1}),
        ):
            await cdp.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})
        return await cdp.send("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True})

    took = list[float]()
    for _ in range(n):
        begun = time.perf_counter()
        owner().call(step, 10, "a raw DevTools step")
        took.append((time.perf_counter() - begun) * 1e3)
    return took


def rows_of(ours: dict[str, list[float]], stale: dict[str, int], raw: list[float]) -> list[Row]:
    """Return the rows of the verdict from times and stale frames by kind of change."""
    soon = [ms for how in SOON for ms in ours[how]]
    rows = [of_times(how, ms, note=f"stale {stale[how]} of {len(ms)}") for how, ms in ours.items()]
    rows.append(of_times("raw DevTools click and screenshot", raw))
    rows.append(of_ratio("a step / raw DevTools", soon, raw, GOAL))
    rows.append(Row("stale frames", sum(stale[how] for how in SOON), NONE_STALE, n=len(soon)))
    return rows


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="60 changes instead of 500")
    arguments.add_argument("--n", type=int, default=500, help="changes that begin within the quiet window")
    given = arguments.parse_args()
    total = 60 if given.quick else given.n
    world = BrowserEnvironment(BrowserSettings(width=SIZE[0], height=SIZE[1]))
    ours, stale, raw = dict[str, list[float]](), dict[str, int](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "lamp.html"
        page.write_text(PAGE, "utf-8")
        for how in (*SOON, *APART):
            n = -(-total // len(SOON)) if how in SOON else max(total // 10, 5)
            world.reset(Task("user/lamp", "light it", "browser", start=f"{page.as_uri()}?how={how}"), 0)
            ours[how], stale[how] = [], 0
            for begun in range(0, n, BLOCK):
                count = min(BLOCK, n - begun)
                took, late = steps(world, count, begun if how not in SOON else 2 * begun)
                ours[how], stale[how] = ours[how] + took, stale[how] + late
                if how in SOON:
                    raw += raw_steps(world, count)
    world.close()
    return finish(rows_of(ours, stale, raw), given)


if __name__ == "__main__":
    sys.exit(main())
