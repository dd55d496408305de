"""The desktop environment on a real X screen with real programs; the person is xdotool."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from tests.environments.desktop.conftest import Program
from tests.xscreen import Screen, until, x_screen

from showonce.actions import (
    Click,
    Done,
    DoubleClick,
    Drag,
    Key,
    Move,
    Open,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
    from_pixel,
)
from showonce.environments.contract import EnvironmentContract, Presses
from showonce.environments.desktop import keyboard_x11
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.desktop.windows_x11 import X11Windows
from showonce.environments.desktop.xdisplay import connect
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task
from showonce.errors import BadInput, ConfigError, EnvironmentBroken, Stopped, Unavailable
from showonce.protocols import Context
from showonce.runtime.loop import run_episode
from showonce.runtime.stop import Stop
from showonce.runtime.tasks import load_task
from showonce.types import Observation, Proposal, StopReason, Task

TASK = Task("desktop/test", "do it", "desktop")
Desk = Callable[..., Desktop]
GREY = (128, 128, 128)


def at(x: int, y: int, width: int = 1280, height: int = 720) -> tuple[float, float]:
    """Return a pixel's place as an action has it."""
    return from_pixel(x, width), from_pixel(y, height)


class TestContract(EnvironmentContract):
    """On a screen that one program fills, so that no verb meets the window manager's menus."""

    display: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _screen(cls, display: Screen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        cls.display = display.name
        program = Program(display, tmp_path_factory.mktemp("contract") / "told.jsonl", "whole", "1280x700+0+0")
        yield
        program.process.kill()
        program.process.wait()

    def make(self) -> Desktop:
        return Desktop(DesktopSettings(display=self.display, first=0.02, verifier="echo not yet; false"))

    def task(self) -> Task:
        return TASK


def test_pointer_verbs_reach_the_pixel_that_was_meant(desk: Desk, program: Program) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    executed = desktop.execute(Click(*at(350, 301)), stop)
    assert executed.pixels == ((350, 301),) and "settled" in executed.detail
    desktop.execute(RightClick(*at(351, 330)), stop)
    desktop.execute(DoubleClick(*at(400, 301)), stop)
    desktop.execute(Drag(*at(300, 350), *at(421, 407)), stop)
    desktop.execute(Scroll(*at(310, 340), 2, -1), stop)
    desktop.execute(Move(*at(311, 341)), stop)
    until(lambda: len(program.events("press")) == 7)
    pressed = [(e["x"], e["y"], e["button"]) for e in program.events("press")]
    assert pressed[:4] == [(350, 301, 1), (351, 330, 3), (400, 301, 1), (300, 350, 1)]
    assert pressed[4:6] == [(310, 340, 5)] * 2  # the wheel; Tk calls the one to the left 4 or 6
    assert len(program.events("double")) == 1
    dragged = program.events("drag")
    assert len(dragged) >= 5 and (dragged[-1]["x"], dragged[-1]["y"]) == (421, 407)
    assert pressed[6][2] in (4, 6)


def test_modifiers_are_held_through_the_gesture_and_let_go(desk: Desk, program: Program, screen: Screen) -> None:
    """As keys that the program sees, too; In Tk's state shift is 1, control 4, alt 8."""
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    desktop.execute(TripleClick(*at(400, 301)), stop)
    desktop.execute(Click(*at(350, 301), "ctrl+shift"), stop)
    desktop.execute(Scroll(*at(310, 340), 2, 0, "shift"), stop)
    desktop.execute(Drag(*at(300, 350), *at(421, 407), "ctrl"), stop)
    desktop.execute(RightClick(*at(351, 330)), stop)
    until(lambda: any(e["button"] == 3 for e in program.events("release")))
    told = [(e["kind"], e["state"] & 13) for e in program.events("press", "double", "triple", "release")]
    assert told[:6] == [("press", 0), ("release", 0), ("double", 0), ("release", 0), ("triple", 0), ("release", 0)]
    assert [held for kind, held in told[6:] if kind == "press"] == [5, 1, 1, 4, 0]
    assert told[7] == ("release", 5) and told[-3] == ("release", 4) and told[-1] == ("release", 0)
    assert [e["key"] for e in program.events("key")] == ["Control_L", "Shift_L", "Shift_L", "Control_L"]
    presses = Presses(after=4)  # stopped while shift is down
    with pytest.raises(Stopped):
        desktop.execute(Drag(*at(300, 350), *at(421, 407), "shift"), presses)
    assert desktop._hands is not None and desktop._hands.held() == ()


def test_text_is_exact_and_the_keyboard_is_as_it_was(desk: Desk, program: Program, screen: Screen) -> None:
    display = connect(screen.name)
    before = [list(row) for row in display.get_keyboard_mapping(8, 248)]
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    text = 'Az1!é€ñ你 "x"/@ß→ЖλÉ^~`'
    desktop.execute(Type(text), stop)
    until(lambda: program.text == text, what=f"{program.text!r} == {text!r}")
    desktop.close()
    assert [list(row) for row in display.get_keyboard_mapping(8, 248)] == before
    display.close()


def test_text_does_not_depend_on_caps_lock(desk: Desk, program: Program, screen: Screen) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    screen.xdotool("key", "Caps_Lock")
    try:
        desktop.execute(Type("aB é É 1! 你"), stop)
        until(lambda: len(program.text) == 11)
        assert program.text == "aB é É 1! 你"
    finally:
        screen.xdotool("key", "Caps_Lock")


def test_chords_and_named_keys(desk: Desk, program: Program) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    for keys in ("a", "shift+a", "+", "ctrl+shift+s", "backspace", "alt+enter", "f5"):
        desktop.execute(Key(keys), stop)
    names = [e["key"] for e in program.events("key") if not e["key"].endswith("_L")]
    assert names == ["a", "A", "plus", "S", "BackSpace", "Return", "F5"]
    assert program.text == "aA"


def test_xterm_gets_what_was_typed(desk: Desk, screen: Screen, tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    desktop, stop = desk(window="terminal"), Stop()
    desktop.reset(Task("desktop/xterm", "write", "desktop", start="xterm -u8 -T terminal -e sh"))
    desktop.execute(Type(f"printf '%s' 'aÉ €\"~' > {file}\n"), stop)
    until(file.exists)
    until(lambda: file.read_text("utf-8") == 'aÉ €"~')


def test_what_cannot_be_done_is_refused_before_anything_is_done(desk: Desk, program: Program) -> None:
    desktop = desk()
    desktop.reset(TASK)
    for action, said in (
        (Key("escape"), "stop chord"),
        (Key("ctrl+escape"), "stop chord"),
        (Type("a\x1bb"), "U\\+001B"),
        (Type("a\x07b\x00"), "U\\+0007, U\\+0000"),
        (Open("no-such-thing"), "no-such-thing.*PATH"),
        (Open(""), "needs the name"),
    ):
        with pytest.raises(BadInput, match=said):
            desktop.execute(action, Stop())
    assert not program.events("key", "press")


def test_another_chord_frees_escape(desk: Desk, program: Program) -> None:
    desktop = desk(stop_chord="ctrl+alt+q")
    desktop.reset(TASK)
    desktop.execute(Key("escape"), Stop())
    desktop.execute(Key("ctrl+q"), Stop())
    for keys in ("alt+ctrl+q", "ctrl+alt+shift+q"):
        with pytest.raises(BadInput, match="stop chord"):
            desktop.execute(Key(keys), Stop())
    assert [e["key"] for e in program.events("key") if not e["key"].endswith("_L")] == ["Escape", "q"]


@pytest.mark.parametrize("chord", ["a", "shift+a", "!"])
def test_a_chord_that_typing_would_press_is_no_stop_chord(chord: str) -> None:
    with pytest.raises(BadInput, match="ordinary typing"):
        Desktop(DesktopSettings(stop_chord=chord))


def test_a_modifier_that_a_person_holds_is_waited_for_and_then_named(
    desk: Desk, program: Program, screen: Screen
) -> None:
    desktop = desk()
    desktop.reset(TASK)
    screen.xdotool("keydown", "Control_L")
    try:
        with pytest.raises(BadInput, match="ctrl is held down"):
            desktop.execute(Type("q"), Stop())
    finally:
        screen.xdotool("keyup", "Control_L")
    assert not [e for e in program.events("key") if e["key"] == "q"]


def test_open_starts_a_program_and_says_what_came_of_it(desk: Desk, screen: Screen, tmp_path: Path) -> None:
    desktop = desk(open_seconds=5)
    desktop.reset(TASK)
    executed = desktop.execute(Open("xterm"), Stop())
    assert executed.detail.startswith("xterm shows a window")
    script = tmp_path / "broken"
    script.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    script.chmod(0o755)
    folder = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{folder}"
    try:
        with pytest.raises(BadInput, match="broken ended with 3: no luck"):
            desktop.execute(Open("broken"), Stop())
    finally:
        os.environ["PATH"] = folder
    desktop.close()
    until(lambda: not screen.find("xterm") and not screen.find(".*xterm.*"))


def test_a_window_is_followed_and_its_end_breaks_the_episode(desk: Desk, program: Program, screen: Screen) -> None:
    desktop, stop = desk(window="panel"), Stop()
    first = desktop.reset(TASK)
    assert (first.width, first.height) == (600, 400)
    screen.xdotool("search", "--name", "^panel$", "windowmove", "--sync", "333", "222")
    windows = X11Windows(screen.name)
    place = windows.place(windows.find("panel")[0])
    windows.close()
    assert place is not None and place[:2] != (100, 100)
    executed = desktop.execute(Click(*at(200, 201, 600, 400)), stop)
    assert executed.pixels == ((200, 201),)
    pressed = program.events("press")[-1]
    assert (pressed["x"], pressed["y"]) == (place[0] + 200, place[1] + 201)
    screen.xdotool("search", "--name", "^panel$", "windowclose")
    until(lambda: program.process.poll() is not None)
    with pytest.raises(EnvironmentBroken, match="'panel' was closed"):
        desktop.observe()
    with pytest.raises(EnvironmentBroken, match="'panel' was closed"):
        desktop.execute(Click(0.5, 0.5), stop)


def test_a_window_that_was_resized_is_looked_at_again_first(desk: Desk, program: Program, screen: Screen) -> None:
    desktop, stop = desk(window="panel"), Stop()
    desktop.reset(TASK)
    screen.xdotool("search", "--name", "^panel$", "windowsize", "--sync", "500", "300")
    with pytest.raises(BadInput, match="500x300 now, the frame was 600x400"):
        desktop.execute(Click(0.5, 0.5), stop)
    screen_now = desktop.observe()
    assert (screen_now.width, screen_now.height) == (500, 300)
    desktop.execute(Click(0.5, 0.5), stop)
    assert len(program.events("press")) == 1


def test_a_window_over_the_edge_has_a_whole_frame_and_its_hidden_part_is_refused(
    desk: Desk, program: Program, screen: Screen
) -> None:
    desktop, stop = desk(window="panel"), Stop()
    desktop.reset(TASK)
    screen.xdotool("search", "--name", "^panel$", "windowmove", "--sync", "1000", "200")
    seen = desktop.observe()
    assert (seen.width, seen.height) == (600, 400)
    assert not seen.image[:, 400:].any() and seen.image[300, 100].tolist() == [255, 255, 255]
    with pytest.raises(BadInput, match="outside of the screen"):
        desktop.execute(Click(0.9, 0.5), stop)


def test_a_region_is_cut_out_and_coordinates_are_its_own(desk: Desk, program: Program) -> None:
    whole = desk()
    everything = whole.reset(TASK)
    desktop = desk(region=[200, 150, 112, 113])
    first = desktop.reset(TASK)
    assert np.array_equal(first.image, everything.image[150:263, 200:312])
    desktop.execute(Click(*at(50, 60, 112, 113)), Stop())
    assert [(e["x"], e["y"]) for e in program.events("press")] == [(250, 210)]


def test_our_own_windows_are_not_seen_and_not_touched(desk: Desk, program: Program, screen: Screen) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    desktop.exclude((300, 200, 50, 40), int(screen.find("panel")))
    image = desktop.observe().image
    assert image[220, 320].tolist() == [*GREY] and image[400, 600].tolist() == [*GREY]
    for x, y in ((320, 220), (600, 400)):
        with pytest.raises(BadInput, match="showonce's own"):
            desktop.execute(Click(*at(x, y)), stop)
    desktop.exclude()
    assert desktop.observe().image[400, 600].tolist() == [255, 255, 255]


def test_windows_of_this_very_process_are_left_out_unasked(desk: Desk, screen: Screen) -> None:
    tkinter = pytest.importorskip("tkinter")
    desktop = desk()
    desktop.reset(TASK)
    root = tkinter.Tk(screenName=screen.name)
    try:
        root.geometry("200x100+500+400")
        root.configure(background="#ff0000")
        over = tkinter.Toplevel(root, background="#ff0000")  # as a pop-up: the window manager does not know of it
        over.overrideredirect(True)
        over.geometry("100x50+100+100")
        root.update()

        def grey() -> bool:  # both are there, and neither is seen
            root.update()
            image = desktop.observe().image
            places = image[450, 600].tolist() == image[120, 150].tolist() == [*GREY]
            return places and not (image == (255, 0, 0)).all(axis=2).any()

        until(grey)
    finally:
        root.destroy()


def test_the_verifier_decides(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "done"
    desktop = desk(verifier=f'test -f {file} && echo "seed $SHOWONCE_SEED"')
    assert desktop.capabilities.verifiable
    desktop.reset(TASK, 7)
    assert desktop.verify().success is None
    file.touch()
    outcome = desktop.verify()
    assert outcome.success is True and outcome.evidence == "seed 7" and outcome.checker == "world"
    broken = desk(verifier="no-such-command-here")
    broken.reset(TASK)
    with pytest.raises(EnvironmentBroken, match="cannot be run"):
        broken.verify()
    assert not desk().capabilities.verifiable


def test_a_reset_starts_the_program_afresh_and_tells_it_the_seed(desk: Desk, screen: Screen, tmp_path: Path) -> None:
    file = tmp_path / "seeds"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $SHOWONCE_SEED >> {file}\nexec xterm -T mine\n")
    program.chmod(0o755)
    task = Task("desktop/seeded", "look", "desktop", start=f"sh {program}")
    desktop = desk(window="mine")
    desktop.reset(task, 3)
    desktop.reset(task, 4)
    assert file.read_text().split() == ["3", "4"]
    assert screen.xdotool("search", "--onlyvisible", "--name", "^mine$").count("\n") == 0
    desktop.reset(Task("desktop/seeded", "look", "desktop", start=f"sh {program}", reset="none"), 5)
    assert file.read_text().split() == ["3", "4"]
    desktop.close()
    until(lambda: not screen.find("mine"))


def test_a_start_that_shows_nothing_or_fails_breaks_the_episode(desk: Desk) -> None:
    desktop = desk(window="mine", open_seconds=0.3)
    with pytest.raises(EnvironmentBroken, match=r"start='sleep 60'.*no window within 0.3 s"):
        desktop.reset(Task("desktop/x", "look", "desktop", start="sleep 60"))
    with pytest.raises(EnvironmentBroken, match="false ended with 1"):
        desktop.reset(Task("desktop/x", "look", "desktop", start="false"))
    with pytest.raises(BadInput, match="no-such-program"):
        desktop.reset(Task("desktop/x", "look", "desktop", start="no-such-program"))


def test_a_place_that_is_not_there_is_named_with_those_that_are(desk: Desk, program: Program) -> None:
    for settings, said in (
        ({"monitor": 7}, "monitor=7: there are 1: 1280x720 at 0,0"),
        ({"region": [1200, 0, 100, 100]}, "reaches out of the screen"),
        ({"region": [0, 0, 100]}, "four whole numbers"),
        ({"window": "panle"}, r"no window is called 'panle'\. Did you mean 'panel'"),
    ):
        with pytest.raises(BadInput, match=said):
            desk(**settings).reset(TASK)


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError, match="not both"):
        Desktop(DesktopSettings(window="a", region=[0, 0, 1, 1]))
    with pytest.raises(ConfigError, match="cap"):
        Desktop(DesktopSettings(cap=0))


def test_no_display_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    with pytest.raises(Unavailable, match="xvfb"):
        Desktop().reset(TASK)
    with pytest.raises(Unavailable, match=":987"):
        Desktop(DesktopSettings(display=":987")).reset(TASK)


def test_a_missing_package_is_named(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    desktop = Desktop(DesktopSettings(display=screen.name))
    with pytest.raises(Unavailable, match=r"showonce\[desktop\]"):
        desktop.reset(TASK)
    desktop.close()


def test_a_screen_that_changes_its_size_ends_the_episode_and_the_next_has_the_new_one() -> None:
    with x_screen("800x600", manager=False) as screen:
        desktop = Desktop(DesktopSettings(display=screen.name, first=0.02))
        first = desktop.reset(TASK)
        assert (first.width, first.height) == (800, 600)
        if not _resize(screen, 640, 480):
            desktop.close()
            pytest.skip("this X server does not change its size")
        with pytest.raises(EnvironmentBroken, match="800x600 to 640x480"):
            desktop.observe()
        again = desktop.reset(TASK)
        assert (again.width, again.height) == (640, 480)
        desktop.close()


def test_a_display_that_ends_breaks_the_episode_and_stops_the_agent() -> None:
    with x_screen("640x480", manager=False) as screen:
        desktop, stop = Desktop(DesktopSettings(display=screen.name, first=0.02)), Stop()
        desktop.reset(TASK)
        desktop.execute(Move(0.5, 0.5), stop)
    until(lambda: stop.pressed)
    assert "died" in stop.reason
    with pytest.raises(EnvironmentBroken):
        desktop.observe()
    desktop.close()


def test_a_reset_opens_connections_anew_that_were_cut(desk: Desk) -> None:
    desktop = desk()
    desktop.reset(TASK)
    for part in (desktop._hands, desktop._windows):
        part._display.display.socket.shutdown(2)  # type: ignore[union-attr]
    with pytest.raises(EnvironmentBroken):
        desktop.execute(Click(0.5, 0.5), Stop())
    assert desktop.reset(TASK).width == 1280


def test_without_a_window_manager_it_works_as_well(tmp_path: Path) -> None:
    with x_screen("800x600", manager=False) as screen:
        program = Program(screen, tmp_path / "told", "bare", "300x200+10+10", activate=False)
        desktop, stop = Desktop(DesktopSettings(display=screen.name, window="bare")), Stop()
        desktop.reset(TASK)
        desktop.execute(Click(0.5, 0.05), stop)
        desktop.execute(Type("ok"), stop)
        until(lambda: program.text == "ok")
        desktop.close()


def test_waiting_is_broken_off_by_the_stop(desk: Desk) -> None:
    from showonce.errors import Stopped

    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    threading.Timer(0.1, stop.press).start()
    with pytest.raises(Stopped):
        desktop.execute(Wait(30), stop)
    stop.rearm()
    assert desktop.execute(Done(), stop).action == Done()


def test_several_monitors_are_one_screen_or_each_its_own() -> None:
    with x_screen("800x600", manager=False) as screen:
        _monitors(screen)
        sizes: dict[int, Observation] = {}
        for monitor in (0, 2):
            desktop = Desktop(DesktopSettings(display=screen.name, monitor=monitor, first=0.02))
            try:
                sizes[monitor] = desktop.reset(TASK)
                if monitor == 2:
                    desktop.execute(Move(*at(10, 20, 400, 600)), Stop())
                    assert screen.xdotool("getmouselocation").startswith("x:410 y:20")
            finally:
                desktop.close()
        assert (sizes[0].width, sizes[2].width) == (800, 400)


def _resize(screen: Screen, width: int, height: int) -> bool:
    """Change the size of the screen as xrandr does."""
    display = connect(screen.name)
    root = display.screen().root
    try:
        resources = root.xrandr_get_screen_resources()
        for crtc in resources.crtcs:
            display.xrandr_set_crtc_config(crtc, resources.config_timestamp, 0, 0, 0, 1, [])
        root.xrandr_set_screen_size(width, height, 160, 120)
        display.sync()
        geometry = root.get_geometry()
        return (geometry.width, geometry.height) == (width, height)
    except Exception:
        return False
    finally:
        display.close()


def _monitors(screen: Screen) -> None:
    """Split the screen in two, as `xrandr --setmonitor` does."""
    from Xlib.protocol import rq

    class SetMonitor(rq.Request):  # python-xlib's own cannot be packed
        _request = rq.Struct(
            rq.Card8("opcode"), rq.Opcode(43), rq.RequestLength(), rq.Window("window"), rq.Card32("name"),
            rq.Bool("primary"), rq.Bool("automatic"), rq.LengthOf("outputs", 2), rq.Int16("x"), rq.Int16("y"),
            rq.Card16("width"), rq.Card16("height"), rq.Card32("mm_width"), rq.Card32("mm_height"),
            rq.List("outputs", rq.Card32Obj),
        )  # fmt: skip

    display = connect(screen.name)
    root = display.screen().root
    outputs = root.xrandr_get_screen_resources().outputs
    for number, outs in enumerate((outputs[:1], [])):
        SetMonitor(
            display=display.display, opcode=display.display.get_extension_major("RANDR"), window=root,
            name=display.intern_atom(f"part{number}"), primary=False, automatic=False, x=400 * number, y=0,
            width=400, height=600, mm_width=100, mm_height=100, outputs=outs,
        )  # fmt: skip
    display.sync()
    display.close()


def test_the_shipped_example_is_solved_by_pixels_and_lost_by_a_wrong_click(desk: Desk) -> None:
    class Right:
        """Sees nothing: knows from the world that the program draws where to click."""

        adapter_version = "none"

        def __init__(self, seed: int, off: float) -> None:
            world = EmbeddedWorld()
            world.reset(find_task("app/dev/single/0"), seed)
            right = world.oracle()
            assert isinstance(right, Click)
            self.click = Click(right.x, right.y) if not off else Click(abs(right.x - off), abs(right.y - off))

        def propose(self, observation: Observation, context: Context, sampling: str = "greedy") -> Proposal:
            assert (observation.width, observation.height) == (112, 112)
            return Proposal("click", self.click, None)

    task = load_task(Path(__file__).parents[3] / "configs/tasks/desktop_example.yaml")
    desktop = desk(**task.settings)
    for seed, off in ((3, 0.0), (4, 0.0), (4, 0.5)):
        episode = run_episode(desktop, Right(seed, off), task, seed=seed)
        assert episode.success is not bool(off), episode.outcome
        assert episode.stop_reason is (StopReason.FAILED if off else StopReason.COMPLETED)
        assert len(episode.steps) == 1


def test_more_characters_than_free_keycodes_and_a_layout_that_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program that handles a key only after KEEP_SECONDS loses it; here the machine may be busy.
    monkeypatch.setattr(keyboard_x11, "KEEP_SECONDS", 4.0)
    # Without a window manager: openbox takes its time over every change of the mapping.
    with x_screen("800x600", manager=False) as screen:
        program = Program(screen, tmp_path / "told", "bare", "600x200+10+10", activate=False)
        display = connect(screen.name)
        rows = [list(row) for row in display.get_keyboard_mapping(8, 248)]
        empty = [8 + i for i, row in enumerate(rows) if not any(row)]
        desktop, stop = Desktop(DesktopSettings(display=screen.name, window="bare", first=0.05)), Stop()
        desktop.reset(TASK)
        text = "".join(chr(0x4E00 + i) for i in range(2 * len(empty) + 5)) + "zÉ"
        desktop.execute(Type(text), stop)
        until(lambda: program.text == text, what=f"{program.text} == {text}")
        desktop.close()
        assert [list(row) for row in display.get_keyboard_mapping(8, 248)] == rows
        desktop = Desktop(DesktopSettings(display=screen.name, window="bare", first=0.05))
        desktop.reset(TASK)
        for code in empty:
            display.change_keyboard_mapping(code, [[0xFFCA] * 4])  # F13
        display.sync()
        with pytest.raises(BadInput, match="'你' is on no key"):
            desktop.execute(Type("ab你"), stop)
        desktop.execute(Key("enter"), stop)
        until(lambda: program.events("key")[-1]["key"] == "Return")
        assert not [e for e in program.events("key") if e["key"] in "ab"]
        desktop.close()
        display.close()
