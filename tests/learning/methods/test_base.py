"""Settings of a learner of one's own, and what is said when its code fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from showonce.app.effects import check_config
from showonce.config import LearningConfig, number
from showonce.errors import BadInput, ConfigError
from showonce.learning.methods.base import Method, options_of
from showonce.learning.methods.registry import check_learner
from showonce.learning.methods.sdft import SDFT
from showonce.plugins import blamed
from showonce.settings import load_config, to_yaml

MINE = """
from dataclasses import dataclass
from showonce.config import number
from showonce.learning.methods.sdft import SDFT

class Renyi(SDFT):
    name = "renyi"

    @dataclass(frozen=True)
    class Options:
        order: float = number(0.5, 0, 10)
        rounds: int = number(1, 1, 9)
        how: str = "mean"

    def loss(self, batch):
        return super().loss(batch[0] / 0)
"""


@dataclass(frozen=True)
class Wanted:
    order: float = number(0.5, 0, 10)
    rounds: int = number(1, 1, 9)
    sides: tuple[float, float] = (0.0, 1.0)
    must: bool = False

    def __post_init__(self) -> None:
        if self.sides[0] > self.sides[1]:
            raise ValueError("sides must rise")


class Mine(Method):
    name = "mine"
    Options = Wanted


@pytest.fixture
def renyi(elsewhere: Path) -> Iterator[Path]:
    (elsewhere / "my_renyi.py").write_text(MINE)
    yield elsewhere / "my_renyi.py"
    sys.modules.pop("my_renyi", None)


def load(*overrides: str) -> Any:
    return load_config(None, overrides, lambda config, given: check_config("run", config, given))


def test_options_are_typed_and_have_defaults() -> None:
    assert options_of(Mine, {"order": 2, "sides": [0.25, 0.5]}) == Wanted(order=2.0, sides=(0.25, 0.5))
    assert options_of(Mine, {}) == Wanted()
    assert isinstance(options_of(Mine, {"order": 2}).order, float)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ordr": 0.7}, "unknown key 'ordr' in learning.options. Did you mean 'order'?"),
        ({"order": "0.7"}, "learning.options.order must be a number, not '0.7'"),
        ({"order": 11}, "learning.options.order=11.0 must be a number in [0, 10]"),
        ({"rounds": 1.5}, "learning.options.rounds must be a whole number, not 1.5"),
        ({"must": 1}, "learning.options.must must be true or false"),
        ({"sides": [2, 1]}, "sides must rise"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match="test_base:Mine") as caught:
        options_of(Mine, given)
    assert words in str(caught.value)


def test_options_must_be_a_dataclass_of_known_types() -> None:
    @dataclass(frozen=True)
    class Odd:
        limit: float | None = None

    for kind, words in ((Odd, "learning.options.limit is declared as float | None"), (dict, "@dataclass")):
        with pytest.raises(ConfigError) as caught:
            options_of(type("Mine", (Method,), {"Options": kind}), {})
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match="has no options of its own"):
        options_of(SDFT, {"order": 1})


def test_the_command_line_sets_them_without_a_plus_and_a_run_keeps_them(renyi: Path, tmp_path: Path) -> None:
    config = load("learning.learner=my_renyi:Renyi", "learning.options.order=0.7", "learning.options.how=max")
    assert config.learning.options == {"order": 0.7, "how": "max"}
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml").learning.options == {"order": 0.7, "how": "max"}
    assert check_learner(config.learning).name == "renyi"
    assert config.learning.taught_by("sdft").options == {}
    assert config.learning.taught_by("my_renyi:Renyi") is config.learning


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["learning.options.ordr=1"], "override 'learning.options.ordr=1': learner my_renyi:Renyi: unknown key 'ordr'"),
        (["learning.options.order=99"], "override 'learning.options.order=99': learner my_renyi:Renyi: learning.opt"),
        (["learning.options={how: 3}"], "learning.options.how must be text, not 3"),
        (
            ["learning.learner=sdft", "learning.options.order=1"],
            "has no effect in `showonce run`: learning.options are those",
        ),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(renyi: Path, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("learning.learner=my_renyi:Renyi", *overrides)
    assert words in str(caught.value)


def test_a_config_file_with_options_of_another_learner_is_refused_with_its_line(renyi: Path) -> None:
    file = renyi.parent / "study.yaml"
    file.write_text("learning:\n  learner: sdft\n  options:\n    order: 0.7\n")
    with pytest.raises(ConfigError, match=r"study.yaml, line 4: learning.options are those of a learner of one's own"):
        load_config(file, (), lambda config, given: check_config("run", config, given))


def test_a_learner_that_fails_at_work_is_blamed_with_its_line(renyi: Path) -> None:
    method = check_learner(LearningConfig(learner="my_renyi:Renyi"))
    words = rf"learner my_renyi:Renyi failed: TypeError: .*\({renyi}:16\)"
    with pytest.raises(BadInput, match=words), blamed("learner", method):
        method.loss(object.__new__(method), [[1]])  # type: ignore[list-item]
    for cls in (SDFT, method):  # ours, or theirs that had no part in it
        with pytest.raises(json.JSONDecodeError), blamed("learner", cls):
            json.loads("{")
