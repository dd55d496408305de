"""The stage: who has which screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import Board
from tests.toys import Toy, lesson_config

from showonce.errors import EnvironmentBroken


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
