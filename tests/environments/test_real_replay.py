"""Replay on real screens: a page that changed since it was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browsers import needs_browser

from showonce.actions import Action, Click, Done, Type, Wait, from_pixel
from showonce.demonstrations import EpisodeStore, read_png
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.errors import ConfigError
from showonce.protocols import Context, Sampling
from showonce.runtime.recorder import HandPolicy, record
from showonce.runtime.replay import Mode, ReplayReport, replay_episode
from showonce.secrets import KNOWN, SECRET, VARIABLE
from showonce.types import Observation, Proposal, StopReason, Success, Task

pytestmark = needs_browser
WIDTH, HEIGHT = 480, 360
STYLE = "<!doctype html><meta charset=utf-8><body style='margin:0;font:16px sans-serif'>"
BUTTON = "<button style='position:absolute;{}' onclick=\"document.title='done';this.textContent='Saved'\">{}</button>"
OTHER = "<button style='position:absolute;left:300px;top:20px;width:90px;height:32px'>Delete</button>"


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserEnvironment]:
    environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, text=True))
    yield environment
    environment.close()


class Flow:
    """A page in a file, what a person did on it, and its replay after the page was changed."""

    def __init__(self, browser: BrowserEnvironment, folder: Path) -> None:
        self.browser, self.folder, self.page = browser, folder, folder / "page.html"

    def task(self, success: str | Success) -> Task:
        check = Success("text", success) if isinstance(success, str) else success
        return Task("user/page", "save it", "browser", start=str(self.page), success=check)

    def record(self, html: str, *actions: Action, success: str | Success = "Saved") -> None:
        self.page.write_text(STYLE + html, "utf-8")
        rest = iter(actions)

        class Hand(HandPolicy):
            def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
                action = next(rest, None) or Done()
                name = "Save" if isinstance(action, Click) and action != at(60, 25) else ""
                return Proposal(name, action, None, adapter_version="none")

        store = EpisodeStore(self.folder / "shown")
        self.success = success
        self.path = record(self.browser, self.task(success), 1, Hand(lambda _: None), store, "person")

    def replay(self, html: str, mode: Mode = "coordinates", stop_when_changed: bool = True) -> ReplayReport:
        self.page.write_text(STYLE + html, "utf-8")
        return replay_episode(
            self.path, self.browser, self.task(self.success), mode=mode, folder=self.folder / "out",
            store=EpisodeStore(self.folder / "again"), stop_when_changed=stop_when_changed,
        )  # fmt: skip


@pytest.fixture
def flow(browser: BrowserEnvironment, tmp_path: Path) -> Flow:
    return Flow(browser, tmp_path)


def at(x: int, y: int) -> Click:
    return Click(from_pixel(x, WIDTH), from_pixel(y, HEIGHT))


SAVE = BUTTON.format("left:40px;top:60px;width:100px;height:36px", "Save")


@pytest.mark.parametrize("mode", ["coordinates", "template"])
def test_the_same_page_has_no_difference(flow: Flow, mode: Mode) -> None:
    flow.record(SAVE + OTHER, at(90, 78))
    report = flow.replay(SAVE + OTHER, mode)
    assert (report.success, report.first_difference) == (True, None)


def test_a_button_that_moved_is_found_by_its_picture(flow: Flow) -> None:
    flow.record(SAVE + OTHER, at(90, 78))
    moved = BUTTON.format("left:290px;top:240px;width:100px;height:36px", "Save") + OTHER
    assert flow.replay(moved).stop_reason is StopReason.DOUBT
    report = flow.replay(moved, "template")
    assert report.success is True
    step = report.episode.steps[0]
    assert step.executed is not None and abs(step.executed.x * WIDTH - 340) < 2  # type: ignore[union-attr]


def test_a_button_that_looks_otherwise_is_found_by_its_name(flow: Flow) -> None:
    flow.record(SAVE + OTHER, at(90, 78))
    look = "left:200px;top:200px;width:220px;height:90px;background:navy;color:yellow;font:bold 40px serif;rotate:5deg"
    report = flow.replay(BUTTON.format(look, "Save"), "template")
    assert report.success is True
    proposal = report.episode.steps[0].proposal
    assert proposal is not None and "found by its name 'Save'" in proposal.text


def test_what_is_gone_is_asked_for_and_shown_side_by_side(flow: Flow) -> None:
    flow.record(SAVE + OTHER, at(90, 78))
    report = flow.replay("<h1>Out of order</h1>", "template")
    assert report.stop_reason is StopReason.DOUBT
    difference = report.first_difference
    assert difference is not None and (difference.step, difference.kind) == (0, "target")
    assert read_png(difference.picture).shape == (HEIGHT, 2 * WIDTH + 4, 3)


def test_small_changes_are_no_difference_and_covered_targets_are(flow: Flow) -> None:
    flow.record(SAVE + OTHER + "<p style='position:absolute;top:300px'>10:01</p>", at(90, 78))
    assert flow.replay(SAVE + OTHER + "<p style='position:absolute;top:300px'>10:02</p>").first_difference is None
    cover = "<div style='position:absolute;left:60px;top:64px;width:50px;height:28px;background:black'></div>"
    report = flow.replay(SAVE + OTHER + cover)
    assert report.first_difference is not None
    assert report.first_difference.kind == "target"
    assert "around the target differ" in report.first_difference.detail


def test_another_page_is_the_first_difference(flow: Flow) -> None:
    flow.record(SAVE + OTHER, at(90, 78))
    other = SAVE + "<div style='position:absolute;inset:150px 0 0 0;background:teal'></div>"
    report = flow.replay(other, stop_when_changed=False)
    assert report.first_difference is not None
    assert (report.first_difference.step, report.first_difference.kind) == (0, "frame")
    assert report.success is True
    stopped = flow.replay(other)
    assert (stopped.stop_reason, stopped.steps) == (StopReason.DOUBT, 0)
    assert "Step 1, click on 'Save': the screen is not as recorded, " in stopped.doubt


@pytest.mark.parametrize("check", [Success("text", "welcome"), Success("url", "*#in"), Success("selector", "#in")])
def test_a_password_of_an_old_recording_is_typed_and_never_written(
    flow: Flow, check: Success, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "if (this.value == 'hunter2') { p.textContent = 'welcome'; location.hash = 'in'; p.id = 'in' }"
    page = f'<input autofocus type=password oninput="{told}"><p id=p>here</p>'
    flow.page.write_text(STYLE + page)
    flow.record(page, Type("hunter2"), success=check)
    steps = flow.path / "steps.jsonl"
    steps.write_text(steps.read_text().replace("hunter2", SECRET))  # as recorders of 2026 wrote it
    with pytest.raises(ConfigError, match="step 1: types a secret"):
        flow.replay(page)
    monkeypatch.setenv(VARIABLE, "hunter2")
    report = flow.replay(page)
    assert report.success is True
    written = b"".join(file.read_bytes() for file in Path(report.episode.path).iterdir())
    assert b"hunter2" not in written
    assert not flow.replay(page.replace("type=password", "")).success, "typed into a field that is not secret"
    KNOWN.clear()
    monkeypatch.setenv(VARIABLE, "wrong")
    assert flow.replay(page).success is False


def test_elements_are_told_with_their_boxes(flow: Flow) -> None:
    inner = (
        "<body style='margin:0'><button style='position:absolute;left:10px;top:10px;width:40px;height:20px'>in</button>"
    )
    (flow.folder / "inner.html").write_text(inner)
    flow.page.write_text(
        STYLE + SAVE + "<button style='display:none'>hidden</button><input aria-label='Your name'>"
        "<iframe src=inner.html style='position:absolute;left:200px;top:100px;border:0'></iframe>"
    )
    flow.browser.reset(flow.task("x"), 1)
    found = {element.name: element.box for element in flow.browser.elements()}
    assert found["Save"] == pytest.approx((40 / WIDTH, 60 / HEIGHT, 140 / WIDTH, 96 / HEIGHT))
    assert found["in"] == pytest.approx((210 / WIDTH, 110 / HEIGHT, 250 / WIDTH, 130 / HEIGHT))
    assert "Your name" in found and "hidden" not in found


LATE = """<button style='position:absolute;left:20px;top:10px;width:80px;height:30px'
 onclick="setTimeout(() => save.hidden = false, {ms})">Load</button>
<button id=save hidden style='position:absolute;left:40px;top:160px;width:100px;height:36px'
 onclick="this.textContent='Saved'">Save</button>"""


@pytest.mark.parametrize("mode", ["coordinates", "template"])
def test_a_recorded_wait_is_as_long_as_the_page_takes(flow: Flow, mode: Mode) -> None:
    flow.record(LATE.format(ms=800), at(60, 25), Wait(2.0), at(90, 178))
    quick = flow.replay(LATE.format(ms=100), mode)
    assert quick.success and quick.episode.steps[1].timings["execute"] < 1500, quick.first_difference
    slow = flow.replay(LATE.format(ms=3500), mode)
    assert slow.success and slow.episode.steps[1].timings["execute"] > 2000, slow.first_difference
    flow.page.write_text(STYLE + LATE.format(ms=10**6), "utf-8")
    never = replay_episode(flow.path, flow.browser, flow.task("Saved"), mode=mode, longer=0.5)
    assert never.stop_reason is StopReason.DOUBT and "did not appear" in str(never.first_difference)
