"""The secrets of a task stay with it."""

from __future__ import annotations

import pytest

from showonce.environments.factory import EnvironmentFactory
from showonce.environments.wrappers.secret import Need
from showonce.types import Task


def test_a_source_and_an_origin_of_one_task_do_not_reach_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW_A", "gEheim-7")
    monkeypatch.setenv("PW_B", "offen-88")
    tasks = [Task(f"user/{name}", "", secret={"password": f"env:PW_{name.upper()}"}) for name in "ab"]
    factory = EnvironmentFactory()
    for task, origin in zip(tasks, ("https://a.example", "https://b.example"), strict=True):
        factory.provide(task, [Need("password", 1, "Password", (origin,))], "an episode")
    assert [dict(factory.sources(task)) for task in tasks] == [{"password": "env:PW_A"}, {"password": "env:PW_B"}]
    assert sorted(factory.bound.values(), key=str) == [
        {"password": ["https://a.example"]}, {"password": ["https://b.example"]}
    ]  # fmt: skip
