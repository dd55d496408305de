"""What a person does, as raw events; the person is xdotool."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.xscreen import Screen, until

from showonce.environments.desktop.backends import make_listener
from showonce.environments.desktop.keysyms import character, key_name, keysym_of
from showonce.environments.desktop.record_x11 import X11Listener
from showonce.environments.desktop.system import detect
from showonce.environments.desktop.xdisplay import connect
from showonce.errors import Unavailable

Events = list[dict[str, Any]]


@pytest.fixture
def seen(screen: Screen) -> Iterator[Events]:
    events: Events = []
    listener = X11Listener(events.append, lambda reason: None, screen.name)
    listener.start()
    yield events
    listener.close()


def keys(events: Events) -> Events:
    return [e for e in events if e["device"] == "key" and e["kind"] == "press"]


def test_a_click_a_drag_and_the_wheel(screen: Screen, seen: Events) -> None:
    before = time.monotonic()
    screen.xdotool("mousemove", "40", "187", "click", "1", "mousedown", "3", "mousemove", "60", "200", "mouseup", "3")
    screen.xdotool("click", "5", "click", "6")
    until(lambda: len([e for e in seen if e["kind"] == "wheel"]) == 2)
    pressed = [(e["kind"], e["button"], e["x"], e["y"]) for e in seen if e["kind"] in ("press", "release")]
    assert pressed == [
        *(("press", "left", 40, 187), ("release", "left", 40, 187)),
        *(("press", "right", 40, 187), ("release", "right", 60, 200)),
    ]
    assert [(e["dx"], e["dy"]) for e in seen if e["kind"] == "wheel"] == [(0, 1), (-1, 0)]
    times = [e["time"] for e in seen]
    assert times == sorted(times)
    assert before - 0.01 <= times[0] and times[-1] <= time.monotonic()


def test_a_chord_names_its_key_and_what_was_held(screen: Screen, seen: Events) -> None:
    screen.xdotool("key", "ctrl+shift+s", "key", "Escape", "key", "alt+F4", "key", "KP_Enter")
    until(lambda: len(keys(seen)) == 7)
    named = [(e["key"], e["modifiers"]) for e in keys(seen) if e["key"] not in ("ctrl", "shift", "alt")]
    assert named == [("s", ("ctrl", "shift")), ("escape", ()), ("f4", ("alt",)), ("enter", ())]


def test_text_is_exact_also_where_keycodes_are_bound_for_an_instant(screen: Screen, seen: Events) -> None:
    text = 'Az1!é€ñ你 "x"/@ß→жλ'  # xdotool itself makes small letters of capitals beyond Latin-1
    screen.xdotool("type", text)
    until(lambda: len("".join(e["character"] for e in keys(seen))) >= len(text))
    assert "".join(e["character"] for e in keys(seen)) == text


def test_a_listener_that_is_cut_off_says_so(screen: Screen) -> None:
    from Xlib.protocol import request

    deaths: list[str] = []
    listener = X11Listener(lambda event: None, deaths.append, screen.name)
    listener.start()
    assert listener.alive
    other = connect(screen.name)
    request.KillClient(display=other.display, resource=listener.resource)
    other.sync()
    until(lambda: deaths)
    assert not listener.alive
    listener.close()
    other.close()


def test_a_stream_that_reports_nothing_more_is_noticed_within_a_second(screen: Screen) -> None:
    from Xlib.ext import record

    deaths: list[tuple[float, str]] = []
    listener = X11Listener(lambda event: None, lambda reason: deaths.append((time.monotonic(), reason)), screen.name)
    listener.start()
    time.sleep(1.2)  # a heartbeat or two
    assert listener.alive and not deaths
    other = connect(screen.name, "RECORD")
    other.record_unregister_clients(listener._context, [record.AllClients])
    other.sync()
    cut = time.monotonic()
    until(lambda: deaths)
    at, reason = deaths[0]
    assert "does not report input any more" in reason and at - cut < 1.5
    listener.close()
    other.close()


def test_times_of_a_server_whose_clock_wraps_or_steps() -> None:
    """Server time is 32 bits of milliseconds: 49.7 days."""
    listener = X11Listener(lambda event: None, lambda reason: None)
    full = 1 << 32
    assert listener._time(full - 10, 100.0) == 100.0
    assert listener._time(5, 100.5) == pytest.approx(100.015)
    assert listener._time(1005, 101.1) == pytest.approx(101.015)
    listener._time(3_600_000, 101.2)  # an hour forward
    assert listener._time(3_600_100, 101.5) == pytest.approx(101.3)
    with listener._lock:  # an hour back: the next heartbeat finds it
        listener._clock.measure(102.0, listener._seconds(1000), 102.001)
    assert listener._time(2000, 103.1) == pytest.approx(103.0005)


def test_a_handler_that_fails_is_a_death_too(screen: Screen) -> None:
    deaths: list[str] = []

    def broken(event: dict[str, Any]) -> None:
        raise ValueError("cannot")

    listener = X11Listener(broken, deaths.append, screen.name)
    listener.start()
    screen.xdotool("key", "a")
    until(lambda: deaths)
    assert deaths == ["ValueError: cannot"]
    listener.close()


def test_a_listener_that_was_closed_did_not_die(screen: Screen) -> None:
    deaths: list[str] = []
    listener = X11Listener(lambda event: None, deaths.append, screen.name)
    listener.start()
    listener.close()
    listener.close()
    assert not listener.alive and not deaths


def test_the_listener_of_this_system_hears_and_says_when_there_is_no_display(screen: Screen) -> None:
    gathered: Events = []
    listener = make_listener(gathered.append, lambda reason: None, screen.name)
    listener.start()
    until(lambda: screen.xdotool("key", "b") == "" and gathered)
    listener.close()
    assert gathered[0]["key"] == "b"
    with pytest.raises(Unavailable, match="cannot be used"):
        make_listener(gathered.append, lambda reason: None, ":987").start()


@pytest.mark.parametrize("text", "aZ5 é€ñ你ß→Жλ“…")
def test_a_character_and_its_keysym(text: str) -> None:
    keysym = keysym_of(text)
    assert keysym is not None and character(keysym) == text


def test_old_keysyms_and_what_cannot_be_typed() -> None:
    assert [character(k) for k in (0x6C1, 0x6A3, 0x7E1, 0x1A1, 0xFFB7, 0xAD2, 0xFFE1)] == [*"аёαĄ7“", ""]
    assert [keysym_of(c) for c in ("\x1b", "\x00", "\ud800", "\ufffe")] == [None] * 4
    assert (key_name(0xFF8D), key_name(0x53), key_name(0x1000416), key_name(0xFE50)) == ("enter", "s", "ж", "")


@pytest.mark.parametrize(
    ("environ", "said"),
    [({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "xvfb-run"), ({}, "DISPLAY is not set"),
     ({"XDG_SESSION_TYPE": "wayland"}, "Wayland session")],
)  # fmt: skip
def test_a_session_without_x_is_refused_with_what_to_do(environ: dict[str, str], said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        detect("", environ, "linux")


def test_systems_are_told_apart() -> None:
    assert detect("", {"DISPLAY": ":0"}, "linux") == "x11"
    assert detect(":7", {"WAYLAND_DISPLAY": "wayland-0"}, "linux") == "x11"
    assert (detect("", {}, "win32"), detect("", {}, "darwin")) == ("windows", "macos")
    with pytest.raises(Unavailable, match="plan9"):
        detect("", {}, "plan9")
