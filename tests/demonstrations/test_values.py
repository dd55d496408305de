from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.chores import AT, OPTIONS, SCREEN, chore, step, stored

from showonce.actions import MAX_TEXT, Click, Key, Type
from showonce.demonstrations.binding import bind
from showonce.demonstrations.dates import ISO
from showonce.demonstrations.values import VALUES, Value, load_values, name_from, save_values
from showonce.errors import DemonstrationError
from showonce.types import Demonstration, Element, Frame, Task


def by_name(folder: Path) -> dict[str, Value]:
    return {value.name: value for value in load_values(folder)}


def test_every_typed_and_chosen_text_is_named_by_its_label(tmp_path: Path) -> None:
    found = [(v.name, v.kind, v.recorded, v.steps) for v in load_values(stored(tmp_path))]
    assert found == [
        ("user", "constant", "clerk", (2,)),
        ("password", "secret", "", (3,)),
        ("find_a_customer", "constant", "Grace Hopper", (5, 6)),
        ("subject", "constant", "Call for Grace Hopper", (8,)),
        ("due_date", "constant", "2026-11-30", (9,)),
        ("category", "constant", "Complaint", (10, 11)),
        ("priority", "constant", "High", (13,)),
        ("amount", "constant", "5", (14,)),
    ]
    named = by_name(tmp_path / "shown")
    assert named["due_date"].form == "%Y-%m-%d" and named["subject"].longest == 40
    assert named["category"].choices == ("Question", "Complaint", "Order")


def test_the_same_text_is_one_value_and_two_labels_alike_are_two_names(tmp_path: Path) -> None:
    frames = (
        step(Type("Ann"), "textbox", "Name"),
        step(Type("Bob"), "textbox", "Name"),
        step(Type("Ann"), "textbox", "Again"),
    )
    found = load_values(stored(tmp_path, Demonstration("user/x", "g", frames)))
    assert [(v.name, v.recorded, v.steps) for v in found] == [("name", "Ann", (1, 3)), ("name_2", "Bob", (2,))]


def test_a_recording_without_roles_still_has_values(tmp_path: Path) -> None:
    frames = tuple(replace(frame, targets=()) for frame in chore().frames)
    found = load_values(stored(tmp_path, replace(chore(), frames=frames)))
    assert ("find_a_customer", "Grace Hopper", (5, 6)) in [(v.name, v.recorded, v.steps) for v in found]
    assert "due_date" in [v.name for v in found]


def test_a_long_text_in_several_steps_is_one_value(tmp_path: Path) -> None:
    text = "wörd " * 500
    parts = [text[at : at + MAX_TEXT] for at in range(0, len(text), MAX_TEXT)]
    shown = Demonstration("user/x", "g", tuple(step(Type(part), "textbox", "Note") for part in parts))
    assert [(v.recorded, v.steps) for v in load_values(stored(tmp_path, shown))] == [(text.strip(), (1, 2))]


def test_a_date_typed_part_by_part_is_what_the_field_holds_then(tmp_path: Path) -> None:
    def part(action: Type | Key, value: str = "") -> Frame:
        return step(action, "textbox", "Due", attributes={"type": "date"}, value=value)

    frames = (
        part(Type("3")), part(Key("right")), part(Type("4")), part(Key("tab")), part(Type("2026"), "2026-03-04"),
        part(Key("tab"), "2026-03-04"), step(Type("x"), "textbox", "Note"),
    )  # fmt: skip
    shown = Demonstration("user/x", "g", frames)
    found = load_values(stored(tmp_path, shown))
    assert [(v.recorded, v.steps, v.form) for v in found] == [("2026-03-04", (1, 2, 3, 4, 5), ISO), ("x", (7,), "")]
    due = replace(found[0], kind="parameter", form="%d.%m.%Y", recorded="04.03.2026")
    bound, _ = bind(shown, Task("user/x", "g"), [due], {"due": "2027-01-02"})
    assert [frame.action for frame in bound.frames] == [
        Type("2027-01-02"), *[Type("")] * 4, Key("tab"), Type("x")
    ]  # fmt: skip


def test_a_button_after_a_typed_text_is_no_choice(tmp_path: Path) -> None:
    search = step(AT, "button", "Search", attributes={"type": "submit"})
    frames = (step(Type("sea"), "textbox", "Find"), search, step(AT, "menuitem", "Log out"))
    assert [v.recorded for v in load_values(stored(tmp_path, Demonstration("user/x", "g", frames)))] == ["sea"]


def test_an_option_is_chosen_by_its_role_and_named_by_the_list_that_was_opened(tmp_path: Path) -> None:
    frames = (
        step(AT, "combobox", "Country", options=("Norway", "Peru")),
        step(AT, "option", "Norway", options=("Norway", "Peru")),
        step(AT, "radio", "Express", near=("Delivery",)),
    )
    found = load_values(stored(tmp_path, Demonstration("user/x", "g", frames)))
    assert [(v.name, v.recorded) for v in found] == [("country", "Norway"), ("delivery", "Express")]
    assert [v.choices for v in found] == [("Norway", "Peru"), ()]


def test_an_entry_of_a_list_made_of_blocks_stands_below_what_opened_it(tmp_path: Path) -> None:
    def block(name: str, top: float, left: float = 0.1, near: tuple[str, ...] = ()) -> Frame:
        element = Element(name, (left, top, left + 0.2, top + 0.05), "button", near=near)
        return Frame(SCREEN, AT, target=name, targets=(element,))

    frames = (
        block("Normal", 0.3, near=("Priority",)), block("High", 0.5, near=("New ticket",)), block("Save", 0.55),
        block("More", 0.3, near=("Orders",)), block("Delete", 0.3, 0.5),
    )  # fmt: skip
    found = load_values(stored(tmp_path, Demonstration("user/x", "g", frames)))
    assert [(v.name, v.recorded, v.steps) for v in found] == [("priority", "High", (2,))]


def test_a_list_that_keys_open_is_chosen_by_the_entry_that_is_taken(tmp_path: Path) -> None:
    def entry(key: str, name: str) -> Frame:
        return step(Key(key), "option", name, near=("Category",))

    opened = step(Key("down"), "combobox", "Category", value="Billing", options=OPTIONS)
    frames = (opened, entry("down", "Question"), entry("down", "Complaint"), entry("enter", "Order"))
    shown = Demonstration("user/x", "g", frames)
    found = load_values(stored(tmp_path, shown))
    assert [(v.name, v.recorded, v.steps, v.choices) for v in found] == [("category", "Order", (2, 3, 4), OPTIONS)]
    values = [replace(found[0], kind="parameter")]
    bound, _ = bind(shown, Task("user/x", "g"), values, {"category": "Question"})
    assert [f.action for f in bound.frames] == [Key("down"), Type(""), Type(""), Click(0.2, 0.15000000000000002)]
    assert bound.frames[3].targets[0].name == "Question" and bound.frames[3].targets[0].bound
    assert bound.frames[1].targets[0].name == "Question" and not bound.frames[1].targets[0].bound


@pytest.mark.parametrize("last", [Key("enter"), AT])
def test_the_choices_of_a_list_are_those_of_what_opened_it(tmp_path: Path, last: Key | Click) -> None:
    """A browser tells the entries with the list, not with an entry."""
    frames = (
        step(AT, "combobox", "Category", options=OPTIONS),
        *((step(Type("Order"), "option", "Question", near=("Category",)),) if isinstance(last, Key) else ()),
        step(last, "option", "Order", near=("Category",)),
    )
    [found] = load_values(stored(tmp_path, Demonstration("user/x", "g", frames)))
    assert (found.name, found.recorded, found.choices) == ("category", "Order", OPTIONS)


def test_a_search_result_is_the_value_and_not_what_was_typed_for_it(tmp_path: Path) -> None:
    frames = (
        step(Type("turing"), "searchbox", "Search"),
        step(Key("enter"), "searchbox", "Search"),
        step(Click(0.5, 0.5), "link", "Alan Turing"),
    )
    found = load_values(stored(tmp_path, Demonstration("user/x", "g", frames)))
    assert [(v.name, v.recorded, v.steps) for v in found] == [("search", "Alan Turing", (1, 3))]


def test_what_is_saved_is_read_and_the_episode_stays_as_it_was(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    values = tuple(
        replace(v, kind="parameter", optional=True) if v.name == "amount" else v for v in load_values(folder)
    )
    save_values(folder, values)
    assert load_values(folder) == values
    data = json.loads((folder / VALUES).read_text("utf-8"))
    assert data["schema_version"] == 1 and "password" not in [one["name"] for one in data["values"]]
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.name != VALUES} == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ('{"values": []}', "schema_version"),
        ('{"schema_version": 9, "values": []}', "newer"),
        ('{"schema_version": 1, "values": [{"name": "a", "stepz": [1]}]}', "'steps'"),
        ('{"schema_version": 1, "values": [{"name": "a", "kind": "parametr"}]}', "parameter"),
        ('{"schema_version": 1, "values": [{"name": "a"}]}', "no step uses 'a'"),
        ('{"schema_version": 1, "values": [{"name": "a", "steps": [99]}]}', "step 99"),
        ('{"schema_version": 1, "values": [{"name": "a", "steps": [2]}, {"name": "a", "steps": [8]}]}', "two values"),
        ('{"schema_version": 1, "values": [{"name": "a b", "steps": [2]}]}', "not a name"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, content: str, says: str) -> None:
    folder = stored(tmp_path)
    (folder / VALUES).write_text(content, "utf-8")
    with pytest.raises(DemonstrationError) as error:
        load_values(folder)
    assert says in str(error.value) and str(folder) in str(error.value)


def test_names_of_labels() -> None:
    assert name_from("E-Mail (privat)") == "e_mail_privat"
    assert name_from("***", ["text"]) == "text_2"
    assert len(name_from("word " * 30)) <= 32
