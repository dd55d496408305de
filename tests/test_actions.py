"""The verbs: one definition, checked when made, the same after JSON, the same place after pixels."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from showonce import actions
from showonce.actions import (
    EXAMPLES,
    MAX_TEXT,
    MODIFIERS,
    NAMED_KEYS,
    VERBS,
    Action,
    Ask,
    Click,
    Done,
    Drag,
    Key,
    Open,
    Scroll,
    Type,
    Wait,
    chord_parts,
    fields_of,
    from_json,
    from_pixel,
    normal_keys,
    points,
    to_json,
    to_pixel,
)
from showonce.errors import BadInput

CHECKED = settings(deadline=None, database=None)
VALUES: dict[str, Any] = {
    "coordinate": lambda spec: st.floats(spec.low, spec.high),
    "integer": lambda spec: st.integers(int(spec.low), int(spec.high)),
    "seconds": lambda spec: st.floats(spec.low, spec.high),
    "text": lambda spec: st.text(max_size=50),
    "modifiers": lambda spec: st.sampled_from(["", "ctrl", "Shift + Control", "cmd", "meta+alt+shift+ctrl"]),
    "keys": lambda spec: st.sampled_from(["a", "Ctrl+S", "+", "shift + TAB", "esc", "cmd+alt+del", "F12"]),
}


def actions_of(cls: type[Any]) -> st.SearchStrategy[Action]:
    return st.builds(cls, **{name: VALUES[spec.kind](spec) for name, (spec, _) in fields_of(cls).items()})


@pytest.mark.parametrize("verb", VERBS)
def test_json_round_trip(verb: str) -> None:
    @CHECKED
    @given(actions_of(VERBS[verb]))
    def check(action: Action) -> None:
        plain = to_json(action)
        assert plain["action"] == verb
        unwritten = {"held"} if not getattr(action, "held", "held") else set()
        assert list(plain)[1:] == [name for name in fields_of(VERBS[verb]) if name not in unwritten]
        again = from_json(json.loads(json.dumps(plain, allow_nan=False)))
        assert again == action
        assert type(again) is VERBS[verb]

    check()


def test_every_verb_is_documented_and_has_one_example() -> None:
    assert sorted(type(example).verb for example in EXAMPLES) == sorted(VERBS)
    assert set(VERBS.values()) == set(actions.ACTION_TYPES)
    for verb, cls in VERBS.items():
        assert cls.verb == verb
        assert cls.__doc__
        assert cls.__doc__.count("\n") == 0
        assert all(spec.help and spec.low <= spec.high for spec, _ in fields_of(cls).values())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "unknown action None"),
        ({"action": "clikc", "x": 0.5, "y": 0.5}, "Did you mean 'click'"),
        ({"action": "click", "x": 0.5}, "click lacks its argument 'y'"),
        ({"action": "click", "x": 0.5, "y": 0.5, "z": 1}, "click has no argument 'z'"),
        ({"action": "type", "txt": "a"}, "no argument 'txt'. Did you mean 'text'"),
        ({"action": ["click"]}, "unknown action"),
    ],
)
def test_json_that_is_no_action(data: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_json(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: Click(1.001, 0.5), "click.x must lie in [0, 1]"),
        (lambda: Click(0.5, -0.001), "click.y must lie in [0, 1]"),
        (lambda: Click(math.nan, 0.5), "click.x must be a finite number"),
        (lambda: Click(0.5, math.inf), "click.y must be a finite number"),
        (lambda: Click(True, 0.5), "click.x must be a finite number"),
        (lambda: Click("0.5", 0.5), "click.x must be a finite number"),
        (lambda: Drag(0.1, 0.2, 0.3, 7), "drag.to_y must lie in [0, 1]"),
        (lambda: Scroll(0.5, 0.5, 2.5), "scroll.dy must be a whole number"),  # type: ignore[arg-type]
        (lambda: Scroll(0.5, 0.5, 51), "scroll.dy must lie in [-50, 50]"),
        (lambda: Scroll(0.5, 0.5, 1, -51), "scroll.dx must lie in [-50, 50]"),
        (lambda: Wait(60.1), "wait.seconds must lie in [0, 60]"),
        (lambda: Type(5), "type.text must be text"),
        (lambda: Open("a" * (MAX_TEXT + 1)), f"the most is {MAX_TEXT}"),
        (lambda: Done(None), "done.answer must be text"),
        (lambda: Key("ctrl"), "needs exactly one key"),
        (lambda: Click(0.5, 0.5, "shfit"), "unknown modifier 'shfit' in 'shfit'. Did you mean 'shift'"),
        (lambda: Scroll(0.5, 0.5, 1, 0, "ctrl+a"), "unknown modifier 'a'"),
    ],
)
def test_an_action_is_checked_when_it_is_made(make: Any, where: str) -> None:
    with pytest.raises(BadInput) as caught:
        make()
    assert where in str(caught.value)


def test_values_are_made_plain() -> None:
    assert type(Click(1, 0).x) is float
    assert type(Scroll(0, 0, 3.0).dy) is int  # type: ignore[arg-type]
    assert Key("Return").keys == "enter"
    assert Drag(0, 0, 1, 1, "Shift + Control").held == "ctrl+shift"
    assert hash(Click(0.5, 0.5)) == hash(Click(0.5, 0.5))


# -- keys --------------------------------------------------------------------------------------------------------


def test_a_chord_is_taken_apart_and_plus_may_be_its_key() -> None:
    chords = {"+": ("+",), "ctrl++": ("ctrl", "+"), "ctrl+shift+s": ("ctrl", "shift", "s"), "f": ("f",)}
    assert {keys: chord_parts(keys) for keys in chords} == chords


@pytest.mark.parametrize(
    ("given_keys", "normal"),
    [
        ("Enter", "enter"),
        ("Return", "enter"),
        ("esc", "escape"),
        ("S+Control", "ctrl+s"),
        ("shift+CTRL+del", "ctrl+shift+delete"),
        ("Cmd+Win+a", "meta+a"),
        (" ctrl + s ", "ctrl+s"),
        ("+", "+"),
        ("Ctrl++", "ctrl++"),
        ("ctrl + +", "ctrl++"),
        ("F12", "f12"),
    ],
)
def test_normal_keys(given_keys: str, normal: str) -> None:
    assert normal_keys(given_keys) == normal


@pytest.mark.parametrize(
    ("keys", "message"),
    [("", "exactly one"), ("ctrl", "exactly one"), ("a+b", "exactly one"), ("ctrl+entr", "Did you mean 'enter'")],
)
def test_chords_that_are_none(keys: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        normal_keys(keys)


PARTS = st.sampled_from([*MODIFIERS, *NAMED_KEYS, "Control", "cmd", "esc", "a", "Z", "7", "é", "", " ", "nokey"])


@CHECKED
@given(st.lists(PARTS, max_size=5).map("+".join) | st.text(max_size=6))
@example("ctrl++")  # the key + itself
def test_normal_keys_are_normal_or_refused(keys: str) -> None:
    try:
        normal = normal_keys(keys)
    except BadInput:
        return
    assert normal_keys(normal) == normal
    *modifiers, key = chord_parts(normal)
    assert modifiers == [name for name in MODIFIERS if name in modifiers]
    assert key in NAMED_KEYS or len(key) == 1


# -- places ------------------------------------------------------------------------------------------------------

sizes = st.integers(1, 20_000)


@CHECKED
@given(st.data(), sizes)
def test_a_pixel_survives_the_way_there_and_back(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    fraction = from_pixel(index, size)
    assert 0.0 <= fraction <= 1.0
    assert to_pixel(fraction, size) == index


@CHECKED
@given(st.floats(0, 1), st.floats(0, 1), sizes)
def test_pixels_lie_in_the_frame_in_order_and_near_their_place(a: float, b: float, size: int) -> None:
    low, high = sorted((a, b))
    assert 0 <= to_pixel(low, size) <= to_pixel(high, size) <= size - 1
    assert abs(from_pixel(to_pixel(a, size), size) - a) <= 0.5 / size + 1e-12


@pytest.mark.parametrize(
    ("value", "size", "pixel"), [(0.0, 10, 0), (0.0999, 10, 0), (0.1, 10, 1), (0.999, 10, 9), (1.0, 10, 9), (1.0, 1, 0)]
)
def test_the_formula_of_pixels(value: float, size: int, pixel: int) -> None:
    assert to_pixel(value, size) == pixel


def test_from_pixel_is_the_centre_and_stays_in_the_frame() -> None:
    assert from_pixel(0, 4) == 0.125
    assert from_pixel(-3, 4) == 0.0
    assert from_pixel(9, 4) == 1.0


def test_points() -> None:
    assert points(Drag(0.1, 0.2, 0.3, 0.4)) == ((0.1, 0.2), (0.3, 0.4))
    assert points(Scroll(0.1, 0.2, 3)) == ((0.1, 0.2),)
    assert points(Ask("why")) == ()
    assert {type(action).verb for action in EXAMPLES if points(action)} == {
        *("click", "double_click", "triple_click", "right_click", "move", "drag", "scroll"),
    }
