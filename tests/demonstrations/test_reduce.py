from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import reduce_events

from showonce.actions import (
    MAX_TEXT,
    MODIFIERS,
    NAMED_KEYS,
    Action,
    Click,
    DoubleClick,
    Drag,
    Key,
    RightClick,
    Scroll,
    Type,
    Wait,
    from_pixel,
    points,
    to_pixel,
)
from showonce.demonstrations.reduce import GestureLimits, Reduced, Reducer
from showonce.secrets import SECRET

WIDTH, HEIGHT = 320, 200
Raw = dict[str, Any]


class Hand:
    """Does actions as a person would and keeps the raw events that this makes."""

    def __init__(self) -> None:
        self.events: list[Raw] = []
        self.clock = 100.0

    def at(self, kind: str, place: tuple[float, float], **more: Any) -> None:
        x, y = to_pixel(place[0], WIDTH), to_pixel(place[1], HEIGHT)
        self.add(kind, x=x, y=y, width=WIDTH, height=HEIGHT, **more)

    def add(self, kind: str, **more: Any) -> None:
        self.events.append({"kind": kind, "time": self.clock, **more})

    def button(self, place: tuple[float, float], to: tuple[float, float] | None = None, button: str = "left") -> None:
        self.at("press", place, button=button)
        self.clock += 0.05
        self.at("release", to or place, button=button)

    def key(self, key: str, text: str = "", modifiers: tuple[str, ...] = ()) -> None:
        for name in modifiers:
            self.add("key", key=name, text="", modifiers=[name])
        self.add("key", key=key, text=text, modifiers=list(modifiers))

    def do(self, action: Action) -> None:
        place = points(action)
        match action:
            case Click():
                self.button(place[0])
            case DoubleClick():
                self.button(place[0])
                self.clock += 0.1
                self.button(place[0])
            case RightClick():
                self.button(place[0], button="right")
            case Drag():
                self.button(place[0], place[1])
            case Scroll():
                for _ in range(max(abs(action.dx), abs(action.dy))):
                    n = max(abs(action.dx), abs(action.dy))
                    self.at("wheel", place[0], dx=action.dx / n, dy=action.dy / n)
                    self.clock += 0.03
            case Type():
                for letter in action.text:
                    self.key(letter, letter, ("shift",) if letter.isupper() else ())
                    self.clock += 0.02
            case Key():
                *held, key = ["+"] if action.keys == "+" else action.keys.split("+")
                self.key(key, " " if key == "space" else "", tuple(held))
            case _:
                raise AssertionError(action)


def perform(actions: list[Action], apart: float = 1.2) -> list[Raw]:
    hand = Hand()
    for index, action in enumerate(actions):
        if isinstance(action, Wait):
            hand.clock += action.seconds
        else:
            hand.clock += apart if index and not isinstance(actions[index - 1], Wait) else 0.0
            hand.do(action)
    return hand.events


def actions_of(found: list[Reduced]) -> list[Action]:
    return [reduced.action for reduced in found]


column = st.integers(0, WIDTH - 1).map(lambda i: from_pixel(i, WIDTH))
row = st.integers(0, HEIGHT - 1).map(lambda i: from_pixel(i, HEIGHT))
letters = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)
chords = st.builds(
    lambda held, key: Key("+".join([*[m for m in MODIFIERS if m in held], key])),
    st.sets(st.sampled_from(("ctrl", "alt", "meta", "shift"))),
    st.sampled_from([name for name in NAMED_KEYS if name != "space"]),
)
hotkeys = st.builds(
    lambda m, key: Key(f"{m}+{key}"), st.sampled_from(("ctrl", "alt", "meta")), st.sampled_from("acsvz5")
)
notches = st.integers(-20, 20)


def far(drag: Drag) -> bool:
    (x, y), (to_x, to_y) = ((to_pixel(a, WIDTH), to_pixel(b, HEIGHT)) for a, b in points(drag))
    return max(abs(x - to_x), abs(y - to_y)) > GestureLimits().near


actions = st.one_of(
    st.builds(Click, column, row),
    st.builds(DoubleClick, column, row),
    st.builds(RightClick, column, row),
    st.builds(Drag, column, row, column, row).filter(far),
    st.one_of(st.builds(Scroll, column, row, notches), st.builds(Scroll, column, row, st.just(0), notches)).filter(
        lambda scroll: scroll.dy or scroll.dx
    ),
    letters.filter(lambda text: text != " ").map(Type),
    chords,
    hotkeys,
    st.just(Key("space")),
    st.integers(20, 300).map(lambda tenths: Wait(tenths / 10)),
)


def canonical(sequence: list[Action]) -> bool:
    """Whether every action can be told from its neighbours: two runs of text are one, so are two waits."""
    if sequence and (isinstance(sequence[0], Wait) or isinstance(sequence[-1], Wait)):
        return False
    if any(isinstance(a, Wait) and isinstance(b, Wait) for a, b in itertools.pairwise(sequence)):
        return False
    keys = (Key("space"), Key("backspace"))
    text = [isinstance(a, Type) or a in keys for a in sequence if not isinstance(a, Wait)]
    return not any(a and b for a, b in itertools.pairwise(text))


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, max_size=8).filter(canonical))
def test_what_was_done_is_what_is_understood(sequence: list[Action]) -> None:
    assert actions_of(reduce_events(perform(sequence))) == sequence


@settings(max_examples=200, deadline=None)
@given(st.text("abc\b", max_size=30))
def test_backspace_edits_are_resolved(keys: str) -> None:
    """What is stored gives the same text, and nothing else of what a selection held before: a run never vanishes."""
    hand, kept = Hand(), ""
    for letter in keys:
        hand.clock += 0.1
        if letter == "\b":
            hand.key("backspace")
            kept = kept[:-1]
        else:
            hand.key(letter, letter)
            kept += letter
    text = ""
    found = actions_of(reduce_events(hand.events))
    for action in found:
        text = text + action.text if isinstance(action, Type) else text[:-1]
    assert text == kept
    if keys[:1] not in ("", "\b"):
        assert isinstance(found[0], Type) and found[0].text[0] == keys[0]


def edited(*steps: tuple[str, str | None] | str) -> list[Action]:
    """Type texts; a pair is a key, and what the field says that it removed."""
    hand = Hand()
    for step in steps:
        if isinstance(step, str):
            hand.add("text", text=step)
        else:
            held = ("ctrl",) if step[0] == "word" else ()
            hand.add("key", key="backspace", text="", modifiers=list(held), removed=step[1])
            if step[1] is None:
                del hand.events[-1]["removed"]
    return actions_of(reduce_events(hand.events))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["hi ", "👨‍👩‍👧", ("one", "👨‍👩‍👧"), "👍"], [Type("hi 👍")]),
        (["hi ", "👨‍👩‍👧", ("one", None), "👍"], [Type("hi 👨‍👩‍👧"), Key("backspace"), Type("👍")]),
        (["to be", ("word", "be"), "go"], [Type("to go")]),
        (["to be", ("word", None), "go"], [Type("to be"), Key("ctrl+backspace"), Type("go")]),
        (["ab", ("one", ""), "c"], [Type("ab"), Key("backspace"), Type("c")]),
        (["ab", ("one", "x"), "c"], [Type("ab"), Key("backspace"), Type("c")]),
        (["e\u0301", ("one", None)], [Type("e\u0301"), Key("backspace")]),
        (["a", ("one", "a")], []),
        (["a", ("one", None)], [Type("a"), Key("backspace")]),
    ],
)
def test_only_what_a_field_lost_is_taken_back(steps: list[Any], expected: list[Action]) -> None:
    assert edited(*steps) == expected


def test_what_replaced_a_selection_is_not_taken_back() -> None:
    hand = Hand()
    for number, letter in enumerate("xy"):
        hand.add("key", key=letter, text=letter, modifiers=[], replaces=not number)
    for letter in "yx":
        hand.add("key", key="backspace", text="", modifiers=[], removed=letter)
    assert actions_of(reduce_events(hand.events)) == [Type("x"), Key("backspace")]


def test_a_note_says_what_was_pasted() -> None:
    hand = Hand()
    hand.add("text", text="a")
    hand.add("text", text="b", source="pasted")
    hand.add("text", text="c", source="composed")
    assert [(r.action, r.note) for r in reduce_events(hand.events)] == [
        (Type("a"), ""), (Type("b"), "pasted"), (Type("c"), ""),
    ]  # fmt: skip


def test_the_count_of_a_page_is_the_truth() -> None:
    hand = Hand()
    for count, later in ((1, 0.1), (1, 0.1), (2, 0.8), (3, 0.8), (4, 0.1), (5, 0.1)):
        hand.clock += later
        hand.at("press", (0.5, 0.5), button="left", count=count)
        hand.at("release", (0.5, 0.5), button="left")
    assert [a.verb for a in actions_of(reduce_events(hand.events))] == ["click", "triple_click", "double_click"]


def test_three_fast_presses_are_a_triple_click_and_a_fourth_begins_anew() -> None:
    hand = Hand()
    for _ in range(4):
        hand.button((0.5, 0.5))
        hand.clock += 0.2
    found = reduce_events(hand.events)
    assert [(r.action.verb, r.first, r.last) for r in found] == [("triple_click", 0, 5), ("click", 6, 7)]


def test_what_is_held_stays_with_its_gesture() -> None:
    hand, held = Hand(), ["shift", "ctrl"]
    for button, to in (("left", 0.5), ("right", 0.5), ("left", 0.9)):
        hand.clock += 1
        hand.at("press", (0.5, 0.5), button=button, modifiers=held)
        hand.at("release", (to, 0.5), button=button, modifiers=[])
    for modifiers in (held, held, []):
        hand.at("wheel", (0.5, 0.5), dx=0.0, dy=1.0, modifiers=modifiers)
    found = [(a.verb, a.held) for a in actions_of(reduce_events(hand.events))]
    wanted = "ctrl+shift"
    assert found == [
        ("click", wanted), ("right_click", wanted), ("drag", wanted), ("scroll", wanted), ("scroll", ""),
    ]  # fmt: skip


def test_clicks_under_other_modifiers_are_no_double_click_and_a_break_is_said() -> None:
    hand, reducer, found = Hand(), Reducer(), []
    for count, modifiers in ((1, []), (2, ["ctrl"])):
        hand.at("press", (0.5, 0.5), button="left", count=count, modifiers=modifiers)
        hand.at("release", (0.5, 0.5), button="left", modifiers=modifiers)
    for event in hand.events:
        found += reducer.feed(event)
    assert [a.verb for a in actions_of([*found, *reducer.flush()])] == ["click", "click"]
    assert "multiple click" in reducer.lost[0]


def test_a_drag_from_a_double_click_is_said() -> None:
    reducer, hand = Reducer(), Hand()
    hand.button((0.2, 0.5))
    hand.clock += 0.1
    hand.button((0.2, 0.5), (0.6, 0.5))
    for event in hand.events:
        reducer.feed(event)
    assert "by words" in reducer.lost[0]


def test_a_move_comes_before_the_press_that_it_made_possible() -> None:
    hand = Hand()
    hand.at("move", (0.3, 0.3))
    hand.clock += 3
    hand.button((0.3, 0.6))
    found = reduce_events([{**event, "frame_time": 0.0} for event in hand.events])
    assert [(r.action.verb, r.first) for r in found] == [("move", 0), ("click", 1)]


raw_events = st.one_of(
    st.builds(
        lambda kind, x, y, button: {"kind": kind, "x": x, "y": y, "width": 9, "height": 7, "button": button},
        st.sampled_from(["press", "release"]), st.integers(-5, 20), st.integers(-5, 20),
        st.sampled_from(["left", "middle", "right"]),
    ),
    st.builds(
        lambda x, dx, dy: {"kind": "wheel", "x": x, "y": 1, "width": 9, "height": 7, "dx": dx, "dy": dy},
        st.integers(-5, 20), st.floats(-300, 300), st.floats(-300, 300),
    ),
    st.builds(
        lambda key, text, held, secret: {"kind": "key", "key": key, "text": text, "modifiers": held, "secret": secret},
        st.sampled_from(["a", "+", "backspace", "enter", "shift", "capslock", "dead"]), st.sampled_from(["", "a", "é"]),
        st.lists(st.sampled_from(MODIFIERS), unique=True), st.booleans(),
    ),
    st.just({"kind": "idle"}), st.just({"kind": "pause"}), st.just({"kind": "text", "text": "你好"}),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(raw_events, st.floats(0, 5)), max_size=40))
def test_no_order_of_events_breaks_it(events: list[tuple[Raw, float]]) -> None:
    clock, reducer, found = 0.0, Reducer(), []
    for count, (event, later) in enumerate(events):
        clock += later
        found += reducer.feed({**event, "time": clock})
        assert reducer.pending is None or reducer.pending.verb
        assert all(0 <= index <= count for index in reducer.open)
    found += reducer.flush()
    assert reducer.pending is None
    assert all(0 <= r.first <= r.last < len(events) for r in found)
    presses = sum(event["kind"] == "press" for event, _ in events)
    clicks = sum(
        {"click": 1, "right_click": 1, "double_click": 2, "triple_click": 3, "drag": 1}.get(r.action.verb, 0)
        for r in found
    )
    assert clicks <= presses


def test_a_click_points_at_its_press_and_the_frame_before_it() -> None:
    hand = Hand()
    hand.key("a", "a")
    hand.clock += 1
    hand.button((0.5, 0.5), (0.51, 0.5))
    typed, click = reduce_events(hand.events)
    assert typed == Reduced(Type("a"), 0, 0)
    assert (click.first, click.last) == (1, 2)
    assert points(click.action) == ((from_pixel(160, WIDTH), from_pixel(100, HEIGHT)),)


def test_the_frame_of_a_chord_is_that_before_its_modifiers() -> None:
    hand = Hand()
    hand.button((0.2, 0.5))
    hand.clock += 1
    hand.key("s", "", ("ctrl", "shift"))
    hand.key("A", "A", ("shift",))
    found = reduce_events(hand.events)
    assert [(r.action, r.first, r.last) for r in found[1:]] == [(Key("ctrl+shift+s"), 2, 4), (Type("A"), 5, 6)]


def test_two_slow_clicks_are_no_double_click() -> None:
    hand = Hand()
    hand.button((0.5, 0.5))
    hand.clock += 0.6
    hand.button((0.5, 0.5))
    assert [a.verb for a in actions_of(reduce_events(hand.events))] == ["click", "click"]


def test_two_fast_clicks_apart_are_two_clicks() -> None:
    hand = Hand()
    hand.button((0.2, 0.5))
    hand.clock += 0.1
    hand.button((0.8, 0.5))
    assert [a.verb for a in actions_of(reduce_events(hand.events))] == ["click", "click"]


def test_a_click_and_a_drag_from_there_stay_apart() -> None:
    hand = Hand()
    hand.button((0.2, 0.5))
    hand.clock += 0.1
    hand.button((0.2, 0.5), (0.6, 0.5))
    assert [a.verb for a in actions_of(reduce_events(hand.events))] == ["click", "drag"]


def test_the_frame_of_a_double_click_is_that_before_its_first_press() -> None:
    (found,) = reduce_events(perform([DoubleClick(0.5, 0.5)]))
    assert (found.first, found.last) == (0, 3)


def test_scrolls_back_and_forth_stay_apart() -> None:
    hand = Hand()
    for dy in (1, 1, 1, -1, 0.5, 0.5):
        hand.clock += 0.05
        hand.at("wheel", (0.5, 0.5), dx=0.0, dy=dy)
    assert [a.dy for a in actions_of(reduce_events(hand.events)) if isinstance(a, Scroll)] == [3, -1, 1]


def test_waiting_for_the_screen_is_a_wait_and_thinking_is_not() -> None:
    hand = Hand()
    hand.button((0.2, 0.5))
    done = hand.clock
    hand.clock += 1.0
    hand.add("idle")
    hand.clock = done + 9.0
    hand.at("press", (0.3, 0.5), button="left", frame_time=done + 4.2)
    hand.at("release", (0.3, 0.5), button="left", frame_time=done + 4.2)
    thought = hand.clock
    hand.clock += 30
    hand.at("press", (0.4, 0.5), button="left", frame_time=thought + 0.1)
    hand.at("release", (0.4, 0.5), button="left", frame_time=thought + 0.1)
    found = reduce_events(hand.events)
    assert [r.action.verb for r in found] == ["click", "wait", "click", "click"]
    assert found[1] == Reduced(Wait(4.2), 2, 2)  # its frame is the one on which the person waited


def test_a_pause_is_no_wait() -> None:
    hand = Hand()
    hand.button((0.2, 0.5))
    hand.clock += 20
    hand.add("pause")
    hand.clock += 20
    hand.button((0.3, 0.5))
    assert [a.verb for a in actions_of(reduce_events(hand.events))] == ["click", "click"]


def test_passwords_are_never_kept() -> None:
    reducer, found = Reducer(), []
    for letter, secret in [("b", False), *((letter, True) for letter in "hunter2"), ("x", False)]:
        event = {"kind": "key", "key": letter, "text": letter, "modifiers": [], "secret": secret, "time": 1.0}
        found += reducer.feed(event)
        assert "hunt" not in str(reducer.pending)
    assert actions_of([*found, *reducer.flush()]) == [Type("b"), Type(SECRET), Type("x")]


def test_long_text_is_split() -> None:
    hand = Hand()
    hand.add("text", text="x" * (MAX_TEXT + 5))
    assert [len(a.text) for a in actions_of(reduce_events(hand.events)) if isinstance(a, Type)] == [MAX_TEXT, 5]


@pytest.mark.parametrize(
    ("key", "modifiers", "said"), [("contextmenu", [], "contextmenu"), ("+", ["ctrl"], "ctrl++"), ("dead", [], "dead")]
)
def test_what_has_no_verb_is_told(key: str, modifiers: list[str], said: str) -> None:
    reducer = Reducer()
    assert reducer.feed({"kind": "key", "key": key, "text": "", "modifiers": modifiers, "time": 0.0}) == []
    assert said in reducer.lost[0]


def test_what_is_going_on_is_told_at_once() -> None:
    reducer, seen = Reducer(), []
    for event in perform([Type("hi"), Click(0.5, 0.5)]):
        reducer.feed(event)
        seen.append(reducer.pending)
    assert seen[0] == Type("h") and seen[1] == Type("hi")
    assert isinstance(seen[-1], Click)
