from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.chores import AT, step, stored

from showonce.actions import Click, Type
from showonce.demonstrations import load_episode
from showonce.demonstrations.naming import changed, follows
from showonce.demonstrations.values import Value, load_values
from showonce.errors import ConfigError
from showonce.types import Demonstration


def after(folder: Path, *words: str) -> dict[str, Value]:
    path = folder / "shown"
    if not path.exists():
        stored(folder)
    return {value.name: value for value in changed(load_values(path), words, load_episode(path))}


def test_kinds_and_names(tmp_path: Path) -> None:
    found = after(
        tmp_path, "find_a_customer:customer", "customer=parameter", "due_date=computed:next monday:%Y-%m-%d",
        "step13:urgency", "amount=optional", "category=any", "user=constant",
    )  # fmt: skip
    assert {name: value.kind for name, value in found.items()} == {
        "user": "constant", "password": "secret", "customer": "parameter", "subject": "computed",
        "due_date": "computed", "category": "parameter", "urgency": "constant", "amount": "parameter",
    }  # fmt: skip
    assert found["due_date"].expression == "next monday:%Y-%m-%d"
    assert found["amount"].optional and not found["category"].choices
    assert [value.steps for value in found.values()] == sorted(value.steps for value in found.values())


def test_a_text_that_holds_a_new_parameter_follows_it_unless_it_is_said(tmp_path: Path) -> None:
    found = after(tmp_path, "find_a_customer=parameter")
    assert found["subject"].expression == "Call for {find_a_customer}"
    assert after(tmp_path, "find_a_customer=parameter", "find_a_customer:who")["subject"].expression == "Call for {who}"
    assert after(tmp_path, "find_a_customer=parameter", "subject=constant")["subject"].kind == "constant"
    assert after(tmp_path, "amount=parameter")["subject"].kind == "constant"


def test_a_date_gets_a_format(tmp_path: Path) -> None:
    assert after(tmp_path, "due_date=parameter:%d.%m.%Y")["due_date"].form == "%d.%m.%Y"


def test_one_text_in_two_fields_is_parted_by_its_step(tmp_path: Path) -> None:
    frames = (step(Type("1"), "textbox", "Amount"), step(Type("1"), "textbox", "Floor"))
    stored(tmp_path, Demonstration("user/x", "g", frames))
    assert [value.steps for value in after(tmp_path, "step2=parameter").values()] == [(1, 2)]
    found = after(tmp_path, "step2:level", "level=parameter")
    assert [(v.name, v.kind, v.steps) for v in found.values()] == [
        ("amount", "constant", (1,)),
        ("level", "parameter", (2,)),
    ]


def test_a_click_that_was_not_taken_for_a_choice_may_be_named(tmp_path: Path) -> None:
    stored(tmp_path, Demonstration("user/x", "g", (step(AT, "link", "North", near=("Region",)), step(Click(0.1, 0.1)))))
    found = after(tmp_path, "step1:region", "region=parameter")
    assert found["region"].recorded == "North" and found["region"].steps == (1,)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["user"], "'user' says nothing of a value"),
        (["usr=parameter"], "'usr' is the name of no value. Did you mean 'user'?"),
        (["user=paramter"], "'paramter' is no kind. Did you mean 'parameter'?"),
        (["user=secret"], "its text stands in the recording"),
        (["password=parameter"], "password is a secret already"),
        (["user=computed"], "say of what"),
        (["user=computed:tomorow"], "Did you mean 'tomorrow'?"),
        (["user=computed:{usr}"], "'usr' is neither a value nor a date"),
        (["user=constant:x"], "nothing comes after constant"),
        (["user=parameter:dd.mm"], "no format of a date"),
        (["user=parameter", "user=constant"], "user= is given twice"),
        (["user:amount"], "another value is called amount already"),
        (["user:2nd"], "'2nd' is no name"),
        (["user:step7"], "'step7' is no name"),
        (["step99=parameter"], "step 99 types and chooses nothing"),
        (["step9:due", "step10=computed:{due}", "due=computed:{category}"], "computed from itself"),
    ],
)
def test_words_that_say_nothing_are_refused(tmp_path: Path, words: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        after(tmp_path, *words)
    assert says in str(error.value)


def test_where_a_value_is_followed(tmp_path: Path) -> None:
    path = stored(tmp_path)
    values = changed(load_values(path), ["find_a_customer:who", "who=parameter"], load_episode(path))
    found = follows(values, load_episode(path), "Ticket for Grace Hopper")
    assert found["who"] == ("goal", "success", "check", "step 7", "step 15", "step 16", "subject")
    assert found["amount"] == found["user"] == ()
    longer = [*values, replace(values[0], name="all", recorded="Ticket for Grace Hopper", steps=(1,))]
    assert "success" not in follows(longer, load_episode(path), "Ticket for Grace Hopper")["who"]  # a constant's words
