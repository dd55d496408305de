"""Replay by target in a real browser: found again on a changed page, compared before each act, in doubt elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.browsers import needs_browser

from showonce.actions import Action, Click, Key, Type
from showonce.app.rollback import list_checkpoints, roll_back, run_or_adapter
from showonce.config import OutputConfig
from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.protocols import ApprovalRequest
from showonce.runtime.recorder import HandPolicy, record
from showonce.runtime.replay import Mode, ReplayReport, check_recording, replay_episode
from showonce.types import Demonstration, StopReason, Success, Task

pytestmark = needs_browser
WIDTH, HEIGHT = 480, 360
PAGE = """<!doctype html><meta charset=utf-8><style>
 body{{margin:0;font:14px sans-serif}} main{{position:relative;padding:10px}}
 button,input{{height:30px;margin:4px}} .item{{padding:6px;margin:2px;border:1px solid gray;width:200px}}
 {style}</style><body>{top}
<script>const say = t => {{ done.textContent += t + '. ' }}</script>
<main>{main}</main><p id=done></p>"""
DARK = "body{background:#111;color:#ddd} button,input{background:#333;color:#eee;border-color:#666}"
BANNER = "<div style='height:70px;background:gold'>Maintenance on Sunday</div>"
LIST = """<h1>Customers</h1><div id=box></div><script>
 for (const name of ['Ada Lovelace', 'Grace Hopper', 'Alan Turing']) {
   const e = document.createElement('div'); e.className = 'item'; e.textContent = name;
   e.addEventListener('click', () => say('chose ' + name)); box.append(e); }</script>
 <button onclick="say('went on')">Next</button>"""
FORM = """<h1>New ticket</h1>{}<button id=save onclick="say(a.value + '/' + b.value)">{}</button>"""
SUBJECT = "<label>Subject <input id=a></label><br>"
NOTE = "<label>Note <input id=b></label><br>"
EXPIRED = (
    """<h1>Session expired</h1><div style='height:105px'></div><button onclick="say('signed in')">Sign in</button>"""
)


def table(*names: str) -> str:
    row = "<tr><td>{0}<td><button onclick=\"say('deleted {0}')\">Delete</button>"
    return f"<h1>Customers</h1><table>{''.join(map(row.format, names))}</table>"


class Flow:
    """A page in a file, what was done on it once, and its replay after the page was changed."""

    def __init__(self, browser: BrowserEnvironment, folder: Path) -> None:
        self.browser, self.folder, self.file = browser, folder, folder / "page.html"
        self.again = EpisodeStore(folder / "again")

    def show(self, main: str, style: str = "", top: str = "") -> None:
        self.file.write_text(PAGE.format(main=main, style=style, top=top), "utf-8")

    def task(self) -> Task:
        return Task("user/page", "do it", "browser", start=str(self.file), success=Success("text", self.success))

    def record(self, *steps: Action | tuple[str, str], success: str) -> None:
        """Record actions; a pair (name, near) is a click on what is called so."""
        self.success, rest = success, iter(steps)

        def following(_: object) -> Action | None:
            step = next(rest, None)
            if not isinstance(step, tuple):
                return step
            (one,) = (e for e in self.browser.targets() if e.name == step[0] and (not step[1] or step[1] in e.near))
            return Click(round((one.box[0] + one.box[2]) / 2, 3), round((one.box[1] + one.box[3]) / 2, 3))

        store = EpisodeStore(self.folder / "shown")
        self.path = record(self.browser, self.task(), 1, HandPolicy(following), store, "person")
        self.shown = load_demonstration(self.path)
        assert self.shown.frames[0].targets

    def replay(
        self, mode: Mode = "target", longer: float = 0.5, approver: object = None, shown: Demonstration | None = None
    ) -> ReplayReport:
        return replay_episode(
            self.path, self.browser, self.task(), mode=mode, longer=longer, shown=shown,
            approver=approver,  # type: ignore[arg-type]
        )  # fmt: skip

    def doubt(self, *words: str, mode: Mode = "target", shown: Demonstration | None = None) -> None:
        """Assert that a replay stops in doubt at the first step, saying so, and has done nothing."""
        report = self.replay(mode, shown=shown)
        assert (report.stop_reason, report.steps, report.doubt_step) == (StopReason.DOUBT, 0, 0), report
        assert not report.reached and not [word for word in words if word not in report.doubt], report.doubt
        assert not any(step.executed for step in report.episode.steps)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserEnvironment]:
    environment = BrowserEnvironment(BrowserSettings(width=WIDTH, height=HEIGHT, text=True))
    yield environment
    environment.close()


@pytest.fixture
def flow(browser: BrowserEnvironment, tmp_path: Path) -> Flow:
    return Flow(browser, tmp_path)


@pytest.mark.parametrize(("style", "top"), [("", ""), ("", BANNER), (DARK, BANNER), ("main{padding-left:150px}", "")])
def test_a_plain_block_is_found_under_a_banner_in_another_theme(flow: Flow, style: str, top: str) -> None:
    flow.show(LIST)
    flow.record(("Grace Hopper", ""), ("Next", ""), success="chose Grace Hopper. went on.")
    flow.show(LIST, style, top)
    report = flow.replay()
    assert report.reached and report.steps == 2 and not report.repaired, report


def test_coordinates_stop_at_a_banner_before_the_first_click(flow: Flow) -> None:
    flow.show(LIST)
    flow.record(("Grace Hopper", ""), ("Next", ""), success="went on.")
    flow.show(LIST, "", BANNER)
    flow.doubt("Step 1, click", "the screen is not as recorded", mode="coordinates")


@pytest.mark.parametrize("mode", ["target", "template", "coordinates"])
def test_nothing_is_clicked_on_another_page(flow: Flow, mode: Mode) -> None:
    flow.show(LIST)
    flow.record(("Next", ""), success="went on.")
    flow.show(EXPIRED)
    flow.doubt(mode=mode)
    flow.show("<h1>Error 500</h1>")
    flow.doubt(mode=mode)


def test_sign_in_is_not_clicked_where_next_was_recorded_though_the_picture_agrees(flow: Flow) -> None:
    flow.show("<button style='width:90px' onclick=\"say('went on')\">Next</button>")
    flow.record(("Next", ""), success="went on.")
    flow.show("<button style='width:90px' onclick=\"say('signed in')\" aria-label='Sign in'>Next</button>")
    flow.doubt("Next", "Sign in")
    flow.doubt("'Sign in' stands", mode="template")


def test_the_row_that_is_gone_is_not_replaced_by_the_one_in_its_place(flow: Flow) -> None:
    flow.show(table("Ada", "Grace", "Alan"))
    flow.record(("Delete", "Grace"), success="deleted Grace.")
    flow.show(table("Grace", "Eve", "Ada", "Alan"))
    assert flow.replay().reached
    flow.show(table("Ada", "Alan", "Eve"))
    flow.doubt("Delete", "not beside 'Grace'")


def test_a_renamed_button_is_found_and_told(flow: Flow) -> None:
    flow.show(FORM.format(SUBJECT + NOTE, "Save"))
    flow.record(("Subject", ""), Type("printer"), Key("tab"), Type("soon"), ("Save", ""), success="printer/soon.")
    flow.show(FORM.format(SUBJECT + NOTE, "Store ticket"))
    report = flow.replay()
    assert report.reached
    assert [(one.step, one.changed) for one in report.repaired] == [(4, ("name 'Save' -> 'Store ticket'",))]
    flow.show(FORM.format(SUBJECT + NOTE, "Delete ticket"))
    assert flow.replay().stop_reason is StopReason.DOUBT


def test_a_repaired_target_acts_once_success_was_verified_and_can_be_taken_back(flow: Flow) -> None:
    flow.show(FORM.format(SUBJECT + NOTE, "Save"))
    flow.record(("Save", ""), success="/.")
    before = {file: file.read_bytes() for file in flow.path.rglob("*") if file.is_file()}
    flow.show(FORM.format(SUBJECT + NOTE, "Store ticket"))
    assert replay_episode(flow.path, flow.browser, flow.task(), mode="target", store=flow.again).repaired
    (target,) = check_recording(flow.path, flow.task())[1].frames[0].targets
    assert target.name == "Store ticket"
    assert not replay_episode(flow.path, flow.browser, flow.task(), mode="target", store=flow.again).repaired
    assert {file: file.read_bytes() for file in flow.path.rglob("*") if file.is_file()} == before
    folder = run_or_adapter(str(flow.path), OutputConfig())
    assert [(one.version, one.champion) for one in list_checkpoints(folder).versions] == [
        ("v0000", False),
        ("v0001", True),
    ]
    roll_back(folder, "v0000")
    assert check_recording(flow.path, flow.task())[1].frames[0].targets[0].name == "Save"
    assert replay_episode(flow.path, flow.browser, flow.task(), mode="target", store=flow.again).repaired
    assert check_recording(flow.path, flow.task())[1].frames[0].targets[0].name == "Save"  # a person went back


def test_text_goes_to_the_recorded_field_where_tab_leads_elsewhere(flow: Flow) -> None:
    flow.show(FORM.format(SUBJECT + NOTE, "Save"))
    flow.record(("Subject", ""), Type("printer"), Key("tab"), Type("soon"), ("Save", ""), success="printer/soon.")
    flow.show(FORM.format(NOTE + SUBJECT, "Save"))
    report = flow.replay()
    assert report.reached and report.steps == 5 and len(report.episode.steps) == 6, report
    flow.show(FORM.format(SUBJECT + "<input type=hidden id=b>", "Save"))
    gone = flow.replay()
    assert (gone.stop_reason, gone.doubt_step) == (StopReason.DOUBT, 3) and "it would go to" in gone.doubt


def test_what_is_late_is_waited_for_and_what_is_far_down_is_scrolled_to(flow: Flow) -> None:
    flow.show(LIST)
    flow.record(("Next", ""), success="went on.")
    hidden = LIST + "<script>document.querySelector('button').hidden = true;"
    flow.show(hidden + "setTimeout(() => { document.querySelector('button').hidden = false }, 1500)</script>")
    assert flow.replay(longer=5.0).reached
    flow.show("<div style='height:1500px'></div>" + LIST)
    assert flow.replay().reached


def test_what_lies_under_something_else_is_not_clicked(flow: Flow) -> None:
    flow.show(LIST)
    flow.record(("Next", ""), success="went on.")
    cover = (
        "<div style='position:fixed;inset:0;z-index:9;background:white' onclick=\"say('covered')\">Accept cookies</div>"
    )
    flow.show(LIST + cover)
    flow.doubt("lies over it")


def test_another_record_than_the_bound_one_is_not_touched(flow: Flow) -> None:
    flow.show(FORM.replace("New ticket", "Ticket for Grace").format(SUBJECT + NOTE, "Save"))
    flow.record(("Save", ""), success="/.")
    frame = flow.shown.frames[0]
    (target,) = frame.targets
    assert "Ticket for Grace" in target.near
    near = tuple(text.replace("Grace", "Alan") for text in target.near)
    other = replace(frame, targets=(replace(target, near=near, bound=("Alan",)),))
    bound = replace(flow.shown, frames=(other, *flow.shown.frames[1:]))
    flow.doubt("'Alan' stands nowhere at it", shown=bound)
    flow.show(FORM.replace("New ticket", "Ticket for Alan").format(SUBJECT + NOTE, "Save"))
    assert flow.replay(shown=bound).reached


def test_an_entry_is_not_the_list_that_shows_its_choice(flow: Flow) -> None:
    flow.show("""<p>Priority</p><div class=item onclick="c.hidden = !c.hidden">Normal</div><div id=c hidden>
    <div class=item onclick="say('chose Normal')">Normal</div><div class=item onclick="say('chose High')">High</div>
    </div>""")
    flow.record(("Normal", ""), ("High", ""), success="chose High.")
    first, second = flow.shown.frames[:2]
    normal = replace(second.targets[0], name="Normal", bound=("Normal",))
    shown = replace(flow.shown, frames=(first, replace(second, targets=(normal,)), *flow.shown.frames[2:]))
    flow.success = "chose Normal."
    assert flow.replay(shown=shown).reached


def test_a_renamed_button_that_alone_sends_its_form_is_found(flow: Flow) -> None:
    page = """<form action="/tickets" onsubmit="say('sent'); return false"><h1>New ticket</h1>
    <button type=button>Cancel</button><button>{}</button>{}</form>"""
    flow.show(page.format("Create ticket", ""))
    flow.record(("Create ticket", ""), success="sent")
    flow.show(page.format("Save ticket", ""), top=BANNER)
    assert flow.replay().reached
    flow.show(page.format("Save ticket", "<button>Discard</button>"))
    flow.doubt("'Save ticket'")
    flow.show(page.format("Save ticket", "").replace("/tickets", "/other"))
    flow.doubt("'Save ticket'")


def test_a_person_may_say_where_it_goes(flow: Flow) -> None:
    flow.show(LIST)
    flow.record(("Next", ""), success="went on.")
    flow.show(LIST.replace(">Next<", ">Onwards<"))
    flow.browser.reset(flow.task(), 1)
    (there,) = (one for one in flow.browser.targets() if one.name == "Onwards")
    asked = []

    class Helper:
        def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
            asked.append(request.reason)
            return Click((there.box[0] + there.box[2]) / 2, (there.box[1] + there.box[3]) / 2), "shown"

    assert flow.replay(approver=Helper()).reached
    assert len(asked) == 1 and "button 'Next'" in asked[0]


def test_an_unnamed_picture_is_found_by_what_it_looks_like(flow: Flow) -> None:
    canvas = """<canvas id=c width=300 height=200></canvas><script>
     const g = c.getContext('2d'); g.fillStyle = 'red'; g.fillRect(@, 60, 30, 30);
     g.fillStyle = 'blue'; g.fillRect(@ + 10, 70, 12, 5);
     c.addEventListener('click', e => say(Math.abs(e.offsetX - @ - 15) < 4 ? 'hit' : 'missed'))</script>"""
    flow.show(canvas.replace("@", "40"))
    flow.record(Click((10 + 55) / WIDTH, (10 + 75) / HEIGHT), success="hit.")
    assert flow.replay().reached
    flow.show(canvas.replace("@", "140"))
    assert flow.replay().reached
    flow.show(canvas.replace("fillRect(@ + 10", "fillRect(@ - 40").replace("'red'", "'green'").replace("@", "140"))
    assert flow.replay().stop_reason is StopReason.DOUBT
