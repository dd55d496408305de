"""The office chore from the recording to the ticket: a person, names for what changes, `do` for another customer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.browsers import needs_browser
from tests.people import CdpPerson, running_browser

from benchmarks.chore import (
    HEIGHT,
    OTHERS,
    PARTS,
    RECORDED,
    SECRET,
    TIERS,
    WIDTH,
    Data,
    Killed,
    Ran,
    Seat,
    jobs_of,
    kill_verdict,
    parameters,
    recorded,
    rows_of,
)
from benchmarks.recorder_kinds import DevToolsHand
from showonce.cli import main
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.site.crm import USER
from showonce.environments.browser.site.server import Server
from showonce.environments.browser.world import BrowserEnvironment


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """The recording of a DevTools client in front of a headless browser, with its values named."""
    folder = tmp_path_factory.mktemp("chore")
    with running_browser(folder / "profile", WIDTH, HEIGHT) as url:
        client, environment = CdpPerson(url), BrowserEnvironment(BrowserSettings(cdp_url=url))

        def sit() -> DevToolsHand:
            client.sit_down()
            return DevToolsHand(client)

        try:
            path = recorded(environment, sit, folder / "episodes", Server(), RECORDED, pause=0.1)
        finally:
            environment.close()
            client.close()
    parameters(path)
    yield Seat(path, folder)


def do(seat: Seat, data: Data, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run `do` in this process; return its exit code and why it ended so."""
    command = seat.command(seat.folder / "logs", *(f"{name}={text}" for name, text in data.values().items()), *words)
    capsys.readouterr()
    code = main(command[3:])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return code, str(told[0]["why"])


@needs_browser
def test_the_chore_is_done_for_another_customer_and_not_on_a_wrong_page(
    seat: Seat, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, USER[1])
    crm, data = seat.server.crm, OTHERS[0]
    assert data.customer == "Ada Lovelace"  # one of two alike, whose name stands in two lists of the page
    crm.drift = frozenset({"moved", "renamed"})
    code, why = do(seat, data, capsys)
    assert (code, seat.tickets()) == (0, [data.ticket]), why
    assert seat.strange(data) == []
    crm.forget()
    crm.wrong = ("other", "customer")
    code, why = do(seat, OTHERS[1], capsys, "replay.longer=0.5")
    assert (code, seat.tickets(), seat.strange(OTHERS[1])) == (5, [], []), why
    assert "Step 12" in why and "'Ada Lovelock' stands nowhere at it" in why


def test_the_runs_are_counted() -> None:
    jobs = jobs_of(PARTS, ("do", "template"), 20, 4, 100)
    assert (len(jobs), len({job.key for job in jobs})) == (20 * 6 + 4 * 6 + 100, len(jobs))
    assert {*TIERS} > {job.tier for job in jobs}
    assert len({one.customer for one in OTHERS}) == 20 and RECORDED.customer not in {one.customer for one in OTHERS}
    right = Ran("a", "drifts", "do", "dark", "A", True, 1, 19, [], 0, "verified", 5.0)
    wrong = Ran("b", "drifts", "do", "dark", "B", False, 0, 7, [["results", "", "x"]], 5, "Step 1", 5.0)
    found = {row.name: row for row in rows_of([right, wrong])}
    assert found["do: done right"].value == 50.0 and found["do: done right"].holds is False
    assert found["do: wrong presses"].value == 1 and found["do: wrong presses"].holds is False
    assert found["do: failures without a reason and exit code"].value == 0


def test_a_kill_that_loses_a_row_or_sends_it_twice_is_a_miss() -> None:
    fine = Killed(3, 6, 0, [], 5, 0, 5, ["done"])
    assert all(row.holds for row in kill_verdict([fine]))
    lost = Killed(3, 6, 1, ["A: no result, 0 tickets"], 4, 0, 0, ["done"])
    assert [row.holds for row in kill_verdict([fine, lost])] == [False, False]
