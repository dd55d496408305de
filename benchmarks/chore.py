"""The office chore: recorded once by hand, done for other customers on pages that have changed, by each tier.

    python -m benchmarks.chore                      # an hour or more on two cores; the same command goes on
    python -m benchmarks.chore --quick              # one customer in each drift, few wrong pages and kills
    python -m benchmarks.chore --parts drifts --tiers do --folder logs/chore

The site is the customer database of the demo site, answered by a real server: sign-in, search with suggestions that are
bare blocks, a table with pages, a record, a modal with text, native date and list, a list of blocks, box, submit.
xdotool does the chore once in a real window under Xvfb. Then, headless:

    drifts   20 other customers x 6 drifts (banner, dark, narrow, moved, renamed, slow) by `do`, and some of them by
             `coordinates` and `template`: the same demonstration with the same data put in, aimed as `replay` does
    wrong    a wrong page (expired, maintenance, another record, error) in place of a right one: clicks on it
    kill     `showonce do --rows` killed with SIGKILL at random moments until all rows are done: rows lost, sent twice

What was done is read from the server's store: one ticket with exactly the fields of this customer is done right. Every
press of a pointer is logged by the pages with the element that it hit: one that the chore does not press for this
customer is a wrong click. Finished runs are lines of FOLDER/runs.jsonl and are not done again.

Needs a Chromium, Xvfb, openbox, xdotool and the extra browser.
"""

from __future__ import annotations

import csv
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from tests.xscreen import until, x_screen

from benchmarks.recorder_kinds import NONE, OWN, Hand, XHand
from benchmarks.verdict import Row, finish, parser
from showonce.app.tasks import task_of_episode
from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.demonstrations.binding import bind
from showonce.demonstrations.values import load_values
from showonce.environments.browser.record import BrowserSource
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.site.crm import (
    CATEGORIES,
    CUSTOMERS,
    DRIFTS,
    PRIORITIES,
    SERVICE,
    USER,
    VIEWS,
    WRONG,
    Customer,
)
from showonce.environments.browser.site.server import Server
from showonce.environments.browser.world import BrowserEnvironment
from showonce.evaluation.goals import Goal
from showonce.runtime.replay import Mode, replay_episode
from showonce.runtime.watch import record_watched
from showonce.types import Limits, Success, Task

WIDTH: Final = 1280
HEIGHT: Final = 720
SHOWN: Final = "Grace Hopper"
SECRET: Final = "CHORE_PASSWORD"
PAUSE: Final = 0.4  # seconds of the person between two acts
_FIND: Final = """(selector, text) => {
  if (document.readyState !== 'complete') return null;
  for (const e of document.querySelectorAll(selector)) {
    const r = e.getBoundingClientRect();
    if (r.width && r.top < innerHeight && (!text || e.innerText.trim() === text))
      return [r.left + r.width / 2, r.top + r.height / 2];
  }
  return null;
}"""


@dataclass(frozen=True)
class Data:
    """What the chore is done with: a customer, and what the ticket says."""

    customer: str
    subject: str
    due: str
    category: str
    priority: str
    details: str

    def values(self) -> dict[str, str]:
        """The values of the recording that change, by name."""
        return asdict(self)

    @property
    def whose(self) -> Customer:
        return next(one for one in CUSTOMERS if one.name == self.customer)

    @property
    def order(self) -> str:
        return next(number for number, product, *_ in self.whose.orders if product == SERVICE)

    @property
    def ticket(self) -> dict[str, str]:
        """The ticket that the chore makes, as the server keeps it."""
        return {
            "customer": str(self.whose.number), "order": self.order, "subject": self.subject, "due": self.due,
            "category": self.category, "priority": self.priority, "details": self.details, "notify": "yes",
        }  # fmt: skip

    @property
    def presses(self) -> tuple[tuple[str, str], ...]:
        """Every press of the chore, as (page, element) of the pages' log."""
        record = f"customer {self.whose.number}"
        modal = ("subject", "due", "category", "priority", f"priority {self.priority}", "details", "notify", "create")
        return (
            *(("login", key) for key in ("user", "pass", "sign in")), ("customers", "nav customers"),
            *(("customers", key) for key in ("find", f"suggestion:{self.customer}", "search")),
            ("results", record), (record, "next"), (record, f"new {self.order}"), *((record, key) for key in modal),
        )  # fmt: skip


def data_of(number: int, name: str) -> Data:
    """Return the data of a run: of a customer, and other texts for each number."""
    return Data(
        name, f"Visit no. {number} in spring", f"2026-{number % 12 + 1:02d}-{27 - number % 27:02d}",
        CATEGORIES[(number + 3) % 4], PRIORITIES[(number + 2) % 4],
        f"Please call {number} days before; ask for the key at the gate.",
    )  # fmt: skip


RECORDED: Final = data_of(0, SHOWN)
# Alike names first: five pairs of them, and the others from all over the list.
OTHERS: Final = tuple(
    data_of(at + 1, one.name)
    for at, one in enumerate([one for one in CUSTOMERS[:10] if one.name != SHOWN] + list(CUSTOMERS[10:64:5]))
)


def task_at(address: str) -> Task:
    """Return the chore as a task."""
    return Task(
        "user/chore", f"Open a ticket for {SHOWN}", "browser", {"width": WIDTH, "height": HEIGHT}, f"{address}/crm",
        Success("text", f"for {SHOWN}"), limits=Limits(max_steps=60, max_seconds=240),
        secret={"password": f"env:{SECRET}"},
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------- the person


class Person:
    """Hands in front of the browser that is recorded; they look into the page to see where things are."""

    def __init__(self, hand: Hand, pause: float = PAUSE) -> None:
        self.hand, self.pause = hand, pause

    def click(self, words: str) -> None:
        """Click on the first visible thing of a CSS selector, or of ``selector|text``."""
        selector, _, text = words.partition("|")
        find = f"({_FIND})({json.dumps(selector)}, {json.dumps(text)})"
        until(lambda: self.hand.ask(find), 20, words)
        time.sleep(self.pause)
        x, y = self.hand.ask(find)
        self.hand.click(int(x) + 0.5, int(y) + 0.5)
        time.sleep(self.pause)

    def type(self, text: str) -> None:
        self.hand.type(text)
        time.sleep(self.pause)

    def chore(self, data: Data) -> None:
        """Do the chore from the sign-in to the ticket, in 25 steps."""
        for field, text in zip(("[name=user]", "[name=pass]"), USER, strict=True):
            self.click(field)
            self.type(text)
        self.click("button|Sign in")
        self.click("header a|Customers")
        self.click(".search input")
        self.type(data.customer)
        self.click(f".suggestions div|{data.customer}")
        self.click("button|Search")
        self.click(f"td a|{data.customer}")
        self.click(".pager a|Next")
        self.click(f"button[value='{data.order}']")
        self.click("[name=subject]")
        self.type(data.subject)
        self.date(data.due)
        self.choose(data.category)
        self.click(".pick .value")
        self.click(f".choices div|{data.priority}")
        self.click("[name=details]")
        self.type(data.details)
        self.click("[name=notify]")
        self.click(".modal .buttons button:not(.cancel)")
        until(lambda: self.hand.ask("location.pathname.startsWith('/crm/ticket/')"), 20, "the ticket")

    def date(self, due: str) -> None:
        self.click("[name=due]")
        year, month, day = due.split("-")
        self.type(f"{month}{day}{year}")

    def choose(self, category: str) -> None:
        """Choose in the native list, which the environment draws below its field, a row of 24 pixels for each entry."""
        self.click("[name=category]")
        x, y = self.hand.ask(f"({_FIND})('[name=category]', '')")
        height = self.hand.ask("document.querySelector('[name=category]').offsetHeight")
        self.hand.click(int(x) + 0.5, int(y + height / 2 + 24 * CATEGORIES.index(category) + 14) + 0.5)
        time.sleep(self.pause)


class Reader:
    """Evaluates an expression in the page of an environment; does nothing there."""

    def __init__(self, environment: BrowserEnvironment) -> None:
        self.environment = environment

    def ask(self, expression: str) -> Any:
        session = self.environment.session
        assert session is not None
        return self.environment.on_owner(lambda: session.tab.page.evaluate(expression), 5, "the person's eyes")


@contextmanager
def shown_on(display: str) -> Iterator[None]:
    """Let programs of this process open their windows on a display."""
    before = os.environ.get("DISPLAY")
    os.environ["DISPLAY"] = display
    try:
        yield
    finally:
        if before is None:
            del os.environ["DISPLAY"]
        else:
            os.environ["DISPLAY"] = before


def record_chore(folder: Path, server: Server, data: Data = RECORDED) -> Path:
    """Let xdotool do the chore in a window under Xvfb; return the episode."""
    with x_screen("1400x900") as screen, shown_on(screen.name):
        environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, headless=False))
        reader = Reader(environment)

        def sit() -> Hand:
            until(lambda: reader.ask("document.hasFocus()"), 20, "a window in front")
            return XHand(screen, reader)

        with closing(environment):
            return recorded(environment, sit, folder, server, data)


def recorded(
    environment: BrowserEnvironment, sit: Callable[[], Hand], folder: Path, server: Server, data: Data,
    pause: float = PAUSE,
) -> Path:  # fmt: skip
    """Record the chore; return the episode, which made exactly the ticket that it should. sit: once it is recorded."""
    lines: list[str] = []
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(
                record_watched(
                    environment, lambda: BrowserSource(environment, OWN), task_at(server.address), 1,
                    EpisodeStore(folder), tell=lambda text, final: lines.append(text),
                )
            )  # fmt: skip
        except Exception as error:  # raised below, in the thread of the caller
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: ended or any("Recording" in line for line in lines), 60, "the recording")
        if not ended:
            hand = sit()
            Person(hand, pause).chore(data)
            for _ in range(4):  # a key that comes while a page gives way to another is heard by neither: press it again
                hand.key("ctrl+f10")
                thread.join(8)
                if not thread.is_alive():
                    break
    finally:
        thread.join(30)
    if not ended or isinstance(ended[0], Exception):
        raise ended[0] if ended else TimeoutError("the recording did not end")
    found = [_fields(ticket) for ticket in server.crm.tickets]
    if found != [data.ticket]:
        raise RuntimeError(f"the person's own ticket is another one: {found}")
    path: Path = ended[0]
    return path


# ------------------------------------------------------------------------------------------------------------ the runs


@dataclass(frozen=True)
class Job:
    """One run. tier: do, target, template or coordinates. look: the drift, or ``KIND,PAGE`` of a wrong page."""

    part: str
    tier: str
    look: str
    data: Data

    @property
    def key(self) -> str:
        return f"{self.part} {self.tier} {self.look} {self.data.customer}"


@dataclass(frozen=True)
class Ran:
    """What came of a job. wrong: presses that are not of the chore; code: exit code of `do`, -1 of other tiers."""

    key: str
    part: str
    tier: str
    look: str
    customer: str
    right: bool
    sent: int
    pressed: int
    wrong: list[list[str]]
    code: int
    why: str
    seconds: float


# As `showonce parameters` is given it: names that are proposed from labels, and one by its step on the contact sheet.
NAMING: Final = (
    "find_a_customer=parameter", "find_a_customer:customer", "subject=parameter", "due_date=parameter", "due_date:due",
    "category=parameter", "step21=parameter", "step21:priority", "details=parameter",
)  # fmt: skip


def parameters(path: Path) -> None:
    """Name the values that change from one customer to the next."""
    command = [sys.executable, "-m", "showonce", "parameters", str(path), *NAMING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def moved(path: Path, folder: Path, address: str) -> Path:
    """Return a copy of an episode whose server is at another address."""
    copy = folder / path.name
    shutil.copytree(path, copy)
    for name in ("meta.json", "steps.jsonl"):
        text = (copy / name).read_text("utf-8")
        (copy / name).write_text(re.sub(r"http://127\.0\.0\.1:\d+", address, text), "utf-8")
    return copy


@dataclass(frozen=True)
class Killed:
    """One table. twice: rows that were sent twice; lost: rows without a result, or done without a ticket; done: rows
    that are done and have one ticket; other: rows whose ticket has other fields; code: the last exit code."""

    kills: int
    rows: int
    twice: int
    lost: list[str]
    done: int
    other: int
    code: int
    results: list[str]


def _fields(ticket: dict[str, str]) -> dict[str, str]:
    """Return a stored ticket without its number."""
    return {key: value for key, value in ticket.items() if key != "number"}


class Seat:
    """A server with its store, the episode for it, and a folder for runs; one job at a time."""

    inside = threading.Lock()  # of runs in this process

    def __init__(self, path: Path, folder: Path) -> None:
        self.server = Server()
        self.folder = folder
        self.path = moved(path, folder, self.server.address)

    def run(self, job: Job) -> Ran:
        """Do one job and judge it by the server's store."""
        crm = self.server.crm
        crm.forget()
        crm.drift = frozenset({job.look} & {*DRIFTS})
        crm.wrong = tuple(job.look.split(",")) if job.part == "wrong" else ()
        before = time.monotonic()
        code, why = self.do(job.data) if job.tier == "do" else self.replay(job)
        seconds = time.monotonic() - before
        time.sleep(0.3)  # the last press may be on its way
        crm.drift, crm.wrong = frozenset(), ()
        wrong, tickets = self.strange(job.data), self.tickets()
        return Ran(
            job.key, job.part, job.tier, job.look, job.data.customer, tickets == [job.data.ticket], len(tickets),
            len(crm.clicks), wrong, code, why, round(seconds, 1),
        )  # fmt: skip

    def tickets(self) -> list[dict[str, str]]:
        """Return the stored tickets without their numbers."""
        return [_fields(one) for one in self.server.crm.tickets]

    def strange(self, data: Data) -> list[list[str]]:
        """Return the presses that are not of the chore with this data: page, element and its text."""
        clicks = self.server.crm.clicks
        return [[c["page"], c["key"], c["text"]] for c in clicks if (c["page"], c["key"]) not in data.presses]

    def replay(self, job: Job) -> tuple[int, str]:
        """Replay with the data put into the demonstration, by one mode; return -1 and why it ended."""
        shown, task = bind(
            load_demonstration(self.path), task_of_episode(self.path), load_values(self.path), job.data.values()
        )
        with Seat.inside, closing(BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT))) as environment:
            report = replay_episode(self.path, environment, task, mode=cast(Mode, job.tier), shown=shown)
        return -1, f"{report.episode.stop_reason}: {report.episode.why}"

    def do(self, data: Data) -> tuple[int, str]:
        """Let `showonce do` do it, with receipts of its own; return its exit code and the line that says why."""
        words = [f"{name}={text}" for name, text in data.values().items()]
        logs = self.folder / "logs"
        done = subprocess.run(
            self.command(logs, *words), capture_output=True, text=True, timeout=400, check=False, cwd=self.folder
        )
        shutil.rmtree(logs, ignore_errors=True)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        why = next((str(one["why"]) for one in told if one.get("why")), "") or done.stderr.strip()[-300:]
        return done.returncode, why

    def kill_rows(self, kills: int, rng: random.Random, left: int) -> Iterator[Killed]:
        """Do tables of rows, each killed at random moments until all of its rows are done; `kills` in all.

        left: rows of a table.
        """
        crm = self.server.crm
        number, done = 0, 0
        while done < kills:
            crm.forget()
            number += 1
            rows = [replace(data, subject=f"Table {number}, {data.customer}") for data in rng.sample(OTHERS, left)]
            file = self.folder / f"rows{number}.csv"
            with file.open("w", newline="") as opened:
                writer = csv.DictWriter(opened, list(rows[0].values()))
                writer.writeheader()
                writer.writerows(row.values() for row in rows)
            codes: list[int] = []
            killed = 0
            while (after := rng.uniform(1, 15) if done + killed < kills else 600) and not (codes and codes[-1] >= 0):
                code = self._killed(file, after)
                codes.append(code)
                killed += code < 0
            done += killed
            with file.open(newline="") as opened:
                results = [row.get("result") or "" for row in csv.DictReader(opened)]
            yield self._judged(rows, results, killed, codes[-1])

    def _judged(self, rows: Sequence[Data], results: Sequence[str], kills: int, code: int) -> Killed:
        tickets = self.server.crm.tickets
        sent = Counter(ticket["subject"] for ticket in tickets)
        fields = self.tickets()
        once = [row for row in rows if sent[row.subject] == 1]
        marked = list(zip(rows, results, strict=True))
        lost = [
            f"{row.customer}: {result or 'no result'}, {sent[row.subject]} tickets"
            for row, result in marked
            if not result or (not sent[row.subject] and result.startswith("done"))
        ]
        return Killed(
            kills, len(rows), sum(sent[row.subject] > 1 for row in rows), lost,
            sum(row in once and result.startswith("done") for row, result in marked),
            sum(row.ticket not in fields for row in once), code, list(results),
        )  # fmt: skip

    def _killed(self, file: Path, after: float) -> int:
        """Start `do --rows` and kill it after some seconds; return its exit code, negative where it was killed."""
        process = subprocess.Popen(
            [*self.command(self.folder / "logs"), "--rows", str(file)], cwd=self.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
            with suppress(ProcessLookupError):  # what it had started, and what does not end with it
                os.killpg(process.pid, signal.SIGKILL)
            return code

    def command(self, logs: Path, *words: str) -> list[str]:
        """Return the command line of `do` on this seat's episode. logs: where its runs and receipts go."""
        return [
            sys.executable, "-m", "showonce", "do", str(self.path), *words, "environment.settings.headless=true",
            "--nobody", "--json", f"secret.password=env:{SECRET}", f"output.logs={logs}",
        ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the benchmark

TIERS: Final = ("do", "target", "template", "coordinates")
PARTS: Final = ("drifts", "wrong", "kill")


def jobs_of(parts: Sequence[str], tiers: Sequence[str], customers: int, others: int, wrong: int) -> list[Job]:
    """Return the runs. customers: of `do` in each drift; others: of other tiers; wrong: how many wrong pages."""
    jobs = [
        Job("drifts", tier, look, data)
        for tier in tiers
        for look in DRIFTS
        for data in OTHERS[: customers if tier == "do" else others]
    ]
    pages = [f"{kind},{view}" for kind in WRONG for view in VIEWS if kind != "other" or view in ("customer", "orders")]
    strange = [Job("wrong", "do", pages[at % len(pages)], OTHERS[at // len(pages)]) for at in range(wrong)]
    return [*(jobs if "drifts" in parts else []), *(strange if "wrong" in parts and "do" in tiers else [])]


def run_all(jobs: Sequence[Job], path: Path, folder: Path, workers: int) -> list[Ran]:
    """Run the jobs that folder/runs.jsonl does not have yet, several at a time; return all of them."""
    file = folder / "runs.jsonl"
    done = (
        {ran["key"]: Ran(**ran) for ran in map(json.loads, file.read_text("utf-8").splitlines())}
        if file.exists()
        else {}
    )
    left = [job for job in jobs if job.key not in done]
    seats: queue.Queue[Seat] = queue.Queue()
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="showonce-chore-", ignore_cleanup_errors=True) as made:
        for number in range(workers if left else 0):
            seats.put(Seat(path, Path(made) / str(number)))

        def one(job: Job) -> None:
            seat = seats.get()
            try:
                ran = seat.run(job)
            finally:
                seats.put(seat)
            with lock, file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(asdict(ran)) + "\n")
                done[ran.key] = ran
                told = "done right" if ran.right else f"code {ran.code}: {ran.why}"
                print(
                    f"{ran.key}: {told}, {len(ran.wrong)} wrong presses {ran.wrong or ''}, {ran.seconds:g} s",
                    flush=True,
                )

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, left))
    return [done[job.key] for job in jobs]


def rows_of(runs: Sequence[Ran]) -> list[Row]:
    """Return the figures of the runs."""
    rows = []
    for tier in TIERS:
        mine = [ran for ran in runs if ran.part == "drifts" and ran.tier == tier]
        if not mine:
            continue
        held = tier == "do"
        wrong = sum(len(ran.wrong) for ran in mine)
        by_look = ", ".join(
            f"{look} {sum(ran.right for ran in some)}/{len(some)}"
            for look in DRIFTS
            if (some := [ran for ran in mine if ran.look == look])
        )
        right = 100 * sum(ran.right for ran in mine) / len(mine)
        rows.append(
            Row(f"{tier}: done right", right, Goal(">=", 95.0) if held else None, " %", len(mine), note=by_look)
        )
        at = f"{sum(bool(ran.wrong) for ran in mine)} runs; {sum(ran.sent > 1 for ran in mine)} sent twice"
        rows.append(
            Row(f"{tier}: wrong presses", wrong, NONE if held else None, n=sum(r.pressed for r in mine), note=at)
        )
        seconds = sorted(ran.seconds for ran in mine)
        rows.append(Row(f"{tier}: seconds a run, median", seconds[len(seconds) // 2], unit=" s", n=len(mine)))
        if held:
            silent = sum(not ran.why or ran.code not in (4, 5) for ran in mine if not ran.right)
            failed = sum(not ran.right for ran in mine)
            rows.append(Row("do: failures without a reason and exit code", silent, NONE, n=failed))
            lied = sum(ran.code == 0 for ran in mine if not ran.right)
            rows.append(Row("do: exit code 0 although it was not done", lied, NONE, n=len(mine)))
    if strange := [ran for ran in runs if ran.part == "wrong"]:
        codes = Counter(ran.code for ran in strange)
        note = ", ".join(f"exit code {code}: {count}" for code, count in sorted(codes.items()))
        wrong = sum(len(ran.wrong) for ran in strange)
        rows.append(Row("wrong page: presses on it", wrong, NONE, n=len(strange), note=note))
        rows.append(Row("wrong page: exit code 0", codes[0], NONE, n=len(strange)))
    return rows


def kill_rows(path: Path, folder: Path, kills: int, seed: int) -> list[Row]:
    """Return the figures of tables that are killed; folder/kills.jsonl keeps what was measured."""
    file = folder / "kills.jsonl"
    found = [Killed(**one) for one in map(json.loads, file.read_text("utf-8").splitlines())] if file.exists() else []
    left = kills - sum(one.kills for one in found)
    with tempfile.TemporaryDirectory(prefix="showonce-kill-", ignore_cleanup_errors=True) as made:
        if left > 0:
            for one in Seat(path, Path(made) / "kill").kill_rows(left, random.Random(f"{seed} {left}"), 6):
                with file.open("a", encoding="utf-8") as opened:
                    opened.write(json.dumps(asdict(one)) + "\n")
                found.append(one)
                print(
                    f"{one.kills} kills, {one.rows} rows: {one.done} done, {one.twice} twice, lost {one.lost}",
                    flush=True,
                )
    return kill_verdict(found)


def kill_verdict(found: Sequence[Killed]) -> list[Row]:
    """Return the figures of killed tables."""
    n = sum(one.kills for one in found)
    rows, done = sum(one.rows for one in found), sum(one.done for one in found)
    note = f"{rows} rows: {done} done with one ticket, {sum(one.other for one in found)} with another ticket"
    return [
        Row("killed: rows lost", sum(len(one.lost) for one in found), NONE, n=n, note=note),
        Row("killed: rows sent twice", sum(one.twice for one in found), NONE, n=n),
    ]


def main() -> int:
    """Record, run, print the figures and the verdict."""
    arguments = parser(__doc__, quick="one customer x 6 drifts, 4 wrong pages, 3 kills; some minutes all the same")
    arguments.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    arguments.add_argument("--tiers", default="do,template,coordinates", help=f"of {', '.join(TIERS)}")
    arguments.add_argument("--customers", type=int, default=20, help="of `do`, in each drift")
    arguments.add_argument("--others", type=int, default=4, help="of the tiers beside it, in each drift")
    arguments.add_argument("--wrong", type=int, default=100, help="runs with a wrong page")
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--folder", type=Path, default=Path("logs/chore"))
    given = arguments.parse_args()
    if given.quick:
        given.customers, given.others, given.wrong, given.kills = 1, 1, 4, 3
    parts, tiers = given.parts.split(","), given.tiers.split(",")
    if unknown := {*parts} - {*PARTS} | {*tiers} - {*TIERS}:
        arguments.error(f"unknown: {', '.join(sorted(unknown))}")
    os.environ[SECRET] = os.environ["SHOWONCE_SECRET"] = USER[1]
    folder = given.folder.resolve()
    path = folder / "episode"
    if not path.is_dir():
        with tempfile.TemporaryDirectory() as made:
            found = record_chore(Path(made), Server())
            parameters(found)
            shutil.copytree(found, path)
    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_rows, path, folder, given.kills, given.seed) if "kill" in parts else None
        runs = run_all(jobs_of(parts, tiers, given.customers, given.others, given.wrong), path, folder, given.workers)
        rows = [*rows_of(runs), *(killed.result() if killed is not None else [])]
    return finish(rows, given)


if __name__ == "__main__":
    sys.exit(main())
