"""environment.settings: one dataclass an environment, checked before anything is made, and listed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ClassVar

import pytest
from tests.fakes import Board, board_task

from showonce.environments.registry import ENVIRONMENTS, make_environment, settings_of, settings_type
from showonce.environments.settings import EnvironmentSettings, listed, setting
from showonce.environments.wrappers.perceive import Perceiving
from showonce.errors import ConfigError

BUILT_IN = sorted(ENVIRONMENTS.built_in)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_setting_has_a_default_that_is_valid_and_a_meaning(name: str) -> None:
    kind = settings_type(name)
    given = {f.name: f.default if f.default is not MISSING else {} for f in fields(kind)}
    assert settings_of(name, given) == kind()
    for line in listed(kind):
        assert line.name and line.type and line.default and len(line.meaning) > 10, line
    assert [line.name for line in listed(kind)][-2:] == ["ocr", "marks"]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("browser", {"widht": 3}, r"'widht'.*Did you mean 'width'.*doctor --settings browser"),
        ("browser", {"mark": True}, "Did you mean 'marks'"),
        ("browser", {"width": "3"}, r"environment\.settings\.width must be a whole number"),
        ("browser", {"width": 3}, r"environment\.settings\.width=3 must be a number in \[16, 8192\]"),
        ("browser", {"frame": [1, 2, 3]}, r"environment\.settings\.frame=\[1, 2, 3\] must be a size"),
        ("embedded", {"theme": "drak"}, r"theme='drak' is not a valid choice\. Did you mean 'dark'"),
        ("miniwob", {"scale": 0.5}, r"scale=0\.5 must be a number in \[1, 3\]"),
        ("miniwob", {"ocr": 1}, r"environment\.settings\.ocr must be true or false"),
        ("desktop", {"region": [0, 0, 9, 9], "window": "x"}, "not both"),
        ("desktop", {"cap": 0}, r"environment\.settings\.cap"),
        ("browsergym", {"arguments": 3}, r"environment\.settings\.arguments must be a section"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_meant(name: str, given: dict[str, Any], said: str) -> None:
    for ask in (lambda: settings_of(name, given), lambda: make_environment(name, **given)):
        with pytest.raises(ConfigError, match=said) as caught:
            ask()
        assert caught.value.key == "config.settings"


def test_checking_and_listing_settings_imports_no_browser(python: Callable[..., CompletedProcess[str]]) -> None:
    done = python(
        "-c",
        "import sys; from showonce.environments.registry import ENVIRONMENTS, settings_of\n"
        "for name in ENVIRONMENTS.built_in: settings_of(name, {})\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'playwright', 'torch', 'gymnasium', 'mss', 'Xlib'})",
    )
    assert done.stdout.strip() == "set()", done.stderr


@dataclass(frozen=True, kw_only=True)
class LampSettings(EnvironmentSettings):
    meaning: ClassVar[str] = "pixels of the frame per pixel of the board"
    scale: int = setting(1, meaning, 1, 4)


class Lamps(Board):
    """An environment of somebody else's, with settings of its own."""

    Settings = LampSettings

    def __init__(self, settings: LampSettings) -> None:
        super().__init__(scale=settings.scale)


def test_an_environment_of_ones_own_is_named_by_its_class() -> None:
    name = f"{__name__}:Lamps"
    sys.modules.setdefault(__name__, sys.modules[Lamps.__module__])
    made = make_environment(name, scale=2)
    assert isinstance(made, Lamps)
    assert made.reset(board_task(), 1).width == 2 * Board().reset(board_task(), 1).width
    with pytest.raises(ConfigError, match="Did you mean 'scale'"):
        make_environment(name, scala=2)
    assert listed(settings_type(name))[0] == ("scale", "whole number in [1, 4]", "1", LampSettings.meaning)


def test_an_environment_in_a_file_without_settings(tmp_path: Path) -> None:
    file = tmp_path / "bare.py"
    file.write_text("from tests.fakes import Board\n\nclass Bare(Board):\n    def __init__(self): super().__init__()\n")
    assert make_environment(f"{file}:Bare").name == "board"
    with pytest.raises(ConfigError, match="'scale'"):
        make_environment(f"{file}:Bare", scale=2)
    with pytest.raises(ConfigError, match="ocr=true"):
        make_environment(f"{file}:Bare", marks=True)


def test_marks_wrap_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_environment("browser", marks=True), Perceiving)
    assert not isinstance(make_environment("browser", marks=False), Perceiving)
