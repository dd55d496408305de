"""What is called `after` was measured in a process of its own, from files, and with nothing demonstrated."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.benchfactory import embedded

from showonce.config import AdapterConfig, Config, PolicyConfig, SafetyConfig
from showonce.environments.factory import EnvironmentFactory
from showonce.environments.registry import find_task
from showonce.errors import BadInput, CheckpointCorrupt, ShowonceError
from showonce.evaluation.bench import Bench
from showonce.evaluation.fresh import (
    Measurement,
    NoDemonstration,
    adapter_config,
    adapter_tensors,
    main,
    measure,
    run_after,
)
from showonce.evaluation.runner import evaluate_task
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context
from showonce.types import Limits, Success, Task

TASK = find_task("app/dev/single/0")


@pytest.fixture
def saved(policy: VLMPolicy, tmp_path: Path) -> Path:
    """An adapter with one trained row, as a PEFT folder."""
    assert policy.adapter is not None
    token = policy.goal_ids(TASK.goal)[0]
    row = policy.engine.backbone.embedding.weight[token].detach().float() * -3
    policy.adapter.set_tensors({f"tokens.{token}": row}, "candidate", "v0007")
    policy.adapter.save(tmp_path / "adapter", "candidate")
    return tmp_path / "adapter"


def test_measured_here_it_is_the_ordinary_evaluation(policy: VLMPolicy) -> None:
    plain = evaluate_task(policy, embedded, TASK, range(50, 56))
    found = measure(policy, embedded, TASK, range(50, 56))
    assert found.outcomes == plain.outcomes
    assert [row.steps for row in found.rows] == [row.steps for row in plain.rows]
    assert not isinstance(policy.family, NoDemonstration)  # the policy is as it was


def test_a_prompt_with_a_demonstration_is_refused(policy: VLMPolicy, make_bench: Callable[..., Bench]) -> None:
    shown = make_bench().show(TASK, 1)
    watched = NoDemonstration(policy.family)
    screen = shown.frames[0].observation
    assert watched.prompt(screen, Context("x"), [], "frames") == policy.family.prompt(
        screen, Context("x"), [], "frames"
    )
    assert watched.prompts == 1
    with pytest.raises(ShowonceError, match="a prompt held one"):
        watched.prompt(screen, Context(TASK.goal, demonstration=shown), ["click red circle"], "frames_narrated")
    with pytest.raises(ShowonceError):
        watched.describe(shown.frames[0])
    with pytest.raises(ShowonceError, match="without a demonstration was to be measured"):
        measure(policy, embedded, TASK, [1], demonstration=shown)


def test_a_process_that_has_seen_a_demonstration_may_not_measure(
    policy: VLMPolicy, make_bench: Callable[..., Bench]
) -> None:
    shown = make_bench().show(TASK, 1)
    evaluate_task(policy, embedded, TASK, [3], demonstration=shown)
    assert len(policy.prefixes) == 1
    with pytest.raises(ShowonceError, match="in a new process"):
        measure(policy, embedded, TASK, [3])


@pytest.mark.parametrize("width", [1, 32])
def test_a_new_process_measures_what_was_saved(saved: Path, config: Config, width: int, tmp_path: Path) -> None:
    order = Measurement(config, TASK, EnvironmentFactory(), range(50, 58), saved, width)
    found = run_after(order) if width == 32 else _report(order, tmp_path)
    policy = load_policy(config)
    assert policy.adapter is not None
    policy.adapter.load(saved, "champion")
    here = measure(policy, embedded, TASK, range(50, 58))
    assert found["outcomes"] == [int(outcome) for outcome in here.outcomes]
    assert found["steps"] == [row.steps for row in here.rows]
    assert (found["n"], found["success"]) == (8, here.success)
    assert found["adapter_hash"] == policy.adapter.hash("champion")
    assert found["fingerprint"] == policy.engine.backbone.fingerprint
    assert (found["demonstrations"], found["cached_prefixes"], found["errors"]) == (0, 0, 0)
    assert (found["process"] == os.getpid()) == (width == 1)


def _report(order: Measurement, folder: Path) -> dict[str, object]:
    (folder / "order.json").write_text(json.dumps(order.to_json()))
    assert main([str(folder / "order.json"), str(folder / "after.json")]) == 0
    found: dict[str, object] = json.loads((folder / "after.json").read_text())
    return found


def test_without_an_adapter_the_base_is_measured(config: Config, tmp_path: Path) -> None:
    found = _report(Measurement(config, find_task("skill/ask"), EnvironmentFactory(), range(1, 3), None), tmp_path)
    assert (found["adapter"], found["adapter_hash"], found["n"]) == ("none", "base", 2)


def test_a_measurement_is_rebuilt_from_its_file_in_every_field(tmp_path: Path) -> None:
    """What decides about success arrives: the check, the limits, the settings and the fence of the run."""
    task = Task(
        "user/pay", "pay bob", "browser", {"width": 800}, "index.html", Success("url", "*/thanks*"),
        limits=Limits(max_steps=3, max_seconds=7.5), redact=((0.0, 0.9, 1.0, 1.0),),
    )  # fmt: skip
    fence = SafetyConfig(urls=("shop.example",), region=(0.0, 0.0, 0.5, 1.0), ask_regions=((0.1, 0.1, 0.2, 0.2),))
    factory = EnvironmentFactory("browser", {"headless": True}, fence, "logs/x/downloads")
    config = Config(seed=3, policy=PolicyConfig(adapter=AdapterConfig("lora", rank=4)))
    order = Measurement(config, task, factory, range(5, 9), tmp_path / "v0001", 2)
    assert Measurement.from_json(json.loads(json.dumps(order.to_json()))) == order


def test_bad_input_ends_with_one_line_and_two(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = Measurement(Config(policy=PolicyConfig(checkpoint="nothing")), TASK, EnvironmentFactory(), range(1, 2), None)
    (tmp_path / "order.json").write_text(json.dumps(bad.to_json()))
    assert main([str(tmp_path / "order.json"), str(tmp_path / "x.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_words_of_a_process_that_fails_are_passed_on(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ShowonceError, match="holds neither"):
        run_after(Measurement(config, TASK, EnvironmentFactory(), range(1, 3), tmp_path))


def test_a_checkpoint_of_a_store_is_read_too(saved: Path, policy: VLMPolicy, tmp_path: Path) -> None:
    tensors = adapter_tensors(policy, saved)
    version = tmp_path / "v0003"
    version.mkdir()
    save_file(tensors, version / "adapter.safetensors")
    found = adapter_tensors(policy, version)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    (version / "adapter.safetensors").write_bytes(b"not tensors")
    with pytest.raises(CheckpointCorrupt):
        adapter_tensors(policy, version)
    with pytest.raises(BadInput, match="holds neither"):
        adapter_tensors(policy, tmp_path)


def test_a_checkpoint_saved_under_another_alpha_acts_the_same(config: Config, tmp_path: Path) -> None:
    lora = AdapterConfig(kind="lora", rank=2, alpha=6)
    policy = load_policy(replace(config, policy=replace(config.policy, adapter=lora)))
    assert policy.adapter is not None
    tensors = policy.adapter.tensors()
    key = next(key for key in tensors if key.endswith(".B"))
    save_file(tensors | {key: torch.ones_like(tensors[key])}, tmp_path / "adapter.safetensors")
    for scale, expected in ((3.0, 1.0), (6.0, 2.0), (None, 1.0)):
        (tmp_path / "checkpoint.json").write_text(json.dumps({"lora_scale": scale}))
        assert adapter_tensors(policy, tmp_path)[key].unique().tolist() == [expected]
    (tmp_path / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointCorrupt, match=r"checkpoint\.json"):
        adapter_tensors(policy, tmp_path)


def test_the_kind_of_adapter_is_read_from_its_folder(saved: Path, config: Config, tmp_path: Path) -> None:
    lora = AdapterConfig(kind="lora", rank=2, alpha=6)
    assert adapter_config(lora, saved).kind == "tokens"
    assert adapter_config(lora, None) == adapter_config(lora, tmp_path) == lora
    other = load_policy(replace(config, policy=replace(config.policy, adapter=lora)))
    assert other.adapter is not None
    other.adapter.save(tmp_path / "lora")
    assert adapter_config(AdapterConfig(), tmp_path / "lora") == replace(AdapterConfig(), kind="lora", rank=2, alpha=6)
    held = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(held | {"rank_pattern": {"q_proj": 12}}))
    assert adapter_config(AdapterConfig(), tmp_path / "lora").rank == 12
