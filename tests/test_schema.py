"""Mappings against dataclasses: every mistake is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from showonce.errors import ConfigError
from showonce.schema import SchemaError, build, check_path, kind_of, paths


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"inner.rate={self.rate!r} must lie in [0, 1].")


@dataclass(frozen=True)
class Outer:
    title: str
    count: int = 1
    on: bool = False
    pair: tuple[float, float] = (0.0, 1.0)
    free: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


def test_builds_nested_dataclasses_with_tuples_for_lists() -> None:
    data = {"title": "x", "pair": [1, 2.5], "free": {"a": [1]}, "inner": {"names": ["p", "q"], "rate": 1}}
    assert build(Outer, data) == Outer("x", pair=(1.0, 2.5), free={"a": [1]}, inner=Inner(1.0, ("p", "q")))


def test_an_empty_section_is_its_defaults() -> None:
    assert build(Outer, {"title": "x", "inner": None, "free": None}) == Outer("x")


@pytest.mark.parametrize(
    ("data", "key", "words"),
    [
        ({"titel": "x"}, "titel", "Did you mean 'title'?"),
        ({"title": "x", "inner": {"rat": 1}}, "inner.rat", "Did you mean 'rate'?"),
        ({"title": "x", "rate": 1}, "rate", "Did you mean 'inner.rate'?"),
        ({}, "title", "title is required"),
        ({"title": 3}, "title", 'must be text, not 3; put it in quotes: "3"'),
        ({"title": None}, "title", "must be text, not null"),
        ({"title": "x", "count": "ten"}, "count", "must be a whole number, not 'ten'"),
        ({"title": "x", "count": 1.5}, "count", "must be a whole number, not 1.5"),
        ({"title": "x", "count": True}, "count", "must be a whole number, not True"),
        ({"title": "x", "on": 1}, "on", "must be true or false, not 1"),
        ({"title": "x", "pair": [1]}, "pair", "must be a list of 2 values"),
        ({"title": "x", "pair": 1}, "pair", "must be a list of 2 values"),
        ({"title": "x", "inner": {"names": "p"}}, "inner.names", "must be a list such as [a, b], not 'p'"),
        ({"title": "x", "inner": {"names": ["p", 2]}}, "inner.names[1]", "must be text, not 2"),
        ({"title": "x", "inner": 3}, "inner", "must be a section of keys, not 3; its keys are rate, names"),
        ({"title": "x", "inner": {"rate": float("nan")}}, "inner.rate", "must be a number, not nan"),
        ({"title": "x", "inner": {"rate": 2}}, "inner.rate", "must lie in [0, 1]"),
    ],
)
def test_every_mistake_names_its_key_and_what_would_be_right(data: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(SchemaError) as caught:
        build(Outer, data)
    assert caught.value.setting == key
    assert words in str(caught.value)


def test_paths_and_kinds() -> None:
    assert list(paths(Outer))[-3:] == ["inner", "inner.rate", "inner.names"]
    assert kind_of(Outer, "inner.rate") is float
    assert kind_of(Outer, "free.any.thing") is Any
    assert kind_of(Outer, "inner.none") is None
    assert kind_of(Outer, "count.none") is None


@pytest.mark.parametrize("key", ["title", "inner", "inner.rate", "free.anything.below"])
def test_paths_that_exist_pass(key: str) -> None:
    check_path(Outer, key)


@pytest.mark.parametrize(("key", "words"), [("iner.rate", "'inner'"), ("count.x", "single value"), ("inner.x", "'x'")])
def test_paths_that_do_not_exist_are_refused(key: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        check_path(Outer, key)


def test_a_field_may_hold_a_number_or_a_word() -> None:
    @dataclass(frozen=True)
    class Either:
        workers: int | str = "auto"

    assert [build(Either, {"workers": value}).workers for value in (2, "ray")] == [2, "ray"]
    for wrong in (True, 1.5, None):
        with pytest.raises(SchemaError, match="must be a whole number or a word, not"):
            build(Either, {"workers": wrong})
