from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from tests.environments.wrappers.test_perceive import ocr_or_skip
from tests.fakes import Board, Recorder, board_task

from showonce.actions import Click, Done, Key, Type, from_pixel
from showonce.demonstrations import (
    EpisodeStore,
    check_complete,
    load_demonstration,
    load_episode,
    read_meta,
    read_png,
    save_demonstration,
)
from showonce.demonstrations.reduce import Reduced, Reducer
from showonce.errors import ConfigError, DemonstrationError, EnvironmentBroken, Stopped, Unavailable
from showonce.runtime.stop import Stop
from showonce.runtime.watch import Hotkeys, record_watched, text_under
from showonce.types import Check, Element, Lost, Observation

Raw = dict[str, Any]
FREE = board_task(kind="none")


class Person:
    """Acts on the board through the board's own input and yields what a listener would have seen of it."""

    def __init__(self, board: Board, deeds: Iterable[str | Raw]) -> None:
        self.board, self.deeds, self.clock = board, list(deeds), 10.0
        self.closed = threading.Event()
        self.before: list[str] = []  # hash of the screen before each click

    def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        for deed in self.deeds:
            self.clock += 1.0
            screen = self.board.observe()
            if isinstance(deed, dict):
                yield {"time": self.clock, **deed}, screen
            elif deed in ("red", "green", "blue"):
                yield from self.click(deed, screen)
            elif deed.startswith("wait"):
                self.clock += float(deed[4:])
            elif "+" in deed:
                *held, key = deed.split("+")
                for name in held:
                    yield {"kind": "key", "key": name, "text": "", "modifiers": [], "time": self.clock}, screen
                yield {"kind": "key", "key": key, "text": "", "modifiers": held, "time": self.clock}, screen
            else:
                for letter in deed:
                    event = {"kind": "key", "key": letter, "text": letter, "modifiers": [], "time": self.clock}
                    yield event, self.board.observe()
                    self.board.execute(Type(letter), Stop())

    def click(self, colour: str, screen: Observation) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        action = self.board.click(colour)
        self.before.append(screen.hash)
        place = {"x": int(action.x * 64), "y": int(action.y * 48), "width": 64, "height": 48, "button": "left"}
        yield {"kind": "press", "time": self.clock, "target": colour, **place}, screen
        self.board.execute(action, Stop())
        yield {"kind": "release", "time": self.clock + 0.1, **place}, self.board.observe()

    def close(self) -> None:
        self.closed.set()


def watch(
    tmp_path: Path, *deeds: str | Raw, goal: str = "light red green", again: tuple[str, ...] = (), **kw: Any
) -> Any:
    """Record a person who does these deeds, and others after a redo; returns path, board, person and lines."""
    board, people, lines = Board(), [], []

    def begin() -> Person:
        people.append(Person(board, again if people else deeds))
        return people[-1]

    task = kw.pop("task", board_task())
    store = EpisodeStore(tmp_path / "episodes")
    path = record_watched(board, begin, task, 1, store, tell=lambda text, final: lines.append((text, final)), **kw)
    return path, board, people, lines


def test_what_a_person_does_is_recorded_with_the_frame_before_it(tmp_path: Path) -> None:
    path, board, people, lines = watch(tmp_path, "red", "green", "ctrl+f10")
    demonstration = load_demonstration(path)
    assert [frame.action for frame in demonstration.frames] == [board.click("red"), board.click("green"), Done()]
    assert [frame.observation.hash for frame in demonstration.frames[:2]] == people[0].before
    episode = load_episode(path)
    assert (episode.source, episode.phase, episode.success, episode.outcome.checker) == (
        "person",
        "record",
        True,
        "world",
    )
    assert [step.proposal.text for step in episode.steps if step.proposal] == ["red", "green", ""]
    assert people[0].closed.is_set()
    assert len(board.done) == 2  # the recorder itself did nothing
    final = [text for text, final in lines if final]
    assert final[1].startswith("1. click (") and final[1].endswith("on red")
    assert any(not final for _, final in lines)  # and was told while it was going on


def test_a_success_on_the_way_does_not_cut_the_recording(tmp_path: Path) -> None:
    path, *_ = watch(tmp_path, "red", "green", "sun", "ctrl+f10")
    assert [f.action.verb for f in load_demonstration(path).frames] == ["click", "click", "type", "done"]


def test_the_recorders_own_keys_never_enter(tmp_path: Path) -> None:
    keys = Hotkeys(end="f12", pause="ctrl+p", redo="ctrl+r")
    end = {"kind": "key", "key": "f12", "text": "", "modifiers": []}
    path, *_ = watch(tmp_path, "su", "ctrl+p", "green", "ctrl+p", "n", "ctrl+s", end, task=FREE, hotkeys=keys)
    actions = [frame.action for frame in load_demonstration(path).frames]
    assert actions == [Type("su"), Type("n"), Key("ctrl+s"), Done()]


def test_nothing_of_a_pause_is_kept(tmp_path: Path) -> None:
    path, *_ = watch(tmp_path, "a", "ctrl+f8", "secret", "wait30", "ctrl+f8", "red", "green", "ctrl+f10")
    assert [f.action.verb for f in load_demonstration(path).frames] == ["type", "click", "click", "done"]
    stored = [read_png(file)[40:44, 4:60].max(axis=2) for file in sorted(path.glob("*.png"))]
    lengths = {int((row > 200).sum()) // 8 for row in stored}
    assert lengths <= {0, 1, 7}  # nothing, "a", and afterwards all that stands there by now


def test_discard_and_do_it_again(tmp_path: Path) -> None:
    path, _board, people, lines = watch(tmp_path, "blue", "oops", "ctrl+f9", "red", again=("red", "green", "ctrl+f10"))
    assert [f.action for f in load_demonstration(path).frames][:-1] == [
        people[1].board.click(c) for c in ("red", "green")
    ]
    assert len(people) == 2 and people[0].closed.is_set()
    assert [folder.name for folder in (tmp_path / "episodes").iterdir()] == [path.name]
    assert ("discarded; once more from the beginning", True) in lines


def test_a_person_may_end_by_closing_the_window(tmp_path: Path) -> None:
    path, *_ = watch(tmp_path, "red", "green")
    assert load_episode(path).success


def test_an_end_without_success_is_no_demonstration_and_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="did not reach its goal"):
        watch(tmp_path, "red", "ctrl+f10")
    assert len(list((tmp_path / "episodes").iterdir())) == 1


def test_nothing_done_is_no_demonstration(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="nothing was done"):
        watch(tmp_path, "ctrl+f10", task=FREE)


def test_passwords_are_masked_in_text_and_picture(tmp_path: Path) -> None:
    masks = ((0.0, 40 / 48, 1.0, 1.0),)
    typed = [
        {"kind": "key", "key": "•", "text": "•", "modifiers": [], "secret": True, "masks": masks, "typed": letter,
         "origin": "https://x", "target": "Your PIN"}
        for letter in "hunter2"
    ]  # fmt: skip
    path, *_ = watch(tmp_path, "user", *typed, "ctrl+f10", task=FREE)
    frames = load_demonstration(path).frames
    assert [f.action for f in frames] == [Type("user"), Type("<secret:your_pin>"), Done()]
    assert [step.origin for step in load_episode(path).steps] == ["", "https://x", ""]
    assert not frames[1].observation.image[40:].any()
    assert frames[1].observation.image[:40].any()
    everything = b"".join(file.read_bytes() for file in path.iterdir())
    assert b"hunter" not in everything


def test_chosen_regions_are_blank_on_the_disk(tmp_path: Path) -> None:
    task = replace(board_task(), redact=((0.0, 0.0, 0.5, 1.0),))
    path, *_ = watch(tmp_path, "red", "green", "ctrl+f10", task=task)
    for file in path.glob("*.png"):
        assert not read_png(file)[:, :32].any()


def test_stop_ends_it_while_the_person_does_nothing(tmp_path: Path) -> None:
    stop, board = Stop(), Board()

    class Idle(Person):
        def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
            yield {"kind": "idle", "time": 1.0}, self.board.observe()
            stop.press("test")
            self.closed.wait(10)

    with pytest.raises(Stopped, match="steps are kept"):
        record_watched(board, lambda: Idle(board, ()), board_task(), 1, EpisodeStore(tmp_path), stop=stop)


def test_another_size_in_the_middle_is_told(tmp_path: Path) -> None:
    board, log = Board(), Recorder()

    class Resized(Person):
        def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
            yield from self.click("red", self.board.observe())
            yield {"kind": "idle", "time": 20.0}, Observation(np.zeros((48, 65, 3), np.uint8))

    with pytest.raises(DemonstrationError, match=r"64x48 to 65x48"):
        record_watched(board, lambda: Resized(board, ()), board_task(), 1, EpisodeStore(tmp_path), events=log)
    assert log.of("error")[0]["where"] == "environment"
    (path,) = tmp_path.iterdir()
    assert [step.executed for step in load_episode(path).steps] == [board.click("red")]


def test_a_screen_that_cannot_be_watched_at_all_is_told(tmp_path: Path) -> None:
    class Blind(Person):
        def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
            raise Unavailable("no permission to listen")
            yield

    with pytest.raises(Unavailable, match="no permission"):
        record_watched(Board(), lambda: Blind(Board(), ()), board_task(), 1, EpisodeStore(tmp_path))


def test_a_listener_that_dies_is_told(tmp_path: Path) -> None:
    board = Board()

    class Dies(Person):
        def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
            yield from self.click("red", self.board.observe())
            raise EnvironmentBroken("the listener died")

    with pytest.raises(DemonstrationError, match="the listener died"):
        record_watched(board, lambda: Dies(board, ()), board_task(), 1, EpisodeStore(tmp_path))


def test_hotkeys_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"record\.end: unknown key 'f13'"):
        Hotkeys(end="ctrl+f13")
    with pytest.raises(ConfigError, match="different chords"):
        Hotkeys(end="ctrl+f8")


def test_a_click_at_the_border_keeps_its_pixel(tmp_path: Path) -> None:
    event = {"kind": "press", "x": 63, "y": 47, "width": 64, "height": 48, "button": "left"}
    path, *_ = watch(tmp_path, event, "ctrl+f10", task=FREE)
    assert load_demonstration(path).frames[0].action == Click(from_pixel(63, 64), from_pixel(47, 48))


def test_what_cannot_be_kept_makes_the_episode_incomplete_at_its_step(tmp_path: Path) -> None:
    early, late = ({"kind": "lost", "text": text} for text in ("a file dialog was open", "video has no frames"))
    path, _, _, lines = watch(tmp_path, early, "red", "sun", late, "green", "ctrl+f10")
    expected = (Lost(0, "a file dialog was open"), Lost(2, "video has no frames"))
    assert load_demonstration(path).lost == load_episode(path).lost == expected
    assert read_meta(path)["lost"] == [{"step": lost.step, "text": lost.text} for lost in expected]
    assert ("not kept: video has no frames", True) in lines
    with pytest.raises(
        DemonstrationError, match=r"before step 1: a file dialog.*after step 2: video.*experiment\.incomp"
    ):
        check_complete(load_demonstration(path))
    check_complete(load_demonstration(path), accept=True)


def test_a_loss_at_the_very_end_counts_and_a_secret_in_one_is_hidden(tmp_path: Path) -> None:
    typed = {"kind": "key", "key": "•", "text": "•", "modifiers": [], "secret": True, "typed": "hunter2hunter2"}
    lost = {"kind": "lost", "text": "a dialog said hunter2hunter2"}
    path, *_ = watch(tmp_path, typed, lost, task=FREE)
    (one,) = load_demonstration(path).lost
    assert one == Lost(1, "a dialog said <secret>")


def test_a_complete_recording_says_so_and_an_old_one_counts_as_complete(tmp_path: Path) -> None:
    path, *_ = watch(tmp_path, "red", "green", "ctrl+f10")
    meta = read_meta(path)
    assert meta.pop("lost") == []
    (path / "meta.json").write_text(json.dumps(meta))
    assert load_demonstration(path).lost == load_episode(path).lost == ()


def test_how_a_step_came_about_is_its_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pasted(reducer: Reducer) -> list[Reduced]:
        return [replace(one, note="pasted") if one.action == Type("sun") else one for one in real(reducer)]

    real = Reducer.flush
    monkeypatch.setattr(Reducer, "flush", pasted)
    path, _, _, lines = watch(tmp_path, "red", "sun", task=FREE)
    assert [step.note for step in load_episode(path).steps] == ["", "pasted", ""]
    assert [frame.note for frame in load_demonstration(path).frames] == ["", "pasted", ""]
    assert [frame.target for frame in load_demonstration(path).frames] == ["red", "", ""]
    assert ('2. type text="sun" (pasted)', True) in lines


def test_the_text_under_the_pointer_becomes_a_check_at_its_step(tmp_path: Path) -> None:
    chord = {"kind": "key", "key": "f7", "text": "", "modifiers": ["ctrl"]}
    there = {**chord, "under": "Ticket created", "region": (0.1, 0.2, 0.4, 0.3)}
    path, _, _, lines = watch(tmp_path, "red", "sun", there, chord, "green", "ctrl+f10")
    shown = load_demonstration(path)
    assert shown.checks == load_episode(path).checks == (Check(2, "Ticket created", (0.1, 0.2, 0.4, 0.3)),)
    assert [frame.action.verb for frame in shown.frames] == ["click", "type", "click", "done"]
    final = [text for text, final in lines if final]
    assert "   must be there: 'Ticket created'" in final
    assert "no check: there is no text under the pointer." in final
    assert read_meta(path)["checks"] == [{"step": 2, "text": "Ticket created", "region": [0.1, 0.2, 0.4, 0.3]}]


def test_what_was_hit_and_what_it_sent_is_kept_without_the_secrets_in_it(tmp_path: Path) -> None:
    class Sender(Board):
        sent = 0

    save = Element("Save", (0.1, 0.2, 0.3, 0.4), "button", near=("of ow1password",), attributes={"id": "save"}, count=2)
    field = Element("Name", (0.1, 0.5, 0.3, 0.6), "textbox", page="http://crm.example/new")
    typed = {"kind": "text", "text": "ada", "source": "composed", "element": field}
    secret = {"kind": "text", "text": "•" * 11, "typed": "ow1password", "secret": True, "target": "Password"}
    place = {"x": 10, "y": 10, "width": 64, "height": 48, "button": "left"}
    press, release = {"kind": "press", "element": save, **place}, {"kind": "release", "element": save, **place}
    board, sent = Sender(), {"kind": "sent"}
    person = Person(board, [sent, secret, typed, press, release, sent, sent, "ctrl+f10"])
    path = record_watched(board, lambda: person, FREE, 1, EpisodeStore(tmp_path))
    shown = load_demonstration(path)
    assert [frame.action.verb for frame in shown.frames] == ["type", "type", "click", "done"]
    hidden = replace(save, near=("of <secret>",))
    assert [frame.targets for frame in shown.frames] == [(), (field,), (hidden,), ()]
    assert shown.sends == load_episode(path).sends == (2,)
    again = load_demonstration(save_demonstration(shown, tmp_path / "again"))
    assert [frame.targets for frame in again.frames] == [frame.targets for frame in shown.frames]
    assert (again.sends, [frame.target for frame in again.frames]) == ((2,), [frame.target for frame in shown.frames])


def test_who_cannot_tell_what_was_sent_says_nothing_of_it(tmp_path: Path) -> None:
    path, _, _, _ = watch(tmp_path, "red", {"kind": "sent"}, "green", "ctrl+f10")
    assert load_demonstration(path).sends is None and "sends" not in read_meta(path)


def test_a_check_never_holds_a_secret_and_is_not_taken_while_paused(tmp_path: Path) -> None:
    typed = {"kind": "key", "key": "•", "text": "•", "modifiers": [], "secret": True, "typed": "hunter2hunter2"}
    chord = {"kind": "key", "key": "f7", "text": "", "modifiers": ["ctrl"], "region": (0.0, 0.0, 1.0, 1.0)}
    told = {**chord, "under": "your word is hunter2hunter2"}
    path, *_ = watch(tmp_path, typed, told, "ctrl+f8", told, "ctrl+f8", task=FREE)
    assert [check.text for check in load_demonstration(path).checks] == ["your word is <secret>"]


def test_text_is_read_from_the_pixels_where_the_screen_does_not_tell_it() -> None:
    image = PillowImage.new("RGB", (400, 120), "white")
    ImageDraw.Draw(image).text((40, 40), "Invoice 4711 paid", fill="black", font=ImageFont.load_default(24))
    screen = Observation(np.asarray(image))
    ocr_or_skip()
    found, _ = text_under({"pointer": (0.2, 0.45)}, screen)
    assert found is not None and found.name == "Invoice 4711 paid"
    assert text_under({"pointer": (0.9, 0.9)}, screen)[0] is None
