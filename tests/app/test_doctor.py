"""The doctor: what is said about this machine is true, and what the config lacks is counted."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
import torch

from showonce.about import shipped
from showonce.app.doctor import Check, examine
from showonce.cli import main
from showonce.config import Config, EnvironmentConfig, InferenceConfig, OutputConfig, PolicyConfig
from showonce.errors import ShowonceError
from showonce.inference import ENGINES, LATER
from showonce.inference.torch.backbone import Backbone
from showonce.policy.vlm_policy import load_policy
from showonce.settings import load_config, to_yaml


def checks(config: Config) -> dict[str, Check]:
    return {check.name: check for check in examine(config)}


@pytest.fixture
def here(elsewhere: Path) -> dict[str, Check]:
    return checks(Config())


def test_what_is_said_is_true(here: dict[str, Check]) -> None:
    assert torch.__version__ in here["torch"].detail
    assert (here["device cuda"].verdict == "ok") is torch.cuda.is_available()
    assert here["device cpu"].verdict == "ok"
    fingerprint = Backbone.load(shipped("checkpoints", "tiny")).fingerprint
    assert fingerprint in here["checkpoint tiny"].detail
    assert here["fonts"].verdict == "ok"
    if found := shutil.which("chromium-headless-shell"):
        assert here["browser"] == Check("browser", "ok", os.environ.get("SHOWONCE_BROWSER", found))
    assert here["output.logs"].verdict in ("ok", "no")


def test_backends_of_later_releases_are_named_as_such(here: dict[str, Check]) -> None:
    assert all(here[f"inference={name}"].verdict == "ok" for name in ENGINES.names())
    assert {name for name in LATER if here[f"inference={name}"].verdict == "later"} == set(LATER)


def test_all_well_is_0_and_every_check_has_its_row(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert all(check.name in text and check.detail[-12:] in text for check in checks(load_config("run")).values())
    assert "Missing" not in text


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (Config(inference=InferenceConfig(backend="mlx")), "inference=mlx"),
        (Config(policy=PolicyConfig(checkpoint="tinny")), "checkpoint tinny"),
        (Config(output=OutputConfig(logs="a_file/logs")), "output.logs"),
        (Config(environment=EnvironmentConfig("browser", {"browser": "no-such-browser"})), "browser"),
        (Config(environment=EnvironmentConfig("desktop", {"display": ":987"})), "desktop screen"),
    ],
)
def test_what_the_config_lacks_is_3_and_named(
    elsewhere: Path, config: Config, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "a_file").write_text("")
    Path("mine.yaml").write_text(to_yaml(config))
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["doctor", "--config", "mine.yaml"]) == 3
    assert f"Missing for this config: {name}" in capsys.readouterr().out


@pytest.mark.parametrize("backend", ["mlx", "scripted", "no_such_module:Engine"])
def test_it_says_of_an_engine_what_loading_a_policy_says(elsewhere: Path, backend: str) -> None:
    config = Config(inference=InferenceConfig(backend=backend))
    with pytest.raises(ShowonceError) as refused:
        load_policy(config)
    assert str(refused.value) in [check.detail for check in checks(config).values() if check.verdict == "needed"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_here_is_missing(elsewhere: Path) -> None:
    config = dataclasses.replace(Config(), inference=InferenceConfig(device="cuda"))
    assert checks(config)["device cuda"].verdict == "needed"


def test_the_tasks_are_listed_and_a_wrong_one_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"app/dev/single/0", "skill/ask", "site/cart", "miniwob/click-button"} <= set(lines)
    assert main(["doctor", "--tasks", "app/dev/multi"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.startswith("app/dev/multi/") for line in lines)
    assert main(["doctor", "--tasks", "ap/dev"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    for task, told in (("foo/bar", "`showonce doctor --tasks` lists them"), ("app/dev/single/999", "numbers 0 to ")):
        assert main(["run", f"task={task}"]) == 2
        said = capsys.readouterr().err
        assert told in said and len(said) < 300


def test_the_settings_of_an_environment_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor", "--settings", "browser"]) == 0
    shown = capsys.readouterr().out
    for word in ("width", "whole number in [16, 8192]", "1280", "width of the page in CSS pixels", "marks"):
        assert word in shown
    assert main(["doctor", "--settings", "brwser"]) == 2
    assert "Did you mean 'browser'?" in capsys.readouterr().err


def test_a_wrong_environment_setting_is_refused_before_anything_is_loaded(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "task=app/dev/single/0", "environment.settings.teme=dark"]) == 2
    assert "Did you mean 'theme'?" in capsys.readouterr().err
    assert not (elsewhere / "logs").exists()
