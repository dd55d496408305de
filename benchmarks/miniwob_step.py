"""How long a MiniWoB++ step with its screenshot takes, against the environments that the field uses; and all 130 pages.

    python -m benchmarks.miniwob_step                # some minutes on two cores; exit code 0 when the goals hold
    python -m benchmarks.miniwob_step --pages --seeds 25      # also: every page once, every oracle on 25 seeds
    python -m benchmarks.miniwob_step --soak 30      # minutes of episodes in four contexts: does memory stay flat?

Peers, in this very run: the selenium environment of the `miniwob` wheel (chromedriver is needed; both are found by name
or by MINIWOB_CHROME_BINARY and MINIWOB_CHROMEDRIVER), and BrowserGym without its extra delay. BrowserGym pins an old
Playwright and cannot live in this environment: set BROWSERGYM_PYTHON to the interpreter of one that has it (and
PLAYWRIGHT_BROWSERS_PATH to where its Chromium is), else its row is left out and said so. All click at the same places
of click-button, with one screenshot a step; an episode that is over is begun anew, which is in the time of all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from showonce.actions import Action, Click
from showonce.environments.miniwob.oracles import SOLVED
from showonce.environments.miniwob.tasks import NAMES
from showonce.environments.miniwob.world import MiniWoB
from showonce.environments.registry import find_task
from showonce.errors import EnvironmentBroken, ShowonceError
from showonce.runtime.stop import Stop

TASK = "click-button"
GOALS = {"one against selenium": 2.0, "four against selenium": 6.0, "one against BrowserGym": 8.0}
GYM = """
import json, os, sys, time, random, gymnasium, browsergym.miniwob
from browsergym.core.action.highlevel import HighLevelActionSet
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


def places(n: int) -> list[tuple[float, float]]:
    """Return the places that everybody clicks, in pixels of the page."""
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


def rate_of_selenium(n: int) -> float:
    """Return the steps a second of the wheel's own environment.

    Raises:
        ImportError, OSError: it is not here.
    """
    for name, programs in (
        ("MINIWOB_CHROME_BINARY", ("chromium", "google-chrome")),
        ("MINIWOB_CHROMEDRIVER", ("chromedriver",)),
    ):
        found = os.environ.get(name) or next((p for p in map(shutil.which, programs) if p), None)
        if found is None:
            raise OSError(f"no {' or '.join(programs)}")
        os.environ[name] = found
    import gymnasium
    import miniwob
    from miniwob.action import ActionTypes

    gymnasium.register_envs(miniwob)
    environment = gymnasium.make(f"miniwob/{TASK}-v1", render_mode=None)
    inner = environment.unwrapped
    environment.reset(seed=0)
    begun = time.perf_counter()
    for i, at in enumerate(places(n)):
        action = inner.create_action(ActionTypes.CLICK_COORDS, coords=at)  # type: ignore[attr-defined]
        *_, over, cut, _ = environment.step(action)
        if over or cut:
            environment.reset(seed=i)
    rate = n / (time.perf_counter() - begun)
    environment.close()
    return rate


def rate_of_browsergym(n: int) -> float:
    """Return the steps a second of BrowserGym in another interpreter.

    Raises:
        OSError: none is named, or it failed there.
    """
    python = os.environ.get("BROWSERGYM_PYTHON", "")
    if not python:
        raise OSError("BROWSERGYM_PYTHON is not set")
    import miniwob

    pages = Path(miniwob.__file__).parent / "html" / "miniwob"
    environ = {"MINIWOB_URL": f"{pages.as_uri()}/", **os.environ}
    done = subprocess.run(
        [python, "-c", GYM, str(n)], capture_output=True, text=True, timeout=900, check=False, env=environ
    )
    if done.returncode != 0:
        raise OSError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def tried(name: str, measure: Callable[[], float]) -> float | None:
    """Return a rate, or None with the reason told."""
    try:
        rate = measure()
    except Exception as error:
        print(f"{name:34s} not measured: {type(error).__name__}: {str(error).splitlines()[0][:120]}", flush=True)
        return None
    print(f"{name:34s} {rate:6.1f} steps a second", flush=True)
    return rate


def every_page() -> list[str]:
    """Load, reset and step every page, and end what a few clicks end; return those that fail, with the reason."""
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


def soak(minutes: float) -> bool:
    """Solve episodes in four contexts; tell the memory every tenth of the time, and whether it stayed flat.

    A page that breaks (a time-out, say) ends its episode and is counted; the next one begins with a fresh page.
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
    return max(half) <= 1.25 * sizes[1 if len(sizes) > 2 else 0]


def main() -> int:
    """Print what was measured and the verdict; return 0 when the goals hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=200, help="steps of each measurement")
    parser.add_argument("--pages", action="store_true", help="also every page and every oracle")
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    given = parser.parse_args()
    said, good = list[str](), True
    if given.soak:
        flat = soak(given.soak)
        said, good = [*said, f"memory {'stays flat' if flat else 'grows'}"], flat
    if given.pages:
        failed, found = every_page(), every_oracle(given.seeds)
        for line in failed:
            print(f"  {line}")
        perfect = sum(n == given.seeds for n in found.values())
        said.append(
            f"{len(NAMES) - len(failed)} of {len(NAMES)} pages, {perfect} oracles at {given.seeds}/{given.seeds}"
        )
        good = good and not failed and perfect >= 30
    one = tried("showonce, one context", lambda: rate_of_ours(given.n, 1))
    four = tried("showonce, four contexts", lambda: rate_of_ours(given.n, 4))
    selenium = tried("miniwob's selenium environment", lambda: rate_of_selenium(given.n))
    gym = tried("BrowserGym without delay", lambda: rate_of_browsergym(max(given.n // 4, 10)))
    for name, mine, theirs in (
        ("one against selenium", one, selenium), ("four against selenium", four, selenium),
        ("one against BrowserGym", one, gym),
    ):  # fmt: skip
        if mine is None or theirs is None:
            said.append(f"{name}: not measured")
            continue
        good = good and mine / theirs >= GOALS[name]
        said.append(f"{name} {mine / theirs:.1f}x (goal {GOALS[name]:g}x)")
    print(f"{'PASS' if good else 'FAIL'}: {'; '.join(said)}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
