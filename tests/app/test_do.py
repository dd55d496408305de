"""A recorded order at a real server, in a real browser, is done with other data: once a row, verified, never twice."""

from __future__ import annotations

import csv
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from tests.browsers import needs_browser

from showonce.actions import Action, Click, Type, Wait
from showonce.app.do import Chore, _weak, decisive_steps, find_chore, split_words
from showonce.app.tasks import task_named
from showonce.cli import main
from showonce.demonstrations import EpisodeStore, load_demonstration, load_episode
from showonce.demonstrations.store import save_demonstration
from showonce.demonstrations.values import propose, save_values
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.errors import ConfigError
from showonce.runs.receipts import Ledger, RowState
from showonce.runtime.matching import find_named
from showonce.runtime.recorder import HandPolicy, record
from showonce.types import Check, Frame, Observation
from showonce.versions.lock import StoreLock

PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><body style='font:16px sans'><h1>{0}</h1>{1}"
ASKS = "<form method=post><label>{} <input name={}></label><button>{}</button></form>"
FORM = PAGE.format("New order", ASKS.format("Product", "product", "Order"))
EXPIRED = PAGE.format("Sign in", ASKS.format("User", "user", "Sign in"))
SIZE = {"width": 480, "height": 320}


class Shop(http.server.ThreadingHTTPServer):
    """Takes orders. page, status: what it answers in place of the form. delay: seconds until an order is answered."""

    daemon_threads = True

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.page, self.status, self.delay = FORM, 200, 0.0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        product = parse_qs(parts.query).get("product", [""])[0]
        thanks = PAGE.format("Thank you", f"<p>Ordered: {escape(product)}.</p>")
        self._answer(thanks if product else self.server.page, 200 if product else self.server.status)

    def do_POST(self) -> None:
        fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.orders.append(fields.get("product", [""])[0])
        time.sleep(self.server.delay)
        self._answer("", 303, f"/?product={quote(self.server.orders[-1])}")

    def _answer(self, text: str, status: int = 200, location: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (("Content-Type", "text/html"), ("Content-Length", str(len(body))), ("Location", location)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def shown(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task file `order.yaml` and one recording, in which the product is a parameter."""
    folder = tmp_path_factory.mktemp("chore")
    settings = ", ".join(f"{name}: {value}" for name, value in SIZE.items())
    (folder / "order.yaml").write_text(
        f"goal: order tea\nenvironment: {{name: browser, settings: {{{settings}}}}}\nstart: {shop.address}\n"
        "success: {kind: text, value: 'Ordered: tea.'}\n"
    )
    world = BrowserEnvironment(BrowserSettings(**SIZE, text=True))
    todo: list[str | Action] = ["Product", Type("tea"), "Order"]

    def hand(seen: Observation) -> Action | None:
        if not todo:
            return None
        one = todo.pop(0)
        if not isinstance(one, str):
            return one
        place = find_named(one, (0.5, 0.5), [e for e in world.elements() if e.role])
        assert place is not None, world.elements()
        return Click(*place)

    task = task_named(str(folder / "order.yaml"))
    try:
        path = record(world, task, 1, HandPolicy(hand), EpisodeStore(folder / "logs" / "shown" / "episodes"), "person")
    finally:
        world.close()
    found = propose(load_episode(path))
    assert [(one.recorded, one.steps) for one in found] == [("tea", (2,))], found
    save_values(path, [replace(found[0], kind="parameter", name="product")])
    assert load_demonstration(path).frames[2].target or load_demonstration(path).frames[2].targets
    return folder


@pytest.fixture
def there(shown: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The same as a person finds it: standing in the folder, nothing done yet."""
    monkeypatch.chdir(shown)
    for old in (shown / "logs").glob("*"):
        if old.name != "shown":
            old.rename(tmp_path / old.name)
    shop.orders.clear()
    shop.page, shop.status, shop.delay = FORM, 200, 0.0
    return shown


def done(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, object]], str]:
    """Run the command with --json: exit code, objects, stderr."""
    code = main(["do", "order.yaml", "--json", *words])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


@needs_browser
def test_once_with_other_data_is_verified_and_leaves_a_receipt(
    there: Path, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["do", "order.yaml", "product=green tea"]) == 0
    out = capsys.readouterr().out
    assert shop.orders == ["green tea"] and "done (product=green tea): verified" in out
    folder = Path(out.strip().rpartition("Receipt: ")[2])
    receipt = json.loads((folder / "receipt.json").read_text())
    assert (receipt["verdict"], receipt["code"], receipt["values"]) == ("done", 0, {"product": "green tea"})
    assert receipt["steps"][1]["did"] == 'type text="green tea"' and receipt["decisive"] == [3]
    for one in receipt["pictures"]:
        assert (folder / one["before"]).stat().st_size and (folder / one["after"]).stat().st_size
    page = (folder / "receipt.md").read_text()
    assert "product = green tea" in page and "decisive" in page and "![before step" in page
    assert not list(Path(receipt["episode"]).glob("*.png")), "only the decisive pictures are kept of a success"
    summary = (folder.parents[1] / "summary.md").read_text()
    assert "| - | product = green tea | done |" in summary and "teacher" not in summary
    lines = [json.loads(line) for line in (there / "logs/receipts/user-order/receipts.jsonl").read_text().splitlines()]
    assert [(line["verdict"], line["receipt"]) for line in lines] == [("done", str(folder))]
    assert main(["runs"]) == 0 and "do" in capsys.readouterr().out


@needs_browser
def test_a_table_is_done_row_by_row_and_goes_on_where_it_was(
    there: Path, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    table = there / "rows.csv"
    table.write_text("product,note\ncoffee,a\ncocoa,b\n")
    code, rows, err = done(capsys, "--rows", "rows.csv")
    assert (code, shop.orders) == (0, ["coffee", "cocoa"]), err
    assert [(row.get("row"), row.get("verdict")) for row in rows] == [(2, "done"), (3, "done"), (None, None)]
    assert rows[-1] | {"run": ""} == {
        "summary": True, "task": "user/order", "rows": 2, "verdicts": {"done": 2}, "code": 0, "run": "",
    }  # fmt: skip
    assert {*rows[0]} == {"row", "key", "values", "verdict", "code", "why", "already", "receipt", "seconds"}
    with table.open() as file:
        assert [(row["note"], row["result"]) for row in csv.DictReader(file)] == [("a", "done"), ("b", "done")]
    table.write_text("product,note\ncoffee,a\nmilk,c\n")  # the results are gone, and the ledger knows
    code, rows, _ = done(capsys, "--rows", "rows.csv")
    assert (code, shop.orders) == (0, ["coffee", "cocoa", "milk"])
    assert [row.get("already") for row in rows] == [True, False, None]
    code, _, err = done(capsys, "--rows", "rows.csv", "--again")
    assert code == 2 and "do.batch=" in err and len(shop.orders) == 3, "again after a kill it would be sent twice"
    table.write_text("product,note\ncoffee,a\nmilk,c\n")
    for _ in range(2):
        assert done(capsys, "--rows", "rows.csv", "do.batch=may")[0] == 0 and shop.orders[3:] == ["coffee", "milk"]
    for _ in range(2):
        assert done(capsys, "product=tea", "do.batch=2026-05-04")[0] == 0 and shop.orders[5:] == ["tea"]


@needs_browser
def test_a_wrong_page_is_not_touched(there: Path, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.page = EXPIRED
    code, rows, err = done(capsys, "product=milk", "replay.longer=0")
    assert (code, shop.orders) == (5, []) and "in doubt" in err, (rows, err)
    assert rows[0]["verdict"] == "in doubt" and rows[0]["code"] == 5
    (there / "rows.csv").write_text("product\na\nb\nc\nd\n")
    code, rows, err = done(capsys, "--rows", "rows.csv", "replay.longer=0")
    assert (code, [row.get("verdict") for row in rows]) == (5, ["in doubt"] * 3 + [None]), (rows, err)
    assert rows[-1]["verdicts"] == {"in doubt": 3, "not tried": 1} and "left for later" in err
    shop.page, shop.status = FORM, 503  # everything is there, on a page that the server calls an error
    code, rows, err = done(capsys, "product=milk", "replay.longer=0")
    assert (code, shop.orders) == (5, []) and "an error (503)" in err
    shop.status = 200  # nothing was sent, so it may be tried again
    assert done(capsys, "product=milk")[0] == 0 and shop.orders == ["milk"]


@needs_browser
def test_killed_while_it_sends_is_in_doubt_until_a_person_says(
    there: Path, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    (there / "rows.csv").write_text("product\njam\n")
    shop.delay = 20.0
    command = [sys.executable, "-m", "showonce", "do", "order.yaml", "--rows", "rows.csv", "--quiet"]
    process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not shop.orders and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shop.delay = 0.0
    assert shop.orders == ["jam"], "it was killed after it had sent"
    for _ in range(2):
        code, rows, err = done(capsys, "--rows", "rows.csv")
        assert (code, shop.orders, rows[0]["verdict"]) == (5, ["jam"], "in doubt") and "--settle 2=done" in err
    assert main(["do", "order.yaml", "--rows", "rows.csv", "--settle", "9=done"]) == 2
    assert main(["do", "order.yaml", "--rows", "rows.csv", "--settle", "2=not-done"]) == 0
    capsys.readouterr()
    assert done(capsys, "--rows", "rows.csv")[0] == 0 and shop.orders == ["jam", "jam"]


def variant(there: Path, tmp_path: Path, success: str, checks: tuple[Check, ...] = ()) -> None:
    """Stand in a folder where the order was recorded with a wait before it is sent, under another success check."""
    os.chdir(tmp_path)
    text = (there / "order.yaml").read_text()
    Path("order.yaml").write_text(text[: text.index("success:")] + f"success: {success}\n")
    (path,) = (there / "logs" / "shown" / "episodes").iterdir()
    demonstration = load_demonstration(path)
    fill, name, send = demonstration.frames
    frames = (fill, name, Frame(send.observation, Wait(0.2)), send)
    made = replace(demonstration, frames=frames, sends=(3,), checks=checks)
    own = save_demonstration(made, Path("logs") / "shown" / "00000-record-order")
    save_values(own, [replace(one, kind="parameter", name="product") for one in propose(load_episode(own))])


@needs_browser
def test_what_follows_a_recorded_wait_is_noted_before_it_is_sent(
    there: Path, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variant(there, tmp_path, "{kind: text, value: never}")
    code, rows, err = done(capsys, "product=milk", "replay.longer=0")
    assert (code, shop.orders) == (4, ["milk"]) and "it may have been sent" in err, rows
    code, rows, _ = done(capsys, "product=milk", "replay.longer=0")
    assert (code, rows[0]["verdict"], shop.orders) == (5, "in doubt", ["milk"])


@needs_browser
def test_a_check_that_holds_before_it_is_sent_does_not_end_it(
    there: Path, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.page = FORM + "<script>addEventListener('input', () => document.body.append('Ordered: milk.'))</script>"
    variant(there, tmp_path, "{kind: text, value: 'Ordered: tea.'}")
    assert done(capsys, "product=milk")[0] == 0 and shop.orders == ["milk"]


@needs_browser
def test_what_the_person_said_must_be_there_is_looked_for(
    there: Path, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = (0.1, 0.1, 0.5, 0.2)
    variant(there, tmp_path, "none", (Check(4, "Thank you", where),))
    code, rows, _ = done(capsys, "product=milk", "replay.longer=1")
    assert (code, shop.orders) == (0, ["milk"]) and "'Thank you' is on the screen" in str(rows[0]["why"])
    other = tmp_path / "other"
    other.mkdir()
    variant(there, other, "none", (Check(4, "Paid", where),))
    code, rows, _ = done(capsys, "product=milk", "replay.longer=0")
    assert (code, rows[0]["verdict"], len(shop.orders)) == (4, "not reached", 2), rows
    third = tmp_path / "third"
    third.mkdir()
    variant(there, third, "none", (Check(1, "New order", where),))
    code, _, err = done(capsys, "product=milk")
    assert code == 2 and "nothing says whether" in err and len(shop.orders) == 2


@needs_browser
def test_the_line_of_a_crontab_works_with_nothing_around_it(there: Path, shop: Shop) -> None:
    (there / "today.csv").write_text("product\nsalt\n")
    line = f"cd {there} && {sys.executable} -m showonce do order.yaml --rows today.csv --quiet"
    given = {"HOME": str(there), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"} | {
        name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ
    }
    ran = subprocess.run(
        ["/bin/sh", "-c", line], env=given, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
    )
    assert (ran.returncode, ran.stdout, ran.stderr, shop.orders) == (0, "", "", ["salt"])


@needs_browser
def test_what_cannot_be_done_is_told_before_anything_is(
    there: Path, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (["order.yaml"], "product is missing"),
        (["order.yaml", "prodct=x"], "Did you mean 'product'"),
        (["order.yaml", "product=x", "product=y"], "given twice"),
        (["order.yaml", "product=x", "do.keepdays=3"], "keep_days"),
        (["order.yaml", "product=x", "learning.sdft.lr=1"], "no effect in `showonce do`"),
        (["nosuch.yaml", "product=x"], "nosuch"),
        (["order.yaml", "product=x", "--settle", "done"], "is not in doubt"),
        (["order.yaml", "product=x", "--settle", "maybe"], "not of the form"),
        (["order.yaml", "--rows", "nosuch.csv"], "no such file"),
    ):
        assert main(["do", *words, "--nobody"]) == 2, words
        assert said in capsys.readouterr().err, words
    shop.page = PAGE.format("Old", "Ordered: x.")
    code, rows, err = done(capsys, "product=x")
    assert code == 2 and "true before the first step" in err and rows[0]["verdict"] == "bad input"
    assert shop.orders == []


@needs_browser
def test_two_commands_do_not_do_one_task_at_once(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holds = (
        "import sys, time; from showonce.runs.receipts import Ledger\n"
        "with Ledger('logs', 'user/order').held(0): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", holds], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    assert main(["do", "order.yaml", "product=x"]) == 2
    err = capsys.readouterr().err
    assert "being done by another command" in err and f"pid {other.pid}" in err and "do.wait_seconds" in err
    other.kill()
    other.communicate()
    assert done(capsys, "product=ink")[0] == 0, "the lock of a dead process is taken over"


def test_old_pictures_go_and_receipts_stay(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "user/order")
    for name, when in (("old", time.time() - 9 * 86400), ("new", time.time())):
        (tmp_path / name).mkdir()
        for file in ("before-1.png", "receipt.json"):
            (tmp_path / name / file).write_text("x")
        ledger.note({"when": when, "receipt": str(tmp_path / name)})
    assert ledger.thin(0) == 0 and ledger.thin(10) == 0
    assert ledger.thin(8) == 1
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*.*")) == [
        "new/before-1.png", "new/receipt.json", "old/receipt.json",
    ]  # fmt: skip


def test_the_ledger_remembers_and_forgets(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "user/order")
    assert ledger.get("k") is None
    for state in RowState:
        ledger.put("k", state, {"a": "b"}, "why", "folder")
        entry = ledger.get("k")
        assert entry is not None and (entry.state, entry.why, entry.receipt) == (state, "why", "folder")
    ledger.forget("k")
    assert ledger.get("k") is None
    (ledger.folder / "rows" / "k.json").write_text("{")
    with pytest.raises(ConfigError.__bases__[0], match="Look whether it was"):
        ledger.get("k")
    with ledger.held(0):
        assert StoreLock(ledger.folder).path.is_file()


@needs_browser
def test_a_check_that_looks_for_the_data_alone_is_pointed_out(shown: Path) -> None:
    chore = find_chore(str(shown / "order.yaml"), shown / "logs")
    weak = replace(chore, task=replace(chore.task, success=replace(chore.task.success, value=" Tea ")))
    assert not _weak(chore) and "nothing but product" in _weak(weak)


@needs_browser
def test_words_are_values_or_keys_and_decisive_is_what_sends_the_data(shown: Path) -> None:
    chore = find_chore(str(shown / "order.yaml"), shown / "logs")
    given, rest = split_words(["product=a=b", "seed=3", "do.pictures=all"], chore, ("seed", "do"))
    assert (given, rest) == ({"product": "a=b"}, ["seed=3", "do.pictures=all"])
    assert split_words(["set.seed=3"], chore, ("seed",)) == ({"seed": "3"}, [])

    def steps(sends: tuple[int, ...] | None, made: Chore = chore) -> tuple[int, ...]:
        return decisive_steps(replace(made, shown=replace(made.shown, sends=sends)), ("order",))

    assert steps((0, 2)) == (3,), "what was sent before the data was typed is no row"
    assert steps(()) == steps(None) == (3,)
    assert steps((0, 2), replace(chore, values=())) == (1, 3)
    one, two, three = chore.shown.frames
    frames = (replace(one, action=Type("<secret:password>")), replace(two, target="Sign in"), three)
    signs = replace(chore, values=(), shown=replace(chore.shown, frames=frames))
    assert steps((1, 2), signs) == (3,) and steps((1,), signs) == (2,), "a sign-in is nobody's row"
