"""The names that a user may rely on are the names that are there."""

from __future__ import annotations

import importlib
import inspect
import typing

import pytest

import showonce

PARAMETERS = {
    "parse_action": ["text", "dialect"],
    "make_environment": ["name", "settings"],
    "load_policy": ["config"],
    "load_config": ["path_or_name", "overrides"],
    "teach": ["config", "task", "demonstration", "screens", "start", "policy", "folder"],
    "read_runs": ["logs", "names"],
}


def test_all_equals_reality() -> None:
    assert set(showonce.__all__) == {"__version__", "Taught", "run_episode", *PARAMETERS}
    assert set(showonce.__all__) <= set(dir(showonce))


@pytest.mark.parametrize("name", [name for name in showonce.__all__ if name not in ("__version__", "Taught")])
def test_every_name_is_the_one_of_its_module(name: str) -> None:
    function = getattr(showonce, name)
    assert callable(function)
    assert getattr(importlib.import_module(function.__module__), name) is function
    assert function.__doc__
    assert "return" in typing.get_type_hints(function)


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_signatures_are_stable(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(showonce, name)).parameters)[: len(parameters)] == parameters


def test_run_episode_takes_the_parts_first() -> None:
    assert list(inspect.signature(showonce.run_episode).parameters)[:3] == ["environment", "policy", "task"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_this"):
        showonce.nothing_like_this  # noqa: B018
