"""Comparing recorded things with those on the screen: each verdict, and what must never be taken for another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from showonce.runtime.targets import called, changes, find, likeness, same_thing, score
from showonce.types import Element

BOX = (0.1, 0.1, 0.2, 0.14)
PAGE = "http://crm.test/tickets"
SAVE = Element("Save", BOX, "button", near=("New ticket",), attributes={"id": "save"}, page=PAGE)
CANCEL = Element("Cancel", (0.3, 0.1, 0.4, 0.14), "button", near=("New ticket",), page=PAGE)


def rows(*names: str, action: str = "Delete") -> list[Element]:
    return [
        Element(action, (0.8, 0.1 * n, 0.9, 0.1 * n + 0.05), "button", near=(name, "Actions", "Customers"), page=PAGE,
                index=n, count=len(names))
        for n, name in enumerate(names)
    ]  # fmt: skip


def test_the_same_thing_is_sure_wherever_it_stands() -> None:
    found = find(SAVE, [CANCEL, replace(SAVE, box=(0.7, 0.8, 0.9, 0.9))])
    assert (found.verdict, found.element and found.element.box[0]) == ("sure", 0.7)
    assert changes(SAVE, replace(SAVE, box=(0.7, 0.8, 0.9, 0.9))) == ()


def test_rows_are_told_apart_by_what_stands_in_them() -> None:
    grace = rows("Grace Hopper")[0]
    found = find(replace(grace, count=3), rows("Ada Lovelace", "Grace Hopper", "Alan Turing"))
    assert found.verdict == "sure" and found.element is not None and found.element.near[0] == "Grace Hopper"


@pytest.mark.parametrize("left", [("Ada Lovelace", "Alan Turing"), ("Ada Lovelace",)])
def test_the_button_of_another_row_is_never_taken(left: tuple[str, ...]) -> None:
    found = find(rows("Grace Hopper")[0], rows(*left))
    assert found.verdict == "unsure" and "not beside 'Grace Hopper'" in found.why


def test_of_menus_with_the_same_links_the_one_with_the_same_heading_is_taken() -> None:
    top = Element("Home", BOX, "link", attributes={"href": "/home"}, page=PAGE, count=3)
    shop, foot = replace(top, near=("Our shop",), index=1), replace(top, near=("About us",), index=2)
    for one in (top, shop, foot):
        found = find(one, [top, shop, foot])
        assert (found.verdict, found.element) == ("sure", one)
    assert find(shop, [top, foot]).verdict == find(top, [shop]).verdict == "unsure"


def test_next_of_another_list_is_not_taken() -> None:
    recorded = Element("Next", BOX, "link", near=("Page 1 of 7", "Customers"), page="http://crm.test/customers")
    for pages in ("Page 1 of 2", "Page 1 of 7"):
        orders = replace(recorded, near=(pages, "Orders"), page="http://crm.test/customer/1003")
        found = find(recorded, [orders])
        assert found.verdict == "unsure" and "another page" in found.why


def test_columns_are_told_apart_by_their_heads() -> None:
    cells = [replace(one, near=("Grace", head)) for head in ("Phone", "Mail") for one in rows("Grace", action="Edit")]
    cells = [replace(one, index=n, count=2) for n, one in enumerate(cells)]
    found = find(cells[1], cells)
    assert found.verdict == "sure" and found.element is cells[1]


def test_two_that_are_alike_in_everything_are_not_sure() -> None:
    twins = rows("Grace Hopper", "Grace Hopper")
    found = find(twins[0], twins)
    assert found.verdict == "unsure" and len(found.rivals) == 2 and "2 things are called 'Delete'" in found.why


def test_a_renamed_button_is_found_where_all_else_agrees() -> None:
    renamed = replace(SAVE, name="Store ticket")
    found = find(SAVE, [CANCEL, renamed])
    assert found.verdict == "sure" and found.element == renamed and found.score.renamed
    assert changes(SAVE, renamed) == ("name 'Save' -> 'Store ticket'",)


@pytest.mark.parametrize(
    "other",
    [
        replace(SAVE, name="Store ticket", attributes={}),
        replace(SAVE, name="Store ticket", near=("Old tickets",)),
        replace(SAVE, name="Delete ticket"),
        replace(SAVE, name="Bezahlen"),
        replace(SAVE, name="Store ticket", role="link"),
        replace(SAVE, name=""),
    ],
    ids=["no id", "elsewhere", "destroys", "spends", "another role", "no name and the same id"],
)
def test_another_name_is_not_taken_where_anything_else_speaks_against_it(other: Element) -> None:
    verdict = find(SAVE, [CANCEL, other]).verdict
    assert verdict != "sure" if other.name else verdict == "sure"


def test_a_renamed_button_is_not_taken_where_another_has_the_old_name() -> None:
    found = find(SAVE, [replace(SAVE, name="Store ticket"), replace(SAVE, attributes={}, near=("Search",))])
    assert found.verdict == "unsure" and "another thing is called 'Save'" in found.why


def test_sign_in_is_not_next() -> None:
    recorded = Element("Next", BOX, "button", page="http://crm.test/list")
    there = [Element("Sign in", BOX, "button", page="http://crm.test/login"), Element("Password", BOX, "textbox")]
    assert find(recorded, there).verdict == "absent"
    elsewhere = find(recorded, [Element("Next", BOX, "button", page="http://crm.test/login")])
    assert elsewhere.verdict == "unsure" and "another page" in elsewhere.why


def test_what_a_runs_data_stands_in_must_show_it() -> None:
    recorded = replace(SAVE, near=("Ticket for Alan Turing",), bound=("Alan Turing",))
    assert find(recorded, [replace(SAVE, near=("Ticket for Alan Turing",))]).verdict == "sure"
    other = find(recorded, [replace(SAVE, near=("Ticket for Grace Hopper",))])
    assert other.verdict == "unsure" and "'Alan Turing' stands nowhere at it" in other.why
    chosen = Element("Priority", BOX, "combobox", value="Low", options=("Low", "High"), page=PAGE, bound=("Low",))
    assert find(chosen, [replace(chosen, value="High", bound=())]).verdict == "sure"


def test_what_is_named_by_data_keeps_its_column_though_its_record_has_other_data() -> None:
    hers = Element("Grace Hopper", BOX, "link", near=("Contoso", "Name", "Customers"), page=PAGE, count=2)
    wanted = replace(hers, name="Ada Lovelace", bound=("Ada Lovelace",))
    row = replace(wanted, near=("Northwind", "Name", "Customers"), bound=())
    aside = replace(row, near=("Recently viewed",), index=1)
    found = find(wanted, [row, aside])
    assert (found.verdict, found.element) == ("sure", row)
    assert find(wanted, [aside]).verdict == "unsure"
    found = find(wanted, [row, replace(aside, near=("Recently viewed", "Customers"))])
    assert (found.verdict, found.element) == ("sure", row)
    found = find(replace(wanted, role="button", near=("Customers",), count=1), [replace(row, count=1)])
    assert found.verdict == "unsure" and "it is a link, not a button" in found.why


def test_a_field_that_moved_is_found_by_its_id() -> None:
    field = Element("Subject", BOX, "textbox", near=("Contact",), attributes={"id": "subject"}, page=PAGE)
    moved = replace(field, near=("Details",), box=(0.5, 0.5, 0.6, 0.6))
    assert find(field, [moved]).verdict == "sure"
    assert changes(field, moved) == ("beside 'Contact' -> 'Details'",)
    numbered = replace(field, attributes={"id": "field-4711"})
    assert find(numbered, [replace(moved, attributes={"id": "field-4711"})]).verdict == "unsure"


def test_a_recording_that_knows_the_name_only() -> None:
    recorded = Element("Save", (0.1, 0.1, 0.1, 0.1))
    assert find(recorded, [CANCEL, SAVE]).verdict == "sure"
    assert find(recorded, [SAVE, replace(SAVE, near=("Other",), attributes={})]).verdict == "unsure"


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ("Save", " SAVE: ", 1.0, 1.0), ("Inbox (3)", "Inbox (12)", 1.0, 1.0), ("Ticket 4711", "Ticket 4712", 0.5, 0.5),
        ("1001", "1002", 0.0, 0.0), ("Save", "Save all", 0.2, 0.49), ("Sign in", "Next", 0.0, 0.0),
    ],
)  # fmt: skip
def test_texts_are_compared_as_people_read_them(one: str, other: str, low: float, high: float) -> None:
    assert low <= likeness(one, other) == likeness(other, one) <= high


def test_one_thing_described_twice_is_the_same() -> None:
    assert same_thing(SAVE, replace(SAVE, box=(0.11, 0.1, 0.2, 0.14)))
    assert not same_thing(SAVE, replace(SAVE, box=(0.3, 0.1, 0.4, 0.14)))
    assert not same_thing(SAVE, replace(SAVE, name="Cancel"))
    assert called(SAVE) == "button 'Save' (New ticket)" and called(None) == "nothing that is known"


def test_a_score_names_its_parts() -> None:
    found = score(SAVE, replace(SAVE, near=("Other",)))
    assert found.parts["name"] == found.parts["role"] == 1.0 and found.parts["near"] == 0.0
    assert 0 < found.value < 1 and found.strong == ("id",)
