"""The shipped model really learns from one demonstration, and what is taught wrongly on purpose does not stay."""

from __future__ import annotations

from functools import partial

import pytest

from showonce.config import Config
from showonce.environments.registry import find_task, make_environment
from showonce.evaluation.runner import evaluate_task
from showonce.events import PromotionDecided, RolledBack
from showonce.learning.lesson import teaching
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.runtime.recorder import shown_by_oracle
from showonce.runtime.teaching import TeachRequest, TeachResult, Tensors
from showonce.seeds import Seeds
from showonce.settings import load_config
from showonce.types import Demonstration

TASK = find_task("app/dev/single/0")
SCREENS = range(5_000_000, 5_000_040)


@pytest.fixture(scope="module")
def policy() -> VLMPolicy:
    return load_policy(load_config("demo"))


def share(policy: VLMPolicy, adapter: str | None, demonstration: Demonstration | None = None) -> float:
    policy.use(adapter)
    world = partial(make_environment, "embedded")
    return evaluate_task(policy, world, TASK, SCREENS, demonstration=demonstration, width=16).success


def taught(policy: VLMPolicy, config: Config, start: Tensors | None = None) -> TeachResult:
    demonstration = shown_by_oracle(make_environment("embedded"), TASK, 77)
    teach = teaching(Seeds.of(config), policy, lambda task: make_environment("embedded"))
    result = teach(TeachRequest(TASK, demonstration, config.learning, start=start))
    assert policy.adapter is not None
    policy.adapter.set_tensors(result.tensors, "champion")
    return result


@pytest.fixture(scope="module")
def healthy(policy: VLMPolicy) -> TeachResult:
    """What one lesson from one demonstration gives."""
    return taught(policy, load_config("demo", ["learning.gate.budget_run=40", "learning.practice.episodes=25"]))


@pytest.mark.slow
def test_one_demonstration_is_learned_and_lives_in_the_adapter_alone(policy: VLMPolicy, healthy: TeachResult) -> None:
    assert policy.adapter is not None
    policy.adapter.set_tensors(healthy.tensors, "champion")
    demonstration = shown_by_oracle(make_environment("embedded"), TASK, 77)
    before, teacher = share(policy, None), share(policy, None, demonstration)
    after, off = share(policy, "champion"), share(policy, None)
    assert before <= 0.4 and teacher >= 0.8
    assert after >= before + 0.4
    assert off == before
    assert 0 < healthy.updates <= 40


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["wrong_demonstration", "lr_x100"])
def test_a_poisoned_lesson_does_not_stay(policy: VLMPolicy, healthy: TeachResult, fault: str) -> None:
    """The lesson goes on from what was learned well; its probes are good when the damage begins."""
    words = [f"learning/fault={fault}", "learning.fault.after_update=8", "learning.gate.budget_run=45"]
    config = load_config("demo_fault", [*words, "learning.practice.episodes=25"])
    result = taught(policy, config, start=healthy.tensors)
    kinds = [event.kind for event in result.events]
    assert "fault" in kinds, "the probes never became good enough to be poisoned"
    later = result.events[kinds.index("fault") :]
    refused = [e for e in later if isinstance(e, PromotionDecided) and not e.accepted]
    assert refused or any(isinstance(e, RolledBack) for e in later)
    assert share(policy, "champion") >= 0.9
