"""The stop chord on a real X screen; the person is xdotool, which presses keys through the server as a hand does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.environments.desktop.conftest import Program
from tests.xscreen import Screen, until

from showonce.actions import Action, Click, Drag, Key, Type, Wait
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.desktop.watcher import Watcher
from showonce.environments.desktop.xdisplay import connect
from showonce.errors import BadInput, EnvironmentBroken, Stopped, Unavailable
from showonce.protocols import Context
from showonce.runtime.loop import run_episode
from showonce.runtime.stop import Stop
from showonce.types import Observation, Proposal, StopReason, Success, Task

TASK = Task("desktop/test", "do it", "desktop", success=Success("none"))
Desk = Callable[..., Desktop]


@pytest.fixture
def person(screen: Screen) -> Iterator[Any]:
    """A connection of its own: what is held down, as the server knows it, and a key pressed without xdotool's delay."""
    display = connect(screen.name, "XTEST")
    yield display
    display.close()


def held(person: Any) -> tuple[bool, int]:
    """Return whether a key is down, and the buttons and modifiers that are."""
    keys = any(person.query_keymap())
    return keys, int(person.screen().root.query_pointer().mask) & ~0x6010  # without Num_Lock and the layout group


def press(person: Any, keysym: int = 0xFF1B) -> None:
    code = person.keysym_to_keycode(keysym)
    person.xtest_fake_input(2, code)
    person.xtest_fake_input(3, code)
    person.sync()


def press_during(desktop: Desktop, action: Action, stop: Stop, begun: Callable[[], object], person: Any) -> None:
    """Execute an action in a thread, press the chord once it has `begun`, and expect it to be broken off."""
    ended: list[BaseException | None] = []

    def act() -> None:
        try:
            desktop.execute(action, stop)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    until(begun, what="the action")
    press(person)
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(ended[0], Stopped), ended
    assert "escape was pressed" in str(ended[0])


def test_a_drag_is_broken_off_and_the_button_released(
    desk: Desk, program: Program, person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("showonce.environments.desktop.hands.DRAG_PAUSE", 0.1)
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    press_during(desktop, Drag(0.2, 0.4, 0.4, 0.6), stop, lambda: program.events("drag"), person)
    until(lambda: program.events("release"))
    last = program.events("press", "drag", "release")[-1]
    assert last["kind"] == "release" and last["x"] < 0.4 * 1280 - 10, "the drag went on to its end"
    assert held(person) == (False, 0)


def test_a_long_text_is_broken_off_and_no_key_stays_down(desk: Desk, program: Program, person: Any) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    press_during(desktop, Type("AbCdEfGhIj" * 200), stop, lambda: len(program.text) > 5, person)
    typed = len(program.text)
    assert held(person) == (False, 0)
    time.sleep(0.1)  # nothing may come any more: there is no condition to wait for
    assert typed <= len(program.text) < 2000
    assert stop.pressed and "escape" in stop.reason


def test_the_stop_holds_until_a_person_rearms_it(desk: Desk, program: Program, person: Any) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    desktop.execute(Click(0.3, 0.4), stop)
    press(person)
    until(lambda: stop.pressed)
    told = len(program.events("press"))
    for again in (stop, Stop()):  # whoever comes with a fresh latch is stopped as well
        with pytest.raises(Stopped):
            desktop.execute(Click(0.3, 0.4), again)
    with pytest.raises(Stopped):
        desktop.reset(TASK)
    assert len(program.events("press")) == told
    stop.rearm()
    desktop.reset(TASK)
    desktop.execute(Click(0.3, 0.4), stop)
    until(lambda: len(program.events("press")) == told + 1)


def test_a_press_before_the_first_action_is_not_lost(desk: Desk, program: Program, person: Any) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    press(person)
    until(lambda: desktop.watcher.reason)
    with pytest.raises(Stopped):
        desktop.execute(Click(0.3, 0.4), stop)
    assert stop.pressed and not program.events("press")


def test_any_modifier_may_be_held_with_the_chord(desk: Desk, screen: Screen) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    stop.watch(desktop.watcher)
    screen.xdotool("key", "ctrl+shift+Escape")
    until(lambda: stop.pressed)


def test_a_chord_of_ones_own(desk: Desk, screen: Screen) -> None:
    desktop, stop = desk(stop_chord="ctrl+alt+q"), Stop()
    desktop.reset(TASK)
    stop.watch(desktop.watcher)
    screen.xdotool("key", "Escape", "key", "ctrl+q", "key", "alt+q")
    desktop.execute(Wait(0.05), stop)
    screen.xdotool("key", "ctrl+alt+q")
    until(lambda: stop.pressed)
    assert stop.reason == "ctrl+alt+q was pressed"


def test_a_listener_that_is_killed_stops_the_agent_until_it_can_listen_again(
    desk: Desk, program: Program, person: Any
) -> None:
    from Xlib.protocol import request

    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    desktop.execute(Click(0.3, 0.4), stop)
    listener = desktop.watcher._listener
    request.KillClient(display=person.display, resource=listener.resource)  # type: ignore[union-attr]
    person.sync()
    until(lambda: stop.pressed)
    assert "listener for the stop chord died" in stop.reason
    with pytest.raises(Stopped):
        desktop.execute(Click(0.3, 0.4), stop)
    assert len(program.events("press")) == 1
    stop.rearm()
    desktop.execute(Click(0.3, 0.4), stop)
    press(person)
    until(lambda: stop.pressed)


def test_a_listener_that_has_gone_deaf_stops_the_agent(
    desk: Desk, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("showonce.environments.desktop.watcher.DEAF_SECONDS", 0.1)
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    desktop.execute(Click(0.3, 0.4), stop)
    listener = desktop.watcher._listener
    listener._control.record_unregister_clients(listener._context, [3])  # type: ignore[union-attr]  # 3: all
    listener._control.sync()  # type: ignore[union-attr]  # it lives, and nothing comes any more
    with pytest.raises(Stopped, match="does not hear"):
        desktop.execute(Click(0.3, 0.4), stop)
    assert stop.pressed


def test_no_listener_no_agent(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise EnvironmentBroken("no listener")

    desktop = Desktop(DesktopSettings(display=screen.name))
    desktop.watcher._make = refused
    with pytest.raises(EnvironmentBroken):
        desktop.reset(TASK)
    with pytest.raises(EnvironmentBroken):
        desktop.execute(Click(0.5, 0.5), Stop())
    desktop.close()


def test_a_listener_that_cannot_be_begun_anew_keeps_the_stop(desk: Desk) -> None:
    desktop, stop = desk(), Stop()
    desktop.reset(TASK)
    stop.watch(desktop.watcher)
    desktop.watcher._listener.close()  # type: ignore[union-attr]
    with pytest.raises(Stopped, match="not alive"):
        desktop.execute(Wait(0), stop)

    def refused(*_: Any) -> Any:
        raise Unavailable("it may not listen")

    make, desktop.watcher._make = desktop.watcher._make, refused
    for _ in range(2):
        with pytest.raises(Unavailable):
            stop.rearm()
        with pytest.raises(Stopped):
            desktop.execute(Wait(0), Stop())
    desktop.watcher._make = make
    stop.rearm()
    desktop.execute(Wait(0), stop)


def test_our_own_input_never_looks_like_the_chord(desk: Desk, program: Program) -> None:
    desktop, stop = desk(first=0.02), Stop()
    desktop.reset(TASK)
    text = "".join(chr(c) for c in (*range(0x20, 0x7F), 0xE9, 0x20AC, 0x416)) + "\t\n"
    desktop.execute(Type(text), stop)
    for keys in ("ctrl+c", "alt+tab", "meta+l", "f1", "shift+f12", "ctrl+alt+delete", "backspace", "ctrl+["):
        desktop.execute(Key(keys), stop)
    until(lambda: len(program.events("key")) > len(text))
    assert not stop.pressed


def test_a_file_stops_it_from_another_shell_in_the_middle_of_a_text(
    desk: Desk, program: Program, person: Any, tmp_path: Path
) -> None:
    desktop, stop = desk(), Stop(tmp_path / "STOP")
    desktop.reset(TASK)
    threading.Thread(target=lambda: (until(lambda: len(program.text) > 3), (tmp_path / "STOP").touch())).start()
    with pytest.raises(Stopped, match="STOP was found"):
        desktop.execute(Type("AbCdEfGhIj" * 200), stop)
    assert held(person) == (False, 0)
    assert len(program.text) < 2000


def test_an_episode_ends_as_stopped_while_the_model_thinks(desk: Desk, program: Program, person: Any) -> None:
    class Thinker:
        adapter_version = "none"

        def propose(self, observation: Observation, context: Context, sampling: str = "greedy") -> Proposal:
            if context.actions:
                press(person)  # in the midst of the thought, which then goes on to its end
                until(lambda: desktop.watcher.reason)
            return Proposal("click", Click(0.3, 0.4), None)

    desktop, stop = desk(), Stop()
    episode = run_episode(desktop, Thinker(), TASK, stop=stop)
    assert episode.stop_reason is StopReason.STOPPED
    assert [step.executed for step in episode.steps] == [Click(0.3, 0.4), None]
    assert len(program.events("press")) == 1 and stop.pressed


def test_watching_without_a_desktop() -> None:
    with pytest.raises(BadInput, match="unknown key"):
        Watcher("escpe")
    with pytest.raises(BadInput, match="ordinary typing"):
        Watcher("shift+q")
    watcher = Watcher("enter")
    with pytest.raises(BadInput, match=r"U\+000A"):
        watcher.refuse(Type("a\n"))
    with pytest.raises(BadInput, match="a person's alone"):
        watcher.refuse(Key("ctrl+enter"))
    watcher.refuse(Type("a"))
