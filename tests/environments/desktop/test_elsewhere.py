"""Windows and macOS against a fake of pynput: what is called, in which order, and what comes of its events."""

from __future__ import annotations

import threading
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from tests.xscreen import until

from showonce.actions import Click, Drag, Key, RightClick, Scroll, Type
from showonce.environments.desktop.elsewhere import Layer, PynputHands, PynputListener, pynput_layer
from showonce.environments.desktop.hands import checked, perform
from showonce.environments.desktop.watcher import Watcher
from showonce.errors import BadInput, Stopped, Unavailable

Named = Enum("Named", "enter tab esc shift ctrl alt cmd f5 page_up caps_lock alt_gr space")
Button = Enum("Button", "left right middle")


class Controller:
    """Writes down what it is told."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.place = (5.6, 7.2)

    @property
    def position(self) -> tuple[float, float]:
        return self.place

    @position.setter
    def position(self, place: tuple[int, int]) -> None:
        self.log.append(("move", *place))

    def press(self, what: Any) -> None:
        self.log.append(("press", getattr(what, "name", what)))

    def release(self, what: Any) -> None:
        self.log.append(("release", getattr(what, "name", what)))

    def scroll(self, dx: int, dy: int) -> None:
        self.log.append(("scroll", dx, dy))


class Ear:
    """A listener as pynput has it: a thread with callbacks."""

    IS_TRUSTED = True

    def __init__(self, **callbacks: Any) -> None:
        self.call = SimpleNamespace(**callbacks)
        self.end = threading.Event()
        self.failure: Exception | None = None

    def start(self) -> None: ...
    def wait(self) -> None: ...
    def stop(self) -> None:
        self.end.set()

    def is_alive(self) -> bool:
        return not self.end.is_set()

    def join(self) -> None:
        self.end.wait()
        if self.failure is not None:
            raise self.failure


class Fake:
    """Both modules of pynput, with the listeners that were made."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.ears: list[Ear] = []

        def ear(**callbacks: Any) -> Ear:
            self.ears.append(Ear(**callbacks))
            return self.ears[-1]

        def controller() -> Controller:
            return Controller(self.log)

        self.layer = Layer(
            SimpleNamespace(Controller=controller, Listener=ear, Button=Button),
            SimpleNamespace(Controller=controller, Listener=ear, Key=Named),
        )


def char(text: str) -> Any:
    return SimpleNamespace(char=text)


@pytest.mark.parametrize(
    ("action", "log"),
    [
        (Click(0, 0), [("move", 10, 20), ("press", "left"), ("release", "left")]),
        (RightClick(0, 0), [("move", 10, 20), ("press", "right"), ("release", "right")]),
        (Scroll(0, 0, 1, -2), [("move", 10, 20), ("scroll", 0, -1), ("scroll", -1, 0), ("scroll", -1, 0)]),
        (Key("ctrl+shift+s"), [*(("press", k) for k in ("ctrl", "shift", "s")),
                               *(("release", k) for k in ("s", "shift", "ctrl"))]),
        (Key("meta+pageup"), [*(("press", k) for k in ("cmd", "page_up")), ("release", "page_up"), ("release", "cmd")]),
        (Key("+"), [("press", "+"), ("release", "+")]),
        (Type("a\r\n你"), [e for k in ("a", "enter", "你") for e in (("press", k), ("release", k))]),
    ],
)  # fmt: skip
def test_verbs_become_calls(action: Any, log: list[Any]) -> None:
    fake = Fake()
    with checked(PynputHands(fake.layer), lambda: None) as hands:
        perform(hands, action, ((10, 20),), lambda seconds: None)
    assert fake.log == log


def test_a_stop_in_the_midst_of_a_drag_or_a_text_leaves_nothing_pressed() -> None:
    for action, at, checks in ((Drag(0, 0, 1, 1), ((0, 0), (90, 90)), 5), (Key("ctrl+alt+a"), (), 3)):
        fake = Fake()
        left = iter(range(checks))

        def check(left: Any = left) -> None:
            if next(left, None) is None:
                raise Stopped("stop")

        with pytest.raises(Stopped), checked(PynputHands(fake.layer), check) as hands:
            perform(hands, action, at, lambda seconds: None)
        pressed = [what for kind, what, *_ in fake.log if kind == "press"]
        released = [what for kind, what, *_ in fake.log if kind == "release"]
        assert pressed and sorted(pressed) == sorted(released)
        assert len([e for e in fake.log if e[0] != "release"]) == checks


def test_what_cannot_be_typed_or_pressed_is_named() -> None:
    hands = PynputHands(Fake().layer)
    with pytest.raises(BadInput, match=r"U\+0007"):
        hands.write("a\x07")
    with pytest.raises(BadInput, match="'insert' does not exist"):
        hands.chord("insert")


def test_events_come_in_the_form_of_the_listener() -> None:
    fake, events = Fake(), list[Any]()
    listener = PynputListener(events.append, lambda reason: None, fake.layer)
    listener.start()
    mouse, keyboard = (ear.call for ear in fake.ears)
    mouse.on_move(30.9, 40.2)
    mouse.on_click(31, 41, Button.right, True)
    mouse.on_click(31, 41, Button.right, False)
    mouse.on_scroll(31, 41, 0, -2)
    keyboard.on_press(Named.ctrl)
    keyboard.on_press(char("\x13"))
    keyboard.on_press(char("\x13"))
    keyboard.on_release(char("\x13"))
    keyboard.on_release(Named.ctrl)
    keyboard.on_press(char("É"))
    keyboard.on_press(Named.enter)
    plain = [{k: v for k, v in e.items() if k not in ("time", "keycode", "keysym")} for e in events]
    here = {"x": 31, "y": 41, "modifiers": ()}
    assert plain[0] == {"kind": "motion", "device": "pointer", "x": 30, "y": 40, "modifiers": ()}
    assert plain[1] == {"kind": "press", "device": "pointer", "button": "right", **here}
    assert plain[3:5] == [{"kind": "wheel", "device": "pointer", "dx": 0, "dy": 1, **here}] * 2
    chord = {"device": "key", "key": "s", "character": "", "x": 31, "y": 41, "modifiers": ("ctrl",)}
    assert plain[6] == {"kind": "press", "repeat": False, **chord}
    assert plain[7]["repeat"] is True and plain[8]["kind"] == "release"
    assert [(e["key"], e["character"], e["modifiers"]) for e in plain[10:]] == [("é", "É", ()), ("enter", "\n", ())]
    assert listener.seen == len(events) and listener.alive
    listener.close()
    assert not listener.alive


@pytest.mark.parametrize(("failure", "said"), [(OSError("gone"), "OSError: gone"), (None, "ended")])
def test_the_end_of_one_of_its_threads_is_a_death(failure: Exception | None, said: str) -> None:
    fake, deaths = Fake(), list[str]()
    listener = PynputListener(lambda event: None, deaths.append, fake.layer)
    listener.start()
    fake.ears[1].failure = failure
    fake.ears[1].stop()
    until(lambda: deaths)
    assert said in deaths[0] and not listener.alive


def test_an_end_by_us_is_no_death() -> None:
    fake, deaths = Fake(), list[str]()
    listener = PynputListener(lambda event: None, deaths.append, fake.layer)
    listener.start()
    listener.close()
    assert not deaths


def test_a_system_that_does_not_let_us_listen_is_said_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "IS_TRUSTED", False)
    with pytest.raises(Unavailable, match="Input Monitoring"):
        PynputListener(lambda event: None, lambda reason: None, Fake().layer).start()


def test_the_stop_chord_works_through_it() -> None:
    fake = Fake()
    watcher = Watcher("escape", make=lambda event, death, display: PynputListener(event, death, fake.layer))
    watcher.start()
    reasons: list[str] = []
    watcher.connect(reasons.append)
    keyboard = fake.ears[1].call
    keyboard.on_press(char("a"))
    watcher.check()
    keyboard.on_press(Named.esc)
    assert reasons == ["escape was pressed"]
    with pytest.raises(Stopped):
        watcher.check()
    watcher.close()


def test_without_pynput_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynput", None)
    with pytest.raises(Unavailable, match=r"showonce\[desktop\]"):
        pynput_layer()
