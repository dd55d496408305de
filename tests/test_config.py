"""Every number of a config and of an environment's settings has a range, and what lies outside is refused at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from showonce.cli import main
from showonce.config import Config, GateConfig, SDFTConfig
from showonce.environments.registry import ENVIRONMENTS, settings_of, settings_type
from showonce.errors import ConfigError
from showonce.schema import hints_of
from showonce.seeds import Seeds
from showonce.settings import load_config


def numbers(kind: Any, section: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted key, declared type and range of every number in a tree of dataclasses."""
    for field in dataclasses.fields(kind):
        hint, key = hints_of(kind)[field.name], f"{section}{field.name}"
        if dataclasses.is_dataclass(hint):
            yield from numbers(hint, f"{key}.")
        elif "int" in (text := str(hint)) or "float" in text:
            yield key, hint, field.metadata.get("range")


NUMBERS = list(numbers(Config))


def beyond(kind: Any, low: float, high: float) -> list[str]:
    """Return values that a number of this type and range must refuse, as one writes them."""
    step = 1 if "float" not in str(kind) else 0.001
    found = [f"{low - step:.10g}", f"{high + step:.15g}", str(10**30), "-" + str(10**30), "nan", "inf", "-inf"]
    return found


def test_the_tree_is_walked_whole() -> None:
    keys = {key for key, _, _ in NUMBERS}
    assert {"seed", "learning.gate.budget_run", "safety.region", "evaluation.seeds", "record.near"} <= keys
    assert len(keys) > 70


@pytest.mark.parametrize(("key", "kind", "span"), NUMBERS, ids=[key for key, _, _ in NUMBERS])
def test_every_number_has_a_range_that_holds_its_default(key: str, kind: Any, span: tuple[float, float] | None) -> None:
    assert span is not None, f"{key} has no range: declare it by config.number(default, low, high)"
    low, high = span
    assert math.isfinite(low) and math.isfinite(high) and low < high
    for value in beyond(kind, low, high):
        written = f"[{value}, {value}]" if "tuple" in str(kind) else value
        if key == "safety.ask_regions":
            written = f"[[{value}, 0, 1, 1]]"
        elif key == "safety.region":
            written = f"[{value}, 0, 1, 1]"
        with pytest.raises(ConfigError) as told:
            load_config(None, [f"{key}={written}"])
        assert str(told.value).startswith(f"override '{key}=") and key in str(told.value).partition(":")[2]


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS.built_in))
def test_every_number_of_an_environment_has_a_range(name: str) -> None:
    for key, kind, span in numbers(settings_type(name)):
        assert span is not None, f"{name}: {key} has no range"
        for value in (span[0] - 1, span[1] + 1, float("nan"), float("inf")):
            with pytest.raises(ConfigError, match=f"environment.settings.{key}"):
                settings_of(name, {key: [value] if "tuple" in str(kind) else value})


def test_a_config_made_in_python_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"learning\.gate\.budget_run=-5 must be a number in \[0, 1000000\]"):
        GateConfig(budget_run=-5)
    with pytest.raises(ConfigError, match=r"learning\.sdft\.betas=\[0\.5, 1\.5\] must be a number in"):
        SDFTConfig(betas=(0.5, 1.5))
    with pytest.raises(ConfigError, match=r"seed=-1 must be at least 0: only `replay` knows -1"):
        Seeds.of(Config(seed=-1))


def test_the_file_and_its_line_are_named(elsewhere: Path) -> None:
    file = elsewhere / "mine.yaml"
    file.write_text("name: a\nlearning:\n  gate:\n    budget_run: -5\n")
    with pytest.raises(ConfigError) as told:
        load_config(file)
    assert str(told.value) == f"{file}, line 4: learning.gate.budget_run=-5 must be a number in [0, 1000000]."


@pytest.mark.parametrize(
    "words",
    [
        ["run", "learning.gate.budget_run=-5"],
        ["run", "limits.max_steps=-1"],
        ["run", "experiment=one_demo", "experiment.eval_screens=0"],
        ["run", "seed=-1"],
        ["run", "seed=99999999999999999999"],
        ["run", "safety.threshold=nan"],
        ["run", "limits.max_seconds=inf"],
        ["run", "experiment.episodes=0"],
        ["run", "task=mine.yaml"],
        ["record", "--oracle", "seed=-1"],
        ["record", "record.near=-1"],
        ["eval", "evaluation.screens=0"],
        ["eval", "evaluation.seeds=[-1]"],
        ["eval", "seed=-1"],
        ["prove", "latest", "experiment.eval_screens=-3"],
        ["watch", "dashboard.refresh_per_second=0"],
        ["doctor", "inference.threads=-1"],
    ],
)
def test_a_verb_refuses_it_before_anything_is_made(
    words: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "mine.yaml").write_text("goal: click ok\nenvironment: {name: browser, settings: {width: 3}}\n")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("showonce: ") and "Traceback" not in said
    assert [path.name for path in elsewhere.iterdir()] == ["mine.yaml"], "nothing was made"
