from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chores import AT, BOX, SCREEN, chore, step, stored, task

from showonce.actions import MAX_TEXT, Done, Key, Type
from showonce.demonstrations.binding import Swap, bind, checked, parse_given, resolve, row_key, template_of
from showonce.demonstrations.values import Value, acts_of, load_values, propose
from showonce.errors import BadInput, ConfigError
from showonce.types import Check, Demonstration, Element, Episode, Frame, Outcome, Step, StopReason, Task

NAMES = {"find_a_customer": "customer"}
TODAY = date(2026, 11, 27)  # a Friday
words = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=4).map(" ".join)


def values(folder: Path, **kinds: str) -> tuple[Value, ...]:
    """Return the values of the chore; kinds: name="parameter", or an expression."""
    found = []
    for value in load_values(stored(folder)):
        value = replace(value, name=NAMES.get(value.name, value.name))
        kind = kinds.get(value.name, value.kind)
        if kind in ("constant", "parameter", "secret"):
            found.append(replace(value, kind=kind))
        else:
            found.append(replace(value, kind="computed", expression=kind))
    return tuple(found)


def same(one: Demonstration, other: Demonstration) -> bool:
    def told(shown: Demonstration) -> list[object]:
        frames = [(f.action, f.note, f.target, f.targets) for f in shown.frames]
        return [shown.goal, frames, shown.checks, shown.sends, shown.lost]

    return told(one) == told(other)


def proposed(frames: tuple[Frame, ...], goal: str = "g") -> tuple[Demonstration, tuple[Value, ...]]:
    """Return a demonstration and its values, all of them parameters, without a file."""
    steps = tuple(
        Step(i, "", "", f.action, f.action, f.action, "person", None, targets=f.targets) for i, f in enumerate(frames)
    )
    episode = Episode("e", "user/x", goal, 0, "record", steps, StopReason.COMPLETED, Outcome(True, "text"), 1.0)
    assert len(acts_of(episode)) == len(frames)
    shown = Demonstration("user/x", goal, frames)
    return shown, tuple(replace(v, kind="parameter") if v.kind != "secret" else v for v in propose(episode))


def test_another_customer_stands_in_every_place_of_the_recorded_one(tmp_path: Path) -> None:
    known = values(tmp_path, customer="parameter", subject="Call for {customer}", priority="parameter")
    bound, due = bind(chore(), task(), known, {"customer": "Alan Turing", "priority": "Low"})
    assert bound.goal == due.goal == "Make a ticket for Alan Turing"
    assert due.success.value == "Ticket 7 for Alan Turing"
    actions = [frame.action for frame in bound.frames]
    assert actions[4] == Type("turing") and actions[7] == Type("Call for Alan Turing ")
    assert [bound.frames[at].target for at in (5, 12, 14)] == ["Alan Turing", "Low", "Alan Turing"]
    row, pick, link, save = (bound.frames[at].targets[0] for at in (6, 12, 14, 15))
    assert row.near == ("Alan Turing", "Orders") and row.bound == ("Alan Turing",)
    assert row.attributes == {"type": "button"}  # its id had the number of a record
    assert link.attributes == {} and pick.bound == ("Low",)
    assert save.attributes == {"id": "save"} and save.near == ("Ticket for Alan Turing",)
    assert [check.text for check in bound.checks] == ["Grace Hopper", "Ticket for Alan Turing saved"]
    assert bound.frames[15].targets[0].bound and not bound.frames[7].targets[0].bound
    assert len(bound.frames) == len(chore().frames) and bound.sends == chore().sends


def test_what_stands_beside_the_recorded_record_is_not_looked_for_beside_another() -> None:
    row = {"near": ("Northwind", "Name", "Customers"), "count": 1}
    order = {"near": ("1014-12", "Annual service plan", "2025-03-07", "€ 99.00", "Orders"), "count": 10}
    frames = (
        step(Type("Grace Hopper"), "searchbox", "Find"),
        step(AT, "link", "Grace Hopper", **row),
        step(AT, "button", "New ticket", **order),
        step(AT, "option", "Grace Hopper", near=("Assigned to",)),
        step(AT, "textbox", "Line 2", near=("Address 1",)),
    )
    shown, known = proposed(frames)
    bound, _ = bind(shown, Task("user/x", "g"), known, {known[0].name: "Alan Turing"})
    assert [frame.targets[0].near for frame in bound.frames[1:]] == [
        row["near"], ("Annual service plan", "Orders"), ("Assigned to",), ("Address 1",)
    ]  # fmt: skip


def test_what_is_not_named_stays_as_it_was(tmp_path: Path) -> None:
    bound, due = bind(chore(), task(), values(tmp_path), {})
    assert same(bound, chore()) and due == task()


def test_recorded_values_change_nothing(tmp_path: Path) -> None:
    names = ("customer", "subject", "due_date", "category", "priority", "amount", "user")
    known = values(tmp_path, **dict.fromkeys(names, "parameter"))
    bound, due = bind(chore(), task(), known, {value.name: value.recorded for value in known if value.name in names})
    assert same(bound, chore()) and due == task()


def test_a_date_is_typed_as_iso_and_given_as_iso(tmp_path: Path) -> None:
    known = values(tmp_path, due_date="next monday+1w")
    assert bind(chore(), task(), known, {}, TODAY)[0].frames[8].action == Type("2026-12-07")
    assert bind(chore(), task(), known, {"due_date": "2027-01-02"}, TODAY)[0].frames[8].action == Type("2027-01-02")
    assert same(bind(chore(), task(), known, {}, date(2026, 11, 20))[0], chore())  # the very day of the recording
    with pytest.raises(BadInput, match=r"'02\.01\.2027' is no date as it is written here \(2026-12-31\)"):
        bind(chore(), task(), known, {"due_date": "02.01.2027"})


def test_a_date_follows_in_the_forms_that_pages_show() -> None:
    frames = (
        step(Type("11302026"), "textbox", "Due", attributes={"type": "date"}),
        step(Key("enter"), "button", "Save 30 Nov 2026", near=("Due 30.11.2026", "November 30, 2026")),
    )
    shown, known = proposed(frames)
    bound, _ = bind(shown, Task("user/x", "g"), known, {"due": "2026-12-01"})
    save = bound.frames[1].targets[0]
    assert (save.name, save.near) == ("Save 01 Dec 2026", ("Due 01.12.2026", "December 01, 2026"))


def test_another_option_of_a_native_list_is_typed_into_it(tmp_path: Path) -> None:
    known = values(tmp_path, category="parameter")
    bound, _ = bind(chore(), task(), known, {"category": " order"})
    assert [frame.action for frame in bound.frames[9:11]] == [Type("Order"), Type("")]
    with pytest.raises(BadInput, match=r"category: 'Orders' is not in the list\. Did you mean 'Order'\?"):
        bind(chore(), task(), known, {"category": "Orders"})


def test_a_short_value_follows_only_where_it_is_the_whole_text(tmp_path: Path) -> None:
    bound, _ = bind(chore(), task(), values(tmp_path, amount="parameter"), {"amount": "12"})
    assert bound.frames[13].action == Type("12") and bound.frames[14].targets == chore().frames[14].targets


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("url", "*/customers?q=Grace%20Hopper", "*/customers?q=Alan%20Turing"),
        ("url", "*/customers?q=Grace+Hopper&x", "*/customers?q=Alan+Turing&x"),
        ("url", "*/Grace Hopper", "*/Alan Turing"),
        ("answer", "Grace Hopper", "Alan Turing"),
        ("selector", 'text="Grace Hopper"', 'text="Alan Turing"'),
        ("text", "Grace Hoppers", "Grace Hoppers"),
    ],
)
def test_the_success_check_follows(tmp_path: Path, kind: str, value: str, becomes: str) -> None:
    _, due = bind(chore(), task(kind, value), values(tmp_path, customer="parameter"), {"customer": "Alan Turing"})
    assert due.success.value == becomes


def test_the_answer_of_a_task_follows() -> None:
    frames = (step(Type("Grace Hopper"), "textbox", "Customer"), Frame(SCREEN, Done("Grace Hopper is done")))
    shown, known = proposed(frames)
    assert bind(shown, Task("user/x", "g"), known, {"customer": "Bo"})[0].frames[1].action == Done("Bo is done")


@pytest.mark.parametrize(
    ("typed", "new", "becomes"),
    [
        ("hop", "Alan Turing", "turing"),
        ("Hop", "Alan Turing", "Turing"),
        ("gra", "Alan Turing", "alan"),
        ("grace h", "Alan Turing", "alan turing"),
        ("Grace Hopper", "Alan Turing", "Alan Turing"),
        ("hop", "Cher", "cher"),
        ("opp", "Ada de la Cruz", "cruz"),
    ],
)
def test_what_found_the_recorded_one_finds_another(typed: str, new: str, becomes: str) -> None:
    shown, known = proposed((step(Type(typed), "textbox", "Find"), step(Key("down")), step(AT, "", "Grace Hopper")))
    assert known[0].recorded == "Grace Hopper"
    assert bind(shown, Task("user/x", "g"), known, {"find": new})[0].frames[0].action == Type(becomes)


def test_a_text_longer_than_a_step_may_type() -> None:
    text = "x" * MAX_TEXT + "y" * 5
    frames = tuple(step(Type(text[at : at + MAX_TEXT]), "textbox", "Note") for at in (0, MAX_TEXT))
    shown, known = proposed(frames)
    task_ = Task("user/x", "g")
    assert same(bind(shown, task_, known, {"note": text})[0], shown)
    typed = [f.action.text for f in bind(shown, task_, known, {"note": "short"})[0].frames]  # type: ignore[union-attr]
    assert typed == ["short", ""]
    typed = [f.action.text for f in bind(shown, task_, known, {"note": "z" * 3999})[0].frames]  # type: ignore[union-attr]
    assert [len(part) for part in typed] == [2000, 1999]
    with pytest.raises(BadInput, match="4001 characters, and 4000 fit"):
        bind(shown, task_, known, {"note": "z" * 4001})


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, 'customer is missing: customer="Grace Hopper" was recorded'),
        ({"custmer": "A"}, "Did you mean 'customer'?"),
        ({"customer": "A", "user": "bob"}, "user is a constant, 'clerk'"),
        ({"customer": "A", "password": "x"}, "password is a secret"),
        ({"customer": " "}, "customer: it is empty."),
        ({"customer": "A\nB"}, "a line break, which would press Enter"),
        ({"customer": "A\tB"}, "a tab, which would leave the field"),
        ({"customer": "<secret:password>"}, "the word of a secret"),
        ({"customer": "A", "subject": "x" * 41}, "41 characters, and 40 fit"),
    ],
)
def test_data_that_cannot_be_used_is_refused_by_name(tmp_path: Path, given_: dict[str, str], says: str) -> None:
    known = values(tmp_path, customer="parameter", subject="Call for {customer}")
    with pytest.raises(BadInput) as error:
        resolve(known, given_, TODAY)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("{custmer} called", "'custmer' is neither a value nor a date. Did you mean 'customer'?"),
        ("{subject}", "computed from itself"),
        ("{password}", "password is a secret"),
        ("tomorow", "Did you mean 'tomorrow'?"),
        ("today:Y", "no format of a date"),
    ],
)
def test_an_expression_that_is_none_is_refused(tmp_path: Path, expression: str, says: str) -> None:
    known = values(tmp_path, customer="parameter", subject=expression)
    with pytest.raises(ConfigError) as error:
        resolve(known, {"customer": "A"})
    assert says in str(error.value)


def test_a_text_may_be_computed_of_others_and_of_the_day(tmp_path: Path) -> None:
    known = values(tmp_path, customer="parameter", subject="{{{customer}}} {user} {today+1b:%d.%m.}")
    assert resolve(known, {"customer": "Bo"}, TODAY)["subject"] == "{Bo} clerk 30.11."


def test_an_unused_parameter_and_a_name_given_twice() -> None:
    with pytest.raises(ConfigError, match="a: no step uses it"):
        resolve([Value("a", "parameter")], {"a": "x"})
    with pytest.raises(ConfigError, match="a= is given twice"):
        parse_given(["a=1", "b=x=y", "a=2"])
    assert parse_given(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}


def test_an_optional_value_may_be_left_out() -> None:
    shown, known = proposed((step(Type("soon"), "textbox", "Note"), step(Key("enter"), "button", "soon")))
    known = (replace(known[0], optional=True),)
    bound, _ = bind(shown, Task("user/x", "soon"), known, {})
    assert bound.frames[0].action == Type("")
    assert bound.goal == "g" and bound.frames[1].targets[0].name == "soon"


# ------------------------------------------------------------------------------------------ properties


@settings(max_examples=60, deadline=None)
@given(texts, texts, texts)
def test_whatever_was_recorded_is_bound_to_itself_without_a_change(one: str, two: str, label: str) -> None:
    frames = (
        step(Type(f" {one} "), "textbox", label),
        step(Type(two), "textbox", "Other"),
        step(Key("enter"), "button", f"{one} {two}", near=(one, two, label), attributes={"id": one}),
    )
    shown, known = proposed(frames, f"do {one}, {two}")
    same_task = Task("user/x", shown.goal)
    bound, due = bind(shown, same_task, known, {v.name: v.recorded for v in known if v.kind == "parameter"})
    assert same(bound, shown) and due == same_task


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_a_text_is_replaced_where_it_stands_as_words_and_only_there(old: str, new: str) -> None:
    old, new = f"Zq{old}zQ", new.replace("Zq", "")
    swap = Swap({old: new})
    assert swap(f"for {old} now") == f"for {new} now"
    assert swap(f"for {old}s and s{old} and {old}_1") == f"for {old}s and s{old} and {old}_1"
    assert swap(swap(f"a {old} b")) == f"a {new} b"  # what came in is not replaced again


@pytest.mark.parametrize(
    ("pairs", "text", "becomes"),
    [
        (
            {"Ann": "Bo", "Ann Lee": "Cy Dee"},
            "Ann, Ann Lee, Annie, Ann-Marie, ann",
            "Bo, Cy Dee, Annie, Ann-Marie, ann",
        ),
        ({"Ann": "Ann Lee", "Ann Lee": "Ann"}, "Ann and Ann Lee", "Ann Lee and Ann"),
        ({"Ann": "Bo", "Ann Lee": "Ann Lee"}, "Ann Lee and Ann", "Ann Lee and Bo"),  # a constant
        ({"or": "and"}, "order or <secret:or>", "order and <secret:or>"),
        ({"secret": "x"}, "<secret> <secret:secret> secret", "<secret> <secret:secret> x"),
        ({"a.b*": "$1\\g<0>"}, "a.b* axb* (a.b*)", "$1\\g<0> axb* ($1\\g<0>)"),
        ({"C++": "D"}, "C++ and C+++", "D and D+"),
        ({"5": "7"}, "5 of 5.50, 1,5 and 15; 5.", "7 of 5.50, 1,5 and 15; 7."),
        ({"Straße": "Weg"}, "Straße Straßen", "Weg Straßen"),
        ({"Cafe": "Bar"}, "Cafe Cafe\u0301", "Bar Cafe\u0301"),
        ({"佐藤": "鈴木"}, "佐藤様のチケット", "鈴木様のチケット"),
        ({"Grace Hopper": "Bo"}, "Grace Hopper's ticket", "Bo's ticket"),
        ({"": "x"}, "nothing", "nothing"),
    ],
)
def test_words(pairs: dict[str, str], text: str, becomes: str) -> None:
    assert Swap({old: new for old, new in pairs.items() if old})(text) == becomes


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_a_template_of_a_text_gives_the_text_again(name: str, around: str) -> None:
    parameter = Value("x", "parameter", recorded=name, steps=(1,))
    text = f"{around} {name}"
    other = Value("y", "computed", recorded=text, steps=(2,), expression=template_of(text, [parameter]))
    if "{" in other.expression:
        assert resolve([parameter, other], {"x": name})["y"] == text.strip()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(words, texts, max_size=3), st.dictionaries(words, texts, max_size=3))
def test_rows_have_one_key_exactly_when_they_are_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    assert (row_key("t", one) == row_key("t", other)) == (one == other)
    assert row_key("t", one) == row_key("t", dict(reversed(one.items()))) != row_key("u", one)


def test_secrets_are_never_given_another_text() -> None:
    frames = (
        step(Type("password"), "textbox", "User"),
        step(Type("<secret:password>"), "textbox", "Password"),
        step(Key("enter"), "textbox", "<secret:password>", near=("password",)),
    )
    shown, known = proposed(frames)
    bound, _ = bind(shown, Task("user/x", "g"), known, {"user": "bob"})
    assert [f.action for f in bound.frames] == [Type("bob"), Type("<secret:password>"), Key("enter")]
    assert bound.frames[2].targets[0] == Element("<secret:password>", BOX, "textbox", near=("bob",), bound=("bob",))
    assert bound.frames[1].target == "Password"


def test_a_check_before_the_value_was_typed_is_not_about_it() -> None:
    shown, known = proposed((step(Key("enter")), step(Type("Ann"), "textbox", "Name")))
    shown = replace(shown, checks=(Check(1, "Ann", BOX), Check(2, "Ann", BOX)))
    bound, _ = bind(shown, Task("user/x", "g"), known, {"name": "Bo"})
    assert [check.text for check in bound.checks] == ["Ann", "Bo"]


def test_a_choice_is_spelt_as_in_the_list() -> None:
    value = Value("x", "parameter", choices=("Very High", "Low"))
    assert checked(value, "very high") == "Very High"


def test_addresses_are_quoted_in_both_ways() -> None:
    swap = Swap({"Ann Lée": "Bo Ö"})
    for how in (quote, quote_plus):
        assert swap.quoted(how)(f"?q={how('Ann Lée')}") == f"?q={how('Bo Ö')}"
