"""How many MiniWoB++ steps a second with their screenshots, beside the environments that the field uses; all 130 pages.

    python -m benchmarks.miniwob_step --install-peers         # some minutes on two cores; the peers are kept
    python -m benchmarks.miniwob_step --quick                 # without a peer the verdict is NOT MEASURED
    python -m benchmarks.miniwob_step --pages --seeds 25      # also: every page once, every oracle on 25 seeds
    python -m benchmarks.miniwob_step --soak 30               # minutes of episodes in four contexts: memory

Peers, in this very run: the selenium environment of the `miniwob` wheel, and BrowserGym without its extra delay. Each
lives in an interpreter of its own (see benchmarks/peers.py) and drives the Chromium of this machine. All click at the
same places of click-button, with one screenshot a step; an episode that is over is begun anew, and that counts as time.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import psutil

from benchmarks.peers import Peer, chromium, chromium_version
from benchmarks.verdict import Row, finish, parser
from showonce.actions import Action, Click
from showonce.environments.miniwob.oracles import SOLVED
from showonce.environments.miniwob.tasks import NAMES
from showonce.environments.miniwob.world import MiniWoB
from showonce.environments.registry import find_task
from showonce.errors import EnvironmentBroken, ShowonceError
from showonce.evaluation.goals import Goal
from showonce.runtime.stop import Stop

TASK: Final = "click-button"
GOALS: Final = {  # steps a second of ours / of the peer
    "one context / selenium": Goal(">=", 2.0, ".1f", unit="x"),
    "four contexts / selenium": Goal(">=", 6.0, ".1f", unit="x"),
    "one context / BrowserGym": Goal(">=", 8.0, ".1f", unit="x"),
}
ALL: Final = Goal("=", 1.0)  # a share
ORACLES: Final = Goal(">=", 30, "g")
FLAT: Final = Goal("<=", 1.25)
SELENIUM: Final = """
import json, os, sys, time, random, gymnasium, miniwob
from miniwob.action import ActionTypes
if not os.environ.get("MINIWOB_CHROMEDRIVER"):
    from chromedriver_py import binary_path
    os.environ["MINIWOB_CHROMEDRIVER"] = binary_path
gymnasium.register_envs(miniwob)
env = gymnasium.make("miniwob/click-button-v1", render_mode=None)
rng, n = random.Random(0), int(sys.argv[1])
env.reset(seed=0)
begun = time.perf_counter()
for i in range(n):
    at = rng.uniform(2, 158), rng.uniform(52, 208)
    *_, over, cut, _ = env.step(env.unwrapped.create_action(ActionTypes.CLICK_COORDS, coords=at))
    if over or cut:
        env.reset(seed=i)
print(json.dumps(n / (time.perf_counter() - begun)))
env.close()
"""
GYM: Final = """
import json, os, sys, time, random, gymnasium, browsergym.miniwob, miniwob, pathlib
from playwright.sync_api import BrowserType
launch = BrowserType.launch  # BrowserGym's own Playwright has no browser here: it gets this machine's
BrowserType.launch = lambda self, **more: launch(self, **{**more, "executable_path": sys.argv[2]})
from browsergym.core.action.highlevel import HighLevelActionSet
pages = pathlib.Path(miniwob.__file__).parent / "html" / "miniwob"
os.environ.setdefault("MINIWOB_URL", pages.as_uri() + "/")
env = gymnasium.make("browsergym/miniwob.click-button", headless=True,
                     action_mapping=HighLevelActionSet(subsets=["coord"]).to_python_code)
env.unwrapped.pre_observation_delay = 0.0
rng, n = random.Random(0), int(sys.argv[1])
env.reset(seed=0)
begun = time.perf_counter()
for i in range(n):
    x, y = rng.uniform(2, 158), rng.uniform(52, 208)
    _, _, over, cut, _ = env.step(f"mouse_click({x}, {y})")
    if over or cut:
        env.reset(seed=i)
print(json.dumps(n / (time.perf_counter() - begun)))
"""


def peers() -> tuple[Peer, Peer]:
    """Return selenium and BrowserGym, as pip requirements for the Chromium of this machine."""
    driver = f"chromedriver-py=={chromium_version()}.*"
    return (
        Peer("miniwob-selenium", ("miniwob", "gymnasium", "selenium", driver), SELENIUM),
        Peer("browsergym", ("browsergym-miniwob", "miniwob"), GYM),
    )


def places(n: int) -> list[tuple[float, float]]:
    """Return the places that ours and the peers click, in pixels of the page."""
    rng = random.Random(0)
    return [(rng.uniform(2, 158), rng.uniform(52, 208)) for _ in range(n)]


def ours(n: int, world: MiniWoB, stop: Stop) -> None:
    """Make `n` steps."""
    task = find_task(TASK)
    world.reset(task, 0)
    for i, (x, y) in enumerate(places(n)):
        world.execute(Click(x / 160, y / 210), stop)
        world.observe()
        if world.verify().success is not None:
            world.reset(task, i)


def rate_of_ours(n: int, contexts: int) -> float:
    """Return steps a second over several contexts, each used from a thread of its own."""
    worlds, stop = [MiniWoB() for _ in range(contexts)], Stop()
    for world in worlds:
        world.reset(find_task(TASK), 0)
    threads = [threading.Thread(target=ours, args=(n, world, stop)) for world in worlds]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = n * contexts / (time.perf_counter() - begun)
    for world in worlds:
        world.close()
    return rate


def rate_of(peer: Peer, n: int) -> float:
    """Return the steps a second of a peer. Raises Unavailable as `Peer.run` does."""
    return float(peer.run([str(n), chromium()], {"MINIWOB_CHROME_BINARY": chromium()}))


def measured(name: str, measure: Callable[[], float]) -> Row:
    """Return the row of a rate; where it cannot be measured, the row says why."""
    try:
        return Row(name, measure(), unit=" steps a second")
    except Exception as error:
        return Row(name, None, why=(str(error).splitlines() or [type(error).__name__])[0])


def ratios(rates: dict[str, Row]) -> list[Row]:
    """Return the rows with goals: one ratio a goal, not measured where either side is not."""
    rows = []
    for name, goal in GOALS.items():
        mine, theirs = (rates[side] for side in name.split(" / "))
        if mine.value is None or theirs.value is None:
            rows.append(Row(name, None, goal, why=mine.why or theirs.why))
        else:
            rows.append(Row(name, mine.value / theirs.value, goal, "x"))
    return rows


def every_page() -> list[str]:
    """Load, reset and step every page; return those that fail, with the reason."""
    world, stop, failed = MiniWoB(), Stop(), []
    for name in NAMES:
        try:
            first = world.reset(find_task(name), 1)
            for action in (Click(0.5, 0.4), Click(0.3, 0.8)):
                world.execute(action, stop)
                world.observe()
            outcome, again = world.verify(), world.reset(find_task(name), 1)
            if not world.goal or again.image.shape != first.image.shape or not outcome.checker:
                failed.append(f"{name}: no instruction or another size")
        except ShowonceError as error:
            failed.append(f"{name}: {error}")
    world.close()
    return failed


def solved(world: MiniWoB, name: str, seed: int, stop: Stop) -> bool:
    """Say whether the oracle solves a page."""
    world.reset(find_task(name), seed)
    for _ in range(find_task(name).limits.max_steps):
        if world.verify().success is not None:
            break
        action: Action = world.oracle()
        world.execute(action, stop)
        world.observe()
    return world.verify().success is True


def every_oracle(seeds: int) -> dict[str, int]:
    """Return how many seeds each oracle solves; four contexts share the work."""
    found, stop, rest, lock = dict.fromkeys(SOLVED, 0), Stop(), list(reversed(SOLVED)), threading.Lock()

    def work() -> None:
        world = MiniWoB()
        while True:
            with lock:
                if not rest:
                    break
                name = rest.pop()
            wrong = []
            for seed in range(seeds):
                try:
                    good = solved(world, name, seed, stop)
                except ShowonceError as error:
                    good = False
                    wrong.append(str(error)[:120])
                found[name] += good
                if not good:
                    wrong.append(f"seed {seed}")
            print(f"  {name}: {found[name]} of {seeds} {', '.join(wrong)}", flush=True)
        world.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def memory() -> float:
    """Return the megabytes of this process and of all that it started."""
    mine = psutil.Process()
    return sum(p.memory_info().rss for p in (mine, *mine.children(recursive=True))) / 2**20


def soak(minutes: float) -> Row:
    """Solve episodes in four contexts and return the growth of memory: largest in the second half / after a fifth.

    Prints the memory every tenth of the time. A page that breaks (a time-out, say) ends its episode and is counted.
    """
    end, stop, counts, broken, sizes = time.monotonic() + 60 * minutes, Stop(), [0] * 4, [0] * 4, []

    def work(index: int) -> None:
        world = MiniWoB()
        while time.monotonic() < end:
            try:
                solved(world, SOLVED[counts[index] % len(SOLVED)], counts[index], stop)
            except EnvironmentBroken:
                broken[index] += 1
            counts[index] += 1
        world.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(6 * minutes)
        sizes.append(memory())
        print(f"  {sum(counts)} episodes, {sum(broken)} of them broken, {sizes[-1]:.0f} MB", flush=True)
    half = sizes[len(sizes) // 2 - 1 : -1] or sizes
    return Row("growth of memory", max(half) / sizes[1 if len(sizes) > 2 else 0], FLAT, "x", sum(counts))


def page_rows(seeds: int) -> list[Row]:
    """Run every page and every oracle and return their rows."""
    failed, found = every_page(), every_oracle(seeds)
    for line in failed:
        print(f"  {line}")
    perfect = sum(n == seeds for n in found.values())
    return [
        Row("share of the pages that load, reset and step", 1 - len(failed) / len(NAMES), ALL, n=len(NAMES)),
        Row(f"oracles that solve {seeds} of {seeds} seeds", perfect, ORACLES, n=len(found)),
    ]


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="40 steps of each measurement instead of 200")
    arguments.add_argument("--n", type=int, default=200, help="steps of each measurement")
    arguments.add_argument("--install-peers", action="store_true", help="install the peers first")
    arguments.add_argument("--pages", action="store_true", help="also every page and every oracle")
    arguments.add_argument("--seeds", type=int, default=25)
    arguments.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    given: argparse.Namespace = arguments.parse_args()
    n = 40 if given.quick else given.n
    selenium, gym = peers()
    if given.install_peers:
        for peer in (selenium, gym):
            try:
                peer.install()
            except ShowonceError as error:
                print(error)
    rates = {
        "one context": measured("one context", lambda: rate_of_ours(n, 1)),
        "four contexts": measured("four contexts", lambda: rate_of_ours(n, 4)),
        "selenium": measured("miniwob's selenium environment", lambda: rate_of(selenium, n)),
        "BrowserGym": measured("BrowserGym without delay", lambda: rate_of(gym, max(n // 4, 10))),
    }
    rows = [*rates.values(), *ratios(rates)]
    rows += [soak(given.soak)] if given.soak else []
    rows += page_rows(given.seeds) if given.pages else []
    return finish(rows, given)


if __name__ == "__main__":
    sys.exit(main())
