"""The stage: who has which screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import Board, ScriptedPolicy
from tests.toys import Toy, lesson_config

from showonce.errors import EnvironmentBroken
from showonce.events import Event
from showonce.runtime.player import Player
from showonce.types import Task


def test_a_screen_that_cannot_be_shared_is_given_up_before_another_is_made(
    toy_checkpoint: Path, tmp_path: Path
) -> None:
    toy = Toy(toy_checkpoint, tmp_path, lesson_config())
    try:
        mine = toy.stage.environment(toy.task)
        assert isinstance(mine, Board)
        mine.reset(toy.task, 1)
        assert toy.stage.fresh(toy.task) is not mine and toy.stage.environment(toy.task) is mine
        mine.capabilities = replace(mine.capabilities, parallel=False)
        other = toy.stage.fresh(toy.task)
        with pytest.raises(EnvironmentBroken):
            mine.observe()
        other.close()
        assert toy.stage.environment(toy.task) is not mine, "the next episode opens it again"
    finally:
        toy.close()


def test_tasks_with_other_secrets_do_not_share_an_environment() -> None:
    class Nowhere:
        def emit(self, event: Event) -> None: ...

    player = Player(ScriptedPolicy([]), lambda task: Board(), Nowhere())
    one, same = Task("user/a", "x", secret={"pin": "env:A"}), Task("user/b", "y", secret={"pin": "env:A"})
    assert player.environment(one) is player.environment(same)
    assert player.environment(one) is not player.environment(replace(one, secret={"pin": "env:B"}))
