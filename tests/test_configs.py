"""Every YAML that ships composes into a Config, and says in its first lines how to use it."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import click
import pytest
from tests.cli.test_cli import overrides_of

from showonce.about import shipped_names, shipped_root
from showonce.cli import cli
from showonce.config import Config
from showonce.environments.registry import make_environment
from showonce.runtime.completion import KINDS
from showonce.runtime.tasks import RESETS, load_task
from showonce.schema import build
from showonce.settings import load_config

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
RUNS = [name for name in FILES if "/" not in name]
TASKS = [name for name in FILES if name.startswith("tasks/")]
GROUPS = [name for name in FILES if "/" in name and name not in TASKS]
LEARNERS = ("sdft", "sft_demo", "sft_teacher", "rft", "in_context", "frozen")
FAULTS = ("none", "wrong_demonstration", "inverted_loss", "lr_x100", "corrupt_checkpoint")
BACKENDS = ("torch",)  # an engine that is not in this release has no file that could only fail


def test_all_of_them_are_found() -> None:
    assert shipped_root("configs") == CONFIGS
    assert not list(CONFIGS.rglob("*.yml"))
    assert set(RUNS) >= {f"{name}.yaml" for name in ("run", "demo", "demo_fault", "record", "eval", "prove")}
    assert len(GROUPS) >= len(LEARNERS) + len(FAULTS) + len(BACKENDS) + 4
    assert {load_task(CONFIGS / name).success.kind for name in TASKS} == set(KINDS)
    assert {load_task(CONFIGS / name).reset.partition(":")[0] for name in TASKS} == set(RESETS)
    assert shipped_names("configs") == tuple(name.removesuffix(".yaml") for name in RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_config_composes(name: str) -> None:
    config = load_config(name)
    assert config.name == name.removesuffix(".yaml")
    assert build(Config, dataclasses.asdict(config)) == config


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_option_composes_and_changes_only_its_section(name: str) -> None:
    group, _, option = name.removesuffix(".yaml").rpartition("/")
    config = load_config(None, [f"{group}={option}"])
    section = group.split("/")[0]
    plain = load_config()
    for field in dataclasses.fields(Config):
        if field.name not in (section, "given"):
            assert getattr(config, field.name) == getattr(plain, field.name)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_file_loads_and_its_environment_is_there(name: str) -> None:
    task = load_task(CONFIGS / name)
    assert task.goal and task.id
    environment = make_environment(task.environment, **task.settings)
    environment.close()


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_has_its_file(learner: str) -> None:
    assert load_config(None, [f"learning={learner}"]).learning.learner == learner


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_file(fault: str) -> None:
    assert load_config(None, [f"learning/fault={fault}"]).learning.fault.kind == fault


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_has_its_file(backend: str) -> None:
    assert load_config(None, [f"inference={backend}"]).inference.backend == backend


def test_the_fault_demo_is_the_demo_with_other_learning() -> None:
    demo, fault = load_config("demo"), load_config("demo_fault")
    assert fault.learning.fault.kind == "wrong_demonstration"
    assert fault.learning.gate.headroom == 0, "learning must go on after success, else there is no update to poison"
    same = {"name": demo.name, "learning": demo.learning, "experiment": demo.experiment}
    assert fault.experiment.name == demo.experiment.name
    assert dataclasses.replace(fault, **same) == demo


@pytest.mark.parametrize("name", FILES)
def test_the_header_shows_a_command_that_parses(name: str) -> None:
    header = re.match(r"(?:#.*\n)+", (CONFIGS / name).read_text(encoding="utf-8"))
    assert header, f"{name} does not begin with a comment"
    commands = re.findall(r"^#\s+showonce (.+)$", header.group(), re.MULTILINE)
    assert commands, f"{name} does not show a command"
    for command in commands:
        verb, *rest = shlex.split(command)
        context = click.Context(cli)
        found = cli.get_command(context, verb)
        assert found is not None, f"{name}: no verb {verb!r}"
        load_config("run", overrides_of(verb, found.make_context(verb, rest, parent=context).params))
