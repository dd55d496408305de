"""Every kind of event survives its JSON form, and nothing that a file may hold makes the reader fail."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce.events import _TYPES, KINDS, Event, NotParsed, Readings, RecoveryTried, StepTaken, Unknown, from_json

SAMPLES: dict[str, Any] = {
    "str": "word", "str | None": "word", "bool": True, "bool | None": False, "int": 3, "int | None": 4,
    "float | None": 0.5, "Json": {"a": 1}, "Json | None": {"b": [1, 2]}, "tuple[str, ...]": ("a", "b"),
    "Readings | None": Readings(0.5, None, 0.25), "NotParsed | None": NotParsed("empty", "nothing"),
}  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def filled(cls: type[Event]) -> Event:
    return cls(**{one.name: 12.5 if one.name == "t" else SAMPLES[str(one.type)] for one in fields(cls)})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_its_json_form(kind: str) -> None:
    event = filled(KINDS[kind])
    line = json.dumps(event.to_json(), allow_nan=False)
    assert json.loads(line)["kind"] == kind and json.loads(line)["t"] == 12.5
    assert from_json(json.loads(line)) == event


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_alone_is_an_event_with_empty_fields(kind: str) -> None:
    event = from_json({"kind": kind})
    assert type(event) is KINDS[kind] and event.t is None
    assert from_json(json.loads(json.dumps(event.to_json()))) == event


@given(kind=st.sampled_from([*KINDS, "later", ""]), data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_content_makes_the_reader_fail(kind: str, data: st.DataObject) -> None:
    names = [one.name for one in fields(KINDS[kind])] if kind in KINDS else ["t", "x"]
    record = {name: data.draw(ANYTHING) for name in [*names, "another"]}
    event = from_json({**record, "kind": kind})
    assert event.kind == kind if kind in KINDS else isinstance(event, Unknown)
    for one in fields(event):
        value = getattr(event, one.name)
        assert isinstance(event, Unknown) or value is None or isinstance(value, type(SAMPLES[str(one.type)]))


@pytest.mark.parametrize("kind", [None, 5, ["step"], {"a": 1}, "later_version"])
def test_an_unknown_kind_keeps_its_data(kind: Any) -> None:
    record = {"t": 3, "kind": kind, "x": [1]}
    event = from_json(record)
    assert isinstance(event, Unknown)
    assert (event.t, event.name, event.to_json()) == (3.0, kind if isinstance(kind, str) else "", record)


def test_values_of_another_type_are_left_out_and_numbers_may_name_things() -> None:
    event = from_json({
        "kind": "step", "index": True, "episode": 7, "text": ["a"], "proposed": "click", "changed": 1,
        "confidence": {"stated": "sure", "token": 0.5}, "parse_failure": "odd", "timings": None, "t": 10**400,
    })  # fmt: skip
    assert isinstance(event, StepTaken)
    assert (event.t, event.index, event.episode, event.text, event.proposed) == (None, 0, "7", "", None)
    assert (event.changed, event.confidence, event.parse_failure) == (None, Readings(token=0.5), None)
    assert event.timings == {}


@pytest.mark.parametrize(
    ("measure", "detail", "useful"),
    [("undo", "of no use", False), ("undo", "closed the dialog", True), ("give_up", "nothing is left to try", False)],
)
def test_files_from_before_the_field_say_in_their_detail_whether_a_measure_was_useful(
    measure: str, detail: str, useful: bool
) -> None:
    old = {"kind": "recovery", "episode": "e", "step": 1, "trouble": "unchanged", "measure": measure, "detail": detail}
    event = from_json(old)
    assert isinstance(event, RecoveryTried) and event.useful is useful
    assert from_json({**old, "useful": not useful}) != event, "a file that has the field decides by it alone"


def test_every_annotation_can_be_read() -> None:
    for cls in (*KINDS.values(), Readings, NotParsed):
        assert {str(one.type) for one in fields(cls)} <= set(_TYPES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_explained(kind: str) -> None:
    words = " ".join((KINDS[kind].__doc__ or "").split()).replace(", ", ": ")
    assert not [one.name for one in fields(KINDS[kind]) if one.name != "t" and f" {one.name}: " not in words]


def test_the_vocabulary_loads_neither_numpy_nor_torch() -> None:
    code = "import sys, showonce.events; print(sorted({'numpy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
