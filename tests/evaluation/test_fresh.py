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

from showonce.config import AdapterConfig, Config
from showonce.environments.registry import find_task
from showonce.errors import BadInput, CheckpointCorrupt, ShowonceError
from showonce.evaluation.bench import Bench
from showonce.evaluation.fresh import (
    NoDemonstration,
    adapter_config,
    adapter_tensors,
    main,
    measure,
    run_after,
    seeds_of,
)
from showonce.evaluation.runner import evaluate_task
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context
from showonce.settings import to_yaml

TASK = find_task("app/dev/single/0")


@pytest.fixture
def saved(policy: VLMPolicy, tmp_path: Path) -> Path:
    """An adapter with one trained row, as a PEFT folder."""
    assert policy.adapter is not None
    token = policy.goal_ids(TASK.goal)[0]
    row = policy.backbone.embedding.weight[token].detach().float() * -3
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
    assert policy.cached_prefixes == 1
    with pytest.raises(ShowonceError, match="in a new process"):
        measure(policy, embedded, TASK, [3])


@pytest.mark.parametrize("width", [1, 32])
def test_a_new_process_measures_what_was_saved(saved: Path, config: Config, width: int, tmp_path: Path) -> None:
    found = run_after(config, saved, TASK.id, range(50, 58)) if width == 32 else _report(config, saved, tmp_path)
    policy = load_policy(config)
    assert policy.adapter is not None
    policy.adapter.load(saved, "champion")
    here = measure(policy, embedded, TASK, range(50, 58))
    assert found["outcomes"] == [int(outcome) for outcome in here.outcomes]
    assert found["steps"] == [row.steps for row in here.rows]
    assert (found["n"], found["success"]) == (8, here.success)
    assert found["adapter_hash"] == policy.adapter.hash("champion")
    assert found["fingerprint"] == policy.backbone.fingerprint
    assert (found["demonstrations"], found["cached_prefixes"], found["errors"]) == (0, 0, 0)
    assert (found["process"] == os.getpid()) == (width == 1)


def _report(config: Config, adapter: Path, folder: Path) -> dict[str, object]:
    (folder / "config.yaml").write_text(to_yaml(config))
    out = folder / "after.json"
    words = ["--adapter", str(adapter), "--task", TASK.id, "--seeds", "50:58", "--out", str(out), "--width", "1"]
    assert main(["--config", str(folder / "config.yaml"), *words]) == 0
    found: dict[str, object] = json.loads(out.read_text())
    return found


def test_without_an_adapter_the_base_is_measured(config: Config, tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    out = tmp_path / "after.json"
    arguments = ["--checkpoint", str(checkpoint), "--adapter", "none", "--task", "skill/ask", "--seeds", "1:3"]
    assert main([*arguments, "--config", str(tmp_path / "config.yaml"), "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert (found["adapter"], found["adapter_hash"], found["n"]) == ("none", "base", 2)


def test_bad_input_ends_with_one_line_and_two(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--adapter", "none", "--task", "skill/ask", "--out", str(tmp_path / "x.json")]
    assert main([*words, "--seeds", "5:5"]) == 2
    assert "give A:B" in capsys.readouterr().err
    assert main([*words[:3], "skill/aks", *words[4:], "--seeds", "1:2", "--checkpoint", "nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_words_of_a_process_that_fails_are_passed_on(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ShowonceError, match="holds neither"):
        run_after(config, tmp_path, TASK.id, range(1, 3))


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


def test_the_kind_of_adapter_is_read_from_its_folder(saved: Path, config: Config, tmp_path: Path) -> None:
    lora = AdapterConfig(kind="lora", rank=2, alpha=6)
    assert adapter_config(lora, saved).kind == "tokens"
    assert adapter_config(lora, None) == adapter_config(lora, tmp_path) == lora
    other = load_policy(replace(config, policy=replace(config.policy, adapter=lora)))
    assert other.adapter is not None
    other.adapter.save(tmp_path / "lora")
    assert adapter_config(AdapterConfig(), tmp_path / "lora") == replace(AdapterConfig(), kind="lora", rank=2, alpha=6)


def test_seeds_are_read_as_a_range() -> None:
    assert seeds_of("5000000:5000100") == range(5_000_000, 5_000_100)
    for text in ("5", "3:3", "4:1", "a:b", "-3:2", ""):
        with pytest.raises(BadInput, match="A:B"):
            seeds_of(text)
