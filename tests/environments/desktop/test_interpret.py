"""What is done on a real display, as the recorder's events: xdotool is the person, Tk and xterm the programs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.environments.desktop.conftest import Program
from tests.xscreen import Screen, until

from showonce.environments.clocks import MachineClock
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.record import DesktopSource
from showonce.environments.desktop.settings import DesktopSettings
from showonce.types import Region, Task

Events = list[dict[str, Any]]
ENTRY = ("300", "135")  # in the entry of `program.py`


class Watching:
    """A source under way and what it told; `idle` is left out."""

    def __init__(self, screen: Screen, *secret: Region, clock: MachineClock | None = None) -> None:
        self.screen, self.told = screen, list[dict[str, Any]]()
        self.desktop = Desktop(DesktopSettings(display=screen.name))
        self.desktop.reset(Task("user/desk", "do it", "desktop", reset="none"))
        self.source = DesktopSource(self.desktop, secret=secret, clock=clock)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.ready.wait(20)

    def _run(self) -> None:
        for event, _ in self.source.events():
            if event["kind"] != "idle":
                self.told.append(dict(event))
            self.ready.set()

    def end(self) -> Events:
        """Wait until nothing more is told; return all events but bare modifiers."""
        self.screen.xdotool("key", "F12")
        until(lambda: any(event.get("key") == "f12" for event in self.told), what="the last key")
        self.close()
        return [e for e in self.told if e.get("key") not in ("f12", "shift", "ctrl", "alt", "meta", "altgr")]

    def close(self) -> None:
        self.source.close()
        self.thread.join(10)
        self.desktop.close()


@pytest.fixture
def watching(screen: Screen, program: Program) -> Iterator[Watching]:
    made = Watching(screen)
    yield made
    made.close()


def text_of(events: Events) -> str:
    return "".join(event["text"] for event in events if event["kind"] in ("key", "text"))


def test_presses_and_the_wheel_carry_what_is_held(screen: Screen, watching: Watching) -> None:
    hand = screen.xdotool
    hand("mousemove", "300", "300", "keydown", "ctrl", "click", "1", "keydown", "shift", "click", "5", "click", "3")
    hand("keyup", "shift", "keyup", "ctrl", "click", "1")
    events = [(e["kind"], e["modifiers"]) for e in watching.end() if e["kind"] in ("press", "wheel")]
    both = ("ctrl", "shift")
    assert events == [("press", ("ctrl",)), ("wheel", both), ("press", both), ("press", ())]


def test_presses_are_counted_where_the_desktop_says_how(screen: Screen, program: Program) -> None:
    """XSETTINGS: 300 ms, 5 pixels. The pauses are far from it on both sides."""
    owner = desktop_settings(screen, **{"Net/DoubleClickTime": 300, "Net/DoubleClickDistance": 5})
    watching = Watching(screen)
    hand = screen.xdotool
    hand("mousemove", "300", "300", "click", "--repeat", "3", "--delay", "40", "1", "sleep", "0.6")
    hand("click", "--repeat", "2", "--delay", "600", "1", "mousemove", "320", "300", "click", "1", "click", "3")
    hand("sleep", "0.6", "click", "--repeat", "5", "--delay", "30", "1")
    counts = [e["count"] for e in watching.end() if e["kind"] == "press"]
    assert counts == [1, 2, 3, 1, 1, 1, 1, 1, 2, 3, 1, 2]
    owner.close()


def desktop_settings(screen: Screen, **values: int) -> Any:
    """Own the XSETTINGS of a screen, as the settings daemon of a desktop does."""
    import struct

    from Xlib import X, display

    connection = display.Display(screen.name)
    window = connection.screen().root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
    data = struct.pack("<B3xII", 0, 1, len(values) + 1)
    data += struct.pack("<BxH", 1, 13) + b"Net/ThemeName\0\0\0" + struct.pack("<II", 1, 5) + b"Basic\0\0\0"
    for name, value in values.items():
        data += struct.pack("<BxH", 0, len(name)) + name.encode().ljust(-(-len(name) // 4) * 4, b"\0")
        data += struct.pack("<Ii", 1, value)
    atom = connection.intern_atom("_XSETTINGS_SETTINGS")
    window.change_property(atom, atom, 8, data)
    window.set_selection_owner(connection.intern_atom("_XSETTINGS_S0"), X.CurrentTime)
    connection.sync()
    return connection


def test_dead_keys_compose_and_the_third_level(
    german: None, screen: Screen, program: Program, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = screen.xdotool
    hand("mousemove", *ENTRY, "click", "1")
    for keys in (
        ("dead_acute", "e"), ("dead_circumflex", "shift+o"), ("dead_acute", "space"), ("Multi_key", "minus", "greater"),
        ("Multi_key", "shift+a", "shift+e"), ("at",), ("ISO_Level3_Shift+e",), ("odiaeresis", "shift+odiaeresis"),
    ):  # fmt: skip
        hand("key", "--delay", "25", *keys)
    until(lambda: program.text.endswith("öÖ"), what="the text")
    events = watching.end()
    assert text_of(events) == program.text == "éÔ'→Æ@€öÖ"
    assert [e["text"] for e in events if e.get("source") == "composed"] == ["é", "Ô", "'", "→", "Æ"]


def test_what_makes_no_known_sign_is_told(german: None, screen: Screen, watching: Watching) -> None:
    hand = screen.xdotool
    hand("key", "--delay", "25", "dead_acute", "q", "a", "dead_grave", "ctrl+c", "Multi_key")
    hand("mousemove", "300", "300", "click", "1", "key", "XF86AudioMute", "key", "F13", "click", "8")
    events = watching.end()
    assert text_of(events) == "ac"
    told = [event["text"] for event in events if event["kind"] == "lost"]
    for line, names in zip(told, ("dead_acute q", "dead_grave", "Multi_key", "XF86AudioMute", "", "back"), strict=True):
        assert names in line


class Holder:
    """A program that holds a selection. extra: further targets that it offers."""

    def __init__(self, screen: Screen, selection: str, text: str, *extra: str) -> None:
        from Xlib import X, display

        self._display = display.Display(screen.name)
        self._window = self._display.screen().root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self._text, self._extra, self._end = text, extra, False
        self._window.set_selection_owner(self._display.intern_atom(selection), X.CurrentTime)
        self._display.sync()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        from Xlib import X, Xatom
        from Xlib.protocol import event

        atom = self._display.intern_atom
        while not self._end:
            if not self._display.pending_events():
                time.sleep(0.002)
                continue
            asked = self._display.next_event()
            if asked.type != X.SelectionRequest:
                continue
            answer = asked.property or asked.target
            if asked.target == atom("TARGETS"):
                names = [*self._extra, *(["UTF8_STRING", "STRING"] if self._text else [])]
                asked.requestor.change_property(answer, Xatom.ATOM, 32, [atom(name) for name in names])
            elif asked.target == atom("UTF8_STRING") and self._text:
                asked.requestor.change_property(answer, asked.target, 8, self._text.encode())
            else:
                answer = X.NONE
            asked.requestor.send_event(
                event.SelectionNotify(
                    time=asked.time, requestor=asked.requestor, selection=asked.selection, target=asked.target,
                    property=answer,
                )
            )  # fmt: skip
            self._display.flush()

    def close(self) -> None:
        self._end = True
        self._thread.join(5)
        self._display.close()


@pytest.fixture
def hold(screen: Screen) -> Iterator[Any]:
    made: list[Holder] = []

    def make(selection: str, text: str, *extra: str) -> None:
        made.append(Holder(screen, selection, text, *extra))

    yield make
    for holder in made:
        holder.close()


def test_what_is_pasted_is_stored_as_its_text(hold: Any, screen: Screen, program: Program, watching: Watching) -> None:
    hold("CLIPBOARD", "Żółw 12")
    hold("PRIMARY", "mouse")
    hand = screen.xdotool
    hand("mousemove", *ENTRY, "click", "1", "type", "a")
    hand("key", "ctrl+v", "b", "End", "shift+Insert", "End")
    until(lambda: program.text == "aŻółw 12bŻółw 12", what="the pasted text")
    hand("sleep", "0.1", "click", "2")
    until(lambda: "mouse" in program.text, what="the text of the middle button")
    events = watching.end()
    assert [e["text"] for e in events if e["kind"] == "text"] == ["Żółw 12", "Żółw 12", "mouse"]
    assert {e["source"] for e in events if e["kind"] == "text"} == {"pasted"}
    assert [e["key"] for e in events if e["kind"] == "key"] == ["a", "b", "end", "end"]
    presses = [(e["kind"], e["button"]) for e in events if e["kind"] in ("press", "release")]
    assert presses == [("press", "left"), ("release", "left")] * 2  # a click there, then the text
    assert not any(e["kind"] == "lost" for e in events)


def test_text_copied_in_the_same_program_is_pasted_text_too(
    screen: Screen, program: Program, watching: Watching
) -> None:
    """A program takes what it holds itself without asking the display."""
    hand = screen.xdotool
    hand("mousemove", *ENTRY, "click", "1", "type", "twice ")
    hand("key", "shift+Home", "ctrl+c", "End", "ctrl+v")
    until(lambda: program.text == "twice twice ", what="the pasted text")
    assert [e["text"] for e in watching.end() if e["kind"] == "text"] == ["twice "]


def test_a_terminal_pastes_the_other_selection(hold: Any, screen: Screen, tmp_path: Path) -> None:
    written = tmp_path / "written"
    screen.start("xterm", "-T", "term", "-e", f"cat > {written}", window="term")
    hold("CLIPBOARD", "clip")
    hold("PRIMARY", "prim")
    watching = Watching(screen)
    hand = screen.xdotool
    hand("search", "--name", "^term$", "windowactivate", "--sync")
    hand("key", "shift+Insert", "Return")
    until(lambda: written.exists() and written.read_text() == "prim\n", what="the pasted line")
    hand("key", "ctrl+v")
    time.sleep(0.7)
    events = watching.end()
    assert [e["text"] for e in events if e["kind"] == "text"] == ["prim"]
    assert [(e["key"], e["modifiers"]) for e in events if e["kind"] == "key"] == [("enter", ()), ("v", ("ctrl",))]
    (lost,) = (e["text"] for e in events if e["kind"] == "lost")
    assert lost.startswith("what ctrl+v pasted is not known, because no program was seen to ask for it")


@pytest.mark.parametrize(
    ("text", "extra", "why"),
    [("", ("image/png",), "it holds no text"), ("file:///a", ("text/uri-list",), "it holds files"),
     ("x" * 20_001, (), "longer than 20000")],
)  # fmt: skip
def test_what_is_no_text_keeps_its_key_and_is_told(
    text: str, extra: tuple[str, ...], why: str, hold: Any, screen: Screen, program: Program, watching: Watching
) -> None:
    hold("CLIPBOARD", text, *extra)
    screen.xdotool("mousemove", *ENTRY, "click", "1", "key", "ctrl+v")
    events = watching.end()
    assert [(e["key"], e["modifiers"]) for e in events if e["kind"] == "key"] == [("v", ("ctrl",))]
    assert [why in e["text"] for e in events if e["kind"] == "lost"] == [True]


def test_a_password_managers_text_is_a_secret(hold: Any, screen: Screen, program: Program, watching: Watching) -> None:
    hold("CLIPBOARD", "k33p-me", "x-kde-passwordManagerHint")
    screen.xdotool("mousemove", *ENTRY, "click", "1", "key", "ctrl+v")
    until(lambda: program.text == "k33p-me", what="the pasted text")
    (event,) = (e for e in watching.end() if e["kind"] == "text")
    assert (event["text"], event["typed"], event["secret"]) == ("•" * 7, "k33p-me", True)


def test_text_after_a_click_in_a_secret_region_is_told_as_dots(screen: Screen, program: Program) -> None:
    watching = Watching(screen, (0.2, 0.13, 0.6, 0.19))
    hand = screen.xdotool
    hand("mousemove", *ENTRY, "click", "1", "type", "--delay", "15", "Pa5!")
    hand("key", "BackSpace", "Return", "type", "--delay", "15", "on")
    hand("mousemove", *ENTRY, "click", "1", "key", "z", "mousemove", "300", "400", "click", "1", "key", "q")
    events = watching.end()
    assert text_of(events) == "••••on•q"
    assert "".join(e.get("typed", "") for e in events) == "Pa5!z"
    assert all(e["masks"] == ((0.2, 0.13, 0.6, 0.19),) for e in events)
    assert not {e["key"] for e in events if e["kind"] == "key"} & {*"pa5!z"}


def test_an_input_method_that_composes_is_told(
    screen: Screen, program: Program, tmp_path: Path, monkeypatch: Any
) -> None:
    """A server of input methods on the display; `ibus engine` says what is chosen."""
    from Xlib import X, Xatom, display

    connection = display.Display(screen.name)
    root = connection.screen().root
    server = connection.intern_atom("@server=ibus")
    window = root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
    window.set_selection_owner(server, X.CurrentTime)
    root.change_property(connection.intern_atom("XIM_SERVERS"), Xatom.ATOM, 32, [server])
    connection.sync()
    command = tmp_path / "ibus"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    told = {}
    for engine in ("anthy", "xkb:us::eng", "libpinyin"):
        command.write_text(f"#!{sys.executable}\nprint('{engine}')\n")
        command.chmod(0o755)
        watching = Watching(screen)
        screen.xdotool("type", "--delay", "15", "neko")
        told[engine] = [(e["kind"], e["text"]) for e in watching.end() if e["kind"] == "lost" or e.get("text")]
    root.delete_property(connection.intern_atom("XIM_SERVERS"))
    connection.close()
    assert told["xkb:us::eng"] == [("key", c) for c in "neko"]
    for engine in ("anthy", "libpinyin"):
        ((kind, text),) = told[engine]
        assert kind == "lost" and f"ibus ({engine})" in text


PROMPTS = {
    "bash": """bash -c 'read -sp "Password: " word; echo; read line; echo "$word $line" > {}'""",
    "getpass": """{python} -c "
import getpass
word, line = getpass.getpass(), input()
open('{}', 'w').write(word + ' ' + line + chr(10))" """,
    "stty": """sh -c 'stty -echo; read word; stty echo; read line; echo "$word $line" > {}'""",
}


@pytest.mark.parametrize("program", PROMPTS)
def test_what_is_typed_at_a_prompt_without_echo_is_a_secret(program: str, screen: Screen, tmp_path: Path) -> None:
    written = tmp_path / "written"
    script = tmp_path / "script"
    script.write_text(PROMPTS[program].format(written, python=sys.executable))
    screen.start("xterm", "-T", "term", "-e", "sh", str(script), window="term")
    watching = Watching(screen)
    hand = screen.xdotool
    hand("search", "--name", "^term$", "windowactivate", "--sync")
    time.sleep(0.7)  # until the prompt is there
    hand("type", "--delay", "20", "Hunter2")
    hand("key", "Return", "sleep", "0.3", "type", "--delay", "20", "shown")
    hand("key", "Return")
    until(lambda: written.exists() and written.read_text() == "Hunter2 shown\n", what="both lines")
    events = watching.end()
    assert text_of(events) == "•" * 7 + "shown"
    assert "".join(e.get("typed", "") for e in events) == "Hunter2"
    assert {e["target"] for e in events if e.get("typed")} == {"password prompt"}


def test_keys_for_a_shell_or_an_editor_are_no_secret(screen: Screen) -> None:
    """They read single keys and echo by themselves."""
    screen.start("xterm", "-T", "term", "-e", "bash --norc -i", window="term")
    watching = Watching(screen)
    screen.xdotool("search", "--name", "^term$", "windowactivate", "--sync")
    time.sleep(0.5)
    screen.xdotool("type", "--delay", "20", "ls")
    assert text_of(watching.end()) == "ls"


def test_a_machine_that_slept_is_told_and_makes_no_wait(screen: Screen, program: Program) -> None:
    """Python's clock and the display's stand still in the meantime; the wall clock and the one since boot do not."""
    slept = 0.0
    clock = MachineClock(wall=lambda: time.time() + slept, boot=lambda: time.monotonic() + slept)
    watching = Watching(screen, clock=clock)
    screen.xdotool("key", "a")
    slept = 3610.0
    until(lambda: any(e["kind"] == "told" for e in watching.told), what="a word about the sleep")
    screen.xdotool("key", "b")
    events = watching.end()
    assert [e["text"] for e in events if e["kind"] == "told"] == [
        "the computer slept for 1 h; this changes nothing in the recording"
    ]
    a, b = (e for e in events if e["kind"] == "key")
    assert 0 < b["time"] - a["time"] < 20 and b["frame_time"] <= b["time"]
