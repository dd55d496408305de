"""Does a click land on what the policy saw? Every device pixel ratio x zoom x scroll x iframe, random points each.

    python -m benchmarks.coordinates                 # ten minutes on two cores
    python -m benchmarks.coordinates --quick
    python -m benchmarks.coordinates --attached      # a browser with a window, zoomed with Ctrl and + (Xvfb)

The page is a picture in which every pixel's colour is its own address, drawn without smoothing. A random pixel of the
frame is clicked through the environment; what the page says about the place of the event is compared with the address
that the frame showed there.

  forward  how far outside of the seen pixel of the picture the event came, in device pixels
  back     the event's place, mapped to the frame again through zoom, scroll and iframes, against the clicked pixel

Rounding takes: half a device pixel; forward in an iframe half a pixel more for its box and half for its scroll offset,
which are painted at whole device pixels while events keep their fractions; and where the browser tells of a place in
whole CSS pixels, one of these. The outermost pixels of a picture in an iframe are not clicked: by the same half a pixel
the iframe's border may be hit there (seen in the last row at a ratio of 1.25).
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.screen import screen
from benchmarks.verdict import Row, finish, parser
from showonce.actions import Click, from_pixel
from showonce.environments.browser.executable import find_browser
from showonce.environments.browser.geometry import Offset, offset_of
from showonce.environments.browser.owner import owner
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.evaluation.goals import Goal
from showonce.runtime.stop import Stop
from showonce.types import Task

SCALES = (1.0, 1.25, 1.5, 2.0, 3.0)
ZOOMS = ("1", "css 0.8", "css 1.5", "pinch 1.6")
SCROLLS = ((0, 0), (37, 61))
FRAMES = ("none", "same", "cross")
OWN_ZOOMS = ("ctrl+0", *["ctrl+plus"] * 5, "ctrl+0", *["ctrl+minus"] * 4)  # 100 to 200 %, and down to 67 %
WIDTH, HEIGHT, SIDE = 400, 300, 900
GOAL = Goal("<=", 1e-6, "g", unit=" px")  # floating point arithmetic is not exact
PICTURE = """<!doctype html><body style="margin:0"><canvas id=c width=SIDE height=SIDE
style="display:block;image-rendering:pixelated"></canvas><script>
const g = c.getContext('2d'), d = g.createImageData(SIDE, SIDE);
for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) {
  d.data.set([x & 255, y & 255, (x >> 8) | (y >> 8) << 3, 255], 4 * (y * SIDE + x));
}
g.putImageData(d, 0, 0);
window.log = [];
addEventListener('pointerdown', e => {
  const r = c.getBoundingClientRect();
  log.push([e.clientX, e.clientY, (e.clientX - r.left) * SIDE / r.width, (e.clientY - r.top) * SIDE / r.height,
            r.width / SIDE]);
});
</script>""".replace("SIDE", str(SIDE))
AROUND = (
    "<!doctype html><body style='margin:0'><p style='margin:9px 0 0 13px'>around it</p><iframe id=f src='{address}' "
    "style='border:7px solid #444;padding:5px;margin-left:11px;width:340px;height:240px'></iframe>"
    "<div style='width:1200px;height:1200px'></div>"
)


def prepare(world: BrowserEnvironment, folder: Path, zoom: str, scroll: tuple[int, int], frame: str) -> Any:
    """Load the page as asked for; return the Playwright frame in which the picture is."""
    picture = folder / "picture.html"
    picture.write_text(PICTURE, "utf-8")
    if frame == "none":
        start = picture
    else:
        address = picture.as_uri() if frame == "cross" else "about:blank"
        start = folder / "around.html"
        start.write_text(AROUND.format(address=address), "utf-8")
    world.reset(Task("user/picture", "look", "browser", start=str(start)), 0)
    session = world.session
    assert session is not None
    page = session.tab.page

    async def change() -> Any:
        target = page.main_frame
        if frame == "same":
            await page.evaluate("html => { const d = f.contentDocument; d.open(); d.write(html); d.close(); }", PICTURE)
        if frame != "none":
            target = page.frames[1]
            await target.wait_for_function("() => window.log !== undefined")
            await target.evaluate("([x, y]) => scrollTo(x, y)", [scroll[0] // 2, scroll[1] // 2])
        kind, _, factor = zoom.partition(" ")
        if kind == "css":
            await page.evaluate("z => document.documentElement.style.zoom = z", factor)
        elif kind == "pinch":
            await session.tab.cdp.send("Emulation.setPageScaleFactor", {"pageScaleFactor": float(factor)})
        await page.evaluate("([x, y]) => scrollTo(x, y)", list(scroll))
        return target

    return owner().call(change, 20, "preparing the page")


def case(world: BrowserEnvironment, target: Any, points: int, rng: random.Random) -> tuple[float, float, int]:
    """Return the largest error forward and back in device pixels beyond rounding, and how many points were clicked."""
    seen = world.observe()
    view = world.view
    assert view is not None and world.settled
    image = seen.image.astype(int)
    column = image[..., 0] + ((image[..., 2] & 7) << 8)
    row = image[..., 1] + ((image[..., 2] >> 3) << 8)
    there = (column < SIDE) & (row < SIDE) & (image[..., 2] < 32)
    around = (
        np.roll(column, 1, 1),
        np.roll(column, -1, 1),
    )  # neighbouring pixels of the picture have neighbouring addresses
    there &= (np.abs(column - around[0]) <= 2) & (np.abs(around[1] - column) <= 2) & (row > 0)
    ys, xs = np.nonzero(there)
    if target.parent_frame is not None:
        inner = (ys > ys.min()) & (ys < ys.max()) & (xs > xs.min()) & (xs < xs.max())
        ys, xs = ys[inner], xs[inner]
    chosen = [rng.randrange(len(xs)) for _ in range(points)]
    stop = Stop()
    for i in chosen:
        world.execute(Click(from_pixel(int(xs[i]), seen.width), from_pixel(int(ys[i]), seen.height)), stop)

    async def told() -> tuple[list[list[float]], Offset]:
        return await target.evaluate("() => log.splice(0)"), await offset_of(target)

    log, offset = owner().call(told, 10, "reading the log")
    assert len(log) == points, f"{len(log)} events for {points} clicks"
    forward = back = 0.0
    for i, (client_x, client_y, at_x, at_y, drawn) in zip(chosen, log, strict=True):
        whole = client_x == int(client_x) and client_y == int(client_y)
        factor = offset.factor_x
        allowed = 0.5 + (factor * view.scale if whole else 0.0)
        for at, cell in ((at_x, column[ys[i], xs[i]]), (at_y, row[ys[i], xs[i]])):
            outside = max(cell - at, at - (cell + 1), 0.0) * drawn * factor * view.scale
            forward = max(forward, outside - allowed - (1.0 if target.parent_frame is not None else 0.0))
        x, y = offset.to_input(client_x, client_y)
        for got, want in ((x * view.scale, xs[i] + 0.5), (y * view.scale, ys[i] + 0.5)):
            back = max(back, abs(got - want) - allowed)
    return max(forward, 0.0), max(back, 0.0), len(log)


@contextmanager
def windowed_browser(folder: Path, display: str, scale: float) -> Iterator[str]:
    """Start a browser with a window; yield its debugging address; end it."""
    profile = folder / f"profile-{scale:g}"
    command = [find_browser(headless=False), "--no-sandbox", "--no-first-run", "--test-type", "--disable-gpu",
               "--remote-debugging-port=0", f"--user-data-dir={profile}", f"--force-device-scale-factor={scale:g}",
               "--window-size=900,700", "--window-position=0,0", "about:blank"]  # fmt: skip
    process = subprocess.Popen(
        command, env={**os.environ, "DISPLAY": display}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    port, end = profile / "DevToolsActivePort", time.monotonic() + 30
    try:
        while not (port.exists() and "\n" in port.read_text()):
            if time.monotonic() > end:
                raise SystemExit("FAIL: the browser did not open its port within 30 s.")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
    finally:
        process.terminate()
        process.wait(10)


def own_zoom(display: str, keys: str) -> None:
    """Press keys in the browser's window."""
    window = ["xdotool", "search", "--onlyvisible", "--class", "chromium", "windowactivate", "--sync", "key", keys]
    subprocess.run(window, env={**os.environ, "DISPLAY": display}, check=True, timeout=30)
    time.sleep(1)


def view_scale(world: BrowserEnvironment) -> float:
    """Return how many device pixels a CSS pixel has now."""
    world.observe()
    assert world.view is not None
    return world.view.scale


def emulated(
    folder: Path, points: int, rng: random.Random, scales: Sequence[float] = SCALES
) -> Iterator[tuple[float, str, float, float, int]]:
    """Click in headless browsers of one emulated ratio each; yield ratio, case, errors and clicks."""
    for scale in scales:
        world = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, scale=scale))
        for zoom, scroll, frame in itertools.product(ZOOMS, SCROLLS, FRAMES):
            target = prepare(world, folder, zoom, scroll, frame)
            yield scale, f"zoom {zoom}, scroll {scroll}, iframe {frame}", *case(world, target, points, rng)
        world.close()


def attached(
    folder: Path, points: int, rng: random.Random, scales: Sequence[float] = SCALES
) -> Iterator[tuple[float, str, float, float, int]]:
    """Click in a browser with a window, zoomed by its own keys; yield ratio, case, errors and clicks."""
    for scale in scales:
        with screen("1280x1000") as display, windowed_browser(folder, display, scale) as url:
            world, zooms = BrowserEnvironment(BrowserSettings(cdp_url=url)), set[float]()
            prepare(world, folder, "1", (0, 0), "none")
            for keys in OWN_ZOOMS:
                own_zoom(display, keys)
                zooms.add(round(view_scale(world) / scale, 2))
                for scroll, frame in itertools.product(SCROLLS, FRAMES):
                    target = prepare(world, folder, "1", scroll, frame)
                    yield scale, f"{keys}, scroll {scroll}, iframe {frame}", *case(world, target, points, rng)
            world.close()
        if min(zooms) > 0.7 or max(zooms) < 1.9:
            raise SystemExit(f"FAIL: the browser did not zoom by its keys, only to {sorted(zooms)}.")


def main() -> int:
    """Click, print a row for each ratio and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="5 points a case instead of 500, ratios 1 and 1.5")
    arguments.add_argument("--points", type=int, default=500)
    arguments.add_argument("--attached", action="store_true", help="in a browser with a window, zoomed by its own keys")
    given = arguments.parse_args()
    points, scales = (5, SCALES[:3:2]) if given.quick else (given.points, SCALES)
    rng, rows, worst, clicks = random.Random(0), list[Row](), 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        found = (attached if given.attached else emulated)(Path(name), points, rng, scales)
        for scale, group in itertools.groupby(found, key=lambda one: one[0]):
            ahead = home = 0.0
            cases, n = 0, 0
            for _, told, forward, back, clicked in group:
                if not GOAL.holds(max(forward, back)):
                    print(f"  ratio {scale:g}, {told}: {forward:.2f} {back:.2f}")
                ahead, home, cases, n = max(ahead, forward), max(home, back), cases + 1, n + clicked
            note = f"forward {ahead:.2f}, back {home:.2f}, {cases} cases"
            rows.append(
                Row(f"ratio {scale:g}: worst error beyond rounding", max(ahead, home), unit=" px", n=n, note=note)
            )
            print(rows[-1], flush=True)
            worst, clicks = max(worst, ahead, home), clicks + n
    return finish([*rows, Row("worst error beyond rounding", worst, GOAL, " px", clicks)], given)


if __name__ == "__main__":
    sys.exit(main())
