"""The verdicts of the step benchmarks from made times: goals are ratios to the floor of the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import browser_step, desktop_step, emergency_stop, miniwob_step, peers
from benchmarks.verdict import Row, Verdict
from showonce.errors import Unavailable


def word(rows: list[Row]) -> str:
    return Verdict(tuple(rows)).word


@pytest.mark.parametrize("slow_machine", [1, 10])
def test_a_slow_machine_changes_no_verdict(slow_machine: int) -> None:
    def browser(ms: float, stale: int) -> str:
        ours = {how: [ms * slow_machine] * 5 for how in (*browser_step.SOON, *browser_step.APART)}
        late = dict.fromkeys(ours, 0) | {"frame": stale, "timer 50 ms": 3}
        return word(browser_step.rows_of(ours, late, [30.0 * slow_machine] * 5))

    assert (browser(60, 0), browser(90, 0), browser(60, 1)) == ("PASS", "FAIL", "FAIL")

    def desktop(ms: float) -> str:
        ours = {"click": [ms * slow_machine] * 5, "character": [ms] * 5}
        return word(desktop_step.rows_of(ours, 0, [1.0] * 5, [30.0 * slow_machine] * 5))

    assert (desktop(45), desktop(90)) == ("PASS", "FAIL")


def test_a_stop_that_is_late_ignored_or_leaves_a_key_down_fails() -> None:
    def stop(ms: float = 4.0, unheeded: int = 0, held: int = 0) -> str:
        return word(emergency_stop.Trials([4.0, ms], [1.0, 1.0], unheeded, held, 2).rows("idle"))

    assert (stop(), stop(ms=51), stop(unheeded=1), stop(held=1)) == ("PASS", "FAIL", "FAIL", "FAIL")


def test_without_a_peer_nothing_is_passed() -> None:
    rates = {name: Row(name, value) for name, value in (("one context", 50.0), ("four contexts", 120.0))}
    rates |= {"selenium": Row("selenium", 15.0), "BrowserGym": Row("BrowserGym", 1.0)}
    assert word(miniwob_step.ratios(rates)) == "PASS"
    absent = miniwob_step.measured("BrowserGym", lambda: miniwob_step.rate_of(peers.Peer("no-such-peer", (), ""), 1))
    assert "--install-peers" in absent.why
    assert word(miniwob_step.ratios({**rates, "BrowserGym": absent})) == "NOT MEASURED"
    nothing = {name: Row(name, None, why="no browser") for name in rates}
    assert word(miniwob_step.ratios(nothing)) == "NOT MEASURED"


def test_a_peer_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    python = tmp_path / "broken" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'no browser here' >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(Unavailable, match="broken failed: no browser here"):
        peers.Peer("broken", (), "").run([], {})
    python.write_text("#!/bin/sh\necho 12.5\n")
    assert peers.Peer("broken", (), "").run([], {}) == 12.5
